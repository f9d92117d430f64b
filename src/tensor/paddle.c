/* SPDX-License-Identifier: Apache-2.0
 * Paddle's .pdparams (and .pdopt, .pdstates): a pickled dict of NumPy arrays.  Arrays stored raw
 * become views; the text form of protocol 2 is decoded into memory of the store.  Values that are
 * no tensors are passed over. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "tensor/formats.h"
#include "wire/pickle.h"

#define NAME_TABLE  "StructuredToParameterName@@"
#define SLICE_TABLE "UnpackBigParamInfor@@"
#define TRAILER     "\x80\x04}X\x0a\0\0\0" HR_METADATA_NAME
#define DICT_DEPTH  4 /* state dicts are flat; optimizer files nest twice */

static const char *const allowed[] = {
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
    "builtins.bytes",
    "__builtin__.bytes",
    "builtins.tuple",
    "__builtin__.tuple",
};

struct paddle_file {
    struct hr_store *store;
    const char *name;
    size_t size;                    /* of the file; what is made in memory stays below it */
    size_t made;                    /* bytes decoded and joined so far */
    const struct hr_pickle *slices; /* the table of cut tensors, or NULL */
};

/* Values may be shared inside a pickle, so a small file could ask for the same bytes again and
 * again: all that is decoded or joined may not be more than the file itself holds. */
static enum hr_status charge(struct paddle_file *f, size_t bytes)
{
    if (bytes > f->size - f->made)
        return hr_fail(HR_E_FORMAT, "%s: its tensors claim more bytes than the file has", f->name);
    f->made += bytes;
    return HR_OK;
}

/* A key as C text; names with a zero byte or of absurd length are refused. */
static enum hr_status key_text(char out[1024], const struct hr_pickle *key,
                               const struct paddle_file *f)
{
    if (key->bytes.size >= 1024 || memchr(key->bytes.data, 0, key->bytes.size))
        return hr_fail(HR_E_FORMAT, "%s: a tensor's name is longer than 1023 bytes or not text",
                       f->name);
    memcpy(out, key->bytes.data, key->bytes.size);
    out[key->bytes.size] = '\0';
    return HR_OK;
}

static bool is_array(const struct hr_pickle *value)
{
    return hr_pickle_made_by(value, "numpy.core.multiarray._reconstruct") ||
           hr_pickle_made_by(value, "numpy._core.multiarray._reconstruct");
}

/* (name, array), as a tuple or as builtins.tuple((name, array)): the array, or NULL. */
static const struct hr_pickle *named_array(const struct hr_pickle *value)
{
    if ((hr_pickle_made_by(value, "builtins.tuple") ||
         hr_pickle_made_by(value, "__builtin__.tuple")) &&
        value->args->count == 1)
        value = value->args->items[0];
    if (value->kind == HR_PICKLE_TUPLE && value->count == 2 &&
        value->items[0]->kind == HR_PICKLE_STRING && is_array(value->items[1]))
        return value->items[1];
    return NULL;
}

/* numpy.dtype('f4', ...) with its state (3, '<', ...). */
static enum hr_status read_dtype(enum hr_dtype *out, const struct hr_pickle *dtype,
                                 const char *tensor, const struct paddle_file *f)
{
    static const struct {
        const char *code;
        enum hr_dtype dtype;
    } codes[] = { { "f4", HR_DTYPE_F32 },  { "f2", HR_DTYPE_F16 }, { "f8", HR_DTYPE_F64 },
                  { "i1", HR_DTYPE_I8 },   { "u1", HR_DTYPE_U8 },  { "i2", HR_DTYPE_I16 },
                  { "u2", HR_DTYPE_BF16 }, { "i4", HR_DTYPE_I32 }, { "u4", HR_DTYPE_U32 },
                  { "i8", HR_DTYPE_I64 },  { "u8", HR_DTYPE_U64 }, { "b1", HR_DTYPE_BOOL } };
    if (!hr_pickle_made_by(dtype, "numpy.dtype") || dtype->args->count < 1)
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s' has no NumPy element type", f->name,
                       tensor);
    const struct hr_pickle *state = dtype->state;
    if (state && state->kind == HR_PICKLE_TUPLE && state->count >= 2 &&
        hr_pickle_is(state->items[1], ">"))
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: tensor '%.200s' is big-endian: save it on a "
                       "little-endian machine",
                       f->name, tensor);
    for (size_t i = 0; i < HR_COUNT(codes); i++) {
        if (hr_pickle_is(dtype->args->items[0], codes[i].code)) {
            *out = codes[i].dtype;
            return HR_OK;
        }
    }
    return hr_fail(
        HR_E_UNSUPPORTED, "%s: tensor '%.200s': NumPy element type '%.*s' is not read", f->name,
        tensor,
        (int)(dtype->args->items[0]->bytes.size < 16 ? dtype->args->items[0]->bytes.size : 16),
        (const char *)dtype->args->items[0]->bytes.data);
}

