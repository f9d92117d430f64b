/* SPDX-License-Identifier: Apache-2.0
 * Paddle's .pdparams, .pdopt and .pdstates written: pickles of protocol 4, the arrays' bytes
 * straight to the file.  Knows the names that a fresh process of Paddle gives its parameters. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"
#include "tensor/formats.h"
#include "tensor/paddle_state.h"

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
        [HR_DTYPE_I8] = "i1",  [HR_DTYPE_U8] = "u1",  [HR_DTYPE_I16] = "i2",  [HR_DTYPE_I32] = "i4",
        [HR_DTYPE_U32] = "u4", [HR_DTYPE_I64] = "i8", [HR_DTYPE_U64] = "u8",  [HR_DTYPE_BOOL] = "b1"
    };
    return codes[dtype]; /* NULL: uint16, which Paddle would take for bfloat16 */
}

/* Everything of an array up to its bytes' length. */
static enum hr_status put_array_head(struct hr_buffer *b, const char *name,
                                     const struct hr_tensor *t)
{
    const char *code = dtype_code(t->dtype);
    size_t elements;
    if (!code)
        return hr_fail(HR_E_UNSUPPORTED, "tensor '%.200s': Paddle has no element type %s", name,
                       hr_dtype_name(t->dtype));
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
    put_text(b, code);
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

void hr_paddle_name_next(struct hr_paddle_namer *namer, char out[64], const char *structured)
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
    while (!hr_text_ends(structured, rules[i].ending))
        i++;
    unsigned *const count = &namer->counts[rules[i].kind];
    *count += (unsigned)rules[i].step;
    const char *const at = strchr(rules[i].pattern, '%');
    snprintf(out, 64, "%.*s%u%s", (int)(at - rules[i].pattern), rules[i].pattern,
             *count ? *count - 1 : 0, at + 2);
}

static void put_name_table(struct hr_buffer *b, const struct hr_store *store)
{
    struct hr_paddle_namer namer = { { 0 } };
    char name[64];
    put_text(b, HR_PADDLE_NAME_TABLE);
    put_codes(b, "}(");
    for (size_t i = 0; i < hr_store_count(store); i++) {
        hr_paddle_name_next(&namer, name, hr_store_name(store, i));
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
        hr_buffer_put(b, HR_PADDLE_TRAILER, sizeof HR_PADDLE_TRAILER - 1);
        put_text(b, text.data);
        put_codes(b, "s.");
    }
    hr_text_fini(&text);
    return status;
}

/* The array of a tensor, its bytes straight to the file. */
static enum hr_status write_array(struct writer *w, const struct hr_store *store, size_t index)
{
    HR_TRY(put_array_head(&w->b, hr_store_name(store, index), hr_store_tensor(store, index)));
    if (!flush(w) || !hr_tensor_stream(store, index, w->file))
        return ferror(w->file) ? HR_OK : HR_E_MEMORY; /* a write error is commit's to report */
    put_codes(&w->b, "tb");
    return HR_OK;
}

static enum hr_status write_params(struct writer *w, const void *context)
{
    const struct hr_store *const store = context;
    put_codes(&w->b, "\x80\x04}(");
    for (size_t i = 0; i < hr_store_count(store); i++) {
        put_text(&w->b, hr_store_name(store, i));
        HR_TRY(write_array(w, store, i));
    }
    put_name_table(&w->b, store);
    put_codes(&w->b, "u.");
    return put_trailer(&w->b, store);
}

static enum hr_status write_file(enum hr_status (*write)(struct writer *w, const void *context),
                                 const void *context, const char *path)
{
    struct hr_replace replace = { 0 };
    HR_TRY(hr_replace_begin(&replace, path));
    struct writer w = { .file = replace.file };
    enum hr_status status = write(&w, context);
    if (status == HR_OK)
        status = w.b.status;
    if (status == HR_OK) {
        (void)flush(&w);
        status = hr_replace_commit(&replace);
    }
    hr_replace_abort(&replace);
    hr_buffer_fini(&w.b);
    return status;
}

enum hr_status hr_paddle_write(const struct hr_store *store, const char *path)
{
    return write_file(write_params, store, path);
}

/* ---- States of a training run ---- */

/* BINFLOAT is big-endian. */
static void put_real(struct hr_buffer *b, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    hr_buffer_put_u8(b, 'G');
    for (int shift = 56; shift >= 0; shift -= 8)
        hr_buffer_put_u8(b, (uint8_t)(bits >> shift));
}

static void put_counters(struct hr_buffer *b, int64_t step, double rate)
{
    put_text(b, "last_epoch");
    put_int(b, step);
    put_text(b, "last_lr");
    put_real(b, rate);
}

/* What a ReduceOnPlateau has in front of its counters. */
static void put_plateau(struct hr_buffer *b, const struct hr_paddle_rate *r)
{
    put_text(b, "cooldown_counter");
    put_int(b, r->cooling);
    put_text(b, "best");
    if (r->has_best)
        put_real(b, r->best);
    else
        put_codes(b, "N");
    put_text(b, "num_bad_epochs");
    put_int(b, r->bad);
}

static void put_schedule(struct hr_buffer *b, const struct hr_paddle_rate *r)
{
    put_codes(b, "}(");
    if (r->waits && !r->warms)
        put_plateau(b, r);
    put_counters(b, r->step, r->rate);
    if (r->warms) {
        put_text(b, "LinearWarmup_LR");
        put_codes(b, "}(");
        if (r->waits)
            put_plateau(b, r);
        put_counters(b, r->inner_step, r->inner_rate);
        put_codes(b, "u");
    }
    put_codes(b, "u");
}

struct optim {
    const struct hr_store *store;
    const struct hr_paddle_rate *rate;
};

/* Each tensor as builtins.tuple((name, array)), which Paddle's reader makes a tensor of. */
static enum hr_status write_optim(struct writer *w, const void *context)
{
    const struct optim *const o = context;
    put_codes(&w->b, "\x80\x04]}(");
    for (size_t i = 0; i < hr_store_count(o->store); i++) {
        put_text(&w->b, hr_store_name(o->store, i));
        put_codes(&w->b, "cbuiltins\ntuple\n");
        put_text(&w->b, hr_store_name(o->store, i));
        HR_TRY(write_array(w, o->store, i));
        put_codes(&w->b, "\x86\x85R");
    }
    if (o->rate) {
        put_text(&w->b, "LR_Scheduler");
        put_schedule(&w->b, o->rate);
    }
    put_codes(&w->b, "ua.");
    return HR_OK;
}

enum hr_status hr_paddle_optim_write(const struct hr_store *store,
                                     const struct hr_paddle_rate *rate, const char *path)
{
    const struct optim optim = { store, rate };
    return write_file(write_optim, &optim, path);
}

static enum hr_status write_progress(struct writer *w, const void *context)
{
    const struct hr_paddle_progress *const progress = context;
    put_codes(&w->b, "\x80\x04}(");
    put_text(&w->b, "metric");
    put_real(&w->b, progress->metric);
    put_text(&w->b, "epoch");
    put_int(&w->b, progress->epoch);
    put_codes(&w->b, "u.");
    return HR_OK;
}

enum hr_status hr_paddle_progress_write(const struct hr_paddle_progress *progress, const char *path)
{
    return write_file(write_progress, progress, path);
}
