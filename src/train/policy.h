/* SPDX-License-Identifier: Apache-2.0
 * AutoAugment, RandAugment, timm's variants and AugMix: chains of Pillow's operations drawn at
 * random. */
#ifndef HR_TRAIN_POLICY_H
#define HR_TRAIN_POLICY_H

#include "base/rng.h"
#include "image/image.h"
#include "train/augment.h"

/* Applies a step of kind AUTO, RAND, TIMM or AUGMIX.  fill: RGB of what a warp uncovers with TIMM;
 * the others have their own. */
enum hr_status hr_policy_apply(const struct hr_augment_step *step, const uint8_t fill[3],
                               struct hr_random *random, struct hr_image *image) HR_WARN_UNUSED;

#endif
