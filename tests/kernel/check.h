/* SPDX-License-Identifier: Apache-2.0
 * Harness of the kernel checks: rungs, buffers with canaries, fills, the report. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "kernel/kernel.h"

struct check {
    const char *rung;   /* whose kernels are being checked */
    bool slow;          /* emulated: fewer and smaller cases */
    const char *filter; /* part of a kernel's name, or NULL */
    size_t vector;      /* floats of the rung's vectors */
    size_t ran, failed;
};

/* Count floats at a 64-byte boundary between canaries; stops the program without memory. */
float *check_buffer(size_t count);
bool check_canary(const float *buffer, size_t count); /* false: something was written outside */
void check_free(float *buffer);
void *check_bytes(size_t bytes); /* 64-byte aligned, for packed weights and scratch; free() */

enum check_fill {
    FILL_UNIFORM,  /* (-1, 1) */
    FILL_ZERO,     /* zeros of both signs */
    FILL_HUGE,     /* products overflow to infinity */
    FILL_DENORMAL, /* and tiny normal numbers */
    FILL_INFINITE, /* uniform, a few infinities */
    FILL_COUNT
};
void check_fill(float *x, size_t count, enum check_fill fill, uint32_t *seed);
uint32_t check_random(uint32_t *seed, uint32_t below);
bool check_same(float a, float b); /* bit for bit; any NaN is any NaN */

void check_conv(struct check *check, const struct hr_conv_kernel *kernel);
void check_linear(struct check *check, const struct hr_linear_kernel *kernel);
void check_eltwise(struct check *check, const struct hr_eltwise_kernels *kernels);
/* Kernels of training of a rung, against the references in `base`. */
void check_train(struct check *check, const struct hr_kernels *base, const struct hr_kernels *own);
/* Runs the one case that a failure printed. */
void check_conv_case(struct check *check, const struct hr_conv_kernel *kernel, const char *text);
void check_linear_case(struct check *check, const struct hr_linear_kernel *kernel,
                       const char *text);

/* Every convolution of HRNet_W<width>_C at 224x224, each once, with how often it occurs;
 * strides of activations are multiples of `vector`. */
struct layer {
    struct hr_conv_shape shape;
    int count;
};
size_t layers_of(struct layer *layers, size_t capacity, int width, size_t vector);

/* Kernels that reorder sums on the layers of W18 and W48, against float64: within the bound of the
 * theory for each output, and within what their headers state. */
void check_errors(struct check *check, const struct hr_kernels *kernels);
/* Those errors, and of direct kernels beside them, for one width: CSV on standard output. */
void errors_print(const struct hr_kernels *kernels, int width);

/* Times every candidate on the layers of a width: CSV on standard output. */
void bench_conv(const struct hr_kernels *kernels, int width, size_t n, const char *filter);

#endif
