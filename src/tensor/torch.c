/* SPDX-License-Identifier: Apache-2.0
 * PyTorch's files: a zip of one pickle and raw storages (1.6 and later), or one stream of pickles
 * followed by the storages.  A tensor is a strided view of a storage, so tensors cost nothing; only
 * deflated storages are unpacked. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "tensor/formats.h"
#include "tensor/ndarray.h"
#include "wire/pickle.h"
#include "wire/zip.h"

#define DICT_DEPTH   4   /* checkpoint -> state_dict -> name; deeper is no state dict */
#define MOST_DICTS   256 /* looked at: dicts may be shared and seem many more than they are */
#define LEGACY_MAGIC "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"

static const char *const allowed[] = {
    HR_NDARRAY_GLOBALS, /* random states, measures; now and then the weights themselves */
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter_with_state",
    "torch.storage.UntypedStorage",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.DoubleStorage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.ShortStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
    "torch.Size",
    "torch.device",
    "torch.float32",
    "torch.float16",
    "torch.bfloat16",
    "torch.float64",
    "torch.int64",
    "torch.int32",
    "torch.int16",
    "torch.int8",
    "torch.uint8",
    "torch.uint16",
    "torch.uint32",
    "torch.uint64",
    "torch.bool",
    "torch.nn.parameter.Parameter",
    "collections.Counter", /* of a schedule's state */
    "builtins.getattr",    /* never called: a name in an optimizer's state */
    "builtins.set",
    "__builtin__.set",
};

/* The dtypes of _rebuild_tensor_v3, whose storage has no type. */
static const struct {
    const char *type;
    enum hr_dtype dtype;
} untyped[] = {
    { "torch.float32", HR_DTYPE_F32 },   { "torch.float16", HR_DTYPE_F16 },
    { "torch.bfloat16", HR_DTYPE_BF16 }, { "torch.float64", HR_DTYPE_F64 },
    { "torch.int64", HR_DTYPE_I64 },     { "torch.int32", HR_DTYPE_I32 },
    { "torch.int16", HR_DTYPE_I16 },     { "torch.int8", HR_DTYPE_I8 },
    { "torch.uint8", HR_DTYPE_U8 },      { "torch.uint16", HR_DTYPE_U16 },
    { "torch.uint32", HR_DTYPE_U32 },    { "torch.uint64", HR_DTYPE_U64 },
    { "torch.bool", HR_DTYPE_BOOL },
};

static const struct {
    const char *type;
    enum hr_dtype dtype;
} storage_types[] = {
    { "torch.FloatStorage", HR_DTYPE_F32 },     { "torch.HalfStorage", HR_DTYPE_F16 },
    { "torch.BFloat16Storage", HR_DTYPE_BF16 }, { "torch.DoubleStorage", HR_DTYPE_F64 },
    { "torch.LongStorage", HR_DTYPE_I64 },      { "torch.IntStorage", HR_DTYPE_I32 },
    { "torch.ShortStorage", HR_DTYPE_I16 },     { "torch.CharStorage", HR_DTYPE_I8 },
    { "torch.ByteStorage", HR_DTYPE_U8 },       { "torch.BoolStorage", HR_DTYPE_BOOL },
};

/* Where the bytes of a storage lie, by its key. */
struct storage {
    const char *key; /* in the arena */
    struct hr_span bytes;
    const struct hr_zip_entry *deflated; /* to be unpacked when first used; else NULL */
};

struct torch_file {
    struct hr_ndarray_source from;
    struct hr_arena arena;
    struct storage *storages; /* sorted by key */
    size_t storage_count;
    struct hr_unpacking unpacking;
};

static int compare_storages(const void *a, const void *b)
{
    return strcmp(((const struct storage *)a)->key, ((const struct storage *)b)->key);
}

static void sort_storages(struct torch_file *f)
{
    if (f->storage_count > 1)
        qsort(f->storages, f->storage_count, sizeof *f->storages, compare_storages);
}

