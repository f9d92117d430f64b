/* SPDX-License-Identifier: Apache-2.0
 * A plan while it is made, and how each operator becomes steps. */
#ifndef HR_PLAN_LOWER_H
#define HR_PLAN_LOWER_H

#include "plan/plan.h"
#include "plan/tuning.h"

/* Where a run finds one value.  Vectors [n,c] are rows of `stride` floats, as NHWC with one
 * pixel. */
struct hr_view {
    int32_t block;
    enum hr_layout layout;
    size_t c, pixels, stride; /* stride: floats from pixel to pixel in NHWC */
    size_t width, lanes;      /* pixels of a row; its lanes in HR_LAYOUT_TILES, 0: not for it */
    struct hr_shape shape;    /* [N,c,h,w] or [N,c] */
};

struct hr_plan {
    struct hr_arena arena; /* owns names and details */
    struct hr_step *steps;
    size_t step_count, step_capacity;
    struct hr_block *blocks; /* 0 is the input, which the caller owns */
    size_t block_count, block_capacity;
    struct hr_view output, *features;
    size_t feature_count;
    struct hr_shape input_shape;
    const struct hr_kernels *kernels;
    unsigned threads;
    bool exact, lean_memory, bits_of_batch;
    size_t images;      /* N */
    size_t *wave_first; /* [wave_count + 1]: the steps of wave w are [wave_first[w], wave_first[w +
                           1]) */
    size_t wave_count;
    size_t turn_count; /* waves, from the first, that images of a batch go through one by one */
    struct hr_plan_memory memory;
};

#define HR_MAX_TURN 64 /* steps that images go through in turn */
#define HR_MAX_WAVE 16 /* steps; more only where a network has more branches than any known */

struct hr_lowering {
    struct hr_plan *plan; /* receives steps and blocks */
    const struct hr_graph *graph;
    /* Of each graph value in each layout, or -1. */
    int32_t (*block)[HR_LAYOUT_COUNT];
    const struct hr_tuning *tuning; /* or NULL */
    struct hr_pack_job *jobs;       /* weights that the steps need */
    size_t job_count, job_capacity;
};

/* ---- What the lowering functions share ------------------------------------------------------ */

/* The view of a value of this shape in a layout, without a block; floats of one of its images. */
struct hr_view hr_view_of(const struct hr_lowering *l, const struct hr_shape *shape,
                          enum hr_layout layout);
size_t hr_view_floats(const struct hr_view *v);
/* A value in a layout, with a step that converts it if it was not made in it. */
enum hr_status hr_lower_in(struct hr_lowering *l, const struct hr_node *user, hr_value value,
                           enum hr_layout layout, struct hr_view *out) HR_WARN_UNUSED;
/* A block of the arena, or one for the whole batch of a view, written by the step that comes
 * next. */
enum hr_status hr_lower_block(struct hr_lowering *l, const char *name, size_t bytes,
                              int32_t *out) HR_WARN_UNUSED;
enum hr_status hr_lower_out(struct hr_lowering *l, const char *name,
                            struct hr_view *v) HR_WARN_UNUSED;
/* A step from one view to another; reads are added in order, then the step is appended, which
 * fails with HR_E_MEMORY where a name or detail could not be made. */
struct hr_step hr_step_for(struct hr_lowering *l, const struct hr_node *node,
                           const struct hr_view *in, const struct hr_view *out);
void hr_lower_read(struct hr_plan *p, struct hr_step *step, const struct hr_view *v);
const char *hr_lower_kernel_name(struct hr_lowering *l, const char *job);      /* "sum_avx2" */
void *hr_lower_detail(struct hr_lowering *l, const void *value, size_t bytes); /* a copy */
/* Asks for packed weights: *job->out, in a step's detail, is set before the plan is ready. */
enum hr_status hr_lower_weights(struct hr_lowering *l,
                                const struct hr_pack_job *job) HR_WARN_UNUSED;
enum hr_status hr_lower_step(struct hr_lowering *l, const struct hr_step *step) HR_WARN_UNUSED;

/* ---- What running steps share ---------------------------------------------------------------- */

const float *hr_run_in(const struct hr_run *run, int32_t block);
float *hr_run_out(const struct hr_run *run, int32_t block);
/* Tasks of a step for `rows` independent rows that move `bytes` in all; at least 1. */
size_t hr_row_tasks(const struct hr_step *step, size_t rows, size_t bytes);
/* First row of part `task`: parts cover [0, count). */
HR_INLINE size_t hr_part(size_t count, size_t task, size_t task_count)
{
    return count * task / task_count;
}

/* ---- The operators --------------------------------------------------------------------------- */

/* Appends the steps of one node, whose inputs have been lowered. */
typedef enum hr_status hr_lower_fn(struct hr_lowering *l, const struct hr_node *node);
hr_lower_fn hr_lower_conv, hr_lower_linear;                               /* lower_conv.c */
hr_lower_fn hr_lower_sum, hr_lower_relu, hr_lower_add, hr_lower_upsample; /* lower_eltwise.c */
hr_lower_fn hr_lower_global_pool, hr_lower_scale, hr_lower_sigmoid;
/* The shape and kernel of a step that is a convolution; NULL of any other. */
const struct hr_conv_shape *hr_step_conv(const struct hr_step *step,
                                         const struct hr_conv_kernel **kernel);
extern hr_lower_fn
    *const hr_lower_of[HR_OP_COUNT]; /* a hole only where the op is always rewritten */

/* Makes the input block 0 and lowers every node in order. */
enum hr_status hr_lower_graph(struct hr_lowering *l) HR_WARN_UNUSED;

/* The view of a lowered value, in the layout it was made in. */
struct hr_view hr_lower_view(const struct hr_lowering *l, hr_value value);

/* Copies n images of a value that lies at `x` to dense NCHW, or [n,c]. */
void hr_view_copy(const struct hr_view *view, const struct hr_kernels *kernels, size_t n,
                  const float *x, float *out);

#endif
