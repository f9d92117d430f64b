/* SPDX-License-Identifier: Apache-2.0
 * What a training run keeps on disk. */
#ifndef HR_TRAIN_CHECKPOINT_H
#define HR_TRAIN_CHECKPOINT_H

#include "image/recipe.h"
#include "model/labels.h"
#include "model/model.h"
#include "train/optim.h"

/* A model of the tape's parameters.  labels may be empty. */
enum hr_status hr_checkpoint_model(struct hr_model **out, const struct hr_tape *tape,
                                   const float *params, const char *architecture,
                                   const struct hr_recipe *recipe,
                                   const struct hr_labels *labels) HR_WARN_UNUSED;

struct hr_checkpoint {
    uint64_t epoch;   /* epochs that are done */
    double best;      /* top-1 share of the best of them, or -1 */
    const char *what; /* the run's settings, which must be the same to go on */
};
/* Parameters, the optimizer's state and *c, written, synced, renamed. */
enum hr_status hr_checkpoint_save(const struct hr_checkpoint *c, const char *path,
                                  const struct hr_tape *tape, const float *params,
                                  struct hr_optim *optim) HR_WARN_UNUSED;
/* Fills params, the optimizer's state, epoch and best.  HR_E_MISMATCH with both settings where
 * c->what differs. */
enum hr_status hr_checkpoint_load(struct hr_checkpoint *c, const char *path,
                                  const struct hr_tape *tape, float *params,
                                  struct hr_optim *optim) HR_WARN_UNUSED;

#endif
