/* SPDX-License-Identifier: Apache-2.0
 * Our vectors as Paddle's files and back.  Paddle's optimizer knows parameters by static names
 * ("conv2d_0.w_0"), which the table in .pdparams gives. */
#include "train/paddle_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "tensor/paddle_state.h"

#define MOST_OPTIMIZERS 16 /* of a process of Paddle, which numbers their tensors */

static enum hr_status path_of(char **out, const char *prefix, const char *suffix)
{
    struct hr_text text = { 0 };
    hr_text_printf(&text, "%s%s", prefix, suffix);
    return hr_text_take(&text, out);
}

/* ---- Saving ---- */

static enum hr_status save_params(const struct hr_tape *tape, const float *params,
                                  const char *prefix, const char *suffix)
{
    struct hr_store *store = NULL;
    char *path = NULL;
    enum hr_status status = hr_store_create(&store);
    if (status == HR_OK)
        status = hr_tape_save(tape, params, store);
    if (status == HR_OK)
        status = path_of(&path, prefix, suffix);
    if (status == HR_OK)
        status = hr_store_save(store, path, HR_FORMAT_PADDLE);
    hr_mem_free(path);
    hr_store_destroy(store);
    return status;
}

/* A tensor of the optimizer that fills itself with one value: Adam's powers, RMSProp's means. */
static enum hr_status add_constant(struct hr_store *store, const char *name,
                                   const struct hr_shape *shape, float value)
{
    void *data;
    size_t count;
    HR_TRY(hr_shape_elements(shape, &count));
    HR_TRY(hr_store_add_owned(store, name, HR_DTYPE_F32, shape, &data));
    for (size_t i = 0; i < count; i++)
        ((float *)data)[i] = value;
    return HR_OK;
}

/* What Paddle's optimizers hold beside our slots: beta^(t+1) after t steps, and a mean that only a
 * centred RMSProp moves. */
static enum hr_status add_others(struct hr_store *store, const struct hr_paddle_run *run,
                                 const struct hr_tape_param *p, const char *fixed)
{
    const struct hr_optim_options *const o = run->optim;
    const struct hr_shape one = { 1, { 1 } };
    const double next = (double)hr_optim_steps(run->vectors->optim) + 1.0;
    char name[96];
    if (o->kind == HR_OPTIM_RMSPROP) {
        snprintf(name, sizeof name, "%s_mean_grad_0", fixed);
        return add_constant(store, name, &p->shape, 0.0f);
    }
    if (o->kind != HR_OPTIM_ADAM && o->kind != HR_OPTIM_ADAMW)
        return HR_OK;
    snprintf(name, sizeof name, "%s_beta1_pow_acc_0", fixed);
    HR_TRY(add_constant(store, name, &one, (float)pow(o->beta1, next)));
    snprintf(name, sizeof name, "%s_beta2_pow_acc_0", fixed);
    return add_constant(store, name, &one, (float)pow(o->beta2, next));
}

static enum hr_status fill_optim(struct hr_store *store, const struct hr_paddle_run *run)
{
    const struct hr_checkpoint_vectors *const v = run->vectors;
    struct hr_paddle_namer namer = { { 0 } };
    for (size_t i = 0; i < hr_tape_param_count(v->tape); i++) {
        const struct hr_tape_param *const p = hr_tape_param(v->tape, i);
        char fixed[64], name[96];
        hr_paddle_name_next(&namer, fixed, p->name);
        for (size_t k = 0; p->trainable && k < hr_optim_slot_count(v->optim); k++) {
            struct hr_tensor t = { .dtype = HR_DTYPE_F32,
                                   .shape = p->shape,
                                   .data = hr_optim_slot(v->optim, k) + p->offset };
            hr_tensor_set_contiguous(&t);
            snprintf(name, sizeof name, "%s_%s_0", fixed, hr_optim_slot_name(v->optim, k));
            HR_TRY(hr_store_add(store, name, &t));
        }
        if (p->trainable)
            HR_TRY(add_others(store, run, p, fixed));
    }
    return HR_OK;
}

/* Of a schedule that waits for a metric.  Behind a warm-up Paddle keeps it as the inner one. */
static void add_plateau(struct hr_paddle_rate *r, const struct hr_schedule *s,
                        const struct hr_plateau *p)
{
    r->waits = true;
    r->cooling = (int64_t)p->cooling;
    r->bad = (int64_t)p->bad;
    r->has_best = p->seen > 0;
    r->best = p->best;
    r->inner_step = (int64_t)p->seen;
    r->inner_rate = p->rate;
    if (!r->warms)
        r->step = r->inner_step;
    if (s->rate > 0.0)
        r->rate = r->rate / s->rate * p->rate;
}

