/* SPDX-License-Identifier: Apache-2.0
 * The training loop.  Knows the order of things; each thing is another module's. */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "session/session.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/loader.h"

#define MOMENTUM 0.9f /* of running statistics */

struct trainer {
    const struct hr_train_options *options;
    hr_train_observer *observer;
    void *context;
    struct hr_dataset train, validation;
    struct hr_labels labels;
    struct hr_recipe recipe;
    const struct hr_zoo_row *row;
    struct hr_kernels kernels;
    struct hr_pool *pool;
    struct hr_tape *tape;
    struct hr_optim *optim;
    struct hr_loader *loader, *validator;
    struct hr_schedule schedule;
    float *params, *gradients, *logits, *dlogits;
    char *latest, *best, *state; /* paths */
    struct hr_text what;
    double best_top1;
    uint64_t first_epoch;
};

/* ---- Setting up ---- */

static enum hr_status open_data(struct trainer *t)
{
    const struct hr_train_options *o = t->options;
    HR_TRY(hr_dataset_open(&t->train, o->data, o->root));
    if (t->train.class_count < 2)
        return hr_fail(HR_E_FORMAT, "%s: all pictures are of one class", o->data);
    if (o->validation) {
        HR_TRY(hr_dataset_open(&t->validation, o->validation, o->root));
        HR_TRY(hr_dataset_relabel(&t->validation, &t->train));
    }
    return hr_labels_copy(&t->labels, (const char *const *)t->train.classes.items,
                          t->train.classes.count);
}

static enum hr_status make_recipe(struct trainer *t)
{
    HR_TRY(hr_recipe_named(&t->recipe, "opencv"));
    t->recipe.crop_width = t->recipe.crop_height = t->options->size;
    t->recipe.resize_short = (int)lround((double)t->options->size * 256.0 / 224.0);
    return hr_recipe_check(&t->recipe);
}

static enum hr_status make_loaders(struct trainer *t)
{
    const struct hr_train_options *o = t->options;
    struct hr_loader_options l = {
        .set = &t->train,
        .sample = { t->recipe, o->crop, o->least_area, o->flip },
        .batch = o->batch,
        .threads = o->loader_threads ? o->loader_threads : hr_cpu_count(),
        .shuffle = true,
        .seed = o->seed,
    };
    HR_TRY(hr_loader_create(&t->loader, &l));
    if (!o->validation)
        return HR_OK;
    l.set = &t->validation;
    l.sample.crop = l.shuffle = false;
    l.sample.flip = 0.0;
    return hr_loader_create(&t->validator, &l);
}

static enum hr_status make_tape(struct trainer *t)
{
    const struct hr_train_options *o = t->options;
    const struct hr_hrnet_options net = { (int64_t)o->batch, o->size, o->size, t->train.class_count,
                                          HR_FUSE_PADDLE };
    const unsigned threads = o->threads ? o->threads : hr_cpu_count();
    struct hr_graph *graph = NULL;
    hr_kernels_init(&t->kernels, hr_cpu_get()->flags & o->cpu_flags);
    if (threads > 1)
        HR_TRY(hr_pool_create(&t->pool, threads));
    HR_TRY(hr_hrnet_build(&graph, t->row, &net));
    const struct hr_tape_options tape = {
        .kernels = &t->kernels, .pool = t->pool, .exact = true, .momentum = MOMENTUM
    };
    const enum hr_status status = hr_tape_create(&t->tape, graph, &tape);
    hr_graph_destroy(graph);
    HR_TRY(status);
    const size_t floats = hr_tape_floats(t->tape), outputs = o->batch * (size_t)net.classes;
    t->params = hr_mem_alloc(floats, sizeof *t->params);
    t->gradients = hr_mem_alloc(floats, sizeof *t->gradients);
    t->logits = hr_mem_alloc(outputs, sizeof *t->logits);
    t->dlogits = hr_mem_alloc(outputs, sizeof *t->dlogits);
    if (!t->params || !t->gradients || !t->logits || !t->dlogits)
        return HR_E_MEMORY;
    return hr_optim_create(&t->optim, t->tape, &o->optim);
}

