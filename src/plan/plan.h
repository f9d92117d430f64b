/* SPDX-License-Identifier: Apache-2.0
 * A graph decided for one CPU, batch and thread count: steps with kernels, packed weights and
 * offsets into one arena.  Everything that can fail fails here; running cannot. */
#ifndef HR_PLAN_PLAN_H
#define HR_PLAN_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"
#include "base/text.h"
#include "graph/graph.h"
#include "kernel/kernel.h"
#include "plan/memory.h"
#include "plan/pack.h"

struct hr_plan_options {
    const struct hr_kernels *kernels; /* outlives the plan */
    unsigned threads;                 /* >= 1; the pool of a run has no more */
    bool side_by_side; /* steps that do not need each other run at once: pays from 3 threads */
    bool exact; /* only kernels with the order of arithmetic of kernel/conv.h: equal bits everywhere
                 */
    bool lean_memory;               /* bytes of packed weights count beside time */
    bool bits_of_batch;             /* kernels are chosen for N images, not for one */
    const struct hr_tuning *tuning; /* kernels measured to be faster, or NULL; not kept */
    const char *const *features;    /* names of feature maps that stay readable after a run */
    size_t feature_count;
};

struct hr_plan;

/* One run: what the steps of a plan share. */
struct hr_run {
    const struct hr_plan *plan;
    struct hr_pool *pool; /* NULL: the calling thread alone */
    uint8_t *arena;
    size_t image, n; /* the first image and how many, 1 to the plan's N */
    const float *x;  /* the input, [N,3,h,w] */
};

struct hr_step {
    const char *name;   /* of the layer, for people */
    const char *kernel; /* "conv_direct_4x24_avx2" */
    enum hr_op op;
    struct hr_shape in, out;
    uint64_t multiply_adds;                /* of the whole batch, by the definition */
    uint64_t work;                         /* those that the kernel needs: fewer with Winograd */
    size_t weight_bytes, activation_bytes; /* packed weights; inputs read plus output written */
    double cost;                           /* estimated cycles of a whole batch on one core */
    /* When: steps of one wave do not need each other.  Its tasks are made for `split` threads. */
    size_t wave;
    unsigned split;
    /* How it runs: tasks in any order on any thread, after all tasks of `prepare` (NULL: none). */
    size_t (*tasks)(const struct hr_step *step, const struct hr_run *run);
    void (*task)(const struct hr_step *step, const struct hr_run *run, size_t task, size_t count);
    size_t (*prepare_tasks)(const struct hr_step *step, const struct hr_run *run);
    void (*prepare)(const struct hr_step *step, const struct hr_run *run, size_t task,
                    size_t count);
    size_t full_tasks, full_prepare_tasks; /* of a full batch */
    const void *detail;                    /* what they need: shapes, kernel, packed weights */
    /* Blocks of the plan: inputs in the node's order, the output, scratch or -1. */
    int32_t reads[HR_MAX_INPUTS], writes, scratch;
    int32_t read_count;
    uint32_t onto; /* bit i: the output may take the place of reads[i] */
};

/* Plans a rewritten graph for batches of up to its n.  Weights come from `packs`, shared by all
 * plans of a model.  `pool` only speeds up packing and may be NULL.  The graph is not kept. */
enum hr_status hr_plan_create(struct hr_plan **out, const struct hr_graph *graph,
                              struct hr_packs *packs, const struct hr_plan_options *options,
                              struct hr_pool *pool) HR_WARN_UNUSED;
void hr_plan_destroy(struct hr_plan *plan); /* NULL is allowed */

size_t hr_plan_arena_bytes(const struct hr_plan *plan); /* allocate with hr_mem_alloc */
size_t hr_plan_step_count(const struct hr_plan *plan);
const struct hr_step *hr_plan_step(const struct hr_plan *plan, size_t index);
const struct hr_shape *hr_plan_input_shape(const struct hr_plan *plan);  /* [N,3,H,W] */
const struct hr_shape *hr_plan_output_shape(const struct hr_plan *plan); /* [N,classes] */

/* Called after each step with the nanoseconds it took; NULL observer costs nothing. */
typedef void hr_step_observer(void *context, size_t step, uint64_t nanoseconds);

/* Runs n <= N images: x float32 [n,3,h,w] dense, logits [n,classes] dense.  Allocates nothing,
 * cannot fail; the caller's floating-point state is restored.  One run at a time per arena and pool
 * (which may be NULL); a plan itself may run in many at once. */
void hr_plan_run(const struct hr_plan *plan, uint8_t *arena, struct hr_pool *pool, size_t n,
                 const float *x, float *logits, hr_step_observer *observer, void *context);

/* Copies feature `index` (of options.features) of the last run, n images, as dense NCHW (or [n,c])
 * floats.  hr_plan_feature_shape gives [N,c,h,w]. */
const struct hr_shape *hr_plan_feature_shape(const struct hr_plan *plan, size_t index);
void hr_plan_feature(const struct hr_plan *plan, const uint8_t *arena, size_t n, size_t index,
                     float *out);

/* Bytes that a run needs: arena, packed weights; and the arena's peak. */
struct hr_plan_memory {
    size_t arena_bytes, weight_bytes, table_bytes;
    size_t peak_step;  /* the step at which most arena bytes are alive */
    size_t peak_bytes; /* alive there; the arena is this and what its gaps waste */
};
struct hr_plan_memory hr_plan_memory(const struct hr_plan *plan);

/* One line a step: name, kernel, shape, millions of multiply-adds, KiB of weights and of
 * activations; then the memory, and who is alive at its peak. */
void hr_plan_print(const struct hr_plan *plan, struct hr_text *out);

#endif