static enum hr_status find_storage(struct torch_file *f, const struct hr_pickle *key,
                                   struct hr_span *bytes)
{
    char text[64];
    if (key->kind != HR_PICKLE_STRING || key->bytes.size >= sizeof text ||
        memchr(key->bytes.data, 0, key->bytes.size))
        return hr_fail(HR_E_FORMAT, "%s: a storage has no name", f->from.name);
    memcpy(text, key->bytes.data, key->bytes.size);
    text[key->bytes.size] = '\0';
    const struct storage wanted = { .key = text };
    struct storage *found = f->storage_count ? bsearch(&wanted, f->storages, f->storage_count,
                                                       sizeof *f->storages, compare_storages)
                                             : NULL;
    if (!found)
        return hr_fail(HR_E_FORMAT, "%s: storage '%s' is missing: the file is incomplete",
                       f->from.name, text);
    if (found->deflated) {
        HR_TRY(hr_unpack(&f->unpacking, found->deflated, &found->bytes));
        found->deflated = NULL;
    }
    *bytes = found->bytes;
    return HR_OK;
}

static enum hr_status fail_tensor(const struct torch_file *f, const char *tensor, const char *what)
{
    return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s': %s", f->from.name, tensor, what);
}

/* Element type of the storage, or of what is beside it when the storage has none. */
static bool type_of(enum hr_dtype *out, const struct hr_pickle *id, const struct hr_pickle *beside)
{
    for (size_t i = 0; i < HR_COUNT(storage_types); i++)
        if (hr_pickle_is(id->items[1], storage_types[i].type)) {
            *out = storage_types[i].dtype;
            return true;
        }
    if (!beside || !hr_pickle_is(id->items[1], "torch.storage.UntypedStorage"))
        return false;
    for (size_t i = 0; i < HR_COUNT(untyped); i++)
        if (hr_pickle_is(beside, untyped[i].type)) {
            *out = untyped[i].dtype;
            return true;
        }
    return false;
}

/* The dtype of _rebuild_tensor_v3(storage, offset, size, stride, grad, hooks, dtype), or NULL. */
static const struct hr_pickle *dtype_beside(const struct hr_pickle *call)
{
    return hr_pickle_made_by(call, "torch._utils._rebuild_tensor_v3") && call->args->count >= 7
               ? call->args->items[6]
               : NULL;
}

/* Element type of ('storage', type, key, device, count, ...); *key is the storage's. */
static enum hr_status read_storage_id(const struct torch_file *f, const char *tensor,
                                      const struct hr_pickle *call, enum hr_dtype *dtype,
                                      const struct hr_pickle **key)
{
    const struct hr_pickle *persistent = call->args->items[0], *id = persistent->args;
    const struct hr_pickle *type = dtype_beside(call);
    if (persistent->kind != HR_PICKLE_PERSISTENT || id->kind != HR_PICKLE_TUPLE || id->count < 5 ||
        !hr_pickle_is(id->items[0], "storage"))
        return fail_tensor(f, tensor, "it has no storage");
    *key = id->items[2];
    return type_of(dtype, id, type) ? HR_OK
                                    : fail_tensor(f, tensor, "its storage type is not read");
}

static bool read_numbers(int64_t out[HR_MAX_RANK], const struct hr_pickle *tuple)
{
    if (tuple->kind != HR_PICKLE_TUPLE || tuple->count > HR_MAX_RANK)
        return false;
    for (size_t d = 0; d < tuple->count; d++) {
        if (tuple->items[d]->kind != HR_PICKLE_INT || tuple->items[d]->integer < 0)
            return false;
        out[d] = tuple->items[d]->integer;
    }
    return true;
}

/* Does the highest element of the view lie inside `count` elements? */
static bool view_fits(const struct hr_tensor *t, size_t offset, size_t count)
{
    size_t highest = offset, step;
    for (int d = 0; d < t->shape.rank; d++) {
        if (t->shape.dim[d] == 0)
            return true;
        if (!hr_size_mul(&step, (size_t)(t->shape.dim[d] - 1), (size_t)t->stride[d]) ||
            !hr_size_add(&highest, highest, step))
            return false;
    }
    return highest < count;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, ...). */
