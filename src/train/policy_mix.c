/* SPDX-License-Identifier: Apache-2.0
 * AugMix's three ways to mix. */
#include "train/policy_mix.h"

#include <string.h>

#include "base/mem.h"
#include "image/tone.h"

static void draw_weights(struct hr_augmix *mix, struct hr_random *random)
{
    double gamma[HR_MIX_WIDTH], sum = 0.0;
    for (int i = 0; i < mix->width; i++)
        sum += gamma[i] = hr_random_gamma(random, mix->alpha);
    for (int i = 0; i < mix->width; i++)
        mix->weights[i] = (float)(sum > 0.0 ? gamma[i] / sum : 1.0 / mix->width);
    mix->share = (float)hr_random_beta(random, mix->alpha);
}

static enum hr_status grow_branch(const struct hr_augmix *mix, struct hr_random *random,
                                  const struct hr_image *image, struct hr_image *branch)
{
    const int depth = mix->depth > 0 ? mix->depth : 1 + (int)hr_random_below(random, 3);
    memcpy(branch->pixels, image->pixels, (size_t)(image->width * image->height) * 3);
    for (int i = 0; i < depth; i++)
        HR_TRY(mix->branch(mix->step, mix->fill, random, branch));
    return HR_OK;
}

/* sum[i] = sum of weight x branch, in float32, branch after branch. */
static enum hr_status sum_branches(const struct hr_augmix *mix, struct hr_random *random,
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
static enum hr_status mix_sum(struct hr_augmix *mix, struct hr_random *random,
                              struct hr_image *image)
{
    const size_t count = (size_t)(image->width * image->height) * 3;
    const bool timm = mix->how == HR_AUGMIX_TIMM;
    float *const sum = hr_mem_alloc(count, sizeof *sum);
    if (!sum)
        return HR_E_MEMORY;
    const enum hr_status status = sum_branches(mix, random, image, sum);
    for (size_t i = 0; status == HR_OK && i < count; i++) {
        const float own = (float)image->pixels[i], m = mix->share;
        const float other = timm ? (float)cut_off(sum[i]) : sum[i];
        image->pixels[i] = cut_off(timm ? own + m * (other - own) : (1.0f - m) * own + m * other);
    }
    hr_mem_free(sum);
    return status;
}

/* Shares of one blend after the other that give branch i weights[i] of the mixed share in the end.
 */
static void share_out(const struct hr_augmix *mix, float shares[HR_MIX_WIDTH])
{
    float left = 1.0f;
    for (int i = mix->width - 1; i >= 0; i--) {
        shares[i] = mix->weights[i] * mix->share / left;
        left *= 1.0f - shares[i];
    }
}

static enum hr_status mix_blended(const struct hr_augmix *mix, struct hr_random *random,
                                  struct hr_image *image)
{
    const size_t count = (size_t)(image->width * image->height) * 3;
    struct hr_image own = { 0 }, branch = { 0 };
    float shares[HR_MIX_WIDTH];
    share_out(mix, shares);
    enum hr_status status = hr_image_init(&own, image->width, image->height);
    if (status == HR_OK)
        status = hr_image_init(&branch, image->width, image->height);
    if (status == HR_OK)
        memcpy(own.pixels, image->pixels, count);
    for (int i = 0; status == HR_OK && i < mix->width; i++) {
        status = grow_branch(mix, random, &own, &branch);
        if (status == HR_OK)
            hr_tone_blend(image->pixels, image->pixels, branch.pixels, (double)shares[i], count);
    }
    hr_image_fini(&own);
    hr_image_fini(&branch);
    return status;
}

enum hr_status hr_augmix_apply(struct hr_augmix *mix, struct hr_random *random,
                               struct hr_image *image)
{
    draw_weights(mix, random);
    return mix->how == HR_AUGMIX_BLENDED ? mix_blended(mix, random, image)
                                         : mix_sum(mix, random, image);
}
