/* SPDX-License-Identifier: Apache-2.0
 * Erasing.  The one idea: rectangles of three planes are written; what differs is where they are
 * and with what.  Sources: Zhong et al. 2017 (random erasing), DeVries and Taylor 2017 (cutout),
 * Singh and Lee 2017 (hide-and-seek), Chen et al. 2020 (GridMask), with PaddleClas's draws
 * (paddleclas.md 5.9).  Lengths that are given as 0 are PaddleClas's for 224 px, scaled. */
#include "train/erase.h"

#include <math.h>

#include "base/mem.h"
#include "image/warp.h"

struct planes {
    float *x; /* [3][h][w] */
    int64_t h, w;
};

static int64_t clamp(int64_t value, int64_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

/* [top, bottom) x [left, right), clipped. */
static void fill(const struct planes *p, int64_t top, int64_t bottom, int64_t left, int64_t right,
                 const float value[3])
{
    for (int64_t c = 0; c < 3; c++)
        for (int64_t y = clamp(top, p->h); y < clamp(bottom, p->h); y++)
            for (int64_t x = clamp(left, p->w); x < clamp(right, p->w); x++)
                p->x[(c * p->h + y) * p->w + x] = value[c];
}

/* A length of 224 px in a picture of another size, at least 1. */
static int64_t scaled(const struct planes *p, double length)
{
    const double side = (double)(p->h < p->w ? p->h : p->w);
    return (int64_t)fmax(1.0, rint(length * side / 224.0));
}

/* ---- Random erasing ---- */

static void write_noise(const struct planes *p, struct hr_random *random, int64_t top, int64_t left,
                        int64_t height, int64_t width)
{
    for (int64_t y = top; y < top + height; y++)
        for (int64_t x = left; x < left + width; x++)
            for (int64_t c = 0; c < 3; c++)
                p->x[(c * p->h + y) * p->w + x] = (float)hr_random_normal(random);
}

/* A rectangle of PaddleClas's area and aspect that is smaller than the picture, or none. */
static bool draw_rectangle(const struct hr_augment_step *step, const struct planes *p,
                           struct hr_random *random, int64_t *height, int64_t *width)
{
    const double *n = step->number, low = n[HR_ERASE_ASPECT], high = 1.0 / low;
    for (int i = 0; i < (int)n[HR_ERASE_TRIES]; i++) {
        const double area =
            hr_random_between(random, n[HR_ERASE_LEAST], n[HR_ERASE_MOST]) * (double)(p->h * p->w);
        const double aspect = n[HR_ERASE_LOG] != 0.0
                                  ? exp(hr_random_between(random, log(low), log(high)))
                                  : hr_random_between(random, low, high);
        *height = (int64_t)rint(sqrt(area * aspect));
        *width = (int64_t)rint(sqrt(area / aspect));
        if (*height > 0 && *width > 0 && *height < p->h && *width < p->w)
            return true;
    }
    return false;
}

static void erase(const struct hr_augment_step *step, const struct planes *p,
                  struct hr_random *random)
{
    const float mean = (float)step->number[HR_ERASE_MEAN];
    float color[3] = { mean, mean, mean };
    int64_t height, width;
    if (!draw_rectangle(step, p, random, &height, &width))
        return;
    const int64_t top = (int64_t)hr_random_below(random, (uint64_t)(p->h - height) + 1);
    const int64_t left = (int64_t)hr_random_below(random, (uint64_t)(p->w - width) + 1);
    if ((int)step->number[HR_ERASE_MODE] == HR_ERASE_PIXEL) {
        write_noise(p, random, top, left, height, width);
        return;
    }
    for (int c = 0; c < 3 && (int)step->number[HR_ERASE_MODE] == HR_ERASE_RAND; c++)
        color[c] = (float)hr_random_normal(random);
    fill(p, top, top + height, left, left + width, color);
}

/* ---- Cutout, hide-and-seek ---- */

static void cutout(const struct hr_augment_step *step, const struct planes *p,
                   struct hr_random *random)
{
    const double given = step->number[HR_CUTOUT_LENGTH];
    const int64_t half = (given > 0.0 ? (int64_t)given : scaled(p, 112.0)) / 2;
    const float value = (float)step->number[HR_CUTOUT_FILL];
    const float color[3] = { value, value, value };
    for (int i = 0; i < (int)step->number[HR_CUTOUT_HOLES]; i++) {
        const int64_t y = (int64_t)hr_random_below(random, (uint64_t)p->h);
        const int64_t x = (int64_t)hr_random_below(random, (uint64_t)p->w);
        fill(p, y - half, y + half, x - half, x + half, color);
    }
}

static void hide(const struct hr_augment_step *step, const struct planes *p,
                 struct hr_random *random)
{
    static const double cells[] = { 0, 16, 32, 44, 56 };
    static const float nothing[3] = { 0 };
    const double cell = cells[hr_random_below(random, HR_COUNT(cells))];
    const double scale = step->number[HR_HIDE_SCALE];
    const int64_t size = scale > 0.0 ? (int64_t)fmax(1.0, rint(cell * scale)) : scaled(p, cell);
    if (cell == 0.0)
        return;
    for (int64_t x = 0; x < p->w; x += size)
        for (int64_t y = 0; y < p->h; y += size)
            if (hr_random_unit(random) < step->number[HR_HIDE_CHANCE])
                fill(p, y, y + size, x, x + size, nothing);
}

/* ---- Grid mask ---- */

/* Does a bar of `bar` of every `period` px, moved by `shift`, cover place `at`? */
static bool covered(int64_t at, int64_t period, int64_t shift, int64_t bar)
{
    const int64_t from = ((at - shift) % period + period) % period;
    return from < bar;
}

/* The mask is half as large again, so that turned corners are covered; its pixels are red only. */
static enum hr_status draw_mask(struct hr_image *mask, const struct hr_augment_step *step,
                                const struct planes *p, struct hr_random *random)
{
    static const uint8_t outside[3] = { 0 };
    const double *n = step->number;
    const int64_t d1 = n[HR_GRID_D1] > 0.0 ? (int64_t)n[HR_GRID_D1] : scaled(p, 96.0);
    const int64_t d2 = n[HR_GRID_D2] > 0.0 ? (int64_t)n[HR_GRID_D2] : scaled(p, 224.0);
    const int64_t period =
        d1 + (d2 > d1 ? (int64_t)hr_random_below(random, (uint64_t)(d2 - d1)) : 0);
    const int64_t bar = (int64_t)((double)period * n[HR_GRID_RATIO] + 0.5);
    const int64_t down = (int64_t)hr_random_below(random, (uint64_t)period);
    const int64_t right = (int64_t)hr_random_below(random, (uint64_t)period);
    const double degrees = (double)hr_random_below(random, (uint64_t)n[HR_GRID_ROTATE]);
    HR_TRY(hr_image_init(mask, p->w + p->w / 2, p->h + p->h / 2));
    for (int64_t y = 0; y < mask->height; y++)
        for (int64_t x = 0; x < mask->width; x++)
            mask->pixels[(y * mask->width + x) * 3] =
                !covered(y, period, down, bar) && !covered(x, period, right, bar);
    return hr_warp_rotate(mask, degrees, HR_WARP_NEAREST, outside);
}

static enum hr_status grid_mask(const struct hr_augment_step *step, const struct planes *p,
                                struct hr_random *random)
{
    struct hr_image mask = { 0 };
    const uint8_t kept = step->number[HR_GRID_MODE] != 0.0 ? 0 : 1;
    const enum hr_status status = draw_mask(&mask, step, p, random);
    const int64_t top = (mask.height - p->h) / 2, left = (mask.width - p->w) / 2;
    for (int64_t y = 0; status == HR_OK && y < p->h; y++)
        for (int64_t x = 0; x < p->w; x++)
            if (mask.pixels[((top + y) * mask.width + left + x) * 3] != kept)
                for (int64_t c = 0; c < 3; c++)
                    p->x[(c * p->h + y) * p->w + x] = 0.0f;
    hr_image_fini(&mask);
    return status;
}

enum hr_status hr_erase_apply(const struct hr_augment_step *step, struct hr_random *random,
                              float *x, int64_t height, int64_t width)
{
    const struct planes p = { x, height, width };
    switch (step->kind) {
    case HR_AUGMENT_ERASING:
        erase(step, &p, random);
        return HR_OK;
    case HR_AUGMENT_CUTOUT:
        cutout(step, &p, random);
        return HR_OK;
    case HR_AUGMENT_HIDE:
        hide(step, &p, random);
        return HR_OK;
    default:
        return grid_mask(step, &p, random);
    }
}
