/* SPDX-License-Identifier: Apache-2.0
 * The compiled .proto files of all services, made at build time (cmake/serve.cmake): a serialised
 * FileDescriptorSet. */
#ifndef HR_SERVE_DESCRIPTORS_H
#define HR_SERVE_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t hr_descriptors[];
extern const size_t hr_descriptors_size;

#endif
