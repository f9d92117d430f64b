/* SPDX-License-Identifier: Apache-2.0
 * Validation of a training run's parameters. */
#ifndef HR_TRAIN_VALIDATION_H
#define HR_TRAIN_VALIDATION_H

#include "train/evaluate.h"
#include "train/running.h"

/* Is the network validated once the next epoch is done? */
bool hr_validation_is_due(const struct hr_running *r);
/* Parameters, which are the run's or their average, as a model; theirs to unref. */
enum hr_status hr_validation_model(struct hr_model **out, const struct hr_running *r,
                                   const float *params) HR_WARN_UNUSED;
/* Where it is due: fills *seen.  best: of the epochs before, moved. */
enum hr_status hr_validation_run(struct hr_running *r, struct hr_model *model,
                                 struct hr_evaluation *seen, double *best,
                                 bool *is_best) HR_WARN_UNUSED;

#endif
