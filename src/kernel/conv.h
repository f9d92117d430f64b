/* SPDX-License-Identifier: Apache-2.0
 * Convolution kernels: what a candidate is, the layouts it reads and writes, its reference.
 *
 * Letters: n images, h w input plane, c input channels, k output channels, r s kernel taps,
 * oh ow output plane.
 *
 * Layouts of activations (float32):
 *   HR_LAYOUT_NHWC  [n][h][w][stride], stride >= channels; when stride is a multiple of the
 *                   vector length, lanes past the channels are zero and stay zero
 *   HR_LAYOUT_NCHW  [n][c][h][w], dense
 *   HR_LAYOUT_TILES [n][h][4][c][lanes], where w is a multiple of 4: pixel x of a row is lane x / 4
 *                   of part x % 4; hr_tile_lanes lanes; those past w / 4, at least one, are zero
 * and stay zero
 *
 * Order of arithmetic of an exact kernel, and of the reference: acc = bias[k]; for r, for s, for
 * c: acc = fma(x, w, acc), taps outside the plane left out or read as zeros; acc += 0 (so that both
 * end in the same zero); then y = residual + acc, then y = y > 0 ? y : 0.  So every exact kernel
 * gives the same bits on every rung, for every split, batch and thread count (fma(0, w, acc) is acc
 * but for the sign of a zero when w is finite). */
#ifndef HR_KERNEL_CONV_H
#define HR_KERNEL_CONV_H

#include <stdbool.h>
#include <stddef.h>

enum hr_layout { HR_LAYOUT_NHWC, HR_LAYOUT_NCHW, HR_LAYOUT_TILES, HR_LAYOUT_COUNT };

/* Lanes of a row of w pixels in HR_LAYOUT_TILES for vectors of `vector` floats; 0: the layout is
 * not for this width, since w / 4 tiles leave a remainder or no lane free. */
size_t hr_tile_lanes(size_t w, size_t vector);

struct hr_conv_shape {
    size_t h, w, c, oh, ow, k;
    size_t x_stride, y_stride; /* floats from pixel to pixel in NHWC; residual has y_stride */
    int kernel, stride, pad;
    bool residual, relu;
};

struct hr_conv_call {
    const struct hr_conv_shape *shape;
    size_t n;              /* images of this run */
    const float *x;        /* in the kernel's x_layout */
    const float *residual; /* y's layout and shape; NULL without; may be y itself */
    float *y;              /* in the kernel's y_layout */
    const void *packed;    /* made by pack */
    void *scratch;         /* scratch_bytes, 64-byte aligned, contents free */
};

/* A candidate: everything the planner must know about one way to compute a convolution. */
struct hr_conv_kernel {
    const char *name; /* "conv_direct_4x24_avx2" */
    enum hr_layout x_layout, y_layout;
    bool exact; /* the order of arithmetic above; else its error bound is in its comment */
    /* May it compute this shape?  Never NULL. */
    bool (*applies)(const struct hr_conv_shape *shape);
    /* Multiply-adds of the algorithm itself for a batch of n, those of transforms included and what
     * fills up vectors not; NULL: those of the definition. */
    double (*work)(const struct hr_conv_shape *shape, size_t n);
    /* Estimated CPU cycles on one core for a batch of n, n >= 1; compares candidates. */
    double (*cost)(const struct hr_conv_shape *shape, size_t n);
    /* Bytes of packed weights (a multiple of 64). */
    size_t (*packed_bytes)(const struct hr_conv_shape *shape);
    /* Packs w [k][c][r][s] times scale[k] (NULL: 1), rounded to float, and bias[k] (NULL: 0) into
     * packed; part `task` of `task_count`, parts are independent. */
    void (*pack)(void *packed, const struct hr_conv_shape *shape, const float *w,
                 const float *scale, const float *bias, size_t task, size_t task_count);
    /* Scratch for a run split over `threads` threads; may be 0.  Does not grow when n shrinks. */
    size_t (*scratch_bytes)(const struct hr_conv_shape *shape, size_t n, size_t threads);
    /* Optional first half of a run, NULL without: prepare_tasks pieces (0: none for this shape)
     * that must all end before the first piece of `run` starts; both halves share the scratch. */
    size_t (*prepare_tasks)(const struct hr_conv_shape *shape, size_t n, size_t threads);
    void (*prepare)(const struct hr_conv_call *call, size_t task, size_t task_count);
    /* Number of independent pieces to split a run of n images into for `threads` threads. */
    size_t (*tasks)(const struct hr_conv_shape *shape, size_t n, size_t threads);
    /* Piece `task` of `task_count` (= tasks(...)).  Any order, any thread; the bits of y do not
     * depend on the split. */
    void (*run)(const struct hr_conv_call *call, size_t task, size_t task_count);
};

/* The plain reference, HR_LAYOUT_NHWC on both sides; the specification of every other kernel. */
extern const struct hr_conv_kernel hr_conv_ref;

#endif
