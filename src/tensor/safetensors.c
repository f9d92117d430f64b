/* SPDX-License-Identifier: Apache-2.0
 * safetensors (version 0.x): u64 header length, a JSON object, the tensors' bytes.  Reading makes
 * views; every rule of the reference reader is checked: ranges in bounds, without holes or overlap,
 * of the size that type and shape give. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/text.h"
#include "tensor/formats.h"

#define HEADER_LIMIT ((uint64_t)100 * 1000 * 1000) /* the reference reader's */
#define METADATA     "__metadata__"
#define HEADER_ALIGN 8 /* the data starts at a multiple of it */

struct range {
    uint64_t begin, end;
    const char *name;
};

static enum hr_status fail_entry(const char *file, const char *tensor, const char *what)
{
    return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s': %s", file, tensor, what);
}

static enum hr_status read_shape(struct hr_shape *shape, const json_t *list, const char *file,
                                 const char *tensor)
{
    if (!json_is_array(list) || json_array_size(list) > HR_MAX_RANK)
        return fail_entry(file, tensor, "its shape is not a list of at most 8 dimensions");
    *shape = (struct hr_shape){ .rank = (int)json_array_size(list) };
    for (int d = 0; d < shape->rank; d++) {
        const json_t *dim = json_array_get(list, (size_t)d);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return fail_entry(file, tensor, "a dimension is not a whole number");
        shape->dim[d] = json_integer_value(dim);
    }
    return HR_OK;
}

static enum hr_status read_dtype(enum hr_dtype *dtype, const json_t *value, const char *file,
                                 const char *tensor)
{
    const char *text = json_string_value(value);
    for (int i = 0; text && i < HR_DTYPE_COUNT; i++) {
        if (strcmp(text, hr_dtype_name((enum hr_dtype)i)) == 0) {
            *dtype = (enum hr_dtype)i;
            return HR_OK;
        }
    }
    return hr_fail(HR_E_UNSUPPORTED, "%s: tensor '%.200s': element type '%.40s' is not supported",
                   file, tensor, text ? text : "none");
}

static enum hr_status read_range(struct range *range, const json_t *list, size_t data_bytes,
                                 const char *file)
{
    const json_t *begin = json_array_get(list, 0), *end = json_array_get(list, 1);
    if (json_array_size(list) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return fail_entry(file, range->name, "data_offsets is not a pair of whole numbers");
    const json_int_t first = json_integer_value(begin), last = json_integer_value(end);
    if (first < 0 || last < first || (uint64_t)last > data_bytes)
        return hr_fail(HR_E_FORMAT,
                       "%s: tensor '%.200s': bytes %" PRIi64 " to %" PRIi64
                       " do not lie inside the %zu bytes of data",
                       file, range->name, (int64_t)first, (int64_t)last, data_bytes);
    range->begin = (uint64_t)first;
    range->end = (uint64_t)last;
    return HR_OK;
}

static enum hr_status read_entry(struct hr_store *store, struct range *range, const json_t *entry,
                                 struct hr_span data, const char *file)
{
    struct hr_tensor tensor = { 0 };
    size_t bytes;
    if (!json_is_object(entry) || json_object_size(entry) != 3)
        return fail_entry(file, range->name, "wanted exactly dtype, shape and data_offsets");
    HR_TRY(read_dtype(&tensor.dtype, json_object_get(entry, "dtype"), file, range->name));
    HR_TRY(read_shape(&tensor.shape, json_object_get(entry, "shape"), file, range->name));
    HR_TRY(read_range(range, json_object_get(entry, "data_offsets"), data.size, file));
    HR_TRY(hr_tensor_bytes_of(&bytes, &tensor, file, range->name));
    if (bytes != range->end - range->begin)
        return hr_fail(HR_E_FORMAT,
                       "%s: tensor '%.200s': shape %s of %s does not take the %" PRIu64
                       " bytes given",
                       file, range->name, hr_shape_str(&tensor.shape).s,
                       hr_dtype_name(tensor.dtype), range->end - range->begin);
    tensor.data = data.data + range->begin;
    hr_tensor_set_contiguous(&tensor);
    return hr_store_add(store, range->name, &tensor);
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static enum hr_status check_ranges(struct range *ranges, size_t count, size_t data_bytes,
                                   const char *file)
{
    uint64_t at = 0;
    if (count > 1)
        qsort(ranges, count, sizeof *ranges, compare_ranges);
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].begin != at)
            return fail_entry(file, ranges[i].name,
                              ranges[i].begin < at ? "its bytes overlap another tensor's"
                                                   : "there is a hole before its bytes");
        at = ranges[i].end;
    }
    if (at != data_bytes)
        return hr_fail(HR_E_FORMAT, "%s: %" PRIu64 " of %zu data bytes belong to tensors", file, at,
                       data_bytes);
    return HR_OK;
}

