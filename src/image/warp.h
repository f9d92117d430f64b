/* SPDX-License-Identifier: Apache-2.0
 * Pictures sheared, moved and turned, bit for bit as Pillow's Image.transform and Image.rotate do
 * it (libImaging's Geometry.c). */
#ifndef HR_IMAGE_WARP_H
#define HR_IMAGE_WARP_H

#include "image/image.h"

enum hr_warp_filter { HR_WARP_NEAREST, HR_WARP_BILINEAR, HR_WARP_BICUBIC };

/* Output pixel (x, y) shows the picture at (m0 x + m1 y + m2, m3 x + m4 y + m5); what lies outside
 * is `fill` (RGB).  The picture is replaced; its size stays, at most 16384 px a side. */
enum hr_status hr_warp_affine(struct hr_image *image, const double matrix[6],
                              enum hr_warp_filter filter, const uint8_t fill[3]) HR_WARN_UNUSED;

/* Counter-clockwise about the centre. */
enum hr_status hr_warp_rotate(struct hr_image *image, double degrees, enum hr_warp_filter filter,
                              const uint8_t fill[3]) HR_WARN_UNUSED;

#endif
