/* SPDX-License-Identifier: Apache-2.0
 * Paddle's tensor stream (.pdiparams): records back to back, without names and without a count. */
#ifndef HR_TENSOR_LOD_H
#define HR_TENSOR_LOD_H

#include <stdio.h>

#include "tensor/store.h"

/* Adds one view into data[size) for each of names[count], in order.  HR_E_FORMAT when the records
 * end early or go on after the last name; `file` is for messages. */
enum hr_status hr_lod_read(struct hr_store *store, const void *data, size_t size,
                           const char *const *names, size_t count, const char *file) HR_WARN_UNUSED;

/* Appends one record; write errors stick to the stream. */
enum hr_status hr_lod_write(const struct hr_tensor *tensor, FILE *file) HR_WARN_UNUSED;

#endif
