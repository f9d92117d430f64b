/* SPDX-License-Identifier: Apache-2.0
 * The public API, part five: training and evaluation. */
#include "api/api.h"

#include "train/evaluate.h"
#include "train/timing.h"
#include "train/trainer.h"
#include "train/words.h"

#define MAX_BATCH  4096
#define MAX_EPOCHS 1000000

void hrnet_train_options_init(struct hrnet_train_options *options, size_t struct_size)
{
    const struct hrnet_train_options defaults = { .size = 224,
                                                  .batch = 32,
                                                  .epochs = 30,
                                                  .schedule = "cosine",
                                                  .optimizer = "momentum",
                                                  .momentum = 0.9,
                                                  .l2 = 1e-4,
                                                  .least_area = 0.08,
                                                  .flip = 0.5,
                                                  .most_bad = 100,
                                                  .crop_ratio = 0.875,
                                                  .accumulate = 1,
                                                  .give_up = 10,
                                                  .eval_every = 1,
                                                  .eval_from = 1,
                                                  .layer_decay = 1.0 };
    HR_API_OPTIONS_INIT(struct hrnet_train_options, defaults);
}

char *hrnet_augment_kinds(void)
{
    struct hr_text text = { 0 };
    char *out = NULL;
    hr_augment_help(&text);
    if (hr_text_take(&text, &out) != HR_OK)
        hr_text_fini(&text);
    return out;
}

#define MAX_NO_DECAY 32

/* Names divided by commas, as a list; `copy` holds their bytes. */
struct names {
    char *copy;
    const char *items[MAX_NO_DECAY];
    size_t count;
};

static enum hr_status split(struct names *out, const char *text)
{
    if (!text || !*text)
        return HR_OK;
    out->copy = hr_mem_strdup(text);
    if (!out->copy)
        return HR_E_MEMORY;
    for (char *at = out->copy; at;) {
        char *const comma = strchr(at, ',');
        if (comma)
            *comma = '\0';
        if (out->count == MAX_NO_DECAY || *at == '\0')
            return hr_fail(HR_E_ARGUMENT, "no_decay '%s': 1 to %d names are wanted", text,
                           MAX_NO_DECAY);
        out->items[out->count++] = at;
        at = comma ? comma + 1 : NULL;
    }
    return HR_OK;
}

/* What its name says, then the options of their own, then what follows the name. */
static enum hr_status choose_optim(struct hr_optim_options *optim,
                                   const struct hrnet_train_options *o)
{
    const char *const text = o->optimizer ? o->optimizer : "";
    HR_TRY(hr_optim_named(optim, text));
    if (optim->kind == HR_OPTIM_MOMENTUM)
        optim->momentum = o->momentum;
    if (optim->kind == HR_OPTIM_ADAMW)
        optim->decay = o->decay;
    optim->l1 = o->l1;
    optim->l2 = o->l2;
    optim->clip_norm = o->clip_norm;
    optim->no_decay_one_dim = o->no_decay_one_dim != 0;
    return hr_optim_set(optim, text);
}

