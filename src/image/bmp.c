/* SPDX-License-Identifier: Apache-2.0
 * Windows BMP (BITMAPCOREHEADER and BITMAPINFOHEADER to V5): 1, 4, 8, 16, 24 and 32 bits, RLE4 and
 * RLE8, bit fields, bottom-up and top-down.  Alpha is dropped. */
#include <stdbool.h>
#include <string.h>

#include "image/decoders.h"

#define FILE_HEADER 14
#define BI_RGB      0
#define BI_RLE8     1
#define BI_RLE4     2
#define BI_FIELDS   3
#define BI_ALPHA    6

struct bmp {
    const uint8_t *data;
    size_t size, pixels; /* offset of the pixel data */
    int64_t width, height;
    bool top_down;
    unsigned bits, compression;
    uint32_t mask[3]; /* red, green, blue of 16 and 32 bits */
    uint8_t palette[256][3];
};

static bool read_header(struct bmp *b)
{
    if (b->size < FILE_HEADER + 12)
        return false;
    const uint8_t *head = b->data + FILE_HEADER;
    const size_t head_bytes = hr_load_u32le(head);
    b->pixels = hr_load_u32le(b->data + 10);
    if (head_bytes > b->size - FILE_HEADER)
        return false;
    if (head_bytes == 12) {
        b->width = hr_load_u16le(head + 4);
        b->height = hr_load_u16le(head + 6);
        b->bits = hr_load_u16le(head + 10);
    } else if (head_bytes >= 40) {
        b->width = (int32_t)hr_load_u32le(head + 4);
        b->height = (int32_t)hr_load_u32le(head + 8);
        b->bits = hr_load_u16le(head + 14);
        b->compression = hr_load_u32le(head + 16);
    } else {
        return false;
    }
    b->top_down = b->height < 0;
    b->height = b->top_down ? -b->height : b->height;
    return b->pixels <= b->size;
}

static void read_palette(struct bmp *b)
{
    const size_t head_bytes = hr_load_u32le(b->data + FILE_HEADER);
    const size_t entry = head_bytes == 12 ? 3 : 4, start = FILE_HEADER + head_bytes;
    size_t count = (size_t)1 << (b->bits <= 8 ? b->bits : 0);
    if (b->bits > 8 || start > b->pixels)
        return;
    count = (b->pixels - start) / entry < count ? (b->pixels - start) / entry : count;
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++)
            b->palette[i][c] = b->data[start + i * entry + 2 - c];
}

static bool read_masks(struct bmp *b)
{
    const uint32_t five[3] = { 0x7c00, 0x3e0, 0x1f }, eight[3] = { 0xff0000, 0xff00, 0xff };
    memcpy(b->mask, b->bits == 16 ? five : eight, sizeof b->mask);
    if (b->compression != BI_FIELDS && b->compression != BI_ALPHA)
        return true;
    if (b->size < FILE_HEADER + 40 + 12)
        return false;
    for (size_t c = 0; c < 3; c++)
        b->mask[c] = hr_load_u32le(b->data + FILE_HEADER + 40 + 4 * c);
    return b->mask[0] && b->mask[1] && b->mask[2];
}

/* The bits under a mask as the top of 8 bits, as OpenCV reads 15 and 16 bits (5 bits give 0, 8,
 * ... 248). */
static uint8_t field(uint32_t value, uint32_t mask)
{
    const unsigned top = 31u - (unsigned)__builtin_clz(mask);
    value &= mask;
    return (uint8_t)(top < 7 ? value << (7 - top) : value >> (top - 7));
}

static void read_pixel(const struct bmp *b, const uint8_t *row, size_t x, uint8_t rgb[3])
{
    unsigned index = 0;
    uint32_t value;
    switch (b->bits) {
    case 1:
        index = row[x / 8] >> (7 - x % 8) & 1;
        break;
    case 4:
        index = row[x / 2] >> (x % 2 ? 0 : 4) & 15;
        break;
    case 8:
        index = row[x];
        break;
    case 24:
        rgb[0] = row[3 * x + 2];
        rgb[1] = row[3 * x + 1];
        rgb[2] = row[3 * x];
        return;
    default:
        value = b->bits == 16 ? hr_load_u16le(row + 2 * x) : hr_load_u32le(row + 4 * x);
        for (int c = 0; c < 3; c++)
            rgb[c] = field(value, b->mask[c]);
        return;
    }
    memcpy(rgb, b->palette[index], 3);
}