static enum hr_status read_shape(struct hr_shape *shape, const struct hr_pickle *tuple,
                                 const char *tensor, const struct paddle_file *f)
{
    if (tuple->kind != HR_PICKLE_TUPLE || tuple->count > HR_MAX_RANK)
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s' has no shape of at most %d dimensions",
                       f->name, tensor, HR_MAX_RANK);
    *shape = (struct hr_shape){ .rank = (int)tuple->count };
    for (size_t d = 0; d < tuple->count; d++) {
        if (tuple->items[d]->kind != HR_PICKLE_INT || tuple->items[d]->integer < 0)
            return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s': a dimension is no whole number",
                           f->name, tensor);
        shape->dim[d] = tuple->items[d]->integer;
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

static void set_fortran_strides(struct hr_tensor *t)
{
    struct hr_tensor turned = *t;
    for (int d = 0; d < t->shape.rank; d++)
        turned.shape.dim[d] = t->shape.dim[t->shape.rank - 1 - d];
    hr_tensor_set_contiguous(&turned);
    for (int d = 0; d < t->shape.rank; d++)
        t->stride[d] = turned.stride[t->shape.rank - 1 - d];
}

static enum hr_status fail_bytes(const struct paddle_file *f, const char *tensor,
                                 const struct hr_tensor *t)
{
    return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s': its bytes do not make %s of %s", f->name,
                   tensor, hr_shape_str(&t->shape).s, hr_dtype_name(t->dtype));
}