static enum hr_status check_ranges(const struct hrnet_train_options *o)
{
    if (!o->data || !o->architecture || !o->folder)
        return hr_fail(HR_E_ARGUMENT, "training needs data, an architecture and a folder");
    if (o->batch < 2 || o->batch > MAX_BATCH)
        return hr_fail(HR_E_ARGUMENT, "batch is %d: it must be 2 to %d", o->batch, MAX_BATCH);
    if (o->epochs < 1 || o->epochs > MAX_EPOCHS)
        return hr_fail(HR_E_ARGUMENT, "%d epochs: 1 to %d are possible", o->epochs, MAX_EPOCHS);
    if (o->accumulate < 1 || o->accumulate > MAX_BATCH || o->keep < 0 || o->patience < 0 ||
        o->save_steps < 0 || o->test_size < 0 || !(o->rate_batch >= 0.0))
        return hr_fail(HR_E_ARGUMENT,
                       "accumulate %d, keep %d, patience %d, save_steps %d, test_size %d and "
                       "rate_batch %g are counts, accumulate from 1",
                       o->accumulate, o->keep, o->patience, o->save_steps, o->test_size,
                       o->rate_batch);
    if (o->eval_every < 1 || o->eval_from < 1 || o->give_up < 0)
        return hr_fail(HR_E_ARGUMENT,
                       "eval_every %d and eval_from %d count epochs from 1, give_up %d from 0",
                       o->eval_every, o->eval_from, o->give_up);
    if (!(o->lost_seconds >= 0.0))
        return hr_fail(HR_E_ARGUMENT, "lost_seconds is %g: it must not be negative",
                       o->lost_seconds);
    if (!(o->l1 >= 0.0) || !(o->l2 >= 0.0) || !(o->clip_norm >= 0.0))
        return hr_fail(HR_E_ARGUMENT, "l1 %g, l2 %g and clip_norm %g must not be negative", o->l1,
                       o->l2, o->clip_norm);
    if (!(o->smoothing >= 0.0 && o->smoothing < 1.0) || !(o->flip >= 0.0 && o->flip <= 1.0) ||
        !(o->least_area > 0.0 && o->least_area <= 1.0))
        return hr_fail(HR_E_ARGUMENT, "smoothing %g, flip %g and least area %g must be shares",
                       o->smoothing, o->flip, o->least_area);
    if (!(o->held_back >= 0.0 && o->held_back < 1.0) || o->most_bad < 0)
        return hr_fail(HR_E_ARGUMENT, "held_back is %g, most_bad %d: a share below 1 and a count",
                       o->held_back, o->most_bad);
    if (o->threads > HRNET_MAX_THREADS || o->loader_threads > HRNET_MAX_THREADS)
        return hr_fail(HR_E_ARGUMENT, "%u threads: at most %d are possible",
                       o->threads > o->loader_threads ? o->threads : o->loader_threads,
                       HRNET_MAX_THREADS);
    return HR_OK;
}

/* How activations wait for the backward half. */
static enum hr_status choose_half(enum hr_half *out, const char *text)
{
    static const char *const names[] = { "fp32", "bf16", "fp16" };
    static const enum hr_half halves[] = { HR_HALF_NONE, HR_HALF_BF16, HR_HALF_F16 };
    size_t which = 0;
    if (text)
        HR_TRY(hr_words_choose("precision", text, names, HR_COUNT(names), &which));
    *out = halves[which];
    return HR_OK;
}

static enum hr_status choose_precision(struct hr_train_options *inner,
                                       const struct hrnet_train_options *o)
{
    HR_TRY(choose_half(&inner->half, o->precision));
    const char *const usual = inner->half == HR_HALF_F16 ? "dynamic" : "none";
    return hr_scaler_parse(&inner->scaler, o->loss_scale ? o->loss_scale : usual);
}

struct outer {
    hrnet_train_fn *fn;
    void *context;
    int (*stop)(void *context);
};

static bool wants_stop(void *context)
{
    const struct outer *outer = context;
    return outer->stop && outer->stop(outer->context) != 0;
}

static bool observe(void *context, const struct hr_train_progress *p)
{
    const struct outer *outer = context;
    const struct hrnet_train_progress progress = { .epoch = p->epoch,
                                                   .epochs = p->epochs,
                                                   .step = p->step,
                                                   .steps = p->steps,
                                                   .pictures = p->pictures,
                                                   .loss = p->loss,
                                                   .accuracy = p->accuracy,
                                                   .rate = p->rate,
                                                   .epoch_end = p->epoch_end,
                                                   .validated = p->validated,
                                                   .best = p->best,
                                                   .validation_loss = p->validation_loss,
                                                   .top1 = p->top1,
                                                   .top5 = p->top5,
                                                   .activation_bytes = p->arena_bytes,
                                                   .state_bytes = p->state_bytes,
                                                   .step_pictures = p->step_pictures,
                                                   .accuracy5 = p->accuracy5,
                                                   .norm = p->norm,
                                                   .load_seconds = p->load_seconds,
                                                   .averaged = p->averaged,
                                                   .average_best = p->average_best,
                                                   .average_loss = p->average_loss,
                                                   .average_top1 = p->average_top1,
                                                   .average_top5 = p->average_top5,
                                                   .bad = p->bad,
                                                   .left_out = p->left_out,
                                                   .step_loss = p->step_loss,
                                                   .step_seconds = p->step_seconds,
                                                   .best_top1 = p->best_top1,
                                                   .several = p->several,
                                                   .map = p->map,
                                                   .average_map = p->average_map,
                                                   .classes = (uint64_t)p->classes,
                                                   .data_hash = p->data_hash,
                                                   .loss_scale = p->loss_scale,
                                                   .skipped = p->skipped };
    return !outer->fn || outer->fn(outer->context, &progress) == 0;
}