static enum hr_status add_tensor(struct torch_file *f, const char *name,
                                 const struct hr_pickle *call)
{
    const struct hr_pickle *args = call->args, *key = NULL;
    struct hr_tensor t = { 0 };
    struct hr_span bytes;
    size_t elements;
    if (args->count < 4 || args->items[1]->kind != HR_PICKLE_INT || args->items[1]->integer < 0 ||
        !read_numbers(t.shape.dim, args->items[2]) || !read_numbers(t.stride, args->items[3]) ||
        args->items[2]->count != args->items[3]->count)
        return fail_tensor(f, name, "its shape or strides are not whole numbers");
    t.shape.rank = (int)args->items[2]->count;
    HR_TRY(read_storage_id(f, name, call, &t.dtype, &key));
    HR_TRY(find_storage(f, key, &bytes));
    HR_TRY(hr_tensor_bytes_of(&elements, &t, f->from.name, name));
    elements /= hr_dtype_bytes(t.dtype);
    const size_t size = hr_dtype_bytes(t.dtype), offset = (size_t)args->items[1]->integer;
    if (offset > bytes.size / size || !view_fits(&t, offset, bytes.size / size))
        return fail_tensor(f, name, "its view reaches past the end of its storage");
    /* Stride 0 lets a small file claim a huge tensor; weights are never expanded. */
    if (elements > bytes.size / size)
        return fail_tensor(f, name, "it has more elements than its storage");
    t.data = bytes.data + offset * size;
    const enum hr_status status = hr_store_add(f->from.store, name, &t);
    return status == HR_OK ? HR_OK : hr_fail_context(status, "%s", f->from.name);
}

static enum hr_status add_array(struct torch_file *f, const char *name,
                                const struct hr_pickle *array)
{
    struct hr_tensor t;
    HR_TRY(hr_ndarray_read(&t, array, name, &f->from));
    const enum hr_status status = hr_store_add(f->from.store, name, &t);
    return status == HR_OK ? HR_OK : hr_fail_context(status, "%s", f->from.name);
}

/* The rebuild call behind a value, through parameters; NULL if it is no tensor. */
static const struct hr_pickle *rebuild_of(const struct hr_pickle *value)
{
    if ((hr_pickle_made_by(value, "torch._utils._rebuild_parameter") ||
         hr_pickle_made_by(value, "torch._utils._rebuild_parameter_with_state")) &&
        value->args->count >= 1)
        value = value->args->items[0];
    if (hr_pickle_made_by(value, "torch._utils._rebuild_tensor_v2") ||
        hr_pickle_made_by(value, "torch._utils._rebuild_tensor_v3") ||
        hr_pickle_made_by(value, "torch._utils._rebuild_tensor"))
        return value;
    return NULL;
}

static size_t tensor_count(const struct hr_pickle *dict)
{
    size_t count = 0;
    for (size_t i = 1; i < dict->count; i += 2)
        count += rebuild_of(dict->items[i]) || hr_ndarray_is(dict->items[i]);
    return count;
}

/* The dict with the most tensors directly inside, at most DICT_DEPTH down. */
static void find_state_dict(const struct hr_pickle *dict, int depth, size_t *budget,
                            const struct hr_pickle **best, size_t *best_count)
{
    if (*budget == 0)
        return;
    --*budget;
    const size_t count = tensor_count(dict);
    if (count > *best_count) {
        *best = dict;
        *best_count = count;
    }
    for (size_t i = 1; i < dict->count && depth < DICT_DEPTH; i += 2)
        if (dict->items[i]->kind == HR_PICKLE_DICT)
            find_state_dict(dict->items[i], depth + 1, budget, best, best_count);
}

static enum hr_status add_tensors(struct torch_file *f, const struct hr_pickle *root)
{
    const struct hr_pickle *dict = NULL;
    size_t count = 0, budget = MOST_DICTS;
    char name[1024];
    if (root->kind == HR_PICKLE_DICT)
        find_state_dict(root, 0, &budget, &dict, &count);
    if (!dict)
        return hr_fail(HR_E_FORMAT, "%s: the file holds no state dict of tensors", f->from.name);
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        const struct hr_pickle *key = dict->items[i], *value = dict->items[i + 1];
        if (key->kind != HR_PICKLE_STRING || (!rebuild_of(value) && !hr_ndarray_is(value)))
            continue;
        if (key->bytes.size >= sizeof name || memchr(key->bytes.data, 0, key->bytes.size))
            return hr_fail(HR_E_FORMAT, "%s: a tensor's name is longer than 1023 bytes or not text",
                           f->from.name);
        memcpy(name, key->bytes.data, key->bytes.size);
        name[key->bytes.size] = '\0';
        HR_TRY(rebuild_of(value) ? add_tensor(f, name, rebuild_of(value))
                                 : add_array(f, name, value));
    }
    return HR_OK;
}

static struct torch_file source_of(struct hr_store *store, size_t size, const char *name)
{
    return (struct torch_file){
        .from = { .store = store, .name = name, .size = size, .u2 = HR_DTYPE_U16 }
    };
}

/* ---- The zip form ---- */

