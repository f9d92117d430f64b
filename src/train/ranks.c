/* SPDX-License-Identifier: Apache-2.0
 * Agreements.  The one idea: each rank shares a small record, all see the records of all, and each
 * draws the same conclusion from them. */
#include "train/ranks.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "train/evaluate.h"

/* *all [ranks][bytes]: the records of all ranks, until the next call. */
static enum hr_status share(struct hr_reduce *reduce, const void *mine, size_t bytes, void **all)
{
    *all = hr_reduce_records(reduce);
    return hr_reduce_share(reduce, mine, *all, bytes);
}

/* ---- Steps ---- */

struct batch_record {
    struct hr_ranks_batch batch;
    uint64_t failed;
};
_Static_assert(sizeof(struct batch_record) <= HR_REDUCE_RECORD, "it fits");

enum hr_status hr_ranks_batch(struct hr_reduce *reduce, struct hr_ranks_batch *batch, size_t least,
                              enum hr_status status)
{
    const struct batch_record mine = { *batch, status != HR_OK };
    struct batch_record *all;
    const size_t ranks = hr_reduce_ranks(reduce);
    bool failed = false, too_few = false;
    if (!reduce)
        return status;
    HR_TRY(share(reduce, &mine, sizeof mine, (void **)&all));
    *batch = (struct hr_ranks_batch){ 0 };
    for (size_t i = 0; i < ranks; i++) {
        failed |= all[i].failed != 0;
        too_few |= all[i].batch.pictures < least;
        batch->pictures += all[i].batch.pictures;
        batch->left_out += all[i].batch.left_out;
        batch->bad += all[i].batch.bad;
        batch->mass += all[i].batch.mass;
    }
    if (failed)
        return hr_reduce_agree(reduce, status);
    batch->left_out += too_few ? batch->pictures : 0;
    batch->pictures = too_few ? 0 : batch->pictures;
    return HR_OK;
}

struct seen_record {
    double loss, mass; /* loss: the sum over the pictures of their mean */
    uint64_t pictures, top1, top5, unlabelled, failed;
};
_Static_assert(sizeof(struct seen_record) <= HR_REDUCE_RECORD, "it fits");

enum hr_status hr_ranks_seen(struct hr_reduce *reduce, struct hr_evaluation *seen, double mass,
                             enum hr_status status)
{
    const struct seen_record mine = { seen->loss,     mass,       seen->pictures,
                                      seen->top1,     seen->top5, seen->unlabelled,
                                      status != HR_OK };
    const size_t ranks = hr_reduce_ranks(reduce);
    struct seen_record sum = { 0 }, *all;
    if (!reduce)
        return status;
    HR_TRY(share(reduce, &mine, sizeof mine, (void **)&all));
    for (size_t i = 0; i < ranks; i++) {
        const double pictures = all[i].pictures ? (double)all[i].pictures : 1.0;
        sum.loss += all[i].loss / pictures * all[i].mass;
        sum.mass += all[i].mass;
        sum.pictures += all[i].pictures;
        sum.top1 += all[i].top1;
        sum.top5 += all[i].top5;
        sum.unlabelled += all[i].unlabelled;
        sum.failed |= all[i].failed;
    }
    if (sum.failed)
        return hr_reduce_agree(reduce, status);
    seen->loss = sum.mass > 0.0 ? sum.loss / sum.mass * (double)sum.pictures : 0.0;
    seen->pictures = sum.pictures;
    seen->top1 = sum.top1;
    seen->top5 = sum.top5;
    seen->unlabelled = sum.unlabelled;
    return HR_OK;
}

enum hr_status hr_ranks_stop(struct hr_reduce *reduce, bool *stop)
{
    const uint8_t mine = *stop;
    uint8_t *all;
    if (!reduce)
        return HR_OK;
    HR_TRY(share(reduce, &mine, sizeof mine, (void **)&all));
    for (size_t i = 0; i < hr_reduce_ranks(reduce); i++)
        *stop |= all[i] != 0;
    return HR_OK;
}