/* Paddle's defaults: convolutions normal of deviation sqrt(2 / fan in), linear layers uniform
 * within 1 / sqrt(fan in), norms the identity. */
static void fill_random(struct trainer *t)
{
    for (size_t i = 0; i < hr_tape_param_count(t->tape); i++) {
        const struct hr_tape_param *p = hr_tape_param(t->tape, i);
        struct hr_random random = hr_random_of(t->options->seed, i << 8 | 3);
        float *const w = t->params + p->offset;
        const double inputs = p->shape.rank == 2 ? (double)p->shape.dim[0]
                                                 : (double)p->count / (double)p->shape.dim[0];
        const bool ones = p->role == HR_ROLE_GAMMA || p->role == HR_ROLE_VARIANCE;
        for (size_t j = 0; j < p->count; j++)
            w[j] = p->role != HR_ROLE_WEIGHT ? (ones ? 1.0f : 0.0f)
                   : p->shape.rank == 4
                       ? (float)(sqrt(2.0 / inputs) * hr_random_normal(&random))
                       : (float)(hr_random_between(&random, -1.0, 1.0) / sqrt(inputs));
    }
}

static enum hr_status start_weights(struct trainer *t)
{
    const struct hr_model_options options = { .architecture = t->row->name,
                                              .classes = t->train.class_count,
                                              .replace_head = true };
    struct hr_model *model = NULL;
    fill_random(t);
    if (!t->options->weights)
        return HR_OK;
    HR_TRY(hr_model_open(&model, t->options->weights, &options));
    const enum hr_status status = hr_tape_load(t->tape, hr_model_weights(model), t->params);
    hr_model_unref(model);
    return status;
}

static enum hr_status path_in(char **out, const char *folder, const char *name)
{
    struct hr_text text = { 0 };
    hr_text_printf(&text, "%s/%s", folder, name);
    return hr_text_take(&text, out);
}

/* All settings that decide the bits of a run. */
static enum hr_status describe(struct trainer *t)
{
    const struct hr_train_options *o = t->options;
    const struct hr_optim_options *p = &o->optim;
    hr_text_printf(
        &t->what,
        "%s classes %d pictures %zu size %d batch %zu epochs %llu seed %llu schedule %d "
        "rate %.17g warm-up %.17g optimizer %d momentum %.17g nesterov %d l2 %.17g decay "
        "%.17g clip %.17g smoothing %.17g crop %d area %.17g flip %.17g",
        t->row->name, t->train.class_count, t->train.paths.count, o->size, o->batch,
        (unsigned long long)o->epochs, (unsigned long long)o->seed, (int)o->schedule, o->rate,
        o->warmup_epochs, (int)p->kind, p->momentum, p->nesterov, p->l2, p->decay, p->clip_norm,
        o->smoothing, o->crop, o->least_area, o->flip);
    return t->what.status;
}

static enum hr_status resume_or_start(struct trainer *t)
{
    const struct hr_train_options *o = t->options;
    HR_TRY(hr_os_make_folders(o->folder));
    HR_TRY(path_in(&t->latest, o->folder, "latest.safetensors"));
    HR_TRY(path_in(&t->best, o->folder, "best.safetensors"));
    HR_TRY(path_in(&t->state, o->folder, "state.safetensors"));
    HR_TRY(describe(t));
    struct hr_checkpoint c = { .best = -1.0, .what = hr_text_str(&t->what) };
    const bool there = hr_os_kind(t->state) == HR_OS_FILE;
    if (there && !o->resume)
        return hr_fail(HR_E_ARGUMENT,
                       "%s holds a training run: go on with it (resume), or name "
                       "another folder",
                       o->folder);
    if (there)
        HR_TRY(hr_checkpoint_load(&c, t->state, t->tape, t->params, t->optim));
    else
        HR_TRY(start_weights(t));
    t->first_epoch = c.epoch;
    t->best_top1 = c.best;
    return HR_OK;
}

