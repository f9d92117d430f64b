/* SPDX-License-Identifier: Apache-2.0
 * Two families of 8-bit resizing.  OpenCV 4.6's INTER_LINEAR: two taps a direction in 11-bit fixed
 * point, no antialiasing, and an exact halving.  Pillow 9's antialiased filters: as many taps as
 * the scale needs in 22-bit fixed point, one 8-bit picture between the two passes. */
#include "image/resize.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* ---- OpenCV (imgproc/src/resize.cpp, HResizeLinear and VResizeLinear for uchar) ---- */

#define LINEAR_ONE 2048 /* 11 bits */

struct linear_tap {
    int64_t at; /* of the first of two neighbours; -1 is possible vertically */
    int32_t a, b;
};

/* The taps of one output coordinate.  Horizontally, places past the ends get a whole weight. */
static struct linear_tap linear_tap(int64_t out, int64_t from, int64_t to, bool horizontal)
{
    const double scale = 1.0 / ((double)to / (double)from);
    float f = (float)(((double)out + 0.5) * scale - 0.5);
    const float whole = floorf(f);
    struct linear_tap tap = { .at = (int64_t)whole };
    f -= whole;
    if (horizontal && (tap.at < 0 || tap.at >= from - 1)) {
        tap.at = tap.at < 0 ? 0 : from - 1;
        f = 0.0f;
    }
    tap.a = (int32_t)lrintf((1.0f - f) * LINEAR_ONE);
    tap.b = (int32_t)lrintf(f * LINEAR_ONE);
    return tap;
}

static int64_t clamp(int64_t value, int64_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

/* Sums of 19 bits, kept without their lowest four as the vertical pass wants them. */
static void linear_row(int16_t *out, const uint8_t *row, const struct linear_tap *taps,
                       int64_t count, int64_t from)
{
    for (int64_t x = 0; x < count; x++) {
        const uint8_t *p = row + taps[x].at * 3;
        const uint8_t *q = row + clamp(taps[x].at + 1, from - 1) * 3;
        for (int c = 0; c < 3; c++)
            out[3 * x + c] = (int16_t)((p[c] * taps[x].a + q[c] * taps[x].b) >> 4);
    }
}

/* 16-bit products of which the high half is kept: the compiler has one instruction for that. */
static void linear_mix(uint8_t *out, const int16_t *p, const int16_t *q, int16_t a, int16_t b,
                       int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int16_t above = (int16_t)((a * p[i]) >> 16), below = (int16_t)((b * q[i]) >> 16);
        out[i] = (uint8_t)((int16_t)(above + below + 2) >> 2);
    }
}

static enum hr_status resize_linear(struct hr_image *window, const struct hr_image *image,
                                    const struct hr_resize_to *to)
{
    const int64_t width = window->width, samples = width * 3;
    enum hr_status status = HR_E_MEMORY;
    struct linear_tap *taps = hr_mem_alloc((size_t)width, sizeof *taps);
    int16_t *rows = hr_mem_alloc((size_t)samples * 2, sizeof *rows);
    if (taps && rows) {
        int64_t held[2] = { -1, -1 }; /* which source row each half of `rows` is */
        for (int64_t x = 0; x < width; x++)
            taps[x] = linear_tap(to->x + x, image->width, to->width, true);
        for (int64_t y = 0; y < window->height; y++) {
            const struct linear_tap tap = linear_tap(to->y + y, image->height, to->height, false);
            int16_t *pair[2];
            for (int i = 0; i < 2; i++) {
                const int64_t row = clamp(tap.at + i, image->height - 1);
                const int slot = held[0] == row ? 0 : held[1] == row ? 1 : (int)(row & 1);
                pair[i] = rows + slot * samples;
                if (held[slot] != row)
                    linear_row(pair[i], image->pixels + row * image->width * 3, taps, width,
                               image->width);
                held[slot] = row;
            }
            linear_mix(window->pixels + y * samples, pair[0], pair[1], (int16_t)tap.a,
                       (int16_t)tap.b, samples);
        }
        status = HR_OK;
    }
    hr_mem_free(taps);
    hr_mem_free(rows);
    return status;
}

