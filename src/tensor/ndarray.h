/* SPDX-License-Identifier: Apache-2.0
 * NumPy arrays inside a pickle: what numpy.ndarray.__reduce_ex__ writes under protocols 2 to 5. */
#ifndef HR_TENSOR_NDARRAY_H
#define HR_TENSOR_NDARRAY_H

#include <stdbool.h>

#include "tensor/store.h"
#include "wire/pickle.h"

/* The globals that arrays and NumPy's scalars need: rows of a list for hr_pickle_load. */
#define HR_NDARRAY_GLOBALS                                                                    \
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",              \
        "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",                      \
        "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer", "numpy.ndarray", \
        "numpy.dtype", "_codecs.encode", "builtins.bytes", "__builtin__.bytes",               \
        "builtins.bytearray", "__builtin__.bytearray"

/* Where arrays come from.  Decoded bytes go to the store; all of them together may not be more than
 * `size`, as values may be shared inside a pickle. */
struct hr_ndarray_source {
    struct hr_store *store;
    const char *name; /* of the file, for messages */
    size_t size;      /* of the file */
    size_t made;      /* bytes decoded and joined so far */
    enum hr_dtype u2; /* what NumPy's uint16 stands for: bfloat16 in Paddle's files */
};

bool hr_ndarray_is(const struct hr_pickle *value);

/* The array's view: of the pickle's bytes, or of memory given to the store (the text form of
 * protocol 2).  `tensor` is its name, for messages.  HR_E_FORMAT, HR_E_UNSUPPORTED (element type,
 * byte order) or HR_E_MEMORY. */
enum hr_status hr_ndarray_read(struct hr_tensor *out, const struct hr_pickle *array,
                               const char *tensor, struct hr_ndarray_source *from) HR_WARN_UNUSED;

/* A tuple of whole numbers as a shape. */
enum hr_status hr_ndarray_shape(struct hr_shape *out, const struct hr_pickle *tuple,
                                const char *tensor,
                                const struct hr_ndarray_source *from) HR_WARN_UNUSED;

/* Counts bytes that are about to be made; HR_E_FORMAT when the file cannot have that many. */
enum hr_status hr_ndarray_charge(struct hr_ndarray_source *from, size_t bytes) HR_WARN_UNUSED;

#endif
