/* SPDX-License-Identifier: Apache-2.0
 * Everything on the tape that is neither convolution nor norm.  A ReLU, an addition and an
 * upsampling are sums of one or more terms. */
#include <string.h>

#include "kernel/wide.h"
#include "train/tape_build.h"

/* ---- Sums ---- */

struct sum_detail {
    struct hr_sum_call call; /* without n and pointers */
    hr_value in[HR_MAX_INPUTS];
    int32_t x[HR_MAX_INPUTS], dx[HR_MAX_INPUTS], y, dy;
    int32_t y_back; /* y as backward finds it */
    int32_t keep;   /* its 16 bits, or -1 */
    bool add[HR_MAX_INPUTS];
};

struct sum_pass {
    const struct hr_tape_run *run;
    struct hr_sum_call forward;
    uint16_t *keep; /* receives y, rounded; or NULL */
    struct hr_sum_grad_call backward;
};

static void sum_rows(const void *context, size_t first, size_t last)
{
    const struct sum_pass *p = context;
    const struct hr_tape_options *const o = &p->run->tape->options;
    const size_t floats = p->forward.w * p->forward.stride;
    if (!p->keep) {
        o->kernels->eltwise.sum(&p->forward, first, last);
        return;
    }
    for (size_t row = first; row < last; row++) { /* while it is in the cache */
        o->kernels->eltwise.sum(&p->forward, row, row + 1);
        o->kernels->train.half.pack(p->keep + row * floats, p->forward.y + row * floats, floats,
                                    o->half);
    }
}

static void sum_grad_rows(const void *context, size_t first, size_t last)
{
    const struct sum_pass *p = context;
    p->run->tape->options.kernels->train.eltwise.sum(&p->backward, first, last);
}

static void wide_sum(const void *context, size_t first, size_t last)
{
    hr_wide_sum(context, first, last);
}

static void wide_sum_grad(const void *context, size_t first, size_t last)
{
    hr_wide_sum_grad(context, first, last);
}

static struct hr_wide_sum wide_of(const struct sum_detail *d, const struct hr_tape_run *run,
                                  size_t term)
{
    return (struct hr_wide_sum){ .h = d->call.h,
                                 .w = d->call.w,
                                 .stride = d->call.stride,
                                 .shift = d->call.shift[term],
                                 .x = hr_tape_wide(run, d->x[term]),
                                 .y = hr_tape_wide(run, d->y),
                                 .add = term > 0 };
}

static void run_wide_sum(const struct sum_detail *d, const struct hr_tape_run *run)
{
    const size_t floats = d->call.h * d->call.w * d->call.stride;
    for (size_t i = 0; i < d->call.term_count; i++) {
        const struct hr_wide_sum call = wide_of(d, run, i);
        hr_tape_ranges(run, wide_sum, &call, run->n, floats);
    }
    if (d->call.relu)
        hr_wide_relu(hr_tape_wide(run, d->y), run->n * floats);
}

static void run_wide_sum_grad(const struct sum_detail *d, const struct hr_tape_run *run)
{
    for (size_t i = 0; i < d->call.term_count; i++) {
        struct hr_wide_sum call = wide_of(d, run, i);
        if (d->dx[i] < 0)
            continue;
        call.result = d->call.relu ? hr_tape_wide(run, d->y_back) : NULL;
        call.dy = hr_tape_wide(run, d->dy);
        call.dx = hr_tape_wide(run, d->dx[i]);
        call.add = d->add[i];
        hr_tape_ranges(run, wide_sum_grad, &call, run->n, d->call.h * d->call.w * d->call.stride);
    }
}

static void run_sum(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct sum_detail *d = step->detail;
    struct sum_pass p = { .run = run, .forward = d->call };
    if (run->tape->options.wide) {
        run_wide_sum(d, run);
        return;
    }
    for (size_t i = 0; i < d->call.term_count; i++)
        p.forward.x[i] = hr_tape_at(run, d->x[i]);
    p.forward.n = run->n;
    p.forward.y = hr_tape_at(run, d->y);
    p.keep = hr_tape_half_at(run, d->keep);
    hr_tape_ranges(run, sum_rows, &p, run->n * d->call.h,
                   (1 + d->call.term_count) * d->call.w * d->call.stride);
}

