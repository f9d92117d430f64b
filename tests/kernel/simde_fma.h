/* SPDX-License-Identifier: Apache-2.0
 * The fused multiply-adds of an ISA file built on SIMDe, which rounds twice where the machine has
 * no such instruction.  Included by the ISA file once its vector type is defined. */
#include "kernel/fma.h"

HR_INLINE VF FN(fma_lanes)(VF a, VF b, VF acc, float sign)
{
    float x[VN], w[VN], sum[VN];
    V_STOREU(x, a);
    V_STOREU(w, b);
    V_STOREU(sum, acc);
    for (int i = 0; i < VN; i++)
        sum[i] = hr_fma(sign * x[i], w[i], sum[i]);
    return V_LOADU(sum);
}