/* The two faces of the options, but for the optimizer. */
static struct hr_train_options inner_of(const struct hrnet_train_options *o)
{
    return (struct hr_train_options){
        .data = o->data,
        .validation = o->validation,
        .root = o->root,
        .validation_root = o->validation_root,
        .distill = { o->teacher, o->distill ? o->distill : "dml",
                     o->teacher_batch_statistics != 0 },
        .paddle = o->paddle != 0,
        .checkpoint = o->checkpoint,
        .classes = o->classes,
        .architecture = o->architecture,
        .weights = o->weights,
        .replace_head = o->replace_head != 0,
        .folder = o->folder,
        .resume = o->resume != 0,
        .size = o->size,
        .test_size = o->test_size,
        .crop_ratio = o->crop_ratio,
        .batch = (size_t)o->batch,
        .accumulate = (size_t)o->accumulate,
        .epochs = (uint64_t)o->epochs,
        .seed = o->seed,
        .schedule = o->schedule ? o->schedule : "",
        .rate = o->rate,
        .rate_batch = o->rate_batch,
        .warmup_epochs = o->warmup_epochs,
        .factors = { o->rates, o->freeze, o->layer_decay },
        .average = o->average,
        .smoothing = o->smoothing,
        .class_weights = o->class_weights,
        .crop = !o->whole,
        .least_area = o->least_area,
        .flip = o->flip,
        .held_back = o->held_back,
        .balanced = o->balanced != 0,
        .most_bad = (size_t)o->most_bad,
        .keep = (uint64_t)o->keep,
        .patience = (uint64_t)o->patience,
        .give_up = (uint64_t)o->give_up,
        .save_steps = (uint64_t)o->save_steps,
        .drop_last = o->drop_last != 0,
        .in_order = o->in_order != 0,
        .eval_every = (uint64_t)o->eval_every,
        .eval_from = (uint64_t)o->eval_from,
        .events = o->tensorboard != 0,
        .recompute = o->recompute != 0,
        .threads = o->threads,
        .loader_threads = o->loader_threads,
        .sync_norms = o->sync_batch_norm != 0,
        .lost_seconds = o->lost_seconds,
        .stop = wants_stop,
    };
}

hrnet_status hrnet_train(const struct hrnet_train_options *options, hrnet_train_fn *fn,
                         void *context)
{
    struct hrnet_train_options o;
    struct names no_decay = { 0 };
    struct hr_recipe recipe;
    if (!options)
        return hr_api_missing_argument(__func__);
    hrnet_train_options_init(&o, sizeof o);
    enum hr_status status = hr_api_options_copy(&o, sizeof o, options, "hrnet_train_options");
    if (status == HR_OK)
        status = check_ranges(&o);
    struct hr_train_options inner = inner_of(&o);
    struct outer outer = { fn, context, o.stop };
    if (status == HR_OK && o.recipe) {
        status = hr_api_recipe_checked(&recipe, o.recipe);
        inner.recipe = &recipe;
    }
    if (status == HR_OK && o.augment)
        status = hr_augment_parse(&inner.augment, o.augment);
    if (status == HR_OK)
        status = choose_optim(&inner.optim, &o);
    if (status == HR_OK)
        status = choose_precision(&inner, &o);
    if (status == HR_OK)
        status = split(&no_decay, o.no_decay);
    inner.optim.no_decay = no_decay.items;
    inner.optim.no_decay_count = no_decay.count;
    if (status == HR_OK)
        status = hr_api_cpu_flags(o.cpu, &inner.cpu_flags);
    if (status == HR_OK)
        status = hr_train(&inner, observe, &outer);
    hr_mem_free(no_decay.copy);
    return PUBLIC(status);
}

