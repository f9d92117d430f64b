/* SPDX-License-Identifier: Apache-2.0
 * Convolutions and linear layers on the tape.  A linear layer is a 1x1 convolution of one pixel.
 * Weights change with every step, so each run packs them anew into scratch memory; the gradient of
 * the input is the forward convolution of kernel/conv_grad.h on the same kernels. */
#include <string.h>

#include "kernel/wide.h"
#include "train/tape_build.h"

/* One convolution as the kernels of conv.h compute it, from weights of this step. */
struct product {
    const struct hr_conv_kernel *kernel;
    const struct hr_train_pack *pack; /* or NULL: the kernel's own */
    struct hr_conv_shape shape;
    bool turned;                 /* this is the gradient of the convolution `source`, */
    struct hr_conv_shape source; /* and the weights are that one's */
    int32_t packed, scratch;
    int32_t turned_weights; /* where they are turned, or -1: by the packing */
};

struct conv_detail {
    struct product forward, dgrad;
    const struct hr_wgrad_kernel *wgrad;
    bool linear, dx_add;
    size_t weight, bias, weight_count; /* offsets of the parameters; bias SIZE_MAX without */
    int32_t x, y, dx, dy, x_back;      /* x_back: x as backward finds it */
    int32_t z, parts;
    int32_t wide_weights, wide_weights_back; /* of the steps in double */
    size_t h, w, x_stride;                   /* the input's plane */
};

/* ---- Running a convolution ---- */

struct product_job {
    const struct product *product;
    struct hr_conv_call call;
    const float *w, *bias;
    void *packed;
};

static void pack_task(void *context, size_t task, size_t task_count)
{
    const struct product_job *job = context;
    const struct product *const p = job->product;
    if (p->pack) {
        p->pack->pack(job->packed, &p->shape, job->w, job->bias, p->turned, task, task_count);
        return;
    }
    p->kernel->pack(job->packed, &p->shape, job->w, NULL, job->bias, task, task_count);
}

static void prepare_task(void *context, size_t task, size_t task_count)
{
    const struct product_job *job = context;
    job->product->kernel->prepare(&job->call, task, task_count);
}

static void run_task(void *context, size_t task, size_t task_count)
{
    const struct product_job *job = context;
    job->product->kernel->run(&job->call, task, task_count);
}

struct turn {
    const struct hr_conv_shape *source;
    const float *w;
    float *out;
};

static void turn_rows(const void *context, size_t first, size_t last)
{
    const struct turn *t = context;
    hr_dgrad_turn(t->out, t->source, t->w, first, last);
}

static const float *turned_weights(const struct hr_tape_run *run, const struct product *p,
                                   const float *w)
{
    const struct hr_conv_shape *const s = &p->shape;
    const struct turn t = { &p->source, w, hr_tape_at(run, p->turned_weights) };
    hr_tape_ranges(run, turn_rows, &t, s->k, s->c * (size_t)(s->kernel * s->kernel));
    return t.out;
}

static void run_product(const struct hr_tape_run *run, const struct product *p, const float *x,
                        const float *w, const float *bias, float *y, bool add)
{
    struct product_job job = { .product = p,
                               .call = { .shape = &p->shape,
                                         .n = run->n,
                                         .x = x,
                                         .residual = add ? y : NULL,
                                         .y = y,
                                         .packed = hr_tape_at(run, p->packed),
                                         .scratch = hr_tape_at(run, p->scratch) },
                               .w = p->turned_weights < 0 ? w : turned_weights(run, p, w),
                               .bias = bias,
                               .packed = hr_tape_at(run, p->packed) };
    const struct hr_conv_kernel *const k = p->kernel;
    const size_t threads = hr_tape_threads(run);
    hr_tape_tasks(run, pack_task, &job, 4 * threads);
    const size_t prepare = k->prepare ? k->prepare_tasks(&p->shape, run->n, threads) : 0;
    if (prepare > 0)
        hr_tape_tasks(run, prepare_task, &job, prepare);
    hr_tape_tasks(run, run_task, &job, k->tasks(&p->shape, run->n, threads));
}

/* ---- The steps in double ---- */

struct wide_weights {
    double *out;
    const struct hr_conv_shape *shape;
    const float *w;
    bool linear, backward;
};

static void wide_weights(const void *context, size_t first, size_t last)
{
    const struct wide_weights *t = context;
    hr_wide_weights(t->out, t->shape, t->w, t->linear, t->backward, first, last);
}