/* When both sides shrink exactly by two, OpenCV takes the mean of 2 x 2. */
static void halve(struct hr_image *window, const struct hr_image *image,
                  const struct hr_resize_to *to)
{
    const int64_t stride = image->width * 3;
    for (int64_t y = 0; y < window->height; y++) {
        const uint8_t *p = image->pixels + (to->y + y) * 2 * stride + to->x * 6;
        uint8_t *out = window->pixels + y * window->width * 3;
        for (int64_t x = 0; x < window->width; x++, p += 6, out += 3)
            for (int c = 0; c < 3; c++)
                out[c] = (uint8_t)((p[c] + p[c + 3] + p[stride + c] + p[stride + c + 3] + 2) >> 2);
    }
}

static void copy_window(struct hr_image *window, const struct hr_image *image,
                        const struct hr_resize_to *to)
{
    for (int64_t y = 0; y < window->height; y++)
        memcpy(window->pixels + y * window->width * 3,
               image->pixels + ((to->y + y) * image->width + to->x) * 3, (size_t)window->width * 3);
}

/* ---- Pillow (libImaging/Resample.c) ---- */

#define PILLOW_BITS 22 /* PRECISION_BITS: 32 - 8 - 2 */

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Catmull-Rom's family with a = -0.5. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0)
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

struct filter {
    double (*weight)(double x);
    double support;
};

/* Coefficients of `count` outputs from `first` on. */
struct coefficients {
    int32_t *weights; /* [count][most] */
    struct {
        int64_t first, count;
    } * bounds;
    int64_t most;
};

static void coefficients_fini(struct coefficients *k)
{
    hr_mem_free(k->weights);
    hr_mem_free(k->bounds);
}

static enum hr_status coefficients_init(struct coefficients *k, const struct filter *filter,
                                        int64_t from, int64_t to, int64_t first, int64_t count)
{
    const double scale = (double)from / (double)to, stretch = scale < 1.0 ? 1.0 : scale;
    const double support = filter->support * stretch, inverse = 1.0 / stretch;
    k->most = (int64_t)ceil(support) * 2 + 1;
    k->weights = hr_mem_alloc((size_t)count, (size_t)k->most * sizeof *k->weights);
    k->bounds = hr_mem_alloc((size_t)count, sizeof *k->bounds);
    double *exact = hr_mem_alloc((size_t)k->most, sizeof *exact);
    if (!k->weights || !k->bounds || !exact) {
        hr_mem_free(exact);
        coefficients_fini(k);
        return HR_E_MEMORY;
    }
    for (int64_t i = 0; i < count; i++) {
        const double center = ((double)(first + i) + 0.5) * scale;
        int64_t low = (int64_t)(center - support + 0.5), high = (int64_t)(center + support + 0.5);
        double sum = 0.0;
        low = low < 0 ? 0 : low;
        high = high > from ? from : high;
        for (int64_t x = 0; x < high - low; x++) {
            exact[x] = filter->weight(((double)(x + low) - center + 0.5) * inverse);
            sum += exact[x];
        }
        for (int64_t x = 0; x < high - low; x++) {
            const double w = (sum != 0.0 ? exact[x] / sum : exact[x]) * (1 << PILLOW_BITS);
            k->weights[i * k->most + x] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
        }
        k->bounds[i].first = low;
        k->bounds[i].count = high - low;
    }
    hr_mem_free(exact);
    return HR_OK;
}

