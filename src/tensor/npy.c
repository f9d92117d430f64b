/* SPDX-License-Identifier: Apache-2.0
 * NumPy's format (numpy/lib/format.py, versions 1 to 3): a magic number, a version, a Python dict
 * literal of descr, fortran_order and shape padded to 64 bytes, the data. */
#include "tensor/npy.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "tensor/formats.h"
#include "wire/zip.h"

#define MAGIC "\x93NUMPY"

static const struct {
    const char *code;
    enum hr_dtype dtype;
} codes[] = { { "f4", HR_DTYPE_F32 }, { "f2", HR_DTYPE_F16 }, { "f8", HR_DTYPE_F64 },
              { "i1", HR_DTYPE_I8 },  { "u1", HR_DTYPE_U8 },  { "i2", HR_DTYPE_I16 },
              { "u2", HR_DTYPE_U16 }, { "i4", HR_DTYPE_I32 }, { "u4", HR_DTYPE_U32 },
              { "i8", HR_DTYPE_I64 }, { "u8", HR_DTYPE_U64 }, { "b1", HR_DTYPE_BOOL } };

bool hr_dtype_of_numpy(enum hr_dtype *out, const void *code, size_t size)
{
    for (size_t i = 0; i < HR_COUNT(codes); i++)
        if (strlen(codes[i].code) == size && memcmp(codes[i].code, code, size) == 0) {
            *out = codes[i].dtype;
            return true;
        }
    return false;
}

/* The value behind 'key': in the dict literal, without blanks; NULL if it is missing. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *at = strstr(header, quoted);
    at = at ? at + strlen(quoted) : NULL;
    while (at && (*at == ' ' || *at == ':'))
        at++;
    return at;
}

static enum hr_status read_descr(struct hr_tensor *t, const char *value, const char *name)
{
    if (!value || *value != '\'' || !value[1] || !strchr("<>|=", value[1]))
        return hr_fail(HR_E_FORMAT, "%s: npy: the element type is not understood", name);
    if (value[1] == '>')
        return hr_fail(HR_E_UNSUPPORTED, "%s: npy: big-endian data is not read", name);
    if (hr_dtype_of_numpy(&t->dtype, value + 2, strcspn(value + 2, "'")) && strchr(value + 2, '\''))
        return HR_OK;
    return hr_fail(HR_E_UNSUPPORTED, "%s: npy: element type %.8s is not read", name, value);
}

static enum hr_status read_shape(struct hr_tensor *t, const char *value, const char *name)
{
    t->shape.rank = 0;
    if (!value || *value++ != '(')
        return hr_fail(HR_E_FORMAT, "%s: npy: the shape is missing", name);
    while (*value != ')') {
        int64_t dim = 0;
        int digits = 0;
        for (; *value >= '0' && *value <= '9' && digits < 18; value++, digits++)
            dim = dim * 10 + (*value - '0');
        if (digits == 0 || (*value >= '0' && *value <= '9') || t->shape.rank == HR_MAX_RANK)
            return hr_fail(HR_E_FORMAT, "%s: npy: the shape is not understood", name);
        t->shape.dim[t->shape.rank++] = dim;
        while (*value == ' ' || *value == ',')
            value++;
    }
    return HR_OK;
}

/* header is zero-terminated. */
static enum hr_status read_header(struct hr_tensor *t, const char *header, struct hr_span data,
                                  const char *name)
{
    const char *order = value_of(header, "fortran_order");
    size_t bytes;
    HR_TRY(read_descr(t, value_of(header, "descr"), name));
    HR_TRY(read_shape(t, value_of(header, "shape"), name));
    HR_TRY(hr_tensor_bytes_of(&bytes, t, name, "array"));
    if (bytes != data.size)
        return hr_fail(HR_E_FORMAT, "%s: npy: %s of %s does not take %zu bytes", name,
                       hr_shape_str(&t->shape).s, hr_dtype_name(t->dtype), data.size);
    if (order && hr_text_starts(order, "True"))
        hr_tensor_set_fortran(t);
    else if (order && hr_text_starts(order, "False"))
        hr_tensor_set_contiguous(t);
    else
        return hr_fail(HR_E_FORMAT, "%s: npy: fortran_order is missing", name);
    t->data = data.data;
    return HR_OK;
}