static void run_sum_grad(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct sum_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide_sum_grad(d, run);
        return;
    }
    for (size_t i = 0; i < d->call.term_count; i++) {
        if (d->dx[i] < 0)
            continue;
        const struct sum_pass p = {
            .run = run,
            .backward = { .n = run->n,
                          .h = d->call.h,
                          .w = d->call.w,
                          .stride = d->call.stride,
                          .shift = d->call.shift[i],
                          .y = d->call.relu ? hr_tape_at(run, d->y_back) : NULL,
                          .dy = hr_tape_at(run, d->dy),
                          .dx = hr_tape_at(run, d->dx[i]),
                          .add = d->add[i] },
        };
        hr_tape_ranges(run, sum_grad_rows, &p, run->n * (((d->call.h - 1) >> d->call.shift[i]) + 1),
                       3 * d->call.w * d->call.stride << d->call.shift[i]);
    }
}

static enum hr_status back_sum(struct hr_tape_build *b, const struct hr_node *node, void *detail)
{
    struct sum_detail *d = detail;
    if (d->call.relu)
        HR_TRY(hr_tape_saved(b, node->out, &d->y_back));
    d->dy = hr_tape_use(b, b->values[node->out].gradient);
    if (d->call.relu)
        (void)hr_tape_use(b, d->y_back);
    for (size_t i = 0; i < d->call.term_count; i++)
        d->dx[i] = hr_tape_gradient(b, d->in[i], &d->add[i]);
    const struct hr_tape_value *x = &b->values[d->in[0]];
    return hr_tape_step(b, &(struct hr_tape_step){ .name = node->name,
                                                   .kernel = hr_tape_kernel_name(b, "sum_grad"),
                                                   .run = run_sum_grad,
                                                   .detail = d,
                                                   .writes = d->dx[0],
                                                   .floats = x->h * x->w * x->stride });
}

static unsigned shift_of(const struct hr_node *node, int term)
{
    unsigned shift = node->attr.shift[term];
    while (node->op == HR_OP_UPSAMPLE && node->attr.factor >> (shift + 1))
        shift++;
    return shift;
}

enum hr_status hr_tape_sum(struct hr_tape_build *b, const struct hr_node *node)
{
    const struct hr_tape_value *y = &b->values[node->out];
    struct sum_detail d = { .call = { .h = y->h,
                                      .w = y->w,
                                      .stride = y->stride,
                                      .term_count = (size_t)node->input_count,
                                      .relu = node->op == HR_OP_RELU || node->attr.relu } };
    for (int i = 0; i < node->input_count; i++) {
        d.in[i] = node->in[i];
        d.call.shift[i] = shift_of(node, i);
        d.x[i] = hr_tape_use(b, b->values[node->in[i]].block);
    }
    d.y = hr_tape_result(b, node->out);
    d.keep = hr_tape_keep(b, node->out);
    struct sum_detail *const detail = hr_tape_detail(b, &d, sizeof d);
    HR_TRY(hr_tape_step(b, &(struct hr_tape_step){ .name = node->name,
                                                   .kernel = hr_tape_kernel_name(b, "sum"),
                                                   .run = run_sum,
                                                   .detail = detail,
                                                   .writes = d.y,
                                                   .floats = y->h * y->w * y->stride }));
    return hr_tape_record(b, node, back_sum, detail);
}

/* ---- Pooling, sigmoid, channel scaling ---- */

struct gate_detail {
    struct hr_tape_value x, y; /* the pooled, squashed or scaled value, and the result */
    int32_t s, dy, dx, ds;     /* of SCALE: the factors */
    int32_t x_back, s_back;    /* of SCALE: as backward finds them */
    bool dx_add, ds_add;
};

/* Rows [n] of a vector keep zeros past the channels. */
static void clear_lanes(const struct hr_tape_value *v, float *rows, size_t n)
{
    for (size_t i = 0; i < n && v->stride > v->c; i++)
        memset(rows + i * v->stride + v->c, 0, (v->stride - v->c) * sizeof *rows);
}

typedef void wide_gate_fn(const struct hr_wide_gate *call);