/* The array's view, without adding it.  Decoded bytes go to the store. */
static enum hr_status read_array(struct hr_tensor *t, const struct hr_pickle *array,
                                 const char *tensor, struct paddle_file *f)
{
    const struct hr_pickle *state = array->state;
    size_t bytes;
    if (!state || state->kind != HR_PICKLE_TUPLE || state->count != 5)
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s' is an array without content", f->name,
                       tensor);
    const struct hr_pickle *data = state->items[4];
    HR_TRY(read_shape(&t->shape, state->items[1], tensor, f));
    HR_TRY(read_dtype(&t->dtype, state->items[2], tensor, f));
    HR_TRY(hr_shape_elements(&t->shape, &bytes));
    if (!hr_size_mul(&bytes, bytes, hr_dtype_bytes(t->dtype)))
        return fail_bytes(f, tensor, t);
    if (state->items[3]->integer)
        set_fortran_strides(t);
    else
        hr_tensor_set_contiguous(t);
    if (data->kind == HR_PICKLE_BYTES || data->kind == HR_PICKLE_STRING) {
        t->data = data->bytes.data;
        return data->bytes.size == bytes ? HR_OK : fail_bytes(f, tensor, t);
    }
    if (bytes == 0 && (hr_pickle_made_by(data, "__builtin__.bytes") ||
                       hr_pickle_made_by(data, "builtins.bytes"))) {
        t->data = "";
        return HR_OK;
    }
    if (!hr_pickle_made_by(data, "_codecs.encode") || data->args->count != 2 ||
        data->args->items[0]->kind != HR_PICKLE_STRING ||
        !hr_pickle_is(data->args->items[1], "latin1") || bytes > data->args->items[0]->bytes.size)
        return fail_bytes(f, tensor, t);
    HR_TRY(charge(f, bytes));
    uint8_t *decoded = hr_mem_alloc_raw(bytes, 1);
    if (!decoded)
        return HR_E_MEMORY;
    enum hr_status status = hr_store_take_block(f->store, decoded);
    if (status != HR_OK) {
        hr_mem_free(decoded);
        return status;
    }
    t->data = decoded;
    return decode_latin1(decoded, bytes, data->args->items[0]->bytes) ? HR_OK
                                                                      : fail_bytes(f, tensor, t);
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
        return hr_fail(HR_E_FORMAT, "%s: tensor '%.200s' is cut into unknown pieces", f->name,
                       name);
    HR_TRY(read_shape(&whole, shape, name, f));
    HR_TRY(hr_shape_elements(&whole, &elements));
    for (size_t i = 0; i < slices->count; i++) {
        struct hr_tensor t = { 0 };
        size_t count;
        if (slices->items[i]->kind != HR_PICKLE_STRING)
            return hr_fail(HR_E_FORMAT, "%s: a piece of '%.200s' has no name", f->name, name);
        HR_TRY(key_text(piece, slices->items[i], f));
        const struct hr_pickle *part = hr_pickle_get(root, piece);
        if (!part || !is_array(part))
            return hr_fail(HR_E_FORMAT, "%s: piece '%.200s' is missing", f->name, piece);
        HR_TRY(read_array(&t, part, piece, f));
        HR_TRY(hr_shape_elements(&t.shape, &count));
        if (!to) {
            HR_TRY(charge(f, elements > f->size ? elements : elements * hr_dtype_bytes(t.dtype)));
            HR_TRY(hr_store_add_owned(f->store, name, t.dtype, &whole, (void **)&to));
        }
        if (count > elements - at || t.dtype != hr_store_find(f->store, name)->dtype)
            return hr_fail(HR_E_FORMAT, "%s: piece '%.200s' does not fit %s", f->name, piece,
                           hr_shape_str(&whole).s);
        hr_tensor_gather(to + at * hr_dtype_bytes(t.dtype), &t);
        at += count;
    }
    if (at != elements)
        return hr_fail(HR_E_FORMAT, "%s: the pieces of '%.200s' make %zu of %zu elements", f->name,
                       name, at, elements);
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
    HR_TRY(read_array(&t, array, name, f));
    const enum hr_status status = hr_store_add(f->store, name, &t);
    return status == HR_OK ? HR_OK : hr_fail_context(status, "%s", f->name);
}

static enum hr_status add_value(struct paddle_file *f, const struct hr_pickle *key,
                                const struct hr_pickle *value, int depth);

static enum hr_status add_dict(struct paddle_file *f, const struct hr_pickle *dict, int depth)
{
    const struct hr_pickle *slices = hr_pickle_get(dict, SLICE_TABLE);
    if (depth > DICT_DEPTH)
        return hr_fail(HR_E_FORMAT, "%s: dicts nest deeper than %d", f->name, DICT_DEPTH);
    if (hr_pickle_seen(dict))
        return HR_OK;
    if (slices && slices->kind == HR_PICKLE_DICT) {
        f->slices = slices;
        for (size_t i = 0; i + 1 < slices->count; i += 2)
            if (slices->items[i]->kind == HR_PICKLE_STRING &&
                slices->items[i + 1]->kind == HR_PICKLE_DICT)
                HR_TRY(join_slices(f, dict, slices->items[i], slices->items[i + 1]));
    }
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        const struct hr_pickle *key = dict->items[i];
        if (key->kind == HR_PICKLE_STRING && !hr_pickle_is(key, NAME_TABLE) &&
            !hr_pickle_is(key, SLICE_TABLE) && !is_slice(f, key))
            HR_TRY(add_value(f, key, dict->items[i + 1], depth));
    }
    return HR_OK;
}

