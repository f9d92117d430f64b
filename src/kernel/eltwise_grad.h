/* SPDX-License-Identifier: Apache-2.0
 * Gradients of everything that is neither convolution nor norm.  Layouts and rows as in
 * kernel/eltwise.h; each function does rows [first, last), bits never depend on the split.  With
 * `add` the gradient is added to what dx holds, else it replaces it. */
#ifndef HR_KERNEL_ELTWISE_GRAD_H
#define HR_KERNEL_ELTWISE_GRAD_H

#include <stdbool.h>
#include <stddef.h>

/* A term of a sum that was upsampled by 1 << shift, with a ReLU behind the sum if y is not NULL:
 * dx = sum of dy where y > 0 over its square of the plane h x w, row by row, in order.  shift 0
 * is the ReLU, or the addition, itself.  Rows count n * the term's height, (h - 1 >> shift) + 1. */
struct hr_sum_grad_call {
    size_t n, h, w, stride;
    unsigned shift;
    const float *y, *dy; /* [n][h][w][stride] */
    float *dx;           /* may be dy when shift is 0 */
    bool add;
};
typedef void hr_sum_grad_fn(const struct hr_sum_grad_call *call, size_t first, size_t last);

/* Phases of a strided convolution's gradient to their places: dx[n][S i + a][S j + b][x] =
 * z[n][i][j][(a S + b) x_stride + x]; places past h or w are left out.  Rows count n * h. */
struct hr_shuffle_call {
    size_t n, h, w, x_stride, stride; /* stride: S */
    const float *z;                   /* [n][h / S][w / S][S * S * x_stride], rounded up */
    float *dx;
    bool add;
};
typedef void hr_shuffle_fn(const struct hr_shuffle_call *call, size_t first, size_t last);

/* dx[n][pixel][c] = dy[n][c] / pixels.  Rows count n * pixels. */
struct hr_pool_grad_call {
    size_t n, pixels, stride, dy_stride; /* dy rows of at least `stride` floats */
    const float *dy;
    float *dx;
    bool add;
};
typedef void hr_pool_grad_fn(const struct hr_pool_grad_call *call, size_t first, size_t last);

/* y = x * s: dx = dy * s, and ds[n][c] = sum over pixels in order of dy * x, fused.  Rows count
 * n; s, ds rows of `stride` floats, zeros past the channels. */
struct hr_scale_grad_call {
    size_t n, pixels, stride;
    const float *x, *s, *dy;
    float *dx, *ds;
    bool dx_add, ds_add;
};
typedef void hr_scale_grad_fn(const struct hr_scale_grad_call *call, size_t first, size_t last);

struct hr_eltwise_grad_kernels {
    hr_sum_grad_fn *sum;
    hr_shuffle_fn *shuffle;
    hr_pool_grad_fn *pool;
    hr_scale_grad_fn *scale;
};
void hr_eltwise_grad_ref(struct hr_eltwise_grad_kernels *kernels);

/* y = sigmoid(x): dx = dy * y * (1 - y); dx may be dy. */
void hr_sigmoid_grad(float *dx, const float *dy, const float *y, size_t count, bool add);

#endif
