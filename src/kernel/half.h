/* SPDX-License-Identifier: Apache-2.0
 * Activations kept in 16 bits: each float is rounded to the nearest, of two to the even one; what
 * is too large becomes infinite, a NaN keeps its sign and the upper bits of its payload and is
 * quiet. Bits are the same on every rung. */
#ifndef HR_KERNEL_HALF_H
#define HR_KERNEL_HALF_H

#include <stddef.h>
#include <stdint.h>

enum hr_half {
    HR_HALF_NONE, /* float32 */
    HR_HALF_BF16, /* 8 bits of exponent, 8 of significand: all of float32's range */
    HR_HALF_F16,  /* IEEE: 5 bits of exponent, 11 of significand: to 65504 */
};

/* `half` is not NONE; no alignment is wanted, nothing outside the count is touched. */
typedef void hr_half_pack_fn(uint16_t *to, const float *from, size_t count, enum hr_half half);
typedef void hr_half_unpack_fn(float *to, const uint16_t *from, size_t count, enum hr_half half);

struct hr_half_kernels {
    hr_half_pack_fn *pack;
    hr_half_unpack_fn *unpack;
};
void hr_half_ref(struct hr_half_kernels *kernels);

/* One of them. */
uint16_t hr_half_of(float value, enum hr_half half);
float hr_half_value(uint16_t bits, enum hr_half half);

#endif
