/* SPDX-License-Identifier: Apache-2.0
 * Operators with weights.  A convolution takes the cheapest kernel that applies, counting the
 * layout changes it would force on its neighbours; a linear layer has one kernel an instruction
 * set. */
#include "plan/lower.h"

#include <string.h>

/* Cycles that a run must save for each byte that a kernel's packed weights are larger: two threads
 * that stream weights wait for memory where one does not, and bytes cost time when a session
 * starts.  At 0.1 nothing is lost on one thread (W48 gains 9 % over 0.25, its process has 600 MB
 * instead of 476), and 5 % of W18 are gained over 0 on two threads whose memory others use too.
 * At 0.4 W18 and W48 lose more than 10 %. */
#define CYCLES_PER_BYTE      0.1
#define CYCLES_PER_BYTE_LEAN 0.25

/* Of a layout change: measured on Zen 5, where it moves 64 bytes a store and waits for the third
 * level of caches. */
#define CYCLES_PER_FLOAT 0.4

/* ---- Convolution --------------------------------------------------------------------------- */

struct conv_detail {
    const struct hr_conv_kernel *kernel;
    struct hr_conv_shape shape;
    const void *packed;
};

static struct hr_conv_call conv_call(const struct hr_step *step, const struct hr_run *run)
{
    const struct conv_detail *d = step->detail;
    return (struct hr_conv_call){
        .shape = &d->shape,
        .n = run->n,
        .x = hr_run_in(run, step->reads[0]),
        .residual = d->shape.residual ? hr_run_in(run, step->reads[1]) : NULL,
        .y = hr_run_out(run, step->writes),
        .packed = d->packed,
        .scratch = step->scratch >= 0 ? hr_run_out(run, step->scratch) : NULL,
    };
}

static size_t conv_prepare_tasks(const struct hr_step *step, const struct hr_run *run)
{
    const struct conv_detail *d = step->detail;
    return d->kernel->prepare_tasks(&d->shape, run->n, step->split);
}

static void conv_prepare(const struct hr_step *step, const struct hr_run *run, size_t task,
                         size_t count)
{
    const struct hr_conv_call call = conv_call(step, run);
    ((const struct conv_detail *)step->detail)->kernel->prepare(&call, task, count);
}

static size_t conv_tasks(const struct hr_step *step, const struct hr_run *run)
{
    const struct conv_detail *d = step->detail;
    return d->kernel->tasks(&d->shape, run->n, step->split);
}

static void conv_task(const struct hr_step *step, const struct hr_run *run, size_t task,
                      size_t count)
{
    const struct hr_conv_call call = conv_call(step, run);
    ((const struct conv_detail *)step->detail)->kernel->run(&call, task, count);
}

const struct hr_conv_shape *hr_step_conv(const struct hr_step *step,
                                         const struct hr_conv_kernel **kernel)
{
    const struct conv_detail *d = step->detail;
    if (step->task != conv_task)
        return NULL;
    *kernel = d->kernel;
    return &d->shape;
}

static struct hr_conv_shape conv_shape(const struct hr_lowering *l, const struct hr_node *node)
{
    const struct hr_shape *x = &l->graph->values[node->in[0]].shape;
    const struct hr_shape *y = &l->graph->values[node->out].shape;
    return (struct hr_conv_shape){
        .h = (size_t)x->dim[2],
        .w = (size_t)x->dim[3],
        .c = (size_t)x->dim[1],
        .oh = (size_t)y->dim[2],
        .ow = (size_t)y->dim[3],
        .k = (size_t)y->dim[1],
        .x_stride = hr_view_of(l, x, HR_LAYOUT_NHWC).stride,
        .y_stride = hr_view_of(l, y, HR_LAYOUT_NHWC).stride,
        .kernel = node->attr.kernel,
        .stride = node->attr.stride,
        .pad = node->attr.pad,
        .residual = node->attr.residual,
        .relu = node->attr.relu,
    };
}

/* Cycles to change the layout of a value. */
static double change_cost(const struct hr_lowering *l, hr_value value)
{
    const struct hr_view v = hr_view_of(l, &l->graph->values[value].shape, HR_LAYOUT_NHWC);
    return CYCLES_PER_FLOAT * (double)hr_view_floats(&v);
}

/* Does everyone who reads a value want it in a layout, because it is a convolution that some
 * kernel can do in that layout? */