static enum hr_status set_up(struct trainer *t)
{
    const struct hr_train_options *o = t->options;
    if (o->batch < 2)
        return hr_fail(HR_E_ARGUMENT, "batch %zu: batch norm needs at least 2 pictures", o->batch);
    HR_TRY(hr_zoo_find(&t->row, o->architecture));
    HR_TRY(hr_size_check(o->size, o->size));
    HR_TRY(make_recipe(t));
    HR_TRY(open_data(t));
    HR_TRY(make_loaders(t));
    t->schedule =
        hr_schedule_defaults(o->schedule, o->rate, o->epochs, hr_loader_batches(t->loader));
    t->schedule.warmup_epochs = o->warmup_epochs;
    HR_TRY(hr_schedule_check(&t->schedule));
    HR_TRY(make_tape(t));
    return resume_or_start(t);
}

static void tear_down(struct trainer *t)
{
    hr_loader_destroy(t->loader);
    hr_loader_destroy(t->validator);
    hr_optim_destroy(t->optim);
    hr_tape_destroy(t->tape);
    hr_pool_destroy(t->pool);
    hr_mem_free(t->params);
    hr_mem_free(t->gradients);
    hr_mem_free(t->logits);
    hr_mem_free(t->dlogits);
    hr_mem_free(t->latest);
    hr_mem_free(t->best);
    hr_mem_free(t->state);
    hr_text_fini(&t->what);
    hr_labels_fini(&t->labels);
    hr_dataset_fini(&t->train);
    hr_dataset_fini(&t->validation);
}

/* ---- A step ---- */

/* What is wrong, in words, and what is still good. */
static enum hr_status went_wrong(struct trainer *t, const struct hr_batch *batch, uint64_t epoch,
                                 size_t step, double loss)
{
    const char *const layer = hr_tape_find_bad(t->tape, t->params, batch->n, batch->x);
    const char *param = "no gradient";
    for (size_t i = 0; !layer && i < hr_tape_param_count(t->tape); i++) {
        const struct hr_tape_param *p = hr_tape_param(t->tape, i);
        for (size_t j = 0; j < p->count; j++)
            if (!isfinite(t->gradients[p->offset + j])) {
                param = p->name;
                break;
            }
    }
    const bool saved = hr_os_kind(t->state) == HR_OS_FILE;
    return hr_fail(HR_E_INTERNAL,
                   "epoch %llu, step %zu: the loss is %g and %s %s is not finite; "
                   "the last good checkpoint is %s",
                   (unsigned long long)epoch + 1, step + 1, loss,
                   layer ? "the result of layer" : "the gradient of", layer ? layer : param,
                   saved ? t->state : "none");
}

static enum hr_status step(struct trainer *t, const struct hr_batch *batch, uint64_t epoch,
                           size_t index, struct hr_evaluation *tally)
{
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY,
                                  .smoothing = t->options->smoothing };
    hr_tape_forward(t->tape, t->params, batch->n, batch->x, t->logits);
    const struct hr_loss_batch b = {
        .n = batch->n, .classes = tally->classes, .logits = t->logits, .labels = batch->labels
    };
    const double value = hr_loss_value(&loss, &b, t->dlogits, 1.0);
    hr_tape_backward(t->tape, t->params, t->dlogits, t->gradients, NULL);
    const double norm = hr_optim_norm(t->optim, t->gradients, t->pool);
    if (!isfinite(value) || !isfinite(norm))
        return went_wrong(t, batch, epoch, index, value);
    const uint64_t at = epoch * hr_loader_batches(t->loader) + index;
    hr_optim_step(t->optim, t->params, t->gradients, norm, hr_schedule_rate(&t->schedule, at),
                  t->pool);
    hr_evaluation_count(tally, t->logits, batch, value);
    return HR_OK;
}

/* ---- An epoch ---- */

static bool tell(struct trainer *t, const struct hr_evaluation *tally, struct hr_train_progress *p)
{
    p->epochs = t->options->epochs;
    p->steps = hr_loader_batches(t->loader);
    p->loss = tally->loss / (double)tally->pictures;
    p->accuracy = (double)tally->top1 / (double)tally->pictures;
    p->rate = hr_schedule_rate(&t->schedule, (p->epoch - 1) * p->steps + p->step - 1);
    p->arena_bytes = hr_tape_arena_bytes(t->tape);
    p->state_bytes = (2 + hr_optim_slot_count(t->optim)) * hr_tape_floats(t->tape) * sizeof(float);
    p->pictures = t->train.paths.count;
    return !t->observer || t->observer(t->context, p);
}

