/* SPDX-License-Identifier: Apache-2.0
 * 8-bit resizing passes, each bit-exact to its original, and normalisation.
 * RGB pixels, three bytes each. */
#ifndef HR_KERNEL_PIXEL_H
#define HR_KERNEL_PIXEL_H

#include <stddef.h>
#include <stdint.h>

struct hr_pixel_kernels {
    /* Owned by the picture code's author: filled in src/kernel/pixel.c, vectorised in
     * kernel/pixel.tmpl.h where that pays. */
    /* t = x * scale; t -= mean; t /= deviation, float32, each rounded; count pixels of RGB bytes
     * to three planes of `count` floats at y, y + plane, y + 2 * plane. */
    void (*normalise)(float *y, size_t plane, const uint8_t *rgb, size_t count, float scale,
                      const float mean[3], const float deviation[3]);
};
void hr_pixel_ref(struct hr_pixel_kernels *kernels);

#endif
