/* SPDX-License-Identifier: Apache-2.0
 * A window of a resized picture, bit-exact to its original, computing only what the window needs.
 */
#ifndef HR_IMAGE_RESIZE_H
#define HR_IMAGE_RESIZE_H

#include "image/image.h"
#include "image/recipe.h"

/* The whole picture is resized to width x height; of that only the window at (x, y) is made, of the
 * window's own (initialised) size, which must lie inside. */
struct hr_resize_to {
    int64_t width, height, x, y;
};
enum hr_status hr_resize_window(struct hr_image *window, const struct hr_image *image,
                                enum hr_resize how, const struct hr_resize_to *to) HR_WARN_UNUSED;

#endif
