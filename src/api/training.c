/* SPDX-License-Identifier: Apache-2.0
 * The public API, part five: training and evaluation. */
#include "api/api.h"

#include "train/evaluate.h"
#include "train/trainer.h"

#define MAX_BATCH  4096
#define MAX_EPOCHS 1000000

void hrnet_train_options_init(struct hrnet_train_options *options, size_t struct_size)
{
    const struct hrnet_train_options defaults = { .size = 224,
                                                  .batch = 32,
                                                  .epochs = 30,
                                                  .schedule = "cosine",
                                                  .optimizer = "momentum",
                                                  .rate = 0.1,
                                                  .momentum = 0.9,
                                                  .l2 = 1e-4,
                                                  .least_area = 0.08,
                                                  .flip = 0.5 };
    HR_API_OPTIONS_INIT(struct hrnet_train_options, defaults);
}

/* Position of a word among count names. */
static enum hr_status position(const char *what, const char *word, const char *const *names,
                               size_t count, size_t *out)
{
    for (size_t i = 0; word && i < count; i++)
        if (strcmp(word, names[i]) == 0) {
            *out = i;
            return HR_OK;
        }
    const char *const near = word ? hr_nearest_name(word, names, count) : NULL;
    return hr_fail(HR_E_ARGUMENT, "%s '%s' is not known%s%s", what, word ? word : "",
                   near ? ": did you mean " : "", near ? near : "");
}

static enum hr_status choose(struct hr_train_options *inner, const struct hrnet_train_options *o)
{
    static const char *const schedules[] = { "cosine", "constant", "linear", "step" };
    static const enum hr_schedule_kind schedule_kinds[] = { HR_SCHEDULE_COSINE,
                                                            HR_SCHEDULE_CONSTANT,
                                                            HR_SCHEDULE_LINEAR, HR_SCHEDULE_STEP };
    static const char *const optimizers[] = { "momentum", "nesterov", "sgd",
                                              "adam",     "adamw",    "rmsprop" };
    static const enum hr_optim_kind optim_kinds[] = { HR_OPTIM_MOMENTUM, HR_OPTIM_MOMENTUM,
                                                      HR_OPTIM_SGD,      HR_OPTIM_ADAM,
                                                      HR_OPTIM_ADAMW,    HR_OPTIM_RMSPROP };
    size_t schedule, optimizer;
    HR_TRY(position("schedule", o->schedule, schedules, HR_COUNT(schedules), &schedule));
    HR_TRY(position("optimizer", o->optimizer, optimizers, HR_COUNT(optimizers), &optimizer));
    inner->schedule = schedule_kinds[schedule];
    inner->optim = hr_optim_defaults(optim_kinds[optimizer]);
    inner->optim.nesterov = optimizer == 1;
    if (inner->optim.kind == HR_OPTIM_MOMENTUM)
        inner->optim.momentum = o->momentum;
    inner->optim.l2 = o->l2;
    if (inner->optim.kind == HR_OPTIM_ADAMW)
        inner->optim.decay = o->decay;
    inner->optim.clip_norm = o->clip_norm;
    return HR_OK;
}

static enum hr_status check_ranges(const struct hrnet_train_options *o)
{
    if (!o->data || !o->architecture || !o->folder)
        return hr_fail(HR_E_ARGUMENT, "training needs data, an architecture and a folder");
    if (o->batch < 2 || o->batch > MAX_BATCH)
        return hr_fail(HR_E_ARGUMENT, "batch is %d: it must be 2 to %d", o->batch, MAX_BATCH);
    if (o->epochs < 1 || o->epochs > MAX_EPOCHS)
        return hr_fail(HR_E_ARGUMENT, "%d epochs: 1 to %d are possible", o->epochs, MAX_EPOCHS);
    if (!(o->smoothing >= 0.0 && o->smoothing < 1.0) || !(o->flip >= 0.0 && o->flip <= 1.0) ||
        !(o->least_area > 0.0 && o->least_area <= 1.0))
        return hr_fail(HR_E_ARGUMENT, "smoothing %g, flip %g and least area %g must be shares",
                       o->smoothing, o->flip, o->least_area);
    if (o->threads > HRNET_MAX_THREADS || o->loader_threads > HRNET_MAX_THREADS)
        return hr_fail(HR_E_ARGUMENT, "%u threads: at most %d are possible",
                       o->threads > o->loader_threads ? o->threads : o->loader_threads,
                       HRNET_MAX_THREADS);
    return HR_OK;
}

