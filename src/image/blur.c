/* SPDX-License-Identifier: Apache-2.0
 * A Gaussian as three boxes in a row along each direction, whose outermost pixels count in part
 * (Gwosdek et al. 2011, "Theoretical foundations of Gaussian convolution by extended box
 * filtering": equations 7, 11 and 14), each rounded to bytes. */
#include "image/blur.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define PASSES 3
#define ONE    (1u << 24) /* weights are of 24 bits: 255 of them fit 32 */

struct box {
    int64_t radius;       /* whole pixels on either side */
    uint32_t whole, part; /* weights of these, and of the pixel beyond */
};

/* In floats, as Pillow computes it. */
static struct box box_of(float deviation)
{
    const float variance = deviation * deviation / PASSES;
    const float length = (float)sqrt(12.0 * (double)variance + 1.0);
    const float whole = (float)floor(((double)length - 1.0) / 2.0);
    float part = (2.0f * whole + 1.0f) * (whole * (whole + 1.0f) - 3.0f * variance);
    part /= 6.0f * (variance - (whole + 1.0f) * (whole + 1.0f));
    const float radius = whole + part;
    struct box b = { .radius = (int64_t)radius };
    b.whole = (uint32_t)((float)ONE / (radius * 2.0f + 1.0f));
    b.part = (ONE - (uint32_t)(b.radius * 2 + 1) * b.whole) / 2;
    return b;
}

/* One line of `count` values, `step` bytes from each other; its edges go on outside. */
static void blur_line(const struct box *b, const uint8_t *from, uint8_t *to, int64_t count,
                      int64_t step)
{
    const int64_t last = count - 1;
    uint32_t sum = 0;
    for (int64_t i = -b->radius - 1; i < b->radius; i++) /* around the place before the first */
        sum += from[(i < 0 ? 0 : i > last ? last : i) * step];
    for (int64_t x = 0; x < count; x++) {
        const int64_t left = x - b->radius - 1, right = x + b->radius;
        const uint32_t out = from[(left < 0 ? 0 : left) * step];
        const uint32_t far = from[(right < last ? right + 1 : last) * step];
        sum += from[(right < last ? right : last) * step] - out;
        to[x * step] = (uint8_t)((sum * b->whole + (out + far) * b->part + ONE / 2) >> 24);
    }
}

/* All three passes over a line, through `spare` [2][count]. */
static void blur_passes(const struct box *b, uint8_t *line, uint8_t *spare, int64_t count,
                        int64_t step)
{
    uint8_t *from = spare, *to = spare + count;
    for (int64_t i = 0; i < count; i++)
        from[i] = line[i * step];
    for (int pass = 0; pass < PASSES; pass++) {
        uint8_t *const done = to;
        blur_line(b, from, to, count, 1);
        to = from;
        from = done;
    }
    for (int64_t i = 0; i < count; i++)
        line[i * step] = from[i];
}

enum hr_status hr_blur_gaussian(struct hr_image *image, double deviation)
{
    const int64_t w = image->width, h = image->height;
    const struct box b = box_of((float)deviation);
    if (!(deviation > 0.0))
        return HR_OK;
    uint8_t *const spare = hr_mem_alloc(2, (size_t)(w > h ? w : h));
    if (!spare)
        return HR_E_MEMORY;
    for (int64_t y = 0; y < h; y++)
        for (int64_t c = 0; c < 3; c++)
            blur_passes(&b, image->pixels + y * w * 3 + c, spare, w, 3);
    for (int64_t x = 0; x < w; x++)
        for (int64_t c = 0; c < 3; c++)
            blur_passes(&b, image->pixels + x * 3 + c, spare, h, w * 3);
    hr_mem_free(spare);
    return HR_OK;
}
