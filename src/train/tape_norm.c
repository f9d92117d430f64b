/* SPDX-License-Identifier: Apache-2.0
 * Batch normalisation on the tape, with the addition and the ReLU behind it in the same pass.  Its
 * result without those is never stored: the gradient needs the norm's input and the end result. */
#include <math.h>
#include <string.h>

#include "kernel/wide.h"
#include "train/tape_build.h"

struct norm_detail {
    size_t c, stride, pixels; /* pixels of one image */
    size_t gamma, beta, mean, variance;
    double epsilon;
    bool relu, dx_add, dresidual_add;
    int32_t x, y, residual, dy, dx, dresidual;
    int32_t x_back, y_back; /* as backward finds them */
    int32_t keep_x, keep_y; /* 16 bits of them, or -1 */
    int32_t side;           /* where y is positive, or -1 */
    bool x_half;            /* x, when it is made again, and x_back are 16 bits */
    int32_t partial, partial_back, state, state_back;
};

/* What forward leaves for backward: mean and variance in double, and the float forms of the
 * kernels.  Of the backward pass: the two sums, and its three coefficients. */
struct state {
    double *first, *second;
    float *one, *two, *three;
};
#define STATE_FLOATS 7 /* a channel: two doubles, three floats */

static struct state state_at(const struct hr_tape_run *run, int32_t block, size_t stride)
{
    float *const at = hr_tape_at(run, block);
    double *const wide = (double *)(void *)at;
    return (struct state){ wide, wide + stride, at + 4 * stride, at + 5 * stride, at + 6 * stride };
}

struct pass {
    const struct hr_norm_kernels *kernels;
    struct hr_norm_call call;
    struct state state;
};

static void stats_blocks(const void *context, size_t first, size_t last)
{
    const struct pass *p = context;
    p->kernels->stats(&p->call, first, last);
}

static void join_stats(const void *context, size_t first, size_t last)
{
    const struct pass *p = context;
    hr_norm_join_stats(&p->call, p->state.first, p->state.second, first, last);
}

static void apply_pixels(const void *context, size_t first, size_t last)
{
    const struct pass *p = context;
    p->kernels->apply(&p->call, first, last);
}

static void grad_sums(const void *context, size_t first, size_t last)
{
    const struct pass *p = context;
    p->kernels->grad_sums(&p->call, first, last);
}

static void join_grad(const void *context, size_t first, size_t last)
{
    const struct pass *p = context;
    hr_norm_join_grad(&p->call, p->state.first, p->state.second, first, last);
}

static void grad_pixels(const void *context, size_t first, size_t last)
{
    const struct pass *p = context;
    p->kernels->grad(&p->call, first, last);
}

static uint8_t *side_at(const struct hr_tape_run *run, int32_t block)
{
    return (uint8_t *)hr_tape_at(run, block);
}

/* Of the backward half, from what is there for it. */
static struct hr_norm_call back_call_of(const struct norm_detail *d, const struct hr_tape_run *run,
                                        const struct state *forward)
{
    return (struct hr_norm_call){ .pixels = run->n * d->pixels,
                                  .stride = d->stride,
                                  .x = hr_tape_at(run, d->x_back),
                                  .x_half = d->x_half ? hr_tape_half_at(run, d->x_back) : NULL,
                                  .half = run->tape->options.half,
                                  .mean = forward->one,
                                  .partial = hr_tape_at(run, d->partial_back),
                                  .y = hr_tape_at(run, d->y_back),
                                  .relu = d->relu,
                                  .dy = hr_tape_at(run, d->dy),
                                  .dx = hr_tape_at(run, d->dx),
                                  .dx_add = d->dx_add,
                                  .dresidual = hr_tape_at(run, d->dresidual),
                                  .dresidual_add = d->dresidual_add };
}

static struct hr_norm_call call_of(const struct norm_detail *d, const struct hr_tape_run *run,
                                   const struct state *state, int32_t partial)
{
    return (struct hr_norm_call){ .pixels = run->n * d->pixels,
                                  .stride = d->stride,
                                  .x = hr_tape_at(run, d->x),
                                  .mean = state->one,
                                  .partial = hr_tape_at(run, partial),
                                  .y = hr_tape_at(run, d->y),
                                  .relu = d->relu };
}

static void move(float *running, double batch, double momentum)
{
    *running = (float)(momentum * (double)*running + (1.0 - momentum) * batch);
}

