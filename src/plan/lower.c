/* SPDX-License-Identifier: Apache-2.0
 * How each operator becomes steps: one row an operator.  A convolution takes the cheapest kernel
 * that applies, counting the layout changes it would force; everything else works on NHWC, so
 * changes are rare.  Runs read their operands from blocks whose offsets are decided later. */
#include "plan/lower.h"

#include <string.h>

/* Work that one thread should have before another is worth waking: about 2 us at 8 bytes a
 * cycle.  Larger leaves cores idle, smaller pays more for the barrier than it gains. */
#define TASK_BYTES ((size_t)48 << 10)

/* ---- Blocks and steps ---------------------------------------------------------------------- */

const float *hr_run_in(const struct hr_run *run, int32_t block)
{
    const int64_t *dim = run->plan->input_shape.dim;
    if (block == 0)
        return run->x + run->image * (size_t)(dim[1] * dim[2] * dim[3]);
    return hr_run_out(run, block);
}

float *hr_run_out(const struct hr_run *run, int32_t block)
{
    const struct hr_block *b = &run->plan->blocks[block];
    return (float *)(void *)(run->arena + b->offset + run->image * b->image_bytes);
}

/* Tasks of a step for `rows` independent rows that move `bytes` in all; at least 1. */
size_t hr_row_tasks(const struct hr_step *step, size_t rows, size_t bytes)
{
    const size_t worth = bytes / TASK_BYTES < 1 ? 1 : bytes / TASK_BYTES;
    const size_t tasks = worth < step->split ? worth : step->split;
    return tasks < rows ? tasks : rows;
}

struct hr_view hr_view_of(const struct hr_lowering *l, const struct hr_shape *shape,
                          enum hr_layout layout)
{
    struct hr_view v = { .block = -1, .layout = layout, .pixels = 1, .shape = *shape };
    v.c = shape->rank > 1 ? (size_t)shape->dim[1] : 1;
    for (int i = 2; i < shape->rank; i++)
        v.pixels *= (size_t)shape->dim[i];
    const size_t vector = l->plan->kernels->eltwise.vector_floats;
    v.stride = hr_round_up(v.c, vector);
    v.width = shape->rank == 4 ? (size_t)shape->dim[3] : 1;
    v.lanes = hr_tile_lanes(v.width, vector);
    return v;
}

/* Floats of one image of a view. */
size_t hr_view_floats(const struct hr_view *v)
{
    switch (v->layout) {
    case HR_LAYOUT_NHWC:
        return v->pixels * v->stride;
    case HR_LAYOUT_TILES:
        return v->pixels / v->width * 4 * v->c * v->lanes;
    default:
        return v->pixels * v->c;
    }
}

enum hr_status hr_lower_block(struct hr_lowering *l, const char *name, size_t bytes, int32_t *out)
{
    struct hr_plan *p = l->plan;
    HR_TRY(hr_mem_grow((void **)&p->blocks, &p->block_capacity, p->block_count + 1,
                       sizeof *p->blocks));
    p->blocks[p->block_count] =
        (struct hr_block){ .name = name, .bytes = bytes, .first = p->step_count, .onto = -1 };
    p->blocks[p->block_count].last = p->step_count;
    *out = (int32_t)p->block_count++;
    return HR_OK;
}

/* A block for the whole batch of a view, written by the step that comes next. */
enum hr_status hr_lower_out(struct hr_lowering *l, const char *name, struct hr_view *v)
{
    size_t bytes;
    if (!hr_size_mul(&bytes, hr_view_floats(v), l->plan->images) ||
        !hr_size_mul(&bytes, bytes, sizeof(float)))
        return hr_fail(HR_E_LIMIT, "%s: a value of shape %s is too large", name,
                       hr_shape_str(&v->shape).s);
    HR_TRY(hr_lower_block(l, name, bytes, &v->block));
    l->plan->blocks[v->block].image_bytes = bytes / l->plan->images;
    return HR_OK;
}

/* A kernel's name with its instruction set: "sum_avx2". */
const char *hr_lower_kernel_name(struct hr_lowering *l, const char *job)
{
    return hr_arena_printf(&l->plan->arena, "%s_%s", job, l->plan->kernels->isa);
}

