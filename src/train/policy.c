/* SPDX-License-Identifier: Apache-2.0
 * Policies.  The one idea: every scheme comes down to a drawn list of (operation, argument); the
 * schemes differ in how they draw and in how a strength becomes an argument.
 *
 * Sources: Cubuk et al. 2018 (AutoAugment, table 9) and 2019 (RandAugment), Hendrycks et al. 2019
 * (AugMix), paddleclas.md 5.9, timm's documentation of its strings. */
#include "train/policy.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/tone.h"
#include "image/warp.h"

enum op {
    AUTOCONTRAST,
    EQUALIZE,
    INVERT,
    POSTERIZE,
    SOLARIZE,
    SOLARIZE_ADD,
    COLOR,
    CONTRAST,
    BRIGHTNESS,
    SHARPNESS,
    ROTATE,
    SHEAR_X,
    SHEAR_Y,
    TRANSLATE_X,
    TRANSLATE_Y,
    OPS
};

/* ---- An operation with its argument ---- */

struct action {
    enum op op;
    double argument; /* bits, threshold, factor, degrees, tangent, px */
    enum hr_warp_filter filter;
    const uint8_t *fill;
};

static enum hr_status warp(const struct action *a, struct hr_image *image)
{
    static const int place[OPS] = {
        [SHEAR_X] = 1, [SHEAR_Y] = 3, [TRANSLATE_X] = 2, [TRANSLATE_Y] = 5
    };
    double matrix[6] = { 1.0, 0.0, 0.0, 0.0, 1.0, 0.0 };
    matrix[place[a->op]] = a->argument;
    return hr_warp_affine(image, matrix, a->filter, a->fill);
}

static enum hr_status act(const struct action *a, struct hr_image *image)
{
    switch (a->op) {
    case AUTOCONTRAST:
        hr_tone_autocontrast(image);
        return HR_OK;
    case EQUALIZE:
        hr_tone_equalize(image);
        return HR_OK;
    case INVERT:
        hr_tone_invert(image);
        return HR_OK;
    case POSTERIZE:
        hr_tone_posterize(image, (int)a->argument);
        return HR_OK;
    case SOLARIZE:
        hr_tone_solarize(image, a->argument);
        return HR_OK;
    case SOLARIZE_ADD:
        hr_tone_solarize_add(image, (int)a->argument);
        return HR_OK;
    case COLOR:
        hr_tone_color(image, a->argument);
        return HR_OK;
    case CONTRAST:
        hr_tone_contrast(image, a->argument);
        return HR_OK;
    case BRIGHTNESS:
        hr_tone_brightness(image, a->argument);
        return HR_OK;
    case SHARPNESS:
        return hr_tone_sharpness(image, a->argument);
    case ROTATE:
        return hr_warp_rotate(image, a->argument, a->filter, a->fill);
    default:
        return warp(a, image);
    }
}

static double side(const struct hr_image *image, enum op op)
{
    return (double)(op == TRANSLATE_X ? image->width : image->height);
}

static double either_sign(struct hr_random *random, double value)
{
    return hr_random_unit(random) < 0.5 ? -value : value;
}

/* ---- AutoAugment: two operations, each with its chance and its strength of 10 ---- */

struct half {
    enum op op;
    double p, level;
};

