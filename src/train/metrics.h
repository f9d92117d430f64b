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

/* Of one class, where a picture may show several: how many pictures show it, how many are said to
 * (by a probability above 1/2), and both. */
struct hr_label {
    uint64_t truth, answers, right;
    double average_precision; /* hr_evaluation_finish's */
};

struct hr_evaluation {
    size_t classes, pictures, top1, top5; /* counts of pictures; top1 with several labels: those
                                             with all of them right, top5 then 0 */
    size_t unlabelled;                    /* of them: right or wrong is not known */
    double loss;                          /* mean cross entropy */
    uint64_t *confusion;                  /* [truth][answer], owned (hr_mem_free) */
    struct hr_bin bins[HR_BINS];          /* by confidence: the probability of the answer */
    struct hr_mistake *mistakes;          /* the most confident first, owned (hr_mem_free) */
    size_t mistake_count, mistake_room;
    /* With several labels a picture, instead of the four above: */
    bool several;
    struct hr_label *labels; /* [classes], owned */
    float *scores;           /* logits [pictures][classes], owned */
    uint8_t *shown;          /* what they show, the same, owned */
    size_t score_capacity, shown_capacity;
    double map; /* mean of the classes' average precision; hr_evaluation_finish's */
};

/* Makes room for confusion and for the `mistakes` worst ones, or for labels: without this only
 * pictures, top1, top5 and loss are counted.  classes and several are set. */
enum hr_status hr_evaluation_init(struct hr_evaluation *e, size_t mistakes) HR_WARN_UNUSED;
void hr_evaluation_fini(struct hr_evaluation *e); /* zero-initialised is fine */

/* Counts one batch that cost `loss` in the mean; logits [n][classes].  While counting, e->loss is a
 * sum over pictures. */
enum hr_status hr_evaluation_count(struct hr_evaluation *e, const float *logits,
                                   const struct hr_batch *batch, double loss) HR_WARN_UNUSED;
/* Divides what was summed.  Average precision: the mean, over the pictures that show a class, of
 * the share of such pictures among those with at least their score (PaddleClas's MultiLabelMAP,
 * "integral"); classes that no picture shows are left out of the mean. */
enum hr_status hr_evaluation_finish(struct hr_evaluation *e) HR_WARN_UNUSED;
/* Mean share of labels that are wrong: PaddleClas's HammingDistance.  several only. */
double hr_evaluation_hamming(const struct hr_evaluation *e);

/* Expected calibration error (Guo et al. 2017, arXiv 1706.04599, equation 3): the sum over bins b
 * of n_b / n |right_b / n_b - confidence_b / n_b|.  0 is best; 0 of no pictures. */
double hr_evaluation_ece(const struct hr_evaluation *e);

#endif
