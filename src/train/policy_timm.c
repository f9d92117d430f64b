/* SPDX-License-Identifier: Apache-2.0
 * timm's strings (its documentation of them): how a strength becomes an argument, and what each
 * policy draws.  Checked against timm 1.0.31. */
#include "train/policy_timm.h"

#include <math.h>

#include "train/policy_act.h"
#include "train/policy_mix.h"

/* timm's "v0". */
static const struct hr_act_half v0[HR_ACT_PAIRS][2] = {
    { { HR_ACT_EQUALIZE, 0.8, 1 }, { HR_ACT_SHEAR_Y, 0.8, 4 } },
    { { HR_ACT_COLOR, 0.4, 9 }, { HR_ACT_EQUALIZE, 0.6, 3 } },
    { { HR_ACT_COLOR, 0.4, 1 }, { HR_ACT_ROTATE, 0.6, 8 } },
    { { HR_ACT_SOLARIZE, 0.8, 3 }, { HR_ACT_EQUALIZE, 0.4, 7 } },
    { { HR_ACT_SOLARIZE, 0.4, 2 }, { HR_ACT_SOLARIZE, 0.6, 2 } },
    { { HR_ACT_COLOR, 0.2, 0 }, { HR_ACT_EQUALIZE, 0.8, 8 } },
    { { HR_ACT_EQUALIZE, 0.4, 8 }, { HR_ACT_SOLARIZE_ADD, 0.8, 3 } },
    { { HR_ACT_SHEAR_X, 0.2, 9 }, { HR_ACT_ROTATE, 0.6, 8 } },
    { { HR_ACT_COLOR, 0.6, 1 }, { HR_ACT_EQUALIZE, 1.0, 2 } },
    { { HR_ACT_INVERT, 0.4, 9 }, { HR_ACT_ROTATE, 0.6, 0 } },
    { { HR_ACT_EQUALIZE, 1.0, 9 }, { HR_ACT_SHEAR_Y, 0.6, 3 } },
    { { HR_ACT_COLOR, 0.4, 7 }, { HR_ACT_EQUALIZE, 0.6, 0 } },
    { { HR_ACT_POSTERIZE, 0.4, 6 }, { HR_ACT_AUTOCONTRAST, 0.4, 7 } },
    { { HR_ACT_SOLARIZE, 0.6, 8 }, { HR_ACT_COLOR, 0.6, 9 } },
    { { HR_ACT_SOLARIZE, 0.2, 4 }, { HR_ACT_ROTATE, 0.8, 9 } },
    { { HR_ACT_ROTATE, 1.0, 7 }, { HR_ACT_TRANSLATE_Y, 0.8, 9 } },
    { { HR_ACT_SHEAR_X, 0.0, 0 }, { HR_ACT_SOLARIZE, 0.8, 4 } },
    { { HR_ACT_SHEAR_Y, 0.8, 0 }, { HR_ACT_COLOR, 0.6, 4 } },
    { { HR_ACT_COLOR, 1.0, 0 }, { HR_ACT_ROTATE, 0.6, 2 } },
    { { HR_ACT_EQUALIZE, 0.8, 4 }, { HR_ACT_EQUALIZE, 0.0, 8 } },
    { { HR_ACT_EQUALIZE, 1.0, 4 }, { HR_ACT_AUTOCONTRAST, 0.6, 2 } },
    { { HR_ACT_SHEAR_Y, 0.4, 7 }, { HR_ACT_SOLARIZE_ADD, 0.6, 7 } },
    { { HR_ACT_POSTERIZE, 0.8, 2 }, { HR_ACT_SOLARIZE, 0.6, 10 } },
    { { HR_ACT_SOLARIZE, 0.6, 8 }, { HR_ACT_EQUALIZE, 0.6, 1 } },
    { { HR_ACT_COLOR, 0.8, 6 }, { HR_ACT_ROTATE, 0.4, 5 } },
};

