/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints as safetensors files.  Numbers that are not tensors are metadata, doubles as the
 * whole number that their bits are, so that nothing is rounded. */
#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of the table of bad pictures: a longer one would make the file's head too long for readers. */
#define MOST_BAD_BYTES ((size_t)16 << 20)

enum hr_status hr_checkpoint_model(struct hr_model **out, const struct hr_tape *tape,
                                   const float *params, const struct hr_model_options *of)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_create(&store));
    const enum hr_status status = hr_tape_save(tape, params, store);
    if (status != HR_OK) {
        hr_store_destroy(store);
        return status;
    }
    return hr_model_from_store(out, store, "the trained network", of);
}

static enum hr_status add_vector(struct hr_store *store, const char *name,
                                 const struct hr_tape *tape, const float *vector)
{
    struct hr_tensor t = { .dtype = HR_DTYPE_F32,
                           .shape = { 1, { (int64_t)hr_tape_floats(tape) } },
                           .data = vector };
    hr_tensor_set_contiguous(&t);
    return hr_store_add(store, name, &t);
}

/* The numbers of a checkpoint, all of eight bytes. */
static const struct field {
    const char *key;
    size_t offset;
    bool is_count;
    bool is_new; /* files of before it was there lack it: it keeps its value */
} fields[] = {
#define COUNT(key, member)                                       \
    {                                                            \
        key, offsetof(struct hr_checkpoint, member), true, false \
    }
#define REAL(key, member)                                         \
    {                                                             \
        key, offsetof(struct hr_checkpoint, member), false, false \
    }
    COUNT("epoch", epoch),
    COUNT("step", step),
    REAL("best", best),
    REAL("best_average", best_average),
    REAL("least_loss", least_loss),
    COUNT("idle", idle),
    REAL("plateau_rate", plateau.rate),
    REAL("plateau_best", plateau.best),
    COUNT("plateau_bad", plateau.bad),
    COUNT("plateau_cooling", plateau.cooling),
    COUNT("plateau_seen", plateau.seen),
    REAL("loss", loss),
    COUNT("pictures", pictures),
    COUNT("top1", top1),
    COUNT("top5", top5),
    COUNT("unlabelled", unlabelled),
    { "loss_scale", offsetof(struct hr_checkpoint, scaler.scale), false, true },
    { "good_steps", offsetof(struct hr_checkpoint, scaler.good), true, true },
    { "skipped_steps", offsetof(struct hr_checkpoint, scaler.skipped), true, true },
    { "skipped_in_a_row", offsetof(struct hr_checkpoint, scaler.row), true, true },
    { "guessed_epochs", offsetof(struct hr_checkpoint, guessed), true, true },
#undef COUNT
#undef REAL
};
_Static_assert(sizeof(double) == 8 && sizeof(uint64_t) == 8, "numbers are copied as eight bytes");

static enum hr_status add_number(struct hr_store *store, const char *key, const void *number)
{
    char text[32];
    int64_t bits;
    memcpy(&bits, number, sizeof bits);
    snprintf(text, sizeof text, "%lld", (long long)bits);
    return hr_store_set_meta(store, key, text);
}

static enum hr_status fill(struct hr_store *store, const struct hr_checkpoint *c, const char *what,
                           const struct hr_checkpoint_vectors *v)
{
    const uint64_t steps = hr_optim_steps(v->optim);
    HR_TRY(add_vector(store, "parameters", v->tape, v->params));
    if (v->average)
        HR_TRY(add_vector(store, "average", v->tape, v->average));
    for (size_t i = 0; i < hr_optim_slot_count(v->optim); i++)
        HR_TRY(add_vector(store, hr_optim_slot_name(v->optim, i), v->tape,
                          hr_optim_slot(v->optim, i)));
    for (size_t i = 0; i < HR_COUNT(fields); i++)
        HR_TRY(add_number(store, fields[i].key, (const char *)c + fields[i].offset));
    HR_TRY(add_number(store, "steps", &steps));
    if (c->ranks > 1)
        HR_TRY(add_number(store, "ranks", &c->ranks));
    if (v->bad && v->bad->size > 0 && v->bad->size <= MOST_BAD_BYTES &&
        hr_utf8_valid(hr_text_str(v->bad), v->bad->size)) /* names of files may be any bytes */
        HR_TRY(hr_store_set_meta(store, "bad_pictures", hr_text_str(v->bad)));
    return hr_store_set_meta(store, "run", what);
}