/* ---- Of all ranks ---- */

static bool is_shared(const struct hr_tape_run *run)
{
    return run->tape->options.sync && !run->keep_statistics;
}

/* Pixels that the sums are of. */
static double pixels_of(const struct norm_detail *d, const struct hr_tape_run *run)
{
    return (is_shared(run) ? run->tape->all_images : (double)run->n) * (double)d->pixels;
}

/* first, second [stride] of every rank, one behind the other. */
static const double *share(const struct norm_detail *d, const struct hr_tape_run *run,
                           const struct state *s)
{
    const struct hr_tape_sync *const sync = run->tape->options.sync;
    sync->share(sync->context, s->first, run->tape->shared, 2 * d->stride);
    return run->tape->shared;
}

/* Mean and variance of all pictures, from those of each rank's: the square of the distance of its
 * mean comes to its variance. */
static void share_statistics(const struct norm_detail *d, const struct hr_tape_run *run,
                             const struct state *s)
{
    const struct hr_tape *const t = run->tape;
    if (!is_shared(run))
        return;
    const double *const all = share(d, run, s);
    for (size_t i = 0; i < d->stride; i++) {
        double mean = 0.0, variance = 0.0;
        for (size_t r = 0; r < t->options.sync->ranks; r++)
            mean += t->images[r] / t->all_images * all[2 * r * d->stride + i];
        for (size_t r = 0; r < t->options.sync->ranks; r++) {
            const double *const its = all + 2 * r * d->stride;
            const double off = its[i] - mean;
            variance += t->images[r] / t->all_images * (its[d->stride + i] + off * off);
        }
        s->first[i] = mean;
        s->second[i] = variance;
    }
}

static void share_sums(const struct norm_detail *d, const struct hr_tape_run *run,
                       const struct state *s)
{
    if (!is_shared(run))
        return;
    const double *const all = share(d, run, s);
    for (size_t i = 0; i < 2 * d->stride; i++) { /* first, and second behind it */
        s->first[i] = 0.0;
        for (size_t r = 0; r < run->tape->options.sync->ranks; r++)
            s->first[i] += all[2 * r * d->stride + i];
    }
}

/* ---- What the sums become ---- */

/* In the place of a batch's. */
static void running_statistics(const struct norm_detail *d, const struct hr_tape_run *run,
                               const struct state *s)
{
    for (size_t i = 0; i < d->c; i++) {
        s->first[i] = (double)run->params[d->mean + i];
        s->second[i] = (double)run->params[d->variance + i];
    }
}

/* The float forms of a batch's statistics, and the running ones. */
static void use_statistics(const struct norm_detail *d, const struct hr_tape_run *run,
                           const struct state *s)
{
    const struct hr_tape_options *o = &run->tape->options;
    const double momentum = (double)o->momentum, count = pixels_of(d, run);
    const double wider = o->unbiased && count > 1.0 ? count / (count - 1.0) : 1.0;
    memset(s->one, 0, 3 * d->stride * sizeof *s->one);
    for (size_t i = 0; i < d->c; i++) {
        s->one[i] = (float)s->first[i];
        s->two[i] = (float)((double)run->params[d->gamma + i] / sqrt(s->second[i] + d->epsilon));
        s->three[i] = run->params[d->beta + i];
        if (!run->keep_statistics && !o->frozen) {
            move(&run->params[d->mean + i], s->first[i], momentum);
            move(&run->params[d->variance + i], s->second[i] * wider, momentum);
        }
    }
}

/* ---- In double ---- */

static void wide_norm_stats(const void *context, size_t first, size_t last)
{
    hr_wide_norm_stats(context, first, last);
}

static void wide_norm_sums(const void *context, size_t first, size_t last)
{
    hr_wide_norm_sums(context, first, last);
}

static void wide_norm(const void *context, size_t first, size_t last)
{
    hr_wide_norm(context, first, last);
}

static void wide_norm_grad(const void *context, size_t first, size_t last)
{
    hr_wide_norm_grad(context, first, last);
}

static struct hr_wide_norm wide_of(const struct norm_detail *d, const struct hr_tape_run *run,
                                   const struct state *state)
{
    return (struct hr_wide_norm){ .pixels = run->n * d->pixels,
                                  .stride = d->stride,
                                  .epsilon = d->epsilon,
                                  .x = hr_tape_wide(run, d->x),
                                  .y = hr_tape_wide(run, d->y),
                                  .mean = state->first,
                                  .variance = state->second,
                                  .gamma = run->params + d->gamma,
                                  .beta = run->params + d->beta,
                                  .relu = d->relu };
}

