/* SPDX-License-Identifier: Apache-2.0
 * Batch normalisation while training (Ioffe and Szegedy 2015, arXiv 1502.03167, section 3), with
 * the addition and the ReLU behind it, and its gradient.  Activations are rows of `stride` floats,
 * a row a pixel of the batch; per-channel arrays have `stride` elements, zeros past the channels,
 * so that lanes past the channels stay zero.
 *
 * Sums over pixels are made in blocks of HR_NORM_BLOCK pixels in float32, in pixel order, and
 * blocks are joined in double, in order: the same bits on every rung and for every split.  Half a
 * thousandth of a deviation decides which side of a ReLU a value falls, so statistics are worth
 * more than float32. */
#ifndef HR_KERNEL_NORM_H
#define HR_KERNEL_NORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/half.h"

#define HR_NORM_BLOCK 64
#define HR_NORM_SUMS  3 /* rows of partial sums a block */

struct hr_norm_call {
    size_t pixels, stride;
    const float *x;    /* the input of the norm */
    const float *mean; /* of the batch */
    float *partial;    /* [blocks][HR_NORM_SUMS][stride] */
    /* Forward: y = (x - mean) * scale + shift, the last two fused; then residual + y; then ReLU. */
    const float *scale, *shift, *residual; /* residual NULL without; y may be residual */
    float *y;
    bool relu;
    /* Backward: g = dy where y > 0 (everywhere without relu).  dx = (x - mean) * b + (g * a + c),
     * fused multiply-adds; added to what dx holds with dx_add.  dresidual (NULL without) receives
     * g, or has it added with dresidual_add.  dx may be dy, dresidual not. */
    const float *dy, *a, *b, *c;
    float *dx, *dresidual;
    bool dx_add, dresidual_add;
    /* Kept in 16 bits: x_half, if there is one, in the place of x (all but stats); keep_x and
     * keep_y (NULL: not) receive x and y of apply, rounded; where the ReLU comes at once, x is
     * rounded to the side from which it lets the same values pass. */
    enum hr_half half; /* of all three */
    const uint16_t *x_half;
    uint16_t *keep_x, *keep_y;
    /* A bit an element, lowest first, (stride + 7) / 8 bytes a pixel: where y of apply, with relu
     * and without residual, is positive: keep_side (NULL: not) receives it; side (NULL: none) says
     * what it is to be: y is zero, or at least FLT_MIN. */
    uint8_t *keep_side;
    const uint8_t *side;
};

/* Blocks [first, last): partial = the block's mean m = sum x / count, sum (x - m), and
 * sum (x - m)^2, fused. */
typedef void hr_norm_stats_fn(const struct hr_norm_call *call, size_t first, size_t last);
/* Pixels [first, last) of y. */
typedef void hr_norm_apply_fn(const struct hr_norm_call *call, size_t first, size_t last);
/* Blocks [first, last): partial = sum g, and sum g * (x - mean), fused; the third row is unused. */
typedef void hr_norm_grad_sums_fn(const struct hr_norm_call *call, size_t first, size_t last);
/* Pixels [first, last) of dx and dresidual. */
typedef void hr_norm_grad_fn(const struct hr_norm_call *call, size_t first, size_t last);

struct hr_norm_kernels {
    hr_norm_stats_fn *stats;
    hr_norm_apply_fn *apply;
    hr_norm_grad_sums_fn *grad_sums;
    hr_norm_grad_fn *grad;
};
void hr_norm_ref(struct hr_norm_kernels *kernels);

size_t hr_norm_blocks(size_t pixels);

/* Joins the blocks of `stats`: mean and biased variance of channels [first, last). */
void hr_norm_join_stats(const struct hr_norm_call *call, double *mean, double *variance,
                        size_t first, size_t last);
/* Joins the blocks of `grad_sums`: sum g and sum g * (x - mean) of channels [first, last). */
void hr_norm_join_grad(const struct hr_norm_call *call, double *sum, double *product, size_t first,
                       size_t last);

#endif
