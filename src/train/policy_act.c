/* SPDX-License-Identifier: Apache-2.0
 * Operations as a table of what they do, and AutoAugment's list of pairs (Cubuk et al. 2018, table
 * 9). */
#include "train/policy_act.h"

#include "image/blur.h"
#include "image/tone.h"

static enum hr_status warp(const struct hr_action *a, struct hr_image *image)
{
    static const int place[HR_ACTS] = { [HR_ACT_SHEAR_X] = 1,
                                        [HR_ACT_SHEAR_Y] = 3,
                                        [HR_ACT_TRANSLATE_X] = 2,
                                        [HR_ACT_TRANSLATE_Y] = 5 };
    double matrix[6] = { 1.0, 0.0, 0.0, 0.0, 1.0, 0.0 };
    matrix[place[a->op]] = a->argument;
    return hr_warp_affine(image, matrix, a->filter, a->fill);
}

enum hr_status hr_act(const struct hr_action *a, struct hr_image *image)
{
    switch (a->op) {
    case HR_ACT_AUTOCONTRAST:
        hr_tone_autocontrast(image);
        return HR_OK;
    case HR_ACT_EQUALIZE:
        hr_tone_equalize(image);
        return HR_OK;
    case HR_ACT_INVERT:
        hr_tone_invert(image);
        return HR_OK;
    case HR_ACT_POSTERIZE:
        hr_tone_posterize(image, (int)a->argument);
        return HR_OK;
    case HR_ACT_SOLARIZE:
        hr_tone_solarize(image, a->argument);
        return HR_OK;
    case HR_ACT_SOLARIZE_ADD:
        hr_tone_solarize_add(image, (int)a->argument);
        return HR_OK;
    case HR_ACT_COLOR:
        hr_tone_color(image, a->argument);
        return HR_OK;
    case HR_ACT_CONTRAST:
        hr_tone_contrast(image, a->argument);
        return HR_OK;
    case HR_ACT_BRIGHTNESS:
        hr_tone_brightness(image, a->argument);
        return HR_OK;
    case HR_ACT_SHARPNESS:
        return hr_tone_sharpness(image, a->argument);
    case HR_ACT_BLUR:
        return hr_blur_gaussian(image, a->argument);
    case HR_ACT_ROTATE:
        return hr_warp_rotate(image, a->argument, a->filter, a->fill);
    default:
        return warp(a, image);
    }
}

double hr_act_side(const struct hr_image *image, enum hr_act op)
{
    return (double)(op == HR_ACT_TRANSLATE_X ? image->width : image->height);
}

double hr_act_sign(struct hr_random *random, double value)
{
    return hr_random_unit(random) < 0.5 ? -value : value;
}

const struct hr_act_half hr_act_original[HR_ACT_PAIRS][2] = {
    { { HR_ACT_POSTERIZE, 0.4, 8 }, { HR_ACT_ROTATE, 0.6, 9 } },
    { { HR_ACT_SOLARIZE, 0.6, 5 }, { HR_ACT_AUTOCONTRAST, 0.6, 5 } },
    { { HR_ACT_EQUALIZE, 0.8, 8 }, { HR_ACT_EQUALIZE, 0.6, 3 } },
    { { HR_ACT_POSTERIZE, 0.6, 7 }, { HR_ACT_POSTERIZE, 0.6, 6 } },
    { { HR_ACT_EQUALIZE, 0.4, 7 }, { HR_ACT_SOLARIZE, 0.2, 4 } },
    { { HR_ACT_EQUALIZE, 0.4, 4 }, { HR_ACT_ROTATE, 0.8, 8 } },
    { { HR_ACT_SOLARIZE, 0.6, 3 }, { HR_ACT_EQUALIZE, 0.6, 7 } },
    { { HR_ACT_POSTERIZE, 0.8, 5 }, { HR_ACT_EQUALIZE, 1.0, 2 } },
    { { HR_ACT_ROTATE, 0.2, 3 }, { HR_ACT_SOLARIZE, 0.6, 8 } },
    { { HR_ACT_EQUALIZE, 0.6, 8 }, { HR_ACT_POSTERIZE, 0.4, 6 } },
    { { HR_ACT_ROTATE, 0.8, 8 }, { HR_ACT_COLOR, 0.4, 0 } },
    { { HR_ACT_ROTATE, 0.4, 9 }, { HR_ACT_EQUALIZE, 0.6, 2 } },
    { { HR_ACT_EQUALIZE, 0.0, 7 }, { HR_ACT_EQUALIZE, 0.8, 8 } },
    { { HR_ACT_INVERT, 0.6, 4 }, { HR_ACT_EQUALIZE, 1.0, 8 } },
    { { HR_ACT_COLOR, 0.6, 4 }, { HR_ACT_CONTRAST, 1.0, 8 } },
    { { HR_ACT_ROTATE, 0.8, 8 }, { HR_ACT_COLOR, 1.0, 2 } },
    { { HR_ACT_COLOR, 0.8, 8 }, { HR_ACT_SOLARIZE, 0.8, 7 } },
    { { HR_ACT_SHARPNESS, 0.4, 7 }, { HR_ACT_INVERT, 0.6, 8 } },
    { { HR_ACT_SHEAR_X, 0.6, 5 }, { HR_ACT_EQUALIZE, 1.0, 9 } },
    { { HR_ACT_COLOR, 0.4, 0 }, { HR_ACT_EQUALIZE, 0.6, 3 } },
    { { HR_ACT_EQUALIZE, 0.4, 7 }, { HR_ACT_SOLARIZE, 0.2, 4 } },
    { { HR_ACT_SOLARIZE, 0.6, 5 }, { HR_ACT_AUTOCONTRAST, 0.6, 5 } },
    { { HR_ACT_INVERT, 0.6, 4 }, { HR_ACT_EQUALIZE, 1.0, 8 } },
    { { HR_ACT_COLOR, 0.6, 4 }, { HR_ACT_CONTRAST, 1.0, 8 } },
    { { HR_ACT_EQUALIZE, 0.8, 8 }, { HR_ACT_EQUALIZE, 0.6, 3 } },
};
