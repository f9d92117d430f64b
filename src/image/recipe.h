/* SPDX-License-Identifier: Apache-2.0
 * Preprocessing as data: the steps from a picture to the network's input, stored with the model
 * and run by this one piece of code everywhere. */
#ifndef HR_IMAGE_RECIPE_H
#define HR_IMAGE_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "image/image.h"

enum hr_resize {
    HR_RESIZE_OPENCV,         /* OpenCV 4.6 uint8 INTER_LINEAR, no antialiasing */
    HR_RESIZE_PILLOW,         /* Pillow 9 BILINEAR, antialiased, 8-bit fixed point */
    HR_RESIZE_PILLOW_BICUBIC, /* Pillow 9 BICUBIC, antialiased, 8-bit fixed point */
};

/* resize the short side to resize_short (0: resize to crop_width x crop_height without keeping
 * the aspect), crop the centre, then per channel t = x * scale; t -= mean; t /= deviation in
 * float32, each step rounded (no fused multiply-add). */
struct hr_recipe {
    char name[32]; /* "opencv", "pillow", "pillow-bicubic"; informative */
    enum hr_resize resize;
    int resize_short;            /* 1 to 16384, or 0 */
    int crop_width, crop_height; /* 1 to 16384: the network's input */
    float scale;                 /* 1/255 or 0.00392157 as a float */
    float mean[3], deviation[3]; /* RGB */
};

/* "opencv": 256/224, scale 1/255, the ImageNet means; "opencv-deploy" is the same with the
 * deployment scale 0.00392157; "pillow" and "pillow-bicubic": 256/224 with torchvision's and
 * timm's rounding.  HR_E_NOT_FOUND with a hint for other names. */
enum hr_status hr_recipe_named(struct hr_recipe *out, const char *name) HR_WARN_UNUSED;

/* Checks ranges (finite, deviation > 0, sizes legal), naming the bad field. */
enum hr_status hr_recipe_check(const struct hr_recipe *recipe) HR_WARN_UNUSED;

/* Do they make the same numbers of an 8-bit crop? */
bool hr_recipe_same_normalisation(const struct hr_recipe *a, const struct hr_recipe *b);

/* JSON object text <-> recipe; unknown keys are refused by name. */
enum hr_status hr_recipe_parse(struct hr_recipe *out, const char *json) HR_WARN_UNUSED;
void hr_recipe_print(const struct hr_recipe *recipe, struct hr_text *json);

/* Size of the whole resized picture (before the crop), by the recipe's rounding rule: Python's
 * half-to-even for OpenCV, truncation for Pillow. */
enum hr_status hr_recipe_resized(const struct hr_recipe *recipe, int64_t width, int64_t height,
                                 int64_t *out_width, int64_t *out_height) HR_WARN_UNUSED;

/* The 8-bit crop: resize and centre crop, computing only what the crop needs.  `crop` is
 * initialised by the call.  HR_E_SHAPE if the resized picture is smaller than the crop. */
enum hr_status hr_recipe_crop(const struct hr_recipe *recipe, const struct hr_image *image,
                              struct hr_image *crop) HR_WARN_UNUSED;

/* The tensor: float32 [3, crop_height, crop_width] RGB from an 8-bit crop of just that size. */
void hr_recipe_normalise(const struct hr_recipe *recipe, const struct hr_image *crop, float *x);

/* Both in turn. */
enum hr_status hr_recipe_apply(const struct hr_recipe *recipe, const struct hr_image *image,
                               float *x) HR_WARN_UNUSED;

#endif