/* For ImageNet, as the paper lists them; timm's "original" is the same table. */
static const struct half original[25][2] = {
    { { POSTERIZE, 0.4, 8 }, { ROTATE, 0.6, 9 } },
    { { SOLARIZE, 0.6, 5 }, { AUTOCONTRAST, 0.6, 5 } },
    { { EQUALIZE, 0.8, 8 }, { EQUALIZE, 0.6, 3 } },
    { { POSTERIZE, 0.6, 7 }, { POSTERIZE, 0.6, 6 } },
    { { EQUALIZE, 0.4, 7 }, { SOLARIZE, 0.2, 4 } },
    { { EQUALIZE, 0.4, 4 }, { ROTATE, 0.8, 8 } },
    { { SOLARIZE, 0.6, 3 }, { EQUALIZE, 0.6, 7 } },
    { { POSTERIZE, 0.8, 5 }, { EQUALIZE, 1.0, 2 } },
    { { ROTATE, 0.2, 3 }, { SOLARIZE, 0.6, 8 } },
    { { EQUALIZE, 0.6, 8 }, { POSTERIZE, 0.4, 6 } },
    { { ROTATE, 0.8, 8 }, { COLOR, 0.4, 0 } },
    { { ROTATE, 0.4, 9 }, { EQUALIZE, 0.6, 2 } },
    { { EQUALIZE, 0.0, 7 }, { EQUALIZE, 0.8, 8 } },
    { { INVERT, 0.6, 4 }, { EQUALIZE, 1.0, 8 } },
    { { COLOR, 0.6, 4 }, { CONTRAST, 1.0, 8 } },
    { { ROTATE, 0.8, 8 }, { COLOR, 1.0, 2 } },
    { { COLOR, 0.8, 8 }, { SOLARIZE, 0.8, 7 } },
    { { SHARPNESS, 0.4, 7 }, { INVERT, 0.6, 8 } },
    { { SHEAR_X, 0.6, 5 }, { EQUALIZE, 1.0, 9 } },
    { { COLOR, 0.4, 0 }, { EQUALIZE, 0.6, 3 } },
    { { EQUALIZE, 0.4, 7 }, { SOLARIZE, 0.2, 4 } },
    { { SOLARIZE, 0.6, 5 }, { AUTOCONTRAST, 0.6, 5 } },
    { { INVERT, 0.6, 4 }, { EQUALIZE, 1.0, 8 } },
    { { COLOR, 0.6, 4 }, { CONTRAST, 1.0, 8 } },
    { { EQUALIZE, 0.8, 8 }, { EQUALIZE, 0.6, 3 } },
};

/* timm's "v0". */
static const struct half v0[25][2] = {
    { { EQUALIZE, 0.8, 1 }, { SHEAR_Y, 0.8, 4 } },
    { { COLOR, 0.4, 9 }, { EQUALIZE, 0.6, 3 } },
    { { COLOR, 0.4, 1 }, { ROTATE, 0.6, 8 } },
    { { SOLARIZE, 0.8, 3 }, { EQUALIZE, 0.4, 7 } },
    { { SOLARIZE, 0.4, 2 }, { SOLARIZE, 0.6, 2 } },
    { { COLOR, 0.2, 0 }, { EQUALIZE, 0.8, 8 } },
    { { EQUALIZE, 0.4, 8 }, { SOLARIZE_ADD, 0.8, 3 } },
    { { SHEAR_X, 0.2, 9 }, { ROTATE, 0.6, 8 } },
    { { COLOR, 0.6, 1 }, { EQUALIZE, 1.0, 2 } },
    { { INVERT, 0.4, 9 }, { ROTATE, 0.6, 0 } },
    { { EQUALIZE, 1.0, 9 }, { SHEAR_Y, 0.6, 3 } },
    { { COLOR, 0.4, 7 }, { EQUALIZE, 0.6, 0 } },
    { { POSTERIZE, 0.4, 6 }, { AUTOCONTRAST, 0.4, 7 } },
    { { SOLARIZE, 0.6, 8 }, { COLOR, 0.6, 9 } },
    { { SOLARIZE, 0.2, 4 }, { ROTATE, 0.8, 9 } },
    { { ROTATE, 1.0, 7 }, { TRANSLATE_Y, 0.8, 9 } },
    { { SHEAR_X, 0.0, 0 }, { SOLARIZE, 0.8, 4 } },
    { { SHEAR_Y, 0.8, 0 }, { COLOR, 0.6, 4 } },
    { { COLOR, 1.0, 0 }, { ROTATE, 0.6, 2 } },
    { { EQUALIZE, 0.8, 4 }, { EQUALIZE, 0.0, 8 } },
    { { EQUALIZE, 1.0, 4 }, { AUTOCONTRAST, 0.6, 2 } },
    { { SHEAR_Y, 0.4, 7 }, { SOLARIZE_ADD, 0.6, 7 } },
    { { POSTERIZE, 0.8, 2 }, { SOLARIZE, 0.6, 10 } },
    { { SOLARIZE, 0.6, 8 }, { EQUALIZE, 0.6, 1 } },
    { { COLOR, 0.8, 6 }, { ROTATE, 0.4, 5 } },
};