/* In double: `out` receives y, or dx and ds. */
static void run_wide_gate(const struct gate_detail *d, const struct hr_tape_run *run,
                          wide_gate_fn *fn, bool backward)
{
    const struct hr_wide_gate call = {
        .n = run->n,
        .pixels = d->x.h * d->x.w,
        .stride = d->x.stride,
        .x = hr_tape_wide(run, d->x.block),
        .s = hr_tape_wide(run, d->s),
        .y = hr_tape_wide(run, d->y.block),
        .dy = backward ? hr_tape_wide(run, d->dy) : NULL,
        .out = hr_tape_wide(run, backward ? d->dx : d->y.block),
        .ds = backward ? hr_tape_wide(run, d->ds) : NULL,
        .add = backward && d->dx_add,
        .ds_add = d->ds_add,
    };
    fn(&call);
}

/* A pass over one image at a time. */
struct gate_pass {
    const struct hr_tape_run *run;
    struct hr_pool_call pool;
    struct hr_pool_grad_call pool_grad;
    struct hr_scale_call scale;
    struct hr_scale_grad_call scale_grad;
};

static void pool_images(const void *context, size_t first, size_t last)
{
    const struct gate_pass *p = context;
    p->run->tape->options.kernels->eltwise.global_pool(&p->pool, first, last);
}

static void pool_grad_pixels(const void *context, size_t first, size_t last)
{
    const struct gate_pass *p = context;
    p->run->tape->options.kernels->train.eltwise.pool(&p->pool_grad, first, last);
}

static void scale_pixels(const void *context, size_t first, size_t last)
{
    const struct gate_pass *p = context;
    p->run->tape->options.kernels->eltwise.scale(&p->scale, first, last);
}

static void scale_grad_images(const void *context, size_t first, size_t last)
{
    const struct gate_pass *p = context;
    p->run->tape->options.kernels->train.eltwise.scale(&p->scale_grad, first, last);
}

static void run_pool(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct gate_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide_gate(d, run, hr_wide_pool, false);
        return;
    }
    const size_t pixels = d->x.h * d->x.w;
    float *const y = hr_tape_at(run, d->y.block);
    const struct gate_pass p = { .run = run,
                                 .pool = { .n = run->n,
                                           .pixels = pixels,
                                           .c = d->x.c,
                                           .stride = d->x.stride,
                                           .y_stride = d->y.stride,
                                           .x = hr_tape_at(run, d->x.block),
                                           .y = y } };
    hr_tape_ranges(run, pool_images, &p, run->n, pixels * d->x.stride);
    clear_lanes(&d->y, y, run->n);
}

static void run_pool_grad(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct gate_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide_gate(d, run, hr_wide_pool_grad, true);
        return;
    }
    const size_t pixels = d->x.h * d->x.w;
    const struct gate_pass p = { .run = run,
                                 .pool_grad = { .n = run->n,
                                                .pixels = pixels,
                                                .stride = d->x.stride,
                                                .dy_stride = d->y.stride,
                                                .dy = hr_tape_at(run, d->dy),
                                                .dx = hr_tape_at(run, d->dx),
                                                .add = d->dx_add } };
    hr_tape_ranges(run, pool_grad_pixels, &p, run->n * pixels, d->x.stride);
}

static void run_sigmoid(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct gate_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide_gate(d, run, hr_wide_sigmoid, false);
        return;
    }
    float *const y = hr_tape_at(run, d->y.block);
    run->tape->options.kernels->eltwise.sigmoid(y, hr_tape_at(run, d->x.block),
                                                run->n * d->y.h * d->y.w * d->y.stride);
    clear_lanes(&d->y, y, run->n * d->y.h * d->y.w);
}

static void run_sigmoid_grad(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct gate_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide_gate(d, run, hr_wide_sigmoid_grad, true);
        return;
    }
    hr_sigmoid_grad(hr_tape_at(run, d->dx), hr_tape_at(run, d->dy), hr_tape_at(run, d->y.block),
                    run->n * d->y.h * d->y.w * d->y.stride, d->dx_add);
}

static void run_scale(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct gate_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide_gate(d, run, hr_wide_scale, false);
        return;
    }
    const size_t pixels = d->x.h * d->x.w;
    const struct gate_pass p = { .run = run,
                                 .scale = { .n = run->n,
                                            .pixels = pixels,
                                            .c = d->x.c,
                                            .stride = d->x.stride,
                                            .s_stride = d->x.stride,
                                            .x = hr_tape_at(run, d->x.block),
                                            .s = hr_tape_at(run, d->s),
                                            .y = hr_tape_at(run, d->y.block) } };
    hr_tape_ranges(run, scale_pixels, &p, run->n * pixels, 2 * d->x.stride);
}