static enum hr_status read_header(struct hr_store *store, json_t *header, struct hr_span data,
                                  const char *file)
{
    const char *key;
    json_t *value;
    size_t count = 0;
    enum hr_status status = HR_OK;
    struct range *ranges = hr_mem_alloc(json_object_size(header), sizeof *ranges);
    if (!ranges)
        return HR_E_MEMORY;
    json_object_foreach(header, key, value)
    {
        if (strcmp(key, METADATA) == 0) {
            status = hr_metadata_add(store, value, file);
        } else {
            ranges[count].name = key;
            status = read_entry(store, &ranges[count++], value, data, file);
        }
        if (status != HR_OK)
            break;
    }
    if (status == HR_OK)
        status = check_ranges(ranges, count, data.size, file);
    hr_mem_free(ranges);
    return status;
}

enum hr_status hr_safetensors_read(struct hr_store *store, const void *data, size_t size,
                                   const char *name)
{
    struct hr_reader reader = hr_reader_of(data, size, name);
    struct hr_span text;
    uint64_t header_bytes;
    json_error_t error;
    HR_TRY(hr_read_u64le(&reader, &header_bytes));
    if (header_bytes > HEADER_LIMIT || header_bytes > hr_reader_left(&reader))
        return hr_fail(HR_E_FORMAT,
                       "%s: a header of %" PRIu64 " bytes does not fit: the file has %zu more, and "
                       "100,000,000 is the limit",
                       name, header_bytes, hr_reader_left(&reader));
    HR_TRY(hr_read_span(&reader, (size_t)header_bytes, &text));
    json_t *header = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(header)) {
        const bool parsed = header != NULL;
        json_decref(header);
        if (!parsed && !error.text[0]) /* jansson says nothing else of it */
            return hr_fail(HR_E_MEMORY, "out of memory");
        return hr_fail(HR_E_FORMAT, "%s: the header is no JSON object: %s at byte %d", name,
                       parsed ? "another value" : error.text, parsed ? 8 : error.position + 8);
    }
    const struct hr_span rest = { text.data + text.size, hr_reader_left(&reader) };
    const enum hr_status status = read_header(store, header, rest, name);
    json_decref(header);
    return status;
}

/* ---- Writing ---- */

/* Takes the value, NULL when memory was short. */
static enum hr_status set_json(json_t *object, const char *key, json_t *value)
{
    if (!hr_utf8_valid(key, strlen(key))) {
        json_decref(value);
        return hr_fail(HR_E_FORMAT, "the name '%.200s' is not UTF-8", key);
    }
    if (!value || json_object_set_new(object, key, value) != 0)
        return hr_fail(HR_E_MEMORY, "out of memory");
    return HR_OK;
}