static uint8_t *target_row(const struct bmp *b, struct hr_image *image, int64_t row)
{
    return image->pixels + (b->top_down ? row : b->height - 1 - row) * b->width * 3;
}

static bool read_plain(const struct bmp *b, struct hr_image *image)
{
    const size_t row_bytes = ((size_t)b->width * b->bits + 31) / 32 * 4;
    if ((uint64_t)row_bytes * (uint64_t)b->height > b->size - b->pixels)
        return false;
    for (int64_t y = 0; y < b->height; y++) {
        const uint8_t *row = b->data + b->pixels + (size_t)y * row_bytes;
        uint8_t *to = target_row(b, image, y);
        for (size_t x = 0; x < (size_t)b->width; x++)
            read_pixel(b, row, x, to + 3 * x);
    }
    return true;
}

struct run_state {
    struct hr_image *image;
    int64_t x, y;
};

static void put_run(const struct bmp *b, struct run_state *s, unsigned index)
{
    if (s->x < b->width && s->y < b->height)
        memcpy(target_row(b, s->image, s->y) + s->x * 3, b->palette[index], 3);
    s->x++;
}

/* An absolute run of `count` pixels at p; returns the bytes it takes, padded to 16 bits. */
static size_t put_absolute(const struct bmp *b, struct run_state *s, const uint8_t *p, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_run(b, s, b->bits == 8 ? p[i] : p[i / 2] >> (i % 2 ? 0 : 4) & 15u);
    return ((b->bits == 8 ? count : (count + 1) / 2) + 1) / 2 * 2;
}

static bool read_runs(const struct bmp *b, struct hr_image *image)
{
    struct run_state s = { image, 0, 0 };
    const uint8_t *p = b->data + b->pixels, *const end = b->data + b->size;
    for (int64_t y = 0; y < b->height; y++)
        for (int64_t x = 0; x < b->width; x++)
            memcpy(target_row(b, image, y) + 3 * x, b->palette[0], 3);
    while (end - p >= 2 && s.y < b->height) {
        const unsigned count = p[0], value = p[1];
        p += 2;
        if (count > 0) {
            for (unsigned i = 0; i < count; i++)
                put_run(b, &s, b->bits == 8 ? value : value >> (i % 2 ? 0 : 4) & 15u);
        } else if (value == 0) {
            s.x = 0;
            s.y++;
        } else if (value == 1) {
            return true;
        } else if (value == 2) {
            if (end - p < 2)
                return false;
            s.x += p[0];
            s.y += p[1];
            p += 2;
        } else {
            const size_t bytes = ((b->bits == 8 ? value : (value + 1) / 2) + 1) / 2 * 2;
            if ((size_t)(end - p) < bytes)
                return false;
            p += put_absolute(b, &s, p, value);
        }
    }
    return s.y >= b->height;
}

enum hr_status hr_decode_bmp(struct hr_image *image, const struct hr_picture *picture)
{
    struct bmp b = { .data = picture->bytes.data, .size = picture->bytes.size };
    if (!read_header(&b))
        return hr_fail(HR_E_FORMAT, "%s: BMP: the header is damaged", picture->name);
    const bool runs =
        (b.compression == BI_RLE8 && b.bits == 8) || (b.compression == BI_RLE4 && b.bits == 4);
    const bool fields =
        (b.compression == BI_FIELDS || b.compression == BI_ALPHA) && (b.bits == 16 || b.bits == 32);
    const bool depth =
        b.bits == 1 || b.bits == 4 || b.bits == 8 || b.bits == 16 || b.bits == 24 || b.bits == 32;
    if (!depth || (b.compression != BI_RGB && !runs && !fields))
        return hr_fail(HR_E_UNSUPPORTED, "%s: BMP: %u bits with compression %u are not read",
                       picture->name, b.bits, b.compression);
    if (!read_masks(&b))
        return hr_fail(HR_E_FORMAT, "%s: BMP: the colour masks are damaged", picture->name);
    read_palette(&b);
    HR_TRY(hr_image_start(image, picture, b.width, b.height));
    if (!(runs ? read_runs(&b, image) : read_plain(&b, image)))
        return hr_fail(HR_E_FORMAT, "%s: BMP: the pixels are cut off", picture->name);
    return HR_OK;
}
