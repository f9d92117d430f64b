/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints as safetensors files.  Numbers that are not tensors are metadata, doubles as the
 * whole number that their bits are, so that nothing is rounded. */
#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

enum hr_status hr_checkpoint_model(struct hr_model **out, const struct hr_tape *tape,
                                   const float *params, const char *architecture,
                                   const struct hr_recipe *recipe, const struct hr_labels *labels)
{
    const struct hr_model_options options = { .architecture = architecture,
                                              .recipe = recipe,
                                              .labels = labels->count ? labels : NULL };
    struct hr_store *store = NULL;
    HR_TRY(hr_store_create(&store));
    const enum hr_status status = hr_tape_save(tape, params, store);
    if (status != HR_OK) {
        hr_store_destroy(store);
        return status;
    }
    return hr_model_from_store(out, store, "the trained network", &options);
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

static enum hr_status fill(struct hr_store *store, const struct hr_checkpoint *c,
                           const struct hr_tape *tape, const float *params, struct hr_optim *optim)
{
    char text[64];
    HR_TRY(add_vector(store, "parameters", tape, params));
    for (size_t i = 0; i < hr_optim_slot_count(optim); i++)
        HR_TRY(add_vector(store, hr_optim_slot_name(optim, i), tape, hr_optim_slot(optim, i)));
    snprintf(text, sizeof text, "%llu", (unsigned long long)c->epoch);
    HR_TRY(hr_store_set_meta(store, "epoch", text));
    snprintf(text, sizeof text, "%llu", (unsigned long long)hr_optim_steps(optim));
    HR_TRY(hr_store_set_meta(store, "steps", text));
    int64_t bits;
    memcpy(&bits, &c->best, sizeof bits);
    snprintf(text, sizeof text, "%lld", (long long)bits);
    HR_TRY(hr_store_set_meta(store, "best", text));
    return hr_store_set_meta(store, "run", c->what);
}

enum hr_status hr_checkpoint_save(const struct hr_checkpoint *c, const char *path,
                                  const struct hr_tape *tape, const float *params,
                                  struct hr_optim *optim)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_create(&store));
    enum hr_status status = fill(store, c, tape, params, optim);
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

static enum hr_status take_count(const struct hr_store *store, const char *key, const char *path,
                                 uint64_t *out)
{
    const char *const text = hr_store_meta(store, key);
    int64_t value;
    if (!text || hr_parse_i64(text, &value) != HR_OK || value < 0)
        return hr_fail(HR_E_FORMAT, "%s: '%s' is missing or no count", path, key);
    *out = (uint64_t)value;
    return HR_OK;
}

static enum hr_status take(struct hr_checkpoint *c, const struct hr_store *store, const char *path,
                           const struct hr_tape *tape, float *params, struct hr_optim *optim)
{
    const char *const what = hr_store_meta(store, "run"), *best = hr_store_meta(store, "best");
    uint64_t epoch, steps;
    int64_t bits;
    if (!what || !best)
        return hr_fail(HR_E_FORMAT, "%s is no checkpoint of a training run", path);
    if (strcmp(what, c->what) != 0)
        return hr_fail(HR_E_MISMATCH, "%s is of another run: it has '%s', now there is '%s'", path,
                       what, c->what);
    HR_TRY(take_count(store, "epoch", path, &epoch));
    HR_TRY(take_count(store, "steps", path, &steps));
    HR_TRY(hr_parse_i64(best, &bits));
    HR_TRY(take_vector(store, "parameters", path, tape, params));
    for (size_t i = 0; i < hr_optim_slot_count(optim); i++)
        HR_TRY(
            take_vector(store, hr_optim_slot_name(optim, i), path, tape, hr_optim_slot(optim, i)));
    hr_optim_set_steps(optim, steps);
    c->epoch = epoch;
    memcpy(&c->best, &bits, sizeof bits);
    return HR_OK;
}

enum hr_status hr_checkpoint_load(struct hr_checkpoint *c, const char *path,
                                  const struct hr_tape *tape, float *params, struct hr_optim *optim)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_open(&store, path));
    const enum hr_status status = take(c, store, path, tape, params, optim);
    hr_store_destroy(store);
    return status;
}
