/* SPDX-License-Identifier: Apache-2.0
 * Affine maps.  Pillow has three ways to walk: 16-bit fractions for the nearest pixel, plain steps
 * where rows stay rows, and doubles for filters; each rounds differently, so each is here. */
#include "image/warp.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* ---- Nearest ---- */

/* Where rows stay rows and columns columns: steps that add up, as Pillow adds them. */
static void nearest_scaled(uint8_t *out, const struct hr_image *in, const double m[6])
{
    double y = m[5] + m[4] * 0.5;
    for (int64_t row = 0; row < in->height; row++, y += m[4]) {
        double x = m[2] + m[0] * 0.5;
        for (int64_t column = 0; column < in->width; column++, out += 3, x += m[0])
            if (x >= 0.0 && y >= 0.0 && x < (double)in->width && y < (double)in->height)
                memcpy(out, in->pixels + ((int64_t)y * in->width + (int64_t)x) * 3, 3);
    }
}

static int64_t fixed(double value)
{
    return (int64_t)floor(value * 65536.0 + 0.5);
}

static void nearest_fixed(uint8_t *out, const struct hr_image *in, const double m[6])
{
    const int64_t m0 = fixed(m[0]), m1 = fixed(m[1]), m3 = fixed(m[3]), m4 = fixed(m[4]);
    int64_t row_x = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5);
    int64_t row_y = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
    for (int64_t row = 0; row < in->height; row++, row_x += m1, row_y += m4) {
        int64_t x = row_x, y = row_y;
        for (int64_t column = 0; column < in->width; column++, out += 3, x += m0, y += m3)
            if (x >= 0 && y >= 0 && x >> 16 < in->width && y >> 16 < in->height)
                memcpy(out, in->pixels + ((y >> 16) * in->width + (x >> 16)) * 3, 3);
    }
}

/* ---- Filters ---- */

static int64_t clamp(int64_t value, int64_t count)
{
    return value < 0 ? 0 : value >= count ? count - 1 : value;
}

static double linear(const double v[2], double d)
{
    return v[0] + (v[1] - v[0]) * d;
}

/* Catmull-Rom's family with a = -1. */
static double cubic(const double v[4], double d)
{
    const double p1 = v[1], p2 = -v[0] + v[2], p3 = 2 * (v[0] - v[1]) + v[2] - v[3],
                 p4 = -v[0] + v[1] - v[2] + v[3];
    return p1 + d * (p2 + d * (p3 + d * p4));
}

/* One pixel at (x, y), which lies inside, of taps x taps neighbours.  Columns outside repeat the
 * edge; rows below it repeat the row before. */
static void filter_at(uint8_t *out, const struct hr_image *in, double x, double y, int taps)
{
    const int64_t left = (int64_t)floor(x - 0.5), top = (int64_t)floor(y - 0.5);
    const double dx = x - 0.5 - (double)left, dy = y - 0.5 - (double)top;
    const int64_t first = taps == 4 ? 1 : 0;
    for (int c = 0; c < 3; c++) {
        double rows[4];
        for (int r = 0; r < taps; r++) {
            const uint8_t *row =
                in->pixels + clamp(top - first + r, in->height) * in->width * 3 + c;
            double v[4];
            for (int k = 0; k < taps; k++)
                v[k] = row[clamp(left - first + k, in->width) * 3];
            rows[r] = taps == 4 ? cubic(v, dx) : linear(v, dx);
        }
        const double value = taps == 4 ? cubic(rows, dy) : linear(rows, dy);
        out[c] = (uint8_t)(value <= 0.0 ? 0.0 : value >= 255.0 ? 255.0 : value);
    }
}

static void filtered(uint8_t *out, const struct hr_image *in, const double m[6], int taps)
{
    for (int64_t row = 0; row < in->height; row++)
        for (int64_t column = 0; column < in->width; column++, out += 3) {
            const double cx = (double)column + 0.5, cy = (double)row + 0.5;
            const double x = m[0] * cx + m[1] * cy + m[2], y = m[3] * cx + m[4] * cy + m[5];
            if (x >= 0.0 && y >= 0.0 && x < (double)in->width && y < (double)in->height)
                filter_at(out, in, x, y, taps);
        }
}

/* ---- All ---- */

enum hr_status hr_warp_affine(struct hr_image *image, const double matrix[6],
                              enum hr_warp_filter filter, const uint8_t fill[3])
{
    struct hr_image out = { 0 };
    HR_TRY(hr_image_init(&out, image->width, image->height));
    for (int64_t i = 0; i < out.width * out.height; i++)
        memcpy(out.pixels + 3 * i, fill, 3);
    if (filter != HR_WARP_NEAREST)
        filtered(out.pixels, image, matrix, filter == HR_WARP_BICUBIC ? 4 : 2);
    else if (matrix[1] == 0.0 && matrix[3] == 0.0)
        nearest_scaled(out.pixels, image, matrix);
    else
        nearest_fixed(out.pixels, image, matrix);
    hr_image_fini(image);
    *image = out;
    return HR_OK;
}

/* To 15 decimals, half to even, as Python's round() does: the product's own rounding error decides
 * where it falls on a half. */
static double round15(double value)
{
    const double scaled = value * 1e15, error = fma(value, 1e15, -scaled), whole = rint(scaled);
    const double rest = scaled - whole + error;
    return (rest > 0.5 ? whole + 1.0 : rest < -0.5 ? whole - 1.0 : whole) / 1e15;
}

enum hr_status hr_warp_rotate(struct hr_image *image, double degrees, enum hr_warp_filter filter,
                              const uint8_t fill[3])
{
    const double rest = fmod(degrees, 360.0), turn = rest < 0.0 ? rest + 360.0 : rest;
    const double angle = -(turn * (3.14159265358979323846 / 180.0));
    const double x = (double)image->width / 2.0, y = (double)image->height / 2.0;
    const double c = round15(cos(angle)), s = round15(sin(angle));
    double m[6] = { c, s, 0.0, -s, c, 0.0 };
    if (turn == 0.0)
        return HR_OK;
    m[2] = m[0] * -x + m[1] * -y + 0.0 + x;
    m[5] = m[3] * -x + m[4] * -y + 0.0 + y;
    return hr_warp_affine(image, m, filter, fill);
}
