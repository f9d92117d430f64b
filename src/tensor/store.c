/* SPDX-License-Identifier: Apache-2.0
 * The ordered map of named tensors: an index of the names, blocks and one mapping that die
 * with it.  Which file a tensor came from is the readers' business (safetensors, torch, paddle). */
#include "tensor/store.h"

#include <string.h>

#include "base/bytes.h"
#include "base/index.h"
#include "base/mem.h"
#include "tensor/formats.h"

struct entry {
    char *name;
    struct hr_tensor tensor;
};

struct meta {
    char *key, *value;
};

struct hr_store {
    struct entry *entries;
    size_t count, capacity;
    struct hr_index names; /* of the entries */
    struct meta *metas;
    size_t meta_count, meta_capacity;
    void **blocks;
    size_t block_count, block_capacity;
    struct hr_map *maps;
    size_t map_count, map_capacity;
    enum hr_format format;
};

const char *hr_format_name(enum hr_format format)
{
    static const char *const names[] = { [HR_FORMAT_NONE] = "memory",
                                         [HR_FORMAT_SAFETENSORS] = "safetensors",
                                         [HR_FORMAT_PADDLE] = "Paddle pickle",
                                         [HR_FORMAT_TORCH] = "PyTorch zip",
                                         [HR_FORMAT_TORCH_LEGACY] = "PyTorch legacy",
                                         [HR_FORMAT_ONNX] = "ONNX",
                                         [HR_FORMAT_PADDLE_PROGRAM] = "Paddle program",
                                         [HR_FORMAT_PADDLE_PIR] = "Paddle PIR program",
                                         [HR_FORMAT_PADDLE_LITE] = "Paddle-Lite" };
    return names[format];
}

static const char *entry_name(const void *entries, size_t i)
{
    return ((const struct entry *)entries)[i].name;
}

enum hr_status hr_store_create(struct hr_store **out)
{
    struct hr_store *store = hr_mem_alloc(1, sizeof *store);
    if (!store)
        return HR_E_MEMORY;
    store->names.name = entry_name;
    *out = store;
    return HR_OK;
}

void hr_store_destroy(struct hr_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->count; i++)
        hr_mem_free(store->entries[i].name);
    for (size_t i = 0; i < store->meta_count; i++) {
        hr_mem_free(store->metas[i].key);
        hr_mem_free(store->metas[i].value);
    }
    for (size_t i = 0; i < store->block_count; i++)
        hr_mem_free(store->blocks[i]);
    hr_mem_free(store->entries);
    hr_index_fini(&store->names);
    hr_mem_free(store->metas);
    hr_mem_free(store->blocks);
    for (size_t i = 0; i < store->map_count; i++)
        hr_map_close(&store->maps[i]);
    hr_mem_free(store->maps);
    hr_mem_free(store);
}

/* ---- Names ---- */

enum hr_status hr_store_add(struct hr_store *store, const char *name,
                            const struct hr_tensor *tensor)
{
    if (hr_index_find(&store->names, store->entries, name))
        return hr_fail(HR_E_FORMAT, "tensor '%.200s' occurs twice", name);
    HR_TRY(hr_index_reserve(&store->names, store->entries));
    HR_TRY(hr_mem_grow((void **)&store->entries, &store->capacity, store->count + 1,
                       sizeof *store->entries));
    char *copy = hr_mem_strdup(name);
    if (!copy)
        return HR_E_MEMORY;
    store->entries[store->count++] = (struct entry){ copy, *tensor };
    hr_index_add(&store->names, store->entries);
    return HR_OK;
}

/* Frees a block that the store has no room to remember; NULL is memory that was not there. */
static enum hr_status own_block(struct hr_store *store, void *block)
{
    const enum hr_status status = block ? hr_store_take_block(store, block) : HR_E_MEMORY;
    if (status != HR_OK)
        hr_mem_free(block);
    return status;
}

enum hr_status hr_store_alloc(struct hr_store *store, size_t bytes, void **block)
{
    void *made = hr_mem_alloc_raw(bytes, 1);
    HR_TRY(own_block(store, made));
    *block = made;
    return HR_OK;
}

enum hr_status hr_store_add_owned(struct hr_store *store, const char *name, enum hr_dtype dtype,
                                  const struct hr_shape *shape, void **data)
{
    struct hr_tensor tensor = { .dtype = dtype, .shape = *shape };
    size_t elements;
    HR_TRY(hr_shape_elements(shape, &elements));
    void *block = hr_mem_alloc(elements, hr_dtype_bytes(dtype));
    HR_TRY(own_block(store, block));
    tensor.data = block;
    hr_tensor_set_contiguous(&tensor);
    HR_TRY(hr_store_add(store, name, &tensor));
    *data = block;
    return HR_OK;
}