/* ---- Bad pictures ---- */

struct bad_record {
    uint64_t more; /* that this rank has not told yet, with this one */
    uint64_t picture, times;
    char message[488];
};
_Static_assert(sizeof(struct bad_record) <= HR_REDUCE_RECORD, "it fits");

static enum hr_status take_bad(struct bad_record *record, size_t rank, struct hr_bad_list *list)
{
    bool is_new;
    record->message[sizeof record->message - 1] = '\0';
    HR_TRY(hr_bad_add(list, (size_t)record->picture, record->message, record->times, &is_new));
    if (is_new && rank == 0)
        hr_log(HR_LOG_WARNING, "%s: left out", record->message);
    return HR_OK;
}

static struct bad_record next_bad(struct hr_ranks_bad *bad, const struct hr_loader_counts *counts)
{
    struct bad_record record = { .more = counts->met_count - bad->told, .times = 1 };
    if (record.more > 0) {
        const struct hr_loader_met *const met = &counts->met[bad->told++];
        record.picture = met->picture;
        snprintf(record.message, sizeof record.message, "%s", counts->names.items[met->name]);
    }
    return record;
}

/* One of each rank at a time: they are rare.  *more: there is another one.  *status: how it went
 * here; other ranks go on until all are done. */
static enum hr_status tell_one(struct hr_reduce *reduce, struct hr_ranks_bad *bad,
                               const struct hr_loader_counts *counts, enum hr_status *status,
                               bool *more)
{
    struct bad_record mine = next_bad(bad, counts), *records = &mine;
    if (reduce)
        HR_TRY(share(reduce, &mine, sizeof mine, (void **)&records));
    *more = false;
    for (size_t i = 0; i < hr_reduce_ranks(reduce); i++) {
        *more |= records[i].more > 1;
        if (records[i].more > 0 && *status == HR_OK)
            *status = take_bad(&records[i], hr_reduce_rank(reduce), &bad->list);
    }
    return HR_OK;
}

enum hr_status hr_ranks_tell_bad(struct hr_reduce *reduce, struct hr_ranks_bad *bad,
                                 const struct hr_loader *loader, size_t most)
{
    const struct hr_bad_list *const list = &bad->list;
    enum hr_status status = HR_OK;
    for (bool more = true; more;)
        HR_TRY(tell_one(reduce, bad, hr_loader_counts(loader), &status, &more));
    if (status == HR_OK && list->count > most)
        status = hr_fail(HR_E_IO, "%zu pictures are bad, and at most %zu may be: %s", list->count,
                         most, list->items[list->count - 1].reason);
    return hr_reduce_agree(reduce, status);
}

enum hr_status hr_ranks_give_bad(struct hr_reduce *reduce, struct hr_bad_list *list)
{
    uint64_t count = list->count;
    enum hr_status status = HR_OK;
    HR_TRY(hr_reduce_tell(reduce, &count, sizeof count));
    for (size_t i = 0; i < count; i++) {
        struct bad_record record = { 0 };
        bool is_new;
        if (i < list->count) {
            record.picture = list->items[i].picture;
            record.times = list->items[i].times;
            snprintf(record.message, sizeof record.message, "%s", list->items[i].reason);
        }
        HR_TRY(hr_reduce_tell(reduce, &record, sizeof record));
        if (i == list->count && status == HR_OK)
            status =
                hr_bad_add(list, (size_t)record.picture, record.message, record.times, &is_new);
    }
    return hr_reduce_agree(reduce, status);
}

/* ---- Evaluation ---- */

/* One batch of a rank: the head, then indices [batch], then logits [batch][classes]. */
struct share_head {
    uint64_t pictures, failed;
};

struct whole {
    uint8_t *mine, *all; /* records */
    size_t bytes;        /* of one */
    float *logits;       /* of all ranks [ranks * batch][classes], and so on */
    int32_t *labels;
    float *targets; /* NULL where there is one label a picture */
    size_t *index;
};

