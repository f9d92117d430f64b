/* SPDX-License-Identifier: Apache-2.0
 * Augmentations of whole batches: mixup, cutmix, fmix.  Labels become soft targets. */
#ifndef HR_TRAIN_MIX_H
#define HR_TRAIN_MIX_H

#include "base/rng.h"
#include "train/augment.h"

struct hr_mix_batch {
    size_t n, classes;
    int64_t height, width;
    float *x;        /* [n][3][height][width], changed */
    float *spare;    /* as large as the larger of x and targets */
    float *targets;  /* [n][classes]: rows that sum to 1; mixed likewise */
    int32_t *labels; /* [n]: become the class of the larger share */
};

/* Draws one of the chain's steps of stage BATCH, or none, and mixes: each picture with another of
 * the batch by one permutation and one share of Beta(alpha, alpha).  Returns the kind, or
 * HR_AUGMENT_KINDS where the batch is left alone.  HR_E_MEMORY for fmix's mask. */
enum hr_status hr_mix_apply(const struct hr_augment_chain *chain, struct hr_random *random,
                            struct hr_mix_batch *batch, enum hr_augment_kind *kind) HR_WARN_UNUSED;

/* The mask of fmix: `ones` of height x width pixels, clouds of low frequencies
 * (amplitude 1 / f^decay), are 1.  mask [height][width]. */
enum hr_status hr_mix_mask(uint8_t *mask, int64_t height, int64_t width, double decay, size_t ones,
                           struct hr_random *random) HR_WARN_UNUSED;

#endif
