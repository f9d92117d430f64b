/* SPDX-License-Identifier: Apache-2.0
 * References of the pixel kernels. */
#include "kernel/pixel.h"

static void normalise_ref(float *y, size_t plane, const uint8_t *rgb, size_t count, float scale,
                          const float mean[3], const float deviation[3])
{
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++) {
            float t = (float)rgb[3 * i + c] * scale;
            t -= mean[c];
            t /= deviation[c];
            y[c * plane + i] = t;
        }
}

void hr_pixel_ref(struct hr_pixel_kernels *kernels)
{
    kernels->normalise = normalise_ref;
}
