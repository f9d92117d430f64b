/* SPDX-License-Identifier: Apache-2.0
 * What the processes of a training run agree on, step by step: how many pictures a batch has, what
 * was seen of them, which are bad, whether to stop; and evaluation, of which each does a part.
 * `reduce` NULL everywhere: the process is alone, and everything stays as it is. */
#ifndef HR_TRAIN_RANKS_H
#define HR_TRAIN_RANKS_H

#include "session/session.h"
#include "train/bad.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/reduce.h"

/* Of one batch: what this rank has of it, or all have. */
struct hr_ranks_batch {
    uint64_t pictures, left_out; /* left_out: of the epoch so far */
    uint64_t bad;                /* pictures that hr_ranks_bad has still to tell */
    double mass;                 /* hr_gradient_mass's */
};
/* Adds up; no pictures where a rank has fewer than `least`: then the batch counts on none.  status:
 * whether this rank could load it; fails on all ranks where it fails on one. */
enum hr_status hr_ranks_batch(struct hr_reduce *reduce, struct hr_ranks_batch *batch, size_t least,
                              enum hr_status status) HR_WARN_UNUSED;

/* Of one step: counts, and the sum of loss times pictures, which becomes that of the mean loss of
 * all.  mass: of this rank's batches.  status as above. */
enum hr_status hr_ranks_seen(struct hr_reduce *reduce, struct hr_evaluation *seen, double mass,
                             enum hr_status status) HR_WARN_UNUSED;

/* Does any rank want to stop? */
enum hr_status hr_ranks_stop(struct hr_reduce *reduce, bool *stop) HR_WARN_UNUSED;

/* The bad pictures that the loaders of all ranks have met, or that of the process alone. */
struct hr_ranks_bad {
    size_t told;             /* of what this rank's loader met */
    struct hr_bad_list list; /* of all, on all ranks the same; owned */
};
/* Adds what is new, and names each picture once.  Fails on all ranks where there are more than
 * `most`. */
enum hr_status hr_ranks_tell_bad(struct hr_reduce *reduce, struct hr_ranks_bad *bad,
                                 const struct hr_loader *loader, size_t most) HR_WARN_UNUSED;
/* Rank 0's list to all; theirs are empty. */
enum hr_status hr_ranks_give_bad(struct hr_reduce *reduce, struct hr_bad_list *list) HR_WARN_UNUSED;

/* hr_evaluation_run over shares: on all ranks the numbers of one process whose batch has `batch`
 * pictures for each of them.  set: the loader's. */
struct hr_ranks_evaluation {
    struct hr_reduce *reduce; /* not NULL */
    struct hr_session *session;
    struct hr_loader *loader; /* of one share, with least 1 */
    const struct hr_dataset *set;
    size_t batch;
};
enum hr_status hr_ranks_evaluate(struct hr_evaluation *e,
                                 const struct hr_ranks_evaluation *what) HR_WARN_UNUSED;

/* Rank 0's state to all ranks. */
enum hr_status hr_ranks_tell_state(struct hr_reduce *reduce, struct hr_checkpoint *at,
                                   const struct hr_checkpoint_vectors *vectors) HR_WARN_UNUSED;
/* HR_E_MISMATCH naming the rank whose text is another than rank 0's: what they are about. */
enum hr_status hr_ranks_compare(struct hr_reduce *reduce, const char *text) HR_WARN_UNUSED;
/* HR_E_INTERNAL naming the rank whose state has other bits than rank 0's. */
enum hr_status hr_ranks_check_state(struct hr_reduce *reduce,
                                    const struct hr_checkpoint_vectors *vectors) HR_WARN_UNUSED;

#endif
