/* SPDX-License-Identifier: Apache-2.0
 * The gradient of a step: of one batch, or of several that count as one. */
#ifndef HR_TRAIN_GRADIENT_H
#define HR_TRAIN_GRADIENT_H

#include "train/distill.h"
#include "train/loader.h"
#include "train/loss.h"
#include "train/tape.h"

/* Set tape, pool, loss and distill, all outliving it, then init. */
struct hr_gradient {
    struct hr_tape *tape;
    struct hr_pool *pool; /* or NULL */
    const struct hr_loss *loss;
    struct hr_distill *distill; /* or NULL: then the loss is of labels alone */
    double loss_scale;          /* what the gradient is computed times; 0 is 1 */
    /* Owned: */
    float *logits;  /* [batch][classes] of the last batch */
    float *dlogits; /* the same of its gradient */
    float *values;  /* flat: the gradient, once ended */
    float *sum;     /* flat, with accumulation; else NULL */
    double mass;    /* how much the batches so far weigh */
    bool several;
};
/* accumulates: more than one batch a step will come. */
enum hr_status hr_gradient_init(struct hr_gradient *g, bool accumulates) HR_WARN_UNUSED;
void hr_gradient_fini(struct hr_gradient *g); /* zero-initialised is fine */

/* Begins a step of `batches` batches. */
void hr_gradient_begin(struct hr_gradient *g, size_t batches);
/* Adds a batch; moves the running statistics in params.  Returns the batch's mean loss. */
double hr_gradient_add(struct hr_gradient *g, float *params, const struct hr_batch *batch);
/* Ends it: g->values is the gradient of the mean loss over all its pictures, as one batch of all of
 * them has it, but that every batch was normalised by its own statistics. */
void hr_gradient_end(struct hr_gradient *g);

#endif