enum hr_status hr_checkpoint_save(const struct hr_checkpoint *c, const char *path, const char *what,
                                  const struct hr_checkpoint_vectors *vectors)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_create(&store));
    enum hr_status status = fill(store, c, what, vectors);
    if (status == HR_OK)
        status = hr_store_save(store, path, HR_FORMAT_SAFETENSORS);
    hr_store_destroy(store);
    return status;
}

static enum hr_status take_vector(const struct hr_store *store, const char *name, const char *path,
                                  const struct hr_tape *tape, float *vector)
{
    const struct hr_tensor *t = hr_store_find(store, name);
    if (!t || t->dtype != HR_DTYPE_F32 || t->shape.rank != 1 ||
        t->shape.dim[0] != (int64_t)hr_tape_floats(tape))
        return hr_fail(HR_E_MISMATCH, "%s: '%s' is missing or of another size", path, name);
    hr_tensor_to_f32(vector, t);
    return HR_OK;
}

static enum hr_status take_number(const struct hr_store *store, const char *key, const char *path,
                                  bool is_count, void *out)
{
    const char *const text = hr_store_meta(store, key);
    int64_t bits;
    if (!text || hr_parse_i64(text, &bits) != HR_OK || (is_count && bits < 0))
        return hr_fail(HR_E_FORMAT, "%s: '%s' is missing or no number", path, key);
    memcpy(out, &bits, sizeof bits);
    return HR_OK;
}

static enum hr_status take(struct hr_checkpoint *c, const struct hr_store *store, const char *path,
                           const char *what, const struct hr_checkpoint_vectors *v)
{
    const char *const run = hr_store_meta(store, "run");
    uint64_t steps;
    if (!run)
        return hr_fail(HR_E_FORMAT, "%s is no checkpoint of a training run", path);
    if (strcmp(run, what) != 0)
        return hr_fail(HR_E_MISMATCH, "%s is of another run: it has '%s', now there is '%s'", path,
                       run, what);
    for (size_t i = 0; i < HR_COUNT(fields); i++)
        if (!fields[i].is_new || hr_store_meta(store, fields[i].key))
            HR_TRY(take_number(store, fields[i].key, path, fields[i].is_count,
                               (char *)c + fields[i].offset));
    if (!(c->scaler.scale >= 1.0 && isfinite(c->scaler.scale)))
        return hr_fail(HR_E_FORMAT, "%s: the loss scale is %g", path, c->scaler.scale);
    HR_TRY(take_number(store, "steps", path, true, &steps));
    c->ranks = 1;
    if (hr_store_meta(store, "ranks"))
        HR_TRY(take_number(store, "ranks", path, true, &c->ranks));
    HR_TRY(take_vector(store, "parameters", path, v->tape, v->params));
    if (v->average)
        HR_TRY(take_vector(store, "average", path, v->tape, v->average));
    for (size_t i = 0; i < hr_optim_slot_count(v->optim); i++)
        HR_TRY(take_vector(store, hr_optim_slot_name(v->optim, i), path, v->tape,
                           hr_optim_slot(v->optim, i)));
    hr_optim_set_steps(v->optim, steps);
    if (v->bad && hr_store_meta(store, "bad_pictures"))
        hr_text_add(v->bad, hr_store_meta(store, "bad_pictures"));
    return v->bad ? v->bad->status : HR_OK;
}

enum hr_status hr_checkpoint_load(struct hr_checkpoint *c, const char *path, const char *what,
                                  const struct hr_checkpoint_vectors *vectors)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_open(&store, path));
    const enum hr_status status = take(c, store, path, what, vectors);
    hr_store_destroy(store);
    return status;
}
