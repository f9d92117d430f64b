/* SPDX-License-Identifier: Apache-2.0
 * Pillow's operations with an argument, which policies draw. */
#ifndef HR_TRAIN_POLICY_ACT_H
#define HR_TRAIN_POLICY_ACT_H

#include "base/rng.h"
#include "image/image.h"
#include "image/warp.h"

enum hr_act {
    HR_ACT_AUTOCONTRAST,
    HR_ACT_EQUALIZE,
    HR_ACT_INVERT,
    HR_ACT_POSTERIZE,
    HR_ACT_SOLARIZE,
    HR_ACT_SOLARIZE_ADD,
    HR_ACT_COLOR,
    HR_ACT_CONTRAST,
    HR_ACT_BRIGHTNESS,
    HR_ACT_SHARPNESS,
    HR_ACT_ROTATE,
    HR_ACT_SHEAR_X,
    HR_ACT_SHEAR_Y,
    HR_ACT_TRANSLATE_X,
    HR_ACT_TRANSLATE_Y,
    HR_ACT_BLUR,
    HR_ACTS
};

struct hr_action {
    enum hr_act op;
    double argument; /* bits, threshold, factor, degrees, tangent, px; of BLUR its deviation, px */
    enum hr_warp_filter filter;
    const uint8_t *fill;
};
enum hr_status hr_act(const struct hr_action *action, struct hr_image *image) HR_WARN_UNUSED;

/* The side along which it translates. */
double hr_act_side(const struct hr_image *image, enum hr_act op);
double hr_act_sign(struct hr_random *random, double value); /* either one */

/* AutoAugment: two operations, each with its chance and its strength of 10. */
#define HR_ACT_PAIRS 25
struct hr_act_half {
    enum hr_act op;
    double p, level;
};
/* For ImageNet, as the paper lists them; timm's "original" is the same table. */
extern const struct hr_act_half hr_act_original[HR_ACT_PAIRS][2];

#endif
