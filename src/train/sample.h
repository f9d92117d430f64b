/* SPDX-License-Identifier: Apache-2.0
 * From a picture file to a training sample: decoded, cropped at random, augmented, normalised. */
#ifndef HR_TRAIN_SAMPLE_H
#define HR_TRAIN_SAMPLE_H

#include <stdbool.h>

#include "base/rng.h"
#include "image/recipe.h"
#include "train/augment.h"

struct hr_sample_options {
    struct hr_recipe recipe; /* size, normalisation; and, without `crop`, resizing */
    bool crop;         /* RandCropImage of PaddleClas (paddleclas.md 4.5), else the recipe's */
    double least_area; /* of the crop: 0.08 */
    double flip;       /* chance of a horizontal flip: 0.5 */
    bool whole_only;   /* pictures whose data end early fail */
    struct hr_augment_chain augment; /* its crop and flips, if any, replace those above */
};

/* x float32 [3][crop_height][crop_width].  Draws from `random`, always in the same order; each step
 * of the chain has a stream of its own, so that one does not change what another draws.  Failures
 * name the file.  Thread-safe. */
enum hr_status hr_sample_make(const struct hr_sample_options *options, const char *path,
                              struct hr_random *random, float *x) HR_WARN_UNUSED;
/* The same from a decoded picture. */
enum hr_status hr_sample_of(const struct hr_sample_options *options, const struct hr_image *image,
                            struct hr_random *random, float *x) HR_WARN_UNUSED;

/* The rectangle that a random crop takes of a picture of width x height px.  `step` is of kind CROP
 * or RESIZED_CROP. */
struct hr_rectangle {
    int64_t x, y, width, height;
};
struct hr_rectangle hr_sample_rectangle(const struct hr_augment_step *step,
                                        struct hr_random *random, int64_t width, int64_t height);

#endif