/* Paddle's counters after `epochs` epochs: of steps, or of epochs, behind the warm-up its own. */
static struct hr_paddle_rate rate_of(const struct hr_schedule *s, uint64_t epochs)
{
    const uint64_t a_step = s->by_epoch ? 1 : s->steps_per_epoch;
    const uint64_t now = epochs * s->steps_per_epoch;
    const double warm = hr_schedule_warmup(s);
    struct hr_paddle_rate r = { .step = (int64_t)(epochs * a_step),
                                .rate = hr_schedule_rate(s, now),
                                .warms = s->warmup_epochs > 0.0 };
    r.inner_step = (double)r.step > warm ? r.step - (int64_t)warm : 0;
    const uint64_t first = (uint64_t)warm * (s->by_epoch ? s->steps_per_epoch : 1);
    r.inner_rate = hr_schedule_rate(s, now > first ? now : first);
    return r;
}

static enum hr_status save_optim(const struct hr_paddle_run *run, const struct hr_checkpoint *at,
                                 const char *prefix)
{
    struct hr_paddle_rate rate = rate_of(run->schedule, at->epoch);
    if (run->schedule->kind == HR_SCHEDULE_PLATEAU)
        add_plateau(&rate, run->schedule, &at->plateau);
    struct hr_store *store = NULL;
    char *path = NULL;
    enum hr_status status = hr_store_create(&store);
    if (status == HR_OK)
        status = fill_optim(store, run);
    if (status == HR_OK)
        status = path_of(&path, prefix, ".pdopt");
    if (status == HR_OK)
        status = hr_paddle_optim_write(store, &rate, path);
    hr_mem_free(path);
    hr_store_destroy(store);
    return status;
}

enum hr_status hr_paddle_run_save(const struct hr_paddle_run *run, const struct hr_checkpoint *at,
                                  const char *prefix)
{
    const struct hr_checkpoint_vectors *const v = run->vectors;
    const double best = v->average ? at->best_average : at->best;
    const struct hr_paddle_progress progress = { best > 0.0 ? best : 0.0, (int64_t)at->epoch };
    char *path = NULL;
    if (v->average)
        HR_TRY(save_params(v->tape, v->params, prefix, ".pdema"));
    HR_TRY(save_params(v->tape, v->average ? v->average : v->params, prefix, ".pdparams"));
    HR_TRY(save_optim(run, at, prefix));
    HR_TRY(path_of(&path, prefix, ".pdstates"));
    const enum hr_status status = hr_paddle_progress_write(&progress, path);
    hr_mem_free(path);
    return status;
}

/* ---- Loading ---- */

/* The optimizer's file of a run, open. */
struct source {
    char *path;
    struct hr_store *tensors;
    struct hr_paddle_names names;
    size_t next; /* where the search for a name begins: they mostly come in order */
};

static const char *fixed_name(struct source *s, const char *structured)
{
    const size_t count = s->names.structured.count;
    for (size_t i = 0; i < count; i++) {
        const size_t at = (s->next + i) % count;
        if (strcmp(s->names.structured.items[at], structured) == 0) {
            s->next = at + 1;
            return s->names.fixed.items[at];
        }
    }
    return NULL;
}

static const struct hr_tensor *find_tensor(const struct source *s, const char *fixed,
                                           const char *slot)
{
    const struct hr_tensor *found = NULL;
    char name[1200];
    for (int n = 0; !found && n < MOST_OPTIMIZERS; n++) {
        snprintf(name, sizeof name, "%s_%s_%d", fixed, slot, n);
        found = hr_store_find(s->tensors, name);
    }
    return found;
}

static enum hr_status load_slots(struct source *s, const struct hr_checkpoint_vectors *v)
{
    for (size_t i = 0; i < hr_tape_param_count(v->tape); i++) {
        const struct hr_tape_param *const p = hr_tape_param(v->tape, i);
        const char *const fixed = p->trainable ? fixed_name(s, p->name) : NULL;
        if (p->trainable && !fixed)
            return hr_fail(HR_E_MISMATCH, "%s: the weights' table does not name '%s'", s->path,
                           p->name);
        for (size_t k = 0; p->trainable && k < hr_optim_slot_count(v->optim); k++) {
            const char *const slot = hr_optim_slot_name(v->optim, k);
            const struct hr_tensor *const t = find_tensor(s, fixed, slot);
            size_t count;
            if (!t || hr_shape_elements(&t->shape, &count) != HR_OK || count != p->count ||
                t->dtype != HR_DTYPE_F32)
                return hr_fail(HR_E_MISMATCH, "%s: '%s_%s' of '%s' is missing or of another size",
                               s->path, fixed, slot, p->name);
            hr_tensor_to_f32(hr_optim_slot(v->optim, k) + p->offset, t);
        }
    }
    return HR_OK;
}

