/* SPDX-License-Identifier: Apache-2.0
 * Counting answers.  Everything is a sum in the order of the pictures, so that the batch's size
 * does not matter. */
#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "session/session.h"

enum hr_status hr_evaluation_init(struct hr_evaluation *e, size_t mistakes)
{
    if (e->several) {
        e->labels = hr_mem_alloc(e->classes, sizeof *e->labels);
        return e->labels ? HR_OK : HR_E_MEMORY;
    }
    e->confusion = hr_mem_alloc(e->classes, e->classes * sizeof *e->confusion);
    e->mistakes = hr_mem_alloc(mistakes, sizeof *e->mistakes);
    e->mistake_room = mistakes;
    return e->confusion && e->mistakes ? HR_OK : HR_E_MEMORY;
}

void hr_evaluation_fini(struct hr_evaluation *e)
{
    hr_mem_free(e->confusion);
    hr_mem_free(e->mistakes);
    hr_mem_free(e->labels);
    hr_mem_free(e->scores);
    hr_mem_free(e->shown);
    e->confusion = NULL;
    e->mistakes = NULL;
    e->labels = NULL;
    e->scores = NULL;
    e->shown = NULL;
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

static void count_one(struct hr_evaluation *e, const float *z, size_t truth)
{
    size_t top[5];
    const size_t k = hr_top_k(top, 5, z, e->classes);
    e->top1 += top[0] == truth;
    for (size_t j = 0; j < k; j++)
        e->top5 += top[j] == truth;
}

/* ---- Several labels a picture ---- */

static void count_several(struct hr_evaluation *e, const float *z, const float *targets)
{
    bool all = true;
    for (size_t k = 0; k < e->classes; k++) {
        const bool answer = z[k] > 0.0f, truth = targets[k] > 0.5f; /* sigmoid(z) > 1/2 */
        all &= answer == truth;
        if (!e->labels)
            continue;
        e->labels[k].truth += truth;
        e->labels[k].answers += answer;
        e->labels[k].right += answer && truth;
    }
    e->top1 += all;
}

static enum hr_status keep_scores(struct hr_evaluation *e, const float *logits,
                                  const struct hr_batch *batch)
{
    const size_t at = e->pictures * e->classes, count = batch->n * e->classes;
    HR_TRY(hr_mem_grow((void **)&e->scores, &e->score_capacity, at + count, sizeof *e->scores));
    HR_TRY(hr_mem_grow((void **)&e->shown, &e->shown_capacity, at + count, sizeof *e->shown));
    memcpy(e->scores + at, logits, count * sizeof *logits);
    for (size_t i = 0; i < count; i++)
        e->shown[at + i] = batch->targets[i] > 0.5f;
    return HR_OK;
}

struct scored {
    float score;
    bool shown;
};

/* The higher score first. */
static int compare_scored(const void *a, const void *b)
{
    const float x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Of sorted pictures; those of one score come as one. */
static double average_precision(const struct scored *list, size_t count)
{
    double sum = 0.0, shown = 0.0;
    for (size_t i = 0, next; i < count; i = next) {
        double here = 0.0;
        for (next = i; next < count && !(list[next].score < list[i].score); next++)
            here += list[next].shown;
        shown += here;
        sum += here * shown / (double)next;
    }
    return shown > 0.0 ? sum / shown : 0.0;
}

enum hr_status hr_evaluation_finish(struct hr_evaluation *e)
{
    double sum = 0.0, classes = 0.0;
    e->loss /= e->pictures ? (double)e->pictures : 1.0;
    if (!e->labels)
        return HR_OK;
    struct scored *const list = hr_mem_alloc(e->pictures, sizeof *list);
    if (!list)
        return HR_E_MEMORY;
    for (size_t k = 0; k < e->classes; k++) {
        for (size_t i = 0; i < e->pictures; i++)
            list[i] =
                (struct scored){ e->scores[i * e->classes + k], e->shown[i * e->classes + k] != 0 };
        qsort(list, e->pictures, sizeof *list, compare_scored);
        e->labels[k].average_precision = average_precision(list, e->pictures);
        sum += e->labels[k].average_precision;
        classes += e->labels[k].truth > 0;
    }
    hr_mem_free(list);
    e->map = classes > 0.0 ? sum / classes : 0.0;
    return HR_OK;
}

double hr_evaluation_hamming(const struct hr_evaluation *e)
{
    uint64_t wrong = 0;
    for (size_t k = 0; k < e->classes; k++)
        wrong += e->labels[k].truth + e->labels[k].answers - 2 * e->labels[k].right;
    const double all = (double)e->pictures * (double)e->classes;
    return all > 0.0 ? (double)wrong / all : 0.0;
}

/* ---- All ---- */

enum hr_status hr_evaluation_count(struct hr_evaluation *e, const float *logits,
                                   const struct hr_batch *batch, double loss)
{
    if (e->labels)
        HR_TRY(keep_scores(e, logits, batch));
    for (size_t i = 0; i < batch->n; i++) {
        const float *const z = logits + i * e->classes;
        if (e->several) {
            count_several(e, z, batch->targets + i * e->classes);
            continue;
        }
        const size_t truth = (size_t)batch->labels[i];
        if (batch->labels[i] < 0) {
            e->unlabelled++;
            continue;
        }
        count_one(e, z, truth);
        if (e->confusion) {
            size_t answer;
            hr_top_k(&answer, 1, z, e->classes);
            look_closely(e, z, truth, answer, batch->index[i]);
        }
    }
    e->loss += loss * (double)batch->n;
    e->pictures += batch->n;
    return HR_OK;
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
