/* SPDX-License-Identifier: Apache-2.0
 * Losses of a batch of logits, each with its gradient: computed in double, by log-sum-exp where
 * there is a softmax, so that no logit is too large. */
#ifndef HR_TRAIN_LOSS_H
#define HR_TRAIN_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hr_loss_kind {
    HR_LOSS_CROSS_ENTROPY, /* of labels, or of targets: rows of probabilities */
    HR_LOSS_MULTI_LABEL,   /* binary cross entropy of sigmoids against targets in [0, 1] */
    HR_LOSS_KL,            /* KL(teacher, student) of softmaxes at a temperature T, times T^2 */
    HR_LOSS_DML, /* (KL(t, s) + KL(s, t)) / 2, PaddleClas's DMLLoss (paddleclas.md 5.10) */
};

struct hr_loss {
    enum hr_loss_kind kind;
    double smoothing;           /* CROSS_ENTROPY: (1 - e) y + e / classes */
    const float *class_weights; /* CROSS_ENTROPY, [classes] or NULL: the mean is weighted,
                                   sum of w l over sum of w, as Paddle and PyTorch take it */
    bool sum_classes;           /* MULTI_LABEL: sum over classes, mean over images */
    double temperature;         /* KL; 0 counts as 1 */
};

struct hr_loss_batch {
    size_t n, classes;
    const float *logits;   /* [n][classes] */
    const int32_t *labels; /* [n], in [0, classes); NULL with targets or a teacher */
    const float *targets;  /* [n][classes], or NULL */
    const float *teacher;  /* KL, DML: the teacher's logits [n][classes] */
};

/* How much a batch weighs beside others in a mean: its pictures, or the sum of their weights. */
double hr_loss_mass(const struct hr_loss *loss, const struct hr_loss_batch *batch);

/* The mean loss of the batch; dlogits [n][classes] receives its gradient times `scale`, NULL where
 * none is wanted.  n >= 1. */
double hr_loss_value(const struct hr_loss *loss, const struct hr_loss_batch *batch, float *dlogits,
                     double scale);

#endif