/* The argument of a strength of 10.  `increasing`: more strength is always more change. */
static double timm_argument(enum hr_act op, double level, bool increasing,
                            const struct hr_image *image, struct hr_random *random)
{
    const double share = level / 10.0;
    switch (op) {
    case HR_ACT_ROTATE:
        return hr_act_sign(random, share * 30.0);
    case HR_ACT_SHEAR_X:
    case HR_ACT_SHEAR_Y:
        return hr_act_sign(random, share * 0.3);
    case HR_ACT_TRANSLATE_X:
    case HR_ACT_TRANSLATE_Y:
        return hr_act_sign(random, share * 0.45) * hr_act_side(image, op);
    case HR_ACT_COLOR:
    case HR_ACT_CONTRAST:
    case HR_ACT_BRIGHTNESS:
    case HR_ACT_SHARPNESS:
        return increasing ? fmax(0.1, 1.0 + hr_act_sign(random, share * 0.9)) : share * 1.8 + 0.1;
    case HR_ACT_POSTERIZE: {
        const double bits = (double)(int)(share * 4.0);
        const double kept = increasing ? 4.0 - bits : bits;
        return kept < 0.0 ? 0.0 : kept > 8.0 ? 8.0 : kept;
    }
    case HR_ACT_SOLARIZE: {
        const double threshold = fmin(256.0, (double)(int)(share * 256.0));
        return increasing ? 256.0 - threshold : threshold;
    }
    case HR_ACT_SOLARIZE_ADD:
        return fmin(128.0, (double)(int)(share * 110.0));
    case HR_ACT_BLUR:
        return 0.1 + 1.9 * fmin(1.0, share);
    default:
        return 0.0;
    }
}

/* A strength around m: normal, or even from 0 to m where the deviation is above 100. */
static double timm_level(const struct hr_augment_step *step, double m, struct hr_random *random)
{
    const double deviation = step->number[HR_TIMM_MSTD];
    double level = m;
    if (deviation > 100.0)
        level = hr_random_between(random, 0.0, m);
    else if (deviation > 0.0)
        level = m + deviation * hr_random_normal(random);
    return fmax(0.0, fmin(level, step->number[HR_TIMM_MMAX]));
}

static enum hr_warp_filter filter_of(double number, struct hr_random *random)
{
    const bool linear = number == 1.0 || (number == 2.0 && hr_random_unit(random) < 0.5);
    return linear ? HR_WARP_BILINEAR : HR_WARP_BICUBIC;
}

struct timm_draw {
    enum hr_act op;
    double p, m;
    bool increasing, original_bits; /* posterize keeps 4 bits more: "original" */
    bool grays;                     /* a COLOR that takes half of the colour or more */
    bool blurs_at_random;           /* by up to what the strength says */
};

static enum hr_status timm_act(const struct hr_augment_step *step, const struct timm_draw *draw,
                               const uint8_t *fill, struct hr_random *random,
                               struct hr_image *image)
{
    if (draw->p < 1.0 && hr_random_unit(random) >= draw->p)
        return HR_OK;
    const double level = timm_level(step, draw->m, random);
    struct hr_action a = { .op = draw->op, .fill = fill };
    if (!draw->grays && !draw->blurs_at_random)
        a.argument = timm_argument(draw->op, level, draw->increasing, image, random);
    if (draw->grays)
        a.argument = 0.5 - 0.5 * fmin(1.0, level / 10.0);
    if (draw->blurs_at_random)
        a.argument = hr_random_between(random, 0.1, 2.0 * fmin(1.0, level / 10.0));
    if (draw->op == HR_ACT_POSTERIZE && draw->original_bits)
        a.argument = fmin(8.0, a.argument + 4.0);
    a.filter = filter_of(step->number[HR_TIMM_FILTER], random);
    return hr_act(&a, image);
}

/* "original" and "v0", and with r those whose posterize increases. */
static enum hr_status timm_auto(const struct hr_augment_step *step, const uint8_t *fill,
                                struct hr_random *random, struct hr_image *image)
{
    const int policy = (int)step->number[HR_TIMM_POLICY];
    const bool first = policy == HR_TIMM_ORIGINAL || policy == HR_TIMM_ORIGINALR;
    const struct hr_act_half(*table)[2] = first ? hr_act_original : v0;
    const struct hr_act_half *const pair = table[hr_random_below(random, HR_ACT_PAIRS)];
    for (int i = 0; i < 2; i++) {
        const struct timm_draw draw = {
            .op = pair[i].op,
            .p = pair[i].p,
            .m = pair[i].level,
            .increasing = pair[i].op == HR_ACT_POSTERIZE &&
                          (policy == HR_TIMM_ORIGINALR || policy == HR_TIMM_V0R),
            .original_bits = policy == HR_TIMM_ORIGINAL,
        };
        HR_TRY(timm_act(step, &draw, fill, random, image));
    }
    return HR_OK;
}

/* ---- RandAugment's sets of operations ---- */

#define MOST_OPS    15
#define MOST_LAYERS 16

