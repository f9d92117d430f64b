/* SPDX-License-Identifier: Apache-2.0
 * The table of kernels for one CPU, filled by climbing the ladder of instruction sets. */
#ifndef HR_KERNEL_KERNEL_H
#define HR_KERNEL_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/conv.h"
#include "kernel/conv_grad.h"
#include "kernel/eltwise.h"
#include "kernel/eltwise_grad.h"
#include "kernel/gemm.h"
#include "kernel/half.h"
#include "kernel/norm.h"
#include "kernel/pixel.h"

#define HR_MAX_CONV_KERNELS  32
#define HR_MAX_WGRAD_KERNELS 16
#define HR_MAX_DGRAD_KERNELS 8
#define HR_MAX_TRAIN_PACKS   8

/* A faster `pack` of a kernel, without scale.  turned: w [c][k][K][K] are weights of the forward
 * convolution whose gradient `shape` computes: channels change places and taps their order. */
struct hr_train_pack {
    const struct hr_conv_kernel *kernel;
    void (*pack)(void *packed, const struct hr_conv_shape *shape, const float *w, const float *bias,
                 bool turned, size_t task, size_t task_count);
};

/* What training needs beyond inference. */
struct hr_train_kernels {
    const struct hr_wgrad_kernel *wgrad[HR_MAX_WGRAD_KERNELS]; /* candidates */
    size_t wgrad_count;
    /* Gradients of the input from the weights as they are: see dgrad.tmpl.h. */
    const struct hr_conv_kernel *dgrad[HR_MAX_DGRAD_KERNELS];
    size_t dgrad_count;
    struct hr_train_pack packs[HR_MAX_TRAIN_PACKS];
    size_t pack_count;
    struct hr_norm_kernels norm;
    struct hr_eltwise_grad_kernels eltwise;
    struct hr_half_kernels half;
};

struct hr_kernels {
    const char *isa; /* "baseline", "avx2", "avx512": the highest rung taken */
    /* Candidates, all that this CPU can run; the planner picks per shape. */
    const struct hr_conv_kernel *conv[HR_MAX_CONV_KERNELS];
    size_t conv_count;
    const struct hr_linear_kernel *linear;
    struct hr_eltwise_kernels eltwise;
    struct hr_pixel_kernels pixel;
    struct hr_train_kernels train;
    /* Runs `iterations` rounds of independent fused multiply-adds; returns the floating-point
     * operations done.  For measuring a core's peak. */
    double (*fma_peak)(size_t iterations, float *sink);
    /* Sums x[count], 64-byte aligned, up to the last multiple of 128, in any order: for measuring
     * how fast a core reads. */
    float (*read_all)(const float *x, size_t count);
};

struct hr_isa {
    const char *name; /* as --cpu takes it */
    uint32_t need;    /* hr_cpu_flag bits */
    void (*overlay)(struct hr_kernels *kernels);
};
extern const struct hr_isa hr_isa_ladder[]; /* weakest ("baseline") first */
extern const size_t hr_isa_count;

/* The overlays of the vector rungs: one ISA file each. */
void hr_kernels_x86_avx2(struct hr_kernels *kernels);
void hr_kernels_x86_avx512(struct hr_kernels *kernels);

/* Fills *kernels for a CPU with these hr_cpu_flag abilities (mask them to test a lower rung). */
void hr_kernels_init(struct hr_kernels *kernels, uint32_t cpu_flags);

#endif