/* The entry ROOT/suffix. */
static const struct hr_zip_entry *find_entry(const struct hr_zip_entry *entries, size_t count,
                                             const char *suffix)
{
    for (size_t i = 0; i < count; i++) {
        const char *slash = strchr(entries[i].name, '/');
        if (slash && strcmp(slash + 1, suffix) == 0)
            return &entries[i];
    }
    return NULL;
}

/* Every ROOT/data/KEY becomes a storage. */
static enum hr_status list_storages(struct torch_file *f, const struct hr_zip_entry *entries,
                                    size_t count)
{
    f->storages = hr_arena_alloc(&f->arena, count, sizeof *f->storages);
    if (!f->storages)
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const char *slash = strchr(entries[i].name, '/');
        if (slash && hr_text_starts(slash + 1, "data/"))
            f->storages[f->storage_count++] =
                (struct storage){ slash + 6, entries[i].packed,
                                  entries[i].deflated ? &entries[i] : NULL };
    }
    sort_storages(f);
    for (size_t i = 1; i < f->storage_count; i++)
        if (strcmp(f->storages[i - 1].key, f->storages[i].key) == 0)
            return hr_fail(HR_E_FORMAT, "%s: storage '%.60s' occurs twice", f->from.name,
                           f->storages[i].key);
    return HR_OK;
}

static enum hr_status read_zip(struct torch_file *f, const void *data, size_t size)
{
    struct hr_zip_entry *entries;
    struct hr_pickle *root;
    struct hr_span text;
    size_t count;
    HR_TRY(hr_zip_list(&entries, &count, &f->arena, data, size, f->from.name));
    const struct hr_zip_entry *pickle = find_entry(entries, count, "data.pkl");
    const struct hr_zip_entry *order = find_entry(entries, count, "byteorder");
    const struct hr_zip_entry *metadata = find_entry(entries, count, HR_METADATA_NAME);
    if (!pickle)
        return hr_fail(HR_E_FORMAT, "%s: a zip without data.pkl is no PyTorch file%s", f->from.name,
                       find_entry(entries, count, "code") ? " (TorchScript?)" : "");
    if (order) {
        HR_TRY(hr_unpack(&f->unpacking, order, &text));
        if (text.size < 6 || memcmp(text.data, "little", 6) != 0)
            return hr_fail(HR_E_UNSUPPORTED, "%s: the tensors are big-endian", f->from.name);
    }
    if (metadata) {
        HR_TRY(hr_unpack(&f->unpacking, metadata, &text));
        HR_TRY(hr_metadata_parse(f->from.store, text, f->from.name));
    }
    HR_TRY(list_storages(f, entries, count));
    HR_TRY(hr_unpack(&f->unpacking, pickle, &text));
    struct hr_reader reader = hr_reader_of(text.data, text.size, f->from.name);
    HR_TRY(hr_pickle_load(&root, &f->arena, &reader, allowed, HR_COUNT(allowed)));
    return add_tensors(f, root);
}

enum hr_status hr_torch_zip_read(struct hr_store *store, const void *data, size_t size,
                                 const char *name)
{
    struct torch_file f = source_of(store, size, name);
    f.unpacking =
        hr_unpacking_of(store, size, name, "entries are too large: save the file again, stored");
    const enum hr_status status = read_zip(&f, data, size);
    hr_arena_fini(&f.arena);
    return status;
}

/* ---- The legacy form ---- */

bool hr_torch_legacy_magic(const void *data, size_t size)
{
    return size >= sizeof LEGACY_MAGIC - 1 &&
           memcmp(data, LEGACY_MAGIC, sizeof LEGACY_MAGIC - 1) == 0;
}

/* A tensor's storage key and the size of its elements; a storage without type counts bytes. */
struct use {
    struct hr_span key;
    size_t size;
};

struct uses {
    struct use *items;
    size_t count, capacity;
};

static int compare_uses(const void *a, const void *b)
{
    const struct hr_span x = ((const struct use *)a)->key, y = ((const struct use *)b)->key;
    if (x.size != y.size)
        return x.size < y.size ? -1 : 1;
    return x.size ? memcmp(x.data, y.data, x.size) : 0;
}

