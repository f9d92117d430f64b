/* SPDX-License-Identifier: Apache-2.0
 * Operators without weights: sums of branches, pooling, channel scaling, sigmoid.  All of them work
 * on NHWC and are split over rows by the bytes they move. */
#include <string.h>

#include "plan/lower.h"

/* ---- Sums: SUM, and ADD, RELU and UPSAMPLE where no rewrite has fused them ------------------ */

struct sum_detail {
    hr_sum_fn *fn;
    struct hr_sum_call call; /* without pointers and n */
};

static size_t sum_tasks(const struct hr_step *step, const struct hr_run *run)
{
    const struct sum_detail *d = step->detail;
    const size_t rows = run->n * d->call.h;
    return hr_row_tasks(
        step, rows, rows * d->call.w * d->call.stride * (d->call.term_count + 1) * sizeof(float));
}

static void sum_task(const struct hr_step *step, const struct hr_run *run, size_t task,
                     size_t count)
{
    const struct sum_detail *d = step->detail;
    struct hr_sum_call call = d->call;
    const size_t rows = run->n * call.h;
    call.n = run->n;
    for (size_t i = 0; i < call.term_count; i++)
        call.x[i] = hr_run_in(run, step->reads[i]);
    call.y = hr_run_out(run, step->writes);
    d->fn(&call, hr_part(rows, task, count), hr_part(rows, task + 1, count));
}

static enum hr_status sum_of(struct hr_lowering *l, const struct hr_node *node,
                             const uint8_t *shift, bool relu)
{
    struct hr_view x[HR_MAX_INPUTS];
    for (int i = 0; i < node->input_count; i++)
        HR_TRY(hr_lower_in(l, node, node->in[i], HR_LAYOUT_NHWC, &x[i]));
    struct hr_view y = hr_view_of(l, &l->graph->values[node->out].shape, HR_LAYOUT_NHWC);
    HR_TRY(hr_lower_out(l, node->name, &y));

    struct sum_detail d = { l->plan->kernels->eltwise.sum, { .h = 1, .w = 1 } };
    d.call.stride = y.stride;
    if (y.shape.rank == 4) {
        d.call.h = (size_t)y.shape.dim[2];
        d.call.w = (size_t)y.shape.dim[3];
    }
    d.call.term_count = (size_t)node->input_count;
    d.call.relu = relu;
    struct hr_step step = hr_step_for(l, node, &x[0], &y);
    for (int i = 0; i < node->input_count; i++) {
        d.call.shift[i] = shift[i];
        hr_lower_read(l->plan, &step, &x[i]);
        if (shift[i] == 0)
            step.onto |= 1u << i;
    }
    step.kernel = hr_lower_kernel_name(l, "sum");
    step.detail = hr_lower_detail(l, &d, sizeof d);
    step.tasks = sum_tasks;
    step.task = sum_task;
    l->block[node->out][HR_LAYOUT_NHWC] = y.block;
    return hr_lower_step(l, &step);
}

enum hr_status hr_lower_sum(struct hr_lowering *l, const struct hr_node *node)
{
    return sum_of(l, node, node->attr.shift, node->attr.relu);
}

enum hr_status hr_lower_relu(struct hr_lowering *l, const struct hr_node *node)
{
    return sum_of(l, node, (const uint8_t[HR_MAX_INPUTS]){ 0 }, true);
}

enum hr_status hr_lower_add(struct hr_lowering *l, const struct hr_node *node)
{
    return sum_of(l, node, (const uint8_t[HR_MAX_INPUTS]){ 0 }, node->attr.relu);
}

enum hr_status hr_lower_upsample(struct hr_lowering *l, const struct hr_node *node)
{
    uint8_t shift[HR_MAX_INPUTS] = { 0 };
    while ((1 << shift[0]) < node->attr.factor)
        shift[0]++;
    return sum_of(l, node, shift, false);
}

/* ---- Pooling ------------------------------------------------------------------------------- */

struct pool_detail {
    hr_global_pool_fn *fn;
    struct hr_pool_call call; /* without pointers and n */
};

/* One image, or a slice of its channels: each channel's mean is its own. */
static size_t pool_tasks(const struct hr_step *step, const struct hr_run *run)
{
    const struct pool_detail *d = step->detail;
    const size_t image_bytes = d->call.pixels * d->call.stride * sizeof(float);
    const size_t groups = hr_round_up(d->call.c, 64) / 64;
    return run->n * (run->n >= step->split ? 1 : hr_row_tasks(step, groups, image_bytes));
}

static void pool_task(const struct hr_step *step, const struct hr_run *run, size_t task,
                      size_t count)
{
    const struct pool_detail *d = step->detail;
    const size_t slices = count / run->n, image = task / slices, slice = task % slices;
    const size_t groups = hr_round_up(d->call.c, 64) / 64;
    const size_t first = hr_part(groups, slice, slices) * 64;
    size_t last = hr_part(groups, slice + 1, slices) * 64;
    if (last > d->call.c)
        last = d->call.c;
    struct hr_pool_call call = d->call;
    call.n = run->n;
    call.x = hr_run_in(run, step->reads[0]) + first;
    call.y = hr_run_out(run, step->writes) + first;
    call.c = last - first;
    d->fn(&call, image, image + 1);
}

