/* SPDX-License-Identifier: Apache-2.0
 * Counting answers.  Everything is a sum in the order of the pictures, so that the batch's size
 * does not matter. */
#include "train/metrics.h"

#include <math.h>
#include <string.h>

#include "session/session.h"

enum hr_status hr_evaluation_init(struct hr_evaluation *e, size_t mistakes)
{
    e->confusion = hr_mem_alloc(e->classes, e->classes * sizeof *e->confusion);
    e->mistakes = hr_mem_alloc(mistakes, sizeof *e->mistakes);
    e->mistake_room = mistakes;
    return e->confusion && e->mistakes ? HR_OK : HR_E_MEMORY;
}

void hr_evaluation_fini(struct hr_evaluation *e)
{
    hr_mem_free(e->confusion);
    hr_mem_free(e->mistakes);
    e->confusion = NULL;
    e->mistakes = NULL;
}

/* softmax(z)[k]. */
static double probability(const float *z, size_t classes, size_t largest, size_t k)
{
    double sum = 0.0;
    for (size_t i = 0; i < classes; i++)
        sum += exp((double)z[i] - (double)z[largest]);
    return exp((double)z[k] - (double)z[largest]) / sum;
}

/* Keeps the list sorted; of two that are as confident the earlier picture stays in front. */
static void add_mistake(struct hr_evaluation *e, const struct hr_mistake *mistake)
{
    size_t at = e->mistake_count;
    while (at > 0 && e->mistakes[at - 1].confidence < mistake->confidence)
        at--;
    if (at == e->mistake_room)
        return;
    e->mistake_count += e->mistake_count < e->mistake_room;
    memmove(e->mistakes + at + 1, e->mistakes + at,
            (e->mistake_count - at - 1) * sizeof *e->mistakes);
    e->mistakes[at] = *mistake;
}

/* Confidence, which is in ((b) / BINS, (b + 1) / BINS] of bin b. */
static void look_closely(struct hr_evaluation *e, const float *z, size_t truth, size_t answer,
                         size_t index)
{
    const double confidence = probability(z, e->classes, answer, answer);
    const double place = ceil(confidence * HR_BINS) - 1.0;
    struct hr_bin *const bin = &e->bins[place > 0.0 ? (size_t)place : 0];
    e->confusion[truth * e->classes + answer]++;
    bin->pictures++;
    bin->right += answer == truth;
    bin->confidence += confidence;
    if (answer == truth)
        return;
    const struct hr_mistake mistake = { index, (int32_t)truth, (int32_t)answer, confidence,
                                        probability(z, e->classes, answer, truth) };
    add_mistake(e, &mistake);
}

void hr_evaluation_count(struct hr_evaluation *e, const float *logits, const struct hr_batch *batch,
                         double loss)
{
    for (size_t i = 0; i < batch->n; i++) {
        const float *const z = logits + i * e->classes;
        size_t top[5];
        const size_t truth = (size_t)batch->labels[i];
        const size_t k = hr_top_k(top, 5, z, e->classes);
        e->top1 += top[0] == truth;
        for (size_t j = 0; j < k; j++)
            e->top5 += top[j] == truth;
        if (e->confusion)
            look_closely(e, z, truth, top[0], batch->index[i]);
    }
    e->loss += loss * (double)batch->n;
    e->pictures += batch->n;
}

double hr_evaluation_ece(const struct hr_evaluation *e)
{
    double sum = 0.0, pictures = 0.0;
    for (size_t b = 0; b < HR_BINS; b++) {
        sum += fabs((double)e->bins[b].right - e->bins[b].confidence);
        pictures += (double)e->bins[b].pictures;
    }
    return pictures > 0.0 ? sum / pictures : 0.0;
}
