/* SPDX-License-Identifier: Apache-2.0
 * NumPy's .npy files (format versions 1 to 3) and .npz archives (zips of .npy files). */
#ifndef HR_TENSOR_NPY_H
#define HR_TENSOR_NPY_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"
#include "tensor/store.h"
#include "tensor/tensor.h"

/* The element type of NumPy's code of `size` bytes, as "f4", without byte order; false if there is
 * none. */
bool hr_dtype_of_numpy(enum hr_dtype *out, const void *code, size_t size);

/* A view into data[0..size), which must outlive *out.  Little and big-endian headers are
 * understood; big-endian data is HR_E_UNSUPPORTED.  Fortran order becomes strides. */
enum hr_status hr_npy_parse(struct hr_tensor *out, const void *data, size_t size,
                            const char *name) HR_WARN_UNUSED;
/* An .npz archive, stored or deflated: every NAME.npy becomes a tensor NAME of the store; other
 * entries are HR_E_FORMAT.  Stored arrays are views into data[0..size), deflated ones (at most 64
 * MiB or 16 times the file) memory of the store. */
enum hr_status hr_npz_read(struct hr_store *store, const void *data, size_t size,
                           const char *name) HR_WARN_UNUSED;
/* Appends a version-1 .npy file of the tensor (row-major; bfloat16, which NumPy lacks, as float32).
 */
enum hr_status hr_npy_write(struct hr_buffer *out, const struct hr_tensor *tensor) HR_WARN_UNUSED;
/* Writes every tensor of the store as NAME.npy into a zip, atomically. */
enum hr_status hr_npz_save(const struct hr_store *store, const char *path) HR_WARN_UNUSED;

#endif
