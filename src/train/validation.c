/* SPDX-License-Identifier: Apache-2.0
 * Validation within a training run: the parameters as a model, and that model's answers.  Knows
 * when it is due, and nothing of what follows from it. */
#include "train/validation.h"

#include "session/session.h"

static enum hr_status evaluate(struct hr_running *r, struct hr_session *session,
                               struct hr_evaluation *seen)
{
    const struct hr_ranks_evaluation what = { r->reduce, session, r->validator, &r->validation,
                                              r->options->batch };
    HR_TRY(r->reduce ? hr_ranks_evaluate(seen, &what)
                     : hr_evaluation_run(seen, session, r->validator, r->outputs, NULL, 0));
    return hr_ranks_tell_bad(r->reduce, &r->bad_validation, r->validator, r->options->most_bad);
}

/* With the network as inference runs it: the same code, the same bits. */
static enum hr_status validate(struct hr_running *r, struct hr_model *model,
                               struct hr_evaluation *seen)
{
    const struct hr_session_options options = { .threads = r->options->threads,
                                                .batch = r->options->batch,
                                                .height = r->test.crop_height,
                                                .width = r->test.crop_width,
                                                .cpu_flags = r->options->cpu_flags };
    struct hr_packs *packs = NULL;
    struct hr_session *session = NULL;
    *seen = (struct hr_evaluation){ .classes = (size_t)r->train.class_count,
                                    .several = r->train.several != NULL };
    enum hr_status status = seen->several ? hr_evaluation_init(seen, 0) : HR_OK;
    if (status == HR_OK)
        status = hr_packs_create(&packs, hr_model_weights(model));
    if (status == HR_OK)
        status = hr_session_create(&session, model, packs, &options);
    status = hr_reduce_agree(r->reduce, status);
    if (status == HR_OK)
        status = evaluate(r, session, seen);
    hr_session_destroy(session);
    hr_packs_destroy(packs);
    return status;
}

/* What chooses the best epoch: the share of right answers, or mean average precision. */
static double metric_of(const struct hr_evaluation *e)
{
    return e->several ? e->map : (double)e->top1 / (double)e->pictures;
}

bool hr_validation_is_due(const struct hr_running *r)
{
    const struct hr_train_options *const o = r->options;
    const uint64_t epoch = r->at.epoch + 1, every = o->eval_every ? o->eval_every : 1;
    const bool due = epoch % every == 0 && epoch >= o->eval_from;
    return r->validator && (due || epoch == o->epochs);
}

enum hr_status hr_validation_model(struct hr_model **out, const struct hr_running *r,
                                   const float *params)
{
    const struct hr_model_options of = { .architecture = r->row->name,
                                         .recipe = &r->test,
                                         .labels = r->labels.count ? &r->labels : NULL,
                                         .activation = r->train.several ? HR_ACTIVATION_SIGMOID
                                                                        : HR_ACTIVATION_SOFTMAX,
                                         .activation_set = true };
    return hr_checkpoint_model(out, r->tape, params, &of);
}

enum hr_status hr_validation_run(struct hr_running *r, struct hr_model *model,
                                 struct hr_evaluation *seen, double *best, bool *is_best)
{
    if (!hr_validation_is_due(r))
        return HR_OK;
    HR_TRY(validate(r, model, seen));
    const double metric = metric_of(seen);
    *is_best = metric >= *best; /* the later of equals, as PaddleClas does */
    *best = *is_best ? metric : *best;
    return HR_OK;
}