static void run_wide(const struct norm_detail *d, const struct hr_tape_run *run)
{
    const struct state state = state_at(run, d->state, d->stride);
    struct hr_wide_norm call = wide_of(d, run, &state);
    call.residual = hr_tape_wide(run, d->residual);
    hr_tape_ranges(run, wide_norm_stats, &call, d->c, 2 * call.pixels);
    share_statistics(d, run, &state);
    hr_tape_ranges(run, wide_norm, &call, d->c, 2 * call.pixels);
    use_statistics(d, run, &state);
}

static void run_wide_grad(const struct norm_detail *d, const struct hr_tape_run *run)
{
    const struct state state = state_at(run, d->state, d->stride);
    const struct state sums = state_at(run, d->state_back, d->stride);
    struct hr_wide_norm call = wide_of(d, run, &state);
    call.sum = sums.first;
    call.product = sums.second;
    call.count = pixels_of(d, run);
    call.dy = hr_tape_wide(run, d->dy);
    call.dx = hr_tape_wide(run, d->dx);
    call.dx_add = d->dx_add;
    call.dresidual = hr_tape_wide(run, d->dresidual);
    call.dresidual_add = d->dresidual_add;
    call.dgamma = run->gradients + d->gamma;
    call.dbeta = run->gradients + d->beta;
    hr_tape_ranges(run, wide_norm_sums, &call, d->c, 2 * call.pixels);
    share_sums(d, run, &sums);
    hr_tape_ranges(run, wide_norm_grad, &call, d->c, 2 * call.pixels);
}

/* ---- The steps ---- */

static void run_norm(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct norm_detail *d = step->detail;
    struct pass p = { .kernels = &run->tape->options.kernels->train.norm,
                      .state = state_at(run, d->state, d->stride) };
    if (run->tape->options.wide) {
        run_wide(d, run);
        return;
    }
    p.call = call_of(d, run, &p.state, d->partial);
    p.call.scale = p.state.two;
    p.call.shift = p.state.three;
    p.call.residual = hr_tape_at(run, d->residual);
    p.call.keep_x = hr_tape_half_at(run, d->keep_x);
    p.call.keep_y = hr_tape_half_at(run, d->keep_y);
    p.call.keep_side = side_at(run, d->side);
    p.call.half = run->tape->options.half;
    const size_t blocks = hr_norm_blocks(p.call.pixels);
    if (run->tape->options.frozen) {
        running_statistics(d, run, &p.state);
    } else {
        hr_tape_ranges(run, stats_blocks, &p, blocks, HR_NORM_BLOCK * d->stride);
        hr_tape_ranges(run, join_stats, &p, d->stride, blocks * HR_NORM_SUMS);
        share_statistics(d, run, &p.state);
    }
    use_statistics(d, run, &p.state);
    hr_tape_ranges(run, apply_pixels, &p, p.call.pixels, 2 * d->stride);
}

/* The result once more, from the statistics of the forward half. */
static void run_norm_again(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct norm_detail *d = step->detail;
    struct pass p = { .kernels = &run->tape->options.kernels->train.norm,
                      .state = state_at(run, d->state, d->stride) };
    p.call = call_of(d, run, &p.state, -1);
    p.call.x_half = d->x_half ? hr_tape_half_at(run, d->x) : NULL;
    p.call.side = side_at(run, d->side);
    p.call.half = run->tape->options.half;
    p.call.scale = p.state.two;
    p.call.shift = p.state.three;
    hr_tape_ranges(run, apply_pixels, &p, p.call.pixels, 2 * d->stride);
}

/* dx = gamma / s * (g - sum g / N - (x - m) / s^2 * sum (g (x - m)) / N), s^2 = variance +
 * epsilon, as the three coefficients of the kernel. */
static void use_sums(const struct norm_detail *d, const struct hr_tape_run *run,
                     const struct state *forward, const struct state *s)
{
    const double count = pixels_of(d, run);
    memset(s->one, 0, 3 * d->stride * sizeof *s->one);
    for (size_t i = 0; i < d->c; i++) {
        const double inverse = 1.0 / sqrt(forward->second[i] + d->epsilon);
        const double a = (double)run->params[d->gamma + i] * inverse;
        s->one[i] = (float)a;
        s->two[i] = (float)(-a * inverse * inverse * s->second[i] / count);
        s->three[i] = (float)(-a * s->first[i] / count);
    }
}

