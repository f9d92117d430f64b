/* SPDX-License-Identifier: Apache-2.0
 * Gradients.  The one idea of accumulation: each batch's gradient is that of the sum over its
 * pictures, and the division comes last.  Between ranks the sum of the last batch begins while its
 * backward half still runs. */
#include "train/gradient.h"

#include <string.h>

#include "base/mem.h"
#include "train/vector.h"

enum hr_status hr_gradient_init(struct hr_gradient *g, bool accumulates)
{
    const size_t floats = hr_tape_floats(g->tape);
    const size_t outputs = hr_tape_batch(g->tape) * hr_tape_classes(g->tape);
    g->logits = hr_mem_alloc(outputs, sizeof *g->logits);
    g->dlogits = hr_mem_alloc(outputs, sizeof *g->dlogits);
    g->values = hr_mem_alloc(floats, sizeof *g->values);
    HR_TRY(hr_reduce_plan(g->reduce, floats));
    g->sum = accumulates ? hr_mem_alloc(floats, sizeof *g->sum) : NULL;
    return g->logits && g->dlogits && g->values && (g->sum || !accumulates) ? HR_OK : HR_E_MEMORY;
}

void hr_gradient_fini(struct hr_gradient *g)
{
    hr_mem_free(g->logits);
    hr_mem_free(g->dlogits);
    hr_mem_free(g->values);
    hr_mem_free(g->sum);
}

static double loss_scale(const struct hr_gradient *g)
{
    return g->loss_scale > 0.0 ? g->loss_scale : 1.0;
}

void hr_gradient_begin(struct hr_gradient *g, size_t batches)
{
    g->several = batches > 1;
    g->left = batches;
    g->mass = 0.0;
    if (g->several)
        memset(g->sum, 0, hr_tape_floats(g->tape) * sizeof *g->sum);
}

static struct hr_loss_batch loss_batch(const struct hr_gradient *g, const struct hr_batch *batch)
{
    return (struct hr_loss_batch){ .n = batch->n,
                                   .classes = hr_tape_classes(g->tape),
                                   .logits = g->logits,
                                   .labels = batch->labels,
                                   .targets = batch->targets };
}

double hr_gradient_mass(const struct hr_gradient *g, const struct hr_batch *batch)
{
    const struct hr_loss_batch b = loss_batch(g, batch);
    return g->distill ? (double)batch->n : hr_loss_mass(g->loss, &b);
}

/* ---- Between ranks ---- */

/* The vector that the ranks add up. */
static float *common(const struct hr_gradient *g)
{
    return g->several ? g->sum : g->values;
}

/* Running statistics have no gradient: their places carry this rank's share of their mean, so that
 * no message of their own is needed.  back: and from there into params. */
static void carry_statistics(const struct hr_gradient *g, size_t from, size_t to, bool back)
{
    const float share = 1.0f / (float)hr_reduce_ranks(g->reduce);
    for (size_t i = 0; g->own_statistics && i < hr_tape_param_count(g->tape); i++) {
        const struct hr_tape_param *const p = hr_tape_param(g->tape, i);
        for (size_t j = p->offset; !p->trainable && j < p->offset + p->count; j++) {
            if (j < from || j >= to)
                continue;
            if (back)
                g->params[j] = common(g)[j];
            common(g)[j] = back ? 0.0f : g->params[j] * share;
        }
    }
}

/* Gradients from `from` on are final. */
static void ready(void *context, size_t from)
{
    struct hr_gradient *const g = context;
    if (g->params && from < g->prepared) {
        const size_t count = g->prepared - from;
        if (g->several)
            hr_vector_add(g->sum + from, g->values + from, count, g->pool);
        carry_statistics(g, from, g->prepared, false);
        g->prepared = from;
    }
    hr_reduce_ready(g->reduce, g->params ? from : SIZE_MAX);
}

/* The last batch begins: from now on what is final travels. */
static void begin_common(struct hr_gradient *g, float *params)
{
    g->params = params;
    g->prepared = hr_tape_floats(g->tape);
    hr_reduce_begin(g->reduce, common(g));
}

/* ---- Steps ---- */

double hr_gradient_add(struct hr_gradient *g, float *params, const struct hr_batch *batch,
                       double mass)
{
    const struct hr_loss_batch b = loss_batch(g, batch);
    const double own = hr_gradient_mass(g, batch);
    const double scale = loss_scale(g) * (g->several ? own : own / mass);
    const bool last = --g->left == 0;
    if (g->reduce)
        hr_tape_on_ready(g->tape, ready, g);
    hr_tape_forward(g->tape, params, batch->n, batch->x, g->logits);
    const double loss = g->distill
                            ? hr_distill_loss(g->distill, g->loss, &b, batch->x, g->dlogits, scale)
                            : hr_loss_value(g->loss, &b, g->dlogits, scale);
    if (g->reduce && last)
        begin_common(g, params);
    hr_tape_backward(g->tape, params, g->dlogits, g->values, NULL);
    g->mass += mass;
    if (g->several && !g->params)
        hr_vector_add(g->sum, g->values, hr_tape_floats(g->tape), g->pool);
    return loss;
}

/* All that has not travelled yet, and what all ranks had. */
static void end_common(struct hr_gradient *g, float *params)
{
    if (!g->params) /* the last batch was left out */
        begin_common(g, params);
    else
        ready(g, 0);
    carry_statistics(g, 0, g->prepared, false);
    g->prepared = 0;
    if (hr_reduce_end(g->reduce) == HR_OK)
        carry_statistics(g, 0, hr_tape_floats(g->tape), true);
    g->params = NULL;
}

void hr_gradient_end(struct hr_gradient *g, float *params)
{
    if (g->reduce)
        end_common(g, params);
    const double divide = loss_scale(g) * (g->several ? g->mass : 1.0);
    if (g->several) {
        float *const keep = g->values;
        g->values = g->sum;
        g->sum = keep;
    }
    if (g->several || divide > 1.0)
        hr_vector_scale(g->values, hr_tape_floats(g->tape), 1.0 / divide, g->pool);
}
