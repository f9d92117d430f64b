/* SPDX-License-Identifier: Apache-2.0
 * A tape while it is made, and how each operator becomes forward and backward steps. */
#ifndef HR_TRAIN_TAPE_BUILD_H
#define HR_TRAIN_TAPE_BUILD_H

#include <stdint.h>

#include "plan/memory.h"
#include "train/tape.h"

/* One run: what the steps share. */
struct hr_tape_run {
    const struct hr_tape *tape;
    size_t n;
    const float *x;            /* forward: pictures [n,3,h,w] */
    const float *dlogits;      /* backward */
    float *params, *gradients; /* flat */
    bool keep_statistics;      /* leave the running statistics alone */
};

struct hr_tape_step {
    enum hr_tape_kind kind;
    const char *name;   /* of the layer */
    const char *kernel; /* "norm_grad_avx2" */
    void (*run)(const struct hr_tape_step *step, const struct hr_tape_run *run);
    const void *detail;
    int32_t writes; /* the block with the step's result, and its elements an image */
    size_t floats;
    size_t ready; /* from here on gradients are final once it has run */
};

/* A graph value on the tape, NHWC; vectors have one pixel. */
struct hr_tape_build;
typedef enum hr_status hr_tape_again_fn(struct hr_tape_build *b, hr_value value, void *detail);
struct hr_tape_value {
    size_t c, h, w, stride;
    int32_t block, gradient; /* -1 while there is none */
    bool wants_gradient;
    /* Appends a step that computes it once more for the backward half, so that it need not stay
     * from the forward half; NULL for what stays.  `saved` is where backward finds it, or -1. */
    hr_tape_again_fn *again;
    void *again_detail;
    int32_t saved;
    int32_t packed; /* what forward kept of it in 16 bits, or -1 */
};

struct hr_tape {
    struct hr_arena names; /* names and details */
    struct hr_tape_options options;
    struct hr_tape_param *params;
    size_t param_count, floats;
    struct hr_tape_step *steps; /* forward ones first */
    size_t step_count, step_capacity, forward_count;
    struct hr_block *blocks;
    size_t block_count, block_capacity, arena_bytes;
    uint8_t *arena;
    size_t batch, last_n;
    struct hr_tape_value input, output;
    struct hr_tape_value *features; /* [options.feature_count] */
    hr_tape_observer *observer;
    void *observer_context;
    hr_tape_ready *ready;
    void *ready_context;
    double *images, all_images; /* with `sync`: [ranks], of the run */
    double *shared;             /* [ranks][2 * stride of the widest norm] */
};

/* What a node's backward half needs to know of its forward half. */
typedef enum hr_status hr_tape_back_fn(struct hr_tape_build *b, const struct hr_node *node,
                                       void *detail);
struct hr_tape_record {
    const struct hr_node *node;
    hr_tape_back_fn *back;
    void *detail;
};

struct hr_tape_build {
    struct hr_tape *tape;
    const struct hr_graph *graph;
    struct hr_tape_value *values; /* by hr_value */
    int32_t *uses;                /* by hr_value: readers, and one for the output */
    bool *wanted;                 /* by hr_value: some backward step reads it, as floats */
    int32_t *norm_of;             /* by node: the norm that does this node's work too, or -1 */
    bool *absorbed;               /* by node: a later node does its work */
    struct hr_tape_record *records;
    size_t record_count;
    bool failed; /* a block could not be made */
};

/* ---- What the operators share -----------------------------------------------------------------
 */

/* A block written by the step that comes next; -1 after a failure, which sticks until the step is
 * appended.  `floats` for the whole batch. */
int32_t hr_tape_block(struct hr_tape_build *b, size_t floats);
/* The step that comes next reads a block. */
int32_t hr_tape_use(struct hr_tape_build *b, int32_t block);
/* The block of a value's result, or of its gradient with *add telling whether it holds something
 * already. */
