/* SPDX-License-Identifier: Apache-2.0
 * The 16-bit vocabulary of an ISA file built on SIMDe, which lacks AVX-512's.  Included by the ISA
 * file once its vector type is defined. */
#include <math.h>

#include "kernel/half.h"

struct FN(halves) {
    uint16_t bits[VN];
};
#define VH             struct FN(halves)
#define VH_LOAD(p)     (*(const VH *)(const void *)(p))
#define VH_STORE(p, h) (*(VH *)(void *)(p) = (h))

HR_INLINE VF FN(half_lanes_from)(VH h, enum hr_half half)
{
    float x[VN];
    for (int i = 0; i < VN; i++)
        x[i] = hr_half_value(h.bits[i], half);
    return V_LOADU(x);
}

HR_INLINE VH FN(half_lanes_to)(VF v, enum hr_half half)
{
    float x[VN];
    VH h;
    V_STOREU(x, v);
    for (int i = 0; i < VN; i++)
        h.bits[i] = hr_half_of(x[i], half);
    return h;
}

HR_INLINE VH FN(half_lanes_other)(VH h, VF v, VF rounded)
{
    float x[VN], r[VN];
    V_STOREU(x, v);
    V_STOREU(r, rounded);
    for (int i = 0; i < VN; i++)
        h.bits[i] = (uint16_t)(h.bits[i] + (fabsf(r[i]) > fabsf(x[i]) ? -1 : 1));
    return h;
}

HR_INLINE VH FN(half_lanes_unless)(VF a, VF b, VH h, VH other)
{
    float x[VN], y[VN];
    V_STOREU(x, a);
    V_STOREU(y, b);
    for (int i = 0; i < VN; i++)
        h.bits[i] = (x[i] > 0.0f) == (y[i] > 0.0f) ? h.bits[i] : other.bits[i];
    return h;
}

#define V_FROM_F16(h)                FN(half_lanes_from)(h, HR_HALF_F16)
#define V_FROM_BF16(h)               FN(half_lanes_from)(h, HR_HALF_BF16)
#define V_TO_F16(v)                  FN(half_lanes_to)(v, HR_HALF_F16)
#define V_TO_BF16(v)                 FN(half_lanes_to)(v, HR_HALF_BF16)
#define VH_OTHER(h, v, rounded)      FN(half_lanes_other)(h, v, rounded)
#define VH_SAME_SIDE(a, b, h, other) FN(half_lanes_unless)(a, b, h, other)
