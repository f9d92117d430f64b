/* SPDX-License-Identifier: Apache-2.0
 * References of batch normalisation while training, and how partial sums are joined. */
#include "kernel/norm.h"

#include <float.h>
#include <math.h>

#include "kernel/fma.h"

size_t hr_norm_blocks(size_t pixels)
{
    return (pixels + HR_NORM_BLOCK - 1) / HR_NORM_BLOCK;
}

/* Pixels [*first, *last) of a block. */
static void block_pixels(size_t pixels, size_t block, size_t *first, size_t *last)
{
    *first = block * HR_NORM_BLOCK;
    *last = pixels - *first < HR_NORM_BLOCK ? pixels : *first + HR_NORM_BLOCK;
}

static void stats_ref(const struct hr_norm_call *call, size_t first, size_t last)
{
    for (size_t block = first; block < last; block++) {
        size_t from, to;
        block_pixels(call->pixels, block, &from, &to);
        float *const out = call->partial + block * HR_NORM_SUMS * call->stride;
        for (size_t i = 0; i < call->stride; i++) {
            float sum = 0.0f, rest = 0.0f, squares = 0.0f;
            for (size_t p = from; p < to; p++)
                sum += call->x[p * call->stride + i];
            const float mean = sum * (1.0f / (float)(to - from));
            for (size_t p = from; p < to; p++) {
                const float d = call->x[p * call->stride + i] - mean;
                rest += d;
                squares = hr_fma(d, d, squares);
            }
            out[i] = mean;
            out[call->stride + i] = rest;
            out[2 * call->stride + i] = squares;
        }
    }
}

/* Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", (2.1). */
void hr_norm_join_stats(const struct hr_norm_call *call, double *mean, double *variance,
                        size_t first, size_t last)
{
    const size_t blocks = hr_norm_blocks(call->pixels), stride = call->stride;
    for (size_t i = first; i < last; i++)
        mean[i] = variance[i] = 0.0;
    for (size_t block = 0; block < blocks; block++) {
        size_t from, to;
        block_pixels(call->pixels, block, &from, &to);
        const float *const part = call->partial + block * HR_NORM_SUMS * stride;
        const double count = (double)(to - from), share = count / (double)to;
        for (size_t i = first; i < last; i++) {
            /* The float mean m is off by (sum (x - m)) / count; squares about m are too many. */
            const double off = (double)part[stride + i] / count;
            const double squares = (double)part[2 * stride + i] - off * off * count;
            const double delta = (double)part[i] + off - mean[i];
            mean[i] += delta * share;
            variance[i] += squares + delta * delta * share * (double)from;
        }
    }
    for (size_t i = first; i < last; i++)
        variance[i] = variance[i] < 0.0 ? 0.0 : variance[i] / (double)call->pixels;
}

/* The input of the norm. */
static float input(const struct hr_norm_call *call, size_t at)
{
    return call->x_half ? hr_half_value(call->x_half[at], call->half) : call->x[at];
}

/* x of channel i, rounded; so that, if a ReLU follows at once, what is made of it is positive where
 * y is: of the two neighbours of x one is on x's side of zero, as the norm never turns back. */
static uint16_t kept(const struct hr_norm_call *call, size_t i, float x, float y)
{
    const uint16_t h = hr_half_of(x, call->half);
    if (!call->relu || call->residual)
        return h;
    const float rounded = hr_half_value(h, call->half);
    const float again = hr_fma(rounded - call->mean[i], call->scale[i], call->shift[i]);
    if ((again > 0.0f) == (y > 0.0f))
        return h;
    return (uint16_t)(h + (fabsf(rounded) > fabsf(x) ? -1 : 1));
}

static bool is_on_side(const struct hr_norm_call *call, size_t p, size_t i)
{
    return call->side[p * ((call->stride + 7) / 8) + i / 8] >> i % 8 & 1;
}

static void keep_side(const struct hr_norm_call *call, size_t p, size_t i, bool positive)
{
    uint8_t *const byte = call->keep_side + p * ((call->stride + 7) / 8) + i / 8;
    const unsigned before = i % 8 ? *byte : 0;
    *byte = (uint8_t)(before | (unsigned)positive << i % 8);
}

static void apply_ref(const struct hr_norm_call *call, size_t first, size_t last)
{
    for (size_t p = first; p < last; p++)
        for (size_t i = 0; i < call->stride; i++) {
            const size_t at = p * call->stride + i;
            const float x = input(call, at);
            float y = hr_fma(x - call->mean[i], call->scale[i], call->shift[i]);
            if (call->residual)
                y = call->residual[at] + y;
            y = call->relu && !(y > 0.0f) ? 0.0f : y;
            if (call->side)
                y = !is_on_side(call, p, i) ? 0.0f : y > FLT_MIN ? y : FLT_MIN;
            if (call->keep_side)
                keep_side(call, p, i, y > 0.0f);
            call->y[at] = y;
            if (call->keep_x)
                call->keep_x[at] = kept(call, i, x, y);
            if (call->keep_y)
                call->keep_y[at] = hr_half_of(y, call->half);
        }
}

static float masked(const struct hr_norm_call *call, size_t at)
{
    return call->relu && !(call->y[at] > 0.0f) ? 0.0f : call->dy[at];
}

static void grad_sums_ref(const struct hr_norm_call *call, size_t first, size_t last)
{
    for (size_t block = first; block < last; block++) {
        size_t from, to;
        block_pixels(call->pixels, block, &from, &to);
        float *const out = call->partial + block * HR_NORM_SUMS * call->stride;
        for (size_t i = 0; i < call->stride; i++) {
            float sum = 0.0f, product = 0.0f;
            for (size_t p = from; p < to; p++) {
                const size_t at = p * call->stride + i;
                const float g = masked(call, at);
                sum += g;
                product = hr_fma(g, input(call, at) - call->mean[i], product);
            }
            out[i] = sum;
            out[call->stride + i] = product;
        }
    }
}

void hr_norm_join_grad(const struct hr_norm_call *call, double *sum, double *product, size_t first,
                       size_t last)
{
    const size_t blocks = hr_norm_blocks(call->pixels), stride = call->stride;
    for (size_t i = first; i < last; i++)
        sum[i] = product[i] = 0.0;
    for (size_t block = 0; block < blocks; block++) {
        const float *const part = call->partial + block * HR_NORM_SUMS * stride;
        for (size_t i = first; i < last; i++) {
            sum[i] += (double)part[i];
            product[i] += (double)part[stride + i];
        }
    }
}

static void grad_ref(const struct hr_norm_call *call, size_t first, size_t last)
{
    for (size_t p = first; p < last; p++)
        for (size_t i = 0; i < call->stride; i++) {
            const size_t at = p * call->stride + i;
            const float g = masked(call, at);
            const float x = input(call, at) - call->mean[i];
            const float dx = hr_fma(x, call->b[i], hr_fma(g, call->a[i], call->c[i]));
            if (call->dresidual)
                call->dresidual[at] = call->dresidual_add ? call->dresidual[at] + g : g;
            call->dx[at] = call->dx_add ? call->dx[at] + dx : dx;
        }
}

void hr_norm_ref(struct hr_norm_kernels *kernels)
{
    *kernels = (struct hr_norm_kernels){
        .stats = stats_ref,
        .apply = apply_ref,
        .grad_sums = grad_sums_ref,
        .grad = grad_ref,
    };
}
