/* SPDX-License-Identifier: Apache-2.0
 * What a training run keeps on disk. */
#ifndef HR_TRAIN_CHECKPOINT_H
#define HR_TRAIN_CHECKPOINT_H

#include "image/recipe.h"
#include "model/labels.h"
#include "model/model.h"
#include "train/optim.h"
#include "train/scaler.h"
#include "train/schedule.h"

/* A model of the tape's parameters; of: what else it has. */
enum hr_status hr_checkpoint_model(struct hr_model **out, const struct hr_tape *tape,
                                   const float *params,
                                   const struct hr_model_options *of) HR_WARN_UNUSED;

/* Where a run stands. */
struct hr_checkpoint {
    uint64_t epoch, step;      /* epochs that are done, and steps of the next one */
    double best, best_average; /* top-1 shares of the best epoch so far, or -1 */
    double least_loss;         /* of the epochs so far, where nothing is validated */
    uint64_t idle;             /* epochs since there was a better one */
    uint64_t guessed;          /* epochs without learning, in a row */
    struct hr_plateau plateau;
    double loss; /* of the epoch that is not done: sum over its pictures, and counts of them */
    uint64_t pictures, top1, top5, unlabelled;
    struct hr_scaler scaler;
    uint64_t ranks; /* processes of the run; 0 counts as 1 */
};
/* The vectors that go with it. */
struct hr_checkpoint_vectors {
    const struct hr_tape *tape;
    float *params, *average; /* flat; average NULL where there is none */
    struct hr_optim *optim;  /* its slots and its steps */
    struct hr_text *bad;     /* hr_bad_print's; NULL: none.  Filled where a file has one */
};
/* Written, synced, renamed.  what: the run's settings, which must be the same to go on. */
enum hr_status hr_checkpoint_save(const struct hr_checkpoint *c, const char *path, const char *what,
                                  const struct hr_checkpoint_vectors *vectors) HR_WARN_UNUSED;
/* Fills *c and the vectors.  HR_E_MISMATCH with both settings where `what` differs. */
enum hr_status hr_checkpoint_load(struct hr_checkpoint *c, const char *path, const char *what,
                                  const struct hr_checkpoint_vectors *vectors) HR_WARN_UNUSED;

#endif
