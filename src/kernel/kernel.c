/* SPDX-License-Identifier: Apache-2.0
 * The ladder of instruction sets: weakest first, each rung overlays what it does better and adds
 * its convolutions to the candidates.  Knows nothing of how they work. */
#include "kernel/kernel.h"

#include "base/compiler.h"
#include "base/cpu.h"
#include "kernel/fma.h"

/* Eight chains of one fused multiply-add each: what plain C reaches. */
static double fma_peak_ref(size_t iterations, float *sink)
{
    float acc[8] = { 0.0f };
    for (size_t i = 0; i < iterations; i++)
        for (size_t j = 0; j < 8; j++)
            acc[j] = hr_fma(acc[j], 0.5f, 1.0f);
    for (size_t j = 0; j < 8; j++)
        *sink += acc[j];
    return 16.0 * (double)iterations;
}

static float read_all_ref(const float *x, size_t count)
{
    float sum[8] = { 0.0f };
    for (size_t i = 0; i < count / 128 * 128; i += 8)
        for (size_t j = 0; j < 8; j++)
            sum[j] += x[i + j];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

static void overlay_ref(struct hr_kernels *kernels)
{
    kernels->conv[kernels->conv_count++] = &hr_conv_ref;
    kernels->linear = &hr_linear_ref;
    hr_eltwise_ref(&kernels->eltwise);
    hr_pixel_ref(&kernels->pixel);
    kernels->train.wgrad[kernels->train.wgrad_count++] = &hr_wgrad_ref;
    hr_norm_ref(&kernels->train.norm);
    hr_eltwise_grad_ref(&kernels->train.eltwise);
    hr_half_ref(&kernels->train.half);
    kernels->fma_peak = fma_peak_ref;
    kernels->read_all = read_all_ref;
}

const struct hr_isa hr_isa_ladder[] = {
    { "baseline", 0, overlay_ref },
#if !HRNET_REF_ONLY
    { "avx2", HR_CPU_AVX2, hr_kernels_x86_avx2 },
    { "avx512", HR_CPU_AVX2 | HR_CPU_AVX512, hr_kernels_x86_avx512 },
#endif
};
const size_t hr_isa_count = HR_COUNT(hr_isa_ladder);

void hr_kernels_init(struct hr_kernels *kernels, uint32_t cpu_flags)
{
    *kernels = (struct hr_kernels){ 0 };
    for (size_t i = 0; i < hr_isa_count; i++)
        if ((cpu_flags & hr_isa_ladder[i].need) == hr_isa_ladder[i].need) {
            kernels->isa = hr_isa_ladder[i].name;
            hr_isa_ladder[i].overlay(kernels);
        }
}
