/* SPDX-License-Identifier: Apache-2.0
 * References of the element-wise gradients: each the specification of its vector form. */
#include "kernel/eltwise_grad.h"

#include "kernel/fma.h"

static void put(float *at, float value, bool add)
{
    *at = add ? *at + value : value;
}

static void sum_ref(const struct hr_sum_grad_call *call, size_t first, size_t last)
{
    const size_t th = ((call->h - 1) >> call->shift) + 1, tw = ((call->w - 1) >> call->shift) + 1;
    const size_t size = (size_t)1 << call->shift;
    for (size_t row = first; row < last; row++)
        for (size_t tx = 0; tx < tw; tx++)
            for (size_t i = 0; i < call->stride; i++) {
                float sum = 0.0f;
                for (size_t r = 0; r < size && row % th * size + r < call->h; r++)
                    for (size_t q = 0; q < size && tx * size + q < call->w; q++) {
                        const size_t oy = row / th * call->h + row % th * size + r;
                        const size_t at = (oy * call->w + tx * size + q) * call->stride + i;
                        sum += call->y && !(call->y[at] > 0.0f) ? 0.0f : call->dy[at];
                    }
                put(call->dx + (row * tw + tx) * call->stride + i, sum, call->add);
            }
}

static void shuffle_ref(const struct hr_shuffle_call *call, size_t first, size_t last)
{
    const size_t S = call->stride, x = call->x_stride;
    const size_t zh = (call->h + S - 1) / S, zw = (call->w + S - 1) / S;
    for (size_t row = first; row < last; row++) {
        const size_t image = row / call->h, oy = row % call->h;
        for (size_t ox = 0; ox < call->w; ox++) {
            const size_t pixel = (image * zh + oy / S) * zw + ox / S;
            const float *const from = call->z + (pixel * S * S + oy % S * S + ox % S) * x;
            float *const to = call->dx + (row * call->w + ox) * x;
            for (size_t i = 0; i < x; i++)
                put(to + i, from[i], call->add);
        }
    }
}

static void pool_ref(const struct hr_pool_grad_call *call, size_t first, size_t last)
{
    const float inverse = 1.0f / (float)call->pixels;
    for (size_t row = first; row < last; row++)
        for (size_t i = 0; i < call->stride; i++)
            put(call->dx + row * call->stride + i,
                call->dy[row / call->pixels * call->dy_stride + i] * inverse, call->add);
}

static void scale_ref(const struct hr_scale_grad_call *call, size_t first, size_t last)
{
    for (size_t image = first; image < last; image++)
        for (size_t i = 0; i < call->stride; i++) {
            const float s = call->s[image * call->stride + i];
            float sum = 0.0f;
            for (size_t p = 0; p < call->pixels; p++) {
                const size_t at = (image * call->pixels + p) * call->stride + i;
                const float dy = call->dy[at];
                sum = hr_fma(dy, call->x[at], sum);
                put(call->dx + at, dy * s, call->dx_add);
            }
            put(call->ds + image * call->stride + i, sum, call->ds_add);
        }
}

void hr_sigmoid_grad(float *dx, const float *dy, const float *y, size_t count, bool add)
{
    for (size_t i = 0; i < count; i++)
        put(dx + i, dy[i] * y[i] * (1.0f - y[i]), add);
}

void hr_eltwise_grad_ref(struct hr_eltwise_grad_kernels *kernels)
{
    *kernels = (struct hr_eltwise_grad_kernels){
        .sum = sum_ref,
        .shuffle = shuffle_ref,
        .pool = pool_ref,
        .scale = scale_ref,
    };
}
