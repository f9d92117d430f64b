/* SPDX-License-Identifier: Apache-2.0
 * Blurring, bit for bit as Pillow's GaussianBlur. */
#ifndef HR_IMAGE_BLUR_H
#define HR_IMAGE_BLUR_H

#include "image/image.h"

/* In place; deviation in px, 0 changes nothing. */
enum hr_status hr_blur_gaussian(struct hr_image *image, double deviation) HR_WARN_UNUSED;

#endif