enum hr_status hr_store_take_block(struct hr_store *store, void *block)
{
    HR_TRY(hr_mem_grow((void **)&store->blocks, &store->block_capacity, store->block_count + 1,
                       sizeof *store->blocks));
    store->blocks[store->block_count++] = block;
    return HR_OK;
}

struct hr_unpacking hr_unpacking_of(struct hr_store *store, size_t file_size, const char *name,
                                    const char *too_large)
{
    const size_t most = (size_t)64 << 20;
    return (struct hr_unpacking){ store, name, too_large,
                                  file_size > most / 16 ? file_size * 16 : most };
}

enum hr_status hr_unpack(struct hr_unpacking *u, const struct hr_zip_entry *entry,
                         struct hr_span *out)
{
    void *block;
    if (!entry->deflated) {
        *out = entry->packed;
        return HR_OK;
    }
    if (entry->size > u->left)
        return hr_fail(HR_E_LIMIT, "%s: its deflated %s", u->name, u->too_large);
    u->left -= (size_t)entry->size;
    HR_TRY(hr_store_alloc(u->store, (size_t)entry->size, &block));
    HR_TRY(hr_zip_inflate(entry, block, u->name));
    *out = (struct hr_span){ block, (size_t)entry->size };
    return HR_OK;
}

enum hr_status hr_store_take_map(struct hr_store *store, struct hr_map *map)
{
    HR_TRY(hr_mem_grow((void **)&store->maps, &store->map_capacity, store->map_count + 1,
                       sizeof *store->maps));
    store->maps[store->map_count++] = *map;
    *map = (struct hr_map){ 0 };
    return HR_OK;
}

enum hr_status hr_store_take_memory(struct hr_store *to, struct hr_store *from)
{
    HR_TRY(hr_mem_grow((void **)&to->blocks, &to->block_capacity,
                       to->block_count + from->block_count, sizeof *to->blocks));
    HR_TRY(hr_mem_grow((void **)&to->maps, &to->map_capacity, to->map_count + from->map_count,
                       sizeof *to->maps));
    for (size_t i = 0; i < from->block_count; i++)
        to->blocks[to->block_count++] = from->blocks[i];
    for (size_t i = 0; i < from->map_count; i++)
        to->maps[to->map_count++] = from->maps[i];
    from->block_count = from->map_count = 0;
    return HR_OK;
}

size_t hr_store_count(const struct hr_store *store)
{
    return store->count;
}

const char *hr_store_name(const struct hr_store *store, size_t index)
{
    return store->entries[index].name;
}

const struct hr_tensor *hr_store_tensor(const struct hr_store *store, size_t index)
{
    return &store->entries[index].tensor;
}

bool hr_store_index(const struct hr_store *store, const char *name, size_t *index)
{
    const size_t found = hr_index_find(&store->names, store->entries, name);
    if (found)
        *index = found - 1;
    return found != 0;
}

const struct hr_tensor *hr_store_find(const struct hr_store *store, const char *name)
{
    size_t index;
    return hr_store_index(store, name, &index) ? &store->entries[index].tensor : NULL;
}

void hr_store_forget(const struct hr_store *store, const struct hr_tensor *tensor)
{
    const uint8_t *data = tensor->data;
    size_t elements = 0;
    if (hr_shape_elements(&tensor->shape, &elements) != HR_OK)
        return;
    /* Only a mapping can be read again; a permuted view covers the same bytes as its original. */
    const size_t bytes = elements * hr_dtype_bytes(tensor->dtype);
    for (size_t i = 0; i < store->map_count; i++) {
        const struct hr_map *map = &store->maps[i];
        const uint8_t *const end = map->data + map->size;
        if (data >= map->data && data < end && bytes <= (size_t)(end - data))
            hr_map_forget(data, bytes);
    }
}

/* ---- Metadata ---- */

static struct meta *find_meta(const struct hr_store *store, const char *key)
{
    for (size_t i = 0; i < store->meta_count; i++)
        if (strcmp(store->metas[i].key, key) == 0)
            return &store->metas[i];
    return NULL;
}

enum hr_status hr_store_set_meta(struct hr_store *store, const char *key, const char *value)
{
    struct meta *meta = find_meta(store, key);
    char *copy = hr_mem_strdup(value), *name = NULL;
    if (!copy)
        return HR_E_MEMORY;
    if (meta) {
        hr_mem_free(meta->value);
        meta->value = copy;
        return HR_OK;
    }
    enum hr_status status = HR_E_MEMORY;
    if ((name = hr_mem_strdup(key)) &&
        (status = hr_mem_grow((void **)&store->metas, &store->meta_capacity, store->meta_count + 1,
                              sizeof *store->metas)) == HR_OK) {
        store->metas[store->meta_count++] = (struct meta){ name, copy };
        return HR_OK;
    }
    hr_mem_free(name);
    hr_mem_free(copy);
    return status;
}

