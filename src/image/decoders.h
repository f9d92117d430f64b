/* SPDX-License-Identifier: Apache-2.0
 * The decoders behind hr_image_decode, one a format.  Each checks the size in the header with
 * hr_image_start before it allocates, fills *image (empty at first; its owner frees it whatever
 * happens) and notes what it saw in *report. */
#ifndef HR_IMAGE_DECODERS_H
#define HR_IMAGE_DECODERS_H

#include "base/bytes.h"
#include "image/image.h"

struct hr_picture {
    struct hr_span bytes;
    const char *name; /* for messages */
    struct hr_decode_options options;
    struct hr_decode_report *report;
};

/* Refuses a size of no pixels or of more than the limit allows. */
enum hr_status hr_image_allowed(const struct hr_picture *picture, int64_t width,
                                int64_t height) HR_WARN_UNUSED;
/* The same, then allocates. */
enum hr_status hr_image_start(struct hr_image *image, const struct hr_picture *picture,
                              int64_t width, int64_t height) HR_WARN_UNUSED;

typedef enum hr_status hr_decode_fn(struct hr_image *image, const struct hr_picture *picture);
hr_decode_fn hr_decode_jpeg, hr_decode_png, hr_decode_webp, hr_decode_bmp, hr_decode_ppm;

/* The orientation (tag 0x0112) in a TIFF structure, 1 to 8; 1 where there is none or it is not
 * valid (Exif 2.32, section 4.6.4). */
int hr_exif_orientation(const uint8_t *tiff, size_t size);

#endif
