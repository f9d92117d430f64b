/* SPDX-License-Identifier: Apache-2.0
 * A training run from its start to its end: everything that the loop works on. */
#ifndef HR_TRAIN_RUNNING_H
#define HR_TRAIN_RUNNING_H

#include "base/text.h"
#include "model/zoo.h"
#include "train/checkpoint.h"
#include "train/gradient.h"
#include "train/ranks.h"
#include "train/trainer.h"

struct hr_running {
    const struct hr_train_options *options; /* outlive it */
    struct hr_dataset train, validation;
    struct hr_labels labels;
    struct hr_recipe recipe, test; /* of training and of evaluation */
    const struct hr_zoo_row *row;
    struct hr_kernels kernels;
    struct hr_reduce *reduce; /* NULL: alone */
    size_t ranks;             /* of it */
    struct hr_tape_sync sync;
    struct hr_ranks_bad bad, bad_validation;
    struct hr_pool *pool;
    struct hr_tape *tape;
    struct hr_optim *optim;
    struct hr_loader *loader, *validator; /* validator NULL: nothing to validate */
    struct hr_schedule_words schedule;
    struct hr_loss loss;
    struct hr_distill *distill; /* NULL: no teacher */
    struct hr_gradient gradient;
    float *params, *average; /* flat; average NULL where there is none */
    float *rates;            /* by parameter */
    float *class_weights;    /* [classes], or NULL */
    float *outputs;          /* [batch][classes], of validation */
    size_t least;            /* pictures that a batch needs on each rank */
    size_t batches, steps;   /* of an epoch */
    double rate;             /* before the schedule */
    struct hr_text what;     /* the settings that decide the bits */
    char data_hash[65];      /* SHA-256 of the names, sizes and labels of the training pictures */
    char *state;             /* path */
    struct hr_checkpoint at;
};

/* Fills a zero-initialised *r: opens data, makes everything, starts afresh or from the folder's
 * checkpoint.  End it whatever happens. */
enum hr_status hr_running_start(struct hr_running *r,
                                const struct hr_train_options *options) HR_WARN_UNUSED;
void hr_running_end(struct hr_running *r, bool together); /* together: hr_reduce_destroy's */

/* The two halves of it that are about pictures (running_data.c): recipes and data sets, which it
 * looks through and hashes; loaders, and how many batches and steps an epoch has. */
enum hr_status hr_running_open_data(struct hr_running *r) HR_WARN_UNUSED;
enum hr_status hr_running_make_loaders(struct hr_running *r) HR_WARN_UNUSED;

/* What a checkpoint holds beside r->at, but for the table of bad pictures. */
struct hr_checkpoint_vectors hr_running_vectors(const struct hr_running *r);
/* Of memory: weights, gradients, optimizer's states and a teacher. */
size_t hr_running_state_bytes(const struct hr_running *r);
/* Pictures a batch, of all ranks. */
size_t hr_running_batch(const struct hr_running *r);
/* The bad pictures of both data sets. */
struct hr_running_bad {
    struct hr_bad_set sets[2];
};
struct hr_running_bad hr_running_bad_sets(struct hr_running *r);
/* "FOLDER/NAME", owned. */
enum hr_status hr_running_path(char **out, const struct hr_running *r,
                               const char *name) HR_WARN_UNUSED;

#endif
