/* SPDX-License-Identifier: Apache-2.0
 * The parameters of a Paddle-Lite model (.nb, meta version 2): u16 meta version, 16 bytes of text
 * (the version of its optimiser), u64 size and bytes of the network, then the parameters: u16
 * version 0, u16 bytes to skip, u16 size of a header, which holds u16 count and u32 longest, and
 * for each parameter u32 bytes, of which u32 says where in them a FlatBuffers ParamDesc begins.
 * The network is left alone.  Source: Paddle-Lite's param.fbs and its loader; FlatBuffers'
 * internals (flatbuffers.dev). */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tensor/formats.h"
#include "tensor/tensor.h"

#define META_VERSION 2
#define VERSION_TEXT 16
#define LEAST_SIZE   (2 + VERSION_TEXT + 8)

bool hr_paddle_lite_magic(const void *data, size_t size)
{
    const uint8_t *b = data;
    /* "v2.10": 0x02 0x00 begins no other file that is known. */
    return size >= LEAST_SIZE && b[0] <= META_VERSION && b[1] == 0 && b[2] == 'v' && b[3] >= '0' &&
           b[3] <= '9';
}

/* ---- FlatBuffers: tables whose fields are found through a list of offsets ---- */

struct table {
    struct hr_span bytes; /* of the whole buffer */
    size_t at, list, list_size;
};

static bool inside(struct hr_span bytes, size_t at, size_t size)
{
    return at <= bytes.size && size <= bytes.size - at;
}

static bool table_at(struct table *t, struct hr_span bytes, size_t at)
{
    if (!inside(bytes, at, 4))
        return false;
    const int64_t list = (int64_t)at - (int32_t)hr_load_u32le(bytes.data + at);
    if (list < 0 || !inside(bytes, (size_t)list, 4))
        return false;
    *t = (struct table){ bytes, at, (size_t)list, hr_load_u16le(bytes.data + list) };
    return t->list_size >= 4 && inside(bytes, t->list, t->list_size);
}

/* Where field `index` lies, with room for `size` bytes; 0 if it is absent or lies outside. */
static size_t field(const struct table *t, size_t index, size_t size)
{
    const size_t entry = 4 + 2 * index;
    if (entry + 2 > t->list_size)
        return 0;
    const size_t offset = hr_load_u16le(t->bytes.data + t->list + entry);
    return offset && inside(t->bytes, t->at + offset, size) ? t->at + offset : 0;
}

/* What a field refers to. */
static bool follow(const struct table *t, size_t index, size_t *out)
{
    const size_t at = field(t, index, 4);
    if (!at)
        return false;
    *out = at + hr_load_u32le(t->bytes.data + at);
    return inside(t->bytes, *out, 4);
}

/* A vector of `each` bytes an element; empty if it is absent or does not fit. */
static struct hr_span vector(const struct table *t, size_t index, size_t each)
{
    size_t at;
    if (!follow(t, index, &at))
        return (struct hr_span){ 0 };
    const size_t count = hr_load_u32le(t->bytes.data + at);
    if (count > (t->bytes.size - at - 4) / each)
        return (struct hr_span){ 0 };
    return (struct hr_span){ t->bytes.data + at + 4, count * each };
}

/* ---- Parameters ---- */

/* VarType.Type */
static const struct {
    uint32_t type;
    enum hr_dtype dtype;
} types[] = {
    { 0, HR_DTYPE_BOOL }, { 1, HR_DTYPE_I16 }, { 2, HR_DTYPE_I32 },
    { 3, HR_DTYPE_I64 },  { 4, HR_DTYPE_F16 }, { 5, HR_DTYPE_F32 },
    { 6, HR_DTYPE_F64 },  { 20, HR_DTYPE_U8 }, { 21, HR_DTYPE_I8 },
};

static enum hr_status bad(const char *file, uint16_t index, const char *what)
{
    return hr_fail(HR_E_FORMAT, "%s: Paddle-Lite parameter %u: %s", file, index, what);
}

static enum hr_status read_type(struct hr_tensor *t, const struct table *tensor, const char *file,
                                uint16_t index)
{
    const size_t at = field(tensor, 3, 4);
    const uint32_t type = at ? hr_load_u32le(tensor->bytes.data + at) : 0; /* 0 is not stored */
    for (size_t i = 0; i < HR_COUNT(types); i++)
        if (types[i].type == type) {
            t->dtype = types[i].dtype;
            return HR_OK;
        }
    return bad(file, index, "it is of no type of numbers");
}

