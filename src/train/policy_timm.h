/* SPDX-License-Identifier: Apache-2.0
 * timm's policies. */
#ifndef HR_TRAIN_POLICY_TIMM_H
#define HR_TRAIN_POLICY_TIMM_H

#include "base/rng.h"
#include "image/image.h"
#include "train/augment.h"

/* Applies a step of kind TIMM.  fill: RGB of what a warp uncovers. */
enum hr_status hr_policy_timm(const struct hr_augment_step *step, const uint8_t fill[3],
                              struct hr_random *random, struct hr_image *image) HR_WARN_UNUSED;

#endif