static void wide_rows(const void *context, size_t first, size_t last)
{
    hr_wide_conv(context, first, last);
}

static void wide_pairs(const void *context, size_t first, size_t last)
{
    hr_wide_wgrad(context, first, last);
}

/* Forward, or the gradient of the input. */
static void run_wide(const struct conv_detail *d, const struct hr_tape_run *run, bool backward)
{
    const struct hr_conv_shape *const s = &d->forward.shape;
    const struct wide_weights t = { hr_tape_wide(run,
                                                 backward ? d->wide_weights_back : d->wide_weights),
                                    s, run->params + d->weight, d->linear, backward };
    const struct hr_wide_conv call = {
        .shape = s,
        .n = run->n,
        .from = hr_tape_wide(run, backward ? d->dy : d->x),
        .to = hr_tape_wide(run, backward ? d->dx : d->y),
        .w = t.out,
        .bias = backward || d->bias == SIZE_MAX ? NULL : run->params + d->bias,
        .backward = backward,
        .add = backward && d->dx_add,
    };
    hr_tape_ranges(run, wide_weights, &t, hr_wide_weight_rows(s, backward), backward ? s->c : s->k);
    hr_tape_ranges(run, wide_rows, &call, run->n * (backward ? s->h : s->oh), s->w * s->c * s->k);
}

/* ---- The steps ---- */

static void run_forward(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct conv_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide(d, run, false);
        return;
    }
    run_product(run, &d->forward, hr_tape_at(run, d->x), run->params + d->weight,
                d->bias == SIZE_MAX ? NULL : run->params + d->bias, hr_tape_at(run, d->y), false);
}

struct shuffle {
    const struct hr_tape_run *run;
    struct hr_shuffle_call call;
};

static void shuffle_rows(const void *context, size_t first, size_t last)
{
    const struct shuffle *s = context;
    s->run->tape->options.kernels->train.eltwise.shuffle(&s->call, first, last);
}

static void run_dgrad(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct conv_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide(d, run, true);
        return;
    }
    float *const out = hr_tape_at(run, d->z >= 0 ? d->z : d->dx);
    run_product(run, &d->dgrad, hr_tape_at(run, d->dy), run->params + d->weight, NULL, out,
                d->dx_add && d->z < 0);
    if (d->z < 0)
        return;
    const struct shuffle shuffle = { run,
                                     { .n = run->n,
                                       .h = d->h,
                                       .w = d->w,
                                       .x_stride = d->x_stride,
                                       .stride = (size_t)d->forward.shape.stride,
                                       .z = out,
                                       .dx = hr_tape_at(run, d->dx),
                                       .add = d->dx_add } };
    hr_tape_ranges(run, shuffle_rows, &shuffle, run->n * d->h, 2 * d->w * d->x_stride);
}

struct wgrad {
    const struct hr_wgrad_kernel *kernel;
    struct hr_wgrad_call call;
    size_t round;
    float *dw;
};

static void wgrad_prepare(const void *context, size_t first, size_t last)
{
    const struct wgrad *g = context;
    g->kernel->prepare(&g->call, g->round, first, last);
}

static void wgrad_pieces(const void *context, size_t first, size_t last)
{
    const struct wgrad *g = context;
    g->kernel->run(&g->call, g->round, first, last);
}

static void wgrad_finish(const void *context, size_t first, size_t last)
{
    const struct wgrad *g = context;
    g->kernel->finish(&g->call, g->dw, first, last);
}

/* Gradient of the bias: the sum of dy over images and pixels, in double. */
static void bias_gradient(const struct conv_detail *d, const struct hr_tape_run *run)
{
    const struct hr_conv_shape *const s = &d->forward.shape;
    for (size_t k = 0; k < s->k; k++) {
        double sum = 0.0;
        for (size_t p = 0; p < run->n * s->oh * s->ow; p++)
            sum += hr_tape_get(run, d->dy, p * s->y_stride + k);
        run->gradients[d->bias + k] = (float)sum;
    }
}

/* Parts of a linear layer lie as they are stored, in rows of y_stride. */
static void finish_linear(const void *context, size_t first, size_t last)
{
    const struct wgrad *g = context;
    const struct hr_conv_shape *const s = g->call.shape;
    const size_t part = s->c * s->y_stride, chunks = hr_wgrad_chunks(s, g->call.n);
    for (size_t c = first; c < last; c++)
        for (size_t k = 0; k < s->k; k++) {
            float sum = g->call.parts[c * s->y_stride + k];
            for (size_t q = 1; q < chunks; q++)
                sum += g->call.parts[q * part + c * s->y_stride + k];
            g->dw[c * s->k + k] = sum;
        }
}