/* LoDTensorDesc: lod_level, lod, dim, data_type, data. */
static enum hr_status read_tensor(struct hr_tensor *t, const struct table *tensor, const char *file,
                                  uint16_t index)
{
    const struct hr_span dims = vector(tensor, 2, 8), values = vector(tensor, 4, 1);
    size_t bytes;
    char number[32];
    HR_TRY(read_type(t, tensor, file, index));
    if (dims.size / 8 > HR_MAX_RANK)
        return bad(file, index, "it has more than 8 dimensions");
    t->shape.rank = (int)(dims.size / 8);
    for (int d = 0; d < t->shape.rank; d++)
        t->shape.dim[d] = (int64_t)hr_load_u64le(dims.data + 8 * d);
    snprintf(number, sizeof number, "Paddle-Lite parameter %u", index);
    HR_TRY(hr_tensor_bytes_of(&bytes, t, file, number));
    if (bytes != values.size)
        return bad(file, index, "its bytes are not those of its shape");
    t->data = values.data;
    hr_tensor_set_contiguous(t);
    return HR_OK;
}

/* ParamDesc: version, name, kind of what follows (1: LoDTensorDesc), what follows. */
static enum hr_status read_param(struct hr_store *store, struct hr_span bytes, const char *file,
                                 uint16_t index)
{
    char name[256];
    struct hr_tensor t = { 0 };
    struct table param, tensor;
    size_t at;
    if (!inside(bytes, 0, 4) || !table_at(&param, bytes, hr_load_u32le(bytes.data)))
        return bad(file, index, "it is no FlatBuffers table");
    const struct hr_span text = vector(&param, 1, 1);
    const size_t kind = field(&param, 2, 1);
    if (text.size == 0 || text.size >= sizeof name || memchr(text.data, 0, text.size))
        return bad(file, index, "it has no name of 1 to 255 bytes");
    if (!kind || bytes.data[kind] != 1 || !follow(&param, 3, &at) || !table_at(&tensor, bytes, at))
        return bad(file, index, "it holds no tensor");
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    HR_TRY(read_tensor(&t, &tensor, file, index));
    const enum hr_status status = hr_store_add(store, name, &t);
    return status == HR_OK || status == HR_E_MEMORY ? status : hr_fail_context(status, "%s", file);
}

static enum hr_status read_params(struct hr_store *store, struct hr_reader *r, const char *file)
{
    uint16_t version, skip, header, count;
    HR_TRY(hr_read_u16le(r, &version));
    HR_TRY(hr_read_u16le(r, &skip));
    HR_TRY(hr_read_skip(r, skip));
    HR_TRY(hr_read_u16le(r, &header));
    HR_TRY(hr_read_u16le(r, &count));
    if (version != 0 || header < 6)
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: its parameters are of version %u with a header of %u bytes: 0 with 6 "
                       "are known",
                       file, version, header);
    HR_TRY(hr_read_skip(r, (size_t)header - 2));
    for (uint16_t i = 0; i < count; i++) {
        struct hr_span bytes;
        uint32_t size, offset;
        HR_TRY(hr_read_u32le(r, &size));
        HR_TRY(hr_read_u32le(r, &offset));
        if (size < 4 || offset < 4 || offset > size)
            return bad(file, i, "its size is wrong");
        HR_TRY(hr_read_skip(r, offset - 4));
        HR_TRY(hr_read_span(r, size - offset, &bytes));
        HR_TRY(read_param(store, bytes, file, i));
    }
    return HR_OK;
}

enum hr_status hr_paddle_lite_read(struct hr_store *store, const void *data, size_t size,
                                   const char *name)
{
    struct hr_reader r = hr_reader_of(data, size, name);
    struct hr_span text;
    char version[VERSION_TEXT + 1] = "";
    uint16_t meta;
    uint64_t network;
    HR_TRY(hr_read_u16le(&r, &meta));
    if (meta != META_VERSION)
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: a Paddle-Lite file of meta version %u: 2 is known; make it anew with "
                       "a Paddle-Lite of 2.7 or later",
                       name, meta);
    HR_TRY(hr_read_span(&r, VERSION_TEXT, &text));
    for (size_t i = 0; i < VERSION_TEXT && text.data[i] >= ' ' && text.data[i] < 0x7f; i++)
        version[i] = (char)text.data[i];
    HR_TRY(hr_read_u64le(&r, &network));
    HR_TRY(hr_read_skip(&r, network > SIZE_MAX ? SIZE_MAX : (size_t)network));
    HR_TRY(read_params(store, &r, name));
    return hr_store_set_meta(store, "paddle_lite.version", version);
}
