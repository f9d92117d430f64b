/* SPDX-License-Identifier: Apache-2.0
 * A model measured on labelled pictures. */
#ifndef HR_TRAIN_EVALUATE_H
#define HR_TRAIN_EVALUATE_H

#include "image/recipe.h"
#include "model/model.h"
#include "plan/pack.h"
#include "session/session.h"
#include "train/metrics.h"

struct hr_evaluate_options {
    const char *data, *root; /* hr_dataset_open's; folders are classes by the model's labels */
    const struct hr_recipe *recipe;
    size_t batch;
    unsigned threads, loader_threads; /* 0: hr_cpu_count() */
    uint32_t cpu_flags;
    size_t mistakes;                                          /* how many of the worst are told */
    bool (*observer)(void *context, size_t done, size_t all); /* after each batch; may be NULL */
    void *context;
};

/* Counts one batch by its logits. */
enum hr_status hr_evaluation_add(struct hr_evaluation *e, const float *logits,
                                 const struct hr_batch *batch) HR_WARN_UNUSED;

/* Counts an epoch of the loader through the session; logits [batch][classes] is scratch.  Uses the
 * observer of the options, which may be NULL, and `all` for it. */
enum hr_status hr_evaluation_run(struct hr_evaluation *e, struct hr_session *session,
                                 struct hr_loader *loader, float *logits,
                                 const struct hr_evaluate_options *options,
                                 size_t all) HR_WARN_UNUSED;

/* paths: of the pictures, which mistakes point into; taken over on success.  HR_E_MISMATCH for a
 * class that the model does not know; HR_E_CANCELLED when the observer stopped it.  On failure *out
 * is untouched. */
enum hr_status hr_evaluate(struct hr_evaluation *out, struct hr_names *paths,
                           struct hr_model *model, struct hr_packs *packs,
                           const struct hr_evaluate_options *options) HR_WARN_UNUSED;

#endif