struct outer {
    hrnet_train_fn *fn;
    void *context;
};

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
                                                   .state_bytes = p->state_bytes };
    return !outer->fn || outer->fn(outer->context, &progress) == 0;
}

hrnet_status hrnet_train(const struct hrnet_train_options *options, hrnet_train_fn *fn,
                         void *context)
{
    struct hrnet_train_options o;
    struct outer outer = { fn, context };
    if (!options)
        return hr_api_missing_argument(__func__);
    hrnet_train_options_init(&o, sizeof o);
    enum hr_status status = hr_api_options_copy(&o, sizeof o, options, "hrnet_train_options");
    if (status == HR_OK)
        status = check_ranges(&o);
    struct hr_train_options inner = { .data = o.data,
                                      .validation = o.validation,
                                      .root = o.root,
                                      .architecture = o.architecture,
                                      .weights = o.weights,
                                      .folder = o.folder,
                                      .resume = o.resume != 0,
                                      .size = o.size,
                                      .batch = (size_t)o.batch,
                                      .epochs = (uint64_t)o.epochs,
                                      .seed = o.seed,
                                      .rate = o.rate,
                                      .warmup_epochs = o.warmup_epochs,
                                      .smoothing = o.smoothing,
                                      .crop = !o.whole,
                                      .least_area = o.least_area,
                                      .flip = o.flip,
                                      .threads = o.threads,
                                      .loader_threads = o.loader_threads };
    if (status == HR_OK)
        status = choose(&inner, &o);
    if (status == HR_OK)
        status = hr_api_cpu_flags(o.cpu, &inner.cpu_flags);
    if (status == HR_OK)
        status = hr_train(&inner, observe, &outer);
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

hrnet_status hrnet_evaluate(hrnet_model *model, const struct hrnet_evaluate_options *options,
                            struct hrnet_evaluation *out)
{
    struct hrnet_evaluate_options o;
    struct hr_evaluation e = { 0 };
    struct hr_recipe recipe;
    if (!model || !options || !out)
        return hr_api_missing_argument(__func__);
    hrnet_evaluate_options_init(&o, sizeof o);
    enum hr_status status = hr_api_options_copy(&o, sizeof o, options, "hrnet_evaluate_options");
    if (status == HR_OK && (!o.data || o.batch < 1 || o.batch > MAX_BATCH))
        status = hr_fail(HR_E_ARGUMENT, "evaluation needs data, and a batch of 1 to %d", MAX_BATCH);
    recipe = *hr_model_recipe(model->model);
    if (status == HR_OK && o.recipe)
        status = hr_api_recipe_checked(&recipe, o.recipe);
    struct hr_evaluate_options inner = { .data = o.data,
                                         .root = o.root,
                                         .recipe = &recipe,
                                         .batch = (size_t)o.batch,
                                         .threads = o.threads,
                                         .loader_threads = o.loader_threads,
                                         .observer = observe_evaluation,
                                         .context = &o };
    if (status == HR_OK)
        status = hr_api_cpu_flags(o.cpu, &inner.cpu_flags);
    if (status == HR_OK)
        status = hr_evaluate(&e, model->model, model->packs, &inner);
    if (status == HR_OK)
        *out = (struct hrnet_evaluation){ .classes = e.classes,
                                          .pictures = e.pictures,
                                          .top1 = e.top1,
                                          .top5 = e.top5,
                                          .loss = e.loss,
                                          .confusion = e.confusion };
    return PUBLIC(status);
}
