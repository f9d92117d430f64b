/* SPDX-License-Identifier: Apache-2.0
 * Gradients of a convolution.  The gradient of its input is a forward convolution of dy with turned
 * weights, on the kernels of conv.h; the gradient of its weights is a family of its own.
 *
 * Letters as in conv.h; a d before one is a gradient; S stride, K kernel, P padding. */
#ifndef HR_KERNEL_CONV_GRAD_H
#define HR_KERNEL_CONV_GRAD_H

#include "kernel/conv.h"

/* ---- The gradient of the input ----------------------------------------------------------------
 *
 * dx[S i + a] = sum over the taps r = (a + P) mod S + S t of w[r] dy[i + (a + P) / S - t]: for each
 * of the S * S phases (a, b) of the input plane a convolution of dy with stride 1.  All phases
 * together are one, with S * S * c output channels; for S = 1 it is the gradient itself, else
 * hr_shuffle_fn puts the phases in their places. */

/* The convolution dy [n][oh][ow][y_stride] -> z [n][h/S][w/S][S*S*x_stride] (rounded up), for a
 * forward convolution `s`.  For S = 1, z is dx. */
struct hr_conv_shape hr_dgrad_shape(const struct hr_conv_shape *s);

/* Its weights, turned from w [k][c][K][K] to out [z channels][k][T][T], T its kernel; channels
 * [first, last) of z. */
void hr_dgrad_turn(float *out, const struct hr_conv_shape *s, const float *w, size_t first,
                   size_t last);

/* ---- The gradient of the weights --------------------------------------------------------------
 *
 * Order of arithmetic of an exact kernel, on every rung: the output rows of all images are numbered
 * in one line and cut into chunks, chunks into groups of rows; both cuts follow from the shape and
 * n alone.  For each group acc = 0, then for its pixels in order acc = fma(x, dy, acc), taps
 * outside the plane left out; then part += acc.  dw = part 0 + part 1 + ... in order.  Others have
 * an order of their own, which follows from the shape and n too; their error bound is in their
 * comment. */
struct hr_wgrad_call {
    const struct hr_conv_shape *shape; /* of the forward convolution; residual and relu unused */
    size_t n;
    const float *x, *dy; /* NHWC */
    float *parts;        /* the kernel's `floats`, 64-byte aligned; of an exact kernel
                            [chunks][K * K][c][y_stride] */
};
size_t hr_wgrad_chunks(const struct hr_conv_shape *shape, size_t n);
/* Rows [first, last) of a chunk; rows of a group. */
void hr_wgrad_chunk_rows(const struct hr_conv_shape *shape, size_t n, size_t chunk, size_t *first,
                         size_t *last);
size_t hr_wgrad_group_rows(const struct hr_conv_shape *shape);

/* A candidate.  A call goes through `rounds` rounds, each all pieces of `prepare` (NULL without),
 * then all of `run`; then `finish`.  Pieces of one kind are independent; bits do not depend on who
 * does which. */
struct hr_wgrad_kernel {
    const char *name; /* "wgrad_avx2" */
    bool exact;
    bool (*applies)(const struct hr_conv_shape *shape);
    /* Estimated CPU cycles on one core; compares candidates. */
    double (*cost)(const struct hr_conv_shape *shape, size_t n);
    size_t (*floats)(const struct hr_conv_shape *shape, size_t n); /* does not grow as n shrinks */
    size_t (*rounds)(const struct hr_conv_shape *shape, size_t n);
    size_t (*prepare_pieces)(const struct hr_conv_shape *shape, size_t n);
    void (*prepare)(const struct hr_wgrad_call *call, size_t round, size_t first, size_t last);
    size_t (*pieces)(const struct hr_conv_shape *shape, size_t n);
    void (*run)(const struct hr_wgrad_call *call, size_t round, size_t first, size_t last);
    /* dw [k][c][K][K] for output channels [first, last). */
    void (*finish)(const struct hr_wgrad_call *call, float *dw, size_t first, size_t last);
};
extern const struct hr_wgrad_kernel hr_wgrad_ref;

/* What the exact kernels share: floats of all parts, one round, and their sum. */
size_t hr_wgrad_floats(const struct hr_conv_shape *shape, size_t n);
size_t hr_wgrad_one_round(const struct hr_conv_shape *shape, size_t n);
void hr_wgrad_finish(const struct hr_wgrad_call *call, float *dw, size_t first, size_t last);

#endif
