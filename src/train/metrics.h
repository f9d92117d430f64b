/* SPDX-License-Identifier: Apache-2.0
 * What answers are counted as: right ones, confusions, how far confidence can be trusted, the worst
 * mistakes. */
#ifndef HR_TRAIN_METRICS_H
#define HR_TRAIN_METRICS_H

#include "train/loader.h"

#define HR_BINS 15 /* of confidence, equally wide: as Guo et al. have them */

struct hr_bin {
    uint64_t pictures, right;
    double confidence; /* sum over its pictures */
};
struct hr_mistake {
    size_t index; /* of the picture in its set */
    int32_t truth, answer;
    double confidence, truth_probability; /* probabilities of the answer and of the truth */
};

struct hr_evaluation {
    size_t classes, pictures, top1, top5; /* counts of pictures */
    double loss;                          /* mean cross entropy */
    uint64_t *confusion;                  /* [truth][answer], owned (hr_mem_free) */
    struct hr_bin bins[HR_BINS];          /* by confidence: the probability of the answer */
    struct hr_mistake *mistakes;          /* the most confident first, owned (hr_mem_free) */
    size_t mistake_count, mistake_room;
};

/* Makes room for confusion and for the `mistakes` worst ones: without this only pictures, top1,
 * top5 and loss are counted.  classes is set. */
enum hr_status hr_evaluation_init(struct hr_evaluation *e, size_t mistakes) HR_WARN_UNUSED;
void hr_evaluation_fini(struct hr_evaluation *e); /* zero-initialised is fine */

/* Counts one batch that cost `loss` in the mean; logits [n][classes].  While counting, e->loss is a
 * sum over pictures. */
void hr_evaluation_count(struct hr_evaluation *e, const float *logits, const struct hr_batch *batch,
                         double loss);

/* Expected calibration error (Guo et al. 2017, arXiv 1706.04599, equation 3): the sum over bins b
 * of n_b / n |right_b / n_b - confidence_b / n_b|.  0 is best; 0 of no pictures. */
double hr_evaluation_ece(const struct hr_evaluation *e);

#endif
