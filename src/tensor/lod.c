/* SPDX-License-Identifier: Apache-2.0
 * A record: u32 version 0, u64 count of LoD levels (each a u64 of bytes and the bytes), u32 tensor
 * version 0, i32 length of a TensorDesc, the TensorDesc (protobuf: field 1 the element type, field
 * 2 each dimension), then the values, row-major, little endian.  Source: Paddle's lod_tensor.cc and
 * framework.proto. */
#include "tensor/lod.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "tensor/formats.h"

#define MOST_LEVELS 16 /* of LoD: weights have none */

/* VarType.Type */
static const struct {
    uint64_t type;
    enum hr_dtype dtype;
} types[] = {
    { 0, HR_DTYPE_BOOL }, { 1, HR_DTYPE_I16 },   { 2, HR_DTYPE_I32 }, { 3, HR_DTYPE_I64 },
    { 4, HR_DTYPE_F16 },  { 5, HR_DTYPE_F32 },   { 6, HR_DTYPE_F64 }, { 20, HR_DTYPE_U8 },
    { 21, HR_DTYPE_I8 },  { 22, HR_DTYPE_BF16 },
};

static enum hr_status bad(const char *file, const char *name, const char *what)
{
    return hr_fail(HR_E_FORMAT, "%s: the record of '%.100s': %s", file, name, what);
}

/* A varint of up to 10 bytes (protobuf encoding, base 128). */
static enum hr_status read_varint(struct hr_reader *r, uint64_t *out)
{
    uint8_t byte = 0x80;
    *out = 0;
    for (unsigned shift = 0; shift < 70 && (byte & 0x80); shift += 7) {
        HR_TRY(hr_read_u8(r, &byte));
        *out |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
    }
    return HR_OK;
}

static enum hr_status add_dimension(struct hr_shape *shape, uint64_t dim, const char *file,
                                    const char *name)
{
    if (shape->rank == HR_MAX_RANK || dim > INT64_MAX)
        return bad(file, name, "its shape has more than 8 dimensions, or a negative one");
    shape->dim[shape->rank++] = (int64_t)dim;
    return HR_OK;
}

static enum hr_status read_desc(struct hr_tensor *t, struct hr_span desc, const char *file,
                                const char *name)
{
    struct hr_reader r = hr_reader_of(desc.data, desc.size, file);
    uint64_t tag, value, type = UINT64_MAX;
    while (hr_reader_left(&r)) {
        HR_TRY(read_varint(&r, &tag));
        HR_TRY(read_varint(&r, &value));
        if (tag == 0x08) {
            type = value;
        } else if (tag == 0x10) {
            HR_TRY(add_dimension(&t->shape, value, file, name));
        } else if (tag == 0x12) { /* packed: value is their length */
            struct hr_span packed;
            HR_TRY(hr_read_span(&r, value > SIZE_MAX ? SIZE_MAX : (size_t)value, &packed));
            struct hr_reader dims = hr_reader_of(packed.data, packed.size, file);
            while (hr_reader_left(&dims)) {
                HR_TRY(read_varint(&dims, &value));
                HR_TRY(add_dimension(&t->shape, value, file, name));
            }
        } else {
            return bad(file, name, "its description has an unknown field");
        }
    }
    for (size_t i = 0; i < HR_COUNT(types); i++)
        if (types[i].type == type) {
            t->dtype = types[i].dtype;
            return HR_OK;
        }
    return hr_fail(HR_E_UNSUPPORTED, "%s: '%.100s' is of Paddle type %lld", file, name,
                   (long long)type);
}

static enum hr_status skip_levels(struct hr_reader *r, const char *file, const char *name)
{
    uint64_t levels, bytes;
    HR_TRY(hr_read_u64le(r, &levels));
    if (levels > MOST_LEVELS)
        return bad(file, name, "it has too many levels");
    for (uint64_t i = 0; i < levels; i++) {
        HR_TRY(hr_read_u64le(r, &bytes));
        HR_TRY(hr_read_skip(r, bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes));
    }
    return HR_OK;
}

