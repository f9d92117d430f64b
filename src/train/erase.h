/* SPDX-License-Identifier: Apache-2.0
 * Augmentations that take parts of a picture away: random erasing, cutout, hide-and-seek, grid
 * mask.  They work on normalised planes, where 0 is the mean colour. */
#ifndef HR_TRAIN_ERASE_H
#define HR_TRAIN_ERASE_H

#include "base/rng.h"
#include "train/augment.h"

/* Applies a step of the stage FLOATS to x float32 [3][height][width]. */
enum hr_status hr_erase_apply(const struct hr_augment_step *step, struct hr_random *random,
                              float *x, int64_t height, int64_t width) HR_WARN_UNUSED;

#endif