/* The schedule's state, as far as it does not follow from the epochs alone. */
static enum hr_status load_schedule(const struct hr_paddle_run *run, struct hr_checkpoint *at,
                                    const char *path, uint64_t epochs)
{
    struct hr_paddle_rate rate = { .step = -1 };
    const struct hr_schedule *const s = run->schedule;
    const uint64_t counted = s->by_epoch ? epochs : epochs * s->steps_per_epoch;
    HR_TRY(hr_paddle_rate_read(&rate, path));
    if (s->kind == HR_SCHEDULE_PLATEAU) {
        if (!rate.waits)
            return hr_fail(HR_E_MISMATCH,
                           "%s: its schedule does not wait for a metric, as a plateau does: name "
                           "the one that the run had",
                           path);
        at->plateau.seen = (uint64_t)(rate.warms ? rate.inner_step : rate.step);
        at->plateau.rate = rate.warms ? rate.inner_rate : rate.rate;
        if (!(at->plateau.rate > 0.0) || !isfinite(at->plateau.rate))
            return hr_fail(HR_E_FORMAT, "%s: the rate of its schedule is %g", path,
                           at->plateau.rate);
        at->plateau.bad = (uint64_t)rate.bad;
        at->plateau.cooling = (uint64_t)rate.cooling;
        at->plateau.best = rate.has_best ? rate.best : 0.0;
    } else if (rate.step >= 0 && (rate.waits || (uint64_t)rate.step != counted)) {
        hr_log(HR_LOG_WARNING, "%s: its schedule has counted %lld, here %llu epochs make %llu",
               path, (long long)rate.step, (unsigned long long)epochs, (unsigned long long)counted);
    }
    return HR_OK;
}

static enum hr_status load_optim(const struct hr_paddle_run *run, struct hr_checkpoint *at,
                                 const char *prefix, const char *params, uint64_t epochs)
{
    struct source s = { .path = NULL };
    enum hr_status status = path_of(&s.path, prefix, ".pdopt");
    if (status == HR_OK)
        status = hr_paddle_names_read(&s.names, params);
    if (status == HR_OK)
        status = hr_store_open(&s.tensors, s.path);
    if (status == HR_OK)
        status = load_slots(&s, run->vectors);
    if (status == HR_OK)
        status = load_schedule(run, at, s.path, epochs);
    hr_optim_set_steps(run->vectors->optim, epochs * run->schedule->steps_per_epoch);
    hr_store_destroy(s.tensors);
    hr_paddle_names_fini(&s.names);
    hr_mem_free(s.path);
    return status;
}

static enum hr_status load_params(const struct hr_tape *tape, float *params, const char *path)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_open(&store, path));
    enum hr_status status = hr_tape_load(tape, store, params);
    if (status != HR_OK)
        status = hr_fail_context(status, "%s", path);
    hr_store_destroy(store);
    return status;
}

/* With averaged weights .pdparams holds these, and .pdema those that are trained. */
static enum hr_status load_weights(const struct hr_checkpoint_vectors *v, const char *params,
                                   const char *raw)
{
    const bool both = hr_os_kind(raw) == HR_OS_FILE;
    HR_TRY(load_params(v->tape, v->params, both ? raw : params));
    return v->average ? load_params(v->tape, v->average, params) : HR_OK;
}

/* The best so far: of best_model beside the prefix, else what the prefix itself had. */
static enum hr_status load_best(struct hr_checkpoint *at, const struct hr_checkpoint_vectors *v,
                                const char *prefix, double own)
{
    const char *const base = hr_os_base_name(prefix);
    struct hr_paddle_progress best = { .metric = own };
    struct hr_text path = { 0 };
    hr_text_printf(&path, "%.*sbest_model.pdstates", (int)(base - prefix), prefix);
    enum hr_status status = path.status;
    if (status == HR_OK && hr_os_kind(path.data) == HR_OS_FILE)
        status = hr_paddle_progress_read(&best, path.data);
    hr_text_fini(&path);
    if (best.metric > 0.0)
        *(v->average ? &at->best_average : &at->best) = fmax(best.metric, own);
    return status;
}

enum hr_status hr_paddle_run_load(const struct hr_paddle_run *run, struct hr_checkpoint *at,
                                  const char *prefix)
{
    struct hr_paddle_progress progress = { .epoch = 0 };
    char *params = NULL, *raw = NULL, *states = NULL;
    enum hr_status status = path_of(&params, prefix, ".pdparams");
    if (status == HR_OK)
        status = path_of(&raw, prefix, ".pdema");
    if (status == HR_OK)
        status = path_of(&states, prefix, ".pdstates");
    if (status == HR_OK)
        status = hr_paddle_progress_read(&progress, states);
    if (status == HR_OK)
        status = load_weights(run->vectors, params, raw);
    if (status == HR_OK)
        status = load_optim(run, at, prefix, params, (uint64_t)progress.epoch);
    if (status == HR_OK)
        status = load_best(at, run->vectors, prefix, progress.metric);
    if (status == HR_OK)
        at->epoch = (uint64_t)progress.epoch;
    hr_mem_free(params);
    hr_mem_free(raw);
    hr_mem_free(states);
    return status;
}
