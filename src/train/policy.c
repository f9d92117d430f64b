/* SPDX-License-Identifier: Apache-2.0
 * Policies.  The one idea: every scheme comes down to a drawn list of (operation, argument); the
 * schemes differ in how they draw and in how a strength becomes an argument.
 *
 * Sources: Cubuk et al. 2018 (AutoAugment, table 9) and 2019 (RandAugment), Hendrycks et al. 2019
 * (AugMix), paddleclas.md 5.9. */
#include "train/policy.h"

#include <math.h>

#include "train/policy_act.h"
#include "train/policy_mix.h"
#include "train/policy_timm.h"

/* PaddleClas's argument of a strength `share` from 0 to 1: the largest values are 0.3 for a shear,
 * 150/331 of the side for a translation, 30 degrees, 0.9 around 1 for colours. */
static struct hr_action paddle_action(enum hr_act op, double share, const struct hr_image *image,
                                      const uint8_t *fill, struct hr_random *random)
{
    struct hr_action a = { .op = op, .filter = HR_WARP_NEAREST, .fill = fill };
    switch (op) {
    case HR_ACT_ROTATE:
        a.argument = 30.0 * share;
        break;
    case HR_ACT_COLOR:
    case HR_ACT_CONTRAST:
    case HR_ACT_BRIGHTNESS:
    case HR_ACT_SHARPNESS:
        a.argument = 1.0 + hr_act_sign(random, 0.9 * share);
        break;
    case HR_ACT_SHEAR_X:
    case HR_ACT_SHEAR_Y:
        a.filter = HR_WARP_BICUBIC;
        a.argument = hr_act_sign(random, 0.3 * share);
        break;
    case HR_ACT_TRANSLATE_X:
    case HR_ACT_TRANSLATE_Y:
        a.argument = hr_act_sign(random, 150.0 / 331.0 * share * hr_act_side(image, op));
        break;
    default:
        break;
    }
    return a;
}

/* Ten strengths from 0 to 9: posterize keeps 8 to 4 bits, solarize starts at 256 to 0. */
static enum hr_status auto_augment(const struct hr_augment_step *step, struct hr_random *random,
                                   struct hr_image *image)
{
    const uint8_t gray = (uint8_t)step->number[HR_AUTO_FILL], fill[3] = { gray, gray, gray };
    const struct hr_act_half *const pair = hr_act_original[hr_random_below(random, HR_ACT_PAIRS)];
    for (int i = 0; i < 2; i++) {
        if (hr_random_unit(random) >= pair[i].p)
            continue;
        const double share = pair[i].level / 9.0;
        struct hr_action a = paddle_action(pair[i].op, share, image, fill, random);
        if (a.op == HR_ACT_POSTERIZE)
            a.argument = rint(8.0 - 4.0 * share);
        if (a.op == HR_ACT_SOLARIZE)
            a.argument = 256.0 - 256.0 * share;
        HR_TRY(hr_act(&a, image));
    }
    return HR_OK;
}

/* ---- RandAugment as PaddleClas has it ---- */

static enum hr_status rand_augment(const struct hr_augment_step *step, struct hr_random *random,
                                   struct hr_image *image)
{
    static const enum hr_act ops[14] = { HR_ACT_SHEAR_X,     HR_ACT_SHEAR_Y,    HR_ACT_TRANSLATE_X,
                                         HR_ACT_TRANSLATE_Y, HR_ACT_ROTATE,     HR_ACT_COLOR,
                                         HR_ACT_POSTERIZE,   HR_ACT_SOLARIZE,   HR_ACT_CONTRAST,
                                         HR_ACT_SHARPNESS,   HR_ACT_BRIGHTNESS, HR_ACT_AUTOCONTRAST,
                                         HR_ACT_EQUALIZE,    HR_ACT_INVERT };
    const uint8_t gray = (uint8_t)step->number[HR_RAND_FILL], fill[3] = { gray, gray, gray };
    const double share = step->number[HR_RAND_M] / 10.0;
    for (int i = 0; i < (int)step->number[HR_RAND_N]; i++) {
        const enum hr_act op = ops[hr_random_below(random, HR_COUNT(ops))];
        struct hr_action a = paddle_action(op, share, image, fill, random);
        if (op == HR_ACT_POSTERIZE)
            a.argument = (double)(int)(4.0 * share);
        if (op == HR_ACT_SOLARIZE)
            a.argument = 256.0 * share;
        HR_TRY(hr_act(&a, image));
    }
    return HR_OK;
}

/* ---- AugMix ---- */

/* PaddleClas's nine; a strength is drawn from 0.1 to the severity. */
static enum hr_status paddle_branch(const struct hr_augment_step *step, const uint8_t *fill,
                                    struct hr_random *random, struct hr_image *image)
{
    static const enum hr_act ops[9] = {
        HR_ACT_AUTOCONTRAST, HR_ACT_EQUALIZE,    HR_ACT_POSTERIZE,
        HR_ACT_ROTATE,       HR_ACT_SOLARIZE,    HR_ACT_SHEAR_X,
        HR_ACT_SHEAR_Y,      HR_ACT_TRANSLATE_X, HR_ACT_TRANSLATE_Y
    };
    const enum hr_act op = ops[hr_random_below(random, HR_COUNT(ops))];
    const double level = hr_random_between(random, 0.1, step->number[HR_AUGMIX_SEVERITY]) / 10.0;
    struct hr_action a = { .op = op, .filter = HR_WARP_BILINEAR, .fill = fill };
    if (op == HR_ACT_POSTERIZE)
        a.argument = 4.0 - (double)(int)(level * 4.0);
    else if (op == HR_ACT_SOLARIZE)
        a.argument = 256.0 - (double)(int)(level * 256.0);
    else if (op == HR_ACT_ROTATE)
        a.argument = hr_act_sign(random, (double)(int)(level * 30.0));
    else if (op == HR_ACT_SHEAR_X || op == HR_ACT_SHEAR_Y)
        a.argument = hr_act_sign(random, level * 0.3);
    else if (op == HR_ACT_TRANSLATE_X || op == HR_ACT_TRANSLATE_Y)
        a.argument = hr_act_sign(random, (double)(int)(level * hr_act_side(image, op) / 3.0));
    return hr_act(&a, image);
}

static enum hr_status paddle_augmix(const struct hr_augment_step *step, struct hr_random *random,
                                    struct hr_image *image)
{
    static const uint8_t black[3] = { 0 };
    struct hr_augmix mix = { .step = step,
                             .fill = black,
                             .branch = paddle_branch,
                             .width = (int)step->number[HR_AUGMIX_WIDTH],
                             .depth = (int)step->number[HR_AUGMIX_DEPTH],
                             .alpha = step->number[HR_AUGMIX_COEFF] };
    return hr_augmix_apply(&mix, random, image);
}

/* ---- All ---- */

enum hr_status hr_policy_apply(const struct hr_augment_step *step, const uint8_t fill[3],
                               struct hr_random *random, struct hr_image *image)
{
    switch (step->kind) {
    case HR_AUGMENT_AUTO:
        return auto_augment(step, random, image);
    case HR_AUGMENT_RAND:
        return rand_augment(step, random, image);
    case HR_AUGMENT_AUGMIX:
        return paddle_augmix(step, random, image);
    default:
        return hr_policy_timm(step, fill, random, image);
    }
}
