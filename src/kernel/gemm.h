/* SPDX-License-Identifier: Apache-2.0
 * Matrix products of the linear layers: y[m][k] = bias[k] + sum over c of x[m][c] * w[k][c].
 * Order of arithmetic, on every rung: acc = bias[k]; for c: acc = fma(x, w, acc); acc += 0; then
 * y > 0 ? y : 0 with relu. */
#ifndef HR_KERNEL_GEMM_H
#define HR_KERNEL_GEMM_H

#include <stdbool.h>
#include <stddef.h>

struct hr_linear_shape {
    size_t c, k;               /* inputs, outputs */
    size_t x_stride, y_stride; /* floats from row to row */
    bool relu;
};
struct hr_linear_call {
    const struct hr_linear_shape *shape;
    size_t m; /* rows: images */
    const float *x;
    float *y;
    const void *packed;
};
struct hr_linear_kernel {
    const char *name;
    size_t (*packed_bytes)(const struct hr_linear_shape *shape);
    /* w [c][k] as Paddle stores it (k fastest), or [k][c] if `transposed`; bias [k] or NULL. */
    void (*pack)(void *packed, const struct hr_linear_shape *shape, const float *w, bool transposed,
                 const float *bias, size_t task, size_t task_count);
    size_t (*tasks)(const struct hr_linear_shape *shape, size_t m, size_t threads);
    void (*run)(const struct hr_linear_call *call, size_t task, size_t task_count);
};
extern const struct hr_linear_kernel hr_linear_ref;

#endif