/* Every storage that a tensor somewhere in the value uses. */
static enum hr_status find_uses(struct uses *uses, const struct hr_pickle *value, int depth)
{
    const struct hr_pickle *call = rebuild_of(value);
    enum hr_dtype dtype;
    if (hr_pickle_seen(value))
        return HR_OK;
    if (call && call->args->count >= 1 && call->args->items[0]->kind == HR_PICKLE_PERSISTENT) {
        const struct hr_pickle *id = call->args->items[0]->args;
        if (id->kind != HR_PICKLE_TUPLE || id->count < 5)
            return HR_OK;
        HR_TRY(hr_mem_grow((void **)&uses->items, &uses->capacity, uses->count + 1,
                           sizeof *uses->items));
        if (type_of(&dtype, id, dtype_beside(call)))
            uses->items[uses->count++] =
                (struct use){ id->items[2]->bytes, dtype_beside(call) ? 1 : hr_dtype_bytes(dtype) };
        return HR_OK;
    }
    if (depth < DICT_DEPTH + 2 && (value->kind == HR_PICKLE_DICT || value->kind == HR_PICKLE_LIST))
        for (size_t i = 0; i < value->count; i++)
            HR_TRY(find_uses(uses, value->items[i], depth + 1));
    return HR_OK;
}

/* Behind the pickles: for each key a count of elements and their bytes. */
static enum hr_status read_legacy_storages(struct torch_file *f, struct hr_reader *reader,
                                           const struct uses *uses, const struct hr_pickle *keys)
{
    if (keys->kind != HR_PICKLE_LIST)
        return hr_fail(HR_E_FORMAT, "%s: the list of storages is missing", f->from.name);
    f->storages = hr_arena_alloc(&f->arena, keys->count, sizeof *f->storages);
    if (!f->storages)
        return HR_E_MEMORY;
    for (size_t i = 0; i < keys->count; i++) {
        uint64_t elements;
        size_t bytes;
        struct storage *s = &f->storages[f->storage_count];
        if (keys->items[i]->kind != HR_PICKLE_STRING)
            return hr_fail(HR_E_FORMAT, "%s: a storage has no name", f->from.name);
        const struct use wanted = { keys->items[i]->bytes, 0 };
        const struct use *use =
            uses->count ? bsearch(&wanted, uses->items, uses->count, sizeof wanted, compare_uses)
                        : NULL;
        if (!use)
            return hr_fail(HR_E_FORMAT, "%s: a storage belongs to no tensor", f->from.name);
        HR_TRY(hr_read_u64le(reader, &elements));
        if (elements > hr_reader_left(reader) || !hr_size_mul(&bytes, (size_t)elements, use->size))
            return hr_fail(HR_E_FORMAT, "%s: a storage of %" PRIu64 " elements, %zu bytes are left",
                           f->from.name, elements, hr_reader_left(reader));
        HR_TRY(hr_read_span(reader, bytes, &s->bytes));
        s->key = hr_arena_printf(&f->arena, "%.*s", (int)keys->items[i]->bytes.size,
                                 (const char *)keys->items[i]->bytes.data);
        if (!s->key)
            return HR_E_MEMORY;
        f->storage_count++;
    }
    sort_storages(f);
    return HR_OK;
}

static enum hr_status read_legacy(struct torch_file *f, const void *data, size_t size)
{
    struct hr_reader reader = hr_reader_of(data, size, f->from.name);
    struct hr_pickle *parts[5]; /* magic, protocol, system, object, storage keys */
    for (size_t i = 0; i < HR_COUNT(parts); i++)
        HR_TRY(hr_pickle_load(&parts[i], &f->arena, &reader, allowed, HR_COUNT(allowed)));
    if (parts[1]->kind != HR_PICKLE_INT || parts[1]->integer != 1001)
        return hr_fail(HR_E_UNSUPPORTED, "%s: PyTorch's legacy protocol is not 1001", f->from.name);
    const struct hr_pickle *little = hr_pickle_get(parts[2], "little_endian");
    if (little && !little->integer)
        return hr_fail(HR_E_UNSUPPORTED, "%s: the tensors are big-endian", f->from.name);
    struct uses uses = { 0 };
    enum hr_status status = find_uses(&uses, parts[3], 0);
    if (uses.count > 1)
        qsort(uses.items, uses.count, sizeof *uses.items, compare_uses);
    if (status == HR_OK)
        status = read_legacy_storages(f, &reader, &uses, parts[4]);
    hr_mem_free(uses.items);
    return status == HR_OK ? add_tensors(f, parts[3]) : status;
}

enum hr_status hr_torch_legacy_read(struct hr_store *store, const void *data, size_t size,
                                    const char *name)
{
    struct torch_file f = source_of(store, size, name);
    const enum hr_status status = read_legacy(&f, data, size);
    hr_arena_fini(&f.arena);
    return status;
}