struct choice {
    enum hr_act op;
    double weight;
    bool grays;
};

struct set {
    const struct choice *choices;
    size_t count;
    bool weighted;   /* then none is drawn twice */
    bool increasing; /* whatever the string says */
};

/* In timm's order; weights are those of "w0", of older versions. */
static const struct choice usual[15] = {
    { HR_ACT_AUTOCONTRAST, 0.025, false }, { HR_ACT_EQUALIZE, 0.005, false },
    { HR_ACT_INVERT, 0.0, false },         { HR_ACT_ROTATE, 0.3, false },
    { HR_ACT_POSTERIZE, 0.0, false },      { HR_ACT_SOLARIZE, 0.005, false },
    { HR_ACT_SOLARIZE_ADD, 0.005, false }, { HR_ACT_COLOR, 0.025, false },
    { HR_ACT_CONTRAST, 0.005, false },     { HR_ACT_BRIGHTNESS, 0.005, false },
    { HR_ACT_SHARPNESS, 0.025, false },    { HR_ACT_SHEAR_X, 0.2, false },
    { HR_ACT_SHEAR_Y, 0.2, false },        { HR_ACT_TRANSLATE_X, 0.1, false },
    { HR_ACT_TRANSLATE_Y, 0.1, false }
};
/* "tweights" */
static const struct choice weighted[15] = {
    { HR_ACT_ROTATE, 3.0, false },      { HR_ACT_SHEAR_X, 2.0, false },
    { HR_ACT_SHEAR_Y, 2.0, false },     { HR_ACT_TRANSLATE_X, 1.0, false },
    { HR_ACT_TRANSLATE_Y, 1.0, false }, { HR_ACT_COLOR, 0.25, false },
    { HR_ACT_SHARPNESS, 0.25, false },  { HR_ACT_AUTOCONTRAST, 0.25, false },
    { HR_ACT_SOLARIZE, 0.05, false },   { HR_ACT_SOLARIZE_ADD, 0.05, false },
    { HR_ACT_CONTRAST, 0.05, false },   { HR_ACT_BRIGHTNESS, 0.05, false },
    { HR_ACT_EQUALIZE, 0.05, false },   { HR_ACT_POSTERIZE, 0.05, false },
    { HR_ACT_INVERT, 0.05, false }
};
/* "t3a", of Touvron et al. 2022's 3-Augment, and "t3aw" */
static const struct choice three[3] = { { HR_ACT_SOLARIZE, 1.0, false },
                                        { HR_ACT_COLOR, 1.0, true },
                                        { HR_ACT_BLUR, 1.0, false } };
static const struct choice three_weighted[14] = {
    { HR_ACT_SOLARIZE, 6.0, false },  { HR_ACT_COLOR, 6.0, true },
    { HR_ACT_BLUR, 6.0, false },      { HR_ACT_ROTATE, 3.0, false },
    { HR_ACT_SHEAR_X, 2.0, false },   { HR_ACT_SHEAR_Y, 2.0, false },
    { HR_ACT_POSTERIZE, 1.0, false }, { HR_ACT_AUTOCONTRAST, 1.0, false },
    { HR_ACT_COLOR, 1.0, false },     { HR_ACT_SHARPNESS, 1.0, false },
    { HR_ACT_CONTRAST, 1.0, false },  { HR_ACT_BRIGHTNESS, 1.0, false },
    { HR_ACT_EQUALIZE, 1.0, false },  { HR_ACT_INVERT, 1.0, false }
};
static const struct set sets[] = { /* by the words of `weights` */
                                   { usual, HR_COUNT(usual), false, false },
                                   { usual, HR_COUNT(usual), true, false },
                                   { weighted, HR_COUNT(weighted), true, true },
                                   { three, HR_COUNT(three), false, true },
                                   { three_weighted, HR_COUNT(three_weighted), true, true }
};

static size_t possible(const struct set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++)
        count += set->choices[i].weight > 0.0;
    return count;
}

/* One of those not yet taken, by their weights. */
static size_t draw_weighted(const struct set *set, struct hr_random *random, bool *taken)
{
    double sum = 0.0, at;
    size_t last = 0;
    for (size_t i = 0; i < set->count; i++)
        sum += taken[i] ? 0.0 : set->choices[i].weight;
    at = hr_random_between(random, 0.0, sum);
    for (size_t i = 0; i < set->count; i++) {
        if (taken[i] || set->choices[i].weight <= 0.0)
            continue;
        last = i;
        at -= set->choices[i].weight;
        if (at < 0.0)
            break;
    }
    taken[last] = true;
    return last;
}

