/* SPDX-License-Identifier: Apache-2.0
 * AugMix (Hendrycks et al. 2019): chains of operations, mixed with each other and with the picture.
 */
#ifndef HR_TRAIN_POLICY_MIX_H
#define HR_TRAIN_POLICY_MIX_H

#include "base/rng.h"
#include "image/image.h"
#include "train/augment.h"

#define HR_MIX_WIDTH 16 /* branches, at most */

/* What makes one branch longer: PaddleClas's and timm's operations differ. */
typedef enum hr_status hr_augmix_fn(const struct hr_augment_step *step, const uint8_t *fill,
                                    struct hr_random *random, struct hr_image *image);

enum hr_augmix_how {
    HR_AUGMIX_PADDLE, /* mixes in floats */
    HR_AUGMIX_TIMM,   /* makes a picture of the sum first and blends that */
    HR_AUGMIX_BLENDED /* timm's too: blends branch after branch into the picture */
};

struct hr_augmix {
    const struct hr_augment_step *step;
    const uint8_t *fill;
    hr_augmix_fn *branch;
    enum hr_augmix_how how;
    int width, depth; /* depth 0: 1 to 3 at random */
    double alpha;
    float weights[HR_MIX_WIDTH], share; /* drawn */
};
enum hr_status hr_augmix_apply(struct hr_augmix *mix, struct hr_random *random,
                               struct hr_image *image) HR_WARN_UNUSED;

#endif