const char *hr_store_meta(const struct hr_store *store, const char *key)
{
    const struct meta *meta = find_meta(store, key);
    return meta ? meta->value : NULL;
}

enum hr_status hr_store_copy_meta(struct hr_store *to, const struct hr_store *from)
{
    for (size_t i = 0; i < from->meta_count; i++)
        HR_TRY(hr_store_set_meta(to, from->metas[i].key, from->metas[i].value));
    return HR_OK;
}

size_t hr_store_meta_count(const struct hr_store *store)
{
    return store->meta_count;
}

const char *hr_store_meta_key(const struct hr_store *store, size_t index)
{
    return store->metas[index].key;
}

/* ---- Files ---- */

enum hr_format hr_store_format(const struct hr_store *store)
{
    return store->format;
}

void hr_store_set_format(struct hr_store *store, enum hr_format format)
{
    store->format = format;
}

/* What the first bytes say.  A safetensors file starts with the length of a JSON object. */
static enum hr_format sniff(const uint8_t *data, size_t size)
{
    if (size >= 4 && memcmp(data, "PK\003\004", 4) == 0)
        return HR_FORMAT_TORCH;
    if (hr_paddle_lite_magic(data, size))
        return HR_FORMAT_PADDLE_LITE;
    if (size >= 9 && data[8] == '{')
        return HR_FORMAT_SAFETENSORS;
    if (size >= 2 && data[0] == 0x80 && data[1] <= 5)
        return hr_torch_legacy_magic(data, size) ? HR_FORMAT_TORCH_LEGACY : HR_FORMAT_PADDLE;
    return HR_FORMAT_NONE;
}

enum hr_status hr_store_open_memory(struct hr_store **out, const void *data, size_t size,
                                    const char *name)
{
    static enum hr_status (*const readers[])(struct hr_store *, const void *, size_t,
                                             const char *) = {
        [HR_FORMAT_SAFETENSORS] = hr_safetensors_read,
        [HR_FORMAT_PADDLE] = hr_paddle_read,
        [HR_FORMAT_TORCH] = hr_torch_zip_read,
        [HR_FORMAT_TORCH_LEGACY] = hr_torch_legacy_read,
        [HR_FORMAT_PADDLE_LITE] = hr_paddle_lite_read,
    };
    struct hr_store *store;
    const enum hr_format format = sniff(data, size);
    if (format == HR_FORMAT_NONE)
        return hr_fail(HR_E_FORMAT,
                       "%s: %s is no weight file: safetensors, Paddle .pdparams and PyTorch .pth "
                       "files are understood",
                       name, size ? "its content" : "an empty file");
    HR_TRY(hr_store_create(&store));
    store->format = format;
    const enum hr_status status = readers[format](store, data, size, name);
    if (status != HR_OK) {
        hr_store_destroy(store);
        return status;
    }
    *out = store;
    return HR_OK;
}

enum hr_status hr_tensor_bytes_of(size_t *out, const struct hr_tensor *t, const char *file,
                                  const char *tensor)
{
    size_t elements;
    const enum hr_status status = hr_shape_elements(&t->shape, &elements);
    if (status != HR_OK)
        return hr_fail_context(status, "%s: tensor '%.200s'", file, tensor);
    if (!hr_size_mul(out, elements, hr_dtype_bytes(t->dtype)))
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s': %s of %s is more than memory can hold",
                       file, tensor, hr_shape_str(&t->shape).s, hr_dtype_name(t->dtype));
    return HR_OK;
}

enum hr_status hr_store_open(struct hr_store **out, const char *path)
{
    struct hr_map map = { 0 };
    struct hr_store *store = NULL;
    HR_TRY(hr_map_open(&map, path));
    enum hr_status status = hr_store_open_memory(&store, map.data, map.size, path);
    if (status == HR_OK)
        status = hr_store_take_map(store, &map);
    if (status == HR_OK) {
        *out = store;
        store = NULL;
    }
    hr_store_destroy(store); /* its views first, then what they look at */
    hr_map_close(&map);
    return status;
}

enum hr_status hr_store_save(const struct hr_store *store, const char *path, enum hr_format format)
{
    switch (format) {
    case HR_FORMAT_SAFETENSORS:
        return hr_safetensors_write(store, path);
    case HR_FORMAT_PADDLE:
        return hr_paddle_write(store, path);
    case HR_FORMAT_TORCH:
        return hr_torch_zip_write(store, path);
    case HR_FORMAT_NONE:
    case HR_FORMAT_TORCH_LEGACY:
    case HR_FORMAT_ONNX:
    case HR_FORMAT_PADDLE_PROGRAM:
    case HR_FORMAT_PADDLE_PIR:
    case HR_FORMAT_PADDLE_LITE:
        break;
    }
    return hr_fail(HR_E_UNSUPPORTED, "%s: the format '%s' is read, not written", path,
                   hr_format_name(format));
}
