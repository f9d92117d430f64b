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
    size_t share, shares; /* of `shares` loaders this is number `share`: each makes its part, as
                             large as the others' or one larger, of what would be one batch of
                             shares * batch; the parts of all are the same samples.  shares 0: 1 */
    unsigned threads;
    bool shuffle;  /* by seed and epoch; else in order */
    bool balanced; /* as many places for every class; needs shuffle and one label a picture */
    uint64_t seed;
    size_t most_bad; /* pictures that may be bad: they are left out, named once with hr_log() */
    bool quiet;      /* without hr_log(): whoever has the counts tells */
    /* Pictures a batch needs; one with fewer good ones comes with n = 0, so that batches keep their
     * places.  0: batches without good pictures do not come at all. */
    size_t least;
};

struct hr_batch {
    size_t n;              /* 0 behind the last; may be smaller than asked for */
    const float *x;        /* [n,3,h,w]; valid until the next call */
    const int32_t *labels; /* the class of the largest target */
    const float *targets;  /* [n,classes] with several labels or mixed ones; else NULL */
    const size_t *index;   /* which pictures of the set they are */
};

/* A bad picture of a batch that was taken: which, and why, as a place in the names. */
struct hr_loader_met {
    size_t picture, name;
};

struct hr_loader_counts {      /* so far; lists are the loader's */
    size_t bad;                /* pictures that cannot be used; each counts once */
    size_t left_out;           /* pictures of batches that were too small, in this epoch */
    struct hr_names names;     /* why, one message a bad picture */
    struct hr_loader_met *met; /* each time that one was met, in order */
    size_t met_count, met_capacity;
};

struct hr_loader; /* one caller */
enum hr_status hr_loader_create(struct hr_loader **out,
                                const struct hr_loader_options *options) HR_WARN_UNUSED;
void hr_loader_destroy(struct hr_loader *loader); /* NULL is allowed; stops what is under way */

/* Begins an epoch, at one of its batches: those before it count as taken. */
void hr_loader_start(struct hr_loader *loader, uint64_t epoch, size_t batch);
/* The next batch; waits for it.  Fails as the first bad picture did that is one too many. */
enum hr_status hr_loader_next(struct hr_loader *loader, struct hr_batch *batch) HR_WARN_UNUSED;
size_t hr_loader_batches(const struct hr_loader *loader); /* of an epoch, if all are good */
const struct hr_loader_counts *hr_loader_counts(const struct hr_loader *loader);

#endif