void hr_lower_read(struct hr_plan *p, struct hr_step *step, const struct hr_view *v)
{
    step->reads[step->read_count++] = v->block;
    step->activation_bytes += hr_view_floats(v) * p->images * sizeof(float);
    p->blocks[v->block].last = p->step_count;
}

/* Appends a finished step. */
enum hr_status hr_lower_step(struct hr_lowering *l, const struct hr_step *step)
{
    struct hr_plan *p = l->plan;
    if (!step->kernel || !step->detail || !step->name)
        return HR_E_MEMORY; /* an arena string or detail could not be made */
    HR_TRY(hr_mem_grow((void **)&p->steps, &p->step_capacity, p->step_count + 1, sizeof *p->steps));
    p->steps[p->step_count] = *step;
    if (step->cost == 0) /* element-wise: about 8 bytes a cycle */
        p->steps[p->step_count].cost = (double)step->activation_bytes / 8;
    p->step_count++;
    return HR_OK;
}

struct hr_step hr_step_for(struct hr_lowering *l, const struct hr_node *node,
                           const struct hr_view *in, const struct hr_view *out)
{
    return (struct hr_step){
        .name = hr_arena_printf(&l->plan->arena, "%s", node->name),
        .op = node->op,
        .in = in->shape,
        .out = out->shape,
        .activation_bytes = hr_view_floats(out) * l->plan->images * sizeof(float),
        .writes = out->block,
        .scratch = -1,
    };
}

void *hr_lower_detail(struct hr_lowering *l, const void *value, size_t bytes)
{
    void *copy = hr_arena_alloc(&l->plan->arena, 1, bytes);
    if (copy)
        memcpy(copy, value, bytes);
    return copy;
}

enum hr_status hr_lower_weights(struct hr_lowering *l, const struct hr_pack_job *job)
{
    HR_TRY(hr_mem_grow((void **)&l->jobs, &l->job_capacity, l->job_count + 1, sizeof *l->jobs));
    l->jobs[l->job_count++] = *job;
    return HR_OK;
}

/* ---- Layout changes ------------------------------------------------------------------------ */

struct layout_detail {
    hr_layout_fn *fn;
    struct hr_layout_call call; /* without pointers and n */
    size_t rows;                /* of an image */
};

static size_t layout_tasks(const struct hr_step *step, const struct hr_run *run)
{
    const struct layout_detail *d = step->detail;
    const size_t bytes = run->n * d->call.pixels * d->call.stride * 2 * sizeof(float);
    return hr_row_tasks(step, run->n * d->rows, bytes);
}

static void layout_task(const struct hr_step *step, const struct hr_run *run, size_t task,
                        size_t count)
{
    const struct layout_detail *d = step->detail;
    const size_t rows = run->n * d->rows;
    struct hr_layout_call call = d->call;
    call.n = run->n;
    call.x = hr_run_in(run, step->reads[0]);
    call.y = hr_run_out(run, step->writes);
    d->fn(&call, hr_part(rows, task, count), hr_part(rows, task + 1, count));
}

/* The function from one layout to another, of which one is NHWC, and its name. */
static hr_layout_fn *change_of(const struct hr_eltwise_kernels *k, enum hr_layout from,
                               enum hr_layout to, const char **name)
{
    const bool into = to != HR_LAYOUT_NHWC;
    if ((into ? to : from) == HR_LAYOUT_TILES) {
        *name = into ? "to_tiles" : "from_tiles";
        return into ? k->to_tiles : k->from_tiles;
    }
    *name = into ? "to_nchw" : "to_nhwc";
    return into ? k->to_nchw : k->to_nhwc;
}

