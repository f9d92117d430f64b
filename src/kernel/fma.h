/* SPDX-License-Identifier: Apache-2.0
 * One fused multiply-add in float, the same bits on every machine.  Where the target has no such
 * instruction it is made of double arithmetic: the product of two floats is exact in double, the
 * sum is rounded to odd, and rounding that once more to float is then correct (Boldo and
 * Melquiond, "Emulation of a FMA and correctly rounded sums", 2008).  No branches, so that loops
 * over it vectorise. */
#ifndef HR_KERNEL_FMA_H
#define HR_KERNEL_FMA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

HR_INLINE float hr_fma(float x, float w, float acc)
{
#ifdef FP_FAST_FMAF
    return fmaf(x, w, acc);
#else
    const double product = (double)x * (double)w, addend = (double)acc;
    const double sum = product + addend;
    const double part = sum - product;
    const double error = (product - (sum - part)) + (addend - part);
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    /* Towards zero first, if the sum was rounded away from it; then odd, unless it was exact.  The
     * test's product cannot underflow: floats reach down to 2^-149, so error * sum > 2^-700.
     * Comparisons with NaN (an infinite sum) are false and leave it alone. */
    const int64_t away = (int64_t)(error * sum < 0.0);
    const int64_t inexact = (int64_t)(error < 0.0 || error > 0.0);
    bits = (bits - away) | inexact;
    double odd;
    memcpy(&odd, &bits, sizeof odd);
    return (float)odd;
#endif
}

#endif
