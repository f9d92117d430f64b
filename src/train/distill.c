/* SPDX-License-Identifier: Apache-2.0
 * The teacher and the loss that is made of its answers.  The student's network is not known here.
 */
#include "train/distill.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "session/session.h"
#include "train/tape.h"
#include "train/words.h"

#define MOMENTUM 0.9f /* of running statistics, which nothing reads */

struct hr_distill {
    struct hr_distill_options options;
    struct hr_loss loss;   /* of the teacher's answers */
    double weight, labels; /* of both losses */
    size_t batch, classes;
    char checksum[65];
    struct hr_model *model;
    struct hr_packs *packs;
    struct hr_session *session; /* with running statistics, else: */
    struct hr_tape *tape;
    float *params;
    float *teacher, *targets; /* [batch][classes]: logits and their softmax */
    float *logits, *dlogits;  /* [batch][classes] of the pictures that have labels */
    float *given;             /* [batch][classes]: their targets */
    int32_t *known;           /* [batch]: their labels */
};

/* ---- Making ---- */

static enum hr_status read_words(struct hr_distill *d)
{
    static const char *const names[] = { "dml", "kl", "ce" };
    static const enum hr_loss_kind kinds[] = { HR_LOSS_DML, HR_LOSS_KL, HR_LOSS_CROSS_ENTROPY };
    const char *const text = d->options.words;
    size_t which;
    HR_TRY(hr_words_choose("distillation", text, names, HR_COUNT(names), &which));
    d->loss = (struct hr_loss){ .kind = kinds[which], .temperature = 1.0 };
    d->weight = 1.0;
    const struct hr_word words[] = { { "weight", HR_WORD_REAL, &d->weight },
                                     { "labels", HR_WORD_REAL, &d->labels },
                                     { "temperature", HR_WORD_REAL, &d->loss.temperature } };
    HR_TRY(hr_words_set("distillation", text, words,
                        d->loss.kind == HR_LOSS_KL ? HR_COUNT(words) : HR_COUNT(words) - 1));
    if (!(d->weight > 0.0) || !(d->labels >= 0.0) || !(d->loss.temperature > 0.0))
        return hr_fail(HR_E_ARGUMENT,
                       "distillation: weight %g and temperature %g must be above 0, labels %g not "
                       "below it",
                       d->weight, d->loss.temperature, d->labels);
    return HR_OK;
}

static enum hr_status make_session(struct hr_distill *d, const struct hr_distill_place *place)
{
    const struct hr_session_options options = { .threads = place->threads,
                                                .batch = place->batch,
                                                .height = place->height,
                                                .width = place->width,
                                                .cpu_flags = place->cpu_flags,
                                                .exact = true };
    HR_TRY(hr_packs_create(&d->packs, hr_model_weights(d->model)));
    return hr_session_create(&d->session, d->model, d->packs, &options);
}

static enum hr_status make_tape(struct hr_distill *d, const struct hr_distill_place *place)
{
    const struct hr_zoo_row *const row = hr_model_row(d->model);
    const struct hr_hrnet_options net = { (int64_t)place->batch, place->height, place->width,
                                          (int)place->classes, hr_model_fuse_order(d->model) };
    const struct hr_tape_options options = { .kernels = place->kernels,
                                             .pool = place->pool,
                                             .exact = true,
                                             .forward_only = true,
                                             .momentum = MOMENTUM };
    struct hr_graph *graph = NULL;
    if (!row)
        return hr_fail(HR_E_UNSUPPORTED,
                       "the teacher is a graph of no known network: only its running statistics "
                       "can be used");
    HR_TRY(hr_hrnet_build(&graph, row, &net));
    const enum hr_status status = hr_tape_create(&d->tape, graph, &options);
    hr_graph_destroy(graph);
    HR_TRY(status);
    d->params = hr_mem_alloc(hr_tape_floats(d->tape), sizeof *d->params);
    return d->params ? hr_tape_load(d->tape, hr_model_weights(d->model), d->params) : HR_E_MEMORY;
}

static enum hr_status make_vectors(struct hr_distill *d)
{
    float **const vectors[] = { &d->teacher, &d->targets, &d->logits, &d->dlogits, &d->given };
    for (size_t i = 0; i < HR_COUNT(vectors); i++) {
        *vectors[i] = hr_mem_alloc(d->batch, d->classes * sizeof(float));
        if (!*vectors[i])
            return HR_E_MEMORY;
    }
    d->known = hr_mem_alloc(d->batch, sizeof *d->known);
    return d->known ? HR_OK : HR_E_MEMORY;
}