/* PaddleClas's argument of a strength `share` from 0 to 1: the largest values are 0.3 for a shear,
 * 150/331 of the side for a translation, 30 degrees, 0.9 around 1 for colours. */
static struct action paddle_action(enum op op, double share, const struct hr_image *image,
                                   const uint8_t *fill, struct hr_random *random)
{
    struct action a = { .op = op, .filter = HR_WARP_NEAREST, .fill = fill };
    switch (op) {
    case ROTATE:
        a.argument = 30.0 * share;
        break;
    case COLOR:
    case CONTRAST:
    case BRIGHTNESS:
    case SHARPNESS:
        a.argument = 1.0 + either_sign(random, 0.9 * share);
        break;
    case SHEAR_X:
    case SHEAR_Y:
        a.filter = HR_WARP_BICUBIC;
        a.argument = either_sign(random, 0.3 * share);
        break;
    case TRANSLATE_X:
    case TRANSLATE_Y:
        a.argument = either_sign(random, 150.0 / 331.0 * share * side(image, op));
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
    const struct half *const pair = original[hr_random_below(random, HR_COUNT(original))];
    for (int i = 0; i < 2; i++) {
        if (hr_random_unit(random) >= pair[i].p)
            continue;
        const double share = pair[i].level / 9.0;
        struct action a = paddle_action(pair[i].op, share, image, fill, random);
        if (a.op == POSTERIZE)
            a.argument = rint(8.0 - 4.0 * share);
        if (a.op == SOLARIZE)
            a.argument = 256.0 - 256.0 * share;
        HR_TRY(act(&a, image));
    }
    return HR_OK;
}

/* ---- RandAugment as PaddleClas has it ---- */

static enum hr_status rand_augment(const struct hr_augment_step *step, struct hr_random *random,
                                   struct hr_image *image)
{
    static const enum op ops[14] = { SHEAR_X,    SHEAR_Y,      TRANSLATE_X, TRANSLATE_Y, ROTATE,
                                     COLOR,      POSTERIZE,    SOLARIZE,    CONTRAST,    SHARPNESS,
                                     BRIGHTNESS, AUTOCONTRAST, EQUALIZE,    INVERT };
    const uint8_t gray = (uint8_t)step->number[HR_RAND_FILL], fill[3] = { gray, gray, gray };
    const double share = step->number[HR_RAND_M] / 10.0;
    for (int i = 0; i < (int)step->number[HR_RAND_N]; i++) {
        const enum op op = ops[hr_random_below(random, HR_COUNT(ops))];
        struct action a = paddle_action(op, share, image, fill, random);
        if (op == POSTERIZE)
            a.argument = (double)(int)(4.0 * share);
        if (op == SOLARIZE)
            a.argument = 256.0 * share;
        HR_TRY(act(&a, image));
    }
    return HR_OK;
}

/* ---- timm ---- */

#define TIMM_OPS     15
#define WEIGHTED_OPS 13 /* of a weight above 0 */
#define MOST_LAYERS  16

/* In timm's order, with the weights of "w0". */
static const struct {
    enum op op;
    double weight;
} timm_ops[TIMM_OPS] = { { AUTOCONTRAST, 0.025 }, { EQUALIZE, 0.005 },  { INVERT, 0.0 },
                         { ROTATE, 0.3 },         { POSTERIZE, 0.0 },   { SOLARIZE, 0.005 },
                         { SOLARIZE_ADD, 0.005 }, { COLOR, 0.025 },     { CONTRAST, 0.005 },
                         { BRIGHTNESS, 0.005 },   { SHARPNESS, 0.025 }, { SHEAR_X, 0.2 },
                         { SHEAR_Y, 0.2 },        { TRANSLATE_X, 0.1 }, { TRANSLATE_Y, 0.1 } };

/* The argument of a strength of 10.  `increasing`: more strength is always more change. */
static double timm_argument(enum op op, double level, bool increasing, const struct hr_image *image,
                            struct hr_random *random)
{
    const double share = level / 10.0;
    switch (op) {
    case ROTATE:
        return either_sign(random, share * 30.0);
    case SHEAR_X:
    case SHEAR_Y:
        return either_sign(random, share * 0.3);
    case TRANSLATE_X:
    case TRANSLATE_Y:
        return either_sign(random, share * 0.45) * side(image, op);
    case COLOR:
    case CONTRAST:
    case BRIGHTNESS:
    case SHARPNESS:
        return increasing ? fmax(0.1, 1.0 + either_sign(random, share * 0.9)) : share * 1.8 + 0.1;
    case POSTERIZE: {
        const double bits = (double)(int)(share * 4.0);
        const double kept = increasing ? 4.0 - bits : bits;
        return kept < 0.0 ? 0.0 : kept > 8.0 ? 8.0 : kept;
    }
    case SOLARIZE: {
        const double threshold = fmin(256.0, (double)(int)(share * 256.0));
        return increasing ? 256.0 - threshold : threshold;
    }
    case SOLARIZE_ADD:
        return fmin(128.0, (double)(int)(share * 110.0));
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
    enum op op;
    double p, m;
    bool increasing, original_bits; /* posterize keeps 4 bits more: "original" */
};

static enum hr_status timm_act(const struct hr_augment_step *step, const struct timm_draw *draw,
                               const uint8_t *fill, struct hr_random *random,
                               struct hr_image *image)
{
    if (draw->p < 1.0 && hr_random_unit(random) >= draw->p)
        return HR_OK;
    const double level = timm_level(step, draw->m, random);
    struct action a = { .op = draw->op, .fill = fill };
    a.argument = timm_argument(draw->op, level, draw->increasing, image, random);
    if (draw->op == POSTERIZE && draw->original_bits)
        a.argument = fmin(8.0, a.argument + 4.0);
    a.filter = filter_of(step->number[HR_TIMM_FILTER], random);
    return act(&a, image);
}

/* "original" and "v0", and with r those whose posterize increases. */
static enum hr_status timm_auto(const struct hr_augment_step *step, const uint8_t *fill,
                                struct hr_random *random, struct hr_image *image)
{
    const int policy = (int)step->number[HR_TIMM_POLICY];
    const bool first = policy == HR_TIMM_ORIGINAL || policy == HR_TIMM_ORIGINALR;
    const struct half(*table)[2] = first ? original : v0;
    const struct half *const pair = table[hr_random_below(random, HR_COUNT(v0))];
    for (int i = 0; i < 2; i++) {
        const struct timm_draw draw = {
            .op = pair[i].op,
            .p = pair[i].p,
            .m = pair[i].level,
            .increasing =
                pair[i].op == POSTERIZE && (policy == HR_TIMM_ORIGINALR || policy == HR_TIMM_V0R),
            .original_bits = policy == HR_TIMM_ORIGINAL,
        };
        HR_TRY(timm_act(step, &draw, fill, random, image));
    }
    return HR_OK;
}

/* One of those not yet taken, by their weights. */
static size_t draw_weighted(struct hr_random *random, bool *taken)
{
    double sum = 0.0, at;
    size_t last = 0;
    for (size_t i = 0; i < TIMM_OPS; i++)
        sum += taken[i] ? 0.0 : timm_ops[i].weight;
    at = hr_random_between(random, 0.0, sum);
    for (size_t i = 0; i < TIMM_OPS; i++) {
        if (taken[i] || timm_ops[i].weight == 0.0)
            continue;
        last = i;
        at -= timm_ops[i].weight;
        if (at < 0.0)
            break;
    }
    taken[last] = true;
    return last;
}

static enum hr_status timm_rand(const struct hr_augment_step *step, const uint8_t *fill,
                                struct hr_random *random, struct hr_image *image)
{
    bool taken[TIMM_OPS] = { false };
    const bool weighted = step->number[HR_TIMM_WEIGHTS] != 0.0;
    const int asked = (int)step->number[HR_TIMM_N];
    const int layers = weighted && asked > WEIGHTED_OPS ? WEIGHTED_OPS : asked;
    size_t drawn[MOST_LAYERS];
    for (int i = 0; i < layers; i++) /* all before the first runs; with weights none twice */
        drawn[i] = weighted ? draw_weighted(random, taken) : hr_random_below(random, TIMM_OPS);
    for (int i = 0; i < layers; i++) {
        const struct timm_draw draw = { .op = timm_ops[drawn[i]].op,
                                        .p = step->number[HR_TIMM_CHANCE],
                                        .m = step->number[HR_TIMM_M],
                                        .increasing = step->number[HR_TIMM_INC] != 0.0 };
        HR_TRY(timm_act(step, &draw, fill, random, image));
    }
    return HR_OK;
}

/* ---- AugMix ---- */

#define MOST_WIDTH 16

/* What makes one branch longer: PaddleClas's and timm's operations differ. */
typedef enum hr_status branch_fn(const struct hr_augment_step *step, const uint8_t *fill,
                                 struct hr_random *random, struct hr_image *image);

struct augmix {
    const struct hr_augment_step *step;
    const uint8_t *fill;
    branch_fn *branch;
    int width, depth; /* depth 0: 1 to 3 at random */
    double alpha;
    float weights[MOST_WIDTH], share;
};

static void draw_weights(struct augmix *mix, struct hr_random *random)
{
    double gamma[MOST_WIDTH], sum = 0.0;
    for (int i = 0; i < mix->width; i++)
        sum += gamma[i] = hr_random_gamma(random, mix->alpha);
    for (int i = 0; i < mix->width; i++)
        mix->weights[i] = (float)(sum > 0.0 ? gamma[i] / sum : 1.0 / mix->width);
    mix->share = (float)hr_random_beta(random, mix->alpha);
}

static enum hr_status grow_branch(const struct augmix *mix, struct hr_random *random,
                                  const struct hr_image *image, struct hr_image *branch)
{
    const int depth = mix->depth > 0 ? mix->depth : 1 + (int)hr_random_below(random, 3);
    memcpy(branch->pixels, image->pixels, (size_t)(image->width * image->height) * 3);
    for (int i = 0; i < depth; i++)
        HR_TRY(mix->branch(mix->step, mix->fill, random, branch));
    return HR_OK;
}

/* sum[i] = sum of weight x branch, in float32, branch after branch. */
static enum hr_status sum_branches(const struct augmix *mix, struct hr_random *random,
                                   const struct hr_image *image, float *sum)
{
    const size_t count = (size_t)(image->width * image->height) * 3;
    struct hr_image branch = { 0 };
    enum hr_status status = hr_image_init(&branch, image->width, image->height);
    for (int i = 0; status == HR_OK && i < mix->width; i++) {
        status = grow_branch(mix, random, image, &branch);
        for (size_t j = 0; status == HR_OK && j < count; j++)
            sum[j] += mix->weights[i] * (float)branch.pixels[j];
    }
    hr_image_fini(&branch);
    return status;
}

static uint8_t cut_off(float value)
{
    return (uint8_t)(value <= 0.0f ? 0.0f : value >= 255.0f ? 255.0f : value);
}

/* PaddleClas mixes in floats; timm makes a picture of the sum first and blends that. */
static enum hr_status augmix(struct augmix *mix, struct hr_random *random, struct hr_image *image)
{
    const size_t count = (size_t)(image->width * image->height) * 3;
    const bool timm = mix->step->kind == HR_AUGMENT_TIMM;
    float *const sum = hr_mem_alloc(count, sizeof *sum);
    if (!sum)
        return HR_E_MEMORY;
    draw_weights(mix, random);
    const enum hr_status status = sum_branches(mix, random, image, sum);
    for (size_t i = 0; status == HR_OK && i < count; i++) {
        const float own = (float)image->pixels[i], m = mix->share;
        const float other = timm ? (float)cut_off(sum[i]) : sum[i];
        image->pixels[i] = cut_off(timm ? own + m * (other - own) : (1.0f - m) * own + m * other);
    }
    hr_mem_free(sum);
    return status;
}

/* PaddleClas's nine; a strength is drawn from 0.1 to the severity. */
static enum hr_status paddle_branch(const struct hr_augment_step *step, const uint8_t *fill,
                                    struct hr_random *random, struct hr_image *image)
{
    static const enum op ops[9] = { AUTOCONTRAST, EQUALIZE, POSTERIZE,   ROTATE,     SOLARIZE,
                                    SHEAR_X,      SHEAR_Y,  TRANSLATE_X, TRANSLATE_Y };
    const enum op op = ops[hr_random_below(random, HR_COUNT(ops))];
    const double level = hr_random_between(random, 0.1, step->number[HR_AUGMIX_SEVERITY]) / 10.0;
    struct action a = { .op = op, .filter = HR_WARP_BILINEAR, .fill = fill };
    if (op == POSTERIZE)
        a.argument = 4.0 - (double)(int)(level * 4.0);
    else if (op == SOLARIZE)
        a.argument = 256.0 - (double)(int)(level * 256.0);
    else if (op == ROTATE)
        a.argument = either_sign(random, (double)(int)(level * 30.0));
    else if (op == SHEAR_X || op == SHEAR_Y)
        a.argument = either_sign(random, level * 0.3);
    else if (op == TRANSLATE_X || op == TRANSLATE_Y)
        a.argument = either_sign(random, (double)(int)(level * side(image, op) / 3.0));
    return act(&a, image);
}

/* timm's thirteen: all of its operations but invert and the one that adds. */
static enum hr_status timm_branch(const struct hr_augment_step *step, const uint8_t *fill,
                                  struct hr_random *random, struct hr_image *image)
{
    static const enum op ops[13] = { AUTOCONTRAST, COLOR,       CONTRAST,   BRIGHTNESS, SHARPNESS,
                                     EQUALIZE,     ROTATE,      POSTERIZE,  SOLARIZE,   SHEAR_X,
                                     SHEAR_Y,      TRANSLATE_X, TRANSLATE_Y };
    const struct timm_draw draw = { .op = ops[hr_random_below(random, HR_COUNT(ops))],
                                    .p = 1.0,
                                    .m = step->number[HR_TIMM_M],
                                    .increasing = true };
    return timm_act(step, &draw, fill, random, image);
}

static enum hr_status paddle_augmix(const struct hr_augment_step *step, struct hr_random *random,
                                    struct hr_image *image)
{
    static const uint8_t black[3] = { 0 };
    struct augmix mix = { .step = step,
                          .fill = black,
                          .branch = paddle_branch,
                          .width = (int)step->number[HR_AUGMIX_WIDTH],
                          .depth = (int)step->number[HR_AUGMIX_DEPTH],
                          .alpha = step->number[HR_AUGMIX_COEFF] };
    return augmix(&mix, random, image);
}

static enum hr_status timm_augmix(const struct hr_augment_step *step, const uint8_t *fill,
                                  struct hr_random *random, struct hr_image *image)
{
    struct augmix mix = { .step = step,
                          .fill = fill,
                          .branch = timm_branch,
                          .width = (int)step->number[HR_TIMM_N],
                          .depth = (int)step->number[HR_TIMM_DEPTH],
                          .alpha = step->number[HR_TIMM_ALPHA] };
    return augmix(&mix, random, image);
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
        break;
    }
    switch ((int)step->number[HR_TIMM_POLICY]) {
    case HR_TIMM_RAND:
        return timm_rand(step, fill, random, image);
    case HR_TIMM_AUGMIX:
        return timm_augmix(step, fill, random, image);
    default:
        return timm_auto(step, fill, random, image);
    }
}
