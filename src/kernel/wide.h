/* SPDX-License-Identifier: Apache-2.0
 * Everything that training computes, in double, as plain loops: what tells an error of the method
 * from one of rounding.  Activations are NHWC rows as in kernel/conv.h, of doubles; parameters and
 * their gradients stay float.  Functions with [first, last) do that part of the work; bits do not
 * depend on the split. */
#ifndef HR_KERNEL_WIDE_H
#define HR_KERNEL_WIDE_H

#include "kernel/conv.h"

/* y = conv(x) + bias (NULL: 0), or, with `backward`, x += or = its gradient by dy: the input's
 * plane from the output's.  residual and relu of the shape are unused. */
struct hr_wide_conv {
    const struct hr_conv_shape *shape;
    size_t n;
    const double *from; /* x, or dy */
    double *to;         /* y, or dx */
    const double *w;    /* [tap][c][k] forward, [tap][k][c] backward, by hr_wide_weights */
    const float *bias;
    bool backward, add;
};
/* w float [k][c][tap] ([c][k] with `linear`) in the order of a pass; rows of it, taps x channels
 * that are read, [first, last). */
void hr_wide_weights(double *out, const struct hr_conv_shape *shape, const float *w, bool linear,
                     bool backward, size_t first, size_t last);
size_t hr_wide_weight_rows(const struct hr_conv_shape *shape, bool backward);
/* Rows [first, last) of the n * oh (backward: n * h) of the result. */
void hr_wide_conv(const struct hr_wide_conv *call, size_t first, size_t last);

/* dw float [k][c][tap], or [c][k] with `linear`, for pairs tap * c + channel of [first, last). */
struct hr_wide_wgrad {
    const struct hr_conv_shape *shape;
    size_t n;
    const double *x, *dy;
    float *dw;
    bool linear;
};
void hr_wide_wgrad(const struct hr_wide_wgrad *call, size_t first, size_t last);

/* Batch norm as in kernel/norm.h, for channels [first, last), in two parts each way: what is summed
 * over pixels, then what is made of it. */
struct hr_wide_norm {
    size_t pixels, stride;
    double epsilon;
    const double *x, *residual;
    double *y, *mean, *variance; /* the last two by channel: results of stats */
    const float *gamma, *beta;
    bool relu;
    const double *dy;
    double *sum, *product; /* by channel, results of sums: of g, and of g and the normalised x */
    double count;          /* of the pixels that these two are of */
    double *dx, *dresidual;
    float *dgamma, *dbeta;
    bool dx_add, dresidual_add;
};
void hr_wide_norm_stats(const struct hr_wide_norm *call, size_t first, size_t last);
void hr_wide_norm(const struct hr_wide_norm *call, size_t first, size_t last);
void hr_wide_norm_sums(const struct hr_wide_norm *call, size_t first, size_t last);
void hr_wide_norm_grad(const struct hr_wide_norm *call, size_t first, size_t last);

/* One term of a sum (kernel/eltwise.h): y = or += up(x); and back, dx = or += sum of dy where the
 * end result is positive.  Images [first, last). */
struct hr_wide_sum {
    size_t h, w, stride;
    unsigned shift;
    const double *x, *dy, *result; /* result NULL: no ReLU behind it */
    double *y, *dx;
    bool add;
};
void hr_wide_sum(const struct hr_wide_sum *call, size_t first, size_t last);
void hr_wide_sum_grad(const struct hr_wide_sum *call, size_t first, size_t last);
void hr_wide_relu(double *y, size_t count);

/* Mean over the pixels, y = 1 / (1 + exp(-x)), y = x * s, and their gradients; `count` or n images.
 */
struct hr_wide_gate {
    size_t n, pixels, stride;
    const double *x, *s, *y, *dy;
    double *out, *ds; /* y, or dx; SCALE back: ds too */
    bool add, ds_add;
};
void hr_wide_pool(const struct hr_wide_gate *call);
void hr_wide_pool_grad(const struct hr_wide_gate *call);
void hr_wide_sigmoid(const struct hr_wide_gate *call);
void hr_wide_sigmoid_grad(const struct hr_wide_gate *call);
void hr_wide_scale(const struct hr_wide_gate *call);
void hr_wide_scale_grad(const struct hr_wide_gate *call);

#endif