static enum hr_status fill(struct hr_distill *d, const struct hr_distill_place *place)
{
    const struct hr_model_options options = { .architecture = NULL };
    HR_TRY(read_words(d));
    HR_TRY(hr_model_open(&d->model, d->options.teacher, &options));
    if ((size_t)hr_model_classes(d->model) != place->classes)
        return hr_fail(HR_E_MISMATCH,
                       "the teacher %s knows %d classes, the student %zu: ask for as many",
                       d->options.teacher, hr_model_classes(d->model), place->classes);
    HR_TRY(hr_model_checksum(d->model, d->checksum));
    HR_TRY(make_vectors(d));
    return d->options.batch_statistics ? make_tape(d, place) : make_session(d, place);
}

enum hr_status hr_distill_create(struct hr_distill **out, const struct hr_distill_options *options,
                                 const struct hr_distill_place *place)
{
    struct hr_distill *d = hr_mem_alloc(1, sizeof *d);
    if (!d)
        return HR_E_MEMORY;
    d->options = *options;
    d->batch = place->batch;
    d->classes = place->classes;
    const enum hr_status status = fill(d, place);
    if (status == HR_OK)
        *out = d;
    else
        hr_distill_destroy(d);
    return status;
}

void hr_distill_destroy(struct hr_distill *d)
{
    if (!d)
        return;
    hr_session_destroy(d->session);
    hr_tape_destroy(d->tape);
    hr_packs_destroy(d->packs);
    hr_model_unref(d->model);
    hr_mem_free(d->params);
    hr_mem_free(d->teacher);
    hr_mem_free(d->targets);
    hr_mem_free(d->logits);
    hr_mem_free(d->dlogits);
    hr_mem_free(d->given);
    hr_mem_free(d->known);
    hr_mem_free(d);
}

bool hr_distill_uses_labels(const struct hr_distill *d)
{
    return d->labels > 0.0;
}

enum hr_status hr_distill_describe(const struct hr_distill *d, struct hr_text *out)
{
    hr_text_printf(out, " distill %s batch-statistics %d teacher %s", d->options.words,
                   d->options.batch_statistics, d->checksum);
    return out->status;
}

size_t hr_distill_bytes(const struct hr_distill *d)
{
    return d->session ? hr_session_bytes(d->session)
                      : hr_tape_arena_bytes(d->tape) + hr_tape_floats(d->tape) * sizeof(float);
}

/* ---- The loss ---- */

static void softmax(const struct hr_distill *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float *const z = d->teacher + i * d->classes;
        double largest = (double)z[0], sum = 0.0;
        for (size_t k = 1; k < d->classes; k++)
            largest = fmax(largest, (double)z[k]);
        for (size_t k = 0; k < d->classes; k++)
            sum += exp((double)z[k] - largest);
        for (size_t k = 0; k < d->classes; k++)
            d->targets[i * d->classes + k] = (float)(exp((double)z[k] - largest) / sum);
    }
}

/* Adds the gradient of the labels' loss, as a share of all n pictures, to dlogits. */
static double loss_of_labels(struct hr_distill *d, const struct hr_loss *loss,
                             const struct hr_loss_batch *all, float *dlogits, double scale)
{
    const size_t row = d->classes * sizeof(float);
    size_t m = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (all->labels[i] < 0)
            continue;
        memcpy(d->logits + m * d->classes, all->logits + i * d->classes, row);
        if (all->targets)
            memcpy(d->given + m * d->classes, all->targets + i * d->classes, row);
        d->known[m++] = all->labels[i];
    }
    if (m == 0)
        return 0.0;
    const struct hr_loss_batch b = { .n = m,
                                     .classes = d->classes,
                                     .logits = d->logits,
                                     .labels = d->known,
                                     .targets = all->targets ? d->given : NULL };
    const double share = d->labels * (double)m / (double)all->n;
    const double value = share * hr_loss_value(loss, &b, d->dlogits, scale * share);
    const float *from = d->dlogits;
    for (size_t i = 0; i < all->n; i++) {
        if (all->labels[i] < 0)
            continue;
        for (size_t k = 0; k < d->classes; k++)
            dlogits[i * d->classes + k] += *from++;
    }
    return value;
}

double hr_distill_loss(struct hr_distill *d, const struct hr_loss *labels,
                       const struct hr_loss_batch *batch, const float *x, float *dlogits,
                       double scale)
{
    if (d->session)
        hr_session_run(d->session, x, batch->n, d->teacher);
    else
        hr_tape_forward(d->tape, d->params, batch->n, x, d->teacher);
    softmax(d, batch->n);
    const struct hr_loss_batch b = {
        .n = batch->n,
        .classes = batch->classes,
        .logits = batch->logits,
        .targets = d->loss.kind == HR_LOSS_CROSS_ENTROPY ? d->targets : NULL,
        .teacher = d->teacher,
    };
    const double value = d->weight * hr_loss_value(&d->loss, &b, dlogits, scale * d->weight);
    return d->labels > 0.0 ? value + loss_of_labels(d, labels, batch, dlogits, scale) : value;
}
