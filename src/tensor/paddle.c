/* SPDX-License-Identifier: Apache-2.0
 * Paddle's .pdparams (and .pdopt, .pdstates): a pickled dict of NumPy arrays.  Arrays stored raw
 * become views; the text form of protocol 2 is decoded into memory of the store.  Values that are
 * no tensors are passed over. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "tensor/formats.h"
#include "tensor/ndarray.h"
#include "wire/pickle.h"

#define SLICE_TABLE "UnpackBigParamInfor@@"
#define DICT_DEPTH  4    /* state dicts are flat; optimizer files nest twice */
#define MOST_PIECES 4096 /* of cut tensors; each is looked for among all names */

static const char *const allowed[] = { HR_NDARRAY_GLOBALS, "builtins.tuple", "__builtin__.tuple" };

struct paddle_file {
    struct hr_ndarray_source from;
    const struct hr_pickle *slices; /* the table of cut tensors, or NULL */
};

/* A key as C text; names with a zero byte or of absurd length are refused. */
static enum hr_status key_text(char out[1024], const struct hr_pickle *key,
                               const struct paddle_file *f)
{
    if (key->bytes.size >= 1024 || memchr(key->bytes.data, 0, key->bytes.size))
        return hr_fail(HR_E_FORMAT, "%s: a tensor's name is longer than 1023 bytes or not text",
                       f->from.name);
    memcpy(out, key->bytes.data, key->bytes.size);
    out[key->bytes.size] = '\0';
    return HR_OK;
}

/* (name, array), as a tuple or as builtins.tuple((name, array)): the array, or NULL. */
static const struct hr_pickle *named_array(const struct hr_pickle *value)
{
    if ((hr_pickle_made_by(value, "builtins.tuple") ||
         hr_pickle_made_by(value, "__builtin__.tuple")) &&
        value->args->count == 1)
        value = value->args->items[0];
    if (value->kind == HR_PICKLE_TUPLE && value->count == 2 &&
        value->items[0]->kind == HR_PICKLE_STRING && hr_ndarray_is(value->items[1]))
        return value->items[1];
    return NULL;
}

/* Joins the pieces of a tensor that protocols 2 and 3 could not hold whole. */
static enum hr_status join_slices(struct paddle_file *f, const struct hr_pickle *root,
                                  const struct hr_pickle *key, const struct hr_pickle *info)
{
    const struct hr_pickle *shape = hr_pickle_get(info, "OriginShape");
    const struct hr_pickle *slices = hr_pickle_get(info, "slices");
    char name[1024], piece[1024];
    struct hr_shape whole;
    size_t elements, at = 0;
    uint8_t *to = NULL;
    HR_TRY(key_text(name, key, f));
    if (!shape || !slices || slices->kind != HR_PICKLE_LIST || slices->count == 0)
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s' is cut into unknown pieces", f->from.name,
                       name);
    HR_TRY(hr_ndarray_shape(&whole, shape, name, &f->from));
    const struct hr_tensor bytes = { .dtype = HR_DTYPE_U8, .shape = whole };
    HR_TRY(hr_tensor_bytes_of(&elements, &bytes, f->from.name, name));
    for (size_t i = 0; i < slices->count; i++) {
        struct hr_tensor t = { 0 };
        size_t count;
        if (slices->items[i]->kind != HR_PICKLE_STRING)
            return hr_fail(HR_E_FORMAT, "%s: a piece of '%.200s' has no name", f->from.name, name);
        HR_TRY(key_text(piece, slices->items[i], f));
        const struct hr_pickle *part = hr_pickle_get(root, piece);
        if (!part || !hr_ndarray_is(part))
            return hr_fail(HR_E_FORMAT, "%s: piece '%.200s' is missing", f->from.name, piece);
        HR_TRY(hr_ndarray_read(&t, part, piece, &f->from));
        HR_TRY(hr_shape_elements(&t.shape, &count));
        if (!to) {
            HR_TRY(hr_ndarray_charge(
                &f->from, elements > f->from.size ? elements : elements * hr_dtype_bytes(t.dtype)));
            HR_TRY(hr_store_add_owned(f->from.store, name, t.dtype, &whole, (void **)&to));
        }
        if (count > elements - at || t.dtype != hr_store_find(f->from.store, name)->dtype)
            return hr_fail(HR_E_FORMAT, "%s: piece '%.200s' does not fit %s", f->from.name, piece,
                           hr_shape_str(&whole).s);
        hr_tensor_gather(to + at * hr_dtype_bytes(t.dtype), &t);
        at += count;
    }
    if (at != elements)
        return hr_fail(HR_E_FORMAT, "%s: the pieces of '%.200s' make %zu of %zu elements",
                       f->from.name, name, at, elements);
    return HR_OK;
}

static enum hr_status count_pieces(const struct paddle_file *f, const struct hr_pickle *slices)
{
    size_t count = slices->count;
    for (size_t i = 1; i < slices->count && count <= MOST_PIECES; i += 2) {
        const struct hr_pickle *list = hr_pickle_get(slices->items[i], "slices");
        count += list ? list->count : 0;
    }
    if (count > MOST_PIECES)
        return hr_fail(HR_E_LIMIT, "%s: tensors are cut into more than %d pieces", f->from.name,
                       MOST_PIECES);
    return HR_OK;
}

