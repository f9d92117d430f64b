/* SPDX-License-Identifier: Apache-2.0
 * The files of a training run that are written again and again. */
#ifndef HR_TRAIN_SAVING_H
#define HR_TRAIN_SAVING_H

#include "train/running.h"

/* One model at the end of an epoch, and what its files are called (without ".safetensors"). */
struct hr_saved {
    const struct hr_model *model;
    const char *latest, *best; /* names */
    bool is_best;
};
/* Writes the models, then the state, then lets go of epochs that are no longer kept.  The state
 * comes behind the models: whatever happens before it is done again from the state before.  The
 * first model is the one that is kept by epoch. */
enum hr_status hr_saving_epoch(struct hr_running *r, const struct hr_saved *saved,
                               size_t count) HR_WARN_UNUSED;
/* Within an epoch: the state and the table of bad pictures; and the latest models, average NULL
 * where there is none. */
enum hr_status hr_saving_within(struct hr_running *r) HR_WARN_UNUSED;
enum hr_status hr_saving_latest(const struct hr_running *r, const struct hr_model *model,
                                const struct hr_model *average) HR_WARN_UNUSED;
/* Just the state: where ranks may be gone, and seconds count. */
enum hr_status hr_saving_state(struct hr_running *r) HR_WARN_UNUSED;
/* The table of bad pictures, where it has changed: a file for people, the state has its own. */
enum hr_status hr_saving_bad(struct hr_running *r) HR_WARN_UNUSED;
/* The folder as the state has it, before the first step. */
enum hr_status hr_saving_start(struct hr_running *r) HR_WARN_UNUSED;

#endif