static void run_scale_grad(const struct hr_tape_step *step, const struct hr_tape_run *run)
{
    const struct gate_detail *d = step->detail;
    if (run->tape->options.wide) {
        run_wide_gate(d, run, hr_wide_scale_grad, true);
        return;
    }
    const size_t pixels = d->x.h * d->x.w;
    const struct gate_pass p = { .run = run,
                                 .scale_grad = { .n = run->n,
                                                 .pixels = pixels,
                                                 .stride = d->x.stride,
                                                 .x = hr_tape_at(run, d->x_back),
                                                 .s = hr_tape_at(run, d->s_back),
                                                 .dy = hr_tape_at(run, d->dy),
                                                 .dx = hr_tape_at(run, d->dx),
                                                 .ds = hr_tape_at(run, d->ds),
                                                 .dx_add = d->dx_add,
                                                 .ds_add = d->ds_add } };
    hr_tape_ranges(run, scale_grad_images, &p, run->n, 3 * pixels * d->x.stride);
}

/* ---- Making them ---- */

static enum hr_status
back_gate(struct hr_tape_build *b, const struct hr_node *node, void *detail,
          void (*run)(const struct hr_tape_step *, const struct hr_tape_run *), const char *kernel)
{
    struct gate_detail *d = detail;
    d->dy = hr_tape_use(b, b->values[node->out].gradient);
    d->dx = hr_tape_gradient(b, node->in[0], &d->dx_add);
    return hr_tape_step(b, &(struct hr_tape_step){ .name = node->name,
                                                   .kernel = hr_tape_kernel_name(b, kernel),
                                                   .run = run,
                                                   .detail = d,
                                                   .writes = d->dx,
                                                   .floats = d->x.h * d->x.w * d->x.stride });
}

static enum hr_status back_pool(struct hr_tape_build *b, const struct hr_node *node, void *detail)
{
    return back_gate(b, node, detail, run_pool_grad, "pool_grad");
}

static enum hr_status back_sigmoid(struct hr_tape_build *b, const struct hr_node *node,
                                   void *detail)
{
    const struct gate_detail *d = detail;
    (void)hr_tape_use(b, d->y.block);
    return back_gate(b, node, detail, run_sigmoid_grad, "sigmoid_grad");
}

static enum hr_status back_scale(struct hr_tape_build *b, const struct hr_node *node, void *detail)
{
    struct gate_detail *d = detail;
    HR_TRY(hr_tape_saved(b, node->in[0], &d->x_back));
    HR_TRY(hr_tape_saved(b, node->in[1], &d->s_back));
    (void)hr_tape_use(b, d->x_back);
    (void)hr_tape_use(b, d->s_back);
    d->ds = hr_tape_gradient(b, node->in[1], &d->ds_add);
    return back_gate(b, node, detail, run_scale_grad, "scale_grad");
}

static enum hr_status gate(struct hr_tape_build *b, const struct hr_node *node,
                           void (*run)(const struct hr_tape_step *, const struct hr_tape_run *),
                           const char *kernel, hr_tape_back_fn *back)
{
    struct gate_detail d = { .s = -1, .ds = -1 };
    d.x = b->values[node->in[0]];
    (void)hr_tape_use(b, d.x.block);
    if (node->input_count > 1)
        d.s = hr_tape_use(b, b->values[node->in[1]].block);
    (void)hr_tape_result(b, node->out);
    d.y = b->values[node->out];
    struct gate_detail *const detail = hr_tape_detail(b, &d, sizeof d);
    HR_TRY(hr_tape_step(b, &(struct hr_tape_step){ .name = node->name,
                                                   .kernel = hr_tape_kernel_name(b, kernel),
                                                   .run = run,
                                                   .detail = detail,
                                                   .writes = d.y.block,
                                                   .floats = d.y.h * d.y.w * d.y.stride }));
    return hr_tape_record(b, node, back, detail);
}

enum hr_status hr_tape_pool(struct hr_tape_build *b, const struct hr_node *node)
{
    return gate(b, node, run_pool, "pool", back_pool);
}

enum hr_status hr_tape_sigmoid(struct hr_tape_build *b, const struct hr_node *node)
{
    return gate(b, node, run_sigmoid, "sigmoid", back_sigmoid);
}

enum hr_status hr_tape_scale(struct hr_tape_build *b, const struct hr_node *node)
{
    return gate(b, node, run_scale, "scale", back_scale);
}