static uint8_t to_byte(int32_t sum)
{
    const int32_t value = sum >> PILLOW_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void filter_row(uint8_t *out, const uint8_t *row, const struct coefficients *k,
                       int64_t count)
{
    for (int64_t x = 0; x < count; x++) {
        const int32_t *w = k->weights + x * k->most;
        const uint8_t *p = row + k->bounds[x].first * 3;
        int32_t sum[3] = { 1 << (PILLOW_BITS - 1), 1 << (PILLOW_BITS - 1), 1 << (PILLOW_BITS - 1) };
        for (int64_t i = 0; i < k->bounds[x].count; i++)
            for (int c = 0; c < 3; c++)
                sum[c] += p[3 * i + c] * w[i];
        for (int c = 0; c < 3; c++)
            out[3 * x + c] = to_byte(sum[c]);
    }
}

/* Column sums in pieces, so that the sums stay in registers or near. */
static void filter_column(uint8_t *out, const uint8_t *rows, int64_t samples, const int32_t *w,
                          int64_t count)
{
    int32_t sum[64];
    for (int64_t at = 0; at < samples; at += 64) {
        const int64_t piece = samples - at < 64 ? samples - at : 64;
        for (int64_t i = 0; i < piece; i++)
            sum[i] = 1 << (PILLOW_BITS - 1);
        for (int64_t r = 0; r < count; r++)
            for (int64_t i = 0; i < piece; i++)
                sum[i] += rows[r * samples + at + i] * w[r];
        for (int64_t i = 0; i < piece; i++)
            out[at + i] = to_byte(sum[i]);
    }
}

/* Pillow skips the pass of a side that keeps its size. */
static void filter_both(struct hr_image *window, const struct hr_image *image,
                        const struct hr_resize_to *to, const struct coefficients *across,
                        const struct coefficients *down, int64_t first, int64_t rows,
                        uint8_t *between)
{
    const int64_t samples = window->width * 3;
    for (int64_t y = 0; y < rows; y++) {
        const uint8_t *row = image->pixels + (first + y) * image->width * 3;
        if (to->width == image->width)
            memcpy(between + y * samples, row + to->x * 3, (size_t)samples);
        else
            filter_row(between + y * samples, row, across, window->width);
    }
    for (int64_t y = 0; y < window->height; y++) {
        uint8_t *out = window->pixels + y * samples;
        if (to->height == image->height)
            memcpy(out, between + (to->y + y - first) * samples, (size_t)samples);
        else
            filter_column(out, between + (down->bounds[y].first - first) * samples, samples,
                          down->weights + y * down->most, down->bounds[y].count);
    }
}

static enum hr_status resize_filtered(struct hr_image *window, const struct hr_image *image,
                                      const struct filter *filter, const struct hr_resize_to *to)
{
    struct coefficients across = { 0 }, down = { 0 };
    uint8_t *between = NULL;
    enum hr_status status =
        coefficients_init(&across, filter, image->width, to->width, to->x, window->width);
    if (status != HR_OK)
        return status;
    status = coefficients_init(&down, filter, image->height, to->height, to->y, window->height);
    if (status == HR_OK) {
        const int64_t last = window->height - 1;
        const bool keep = to->height == image->height;
        const int64_t first = keep ? to->y : down.bounds[0].first;
        const int64_t end =
            keep ? to->y + window->height : down.bounds[last].first + down.bounds[last].count;
        between = hr_mem_alloc_raw((size_t)(end - first), (size_t)window->width * 3);
        if (between)
            filter_both(window, image, to, &across, &down, first, end - first, between);
        else
            status = HR_E_MEMORY;
        coefficients_fini(&down);
    }
    coefficients_fini(&across);
    hr_mem_free(between);
    return status;
}

enum hr_status hr_resize_window(struct hr_image *window, const struct hr_image *image,
                                enum hr_resize how, const struct hr_resize_to *to)
{
    static const struct filter filters[] = {
        [HR_RESIZE_PILLOW] = { triangle, 1.0 }, [HR_RESIZE_PILLOW_BICUBIC] = { cubic, 2.0 }
    };
    if (to->width == image->width && to->height == image->height) {
        copy_window(window, image, to);
        return HR_OK;
    }
    if (how != HR_RESIZE_OPENCV)
        return resize_filtered(window, image, &filters[how], to);
    if (to->width * 2 == image->width && to->height * 2 == image->height) {
        halve(window, image, to);
        return HR_OK;
    }
    return resize_linear(window, image, to);
}