static void weight_gradient(const struct conv_detail *d, const struct hr_tape_run *run)
{
    const struct hr_conv_shape *const s = &d->forward.shape;
    const struct hr_wgrad_kernel *const k = d->wgrad;
    struct wgrad g = { .kernel = k,
                       .call = { .shape = s,
                                 .n = run->n,
                                 .x = hr_tape_at(run, d->x_back),
                                 .dy = hr_tape_at(run, d->dy),
                                 .parts = hr_tape_at(run, d->parts) },
                       .dw = run->gradients + d->weight };
    const size_t pixels = run->n * s->oh * s->ow, rounds = k->rounds(s, run->n);
    const size_t prepare = k->prepare ? k->prepare_pieces(s, run->n) : 0;
    const size_t pieces = k->pieces(s, run->n);
    for (; g.round < rounds; g.round++) {
        hr_tape_ranges(run, wgrad_prepare, &g, prepare, s->c + s->k);
        hr_tape_ranges(run, wgrad_pieces, &g, pieces, pixels);
    }
    if (d->linear)
        hr_tape_ranges(run, finish_linear, &g, s->c, s->k);
    else
        hr_tape_ranges(run, wgrad_finish, &g, s->k, s->c * (size_t)(s->kernel * s->kernel));
}

static void run_wgrad(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct conv_detail *d = step->detail;
    const struct hr_conv_shape *const s = &d->forward.shape;
    const struct hr_wide_wgrad wide = { s,
                                        run->n,
                                        hr_tape_wide(run, d->x_back),
                                        hr_tape_wide(run, d->dy),
                                        run->gradients + d->weight,
                                        d->linear };
    if (run->tape->options.wide)
        hr_tape_ranges(run, wide_pairs, &wide, s->c * (size_t)(s->kernel * s->kernel),
                       run->n * s->oh * s->ow * s->k);
    else
        weight_gradient(d, run);
    if (d->bias != SIZE_MAX)
        bias_gradient(d, run);
}

/* ---- Making them ---- */

static struct hr_conv_shape shape_of(const struct hr_tape_build *b, const struct hr_node *node)
{
    const struct hr_tape_value *x = &b->values[node->in[0]], *y = &b->values[node->out];
    const bool linear = node->op == HR_OP_LINEAR;
    return (struct hr_conv_shape){
        .h = x->h,
        .w = x->w,
        .c = x->c,
        .oh = y->h,
        .ow = y->w,
        .k = y->c,
        .x_stride = x->stride,
        .y_stride = y->stride,
        .kernel = linear ? 1 : node->attr.kernel,
        .stride = linear ? 1 : node->attr.stride,
        .pad = linear ? 0 : node->attr.pad,
    };
}

static unsigned threads_of(const struct hr_tape *t)
{
    return t->options.pool ? hr_pool_threads(t->options.pool) : 1;
}

/* The cheapest kernel that applies. */
static enum hr_status choose(struct hr_tape_build *b, const struct hr_node *node, struct product *p)
{
    const struct hr_kernels *k = b->tape->options.kernels;
    double best = 0.0;
    p->kernel = NULL;
    p->packed = p->scratch = p->turned_weights = -1;
    if (b->tape->options.wide)
        return HR_OK;
    for (size_t i = 0; i < k->conv_count; i++) {
        const struct hr_conv_kernel *kernel = k->conv[i];
        if (kernel->x_layout != HR_LAYOUT_NHWC || kernel->y_layout != HR_LAYOUT_NHWC ||
            (b->tape->options.exact && !kernel->exact) || !kernel->applies(&p->shape))
            continue;
        const double cost = kernel->cost(&p->shape, b->tape->batch);
        if (!p->kernel || cost < best) {
            p->kernel = kernel;
            best = cost;
        }
    }
    if (!p->kernel)
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: no kernel computes a convolution of %zu channels, "
                       "%dx%d, stride %d",
                       node->name, p->shape.c, p->shape.kernel, p->shape.kernel, p->shape.stride);
    return HR_OK;
}

/* A packing of its own for training, where there is one.  Phases of a larger stride are outputs
 * that no packing knows. */