static bool all_want(const struct hr_lowering *l, hr_value value, enum hr_layout layout)
{
    const struct hr_kernels *k = l->plan->kernels;
    bool any = false;
    for (size_t i = 0; i < l->graph->node_count; i++) {
        const struct hr_node *node = &l->graph->nodes[i];
        bool reads = false, can = false;
        for (int j = 0; j < node->input_count; j++)
            reads = reads || node->in[j] == value;
        if (!reads)
            continue;
        if (node->op == HR_OP_CONV) {
            const struct hr_conv_shape shape = conv_shape(l, node);
            for (size_t j = 0; j < k->conv_count; j++)
                can = can || (k->conv[j]->x_layout == layout && k->conv[j]->applies(&shape));
        }
        if (!can)
            return false;
        any = true;
    }
    return any;
}

/* Cycles of a kernel, of the layout changes it forces, and for the bytes it needs, for n images. */
static double conv_cost(const struct hr_lowering *l, const struct hr_node *node,
                        const struct hr_conv_kernel *kernel, const struct hr_conv_shape *shape,
                        size_t n)
{
    double changes = 0;
    if (l->block[node->in[0]][kernel->x_layout] < 0)
        changes += change_cost(l, node->in[0]);
    if (node->attr.residual && l->block[node->in[1]][kernel->y_layout] < 0)
        changes += change_cost(l, node->in[1]);
    if (kernel->y_layout != HR_LAYOUT_NHWC && !all_want(l, node->out, kernel->y_layout))
        changes += change_cost(l, node->out);
    return kernel->cost(shape, n) + changes * (double)n +
           (l->plan->lean_memory ? CYCLES_PER_BYTE_LEAN : CYCLES_PER_BYTE) *
               (double)kernel->packed_bytes(shape);
}

/* The cheapest kernel for n images among those that apply, only exact ones if so asked. */
static const struct hr_conv_kernel *cheapest(const struct hr_lowering *l,
                                             const struct hr_node *node,
                                             const struct hr_conv_shape *shape, size_t n,
                                             bool only_exact)
{
    const struct hr_kernels *k = l->plan->kernels;
    const struct hr_conv_kernel *best = NULL;
    double best_cost = 0;
    for (size_t i = 0; i < k->conv_count; i++) {
        if ((only_exact && !k->conv[i]->exact) || !k->conv[i]->applies(shape))
            continue;
        const double cost = conv_cost(l, node, k->conv[i], shape, n);
        if (!best || cost < best_cost) {
            best = k->conv[i];
            best_cost = cost;
        }
    }
    return best;
}

/* The kernel that was measured to be faster than `one`, the cheapest by its cost, or NULL.  It is
 * the same for every batch and thread count, so a picture keeps its bits. */
static const struct hr_conv_kernel *measured(const struct hr_lowering *l,
                                             const struct hr_conv_kernel *one,
                                             const struct hr_conv_shape *shape)
{
    const struct hr_kernels *k = l->plan->kernels;
    const char *name = l->tuning ? hr_tuning_find(l->tuning, shape, k->isa) : NULL;
    if (!name || l->plan->exact || l->plan->lean_memory)
        return NULL;
    for (size_t i = 0; i < k->conv_count; i++)
        if (strcmp(k->conv[i]->name, name) == 0 && k->conv[i]->applies(shape) &&
            k->conv[i]->x_layout == one->x_layout && k->conv[i]->y_layout == one->y_layout)
            return k->conv[i];
    return NULL;
}

/* Unless asked for, bits must not depend on the batch: whether an exact kernel is taken is decided
 * for one image; which of the exact ones, all of equal bits, for the batch at hand. */
static const struct hr_conv_kernel *choose_conv(const struct hr_lowering *l,
                                                const struct hr_node *node,
                                                const struct hr_conv_shape *shape)
{
    if (l->plan->bits_of_batch)
        return cheapest(l, node, shape, l->plan->images, l->plan->exact);
    const struct hr_conv_kernel *one = cheapest(l, node, shape, 1, l->plan->exact);
    const struct hr_conv_kernel *tuned = one ? measured(l, one, shape) : NULL;
    if (tuned)
        return tuned;
    return one && one->exact ? cheapest(l, node, shape, l->plan->images, true) : one;
}

enum hr_status hr_lower_conv(struct hr_lowering *l, const struct hr_node *node)
{
    struct conv_detail d = { .shape = conv_shape(l, node) };
    d.kernel = choose_conv(l, node, &d.shape);
    if (!d.kernel)
        return hr_fail(HR_E_INTERNAL, "%s: no kernel can do this convolution", node->name);

