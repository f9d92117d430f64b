/* SPDX-License-Identifier: Apache-2.0
 * A training run as PaddleClas keeps it: PREFIX.pdparams, .pdopt and .pdstates, with averaged
 * weights .pdema too (paddleclas.md 3.4).  Knows no folder and no loop. */
#ifndef HR_TRAIN_PADDLE_RUN_H
#define HR_TRAIN_PADDLE_RUN_H

#include "train/checkpoint.h"

struct hr_paddle_run {
    const struct hr_checkpoint_vectors *vectors;
    const struct hr_schedule *schedule;
    const struct hr_optim_options *optim; /* that vectors->optim was made of */
};

/* Writes the files of a run that ended an epoch, each whole; PaddlePaddle resumes from them. */
enum hr_status hr_paddle_run_save(const struct hr_paddle_run *run, const struct hr_checkpoint *at,
                                  const char *prefix) HR_WARN_UNUSED;
/* Fills the vectors, and epoch, best and, if the schedule waits for one, plateau of *at: best is
 * that of best_model.pdstates beside the prefix, or its own.  A file of another optimizer or shape
 * is HR_E_MISMATCH, naming the tensor. */
enum hr_status hr_paddle_run_load(const struct hr_paddle_run *run, struct hr_checkpoint *at,
                                  const char *prefix) HR_WARN_UNUSED;

#endif
