/* SPDX-License-Identifier: Apache-2.0
 * ONNX's TensorProto: raw little-endian bytes, or one of several lists, or a piece of a file in the
 * model's own folder. */
#include "exchange/onnx_tensor.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/onnx.pb-c.h"

void hr_onnx_tensors_fini(struct hr_onnx_tensors *tensors)
{
    for (size_t i = 0; i < tensors->file_count; i++) {
        hr_map_close(&tensors->files[i].map);
        hr_mem_free(tensors->files[i].path);
    }
    hr_mem_free(tensors->files);
    tensors->files = NULL;
    tensors->file_count = 0;
}

/* TensorProto.DataType */
static const struct {
    int type;
    enum hr_dtype dtype;
} types[] = {
    { 1, HR_DTYPE_F32 },   { 2, HR_DTYPE_U8 },   { 3, HR_DTYPE_I8 },   { 4, HR_DTYPE_U16 },
    { 5, HR_DTYPE_I16 },   { 6, HR_DTYPE_I32 },  { 7, HR_DTYPE_I64 },  { 9, HR_DTYPE_BOOL },
    { 10, HR_DTYPE_F16 },  { 11, HR_DTYPE_F64 }, { 12, HR_DTYPE_U32 }, { 13, HR_DTYPE_U64 },
    { 16, HR_DTYPE_BF16 },
};

static enum hr_status read_type(struct hr_tensor *out, const Hr__OnnxTensor *from)
{
    for (size_t i = 0; i < HR_COUNT(types); i++)
        if (from->has_data_type && from->data_type == types[i].type) {
            out->dtype = types[i].dtype;
            return HR_OK;
        }
    return hr_fail(HR_E_UNSUPPORTED, "ONNX type %d is not supported",
                   from->has_data_type ? (int)from->data_type : 0);
}

static enum hr_status read_shape(struct hr_shape *out, const Hr__OnnxTensor *from)
{
    if (from->n_dims > HR_MAX_RANK)
        return hr_fail(HR_E_UNSUPPORTED, "it has %zu dimensions: %d at most are supported",
                       from->n_dims, HR_MAX_RANK);
    *out = (struct hr_shape){ .rank = (int)from->n_dims };
    if (from->n_dims)
        memcpy(out->dim, from->dims, from->n_dims * sizeof *out->dim);
    return HR_OK;
}

/* ---- External data ------------------------------------------------------------------------- */

static const char *entry(const Hr__OnnxTensor *from, const char *key)
{
    for (size_t i = 0; i < from->n_external_data; i++)
        if (from->external_data[i]->key && strcmp(from->external_data[i]->key, key) == 0)
            return from->external_data[i]->value;
    return NULL;
}

static enum hr_status entry_number(const Hr__OnnxTensor *from, const char *key, size_t otherwise,
                                   size_t *out)
{
    const char *text = entry(from, key);
    int64_t value = 0;
    *out = otherwise;
    if (!text)
        return HR_OK;
    if (hr_parse_i64(text, &value) != HR_OK || value < 0)
        return hr_fail(HR_E_FORMAT, "the %s of its external data is '%.40s'", key, text);
    *out = (size_t)value;
    return HR_OK;
}

/* The file must lie in the model's folder when every link is followed, too. */
static enum hr_status confined(const char *folder, const char *location, char real[PATH_MAX])
{
    char inside[PATH_MAX], path[PATH_MAX];
    const int size = snprintf(path, sizeof path, "%s/%s", folder, location);
    if (location[0] == '/' || size < 0 || size >= PATH_MAX || !realpath(folder, inside))
        return hr_fail(HR_E_UNSUPPORTED, "its external data '%.200s' lies outside the folder",
                       location);
    if (!realpath(path, real))
        return hr_fail(HR_E_NOT_FOUND, "its external data '%.200s' is not beside the file",
                       location);
    const size_t length = strlen(inside);
    if (strncmp(real, inside, length) != 0 || (real[length] != '/' && strcmp(inside, "/") != 0))
        return hr_fail(HR_E_UNSUPPORTED,
                       "its external data '%.200s' lies outside the model's folder: copy it there",
                       location);
    return HR_OK;
}

static enum hr_status add_external(struct hr_onnx_tensors *tensors, const char *path)
{
    HR_TRY(hr_mem_grow((void **)&tensors->files, &tensors->file_capacity, tensors->file_count + 1,
                       sizeof *tensors->files));
    struct hr_onnx_external file = { .path = hr_mem_strdup(path) };
    const enum hr_status status = file.path ? hr_map_open(&file.map, path) : HR_E_MEMORY;
    if (status == HR_OK)
        tensors->files[tensors->file_count++] = file;
    else
        hr_mem_free(file.path);
    return status;
}