static void choose_pack(struct hr_tape_build *b, struct product *p)
{
    const struct hr_train_kernels *k = &b->tape->options.kernels->train;
    const struct hr_conv_shape *const s = &p->shape;
    for (size_t i = 0; i < k->pack_count && p->kernel; i++)
        if (k->packs[i].kernel == p->kernel && !(p->turned && p->source.stride > 1))
            p->pack = &k->packs[i];
    if (p->kernel && p->turned && !p->pack)
        p->turned_weights = hr_tape_block(b, s->k * s->c * (size_t)(s->kernel * s->kernel));
}

static const char *product_name(const struct product *p)
{
    return p->kernel ? p->kernel->name : "conv_wide";
}

static void make_scratch(struct hr_tape_build *b, struct product *p)
{
    if (!p->kernel)
        return;
    const size_t scratch = p->kernel->scratch_bytes(&p->shape, b->tape->batch, threads_of(b->tape));
    p->packed = hr_tape_block(b, p->kernel->packed_bytes(&p->shape) / sizeof(float));
    p->scratch = scratch ? hr_tape_block(b, (scratch + 3) / sizeof(float)) : -1;
}

/* The cheapest that applies; linear layers take an exact one, whose parts are known. */
static const struct hr_wgrad_kernel *choose_wgrad(const struct hr_tape *t,
                                                  const struct conv_detail *d)
{
    const struct hr_train_kernels *k = &t->options.kernels->train;
    const struct hr_conv_shape *const s = &d->forward.shape;
    const struct hr_wgrad_kernel *best = NULL;
    double least = 0.0;
    for (size_t i = 0; i < k->wgrad_count; i++) {
        if (((t->options.exact || d->linear) && !k->wgrad[i]->exact) || !k->wgrad[i]->applies(s))
            continue;
        const double cost = k->wgrad[i]->cost(s, t->batch);
        if (!best || cost < least) {
            best = k->wgrad[i];
            least = cost;
        }
    }
    return best;
}

static enum hr_status back_wgrad(struct hr_tape_build *b, const struct hr_node *node,
                                 struct conv_detail *d)
{
    d->parts = -1;
    HR_TRY(hr_tape_saved(b, node->in[0], &d->x_back));
    d->wgrad = choose_wgrad(b->tape, d); /* the reference applies everywhere */
    if (!b->tape->options.wide)
        d->parts = hr_tape_block(b, d->wgrad->floats(&d->forward.shape, b->tape->batch));
    (void)hr_tape_use(b, d->x_back);
    (void)hr_tape_use(b, d->dy);
    return hr_tape_step(
        b, &(struct hr_tape_step){ .kind = HR_TAPE_CONV_WEIGHTS,
                                   .name = node->name,
                                   .kernel = b->tape->options.wide ? "wgrad_wide" : d->wgrad->name,
                                   .run = run_wgrad,
                                   .detail = d,
                                   .writes = -1 });
}

/* A kernel of gradients that beats the forward kernel on turned weights, chosen already.  It takes
 * dy and the weights as they are, and has the forward shape. */
static bool choose_dgrad(const struct hr_tape *t, struct conv_detail *d)
{
    const struct hr_train_kernels *k = &t->options.kernels->train;
    const struct hr_conv_shape *const s = &d->forward.shape;
    double least = d->dgrad.kernel ? d->dgrad.kernel->cost(&d->dgrad.shape, t->batch) : 0.0;
    bool found = false;
    for (size_t i = 0; i < k->dgrad_count && d->dgrad.kernel; i++) {
        if ((t->options.exact && !k->dgrad[i]->exact) || !k->dgrad[i]->applies(s) ||
            k->dgrad[i]->cost(s, t->batch) >= least)
            continue;
        d->dgrad = (struct product){ .kernel = k->dgrad[i], .shape = *s, .turned_weights = -1 };
        least = k->dgrad[i]->cost(s, t->batch);
        found = true;
    }
    return found;
}

