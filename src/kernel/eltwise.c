/* SPDX-License-Identifier: Apache-2.0
 * References of everything that is not a convolution: each the specification of its vector form,
 * with the order of arithmetic of eltwise.h. */
#include "kernel/eltwise.h"

#include <stdint.h>
#include <string.h>

static float relu(float value)
{
    return value > 0.0f ? value : 0.0f;
}

static void sum_ref(const struct hr_sum_call *call, size_t first, size_t last)
{
    for (size_t row = first; row < last; row++) {
        const size_t image = row / call->h, oy = row % call->h;
        for (size_t ox = 0; ox < call->w; ox++)
            for (size_t i = 0; i < call->stride; i++) {
                float sum = 0.0f;
                for (size_t t = 0; t < call->term_count; t++) {
                    const unsigned shift = call->shift[t];
                    const size_t h = ((call->h - 1) >> shift) + 1, w = ((call->w - 1) >> shift) + 1;
                    const size_t pixel = (image * h + (oy >> shift)) * w + (ox >> shift);
                    const float value = call->x[t][pixel * call->stride + i];
                    sum = t == 0 ? value : sum + value;
                }
                call->y[(row * call->w + ox) * call->stride + i] = call->relu ? relu(sum) : sum;
            }
    }
}

static void global_pool_ref(const struct hr_pool_call *call, size_t first, size_t last)
{
    const float inverse = 1.0f / (float)call->pixels;
    for (size_t image = first; image < last; image++)
        for (size_t i = 0; i < call->c; i++) {
            float part[8];
            for (size_t e = 0; e < 8; e++) {
                part[e] = 0.0f;
                for (size_t p = e * call->pixels / 8; p < (e + 1) * call->pixels / 8; p++)
                    part[e] += call->x[(image * call->pixels + p) * call->stride + i];
            }
            const float sum = ((part[0] + part[1]) + (part[2] + part[3])) +
                              ((part[4] + part[5]) + (part[6] + part[7]));
            call->y[image * call->y_stride + i] = sum * inverse;
        }
}

static void scale_ref(const struct hr_scale_call *call, size_t first, size_t last)
{
    for (size_t row = first; row < last; row++) {
        const float *const s = call->s + row / call->pixels * call->s_stride;
        for (size_t i = 0; i < call->stride; i++) {
            const size_t at = row * call->stride + i;
            float value = i < call->c ? call->x[at] * s[i] : 0.0f;
            if (call->residual)
                value = value + call->residual[at];
            call->y[at] = call->relu ? relu(value) : value;
        }
    }
}

/* exp(x) for x in [-700, 700], relative error below 1e-9: x = n ln 2 + r with |r| <= ln 2 / 2, then
 * eight terms of the series (the next is r^9 / 9! < 2.1e-10). */
static double exp_double(double x)
{
    const double magic = 0x1.8p52; /* adding it rounds to an integer in the low bits */
    const double biased = x * 0x1.71547652b82fep0 + magic;
    const double n = biased - magic;
    const double r = (x - n * 0x1.62e42fefa3800p-1) - n * 0x1.ef35793c76730p-45;
    double p = 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    const uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* In double, so that one plain loop gives the same bits everywhere and is right to the last bit
 * but for rare ties; the counts (channels of squeeze-and-excitation) are small. */
static void sigmoid_ref(float *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value = (double)x[i];
        if (value != value) {
            y[i] = x[i];
            continue;
        }
        value = value < -120.0 ? -120.0 : value > 120.0 ? 120.0 : value;
        y[i] = (float)(1.0 / (1.0 + exp_double(-value)));
    }
}

static void to_nhwc_ref(const struct hr_layout_call *call, size_t first, size_t last)
{
    for (size_t row = first; row < last; row++) {
        const size_t image = row / call->pixels, pixel = row % call->pixels;
        for (size_t i = 0; i < call->stride; i++)
            call->y[row * call->stride + i] =
                i < call->c ? call->x[(image * call->c + i) * call->pixels + pixel] : 0.0f;
    }
}

static void to_nchw_ref(const struct hr_layout_call *call, size_t first, size_t last)
{
    for (size_t row = first; row < last; row++) {
        const size_t image = row / call->pixels, pixel = row % call->pixels;
        for (size_t i = 0; i < call->c; i++)
            call->y[(image * call->c + i) * call->pixels + pixel] = call->x[row * call->stride + i];
    }
}

/* Where pixel x, channel c of a row lies. */
static size_t tile_offset(const struct hr_layout_call *call, size_t x, size_t c)
{
    return (x % 4 * call->c + c) * call->lanes + x / 4;
}

static void to_tiles_ref(const struct hr_layout_call *call, size_t first, size_t last)
{
    const size_t floats = 4 * call->c * call->lanes;
    for (size_t row = first; row < last; row++) {
        memset(call->y + row * floats, 0, floats * sizeof *call->y);
        for (size_t x = 0; x < call->width; x++)
            for (size_t c = 0; c < call->c; c++)
                call->y[row * floats + tile_offset(call, x, c)] =
                    call->x[(row * call->width + x) * call->stride + c];
    }
}

static void from_tiles_ref(const struct hr_layout_call *call, size_t first, size_t last)
{
    const size_t floats = 4 * call->c * call->lanes;
    for (size_t row = first; row < last; row++)
        for (size_t x = 0; x < call->width; x++)
            for (size_t c = 0; c < call->stride; c++)
                call->y[(row * call->width + x) * call->stride + c] =
                    c < call->c ? call->x[row * floats + tile_offset(call, x, c)] : 0.0f;
}

void hr_eltwise_ref(struct hr_eltwise_kernels *kernels)
{
    *kernels = (struct hr_eltwise_kernels){
        .sum = sum_ref,
        .global_pool = global_pool_ref,
        .scale = scale_ref,
        .sigmoid = sigmoid_ref,
        .to_nhwc = to_nhwc_ref,
        .to_nchw = to_nchw_ref,
        .to_tiles = to_tiles_ref,
        .from_tiles = from_tiles_ref,
        .vector_floats = 1,
    };
}