/* Of gamma and beta: by the pictures that are here. */
static void use_own_sums(const struct norm_detail *d, const struct hr_tape_run *run,
                         const struct state *forward, const struct state *s)
{
    for (size_t i = 0; i < d->c; i++) {
        const double inverse = 1.0 / sqrt(forward->second[i] + d->epsilon);
        run->gradients[d->gamma + i] = (float)(s->second[i] * inverse);
        run->gradients[d->beta + i] = (float)s->first[i];
    }
}

static void run_norm_grad(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct norm_detail *d = step->detail;
    const struct state forward = state_at(run, d->state, d->stride);
    struct pass p = { .kernels = &run->tape->options.kernels->train.norm,
                      .state = state_at(run, d->state_back, d->stride) };
    if (run->tape->options.wide) {
        run_wide_grad(d, run);
        return;
    }
    p.call = back_call_of(d, run, &forward);
    p.call.a = p.state.one;
    p.call.b = p.state.two;
    p.call.c = p.state.three;
    const size_t blocks = hr_norm_blocks(p.call.pixels);
    hr_tape_ranges(run, grad_sums, &p, blocks, 2 * HR_NORM_BLOCK * d->stride);
    hr_tape_ranges(run, join_grad, &p, d->stride, blocks * HR_NORM_SUMS);
    use_own_sums(d, run, &forward, &p.state);
    share_sums(d, run, &p.state);
    use_sums(d, run, &forward, &p.state);
    hr_tape_ranges(run, grad_pixels, &p, p.call.pixels, 3 * d->stride);
}

/* With fixed statistics the norm is a product: dx = gamma / s * g, and nothing else is asked for.
 */
static void run_frozen_grad(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct norm_detail *d = step->detail;
    const struct state forward = state_at(run, d->state, d->stride);
    const struct state s = state_at(run, d->state_back, d->stride);
    struct pass p = { .kernels = &run->tape->options.kernels->train.norm };
    memset(s.two, 0, 2 * d->stride * sizeof *s.two);
    p.call = back_call_of(d, run, &forward);
    p.call.a = forward.two;
    p.call.b = s.two;
    p.call.c = s.three;
    hr_tape_ranges(run, grad_pixels, &p, p.call.pixels, 3 * d->stride);
}

/* ---- Making them ---- */

struct made {
    struct norm_detail detail; /* first: it is what the steps get */
    hr_value from, beside;     /* the norm's input, and what is added */
    const char *name;          /* of the layer, as long as the graph lives */
};

static size_t partial_floats(const struct hr_tape_build *b, const struct norm_detail *d)
{
    return hr_norm_blocks(b->tape->batch * d->pixels) * HR_NORM_SUMS * d->stride;
}

/* Without a residual the result is cheap to make again: then only x stays. */
static enum hr_status norm_again(struct hr_tape_build *b, hr_value value, void *detail)
{
    const struct made *m = detail;
    struct norm_detail again = m->detail;
    HR_TRY(hr_tape_saved_half(b, m->from, &again.x, &again.x_half));
    (void)hr_tape_use(b, again.x);
    (void)hr_tape_use(b, again.state);
    (void)hr_tape_use(b, again.side);
    again.y = hr_tape_block(b, hr_tape_value_floats(b->tape, &b->values[value]));
    b->values[value].saved = again.y;
    return hr_tape_step(b,
                        &(struct hr_tape_step){ .kind = HR_TAPE_NORM_AGAIN,
                                                .name = m->name,
                                                .kernel = hr_tape_kernel_name(b, "norm_again"),
                                                .run = run_norm_again,
                                                .detail = hr_tape_detail(b, &again, sizeof again),
                                                .writes = again.y,
                                                .floats = again.pixels * again.stride });
}

/* The gradient of the input takes the place of that of the result, if nothing is added and nobody
 * asks for either later. */
static void in_place(struct hr_tape_build *b, const struct norm_detail *d)
{
    struct hr_block *const blocks = b->tape->blocks;
    if (!d->dx_add && d->dx > d->dy && !b->tape->options.wide && !b->tape->options.feature_count)
        blocks[d->dx].onto = d->dy;
}

