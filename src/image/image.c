/* SPDX-License-Identifier: Apache-2.0
 * From bytes to upright RGB pixels: tells the format by its first bytes, never by a name, hands
 * over to the format's decoder, then turns the picture as its orientation tag says. */
#include "image/image.h"

#include <inttypes.h>
#include <spng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/text.h"
#include "image/decoders.h"

#define LONGEST_SIDE 1000000 /* px; keeps every product of two sides far from overflow */

void hr_image_fini(struct hr_image *image)
{
    hr_mem_free(image->pixels);
    *image = (struct hr_image){ 0 };
}

enum hr_status hr_image_init(struct hr_image *image, int64_t width, int64_t height)
{
    if (width < 1 || height < 1 || width > LONGEST_SIDE || height > LONGEST_SIDE)
        return hr_fail(HR_E_LIMIT, "a picture of %" PRId64 "x%" PRId64 " pixels cannot be held",
                       width, height);
    uint8_t *pixels = hr_mem_alloc_raw((size_t)width * (size_t)height, 3);
    if (!pixels)
        return HR_E_MEMORY;
    *image = (struct hr_image){ width, height, pixels };
    return HR_OK;
}

struct hr_decode_options hr_decode_defaults(void)
{
    return (struct hr_decode_options){ .max_pixels = 178956970, .max_bytes = (uint64_t)256 << 20 };
}

enum hr_status hr_image_allowed(const struct hr_picture *picture, int64_t width, int64_t height)
{
    if (width < 1 || height < 1)
        return hr_fail(HR_E_FORMAT, "%s: the picture has no pixels (%" PRId64 "x%" PRId64 ")",
                       picture->name, width, height);
    if (width > LONGEST_SIDE || height > LONGEST_SIDE ||
        (uint64_t)width * (uint64_t)height > picture->options.max_pixels)
        return hr_fail(HR_E_LIMIT,
                       "%s: a picture of %" PRId64 "x%" PRId64 " pixels is over the limit of "
                       "%" PRIu64 " pixels",
                       picture->name, width, height, picture->options.max_pixels);
    return HR_OK;
}

enum hr_status hr_image_start(struct hr_image *image, const struct hr_picture *picture,
                              int64_t width, int64_t height)
{
    HR_TRY(hr_image_allowed(picture, width, height));
    return hr_image_init(image, width, height);
}

/* ---- What the bytes are ---- */

static const struct {
    const char *magic;
    size_t at, size;
    enum hr_picture_format format;
    const char *kind; /* for what is no picture we read */
} signatures[] = {
    { "\xff\xd8\xff", 0, 3, HR_PICTURE_JPEG, NULL },
    { "\x89PNG\r\n\x1a\n", 0, 8, HR_PICTURE_PNG, NULL },
    { "WEBP", 8, 4, HR_PICTURE_WEBP, NULL },
    { "BM", 0, 2, HR_PICTURE_BMP, NULL },
    { "GIF8", 0, 4, HR_PICTURE_UNKNOWN, "a GIF" },
    { "II*\0", 0, 4, HR_PICTURE_UNKNOWN, "a TIFF" },
    { "MM\0*", 0, 4, HR_PICTURE_UNKNOWN, "a TIFF" },
    { "ftypavif", 4, 8, HR_PICTURE_UNKNOWN, "an AVIF" },
    { "ftyphei", 4, 7, HR_PICTURE_UNKNOWN, "a HEIF" },
    { "ftyp", 4, 4, HR_PICTURE_UNKNOWN, "an MP4 or QuickTime file" },
    { "\xff\x0a", 0, 2, HR_PICTURE_UNKNOWN, "a JPEG XL" },
    { "\x1f\x8b", 0, 2, HR_PICTURE_UNKNOWN, "gzip data" },
    { "PK\3\4", 0, 4, HR_PICTURE_UNKNOWN, "a zip archive" },
    { "%PDF", 0, 4, HR_PICTURE_UNKNOWN, "a PDF" },
    { "<svg", 0, 4, HR_PICTURE_UNKNOWN, "an SVG" },
    { "<!DOCTYPE", 0, 9, HR_PICTURE_UNKNOWN, "an HTML page" },
    { "<html", 0, 5, HR_PICTURE_UNKNOWN, "an HTML page" },
};

static bool is_ppm(struct hr_span bytes)
{
    return bytes.size >= 3 && bytes.data[0] == 'P' && bytes.data[1] >= '1' &&
           bytes.data[1] <= '6' && strchr(" \t\r\n#", bytes.data[2]);
}

/* No control characters but white space in what would be shown first. */
static bool is_text(struct hr_span bytes)
{
    const size_t look = bytes.size < 512 ? bytes.size : 512;
    for (size_t i = 0; i < look; i++)
        if (bytes.data[i] == 0x7f || (bytes.data[i] < ' ' && !memchr("\t\n\r\f", bytes.data[i], 4)))
            return false;
    return look == 512 || hr_utf8_valid((const char *)bytes.data, look);
}

