/* SPDX-License-Identifier: Apache-2.0
 * NumPy arrays inside a pickle: _reconstruct(ndarray, (0,), b'b') with the state (1, shape, dtype,
 * Fortran order, bytes), or protocol 5's _frombuffer(bytes, dtype, shape, order).  Bytes that lie
 * in the pickle as they are become views. */
#include "tensor/ndarray.h"

#include <string.h>

#include "base/mem.h"
#include "tensor/formats.h"
#include "tensor/npy.h"

bool hr_ndarray_is(const struct hr_pickle *value)
{
    return hr_pickle_made_by(value, "numpy.core.multiarray._reconstruct") ||
           hr_pickle_made_by(value, "numpy._core.multiarray._reconstruct") ||
           hr_pickle_made_by(value, "numpy.core.numeric._frombuffer") ||
           hr_pickle_made_by(value, "numpy._core.numeric._frombuffer");
}

enum hr_status hr_ndarray_charge(struct hr_ndarray_source *from, size_t bytes)
{
    if (bytes > from->size - from->made)
        return hr_fail(HR_E_FORMAT, "%s: its tensors claim more bytes than the file has",
                       from->name);
    from->made += bytes;
    return HR_OK;
}

/* numpy.dtype('f4', ...) with its state (3, '<', ...). */
static enum hr_status read_dtype(enum hr_dtype *out, const struct hr_pickle *dtype,
                                 const char *tensor, const struct hr_ndarray_source *from)
{
    if (!hr_pickle_made_by(dtype, "numpy.dtype") || dtype->args->count < 1)
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s' has no NumPy element type", from->name,
                       tensor);
    const struct hr_pickle *state = dtype->state;
    if (state && state->kind == HR_PICKLE_TUPLE && state->count >= 2 &&
        hr_pickle_is(state->items[1], ">"))
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: tensor '%.200s' is big-endian: save it on a "
                       "little-endian machine",
                       from->name, tensor);
    const struct hr_span code = dtype->args->items[0]->bytes;
    if (!hr_dtype_of_numpy(out, code.data, code.size))
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: tensor '%.200s': NumPy element type '%.*s' is not read", from->name,
                       tensor, (int)(code.size < 16 ? code.size : 16), (const char *)code.data);
    if (*out == HR_DTYPE_U16)
        *out = from->u2;
    return HR_OK;
}

enum hr_status hr_ndarray_shape(struct hr_shape *out, const struct hr_pickle *tuple,
                                const char *tensor, const struct hr_ndarray_source *from)
{
    if (tuple->kind != HR_PICKLE_TUPLE || tuple->count > HR_MAX_RANK)
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s' has no shape of at most %d dimensions",
                       from->name, tensor, HR_MAX_RANK);
    *out = (struct hr_shape){ .rank = (int)tuple->count };
    for (size_t d = 0; d < tuple->count; d++) {
        if (tuple->items[d]->kind != HR_PICKLE_INT || tuple->items[d]->integer < 0)
            return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s': a dimension is no whole number",
                           from->name, tensor);
        out->dim[d] = tuple->items[d]->integer;
    }
    return HR_OK;
}

/* Protocol 2 of Python 3 has no bytes: each became the code point of its value, in UTF-8. */
static bool decode_latin1(uint8_t *out, size_t size, struct hr_span text)
{
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x80) {
            if ((byte & 0xfe) != 0xc2 || i + 1 == text.size || (text.data[i + 1] & 0xc0) != 0x80)
                return false;
            byte = (uint8_t)(byte << 6 | (text.data[++i] & 0x3f));
        }
        if (used == size)
            return false;
        out[used++] = byte;
    }
    return used == size;
}

/* The parts of an array, whichever call makes it. */
struct parts {
    const struct hr_pickle *shape, *dtype, *data;
    bool fortran;
};

static bool take_apart(struct parts *out, const struct hr_pickle *array)
{
    const struct hr_pickle *state = array->state, *args = array->args;
    const bool buffer = hr_pickle_made_by(array, "numpy.core.numeric._frombuffer") ||
                        hr_pickle_made_by(array, "numpy._core.numeric._frombuffer");
    if (buffer && args->count == 4)
        *out = (struct parts){ args->items[2], args->items[1], args->items[0],
                               hr_pickle_is(args->items[3], "F") };
    else if (!buffer && state && state->kind == HR_PICKLE_TUPLE && state->count == 5)
        *out = (struct parts){ state->items[1], state->items[2], state->items[4],
                               state->items[3]->integer != 0 };
    else
        return false;
    return true;
}

static enum hr_status fail_bytes(const struct hr_ndarray_source *from, const char *tensor,
                                 const struct hr_tensor *t)
{
    return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s': its bytes do not make %s of %s", from->name,
                   tensor, hr_shape_str(&t->shape).s, hr_dtype_name(t->dtype));
}

/* _codecs.encode(text, 'latin1'): the bytes go to memory of the store. */
static enum hr_status decode_bytes(struct hr_tensor *t, size_t bytes, const struct hr_pickle *data,
                                   const char *tensor, struct hr_ndarray_source *from)
{
    if (!hr_pickle_made_by(data, "_codecs.encode") || data->args->count != 2 ||
        data->args->items[0]->kind != HR_PICKLE_STRING ||
        !hr_pickle_is(data->args->items[1], "latin1") || bytes > data->args->items[0]->bytes.size)
        return fail_bytes(from, tensor, t);
    HR_TRY(hr_ndarray_charge(from, bytes));
    void *decoded;
    HR_TRY(hr_store_alloc(from->store, bytes, &decoded));
    t->data = decoded;
    return decode_latin1(decoded, bytes, data->args->items[0]->bytes) ? HR_OK
                                                                      : fail_bytes(from, tensor, t);
}

/* An empty bytes or bytearray is a call without arguments under protocol 2. */
static bool is_empty_bytes(const struct hr_pickle *data)
{
    static const char *const callables[] = { "__builtin__.bytes", "builtins.bytes",
                                             "__builtin__.bytearray", "builtins.bytearray" };
    for (size_t i = 0; i < HR_COUNT(callables); i++)
        if (hr_pickle_made_by(data, callables[i]))
            return data->args->count == 0;
    return false;
}

enum hr_status hr_ndarray_read(struct hr_tensor *out, const struct hr_pickle *array,
                               const char *tensor, struct hr_ndarray_source *from)
{
    struct hr_tensor t = { 0 };
    struct parts parts;
    size_t bytes;
    if (!take_apart(&parts, array))
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s' is an array without content", from->name,
                       tensor);
    HR_TRY(hr_ndarray_shape(&t.shape, parts.shape, tensor, from));
    HR_TRY(read_dtype(&t.dtype, parts.dtype, tensor, from));
    HR_TRY(hr_tensor_bytes_of(&bytes, &t, from->name, tensor));
    if (parts.fortran)
        hr_tensor_set_fortran(&t);
    else
        hr_tensor_set_contiguous(&t);
    if (parts.data->kind == HR_PICKLE_BYTES || parts.data->kind == HR_PICKLE_STRING) {
        t.data = parts.data->bytes.data;
        if (parts.data->bytes.size != bytes)
            return fail_bytes(from, tensor, &t);
    } else if (bytes == 0 && is_empty_bytes(parts.data)) {
        t.data = "";
    } else {
        HR_TRY(decode_bytes(&t, bytes, parts.data, tensor, from));
    }
    *out = t;
    return HR_OK;
}