enum hr_status hr_npy_parse(struct hr_tensor *out, const void *data, size_t size, const char *name)
{
    struct hr_reader r = hr_reader_of(data, size, name);
    struct hr_tensor t = { 0 };
    struct hr_span magic, header;
    uint8_t major, minor;
    uint16_t short_size;
    uint32_t header_size;
    if (size < 6 || memcmp(data, MAGIC, 6) != 0)
        return hr_fail(HR_E_FORMAT, "%s: no NumPy .npy file", name);
    HR_TRY(hr_read_span(&r, 6, &magic));
    HR_TRY(hr_read_u8(&r, &major));
    HR_TRY(hr_read_u8(&r, &minor));
    if (major == 1) {
        HR_TRY(hr_read_u16le(&r, &short_size));
        header_size = short_size;
    } else {
        HR_TRY(hr_read_u32le(&r, &header_size));
    }
    if (major < 1 || major > 3 || header_size > 65536)
        return hr_fail(HR_E_UNSUPPORTED, "%s: npy: version %u.%u with a header of %u bytes", name,
                       major, minor, header_size);
    HR_TRY(hr_read_span(&r, header_size, &header));
    char *text = hr_mem_strndup((const char *)header.data, header.size);
    if (!text)
        return HR_E_MEMORY;
    const struct hr_span rest = { header.data + header.size, hr_reader_left(&r) };
    const enum hr_status status = read_header(&t, text, rest, name);
    hr_mem_free(text);
    if (status == HR_OK)
        *out = t;
    return status;
}

static enum hr_status add_entry(struct hr_unpacking *u, const struct hr_zip_entry *entry)
{
    struct hr_text array = { 0 };
    struct hr_tensor t;
    struct hr_span bytes;
    if (!hr_text_ends(entry->name, ".npy"))
        return hr_fail(HR_E_FORMAT, "%s: '%.200s' in the archive is no .npy file", u->name,
                       entry->name);
    HR_TRY(hr_unpack(u, entry, &bytes));
    enum hr_status status = hr_npy_parse(&t, bytes.data, bytes.size, u->name);
    if (status != HR_OK)
        return hr_fail_context(status, "array '%.200s'", entry->name);
    hr_text_add_bytes(&array, entry->name, strlen(entry->name) - 4);
    status = array.status;
    if (status == HR_OK)
        status = hr_store_add(u->store, hr_text_str(&array), &t);
    hr_text_fini(&array);
    return status;
}

enum hr_status hr_npz_read(struct hr_store *store, const void *data, size_t size, const char *name)
{
    struct hr_arena arena = { 0 };
    struct hr_zip_entry *entries = NULL;
    struct hr_unpacking u =
        hr_unpacking_of(store, size, name, "arrays are too large: save it with numpy.savez");
    size_t count = 0;
    enum hr_status status = hr_zip_list(&entries, &count, &arena, data, size, name);
    for (size_t i = 0; i < count && status == HR_OK; i++)
        status = add_entry(&u, &entries[i]);
    hr_arena_fini(&arena);
    return status;
}

static const char *code_of(enum hr_dtype dtype)
{
    for (size_t i = 0; i < HR_COUNT(codes); i++)
        if (codes[i].dtype == dtype)
            return codes[i].code;
    return "f4"; /* bfloat16, widened */
}

enum hr_status hr_npy_write(struct hr_buffer *out, const struct hr_tensor *t)
{
    struct hr_text header = { 0 };
    size_t elements;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    const bool widen = t->dtype == HR_DTYPE_BF16;
    const size_t bytes = elements * hr_dtype_bytes(widen ? HR_DTYPE_F32 : t->dtype);
    hr_text_printf(&header, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                   hr_dtype_bytes(t->dtype) == 1 ? '|' : '<', code_of(t->dtype));
    for (int d = 0; d < t->shape.rank; d++)
        hr_text_printf(&header, "%lld%s", (long long)t->shape.dim[d],
                       d == 0 || d + 1 < t->shape.rank ? ", " : "");
    hr_text_add(&header, "), }");
    while ((10 + header.size + 1) % 64 && header.status == HR_OK)
        hr_text_add(&header, " ");
    hr_text_add(&header, "\n");
    enum hr_status status = header.status;
    void *rows = status == HR_OK ? hr_mem_alloc_raw(bytes, 1) : NULL;
    if (rows) {
        if (widen)
            hr_tensor_to_f32(rows, t);
        else
            hr_tensor_gather(rows, t);
        hr_buffer_put(out, MAGIC "\x01\x00", 8);
        hr_buffer_put_u16le(out, (uint16_t)header.size);
        hr_buffer_put(out, header.data, header.size);
        hr_buffer_put(out, rows, bytes);
        status = out->status;
    } else if (status == HR_OK) {
        status = HR_E_MEMORY;
    }
    hr_mem_free(rows);
    hr_text_fini(&header);
    return status;
}

static enum hr_status add_all(struct hr_zip_writer *zip, const void *context)
{
    const struct hr_store *const store = context;
    enum hr_status status = HR_OK;
    for (size_t i = 0; i < hr_store_count(store) && status == HR_OK; i++) {
        struct hr_buffer file = { 0 };
        struct hr_text name = { 0 };
        hr_text_printf(&name, "%s.npy", hr_store_name(store, i));
        status = name.status;
        if (status == HR_OK)
            status = hr_npy_write(&file, hr_store_tensor(store, i));
        if (status == HR_OK)
            status = hr_zip_add(zip, name.data, file.data, file.size, 64);
        hr_buffer_fini(&file);
        hr_text_fini(&name);
    }
    return status;
}

enum hr_status hr_npz_save(const struct hr_store *store, const char *path)
{
    return hr_zip_save(path, add_all, store);
}
