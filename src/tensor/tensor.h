/* SPDX-License-Identifier: Apache-2.0
 * Tensors as views: element type, shape, strides, and a pointer that somebody else owns. */
#ifndef HR_TENSOR_TENSOR_H
#define HR_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define HR_MAX_RANK 8

/*   id    safetensors bytes */
#define HR_DTYPE_LIST(X) \
    X(F32, "F32", 4)     \
    X(F16, "F16", 2)     \
    X(BF16, "BF16", 2)   \
    X(F64, "F64", 8)     \
    X(I8, "I8", 1)       \
    X(U8, "U8", 1)       \
    X(I16, "I16", 2)     \
    X(U16, "U16", 2)     \
    X(I32, "I32", 4)     \
    X(U32, "U32", 4)     \
    X(I64, "I64", 8)     \
    X(U64, "U64", 8)     \
    X(BOOL, "BOOL", 1)

enum hr_dtype {
#define HR_DTYPE_ENUM(id, name, bytes) HR_DTYPE_##id,
    HR_DTYPE_LIST(HR_DTYPE_ENUM)
#undef HR_DTYPE_ENUM
        HR_DTYPE_COUNT
};
const char *hr_dtype_name(enum hr_dtype dtype); /* "F32" */
size_t hr_dtype_bytes(enum hr_dtype dtype);

struct hr_shape {
    int rank; /* 0 (a scalar) to HR_MAX_RANK */
    int64_t dim[HR_MAX_RANK];
};
struct hr_shape_text {
    char s[HR_MAX_RANK * 21 + 3];
};
struct hr_shape_text hr_shape_str(const struct hr_shape *shape); /* "[1,3,224,224]" */
bool hr_shape_equal(const struct hr_shape *a, const struct hr_shape *b);
/* Product of the dimensions; HR_E_LIMIT on overflow of size_t, HR_E_SHAPE on a negative one. */
enum hr_status hr_shape_elements(const struct hr_shape *shape, size_t *out) HR_WARN_UNUSED;

struct hr_tensor {
    enum hr_dtype dtype;
    struct hr_shape shape;
    int64_t stride[HR_MAX_RANK]; /* in elements, may be 0 or permuted; never negative */
    const void *data;            /* little endian, any alignment; borrowed */
};

/* Row-major strides for its shape. */
void hr_tensor_set_contiguous(struct hr_tensor *t);
/* Column-major ones: NumPy's Fortran order. */
void hr_tensor_set_fortran(struct hr_tensor *t);
bool hr_tensor_contiguous(const struct hr_tensor *t);
/* Swaps the first two dimensions of the view. */
void hr_tensor_transpose(struct hr_tensor *t);

/* Copies in row-major order, converting every dtype to float (f64 rounds to nearest; integers and
 * bool by value).  dst holds exactly the tensor's element count. */
void hr_tensor_to_f32(float *dst, const struct hr_tensor *t);

/* The values where they lie, if they are aligned row-major float32; else NULL. */
const float *hr_tensor_plain(const struct hr_tensor *t);
/* The values as row-major float32: where they lie if they are so, else copied into *made, which the
 * caller frees (NULL if there is none).  HR_E_SHAPE, HR_E_LIMIT or HR_E_MEMORY. */
enum hr_status hr_tensor_floats(const float **values, float **made,
                                const struct hr_tensor *t) HR_WARN_UNUSED;

/* Copies in row-major order without conversion. */
void hr_tensor_gather(void *dst, const struct hr_tensor *t);

#endif