/* Is this key a piece that the table names? */
static bool is_slice(const struct paddle_file *f, const struct hr_pickle *key)
{
    if (!f->slices || !memmem(key->bytes.data, key->bytes.size, "@@.", 3))
        return false;
    for (size_t i = 1; i < f->slices->count; i += 2) {
        const struct hr_pickle *list = hr_pickle_get(f->slices->items[i], "slices");
        for (size_t k = 0; list && list->kind == HR_PICKLE_LIST && k < list->count; k++) {
            const struct hr_span a = list->items[k]->bytes, b = key->bytes;
            if (list->items[k]->kind == HR_PICKLE_STRING && a.size == b.size &&
                memcmp(a.data, b.data, a.size) == 0)
                return true;
        }
    }
    return false;
}

static enum hr_status add_array(struct paddle_file *f, const struct hr_pickle *key,
                                const struct hr_pickle *array)
{
    char name[1024];
    struct hr_tensor t = { 0 };
    HR_TRY(key_text(name, key, f));
    HR_TRY(hr_ndarray_read(&t, array, name, &f->from));
    const enum hr_status status = hr_store_add(f->from.store, name, &t);
    return status == HR_OK ? HR_OK : hr_fail_context(status, "%s", f->from.name);
}

static enum hr_status add_value(struct paddle_file *f, const struct hr_pickle *key,
                                const struct hr_pickle *value, int depth);

static enum hr_status add_dict(struct paddle_file *f, const struct hr_pickle *dict, int depth)
{
    const struct hr_pickle *slices = hr_pickle_get(dict, SLICE_TABLE);
    if (depth > DICT_DEPTH)
        return hr_fail(HR_E_FORMAT, "%s: dicts nest deeper than %d", f->from.name, DICT_DEPTH);
    if (hr_pickle_seen(dict))
        return HR_OK;
    if (slices && slices->kind == HR_PICKLE_DICT) {
        HR_TRY(count_pieces(f, slices));
        f->slices = slices;
        for (size_t i = 0; i + 1 < slices->count; i += 2)
            if (slices->items[i]->kind == HR_PICKLE_STRING &&
                slices->items[i + 1]->kind == HR_PICKLE_DICT)
                HR_TRY(join_slices(f, dict, slices->items[i], slices->items[i + 1]));
    }
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        const struct hr_pickle *key = dict->items[i];
        if (key->kind == HR_PICKLE_STRING && !hr_pickle_is(key, HR_PADDLE_NAME_TABLE) &&
            !hr_pickle_is(key, SLICE_TABLE) && !is_slice(f, key))
            HR_TRY(add_value(f, key, dict->items[i + 1], depth));
    }
    return HR_OK;
}

static enum hr_status add_value(struct paddle_file *f, const struct hr_pickle *key,
                                const struct hr_pickle *value, int depth)
{
    const struct hr_pickle *array = hr_ndarray_is(value) ? value : named_array(value);
    if (array)
        return add_array(f, key, array);
    if (value->kind == HR_PICKLE_DICT)
        return add_dict(f, value, depth + 1);
    return HR_OK;
}

static enum hr_status add_root(struct paddle_file *f, const struct hr_pickle *root)
{
    const struct hr_pickle *array = named_array(root);
    if (array) {
        const struct hr_pickle *pair = root->kind == HR_PICKLE_TUPLE ? root : root->args->items[0];
        return add_array(f, pair->items[0], array);
    }
    if (root->kind == HR_PICKLE_DICT)
        return add_dict(f, root, 0);
    if (root->kind != HR_PICKLE_LIST)
        return hr_fail(HR_E_FORMAT, "%s: the pickle holds no dict of arrays", f->from.name);
    for (size_t i = 0; i < root->count; i++) /* .pdopt: one dict an optimizer */
        if (root->items[i]->kind == HR_PICKLE_DICT)
            HR_TRY(add_dict(f, root->items[i], 1));
    return HR_OK;
}

/* Our files end in a second pickle, {"hrnet.json": metadata}: Python's and Paddle's loaders stop
 * after the first. */
static enum hr_status read_trailer(struct paddle_file *f, struct hr_arena *arena,
                                   struct hr_reader *reader)
{
    struct hr_pickle *root;
    const size_t left = hr_reader_left(reader), size = sizeof HR_PADDLE_TRAILER - 1;
    if (left == 0 ||
        memcmp(reader->data + reader->pos, HR_PADDLE_TRAILER, left < size ? left : size) != 0)
        return HR_OK;
    HR_TRY(hr_pickle_load(&root, arena, reader, NULL, 0));
    const struct hr_pickle *text = hr_pickle_get(root, HR_METADATA_NAME);
    if (!text || text->kind != HR_PICKLE_STRING)
        return hr_fail(HR_E_FORMAT, "%s: its " HR_METADATA_NAME " is no text", f->from.name);
    return hr_metadata_parse(f->from.store, text->bytes, f->from.name);
}

enum hr_status hr_paddle_read(struct hr_store *store, const void *data, size_t size,
                              const char *name)
{
    struct hr_arena arena = { 0 };
    struct hr_reader reader = hr_reader_of(data, size, name);
    struct paddle_file f = {
        .from = { .store = store, .name = name, .size = size, .u2 = HR_DTYPE_BF16 }
    };
    struct hr_pickle *root = NULL;
    enum hr_status status = hr_pickle_load(&root, &arena, &reader, allowed, HR_COUNT(allowed));
    if (status == HR_OK)
        status = add_root(&f, root);
    if (status == HR_OK)
        status = read_trailer(&f, &arena, &reader);
    hr_arena_fini(&arena);
    return status;
}