    struct hr_view x, residual = { .block = -1 };
    HR_TRY(hr_lower_in(l, node, node->in[0], d.kernel->x_layout, &x));
    if (node->attr.residual)
        HR_TRY(hr_lower_in(l, node, node->in[1], d.kernel->y_layout, &residual));
    struct hr_view y = hr_view_of(l, &l->graph->values[node->out].shape, d.kernel->y_layout);
    HR_TRY(hr_lower_out(l, node->name, &y));

    struct hr_step step = hr_step_for(l, node, &x, &y);
    step.kernel = d.kernel->name;
    struct conv_detail *detail = hr_lower_detail(l, &d, sizeof d);
    if (!detail)
        return HR_E_MEMORY;
    HR_TRY(hr_lower_weights(l, &(struct hr_pack_job){ .node = node,
                                                      .conv = d.kernel,
                                                      .conv_shape = &detail->shape,
                                                      .out = &detail->packed }));
    step.detail = detail;
    step.cost = d.kernel->cost(&d.shape, l->plan->images);
    step.tasks = conv_tasks;
    step.task = conv_task;
    if (d.kernel->prepare) {
        step.prepare_tasks = conv_prepare_tasks;
        step.prepare = conv_prepare;
    }
    step.multiply_adds = hr_node_multiply_adds(l->graph, node);
    step.work =
        d.kernel->work ? (uint64_t)d.kernel->work(&d.shape, l->plan->images) : step.multiply_adds;
    step.weight_bytes = d.kernel->packed_bytes(&d.shape);
    hr_lower_read(l->plan, &step, &x);
    if (node->attr.residual) {
        hr_lower_read(l->plan, &step, &residual);
        step.onto = 1u << 1;
    }
    /* Enough for smaller batches too: it does not grow when n shrinks. */
    const size_t scratch = d.kernel->scratch_bytes(&d.shape, l->plan->images, l->plan->threads);
    if (scratch > 0)
        HR_TRY(hr_lower_block(l, "scratch", scratch, &step.scratch));
    l->block[node->out][y.layout] = y.block;
    return hr_lower_step(l, &step);
}

/* ---- Linear -------------------------------------------------------------------------------- */

/* It reads its weights once, about 8 bytes a cycle. */
#define LINEAR_CYCLES_PER_BYTE 0.125

struct linear_detail {
    const struct hr_linear_kernel *kernel;
    struct hr_linear_shape shape;
    const void *packed;
};

static size_t linear_tasks(const struct hr_step *step, const struct hr_run *run)
{
    const struct linear_detail *d = step->detail;
    return d->kernel->tasks(&d->shape, run->n, step->split);
}

static void linear_task(const struct hr_step *step, const struct hr_run *run, size_t task,
                        size_t count)
{
    const struct linear_detail *d = step->detail;
    const struct hr_linear_call call = { &d->shape, run->n, hr_run_in(run, step->reads[0]),
                                         hr_run_out(run, step->writes), d->packed };
    d->kernel->run(&call, task, count);
}

enum hr_status hr_lower_linear(struct hr_lowering *l, const struct hr_node *node)
{
    struct hr_view x;
    HR_TRY(hr_lower_in(l, node, node->in[0], HR_LAYOUT_NHWC, &x));
    struct hr_view y = hr_view_of(l, &l->graph->values[node->out].shape, HR_LAYOUT_NHWC);
    HR_TRY(hr_lower_out(l, node->name, &y));
    struct linear_detail d = {
        .kernel = l->plan->kernels->linear,
        .shape = { x.c, y.c, x.stride, y.stride, node->attr.relu },
    };
    struct hr_step step = hr_step_for(l, node, &x, &y);
    hr_lower_read(l->plan, &step, &x);
    step.kernel = d.kernel->name;
    struct linear_detail *detail = hr_lower_detail(l, &d, sizeof d);
    if (!detail)
        return HR_E_MEMORY;
    HR_TRY(hr_lower_weights(l, &(struct hr_pack_job){ .node = node,
                                                      .linear = d.kernel,
                                                      .linear_shape = &detail->shape,
                                                      .out = &detail->packed }));
    step.detail = detail;
    step.cost = LINEAR_CYCLES_PER_BYTE * (double)d.kernel->packed_bytes(&d.shape);
    step.tasks = linear_tasks;
    step.task = linear_task;
    step.work = step.multiply_adds = hr_node_multiply_adds(l->graph, node);
    step.weight_bytes = d.kernel->packed_bytes(&d.shape);
    l->block[node->out][HR_LAYOUT_NHWC] = y.block;
    return hr_lower_step(l, &step);
}