static void end_whole(struct whole *w)
{
    hr_mem_free(w->mine);
    hr_mem_free(w->all);
    hr_mem_free(w->logits);
    hr_mem_free(w->labels);
    hr_mem_free(w->targets);
    hr_mem_free(w->index);
}

static enum hr_status begin_whole(struct whole *w, const struct hr_evaluation *e,
                                  const struct hr_ranks_evaluation *what)
{
    const size_t ranks = hr_reduce_ranks(what->reduce), pictures = ranks * what->batch;
    const size_t row = sizeof *w->index + e->classes * sizeof *w->logits;
    w->bytes = sizeof(struct share_head) + what->batch * row;
    w->bytes = hr_round_up(w->bytes, sizeof(uint64_t));
    w->mine = hr_mem_alloc(w->bytes, 1);
    w->all = hr_mem_alloc(ranks, w->bytes);
    w->logits = hr_mem_alloc(pictures, e->classes * sizeof *w->logits);
    w->labels = hr_mem_alloc(pictures, sizeof *w->labels);
    w->index = hr_mem_alloc(pictures, sizeof *w->index);
    w->targets = e->several ? hr_mem_alloc(pictures, e->classes * sizeof *w->targets) : NULL;
    return w->mine && w->all && w->logits && w->labels && w->index && (w->targets || !e->several)
               ? HR_OK
               : HR_E_MEMORY;
}

/* Where the parts of a record lie. */
static size_t *index_of(uint8_t *record)
{
    return (size_t *)(void *)(record + sizeof(struct share_head));
}

static float *logits_of(uint8_t *record, size_t batch)
{
    return (float *)(void *)(index_of(record) + batch);
}

/* This rank's share of the next batch; status: how it went here until now. */
static enum hr_status fill_share(struct whole *w, const struct hr_ranks_evaluation *what,
                                 enum hr_status status)
{
    struct share_head *const head = (struct share_head *)(void *)w->mine;
    struct hr_batch batch = { 0 };
    if (status == HR_OK)
        status = hr_loader_next(what->loader, &batch);
    *head = (struct share_head){ batch.n, status != HR_OK };
    if (status == HR_OK && batch.n > 0) {
        memcpy(index_of(w->mine), batch.index, batch.n * sizeof *batch.index);
        hr_session_run(what->session, batch.x, batch.n, logits_of(w->mine, what->batch));
    }
    return status;
}

/* The batch of all ranks, in their order.  False where one of them failed. */
static bool join(struct whole *w, struct hr_batch *batch, const struct hr_evaluation *e,
                 const struct hr_ranks_evaluation *what)
{
    *batch = (struct hr_batch){ 0, NULL, w->labels, w->targets, w->index };
    for (size_t r = 0; r < hr_reduce_ranks(what->reduce); r++) {
        uint8_t *const record = w->all + r * w->bytes;
        const struct share_head *const head = (const struct share_head *)(void *)record;
        if (head->failed)
            return false;
        memcpy(w->logits + batch->n * e->classes, logits_of(record, what->batch),
               head->pictures * e->classes * sizeof *w->logits);
        memcpy(w->index + batch->n, index_of(record), head->pictures * sizeof *w->index);
        batch->n += head->pictures;
    }
    for (size_t i = 0; i < batch->n; i++) {
        w->labels[i] = what->set->labels[w->index[i]];
        if (e->several)
            hr_dataset_targets(what->set, w->index[i], w->targets + i * e->classes);
    }
    return true;
}

/* *status: how it went here, which the others learn with the next batch. */
static enum hr_status evaluate_batch(struct hr_evaluation *e, struct whole *w,
                                     const struct hr_ranks_evaluation *what, enum hr_status *status)
{
    struct hr_batch batch;
    *status = fill_share(w, what, *status);
    HR_TRY(hr_reduce_share(what->reduce, w->mine, w->all, w->bytes));
    if (!join(w, &batch, e, what))
        return hr_reduce_agree(what->reduce, *status);
    if (batch.n > 0)
        *status = hr_evaluation_add(e, w->logits, &batch);
    return HR_OK;
}

