/* SPDX-License-Identifier: Apache-2.0
 * References of 16-bit activations. */
#include "kernel/half.h"

#include "base/float16.h"

uint16_t hr_half_of(float value, enum hr_half half)
{
    return half == HR_HALF_F16 ? hr_f32_to_f16(value) : hr_f32_to_bf16(value);
}

float hr_half_value(uint16_t bits, enum hr_half half)
{
    return half == HR_HALF_F16 ? hr_f16_to_f32(bits) : hr_bf16_to_f32(bits);
}

static void pack_ref(uint16_t *to, const float *from, size_t count, enum hr_half half)
{
    for (size_t i = 0; i < count; i++)
        to[i] = hr_half_of(from[i], half);
}

static void unpack_ref(float *to, const uint16_t *from, size_t count, enum hr_half half)
{
    for (size_t i = 0; i < count; i++)
        to[i] = hr_half_value(from[i], half);
}

void hr_half_ref(struct hr_half_kernels *kernels)
{
    *kernels = (struct hr_half_kernels){ pack_ref, unpack_ref };
}
