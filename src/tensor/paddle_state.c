/* SPDX-License-Identifier: Apache-2.0
 * The parts of Paddle's pickles that are no tensors: names, counters, metric and epoch. */
#include "tensor/paddle_state.h"

#include <math.h>
#include <string.h>

#include "tensor/formats.h"
#include "tensor/ndarray.h"
#include "wire/pickle.h"

#define MAX_NAMES 65536

static const char *const allowed[] = { HR_NDARRAY_GLOBALS, "builtins.tuple", "__builtin__.tuple" };

/* An open file and its first pickle. */
struct file {
    struct hr_map map;
    struct hr_arena arena;
    struct hr_pickle *root;
};

static void close_file(struct file *f)
{
    hr_arena_fini(&f->arena);
    hr_map_close(&f->map);
}

/* close_file either way. */
static enum hr_status open_file(struct file *f, const char *path)
{
    HR_TRY(hr_map_open(&f->map, path));
    struct hr_reader reader = hr_reader_of(f->map.data, f->map.size, path);
    HR_TRY(hr_pickle_load(&f->root, &f->arena, &reader, allowed, HR_COUNT(allowed)));
    if (f->root->kind == HR_PICKLE_LIST && f->root->count > 0)
        f->root = f->root->items[0]; /* .pdopt: one dict an optimizer */
    if (f->root->kind != HR_PICKLE_DICT)
        return hr_fail(HR_E_FORMAT, "%s: the pickle holds no dict", path);
    return HR_OK;
}

/* ---- Names ---- */

void hr_paddle_names_fini(struct hr_paddle_names *names)
{
    hr_names_fini(&names->structured);
    hr_names_fini(&names->fixed);
}

static enum hr_status add_name(struct hr_names *names, const struct hr_pickle *text,
                               const char *path)
{
    if (text->kind != HR_PICKLE_STRING || text->bytes.size >= 1024 ||
        memchr(text->bytes.data, 0, text->bytes.size))
        return hr_fail(HR_E_FORMAT, "%s: a name in its table is no text", path);
    char name[1024];
    memcpy(name, text->bytes.data, text->bytes.size);
    name[text->bytes.size] = '\0';
    return hr_names_add(names, name);
}

static enum hr_status read_names(struct hr_paddle_names *out, const struct file *f,
                                 const char *path)
{
    const struct hr_pickle *const table = hr_pickle_get(f->root, HR_PADDLE_NAME_TABLE);
    if (!table || table->kind != HR_PICKLE_DICT || table->count > 2 * MAX_NAMES)
        return hr_fail(HR_E_FORMAT, "%s has no table of Paddle's own names", path);
    for (size_t i = 0; i + 1 < table->count; i += 2) {
        HR_TRY(add_name(&out->structured, table->items[i], path));
        HR_TRY(add_name(&out->fixed, table->items[i + 1], path));
    }
    return HR_OK;
}

enum hr_status hr_paddle_names_read(struct hr_paddle_names *out, const char *path)
{
    struct file f = { .root = NULL };
    struct hr_paddle_names names = { .structured = { 0 } };
    enum hr_status status = open_file(&f, path);
    if (status == HR_OK)
        status = read_names(&names, &f, path);
    close_file(&f);
    if (status == HR_OK)
        *out = names;
    else
        hr_paddle_names_fini(&names);
    return status;
}

/* ---- Numbers ---- */

static enum hr_status take_int(int64_t *out, const struct hr_pickle *dict, const char *key,
                               const char *path)
{
    const struct hr_pickle *const value = hr_pickle_get(dict, key);
    if (!value || value->kind != HR_PICKLE_INT || value->integer < 0)
        return hr_fail(HR_E_FORMAT, "%s: '%s' is missing or no count", path, key);
    *out = value->integer;
    return HR_OK;
}

/* A number, or an array or scalar of NumPy's, which only training tools write: left as it was. */
static void take_real(double *out, const struct hr_pickle *dict, const char *key)
{
    const struct hr_pickle *const value = hr_pickle_get(dict, key);
    if (value && value->kind == HR_PICKLE_FLOAT && isfinite(value->real))
        *out = value->real;
    else if (value && value->kind == HR_PICKLE_INT)
        *out = (double)value->integer;
}

/* Where there is one. */
static enum hr_status read_plateau(struct hr_paddle_rate *out, const struct hr_pickle *dict,
                                   const char *path)
{
    const struct hr_pickle *const best = hr_pickle_get(dict, "best");
    out->waits = hr_pickle_get(dict, "num_bad_epochs") != NULL;
    if (!out->waits)
        return HR_OK;
    HR_TRY(take_int(&out->bad, dict, "num_bad_epochs", path));
    HR_TRY(take_int(&out->cooling, dict, "cooldown_counter", path));
    out->best = NAN;
    take_real(&out->best, dict, "best");
    out->has_best = best && best->kind != HR_PICKLE_NONE;
    if (out->has_best && isnan(out->best))
        return hr_fail(HR_E_FORMAT, "%s: 'best' of its schedule is no number", path);
    return HR_OK;
}

static enum hr_status read_rate(struct hr_paddle_rate *out, const struct file *f, const char *path)
{
    const struct hr_pickle *const all = hr_pickle_get(f->root, "LR_Scheduler");
    struct hr_paddle_rate rate = { .step = -1 };
    if (all && all->kind == HR_PICKLE_DICT) {
        const struct hr_pickle *const inner = hr_pickle_get(all, "LinearWarmup_LR");
        HR_TRY(take_int(&rate.step, all, "last_epoch", path));
        take_real(&rate.rate, all, "last_lr");
        rate.warms = inner && inner->kind == HR_PICKLE_DICT;
        if (rate.warms) {
            HR_TRY(take_int(&rate.inner_step, inner, "last_epoch", path));
            take_real(&rate.inner_rate, inner, "last_lr");
        }
        HR_TRY(read_plateau(&rate, rate.warms ? inner : all, path));
    }
    *out = rate;
    return HR_OK;
}

enum hr_status hr_paddle_rate_read(struct hr_paddle_rate *out, const char *path)
{
    struct file f = { .root = NULL };
    enum hr_status status = open_file(&f, path);
    if (status == HR_OK)
        status = read_rate(out, &f, path);
    close_file(&f);
    return status;
}

enum hr_status hr_paddle_progress_read(struct hr_paddle_progress *out, const char *path)
{
    struct file f = { .root = NULL };
    struct hr_paddle_progress progress = { .metric = 0.0 };
    enum hr_status status = open_file(&f, path);
    if (status == HR_OK)
        status = take_int(&progress.epoch, f.root, "epoch", path);
    if (status == HR_OK) {
        take_real(&progress.metric, f.root, "metric");
        *out = progress;
    }
    close_file(&f);
    return status;
}