enum hr_status hr_ranks_evaluate(struct hr_evaluation *e, const struct hr_ranks_evaluation *what)
{
    struct whole w = { 0 };
    enum hr_status mine = HR_OK;
    enum hr_status status = hr_reduce_agree(what->reduce, begin_whole(&w, e, what));
    hr_loader_start(what->loader, 0, 0);
    for (size_t i = 0; status == HR_OK && i < hr_loader_batches(what->loader); i++)
        status = evaluate_batch(e, &w, what, &mine);
    end_whole(&w);
    HR_TRY(status);
    return hr_reduce_agree(what->reduce, mine == HR_OK ? hr_evaluation_finish(e) : mine);
}

/* ---- The state ---- */

/* The vectors of the state, one after the other. */
static size_t vector_count(const struct hr_checkpoint_vectors *v)
{
    return 1 + (v->average != NULL) + hr_optim_slot_count(v->optim);
}

static float *vector_at(const struct hr_checkpoint_vectors *v, size_t i)
{
    if (i == 0)
        return v->params;
    if (v->average && i == 1)
        return v->average;
    return hr_optim_slot(v->optim, i - 1 - (v->average != NULL));
}

enum hr_status hr_ranks_tell_state(struct hr_reduce *reduce, struct hr_checkpoint *at,
                                   const struct hr_checkpoint_vectors *vectors)
{
    uint64_t steps = hr_optim_steps(vectors->optim);
    HR_TRY(hr_reduce_tell(reduce, at, sizeof *at));
    HR_TRY(hr_reduce_tell(reduce, &steps, sizeof steps));
    hr_optim_set_steps(vectors->optim, steps);
    for (size_t i = 0; i < vector_count(vectors); i++)
        HR_TRY(hr_reduce_tell(reduce, vector_at(vectors, i),
                              hr_tape_floats(vectors->tape) * sizeof(float)));
    return HR_OK;
}

/* Which rank has another number than rank 0?  0: none. */
static enum hr_status find_other(struct hr_reduce *reduce, uint64_t number, size_t *rank)
{
    uint64_t *all;
    HR_TRY(share(reduce, &number, sizeof number, (void **)&all));
    *rank = 0;
    for (size_t i = hr_reduce_ranks(reduce); i-- > 1;)
        *rank = all[i] != all[0] ? i : *rank;
    return HR_OK;
}

enum hr_status hr_ranks_compare(struct hr_reduce *reduce, const char *text)
{
    size_t other;
    HR_TRY(find_other(reduce, hr_hash_text(text), &other));
    if (other == 0)
        return HR_OK;
    return hr_reduce_agree(
        reduce, hr_fail(HR_E_MISMATCH,
                        "process %zu was started with other settings, or sees other pictures, than "
                        "process 0",
                        other));
}

enum hr_status hr_ranks_check_state(struct hr_reduce *reduce,
                                    const struct hr_checkpoint_vectors *vectors)
{
    const size_t bytes = hr_tape_floats(vectors->tape) * sizeof(float);
    uint64_t hash = 0;
    size_t other;
    if (!reduce)
        return HR_OK;
    for (size_t i = 0; i < vector_count(vectors); i++)
        hash = hr_hash_mix(hash + HR_HASH_STEP + hr_crc32c(vector_at(vectors, i), bytes));
    HR_TRY(find_other(reduce, hash, &other));
    if (other == 0)
        return HR_OK;
    return hr_reduce_agree(
        reduce, hr_fail(HR_E_INTERNAL,
                        "the weights of process %zu are no longer those of process 0: its memory, "
                        "its build or its CPU differs; resume from the last checkpoint",
                        other));
}
