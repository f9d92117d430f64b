/* SPDX-License-Identifier: Apache-2.0
 * From a picture file to a training sample: decoded, cropped at random, flipped, normalised. */
#ifndef HR_TRAIN_SAMPLE_H
#define HR_TRAIN_SAMPLE_H

#include <stdbool.h>

#include "base/rng.h"
#include "image/recipe.h"

struct hr_sample_options {
    struct hr_recipe recipe; /* size, normalisation; and, without `crop`, resizing */
    bool crop;         /* RandCropImage of PaddleClas (paddleclas.md 4.5), else the recipe's */
    double least_area; /* of the crop: 0.08 */
    double flip;       /* chance of a horizontal flip: 0.5 */
};

/* x float32 [3][crop_height][crop_width].  Draws from `random`, always in the same order.  Failures
 * name the file.  Thread-safe. */
enum hr_status hr_sample_make(const struct hr_sample_options *options, const char *path,
                              struct hr_random *random, float *x) HR_WARN_UNUSED;

/* The rectangle that the random crop takes of a picture of width x height px. */
struct hr_rectangle {
    int64_t x, y, width, height;
};
struct hr_rectangle hr_sample_rectangle(struct hr_random *random, int64_t width, int64_t height,
                                        double least_area);

#endif