/* ---- Timing ---- */

void hrnet_timing_options_init(struct hrnet_timing_options *options, size_t struct_size)
{
    const struct hrnet_timing_options defaults = {
        .seconds = 2.0, .size = 224, .batch = 16, .classes = 1000
    };
    HR_API_OPTIONS_INIT(struct hrnet_timing_options, defaults);
}

hrnet_status hrnet_time_training(const struct hrnet_timing_options *options,
                                 struct hrnet_timing *out)
{
    struct hrnet_timing_options o;
    struct hr_timing t;
    if (!options || !out)
        return hr_api_missing_argument(__func__);
    hrnet_timing_options_init(&o, sizeof o);
    enum hr_status status = hr_api_options_copy(&o, sizeof o, options, "hrnet_timing_options");
    if (status == HR_OK && (!o.architecture || o.batch < 2 || o.batch > MAX_BATCH ||
                            o.classes < 2 || o.threads > HRNET_MAX_THREADS))
        status = hr_fail(HR_E_ARGUMENT,
                         "timing needs an architecture, a batch of 2 to %d, 2 classes or more, and "
                         "at most %d threads",
                         MAX_BATCH, HRNET_MAX_THREADS);
    struct hr_timing_options inner = { .architecture = o.architecture,
                                       .size = o.size,
                                       .classes = o.classes,
                                       .batch = (size_t)o.batch,
                                       .threads = o.threads,
                                       .exact = o.exact != 0,
                                       .recompute = o.recompute != 0,
                                       .seconds = o.seconds,
                                       .pictures = o.pictures };
    if (status == HR_OK)
        status = choose_half(&inner.half, o.precision);
    if (status == HR_OK)
        status = hr_api_cpu_flags(o.cpu, &inner.cpu_flags);
    if (status == HR_OK)
        status = hr_time_training(&t, &inner);
    if (status == HR_OK)
        *out = (struct hrnet_timing){ .median_ms = t.median_ms,
                                      .least_ms = t.least_ms,
                                      .conv_ms = t.parts_ms[HR_TAPE_CONV],
                                      .conv_data_ms = t.parts_ms[HR_TAPE_CONV_DATA],
                                      .conv_weights_ms = t.parts_ms[HR_TAPE_CONV_WEIGHTS],
                                      .conv_again_ms = t.parts_ms[HR_TAPE_CONV_AGAIN],
                                      .norm_ms = t.parts_ms[HR_TAPE_NORM],
                                      .norm_grad_ms = t.parts_ms[HR_TAPE_NORM_GRAD],
                                      .norm_again_ms = t.parts_ms[HR_TAPE_NORM_AGAIN],
                                      .other_ms = t.parts_ms[HR_TAPE_OTHER],
                                      .loss_ms = t.loss_ms,
                                      .optimizer_ms = t.optimizer_ms,
                                      .loader_ms = t.loader_ms,
                                      .steps = t.steps,
                                      .activation_bytes = t.activation_bytes,
                                      .state_bytes = t.state_bytes,
                                      .threads = t.threads,
                                      .isa = t.isa };
    return PUBLIC(status);
}

/* ---- Evaluation ---- */

void hrnet_evaluate_options_init(struct hrnet_evaluate_options *options, size_t struct_size)
{
    const struct hrnet_evaluate_options defaults = { .batch = 16 };
    HR_API_OPTIONS_INIT(struct hrnet_evaluate_options, defaults);
}

static bool observe_evaluation(void *context, size_t done, size_t all)
{
    const struct hrnet_evaluate_options *o = context;
    return !o->progress || o->progress(o->context, done, all) == 0;
}

