/* SPDX-License-Identifier: Apache-2.0
 * Everything that is not a convolution: sums of branches, pooling, channel scaling, layout
 * changes, small linear layers.  NHWC [n][h][w][stride] as in kernel/conv.h; stride counts are in
 * floats.  Each function does rows [first, last) of its outermost dimension, so that the caller
 * may split it; bits never depend on the split. */
#ifndef HR_KERNEL_ELTWISE_H
#define HR_KERNEL_ELTWISE_H

#include <stdbool.h>
#include <stddef.h>

#define HR_SUM_TERMS 5

/* y = ((x0 + up(x1)) + up(x2)) ... in order, then max(y, 0) if relu.  Term i is read at
 * (row >> shift[i], column >> shift[i]) of its own plane of height >> shift rounded up.
 * y may be any term whose shift is 0.  All of equal stride.  1 to
 * HR_SUM_TERMS terms.  Rows count n * h. */
struct hr_sum_call {
    size_t n, h, w, stride;
    size_t term_count;
    const float *x[HR_SUM_TERMS];
    unsigned shift[HR_SUM_TERMS];
    float *y;
    bool relu;
};
typedef void hr_sum_fn(const struct hr_sum_call *call, size_t first, size_t last);

/* y[n][c] = mean over the pixels: a float32 sum in pixel order, in 8 partial sums over
 * consecutive eighths [i*hw/8, (i+1)*hw/8) of the plane added pairwise ((0+1)+(2+3))+((4+5)+(6+7)),
 * times 1/(h*w).  x NHWC of c channels; y dense rows of y_stride.  Rows count n. */
struct hr_pool_call {
    size_t n, pixels, c, stride, y_stride;
    const float *x;
    float *y;
};
typedef void hr_global_pool_fn(const struct hr_pool_call *call, size_t first, size_t last);

/* y = x * s (per image and channel), then + residual, then relu.  s rows of s_stride.
 * residual NULL without.  y may be x or residual.  Rows count n * pixels. */
struct hr_scale_call {
    size_t n, pixels, c, stride, s_stride;
    const float *x, *s, *residual;
    float *y;
    bool relu;
};
typedef void hr_scale_fn(const struct hr_scale_call *call, size_t first, size_t last);

/* y[i] = 1 / (1 + exp(-x[i])), i < count; within 2 ulp of the true value.  y may be x. */
typedef void hr_sigmoid_fn(float *y, const float *x, size_t count);

/* NCHW [n][c][pixels] to NHWC [n][pixels][stride] (lanes past c become 0) and back.
 * Rows count n * pixels.  NHWC to HR_LAYOUT_TILES and back: rows of `width` pixels, of `lanes`
 * lanes as hr_tile_lanes tells (kernel/conv.h), are counted, and n and pixels not looked at. */
struct hr_layout_call {
    size_t n, c, pixels, stride;
    const float *x;
    float *y;
    size_t width, lanes;
};
typedef void hr_layout_fn(const struct hr_layout_call *call, size_t first, size_t last);

struct hr_eltwise_kernels {
    hr_sum_fn *sum;
    hr_global_pool_fn *global_pool;
    hr_scale_fn *scale;
    hr_sigmoid_fn *sigmoid;
    hr_layout_fn *to_nhwc, *to_nchw, *to_tiles, *from_tiles;
    size_t vector_floats; /* NHWC strides must be a multiple of this (1 for the reference) */
};

void hr_eltwise_ref(struct hr_eltwise_kernels *kernels);

#endif