static enum hr_status back_norm(struct hr_tape_build *b, const struct hr_node *node, void *detail)
{
    const bool frozen = b->tape->options.frozen;
    struct made *m = detail;
    struct norm_detail *d = &m->detail;
    d->y_back = d->dresidual = -1;
    HR_TRY(hr_tape_saved_half(b, m->from, &d->x_back, &d->x_half));
    if (d->relu)
        HR_TRY(hr_tape_saved(b, node->out, &d->y_back));
    d->dy = hr_tape_use(b, b->values[node->out].gradient);
    (void)hr_tape_use(b, d->x_back);
    (void)hr_tape_use(b, d->y_back);
    (void)hr_tape_use(b, d->state);
    d->dx = hr_tape_gradient(b, m->from, &d->dx_add);
    if (d->dx >= 0 && !b->failed)
        in_place(b, d);
    if (m->beside != HR_NONE)
        d->dresidual = hr_tape_gradient(b, m->beside, &d->dresidual_add);
    d->partial_back = frozen ? -1 : hr_tape_block(b, partial_floats(b, d));
    d->state_back = hr_tape_block(b, STATE_FLOATS * d->stride);
    return hr_tape_step(b, &(struct hr_tape_step){ .kind = HR_TAPE_NORM_GRAD,
                                                   .name = node->name,
                                                   .kernel = hr_tape_kernel_name(b, "norm_grad"),
                                                   .run = frozen ? run_frozen_grad : run_norm_grad,
                                                   .detail = d,
                                                   .writes = d->dx,
                                                   .floats = d->pixels * d->stride });
}

enum hr_status hr_tape_norm_with(struct hr_tape_build *b, const struct hr_node *norm,
                                 const struct hr_node *last)
{
    const struct hr_tape *t = b->tape;
    const struct hr_tape_value *x = &b->values[norm->in[0]];
    struct made made = { .from = norm->in[0], .beside = HR_NONE, .name = norm->name };
    if (last->op == HR_OP_SUM)
        made.beside = last->in[0] == norm->out ? last->in[1] : last->in[0];
    made.detail = (struct norm_detail){
        .c = x->c,
        .stride = x->stride,
        .pixels = x->h * x->w,
        .gamma = t->params[norm->param[HR_ROLE_GAMMA]].offset,
        .beta = t->params[norm->param[HR_ROLE_BETA]].offset,
        .mean = t->params[norm->param[HR_ROLE_MEAN]].offset,
        .variance = t->params[norm->param[HR_ROLE_VARIANCE]].offset,
        .epsilon = (double)norm->attr.epsilon,
        .relu = last->op == HR_OP_RELU || last->attr.relu,
        .residual = -1,
        .keep_x = -1,
        .keep_y = -1,
        .side = -1,
    };
    struct norm_detail *d = &made.detail;
    d->x = hr_tape_use(b, x->block);
    if (made.beside != HR_NONE)
        d->residual = hr_tape_use(b, b->values[made.beside].block);
    d->y = hr_tape_result(b, last->out);
    if (hr_tape_may_pack(b, made.from))
        d->keep_x = hr_tape_half_block(b, made.from);
    if (made.beside != HR_NONE)
        d->keep_y = hr_tape_keep(b, last->out);
    else if (t->options.half && t->options.recompute && d->relu)
        d->side = hr_tape_block(b, t->batch * d->pixels * ((d->stride + 7) / 8) / 4 + 1);
    d->partial = hr_tape_block(b, partial_floats(b, d));
    d->state = hr_tape_block(b, STATE_FLOATS * d->stride);
    struct made *const m = hr_tape_detail(b, &made, sizeof made);
    HR_TRY(hr_tape_step(b, &(struct hr_tape_step){ .kind = HR_TAPE_NORM,
                                                   .name = norm->name,
                                                   .kernel = hr_tape_kernel_name(b, "norm"),
                                                   .run = run_norm,
                                                   .detail = m ? &m->detail : NULL,
                                                   .writes = d->y,
                                                   .floats = d->pixels * d->stride }));
    if (made.beside == HR_NONE && !t->options.wide) {
        b->values[last->out].again = norm_again;
        b->values[last->out].again_detail = m;
    }
    return hr_tape_record(b, last, back_norm, m);
}

enum hr_status hr_tape_norm(struct hr_tape_build *b, const struct hr_node *node)
{
    return hr_tape_norm_with(b, node, node);
}