static enum hr_status add_value(struct paddle_file *f, const struct hr_pickle *key,
                                const struct hr_pickle *value, int depth)
{
    const struct hr_pickle *array = is_array(value) ? value : named_array(value);
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
        return hr_fail(HR_E_FORMAT, "%s: the pickle holds no dict of arrays", f->name);
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
    const size_t left = hr_reader_left(reader), size = sizeof TRAILER - 1;
    if (left == 0 || memcmp(reader->data + reader->pos, TRAILER, left < size ? left : size) != 0)
        return HR_OK;
    HR_TRY(hr_pickle_load(&root, arena, reader, NULL, 0));
    const struct hr_pickle *text = hr_pickle_get(root, HR_METADATA_NAME);
    if (!text || text->kind != HR_PICKLE_STRING)
        return hr_fail(HR_E_FORMAT, "%s: its " HR_METADATA_NAME " is no text", f->name);
    return hr_metadata_parse(f->store, text->bytes, f->name);
}

enum hr_status hr_paddle_read(struct hr_store *store, const void *data, size_t size,
                              const char *name)
{
    struct hr_arena arena = { 0 };
    struct hr_reader reader = hr_reader_of(data, size, name);
    struct paddle_file f = { .store = store, .name = name, .size = size };
    struct hr_pickle *root = NULL;
    enum hr_status status = hr_pickle_load(&root, &arena, &reader, allowed, HR_COUNT(allowed));
    if (status == HR_OK)
        status = add_root(&f, root);
    if (status == HR_OK)
        status = read_trailer(&f, &arena, &reader);
    hr_arena_fini(&arena);
    return status;
}

/* ---- Writing: protocol 4, the arrays' bytes straight to the file ---- */

struct writer {
    struct hr_buffer b; /* what is not yet in the file */
    FILE *file;
};

static void put_text(struct hr_buffer *b, const char *text)
{
    const size_t size = strlen(text);
    hr_buffer_put_u8(b, 'X');
    hr_buffer_put_u32le(b, (uint32_t)size);
    hr_buffer_put(b, text, size);
}

static void put_codes(struct hr_buffer *b, const char *codes)
{
    hr_buffer_put(b, codes, strlen(codes));
}

static void put_int(struct hr_buffer *b, int64_t value)
{
    hr_buffer_put_u8(b, 0x8a);
    hr_buffer_put_u8(b, 8);
    hr_buffer_put_u64le(b, (uint64_t)value);
}

static const char *dtype_code(enum hr_dtype dtype)
{
    static const char *const codes[HR_DTYPE_COUNT] = {
        [HR_DTYPE_F32] = "f4", [HR_DTYPE_F16] = "f2", [HR_DTYPE_BF16] = "u2", [HR_DTYPE_F64] = "f8",
        [HR_DTYPE_I8] = "i1",  [HR_DTYPE_U8] = "u1",  [HR_DTYPE_I16] = "i2",  [HR_DTYPE_U16] = "u2",
        [HR_DTYPE_I32] = "i4", [HR_DTYPE_U32] = "u4", [HR_DTYPE_I64] = "i8",  [HR_DTYPE_U64] = "u8",
        [HR_DTYPE_BOOL] = "b1"
    };
    return codes[dtype];
}

/* Everything of an array up to its bytes' length. */
static enum hr_status put_array_head(struct hr_buffer *b, const struct hr_tensor *t)
{
    size_t elements;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    put_codes(b, "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK");
    hr_buffer_put(b,
                  "\0\x85"
                  "C\x01"
                  "b\x87R(K\x01(",
                  11);
    for (int d = 0; d < t->shape.rank; d++)
        put_int(b, t->shape.dim[d]);
    put_codes(b, "tcnumpy\ndtype\n");
    put_text(b, dtype_code(t->dtype));
    put_codes(b, "\x89\x88\x87R(K\x03");
    put_text(b, hr_dtype_bytes(t->dtype) == 1 ? "|" : "<");
    hr_buffer_put(b, "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89\x8e", 19);
    hr_buffer_put_u64le(b, elements * hr_dtype_bytes(t->dtype));
    return b->status;
}