static enum hr_status timm_rand(const struct hr_augment_step *step, const uint8_t *fill,
                                struct hr_random *random, struct hr_image *image)
{
    bool taken[MOST_OPS] = { false };
    const struct set *const set = &sets[(int)step->number[HR_TIMM_WEIGHTS]];
    const size_t asked = (size_t)step->number[HR_TIMM_N], most = possible(set);
    const size_t layers = set->weighted && asked > most ? most : asked;
    size_t drawn[MOST_LAYERS];
    for (size_t i = 0; i < layers; i++) /* all before the first runs */
        drawn[i] = set->weighted ? draw_weighted(set, random, taken)
                                 : hr_random_below(random, (uint32_t)set->count);
    for (size_t i = 0; i < layers; i++) {
        const struct choice *const choice = &set->choices[drawn[i]];
        const struct timm_draw draw = { .op = choice->op,
                                        .p = step->number[HR_TIMM_CHANCE],
                                        .m = step->number[HR_TIMM_M],
                                        .grays = choice->grays,
                                        .increasing =
                                            set->increasing || step->number[HR_TIMM_INC] != 0.0 };
        HR_TRY(timm_act(step, &draw, fill, random, image));
    }
    return HR_OK;
}

/* "3a": solarize, gray, or blur. */
static enum hr_status timm_three(const struct hr_augment_step *step, const uint8_t *fill,
                                 struct hr_random *random, struct hr_image *image)
{
    static const struct timm_draw draws[3] = {
        { .op = HR_ACT_SOLARIZE, .p = 1.0, .m = 5.0 },
        { .op = HR_ACT_COLOR, .p = 1.0, .m = 10.0, .grays = true },
        { .op = HR_ACT_BLUR, .p = 1.0, .m = 10.0, .blurs_at_random = true }
    };
    return timm_act(step, &draws[hr_random_below(random, 3)], fill, random, image);
}

/* ---- AugMix ---- */

/* timm's thirteen: all of its operations but invert and the one that adds. */
static enum hr_status timm_branch(const struct hr_augment_step *step, const uint8_t *fill,
                                  struct hr_random *random, struct hr_image *image)
{
    static const enum hr_act ops[13] = { HR_ACT_AUTOCONTRAST, HR_ACT_COLOR,     HR_ACT_CONTRAST,
                                         HR_ACT_BRIGHTNESS,   HR_ACT_SHARPNESS, HR_ACT_EQUALIZE,
                                         HR_ACT_ROTATE,       HR_ACT_POSTERIZE, HR_ACT_SOLARIZE,
                                         HR_ACT_SHEAR_X,      HR_ACT_SHEAR_Y,   HR_ACT_TRANSLATE_X,
                                         HR_ACT_TRANSLATE_Y };
    const struct timm_draw draw = { .op = ops[hr_random_below(random, HR_COUNT(ops))],
                                    .p = 1.0,
                                    .m = step->number[HR_TIMM_M],
                                    .increasing = true };
    return timm_act(step, &draw, fill, random, image);
}

static enum hr_status timm_augmix(const struct hr_augment_step *step, const uint8_t *fill,
                                  struct hr_random *random, struct hr_image *image)
{
    struct hr_augmix mix = { .step = step,
                             .fill = fill,
                             .branch = timm_branch,
                             .how = step->number[HR_TIMM_BLENDED] != 0.0 ? HR_AUGMIX_BLENDED
                                                                         : HR_AUGMIX_TIMM,
                             .width = (int)step->number[HR_TIMM_N],
                             .depth = (int)step->number[HR_TIMM_DEPTH],
                             .alpha = step->number[HR_TIMM_ALPHA] };
    return hr_augmix_apply(&mix, random, image);
}

/* ---- All ---- */

enum hr_status hr_policy_timm(const struct hr_augment_step *step, const uint8_t fill[3],
                              struct hr_random *random, struct hr_image *image)
{
    switch ((int)step->number[HR_TIMM_POLICY]) {
    case HR_TIMM_RAND:
        return timm_rand(step, fill, random, image);
    case HR_TIMM_AUGMIX:
        return timm_augmix(step, fill, random, image);
    case HR_TIMM_THREE:
        return timm_three(step, fill, random, image);
    default:
        return timm_auto(step, fill, random, image);
    }
}
