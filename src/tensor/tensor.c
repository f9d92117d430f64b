/* SPDX-License-Identifier: Apache-2.0
 * Element types, shapes and copies of strided views.  Knows nothing of files. */
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/float16.h"
#include "base/mem.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[HR_DTYPE_COUNT] = {
#define DTYPE_ROW(id, name, bytes) [HR_DTYPE_##id] = { name, bytes },
    HR_DTYPE_LIST(DTYPE_ROW)
#undef DTYPE_ROW
};

const char *hr_dtype_name(enum hr_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t hr_dtype_bytes(enum hr_dtype dtype)
{
    return dtypes[dtype].bytes;
}

struct hr_shape_text hr_shape_str(const struct hr_shape *shape)
{
    struct hr_shape_text text;
    size_t used = 0;
    text.s[used++] = '[';
    for (int d = 0; d < shape->rank; d++)
        used += (size_t)snprintf(text.s + used, sizeof text.s - used, "%s%lld", d ? "," : "",
                                 (long long)shape->dim[d]);
    text.s[used++] = ']';
    text.s[used] = '\0';
    return text;
}

bool hr_shape_equal(const struct hr_shape *a, const struct hr_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dim[d] != b->dim[d])
            return false;
    return true;
}

enum hr_status hr_shape_elements(const struct hr_shape *shape, size_t *out)
{
    size_t count = 1;
    for (int d = 0; d < shape->rank; d++) {
        if (shape->dim[d] < 0)
            return hr_fail(HR_E_SHAPE, "shape %s has a negative dimension", hr_shape_str(shape).s);
        if ((uint64_t)shape->dim[d] > SIZE_MAX ||
            !hr_size_mul(&count, count, (size_t)shape->dim[d]))
            return hr_fail(HR_E_LIMIT, "shape %s has more elements than memory can hold",
                           hr_shape_str(shape).s);
    }
    *out = count;
    return HR_OK;
}

void hr_tensor_set_contiguous(struct hr_tensor *t)
{
    int64_t stride = 1;
    for (int d = t->shape.rank - 1; d >= 0; d--) {
        t->stride[d] = stride;
        /* Only a shape without elements, or one that no memory holds, gets here with an overflow.
         */
        if (__builtin_mul_overflow(stride, t->shape.dim[d], &stride))
            stride = 0;
    }
}

void hr_tensor_transpose(struct hr_tensor *t)
{
    const int64_t dim = t->shape.dim[0], stride = t->stride[0];
    t->shape.dim[0] = t->shape.dim[1];
    t->stride[0] = t->stride[1];
    t->shape.dim[1] = dim;
    t->stride[1] = stride;
}

void hr_tensor_set_fortran(struct hr_tensor *t)
{
    struct hr_tensor turned = *t;
    const int rank = t->shape.rank;
    for (int d = 0; d < rank; d++)
        turned.shape.dim[d] = t->shape.dim[rank - 1 - d];
    hr_tensor_set_contiguous(&turned);
    for (int d = 0; d < rank; d++)
        t->stride[d] = turned.stride[rank - 1 - d];
}

bool hr_tensor_contiguous(const struct hr_tensor *t)
{
    int64_t stride = 1;
    for (int d = 0; d < t->shape.rank; d++)
        if (t->shape.dim[d] == 0)
            return true; /* no elements: any strides will do */
    for (int d = t->shape.rank - 1; d >= 0; d--) {
        if (t->shape.dim[d] != 1 && t->stride[d] != stride)
            return false;
        if (__builtin_mul_overflow(stride, t->shape.dim[d], &stride))
            return false;
    }
    return true;
}