int32_t hr_tape_result(struct hr_tape_build *b, hr_value value);
int32_t hr_tape_gradient(struct hr_tape_build *b, hr_value value, bool *add);
/* The block in which a backward step finds a value, for hr_tape_use of that step; may append steps
 * that compute it again, so it comes before the step's own blocks. */
enum hr_status hr_tape_saved(struct hr_tape_build *b, hr_value value,
                             int32_t *block) HR_WARN_UNUSED;
/* The same for steps that read 16 bits, too; *half tells whether they are. */
enum hr_status hr_tape_saved_half(struct hr_tape_build *b, hr_value value, int32_t *block,
                                  bool *half) HR_WARN_UNUSED;
/* May a value be kept in 16 bits?  Not what is computed again, nor what is kept already. */
bool hr_tape_may_pack(const struct hr_tape_build *b, hr_value value);
/* The block of those bits, for the step that comes next to fill; the same if it may and backward
 * wants it, else -1. */
int32_t hr_tape_half_block(struct hr_tape_build *b, hr_value value);
int32_t hr_tape_keep(struct hr_tape_build *b, hr_value value);
/* Appends the step that keeps a value so, where hr_tape_keep says so; and that which makes the
 * floats of it, where hr_tape_saved finds them. */
enum hr_status hr_tape_pack(struct hr_tape_build *b, hr_value value) HR_WARN_UNUSED;
enum hr_status hr_tape_unpack(struct hr_tape_build *b, hr_value value) HR_WARN_UNUSED;
size_t hr_tape_value_floats(const struct hr_tape *tape, const struct hr_tape_value *value);

void *hr_tape_detail(struct hr_tape_build *b, const void *detail, size_t bytes);
enum hr_status hr_tape_step(struct hr_tape_build *b,
                            const struct hr_tape_step *step) HR_WARN_UNUSED;
enum hr_status hr_tape_record(struct hr_tape_build *b, const struct hr_node *node,
                              hr_tape_back_fn *back, void *detail) HR_WARN_UNUSED;
const char *hr_tape_kernel_name(struct hr_tape_build *b, const char *job);

float *hr_tape_at(const struct hr_tape_run *run, int32_t block); /* NULL for -1 */
uint16_t *hr_tape_half_at(const struct hr_tape_run *run, int32_t block);
/* Element i of a block, float or double as the tape is. */
double hr_tape_get(const struct hr_tape_run *run, int32_t block, size_t i);
void hr_tape_put(const struct hr_tape_run *run, int32_t block, size_t i, double value);
double *hr_tape_wide(const struct hr_tape_run *run, int32_t block); /* as hr_tape_at */
unsigned hr_tape_threads(const struct hr_tape_run *run);
/* fn over [0, count) in parts: fn(context, first, last). */
typedef void hr_range_fn(const void *context, size_t first, size_t last);
void hr_tape_ranges(const struct hr_tape_run *run, hr_range_fn *fn, const void *context,
                    size_t count, size_t floats_each);
void hr_tape_tasks(const struct hr_tape_run *run, hr_task_fn *fn, void *context, size_t tasks);

/* ---- The operators -----------------------------------------------------------------------------
 */

typedef enum hr_status hr_tape_lower_fn(struct hr_tape_build *b, const struct hr_node *node);
hr_tape_lower_fn hr_tape_conv;                                              /* tape_conv.c */
hr_tape_lower_fn hr_tape_norm;                                              /* tape_norm.c */
hr_tape_lower_fn hr_tape_sum, hr_tape_pool, hr_tape_sigmoid, hr_tape_scale; /* tape_eltwise.c */

/* The norm of `norm`, with what `last` does behind it: a ReLU, or an addition, or nothing. */
enum hr_status hr_tape_norm_with(struct hr_tape_build *b, const struct hr_node *norm,
                                 const struct hr_node *last) HR_WARN_UNUSED;

#endif