static enum hr_picture_format sniff(struct hr_span bytes, const char **kind)
{
    *kind = "unknown data";
    for (size_t i = 0; i < HR_COUNT(signatures); i++) {
        if (bytes.size >= signatures[i].at + signatures[i].size &&
            memcmp(bytes.data + signatures[i].at, signatures[i].magic, signatures[i].size) == 0) {
            *kind = signatures[i].kind;
            return signatures[i].format;
        }
    }
    if (is_ppm(bytes))
        return HR_PICTURE_PPM;
    if (is_text(bytes))
        *kind = "text";
    return HR_PICTURE_UNKNOWN;
}

/* ---- Orientation ---- */

/* Where pixel (x, y) of the upright picture comes from, per orientation: bit 0 swaps x and y,
 * bit 1 mirrors the source column, bit 2 the source row. */
static const uint8_t turns[9] = { 0, 0, 2, 6, 4, 1, 5, 7, 3 };

static enum hr_status turn(struct hr_image *image, int orientation)
{
    const unsigned how = turns[orientation];
    const bool swap = how & 1;
    const int64_t w = image->width, h = image->height;
    struct hr_image upright = { 0 };
    if (how == 0)
        return HR_OK;
    HR_TRY(hr_image_init(&upright, swap ? h : w, swap ? w : h));
    for (int64_t y = 0; y < upright.height; y++) {
        uint8_t *to = upright.pixels + y * upright.width * 3;
        for (int64_t x = 0; x < upright.width; x++, to += 3) {
            int64_t column = swap ? y : x, row = swap ? x : y;
            column = how & 2 ? w - 1 - column : column;
            row = how & 4 ? h - 1 - row : row;
            memcpy(to, image->pixels + (row * w + column) * 3, 3);
        }
    }
    hr_image_fini(image);
    *image = upright;
    return HR_OK;
}

enum hr_status hr_image_decode(struct hr_image *image, struct hr_decode_report *report,
                               const void *data, size_t size, const char *name,
                               const struct hr_decode_options *options)
{
    static hr_decode_fn *const decoders[] = {
        [HR_PICTURE_JPEG] = hr_decode_jpeg, [HR_PICTURE_PNG] = hr_decode_png,
        [HR_PICTURE_WEBP] = hr_decode_webp, [HR_PICTURE_BMP] = hr_decode_bmp,
        [HR_PICTURE_PPM] = hr_decode_ppm,
    };
    struct hr_decode_report noticed = { .orientation = 1 };
    const struct hr_picture picture = {
        { data, size }, name, options ? *options : hr_decode_defaults(), &noticed
    };
    struct hr_image decoded = { 0 };
    const char *kind;
    if (size == 0)
        return hr_fail(HR_E_FORMAT, "%s: the file is empty", name);
    if (size > picture.options.max_bytes)
        return hr_fail(HR_E_LIMIT, "%s: %zu bytes are over the limit of %" PRIu64 " bytes", name,
                       size, picture.options.max_bytes);
    noticed.format = sniff(picture.bytes, &kind);
    if (noticed.format == HR_PICTURE_UNKNOWN)
        return hr_fail(HR_E_FORMAT,
                       "%s: not a picture that can be read (%s): JPEG, PNG, WebP, BMP and PPM are "
                       "understood",
                       name, kind);
    enum hr_status status = decoders[noticed.format](&decoded, &picture);
    if (picture.options.ignore_orientation)
        noticed.orientation = 1;
    if (status == HR_OK)
        status = turn(&decoded, noticed.orientation);
    if (status == HR_OK) {
        *image = decoded;
        decoded = (struct hr_image){ 0 };
        if (report)
            *report = noticed;
    }
    hr_image_fini(&decoded);
    return status;
}

enum hr_status hr_image_encode_png(struct hr_buffer *out, const struct hr_image *image)
{
    struct spng_ihdr header = { .width = (uint32_t)image->width,
                                .height = (uint32_t)image->height,
                                .bit_depth = 8,
                                .color_type = SPNG_COLOR_TYPE_TRUECOLOR };
    size_t size = 0;
    int error = 0;
    void *png = NULL;
    spng_ctx *context = spng_ctx_new(SPNG_CTX_ENCODER);
    if (!context)
        return hr_fail(HR_E_MEMORY, "out of memory");
    if (!(error = spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1)) &&
        !(error = spng_set_ihdr(context, &header)) &&
        !(error = spng_encode_image(context, image->pixels,
                                    (size_t)image->width * (size_t)image->height * 3, SPNG_FMT_PNG,
                                    SPNG_ENCODE_FINALIZE)))
        png = spng_get_png_buffer(context, &size, &error);
    if (png)
        hr_buffer_put(out, png, size);
    free(png);
    spng_ctx_free(context);
    if (!png)
        return hr_fail(HR_E_MEMORY, "PNG: %s", spng_strerror(error));
    return out->status;
}