static enum hr_status open_external(struct hr_onnx_tensors *tensors, const char *location,
                                    const struct hr_map **out)
{
    char path[PATH_MAX];
    size_t i = 0;
    if (!tensors->folder)
        return hr_fail(HR_E_UNSUPPORTED, "a model in memory has no external data");
    HR_TRY(confined(tensors->folder, location, path));
    while (i < tensors->file_count && strcmp(tensors->files[i].path, path) != 0)
        i++;
    if (i == tensors->file_count)
        HR_TRY(add_external(tensors, path));
    *out = &tensors->files[i].map;
    return HR_OK;
}

static enum hr_status external_bytes(struct hr_span *out, struct hr_onnx_tensors *tensors,
                                     const Hr__OnnxTensor *from)
{
    const char *location = entry(from, "location");
    const struct hr_map *file;
    size_t offset, length;
    if (!location || !location[0])
        return hr_fail(HR_E_FORMAT, "its external data has no location");
    HR_TRY(open_external(tensors, location, &file));
    const size_t have = file->size;
    HR_TRY(entry_number(from, "offset", 0, &offset));
    HR_TRY(entry_number(from, "length", offset < have ? have - offset : 0, &length));
    if (offset > have || length > have - offset)
        return hr_fail(HR_E_FORMAT, "bytes %zu to %zu of '%.200s' are wanted, which has %zu",
                       offset, offset + length, location, have);
    *out = (struct hr_span){ file->data + offset, length };
    return HR_OK;
}

/* ---- Lists --------------------------------------------------------------------------------- */

/* Small types come one an int32 each. */
static enum hr_status narrow(struct hr_span *out, struct hr_onnx_tensors *tensors,
                             const Hr__OnnxTensor *from, size_t bytes)
{
    const size_t count = from->n_int32_data;
    uint8_t *to = hr_message_block(tensors->memory, count * bytes);
    if (!to)
        return tensors->memory->status;
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < bytes; b++)
            to[i * bytes + b] = (uint8_t)((uint32_t)from->int32_data[i] >> 8 * b);
    *out = (struct hr_span){ to, count * bytes };
    return HR_OK;
}

static enum hr_status list_bytes(struct hr_span *out, struct hr_onnx_tensors *tensors,
                                 const Hr__OnnxTensor *from, enum hr_dtype dtype)
{
    const size_t bytes = hr_dtype_bytes(dtype);
    if (dtype == HR_DTYPE_F32)
        *out = (struct hr_span){ (const uint8_t *)from->float_data, from->n_float_data * bytes };
    else if (dtype == HR_DTYPE_F64)
        *out = (struct hr_span){ (const uint8_t *)from->double_data, from->n_double_data * bytes };
    else if (dtype == HR_DTYPE_I64)
        *out = (struct hr_span){ (const uint8_t *)from->int64_data, from->n_int64_data * bytes };
    else if (bytes <= 4 && dtype != HR_DTYPE_U32)
        return narrow(out, tensors, from, bytes);
    else
        return hr_fail(HR_E_UNSUPPORTED, "a list of %s is not supported", hr_dtype_name(dtype));
    return HR_OK;
}

enum hr_status hr_onnx_tensor(struct hr_tensor *out, struct hr_onnx_tensors *tensors,
                              const Hr__OnnxTensor *from)
{
    struct hr_tensor t = { 0 };
    struct hr_span span = { 0 };
    size_t elements, want;
    HR_TRY(read_type(&t, from));
    HR_TRY(read_shape(&t.shape, from));
    HR_TRY(hr_shape_elements(&t.shape, &elements));
    if (from->has_data_location && from->data_location == 1)
        HR_TRY(external_bytes(&span, tensors, from));
    else if (from->has_raw_data)
        span = (struct hr_span){ from->raw_data.data, from->raw_data.len };
    else
        HR_TRY(list_bytes(&span, tensors, from, t.dtype));
    if (!hr_size_mul(&want, elements, hr_dtype_bytes(t.dtype)) || want != span.size)
        return hr_fail(HR_E_FORMAT, "shape %s of %s does not take the %zu bytes given",
                       hr_shape_str(&t.shape).s, hr_dtype_name(t.dtype), span.size);
    t.data = span.data;
    hr_tensor_set_contiguous(&t);
    *out = t;
    return HR_OK;
}