static enum hr_status read_record(struct hr_store *store, struct hr_reader *r, const char *file,
                                  const char *name)
{
    struct hr_tensor t = { 0 };
    struct hr_span desc, values;
    uint32_t version, length;
    size_t bytes;
    HR_TRY(hr_read_u32le(r, &version));
    if (version != 0)
        return bad(file, name, "its version is not 0");
    HR_TRY(skip_levels(r, file, name));
    HR_TRY(hr_read_u32le(r, &version));
    if (version != 0)
        return bad(file, name, "its tensor's version is not 0");
    HR_TRY(hr_read_u32le(r, &length));
    HR_TRY(hr_read_span(r, length, &desc));
    HR_TRY(read_desc(&t, desc, file, name));
    HR_TRY(hr_shape_elements(&t.shape, &bytes));
    if (!hr_size_mul(&bytes, bytes, hr_dtype_bytes(t.dtype)))
        return bad(file, name, "its shape is too large");
    HR_TRY(hr_read_span(r, bytes, &values));
    t.data = values.data;
    hr_tensor_set_contiguous(&t);
    return hr_store_add(store, name, &t);
}

enum hr_status hr_lod_read(struct hr_store *store, const void *data, size_t size,
                           const char *const *names, size_t count, const char *file)
{
    struct hr_reader r = hr_reader_of(data, size, file);
    for (size_t i = 0; i < count; i++) {
        const enum hr_status status = read_record(store, &r, file, names[i]);
        if (status != HR_OK)
            return status;
    }
    if (hr_reader_left(&r))
        return hr_fail(HR_E_FORMAT,
                       "%s: %zu bytes are left after the %zu parameters of the program: the two "
                       "files do not belong together",
                       file, hr_reader_left(&r), count);
    return HR_OK;
}

/* ---- Writing ---- */

static void put_varint(struct hr_buffer *b, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        hr_buffer_put_u8(b, (uint8_t)(value | 0x80));
    hr_buffer_put_u8(b, (uint8_t)value);
}

static enum hr_status put_head(struct hr_buffer *b, const struct hr_tensor *t)
{
    struct hr_buffer desc = { 0 };
    hr_buffer_put_u8(&desc, 0x08);
    for (size_t i = 0; i < HR_COUNT(types); i++)
        if (types[i].dtype == t->dtype)
            put_varint(&desc, types[i].type);
    for (int d = 0; d < t->shape.rank; d++) {
        hr_buffer_put_u8(&desc, 0x10);
        put_varint(&desc, (uint64_t)t->shape.dim[d]);
    }
    hr_buffer_put_u32le(b, 0);
    hr_buffer_put_u64le(b, 0);
    hr_buffer_put_u32le(b, 0);
    hr_buffer_put_u32le(b, (uint32_t)desc.size);
    hr_buffer_put(b, desc.data, desc.size);
    const enum hr_status status = desc.status != HR_OK ? desc.status : b->status;
    hr_buffer_fini(&desc);
    return status;
}

enum hr_status hr_lod_write(const struct hr_tensor *tensor, FILE *file)
{
    struct hr_buffer head = { 0 };
    size_t elements = 0;
    void *rows = NULL;
    enum hr_status status = put_head(&head, tensor);
    if (status == HR_OK)
        status = hr_shape_elements(&tensor->shape, &elements);
    const size_t bytes = elements * hr_dtype_bytes(tensor->dtype);
    if (status == HR_OK && !hr_tensor_contiguous(tensor)) {
        rows = hr_mem_alloc_raw(elements, hr_dtype_bytes(tensor->dtype));
        status = rows ? HR_OK : HR_E_MEMORY;
        if (rows)
            hr_tensor_gather(rows, tensor);
    }
    if (status == HR_OK) {
        (void)!fwrite(head.data, 1, head.size, file);
        (void)!fwrite(rows ? rows : tensor->data, 1, bytes, file);
    }
    hr_mem_free(rows);
    hr_buffer_fini(&head);
    return status;
}
