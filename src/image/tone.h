/* SPDX-License-Identifier: Apache-2.0
 * Colours of a picture changed in place, bit for bit as Pillow's ImageOps, ImageEnhance, convert
 * and blend do it (checked against Pillow 13; the same since 9). */
#ifndef HR_IMAGE_TONE_H
#define HR_IMAGE_TONE_H

#include "image/image.h"

void hr_tone_autocontrast(struct hr_image *image); /* each channel stretched to 0..255 */
void hr_tone_equalize(struct hr_image *image);     /* each channel's histogram made flat */
void hr_tone_invert(struct hr_image *image);
void hr_tone_solarize(struct hr_image *image, double threshold); /* inverts from it upwards */
void hr_tone_solarize_add(struct hr_image *image, int add);      /* to values below 128 */
void hr_tone_posterize(struct hr_image *image, int bits);        /* keeps the highest, 0 to 8 */
void hr_tone_gray(struct hr_image *image);                       /* to luma, ITU-R 601-2 */
void hr_tone_hue(struct hr_image *image, uint8_t shift);         /* of 256 around the circle */

/* Towards (factor < 1) or away from (> 1) the gray picture, the gray of its mean, black, and the
 * smoothed picture; 1 changes nothing. */
void hr_tone_color(struct hr_image *image, double factor);
void hr_tone_contrast(struct hr_image *image, double factor);
void hr_tone_brightness(struct hr_image *image, double factor);
enum hr_status hr_tone_sharpness(struct hr_image *image, double factor) HR_WARN_UNUSED;

/* out = a + (b - a) * factor, cut off and clipped (Image.blend); out may be a or b.  All of `count`
 * bytes. */
void hr_tone_blend(uint8_t *out, const uint8_t *a, const uint8_t *b, double factor, size_t count);

#endif