/* NULL when memory is short. */
static json_t *shape_list(const struct hr_shape *shape)
{
    json_t *list = json_array();
    for (int d = 0; d < shape->rank; d++)
        if (json_array_append_new(list, json_integer(shape->dim[d])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static enum hr_status add_entry(json_t *header, const struct hr_store *store, size_t index,
                                uint64_t *at)
{
    const struct hr_tensor *t = hr_store_tensor(store, index);
    size_t elements, bytes;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    if (!hr_size_mul(&bytes, elements, hr_dtype_bytes(t->dtype)))
        return hr_fail(HR_E_LIMIT, "tensor '%s' is too large", hr_store_name(store, index));
    if (strcmp(hr_store_name(store, index), METADATA) == 0)
        return hr_fail(HR_E_FORMAT, "a tensor cannot be called '%s' in safetensors", METADATA);
    *at += bytes;
    return set_json(header, hr_store_name(store, index),
                    json_pack("{s:s, s:o, s:[I, I]}", "dtype", hr_dtype_name(t->dtype), "shape",
                              shape_list(&t->shape), "data_offsets", (json_int_t)(*at - bytes),
                              (json_int_t)*at));
}

static enum hr_status add_metadata(json_t *header, const struct hr_store *store)
{
    json_t *metadata;
    HR_TRY(hr_metadata_object(&metadata, store));
    return set_json(header, METADATA, metadata);
}

static int put_text(const char *text, size_t size, void *buffer)
{
    hr_buffer_put(buffer, text, size);
    return 0;
}

/* The header's text, without its padding.  Printed into our own buffer, as json_dumps gives cut
 * text when memory fails in the middle. */
static enum hr_status print_header(const struct hr_store *store, struct hr_buffer *text)
{
    json_t *header = json_object();
    uint64_t at = 0;
    enum hr_status status = HR_OK;
    if (hr_store_meta_count(store) > 0)
        status = add_metadata(header, store);
    for (size_t i = 0; i < hr_store_count(store) && status == HR_OK; i++)
        status = add_entry(header, store, i, &at);
    if (status == HR_OK && json_dump_callback(header, put_text, text, JSON_COMPACT) != 0)
        status = hr_fail(HR_E_MEMORY, "out of memory");
    json_decref(header);
    return status == HR_OK ? text->status : status;
}

bool hr_tensor_stream(const struct hr_store *store, size_t index, FILE *file)
{
    const struct hr_tensor *t = hr_store_tensor(store, index);
    size_t elements;
    if (hr_shape_elements(&t->shape, &elements) != HR_OK)
        return false;
    const size_t bytes = elements * hr_dtype_bytes(t->dtype);
    if (hr_tensor_contiguous(t))
        return bytes == 0 || fwrite(t->data, 1, bytes, file) == bytes;
    void *rows = hr_mem_alloc_raw(elements, hr_dtype_bytes(t->dtype));
    if (!rows)
        return false;
    hr_tensor_gather(rows, t);
    const bool written = fwrite(rows, 1, bytes, file) == bytes;
    hr_mem_free(rows);
    return written;
}

static bool write_header(const struct hr_buffer *text, FILE *file)
{
    const size_t padded = hr_round_up(text->size, HEADER_ALIGN);
    struct hr_buffer length = { 0 };
    hr_buffer_put_u64le(&length, padded);
    bool written = length.status == HR_OK && fwrite(length.data, 1, 8, file) == 8 &&
                   fwrite(text->data, 1, text->size, file) == text->size;
    for (size_t i = text->size; i < padded && written; i++)
        written = fputc(' ', file) != EOF;
    hr_buffer_fini(&length);
    return written;
}

enum hr_status hr_safetensors_write(const struct hr_store *store, const char *path)
{
    struct hr_replace replace = { 0 };
    struct hr_buffer text = { 0 };
    enum hr_status status = print_header(store, &text);
    if (status == HR_OK)
        status = hr_replace_begin(&replace, path);
    if (status == HR_OK) {
        /* A write error sticks to the stream, and commit reports it. */
        bool written = write_header(&text, replace.file);
        for (size_t i = 0; i < hr_store_count(store) && written; i++)
            written = hr_tensor_stream(store, i, replace.file);
        status = written || ferror(replace.file) ? hr_replace_commit(&replace) : HR_E_MEMORY;
        hr_replace_abort(&replace);
    }
    hr_buffer_fini(&text);
    return status;
}
