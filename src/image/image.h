/* SPDX-License-Identifier: Apache-2.0
 * Pictures: 8-bit RGB pixels with limits, decoded by content as OpenCV 4.6's IMREAD_COLOR does
 * (alpha dropped, 16 bit cut to the top byte, EXIF orientation applied), encoded as PNG. */
#ifndef HR_IMAGE_IMAGE_H
#define HR_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct hr_image {
    int64_t width, height;
    uint8_t *pixels; /* [height][width][3] RGB, owned (hr_mem_alloc) */
};
void hr_image_fini(struct hr_image *image); /* zero-initialised is fine */
enum hr_status hr_image_init(struct hr_image *image, int64_t width, int64_t height) HR_WARN_UNUSED;

enum hr_picture_format {
    HR_PICTURE_UNKNOWN,
    HR_PICTURE_JPEG,
    HR_PICTURE_PNG,
    HR_PICTURE_WEBP,
    HR_PICTURE_BMP,
    HR_PICTURE_PPM,
};

struct hr_decode_options {
    uint64_t max_pixels; /* width * height; default 178,956,970 (Pillow's limit times two) */
    uint64_t max_bytes;  /* of the encoded file; default 256 MiB */
    bool ignore_orientation;
};
struct hr_decode_options hr_decode_defaults(void);

/* What decoding noticed. */
struct hr_decode_report {
    enum hr_picture_format format;
    int orientation;   /* EXIF orientation that was applied, 1 to 8; 1 without a tag */
    bool truncated;    /* JPEG data ended early; the rest is what libjpeg makes of it */
    char warning[160]; /* "" or one line */
};

/* Decodes data[0..size).  `name` is for messages, which say what the bytes are when they are no
 * picture ("gzip data", "text", "empty").  The header is checked against the limits before pixels
 * are allocated (HR_E_LIMIT).  report may be NULL.  On failure *image is untouched. */
enum hr_status hr_image_decode(struct hr_image *image, struct hr_decode_report *report,
                               const void *data, size_t size, const char *name,
                               const struct hr_decode_options *options) HR_WARN_UNUSED;

/* Encodes as PNG, appending to a buffer. */
struct hr_buffer;
enum hr_status hr_image_encode_png(struct hr_buffer *out,
                                   const struct hr_image *image) HR_WARN_UNUSED;

#endif
