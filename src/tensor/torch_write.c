/* SPDX-License-Identifier: Apache-2.0
 * Writes a state dict as torch.save does since 1.6: a stored zip of data.pkl (protocol 2), one
 * entry a tensor, version and byteorder; payloads start at multiples of 64.  Metadata is one more
 * entry, which torch.load does not look at. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/formats.h"
#include "wire/zip.h"

#define PAYLOAD_ALIGN 64

static void put_codes(struct hr_buffer *b, const char *codes)
{
    hr_buffer_put(b, codes, strlen(codes));
}

static void put_text(struct hr_buffer *b, const char *text)
{
    hr_buffer_put_u8(b, 'X');
    hr_buffer_put_u32le(b, (uint32_t)strlen(text));
    put_codes(b, text);
}

static void put_int(struct hr_buffer *b, int64_t value)
{
    hr_buffer_put(b, "\x8a\x08", 2);
    hr_buffer_put_u64le(b, (uint64_t)value);
}

static const char *storage_type(enum hr_dtype dtype)
{
    static const char *const types[HR_DTYPE_COUNT] = {
        [HR_DTYPE_F32] = "Float",  [HR_DTYPE_F16] = "Half", [HR_DTYPE_BF16] = "BFloat16",
        [HR_DTYPE_F64] = "Double", [HR_DTYPE_I64] = "Long", [HR_DTYPE_I32] = "Int",
        [HR_DTYPE_I16] = "Short",  [HR_DTYPE_I8] = "Char",  [HR_DTYPE_U8] = "Byte",
        [HR_DTYPE_BOOL] = "Bool"
    };
    return types[dtype];
}

/* name: _rebuild_tensor_v2(('storage', type, key, 'cpu', n), 0, size, stride, False, {}). */
static enum hr_status put_tensor(struct hr_buffer *b, const struct hr_store *store, size_t index)
{
    struct hr_tensor t = *hr_store_tensor(store, index);
    const char *type = storage_type(t.dtype);
    char text[64];
    size_t elements;
    if (!type)
        return hr_fail(HR_E_UNSUPPORTED, "tensor '%.200s': PyTorch has no storage of type %s",
                       hr_store_name(store, index), hr_dtype_name(t.dtype));
    HR_TRY(hr_shape_elements(&t.shape, &elements));
    hr_tensor_set_contiguous(&t);
    put_text(b, hr_store_name(store, index));
    put_codes(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_text(b, "storage");
    snprintf(text, sizeof text, "ctorch\n%sStorage\n", type);
    put_codes(b, text);
    snprintf(text, sizeof text, "%zu", index);
    put_text(b, text);
    put_text(b, "cpu");
    put_int(b, (int64_t)elements);
    put_codes(b, "tQ");
    put_int(b, 0);
    put_codes(b, "(");
    for (int d = 0; d < t.shape.rank; d++)
        put_int(b, t.shape.dim[d]);
    put_codes(b, "t(");
    for (int d = 0; d < t.shape.rank; d++)
        put_int(b, t.stride[d]);
    put_codes(b, "t\x89"
                 "ccollections\nOrderedDict\n)RtR");
    return b->status;
}

static enum hr_status add_payload(struct hr_zip_writer *zip, const struct hr_store *store,
                                  size_t index)
{
    const struct hr_tensor *t = hr_store_tensor(store, index);
    char name[64];
    size_t elements;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    const size_t bytes = elements * hr_dtype_bytes(t->dtype);
    snprintf(name, sizeof name, "archive/data/%zu", index);
    if (hr_tensor_contiguous(t))
        return hr_zip_add(zip, name, t->data, bytes, PAYLOAD_ALIGN);
    void *rows = hr_mem_alloc_raw(elements, hr_dtype_bytes(t->dtype));
    if (!rows)
        return HR_E_MEMORY;
    hr_tensor_gather(rows, t);
    const enum hr_status status = hr_zip_add(zip, name, rows, bytes, PAYLOAD_ALIGN);
    hr_mem_free(rows);
    return status;
}

static enum hr_status add_metadata(struct hr_zip_writer *zip, const struct hr_store *store)
{
    struct hr_text text = { 0 };
    if (hr_store_meta_count(store) == 0)
        return HR_OK;
    enum hr_status status = hr_metadata_print(&text, store);
    if (status == HR_OK)
        status = hr_zip_add(zip, "archive/" HR_METADATA_NAME, text.data, text.size, PAYLOAD_ALIGN);
    hr_text_fini(&text);
    return status;
}

static enum hr_status write_archive(struct hr_zip_writer *zip, const void *context)
{
    const struct hr_store *const store = context;
    struct hr_buffer pickle = { 0 };
    enum hr_status status = HR_OK;
    put_codes(&pickle, "\x80\x02"
                       "ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < hr_store_count(store) && status == HR_OK; i++)
        status = put_tensor(&pickle, store, i);
    put_codes(&pickle, "u.");
    if (status == HR_OK)
        status = pickle.status;
    if (status == HR_OK)
        status = hr_zip_add(zip, "archive/data.pkl", pickle.data, pickle.size, PAYLOAD_ALIGN);
    if (status == HR_OK)
        status = hr_zip_add(zip, "archive/byteorder", "little", 6, PAYLOAD_ALIGN);
    for (size_t i = 0; i < hr_store_count(store) && status == HR_OK; i++)
        status = add_payload(zip, store, i);
    if (status == HR_OK)
        status = add_metadata(zip, store);
    if (status == HR_OK)
        status = hr_zip_add(zip, "archive/version", "3\n", 2, PAYLOAD_ALIGN);
    hr_buffer_fini(&pickle);
    return status;
}

enum hr_status hr_torch_zip_write(const struct hr_store *store, const char *path)
{
    return hr_zip_save(path, write_archive, store);
}
