/* SPDX-License-Identifier: Apache-2.0
 * Batches of samples, made ahead of the computation by threads of their own, in an order and with
 * bits that do not depend on how many there are. */
#ifndef HR_TRAIN_LOADER_H
#define HR_TRAIN_LOADER_H

#include "train/dataset.h"
#include "train/sample.h"

struct hr_loader_options {
    const struct hr_dataset *set; /* outlives the loader */
    struct hr_sample_options sample;
    size_t batch;
    unsigned threads;
    bool shuffle; /* by seed and epoch; else in order */
    uint64_t seed;
};

struct hr_batch {
    size_t n;       /* 0 behind the last; the last may be smaller */
    const float *x; /* [n,3,h,w]; valid until the next call */
    const int32_t *labels;
    const size_t *index; /* which pictures of the set they are */
};

struct hr_loader; /* one caller */
enum hr_status hr_loader_create(struct hr_loader **out,
                                const struct hr_loader_options *options) HR_WARN_UNUSED;
void hr_loader_destroy(struct hr_loader *loader); /* NULL is allowed; stops what is under way */

/* Begins an epoch, at one of its batches: those before it count as taken. */
void hr_loader_start(struct hr_loader *loader, uint64_t epoch, size_t batch);
/* The next batch; waits for it.  Fails as its first bad picture did, which is named. */
enum hr_status hr_loader_next(struct hr_loader *loader, struct hr_batch *batch) HR_WARN_UNUSED;
size_t hr_loader_batches(const struct hr_loader *loader); /* of an epoch */

#endif
