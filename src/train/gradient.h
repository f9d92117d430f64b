/* SPDX-License-Identifier: Apache-2.0
 * The gradient of a step: of one batch, or of several that count as one. */
#ifndef HR_TRAIN_GRADIENT_H
#define HR_TRAIN_GRADIENT_H

#include "train/distill.h"
#include "train/loader.h"
#include "train/loss.h"
#include "train/reduce.h"
#include "train/tape.h"

/* Set tape, pool, loss, distill and reduce, all outliving it, then init. */
struct hr_gradient {
    struct hr_tape *tape;
    struct hr_pool *pool; /* or NULL */
    const struct hr_loss *loss;
    struct hr_distill *distill; /* or NULL: then the loss is of labels alone */
    double loss_scale;          /* what the gradient is computed times; 0 is 1 */
    struct hr_reduce *reduce;   /* or NULL: of this process alone */
    bool own_statistics; /* ranks norm their own pictures: running statistics become their mean */
    /* Owned: */
    float *logits;  /* [batch][classes] of the last batch */
    float *dlogits; /* the same of its gradient */
    float *values;  /* flat: the gradient, once ended */
    float *sum;     /* flat, with accumulation; else NULL */
    double mass;    /* how much the batches so far weigh, of all ranks */
    bool several;
    size_t left;   /* batches to come */
    float *params; /* while the last batch runs: values from `prepared` on may travel */
    size_t prepared;
};
/* accumulates: more than one batch a step will come. */
enum hr_status hr_gradient_init(struct hr_gradient *g, bool accumulates) HR_WARN_UNUSED;
void hr_gradient_fini(struct hr_gradient *g); /* zero-initialised is fine */

/* Begins a step of `batches` batches. */
void hr_gradient_begin(struct hr_gradient *g, size_t batches);
/* How much a batch weighs in a mean. */
double hr_gradient_mass(const struct hr_gradient *g, const struct hr_batch *batch);
/* Adds a batch; moves the running statistics in params.  mass: hr_gradient_mass's, of the batches
 * of all ranks.  Returns the batch's mean loss. */
double hr_gradient_add(struct hr_gradient *g, float *params, const struct hr_batch *batch,
                       double mass);
/* Ends it: g->values is the gradient of the mean loss over all its pictures, those of all ranks, as
 * one batch of all of them has it, but that every batch was normalised by its own statistics.
 * Where ranks are lost hr_reduce_status says so. */
void hr_gradient_end(struct hr_gradient *g, float *params);

#endif