static enum hr_status stopped(const struct trainer *t)
{
    return hr_fail(HR_E_CANCELLED, "stopped; %s is what is done so far", t->options->folder);
}

static enum hr_status run_epoch(struct trainer *t, uint64_t epoch, struct hr_evaluation *tally)
{
    struct hr_batch batch;
    size_t index = 0;
    for (hr_loader_start(t->loader, epoch);; index++) {
        HR_TRY(hr_loader_next(t->loader, &batch));
        if (batch.n == 0)
            return HR_OK;
        HR_TRY(step(t, &batch, epoch, index, tally));
        struct hr_train_progress p = { .epoch = epoch + 1, .step = index + 1 };
        if (!tell(t, tally, &p))
            return stopped(t);
    }
}

/* With the network as inference runs it: the same code, the same bits. */
static enum hr_status validate(struct trainer *t, struct hr_model *model,
                               struct hr_evaluation *seen)
{
    const struct hr_session_options options = { .threads = t->options->threads,
                                                .batch = t->options->batch,
                                                .cpu_flags = t->options->cpu_flags };
    struct hr_packs *packs = NULL;
    struct hr_session *session = NULL;
    enum hr_status status = hr_packs_create(&packs, hr_model_weights(model));
    if (status == HR_OK)
        status = hr_session_create(&session, model, packs, &options);
    if (status == HR_OK)
        status = hr_evaluation_run(seen, session, t->validator, t->logits, NULL, 0);
    hr_session_destroy(session);
    hr_packs_destroy(packs);
    return status;
}

/* The state comes last: whatever happens before it is done again from the state before. */
static enum hr_status save(struct trainer *t, const struct hr_model *model, uint64_t epoch,
                           bool best)
{
    const struct hr_checkpoint c = { .epoch = epoch + 1,
                                     .best = t->best_top1,
                                     .what = hr_text_str(&t->what) };
    HR_TRY(hr_model_save(model, t->latest, HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE, NULL));
    if (best)
        HR_TRY(hr_model_save(model, t->best, HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE, NULL));
    return hr_checkpoint_save(&c, t->state, t->tape, t->params, t->optim);
}

static enum hr_status end_epoch(struct trainer *t, uint64_t epoch,
                                const struct hr_evaluation *tally)
{
    struct hr_model *model = NULL;
    struct hr_evaluation seen = { .classes = (size_t)t->train.class_count };
    struct hr_train_progress p = { .epoch = epoch + 1,
                                   .step = hr_loader_batches(t->loader),
                                   .epoch_end = true,
                                   .validated = t->validator != NULL };
    HR_TRY(hr_checkpoint_model(&model, t->tape, t->params, t->row->name, &t->recipe, &t->labels));
    enum hr_status status = p.validated ? validate(t, model, &seen) : HR_OK;
    if (status == HR_OK && p.validated) {
        p.validation_loss = seen.loss;
        p.top1 = (double)seen.top1 / (double)seen.pictures;
        p.top5 = (double)seen.top5 / (double)seen.pictures;
        p.best = p.top1 >= t->best_top1; /* the later of equals, as PaddleClas does */
        t->best_top1 = p.best ? p.top1 : t->best_top1;
    }
    if (status == HR_OK)
        status = save(t, model, epoch, p.best);
    hr_model_unref(model);
    HR_TRY(status);
    return tell(t, tally, &p) ? HR_OK : stopped(t);
}

enum hr_status hr_train(const struct hr_train_options *options, hr_train_observer *observer,
                        void *context)
{
    struct trainer t = { .options = options, .observer = observer, .context = context };
    enum hr_status status = set_up(&t);
    for (uint64_t epoch = t.first_epoch; status == HR_OK && epoch < options->epochs; epoch++) {
        struct hr_evaluation tally = { .classes = (size_t)t.train.class_count };
        status = run_epoch(&t, epoch, &tally);
        if (status == HR_OK)
            status = end_epoch(&t, epoch, &tally);
    }
    tear_down(&t);
    return status;
}
