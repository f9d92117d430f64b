/* SPDX-License-Identifier: Apache-2.0
 * Floats of 16 bits: IEEE half and bfloat16.  Rounds to the nearest, of two to the even one; what
 * is too large becomes infinite; a NaN stays one, quiet, with its sign and the upper bits of its
 * payload, as x86's instructions have it. */
#ifndef HR_BASE_FLOAT16_H
#define HR_BASE_FLOAT16_H

#include <stdint.h>

float hr_f16_to_f32(uint16_t h);
uint16_t hr_f32_to_f16(float f);
float hr_bf16_to_f32(uint16_t h);
uint16_t hr_f32_to_bf16(float f);

#endif
