/* SPDX-License-Identifier: Apache-2.0
 * A network with its backward half: a graph decided for training on one CPU, batch and size.  The
 * forward steps keep what the backward steps read; both lie in one arena whose offsets are fixed
 * here, so that a run allocates nothing and cannot fail.
 *
 * Parameters, and their gradients, are flat vectors of floats in which each parameter has a place;
 * optimizers, averages and checkpoints are loops over such vectors. */
#ifndef HR_TRAIN_TAPE_H
#define HR_TRAIN_TAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "base/status.h"
#include "graph/graph.h"
#include "kernel/kernel.h"
#include "tensor/store.h"

struct hr_tape_options {
    const struct hr_kernels *kernels; /* outlives the tape */
    struct hr_pool *pool;             /* outlives the tape; NULL: the calling thread alone */
    bool exact;          /* only convolutions with the order of arithmetic of kernel/conv.h */
    bool wide;           /* activations in double by plain loops: to verify, some 15 times slower */
    bool recompute;      /* results of convolutions are made again in the backward half instead of
                            kept: a third more time, less than half the memory, the same bits */
    enum hr_half half;   /* how activations wait for the backward half; all else is float32, forward
                            has its bits.  Not with `wide`, `frozen` or features */
    bool input_gradient; /* compute the gradient of the pictures too */
    bool forward_only;   /* no backward half, and no memory for it */
    bool unbiased;       /* running variance of N - 1 (PyTorch), else of N (Paddle on a CPU) */
    float momentum;      /* weight of the old running statistics: 0.9 */
    const struct hr_tape_sync *sync; /* outlives the tape; NULL: norms of its own pictures.  Not
                                        with `frozen` */
    bool frozen; /* norms use the running statistics, which stay, and parameters get no gradient:
                    to ask a trained network, not to train it.  Not with `wide` */
    const char *const *features; /* named values that can be read, with their gradients */
    size_t feature_count;
};

/* Norms over the pictures of several tapes, which run side by side, one on each of `ranks`. */
struct hr_tape_sync {
    void *context;
    size_t ranks;
    /* Numbers of every rank, in their order: all [ranks][count].  Where it cannot, what comes out
     * of the run is of no use, and the caller knows. */
    void (*share)(void *context, const double *numbers, double *all, size_t count);
};

/* Where a parameter lies in the flat vectors. */
struct hr_tape_param {
    const char *name; /* canonical; lives as long as the tape */
    struct hr_shape shape;
    enum hr_role role;
    size_t offset, count; /* floats; offsets are multiples of 16, gaps hold zeros */
    bool trainable;       /* running statistics are not */
};

struct hr_tape; /* one run at a time */

/* Takes a graph as it was built, with BATCH_NORM nodes, and rewrites it (sums are fused).  The
 * graph is not kept.  HR_E_UNSUPPORTED for fused attributes, naming the node. */
enum hr_status hr_tape_create(struct hr_tape **out, struct hr_graph *graph,
                              const struct hr_tape_options *options) HR_WARN_UNUSED;
void hr_tape_destroy(struct hr_tape *tape); /* NULL is allowed */

size_t hr_tape_param_count(const struct hr_tape *tape);
const struct hr_tape_param *hr_tape_param(const struct hr_tape *tape, size_t index);
size_t hr_tape_floats(const struct hr_tape *tape);      /* of a flat vector */
size_t hr_tape_arena_bytes(const struct hr_tape *tape); /* activations and their gradients */
size_t hr_tape_batch(const struct hr_tape *tape);
size_t hr_tape_classes(const struct hr_tape *tape);

/* Copies every parameter between a store of canonical names and a flat vector.  HR_E_MISMATCH
 * naming a parameter that the store lacks or has in another shape. */
enum hr_status hr_tape_load(const struct hr_tape *tape, const struct hr_store *store,
                            float *params) HR_WARN_UNUSED;
/* Fills an empty store, in the order of a Paddle file; copies. */
enum hr_status hr_tape_save(const struct hr_tape *tape, const float *params,
                            struct hr_store *store) HR_WARN_UNUSED;

/* n <= batch images x [n,3,h,w] -> logits [n][classes], with the statistics of the batch; moves the
 * running statistics in `params`. */
void hr_tape_forward(struct hr_tape *tape, float *params, size_t n, const float *x, float *logits);

/* After forward with the same n and parameters: dlogits [n][classes] -> gradients [floats], zero
 * for what is not trainable (may be NULL if the tape is frozen).  dx [n,3,h,w], if the tape was
 * made with input_gradient; else NULL. */
void hr_tape_backward(struct hr_tape *tape, float *params, const float *dlogits, float *gradients,
                      float *dx);

/* Called after each step, with the place from which on the gradients of a backward run are final:
 * they are finished from the end to the beginning. */
typedef void hr_tape_ready(void *context, size_t from);
void hr_tape_on_ready(struct hr_tape *tape, hr_tape_ready *ready, void *context);

/* Shape [N,c,h,w] of feature `index` of the options, vectors with h = w = 1. */
struct hr_shape hr_tape_feature_shape(const struct hr_tape *tape, size_t index);
/* Of the last run, dense: its value [n,c,h,w] after forward, its gradient after backward; either
 * may be NULL.  A frozen tape has the gradients of its features and of what is behind them. */
void hr_tape_feature(const struct hr_tape *tape, size_t index, float *value, float *gradient);

/* Runs forward again without moving statistics and names the layer whose result is the first that
 * is infinite or no number; NULL if none is. */
const char *hr_tape_find_bad(struct hr_tape *tape, float *params, size_t n, const float *x);

/* What a step does. */
enum hr_tape_kind {
    HR_TAPE_OTHER,        /* sums, pooling, copies, there and back */
    HR_TAPE_CONV,         /* convolutions and linear layers: forward, */
    HR_TAPE_CONV_DATA,    /* gradient of their input, */
    HR_TAPE_CONV_WEIGHTS, /* of their weights, */
    HR_TAPE_CONV_AGAIN,   /* and made again in the backward half */
    HR_TAPE_NORM,         /* norms with what is behind them: forward, */
    HR_TAPE_NORM_GRAD,    /* gradients, */
    HR_TAPE_NORM_AGAIN,   /* and made again */
    HR_TAPE_KIND_COUNT
};

/* Called after each step with its kind, layer, kernel and the nanoseconds it took. */
typedef void hr_tape_observer(void *context, enum hr_tape_kind kind, const char *layer,
                              const char *kernel, uint64_t nanoseconds);
void hr_tape_observe(struct hr_tape *tape, hr_tape_observer *observer, void *context);

#endif
