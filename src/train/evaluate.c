/* SPDX-License-Identifier: Apache-2.0
 * Evaluation: the inference session over a loader's batches, and counts. */
#include "train/evaluate.h"

#include <string.h>

#include "base/cpu.h"
#include "train/loss.h"

/* The model's labels as the classes of a data set. */
static enum hr_status classes_of(struct hr_dataset *out, const struct hr_model *model)
{
    const struct hr_labels *labels = hr_model_labels(model);
    for (size_t i = 0; i < labels->count; i++)
        HR_TRY(hr_names_add(&out->classes, labels->names[i]));
    out->class_count = hr_model_classes(model);
    return HR_OK;
}

static enum hr_status open_data(struct hr_dataset *set, const struct hr_model *model,
                                const struct hr_evaluate_options *o)
{
    struct hr_dataset like = { 0 };
    HR_TRY(hr_dataset_open(set, o->data, o->root));
    enum hr_status status = classes_of(&like, model);
    if (status == HR_OK && like.classes.count == 0 && set->class_count != like.class_count)
        status = hr_fail(HR_E_MISMATCH, "%s has %d classes, the model, which names none, has %d",
                         o->data, set->class_count, like.class_count);
    if (status == HR_OK)
        status = hr_dataset_relabel(set, &like);
    hr_dataset_fini(&like);
    return status;
}

enum hr_status hr_evaluation_add(struct hr_evaluation *e, const float *logits,
                                 const struct hr_batch *batch)
{
    const struct hr_loss loss = { .kind =
                                      e->several ? HR_LOSS_MULTI_LABEL : HR_LOSS_CROSS_ENTROPY };
    const struct hr_loss_batch b = { .n = batch->n,
                                     .classes = e->classes,
                                     .logits = logits,
                                     .labels = batch->labels,
                                     .targets = batch->targets };
    return hr_evaluation_count(e, logits, batch, hr_loss_value(&loss, &b, NULL, 1.0));
}

enum hr_status hr_evaluation_run(struct hr_evaluation *e, struct hr_session *session,
                                 struct hr_loader *loader, float *logits,
                                 const struct hr_evaluate_options *options, size_t all)
{
    struct hr_batch batch;
    for (hr_loader_start(loader, 0, 0);;) {
        HR_TRY(hr_loader_next(loader, &batch));
        if (batch.n == 0)
            break;
        hr_session_run(session, batch.x, batch.n, logits);
        HR_TRY(hr_evaluation_add(e, logits, &batch));
        if (options && options->observer && !options->observer(options->context, e->pictures, all))
            return hr_fail(HR_E_CANCELLED, "stopped after %zu of %zu pictures", e->pictures, all);
    }
    return hr_evaluation_finish(e);
}

enum hr_status hr_evaluate(struct hr_evaluation *out, struct hr_names *paths,
                           struct hr_model *model, struct hr_packs *packs,
                           const struct hr_evaluate_options *options)
{
    struct hr_evaluation e = { .classes = (size_t)hr_model_classes(model) };
    struct hr_dataset set = { 0 };
    struct hr_loader *loader = NULL;
    struct hr_session *session = NULL;
    float *logits = NULL;
    const struct hr_loader_options load = {
        .set = &set,
        .sample = { .recipe = *options->recipe },
        .batch = options->batch,
        .threads = options->loader_threads ? options->loader_threads : hr_cpu_count(),
    };
    const struct hr_session_options plan = { .threads = options->threads,
                                             .batch = options->batch,
                                             .height = options->recipe->crop_height,
                                             .width = options->recipe->crop_width,
                                             .cpu_flags = options->cpu_flags };
    enum hr_status status = open_data(&set, model, options);
    if (status == HR_OK)
        status = hr_loader_create(&loader, &load);
    if (status == HR_OK)
        status = hr_session_create(&session, model, packs, &plan);
    if (status == HR_OK) {
        e.several = set.several != NULL;
        logits = hr_mem_alloc(options->batch, e.classes * sizeof *logits);
        status = logits ? hr_evaluation_init(&e, options->mistakes) : HR_E_MEMORY;
    }
    if (status == HR_OK)
        status = hr_evaluation_run(&e, session, loader, logits, options, set.paths.count);
    if (status == HR_OK) {
        *out = e;
        *paths = set.paths;
        set.paths = (struct hr_names){ 0 };
        e.confusion = NULL;
        e.mistakes = NULL;
        e.labels = NULL;
        e.scores = NULL;
        e.shown = NULL;
    }
    hr_evaluation_fini(&e);
    hr_mem_free(logits);
    hr_session_destroy(session);
    hr_loader_destroy(loader);
    hr_dataset_fini(&set);
    return status;
}