static double load_f64(const uint8_t *p)
{
    const uint64_t bits = hr_load_u64le(p);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static float load_f32(const uint8_t *p)
{
    const uint32_t bits = hr_load_u32le(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float load_element(enum hr_dtype dtype, const uint8_t *p)
{
    switch (dtype) {
    case HR_DTYPE_F32:
        return load_f32(p);
    case HR_DTYPE_F16:
        return hr_f16_to_f32(hr_load_u16le(p));
    case HR_DTYPE_BF16:
        return hr_bf16_to_f32(hr_load_u16le(p));
    case HR_DTYPE_F64:
        return (float)load_f64(p);
    case HR_DTYPE_I8:
        return (float)(int8_t)*p;
    case HR_DTYPE_U8:
        return (float)*p;
    case HR_DTYPE_I16:
        return (float)(int16_t)hr_load_u16le(p);
    case HR_DTYPE_U16:
        return (float)hr_load_u16le(p);
    case HR_DTYPE_I32:
        return (float)(int32_t)hr_load_u32le(p);
    case HR_DTYPE_U32:
        return (float)hr_load_u32le(p);
    case HR_DTYPE_I64:
        return (float)(int64_t)hr_load_u64le(p);
    case HR_DTYPE_U64:
        return (float)hr_load_u64le(p);
    case HR_DTYPE_BOOL:
        return *p ? 1.0f : 0.0f;
    case HR_DTYPE_COUNT:
        break;
    }
    return 0.0f;
}

/* Calls row(...) for each innermost row, in row-major order. */
typedef void row_fn(void *dst, enum hr_dtype dtype, const uint8_t *src, size_t count,
                    int64_t stride_bytes);

static void for_rows(void *dst, size_t dst_elem_bytes, const struct hr_tensor *t, row_fn *row)
{
    const size_t bytes = hr_dtype_bytes(t->dtype);
    const int rank = t->shape.rank;
    const size_t count = rank > 0 ? (size_t)t->shape.dim[rank - 1] : 1;
    const int64_t stride = rank > 0 ? t->stride[rank - 1] * (int64_t)bytes : 0;
    int64_t at[HR_MAX_RANK] = { 0 };
    uint8_t *out = dst;
    for (int d = 0; d < rank; d++)
        if (t->shape.dim[d] == 0)
            return;
    for (;;) {
        int64_t offset = 0;
        for (int d = 0; d < rank - 1; d++)
            offset += at[d] * t->stride[d];
        row(out, t->dtype, (const uint8_t *)t->data + offset * (int64_t)bytes, count, stride);
        out += count * dst_elem_bytes;
        int d = rank - 2;
        while (d >= 0 && ++at[d] == t->shape.dim[d])
            at[d--] = 0;
        if (d < 0)
            return;
    }
}

static void convert_row(void *dst, enum hr_dtype dtype, const uint8_t *src, size_t count,
                        int64_t stride_bytes)
{
    float *out = dst;
    for (size_t i = 0; i < count; i++)
        out[i] = load_element(dtype, src + (int64_t)i * stride_bytes);
}

static void gather_row(void *dst, enum hr_dtype dtype, const uint8_t *src, size_t count,
                       int64_t stride_bytes)
{
    const size_t bytes = hr_dtype_bytes(dtype);
    uint8_t *out = dst;
    if (stride_bytes == (int64_t)bytes) {
        memcpy(out, src, count * bytes);
        return;
    }
    for (size_t i = 0; i < count; i++)
        memcpy(out + i * bytes, src + (int64_t)i * stride_bytes, bytes);
}

/* A contiguous tensor is one row. */
static struct hr_tensor flatten(const struct hr_tensor *t)
{
    struct hr_tensor flat = *t;
    if (hr_tensor_contiguous(t)) {
        flat.shape = (struct hr_shape){ .rank = 1, .dim = { 1 } };
        size_t elements = 0; /* stays 0 for a shape that no memory holds; nothing is copied then */
        if (hr_shape_elements(&t->shape, &elements) != HR_OK)
            elements = 0;
        flat.shape.dim[0] = (int64_t)elements;
        hr_tensor_set_contiguous(&flat);
    }
    return flat;
}

void hr_tensor_to_f32(float *dst, const struct hr_tensor *t)
{
    const struct hr_tensor flat = flatten(t);
    for_rows(dst, sizeof *dst, &flat, t->dtype == HR_DTYPE_F32 ? gather_row : convert_row);
}

void hr_tensor_gather(void *dst, const struct hr_tensor *t)
{
    const struct hr_tensor flat = flatten(t);
    for_rows(dst, hr_dtype_bytes(t->dtype), &flat, gather_row);
}

const float *hr_tensor_plain(const struct hr_tensor *t)
{
    const bool plain = t->dtype == HR_DTYPE_F32 && hr_tensor_contiguous(t) &&
                       (uintptr_t)t->data % _Alignof(float) == 0;
    return plain ? t->data : NULL;
}

enum hr_status hr_tensor_floats(const float **values, float **made, const struct hr_tensor *t)
{
    size_t elements;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    *made = NULL;
    *values = hr_tensor_plain(t);
    if (*values)
        return HR_OK;
    float *copy = hr_mem_alloc_raw(elements, sizeof *copy);
    if (!copy)
        return HR_E_MEMORY;
    hr_tensor_to_f32(copy, t);
    *values = *made = copy;
    return HR_OK;
}