static bool flush(struct writer *w)
{
    const bool written = fwrite(w->b.data, 1, w->b.size, w->file) == w->b.size;
    w->b.size = 0;
    return written;
}

/* The static name that Paddle would give the n-th layer of its kind (paddleclas.md 2.4). */
static void static_name(char out[64], const char *name, unsigned counts[3])
{
    static const struct {
        const char *ending, *pattern;
        int kind, step; /* which counter; whether this tensor starts a new layer */
    } rules[] = {
        { ".conv.weight", "conv2d_%u.w_0", 0, 1 },   { ".bn.weight", "batch_norm_%u.w_0", 1, 1 },
        { ".bn.bias", "batch_norm_%u.b_0", 1, 0 },   { "._mean", "batch_norm_%u.w_1", 1, 0 },
        { "._variance", "batch_norm_%u.w_2", 1, 0 }, { ".weight", "linear_%u.w_0", 2, 1 },
        { ".bias", "linear_%u.b_0", 2, 0 },          { "", "tensor_%u", 2, 1 }
    };
    size_t i = 0;
    while (!hr_text_ends(name, rules[i].ending))
        i++;
    counts[rules[i].kind] += (unsigned)rules[i].step;
    const unsigned n = counts[rules[i].kind] ? counts[rules[i].kind] - 1 : 0;
    const char *at = strchr(rules[i].pattern, '%');
    snprintf(out, 64, "%.*s%u%s", (int)(at - rules[i].pattern), rules[i].pattern, n, at + 2);
}

static void put_name_table(struct hr_buffer *b, const struct hr_store *store)
{
    unsigned counts[3] = { 0 };
    char name[64];
    put_text(b, NAME_TABLE);
    put_codes(b, "}(");
    for (size_t i = 0; i < hr_store_count(store); i++) {
        static_name(name, hr_store_name(store, i), counts);
        put_text(b, hr_store_name(store, i));
        put_text(b, name);
    }
    put_codes(b, "u");
}

static enum hr_status put_trailer(struct hr_buffer *b, const struct hr_store *store)
{
    struct hr_text text = { 0 };
    if (hr_store_meta_count(store) == 0)
        return HR_OK;
    const enum hr_status status = hr_metadata_print(&text, store);
    if (status == HR_OK) {
        hr_buffer_put(b, TRAILER, sizeof TRAILER - 1);
        put_text(b, text.data);
        put_codes(b, "s.");
    }
    hr_text_fini(&text);
    return status;
}

static enum hr_status write_all(struct writer *w, const struct hr_store *store)
{
    put_codes(&w->b, "\x80\x04}(");
    for (size_t i = 0; i < hr_store_count(store); i++) {
        put_text(&w->b, hr_store_name(store, i));
        HR_TRY(put_array_head(&w->b, hr_store_tensor(store, i)));
        if (!flush(w) || !hr_tensor_stream(store, i, w->file))
            return ferror(w->file) ? HR_OK : HR_E_MEMORY; /* a write error is commit's to report */
        put_codes(&w->b, "tb");
    }
    put_name_table(&w->b, store);
    put_codes(&w->b, "u.");
    HR_TRY(put_trailer(&w->b, store));
    HR_TRY(w->b.status);
    (void)flush(w);
    return HR_OK;
}

enum hr_status hr_paddle_write(const struct hr_store *store, const char *path)
{
    struct hr_replace replace = { 0 };
    HR_TRY(hr_replace_begin(&replace, path));
    struct writer w = { .file = replace.file };
    enum hr_status status = write_all(&w, store);
    if (status == HR_OK)
        status = hr_replace_commit(&replace);
    hr_replace_abort(&replace);
    hr_buffer_fini(&w.b);
    return status;
}
