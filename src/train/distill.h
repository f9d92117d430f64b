/* SPDX-License-Identifier: Apache-2.0
 * Distillation: a student learns what a frozen teacher says of the same pictures (Hinton, Vinyals
 * and Dean, arXiv 1503.02531; PaddleClas's SSLD, arXiv 2103.05959). */
#ifndef HR_TRAIN_DISTILL_H
#define HR_TRAIN_DISTILL_H

#include "base/pool.h"
#include "base/text.h"
#include "kernel/kernel.h"
#include "model/model.h"
#include "train/loss.h"

struct hr_distill_options {
    const char *teacher; /* weights; NULL: there is none */
    /* "dml", "kl" (temperature, 1) or "ce" (cross entropy with the teacher's softmax), each with
     * its weight (1), and with labels, the weight of the labels' own loss (0: not looked at). */
    const char *words;
    bool batch_statistics; /* the teacher's norms use those of the batch, as PaddleClas's do; else
                              its running ones, as inference */
};
/* What it has in common with the student; all outlives it. */
struct hr_distill_place {
    size_t batch, classes;
    int64_t height, width;
    const struct hr_kernels *kernels;
    struct hr_pool *pool; /* or NULL */
    unsigned threads;
    uint32_t cpu_flags;
};

struct hr_distill;
/* HR_E_MISMATCH for a teacher of other classes; HR_E_ARGUMENT for words that make no sense. */
enum hr_status hr_distill_create(struct hr_distill **out, const struct hr_distill_options *options,
                                 const struct hr_distill_place *place) HR_WARN_UNUSED;
void hr_distill_destroy(struct hr_distill *distill); /* NULL is allowed */

/* Do the labels count?  Where they do not, pictures need none. */
bool hr_distill_uses_labels(const struct hr_distill *distill);
/* Adds all that decides the bits: words, norms, a checksum of the teacher. */
enum hr_status hr_distill_describe(const struct hr_distill *distill,
                                   struct hr_text *out) HR_WARN_UNUSED;
size_t hr_distill_bytes(const struct hr_distill *distill); /* of memory */

/* The mean loss of a batch whose pictures are x [n,3,h,w]; dlogits receives its gradient times
 * `scale`.  labels: the loss of those pictures whose label is not -1; `batch` has the student's
 * logits, labels and targets, its teacher is not looked at.  Runs the teacher. */
double hr_distill_loss(struct hr_distill *distill, const struct hr_loss *labels,
                       const struct hr_loss_batch *batch, const float *x, float *dlogits,
                       double scale);

#endif
