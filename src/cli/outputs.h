/* SPDX-License-Identifier: Apache-2.0
 * Results as files of their own: whole or not at all; "-" is standard output. */
#ifndef HR_CLI_OUTPUTS_H
#define HR_CLI_OUTPUTS_H

#include <stdint.h>

#include "base/status.h"
#include "tensor/tensor.h"

enum hr_status hr_output_bytes(const char *path, const void *data, size_t size) HR_WARN_UNUSED;
enum hr_status hr_output_npy(const char *path, const float *values,
                             const struct hr_shape *shape) HR_WARN_UNUSED;
/* RGB [height][width][3]. */
enum hr_status hr_output_png(const char *path, const uint8_t *rgb, int64_t width,
                             int64_t height) HR_WARN_UNUSED;

#endif