/* The block of a value in a layout, with steps that convert it if it was not made in it. */
enum hr_status hr_lower_in(struct hr_lowering *l, const struct hr_node *user, hr_value value,
                           enum hr_layout layout, struct hr_view *out)
{
    struct hr_view v = hr_view_of(l, &l->graph->values[value].shape, layout);
    v.block = l->block[value][layout];
    if (v.block >= 0) {
        *out = v;
        return HR_OK;
    }
    struct hr_view from = hr_lower_view(l, value);
    if (from.layout != HR_LAYOUT_NHWC && layout != HR_LAYOUT_NHWC)
        HR_TRY(hr_lower_in(l, user, value, HR_LAYOUT_NHWC, &from));
    HR_TRY(hr_lower_out(l, user->name, &v));
    struct hr_step step = hr_step_for(l, user, &from, &v);
    const char *name;
    struct layout_detail d = {
        .fn = change_of(&l->plan->kernels->eltwise, from.layout, layout, &name),
        .call = { .c = v.c,
                  .pixels = v.pixels,
                  .stride = v.stride,
                  .width = v.width,
                  .lanes = v.lanes },
        .rows = v.pixels,
    };
    if (from.layout == HR_LAYOUT_TILES || layout == HR_LAYOUT_TILES)
        d.rows /= v.width;
    step.kernel = hr_lower_kernel_name(l, name);
    step.detail = hr_lower_detail(l, &d, sizeof d);
    step.tasks = layout_tasks;
    step.task = layout_task;
    hr_lower_read(l->plan, &step, &from);
    HR_TRY(hr_lower_step(l, &step));
    l->block[value][layout] = v.block;
    *out = v;
    return HR_OK;
}

struct hr_view hr_lower_view(const struct hr_lowering *l, hr_value value)
{
    enum hr_layout layout = HR_LAYOUT_NHWC;
    while (l->block[value][layout] < 0 && layout + 1 < HR_LAYOUT_COUNT)
        layout++;
    struct hr_view v = hr_view_of(l, &l->graph->values[value].shape, layout);
    v.block = l->block[value][layout];
    return v;
}

/* ---- The table ----------------------------------------------------------------------------- */

/* A norm that no convolution has taken in: networks of the zoo have none. */
static enum hr_status lower_batch_norm(struct hr_lowering *l, const struct hr_node *node)
{
    (void)l;
    return hr_fail(HR_E_UNSUPPORTED,
                   "%s: a batch norm that does not follow a convolution of its own cannot be run",
                   node->name);
}

hr_lower_fn *const hr_lower_of[HR_OP_COUNT] = {
    [HR_OP_CONV] = hr_lower_conv,
    [HR_OP_BATCH_NORM] = lower_batch_norm,
    [HR_OP_RELU] = hr_lower_relu,
    [HR_OP_ADD] = hr_lower_add,
    [HR_OP_UPSAMPLE] = hr_lower_upsample,
    [HR_OP_SUM] = hr_lower_sum,
    [HR_OP_GLOBAL_POOL] = hr_lower_global_pool,
    [HR_OP_LINEAR] = hr_lower_linear,
    [HR_OP_SIGMOID] = hr_lower_sigmoid,
    [HR_OP_SCALE] = hr_lower_scale,
};

enum hr_status hr_lower_graph(struct hr_lowering *l)
{
    const struct hr_graph *g = l->graph;
    for (size_t i = 0; i < g->value_count; i++)
        for (int layout = 0; layout < HR_LAYOUT_COUNT; layout++)
            l->block[i][layout] = -1;
    HR_TRY(hr_lower_block(l, "input", 0, &l->block[g->input][HR_LAYOUT_NCHW]));
    for (size_t i = 0; i < g->node_count; i++)
        HR_TRY(hr_lower_of[g->nodes[i].op](l, &g->nodes[i]));
    return HR_OK;
}

/* ---- Copying a value out ------------------------------------------------------------------- */

void hr_view_copy(const struct hr_view *view, const struct hr_kernels *kernels, size_t n,
                  const float *x, float *out)
{
    if (view->layout == HR_LAYOUT_NCHW) {
        memcpy(out, x, n * view->c * view->pixels * sizeof *out);
    } else if (view->pixels == 1) {
        for (size_t i = 0; i < n; i++)
            memcpy(out + i * view->c, x + i * view->stride, view->c * sizeof *out);
    } else {
        const struct hr_layout_call call = {
            .n = n, .c = view->c, .pixels = view->pixels, .stride = view->stride, .x = x, .y = out
        };
        kernels->eltwise.to_nchw(&call, 0, n * view->pixels);
    }
}