/* Mistakes with their paths, in one block; NULL for none, which needs no freeing. */
static enum hr_status tell_mistakes(struct hrnet_mistake **out, const struct hr_evaluation *e,
                                    const struct hr_names *paths)
{
    size_t bytes = e->mistake_count * sizeof **out;
    if (e->mistake_count == 0)
        return HR_OK;
    for (size_t i = 0; i < e->mistake_count; i++)
        bytes += strlen(paths->items[e->mistakes[i].index]) + 1;
    struct hrnet_mistake *const list = hr_mem_alloc(bytes, 1);
    if (!list)
        return HR_E_MEMORY;
    char *text = (char *)(list + e->mistake_count);
    for (size_t i = 0; i < e->mistake_count; i++) {
        const struct hr_mistake *const m = &e->mistakes[i];
        const size_t size = strlen(paths->items[m->index]) + 1;
        memcpy(text, paths->items[m->index], size);
        list[i] = (struct hrnet_mistake){ text, m->truth, m->answer, m->confidence,
                                          m->truth_probability };
        text += size;
    }
    *out = list;
    return HR_OK;
}

static enum hr_status tell_labels(struct hrnet_evaluation *told, const struct hr_evaluation *e)
{
    told->labels = hr_mem_alloc(e->classes, sizeof *told->labels);
    if (!told->labels)
        return HR_E_MEMORY;
    for (size_t k = 0; k < e->classes; k++)
        told->labels[k] =
            (struct hrnet_label){ e->labels[k].truth, e->labels[k].answers, e->labels[k].right,
                                  e->labels[k].average_precision };
    told->map = e->map;
    told->hamming = hr_evaluation_hamming(e);
    return HR_OK;
}

/* Takes the confusion. */
static enum hr_status tell(struct hrnet_evaluation *out, struct hr_evaluation *e,
                           const struct hr_names *paths)
{
    struct hrnet_evaluation told = { .classes = e->classes,
                                     .pictures = e->pictures,
                                     .top1 = e->top1,
                                     .top5 = e->top5,
                                     .loss = e->loss,
                                     .ece = hr_evaluation_ece(e),
                                     .mistake_count = e->mistake_count };
    _Static_assert(HRNET_BINS == HR_BINS, "both faces have the same bins");
    for (size_t b = 0; b < HR_BINS; b++)
        told.bins[b] =
            (struct hrnet_bin){ e->bins[b].pictures, e->bins[b].right, e->bins[b].confidence };
    if (e->labels)
        HR_TRY(tell_labels(&told, e));
    const enum hr_status status = tell_mistakes(&told.mistakes, e, paths);
    if (status != HR_OK) {
        hr_mem_free(told.labels);
        return status;
    }
    told.confusion = e->confusion;
    e->confusion = NULL;
    *out = told;
    return HR_OK;
}

hrnet_status hrnet_evaluate(hrnet_model *model, const struct hrnet_evaluate_options *options,
                            struct hrnet_evaluation *out)
{
    struct hrnet_evaluate_options o;
    struct hr_evaluation e = { 0 };
    struct hr_names paths = { 0 };
    struct hr_recipe recipe;
    if (!model || !options || !out)
        return hr_api_missing_argument(__func__);
    hrnet_evaluate_options_init(&o, sizeof o);
    enum hr_status status = hr_api_options_copy(&o, sizeof o, options, "hrnet_evaluate_options");
    if (status == HR_OK && (!o.data || o.batch < 1 || o.batch > MAX_BATCH || o.mistakes < 0))
        status = hr_fail(HR_E_ARGUMENT,
                         "evaluation needs data, a batch of 1 to %d, and a count of mistakes",
                         MAX_BATCH);
    recipe = *hr_model_recipe(model->model);
    if (status == HR_OK && o.recipe)
        status = hr_api_recipe_checked(&recipe, o.recipe);
    struct hr_evaluate_options inner = { .data = o.data,
                                         .root = o.root,
                                         .recipe = &recipe,
                                         .batch = (size_t)o.batch,
                                         .threads = o.threads,
                                         .loader_threads = o.loader_threads,
                                         .mistakes = (size_t)o.mistakes,
                                         .observer = observe_evaluation,
                                         .context = &o };
    if (status == HR_OK)
        status = hr_api_cpu_flags(o.cpu, &inner.cpu_flags);
    if (status == HR_OK)
        status = hr_evaluate(&e, &paths, model->model, model->packs, &inner);
    if (status == HR_OK)
        status = tell(out, &e, &paths);
    hr_names_fini(&paths);
    hr_evaluation_fini(&e);
    return PUBLIC(status);
}
