/* SPDX-License-Identifier: Apache-2.0
 * Gradients.  The one idea of accumulation: each batch's gradient is that of the sum over its
 * pictures, and the division comes last. */
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
    g->mass = 0.0;
    if (g->several)
        memset(g->sum, 0, hr_tape_floats(g->tape) * sizeof *g->sum);
}

double hr_gradient_add(struct hr_gradient *g, float *params, const struct hr_batch *batch)
{
    const struct hr_loss_batch b = { .n = batch->n,
                                     .classes = hr_tape_classes(g->tape),
                                     .logits = g->logits,
                                     .labels = batch->labels,
                                     .targets = batch->targets };
    const double mass = g->distill ? (double)batch->n : hr_loss_mass(g->loss, &b);
    const double scale = loss_scale(g) * (g->several ? mass : 1.0);
    hr_tape_forward(g->tape, params, batch->n, batch->x, g->logits);
    const double loss = g->distill
                            ? hr_distill_loss(g->distill, g->loss, &b, batch->x, g->dlogits, scale)
                            : hr_loss_value(g->loss, &b, g->dlogits, scale);
    hr_tape_backward(g->tape, params, g->dlogits, g->values, NULL);
    g->mass += mass;
    if (g->several)
        hr_vector_add(g->sum, g->values, hr_tape_floats(g->tape), g->pool);
    return loss;
}

void hr_gradient_end(struct hr_gradient *g)
{
    const double divide = loss_scale(g) * (g->several ? g->mass : 1.0);
    if (g->several) {
        float *const keep = g->values;
        g->values = g->sum;
        g->sum = keep;
    }
    if (g->several || divide > 1.0)
        hr_vector_scale(g->values, hr_tape_floats(g->tape), 1.0 / divide, g->pool);
}
