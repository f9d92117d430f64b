/* SPDX-License-Identifier: Apache-2.0
 * Netpbm's PBM, PGM and PPM, text and binary (P1 to P6): one picture, values scaled to 8 bits. */
#include <stdbool.h>

#include "image/decoders.h"

struct text {
    const uint8_t *at, *end;
};

/* The next whole number; comments run from '#' to the end of a line. */
static bool read_number(struct text *t, unsigned *out)
{
    unsigned value = 0;
    for (; t->at < t->end; t->at++) {
        if (*t->at == '#')
            while (t->at + 1 < t->end && *t->at != '\n')
                t->at++;
        else if (*t->at != ' ' && *t->at != '\t' && *t->at != '\r' && *t->at != '\n')
            break;
    }
    if (t->at == t->end || *t->at < '0' || *t->at > '9')
        return false;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
        value = value * 10 + (unsigned)(*t->at - '0');
        if (value > 10000000)
            return false;
    }
    *out = value;
    return true;
}

/* A pixel of P1: one digit, with or without blanks around it. */
static bool read_bit(struct text *t, unsigned *out)
{
    while (t->at < t->end && *t->at != '0' && *t->at != '1')
        t->at++;
    if (t->at == t->end)
        return false;
    *out = *t->at++ == '0';
    return true;
}

struct raster {
    int kind; /* 1 to 6 */
    unsigned width, height, most;
    struct text t;
};

/* Sample `index` of a binary row at `row`. */
static unsigned binary_sample(const struct raster *r, const uint8_t *row, size_t index)
{
    if (r->kind == 4)
        return !(row[index / 8] >> (7 - index % 8) & 1);
    return r->most > 255 ? hr_load_u16be(row + 2 * index) : row[index];
}

static bool read_sample(struct raster *r, const uint8_t *row, size_t index, unsigned *out)
{
    bool read = true;
    if (r->kind == 1)
        read = read_bit(&r->t, out);
    else if (r->kind < 4)
        read = read_number(&r->t, out);
    else
        *out = binary_sample(r, row, index);
    *out = *out > r->most ? r->most : *out;
    return read;
}

static bool read_raster(struct raster *r, struct hr_image *image)
{
    const size_t channels = r->kind == 3 || r->kind == 6 ? 3 : 1;
    const size_t samples = r->width * channels;
    const size_t row_bytes = r->kind < 4    ? 0
                             : r->kind == 4 ? (r->width + 7u) / 8
                                            : samples * (r->most > 255 ? 2 : 1);
    uint8_t *to = image->pixels;
    for (unsigned y = 0; y < r->height; y++) {
        if ((size_t)(r->t.end - r->t.at) < row_bytes)
            return false;
        for (size_t x = 0; x < r->width; x++)
            for (size_t c = 0; c < 3; c++) {
                unsigned value = 0;
                if (channels == 1 && c > 0)
                    value = to[-1];
                else if (!read_sample(r, r->t.at, x * channels + c, &value))
                    return false;
                else
                    value = r->most > 255 && r->most == 65535 ? value >> 8 : value * 255 / r->most;
                *to++ = (uint8_t)value;
            }
        r->t.at += row_bytes;
    }
    return true;
}

enum hr_status hr_decode_ppm(struct hr_image *image, const struct hr_picture *picture)
{
    const struct hr_span bytes = picture->bytes;
    struct raster r = { .kind = bytes.data[1] - '0',
                        .most = 1,
                        .t = { bytes.data + 2, bytes.data + bytes.size } };
    if (!read_number(&r.t, &r.width) || !read_number(&r.t, &r.height) ||
        (r.kind != 1 && r.kind != 4 && !read_number(&r.t, &r.most)) || r.most < 1 || r.most > 65535)
        return hr_fail(HR_E_FORMAT, "%s: PPM: the header is damaged", picture->name);
    HR_TRY(hr_image_allowed(picture, r.width, r.height));
    /* At least a bit a pixel must be there before memory is taken for it. */
    if ((uint64_t)r.width * r.height / 8 > bytes.size)
        return hr_fail(HR_E_FORMAT, "%s: PPM: the pixels are cut off", picture->name);
    HR_TRY(hr_image_start(image, picture, r.width, r.height));
    if (r.kind >= 4 && r.t.at < r.t.end)
        r.t.at++; /* the single blank behind the header */
    if (!read_raster(&r, image))
        return hr_fail(HR_E_FORMAT, "%s: PPM: the pixels are cut off", picture->name);
    return HR_OK;
}