static enum hr_status back_dgrad(struct hr_tape_build *b, const struct hr_node *node,
                                 struct conv_detail *d)
{
    const struct hr_tape_value *x = &b->values[node->in[0]];
    (void)hr_tape_use(b, d->dy);
    d->dx = hr_tape_gradient(b, node->in[0], &d->dx_add);
    d->dgrad = (struct product){ .shape = hr_dgrad_shape(&d->forward.shape),
                                 .turned = !d->linear, /* linear ones are [in][out] */
                                 .source = d->forward.shape };
    const struct hr_conv_shape *const s = &d->dgrad.shape;
    const bool phases = d->forward.shape.stride > 1;
    d->dgrad.shape.residual = d->dx_add && !phases;
    HR_TRY(choose(b, node, &d->dgrad));
    const bool direct = choose_dgrad(b->tape, d);
    choose_pack(b, &d->dgrad);
    make_scratch(b, &d->dgrad);
    if (b->tape->options.wide)
        d->wide_weights_back = hr_tape_block(b, 2 * d->weight_count);
    d->z = -1;
    if (phases && !b->tape->options.wide && !direct)
        d->z = hr_tape_block(b, b->tape->batch * s->oh * s->ow * s->y_stride);
    return hr_tape_step(b, &(struct hr_tape_step){ .kind = HR_TAPE_CONV_DATA,
                                                   .name = node->name,
                                                   .kernel = product_name(&d->dgrad),
                                                   .run = run_dgrad,
                                                   .detail = d,
                                                   .writes = d->dx,
                                                   .floats = x->h * x->w * x->stride });
}

/* With the tape's `recompute`: the result is made again from x. */
static enum hr_status conv_again(struct hr_tape_build *b, hr_value value, void *detail)
{
    const struct conv_detail *d = detail;
    const struct hr_node *node = &b->graph->nodes[b->graph->values[value].producer];
    const struct hr_tape_value *y = &b->values[value];
    struct conv_detail again = *d;
    HR_TRY(hr_tape_saved(b, node->in[0], &again.x));
    (void)hr_tape_use(b, again.x);
    again.y = hr_tape_block(b, hr_tape_value_floats(b->tape, y));
    b->values[value].saved = again.y;
    make_scratch(b, &again.forward);
    return hr_tape_step(b,
                        &(struct hr_tape_step){ .kind = HR_TAPE_CONV_AGAIN,
                                                .name = node->name,
                                                .kernel = product_name(&again.forward),
                                                .run = run_forward,
                                                .detail = hr_tape_detail(b, &again, sizeof again),
                                                .writes = again.y,
                                                .floats = y->h * y->w * y->stride });
}

static enum hr_status back_conv(struct hr_tape_build *b, const struct hr_node *node, void *detail)
{
    struct conv_detail *d = detail;
    d->dy = b->values[node->out].gradient;
    if (!b->tape->options.frozen)
        HR_TRY(back_wgrad(b, node, d));
    return b->values[node->in[0]].wants_gradient ? back_dgrad(b, node, d) : HR_OK;
}

enum hr_status hr_tape_conv(struct hr_tape_build *b, const struct hr_node *node)
{
    const struct hr_tape *t = b->tape;
    const hr_param weight = node->param[HR_ROLE_WEIGHT], bias = node->param[HR_ROLE_BIAS];
    const struct hr_tape_value *x = &b->values[node->in[0]], *y = &b->values[node->out];
    struct conv_detail detail = { .linear = node->op == HR_OP_LINEAR,
                                  .weight = t->params[weight].offset,
                                  .weight_count = t->params[weight].count,
                                  .bias = bias == HR_NONE ? SIZE_MAX : t->params[bias].offset,
                                  .h = x->h,
                                  .w = x->w,
                                  .x_stride = x->stride };
    detail.forward.shape = shape_of(b, node);
    detail.forward.turned = detail.linear;
    detail.forward.source = hr_dgrad_shape(&detail.forward.shape);
    HR_TRY(choose(b, node, &detail.forward));
    choose_pack(b, &detail.forward);
    detail.x = hr_tape_use(b, x->block);
    detail.y = hr_tape_result(b, node->out);
    make_scratch(b, &detail.forward);
    if (t->options.wide)
        detail.wide_weights = hr_tape_block(b, 2 * detail.weight_count);
    struct conv_detail *const d = hr_tape_detail(b, &detail, sizeof detail);
    HR_TRY(hr_tape_step(b, &(struct hr_tape_step){ .kind = HR_TAPE_CONV,
                                                   .name = node->name,
                                                   .kernel = product_name(&detail.forward),
                                                   .run = run_forward,
                                                   .detail = d,
                                                   .writes = detail.y,
                                                   .floats = y->h * y->w * y->stride }));
    if (t->options.recompute && !detail.linear && !t->options.wide) {
        b->values[node->out].again = conv_again;
        b->values[node->out].again_detail = d;
    }
    return hr_tape_record(b, node, back_conv, d);
}
