/* SPDX-License-Identifier: Apache-2.0
 * The reference convolution: the order of arithmetic of conv.h, written down as plainly as it can
 * be.  It is the specification of every other convolution kernel and the last rung of the ladder.
 */
#include "kernel/conv.h"

#include <stdint.h>

#include "kernel/fma.h"

#define BLOCK 32 /* output channels at a time: their accumulators stay in the first-level cache */

size_t hr_tile_lanes(size_t w, size_t vector)
{
    const size_t tiles = w / 4, lanes = (tiles + vector - 1) / vector * vector;
    return w % 4 == 0 && lanes > tiles ? lanes : 0;
}

static bool ref_applies(const struct hr_conv_shape *shape)
{
    return shape->x_stride >= shape->c && shape->y_stride >= shape->k;
}

static double ref_cost(const struct hr_conv_shape *shape, size_t n)
{
    const size_t taps = (size_t)(shape->kernel * shape->kernel);
    return 2.0 * (double)n * (double)(shape->oh * shape->ow) * (double)(taps * shape->c) *
           (double)shape->k;
}

/* Packed: bias [k], then w [r][s][c][k]. */
static size_t ref_packed_bytes(const struct hr_conv_shape *shape)
{
    const size_t taps = (size_t)(shape->kernel * shape->kernel);
    return ((1 + taps * shape->c) * shape->k * sizeof(float) + 63) / 64 * 64;
}

static void ref_pack(void *packed, const struct hr_conv_shape *shape, const float *w,
                     const float *scale, const float *bias, size_t task, size_t task_count)
{
    const size_t taps = (size_t)(shape->kernel * shape->kernel), c = shape->c, k = shape->k;
    float *const out_bias = packed, *const out = out_bias + k;
    for (size_t j = k * task / task_count; j < k * (task + 1) / task_count; j++) {
        out_bias[j] = bias ? bias[j] : 0.0f;
        for (size_t t = 0; t < taps; t++)
            for (size_t i = 0; i < c; i++) {
                const float value = w[(j * c + i) * taps + t];
                out[(t * c + i) * k + j] = scale ? value * scale[j] : value;
            }
    }
}

static size_t ref_scratch_bytes(const struct hr_conv_shape *shape, size_t n, size_t threads)
{
    (void)shape, (void)n, (void)threads;
    return 0;
}

static size_t ref_tasks(const struct hr_conv_shape *shape, size_t n, size_t threads)
{
    const size_t rows = n * shape->oh;
    return rows < threads ? rows : threads;
}

/* acc[count] += one tap: x [c], w [c][k]. */
static void ref_tap(float *restrict acc, const float *restrict x, const float *restrict w, size_t c,
                    size_t k, size_t count)
{
    for (size_t i = 0; i < c; i++)
        for (size_t j = 0; j < count; j++)
            acc[j] = hr_fma(x[i], w[i * k + j], acc[j]);
}

/* Output channels [k0, k0 + count) of one pixel. */
static void ref_pixel(const struct hr_conv_call *call, size_t image, size_t oy, size_t ox,
                      size_t k0, size_t count)
{
    const struct hr_conv_shape *const s = call->shape;
    const float *const bias = call->packed, *const w = bias + s->k;
    const size_t kernel = (size_t)s->kernel, stride = (size_t)s->stride, pad = (size_t)s->pad;
    float acc[BLOCK];
    for (size_t j = 0; j < count; j++)
        acc[j] = bias[k0 + j];
    for (size_t r = 0; r < kernel; r++)
        for (size_t q = 0; q < kernel; q++) {
            const size_t iy = oy * stride + r - pad, ix = ox * stride + q - pad;
            if (iy >= s->h || ix >= s->w) /* negative ones have wrapped around */
                continue;
            ref_tap(acc, call->x + ((image * s->h + iy) * s->w + ix) * s->x_stride,
                    w + (r * kernel + q) * s->c * s->k + k0, s->c, s->k, count);
        }
    const size_t at = ((image * s->oh + oy) * s->ow + ox) * s->y_stride + k0;
    for (size_t j = 0; j < count; j++) {
        float value = acc[j] + 0.0f;
        if (s->residual)
            value = call->residual[at + j] + value;
        if (s->relu)
            value = value > 0.0f ? value : 0.0f;
        call->y[at + j] = value;
    }
}

static void ref_run(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t rows = call->n * s->oh;
    for (size_t row = rows * task / task_count; row < rows * (task + 1) / task_count; row++)
        for (size_t ox = 0; ox < s->ow; ox++) {
            for (size_t k0 = 0; k0 < s->k; k0 += BLOCK)
                ref_pixel(call, row / s->oh, row % s->oh, ox, k0,
                          s->k - k0 < BLOCK ? s->k - k0 : BLOCK);
            for (size_t j = s->k; j < s->y_stride; j++)
                call->y[(row * s->ow + ox) * s->y_stride + j] = 0.0f;
        }
}

const struct hr_conv_kernel hr_conv_ref = {
    .name = "conv_ref",
    .x_layout = HR_LAYOUT_NHWC,
    .y_layout = HR_LAYOUT_NHWC,
    .exact = true,
    .applies = ref_applies,
    .cost = ref_cost,
    .packed_bytes = ref_packed_bytes,
    .pack = ref_pack,
    .scratch_bytes = ref_scratch_bytes,
    .tasks = ref_tasks,
    .run = ref_run,
};