enum hr_status hr_lower_global_pool(struct hr_lowering *l, const struct hr_node *node)
{
    struct hr_view x;
    HR_TRY(hr_lower_in(l, node, node->in[0], HR_LAYOUT_NHWC, &x));
    struct hr_view y = hr_view_of(l, &l->graph->values[node->out].shape, HR_LAYOUT_NHWC);
    HR_TRY(hr_lower_out(l, node->name, &y));
    const struct pool_detail d = {
        l->plan->kernels->eltwise.global_pool,
        { .pixels = x.pixels, .c = x.c, .stride = x.stride, .y_stride = y.stride },
    };
    struct hr_step step = hr_step_for(l, node, &x, &y);
    hr_lower_read(l->plan, &step, &x);
    step.kernel = hr_lower_kernel_name(l, "global_pool");
    step.detail = hr_lower_detail(l, &d, sizeof d);
    step.tasks = pool_tasks;
    step.task = pool_task;
    l->block[node->out][HR_LAYOUT_NHWC] = y.block;
    return hr_lower_step(l, &step);
}

/* ---- Channel scaling ----------------------------------------------------------------------- */

struct scale_detail {
    hr_scale_fn *fn;
    struct hr_scale_call call; /* without pointers and n */
};

static size_t scale_tasks(const struct hr_step *step, const struct hr_run *run)
{
    const struct scale_detail *d = step->detail;
    const size_t rows = run->n * d->call.pixels;
    return hr_row_tasks(step, rows,
                        rows * d->call.stride * (size_t)step->read_count * sizeof(float));
}

static void scale_task(const struct hr_step *step, const struct hr_run *run, size_t task,
                       size_t count)
{
    const struct scale_detail *d = step->detail;
    struct hr_scale_call call = d->call;
    const size_t rows = run->n * call.pixels;
    call.n = run->n;
    call.x = hr_run_in(run, step->reads[0]);
    call.s = hr_run_in(run, step->reads[1]);
    call.residual = step->read_count > 2 ? hr_run_in(run, step->reads[2]) : NULL;
    call.y = hr_run_out(run, step->writes);
    d->fn(&call, hr_part(rows, task, count), hr_part(rows, task + 1, count));
}

enum hr_status hr_lower_scale(struct hr_lowering *l, const struct hr_node *node)
{
    struct hr_view x, s, residual;
    HR_TRY(hr_lower_in(l, node, node->in[0], HR_LAYOUT_NHWC, &x));
    HR_TRY(hr_lower_in(l, node, node->in[1], HR_LAYOUT_NHWC, &s));
    if (node->attr.residual)
        HR_TRY(hr_lower_in(l, node, node->in[2], HR_LAYOUT_NHWC, &residual));
    struct hr_view y = hr_view_of(l, &l->graph->values[node->out].shape, HR_LAYOUT_NHWC);
    HR_TRY(hr_lower_out(l, node->name, &y));
    const struct scale_detail d = {
        l->plan->kernels->eltwise.scale,
        { .pixels = x.pixels,
          .c = x.c,
          .stride = x.stride,
          .s_stride = s.stride,
          .relu = node->attr.relu },
    };
    struct hr_step step = hr_step_for(l, node, &x, &y);
    hr_lower_read(l->plan, &step, &x);
    hr_lower_read(l->plan, &step, &s);
    step.onto = 1u << 0;
    if (node->attr.residual) {
        hr_lower_read(l->plan, &step, &residual);
        step.onto |= 1u << 2;
    }
    step.kernel = hr_lower_kernel_name(l, "scale");
    step.detail = hr_lower_detail(l, &d, sizeof d);
    step.tasks = scale_tasks;
    step.task = scale_task;
    l->block[node->out][HR_LAYOUT_NHWC] = y.block;
    return hr_lower_step(l, &step);
}

/* ---- Sigmoid ------------------------------------------------------------------------------- */

struct sigmoid_detail {
    hr_sigmoid_fn *fn;
    size_t c, pixels, stride;
};

static size_t sigmoid_tasks(const struct hr_step *step, const struct hr_run *run)
{
    (void)step;
    (void)run;
    return 1;
}

static void sigmoid_task(const struct hr_step *step, const struct hr_run *run, size_t task,
                         size_t count)
{
    const struct sigmoid_detail *d = step->detail;
    const size_t rows = run->n * d->pixels, last = hr_part(rows, task + 1, count);
    size_t row = hr_part(rows, task, count);
    const float *x = hr_run_in(run, step->reads[0]) + row * d->stride;
    float *y = hr_run_out(run, step->writes) + row * d->stride;
    for (; row < last; row++, x += d->stride, y += d->stride) {
        d->fn(y, x, d->c);
        /* sigmoid(0) is 1/2, but lanes past the channels stay zero. */
        memset(y + d->c, 0, (d->stride - d->c) * sizeof *y);
    }
}

enum hr_status hr_lower_sigmoid(struct hr_lowering *l, const struct hr_node *node)
{
    struct hr_view x;
    HR_TRY(hr_lower_in(l, node, node->in[0], HR_LAYOUT_NHWC, &x));
    struct hr_view y = hr_view_of(l, &l->graph->values[node->out].shape, HR_LAYOUT_NHWC);
    HR_TRY(hr_lower_out(l, node->name, &y));
    const struct sigmoid_detail d = { l->plan->kernels->eltwise.sigmoid, x.c, x.pixels, x.stride };
    struct hr_step step = hr_step_for(l, node, &x, &y);
    hr_lower_read(l->plan, &step, &x);
    step.onto = 1u << 0;
    step.kernel = hr_lower_kernel_name(l, "sigmoid");
    step.detail = hr_lower_detail(l, &d, sizeof d);
    step.tasks = sigmoid_tasks;
    step.task = sigmoid_task;
    l->block[node->out][HR_LAYOUT_NHWC] = y.block;
    return hr_lower_step(l, &step);
}
