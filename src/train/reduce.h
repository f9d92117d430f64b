/* SPDX-License-Identifier: Apache-2.0
 * What the processes ("ranks") of one training run tell each other: sums of gradients, in buckets
 * that travel while the backward half still runs, and small records.  A link moves the bytes; every
 * sum is made here, in the order of the ranks, so that its bits depend on the number of ranks and
 * on nothing else, and are the same on all of them.
 *
 * All ranks make the same calls in the same order.  The first failure of the link stays: what comes
 * behind it returns at once.  One thread. */
#ifndef HR_TRAIN_REDUCE_H
#define HR_TRAIN_REDUCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* ---- What moves bytes ---- */

#define HR_LINK_TICKETS 64 /* transfers under way at the same time, at most */

/* Transfers begin at once and are done when `test` says so; until then their memory stays.  Ranks
 * begin transfers of a kind in the same order. */
struct hr_link {
    int rank, ranks;
    void *context;
    /* Floats parts[r] .. parts[r + 1] of data go to rank r; `into` receives this rank's part of all
     * ranks, one behind the other. */
    enum hr_status (*scatter)(struct hr_link *link, size_t ticket, const float *data,
                              const size_t *parts, float *into);
    /* This rank's part of data goes to all; theirs come into their places. */
    enum hr_status (*gather)(struct hr_link *link, size_t ticket, float *data, const size_t *parts);
    /* all [ranks][bytes] */
    enum hr_status (*share)(struct hr_link *link, size_t ticket, const void *mine, void *all,
                            size_t bytes);
    /* Rank 0's bytes to all. */
    enum hr_status (*tell)(struct hr_link *link, size_t ticket, void *data, size_t bytes);
    enum hr_status (*test)(struct hr_link *link, size_t ticket, bool *done);
    /* Lets go.  Not in order: other ranks may be gone, and nothing is waited for. */
    void (*close)(struct hr_link *link, bool in_order);
};
/* Over MPI; HR_E_UNSUPPORTED with the cure in a build without. */
enum hr_status hr_link_open_mpi(struct hr_link **out) HR_WARN_UNUSED;

/* ---- What ranks share ---- */

struct hr_reduce; /* NULL everywhere: the process is alone */

/* Joins the ranks that were launched together; *out NULL where there is but one. */
enum hr_status hr_reduce_open(struct hr_reduce **out) HR_WARN_UNUSED;
/* Over a link, which it owns from now on, whatever comes back. */
enum hr_status hr_reduce_create(struct hr_reduce **out, struct hr_link *link) HR_WARN_UNUSED;
/* Leaves the others.  together: they do the same now, which is so where hr_reduce_agree failed. */
void hr_reduce_destroy(struct hr_reduce *reduce, bool together); /* NULL is allowed */
bool hr_reduce_agreed(const struct hr_reduce *reduce);           /* has it failed? */

size_t hr_reduce_rank(const struct hr_reduce *reduce);
size_t hr_reduce_ranks(const struct hr_reduce *reduce);
enum hr_status hr_reduce_status(const struct hr_reduce *reduce); /* the link's first failure */

/* Called again and again, each time some microseconds to milliseconds later, while a step's
 * backward half runs and while ranks are waited for: must be quick. */
typedef void hr_reduce_idle(void *context);
void hr_reduce_watch(struct hr_reduce *reduce, hr_reduce_idle *idle, void *context);
/* Seconds after which a rank that does not answer counts as lost. */
void hr_reduce_patience(struct hr_reduce *reduce, double seconds);

#define HR_REDUCE_RECORD 512 /* bytes of the largest small record */
/* Room for a record of each rank, of at most HR_REDUCE_RECORD bytes: until the next call of
 * anything here.  It was made at the start, so that a rank without memory does not leave the others
 * waiting.
 */
void *hr_reduce_records(struct hr_reduce *reduce);
/* all [ranks][bytes], of all ranks. */
enum hr_status hr_reduce_share(struct hr_reduce *reduce, const void *mine, void *all,
                               size_t bytes) HR_WARN_UNUSED;
/* Rank 0's bytes to all; nothing where the process is alone. */
enum hr_status hr_reduce_tell(struct hr_reduce *reduce, void *data, size_t bytes) HR_WARN_UNUSED;
/* Did it go well on all ranks?  Else, on all of them, the failure of the first rank that has one,
 * whose message then begins with that rank.  Alone: the status that came. */
enum hr_status hr_reduce_agree(struct hr_reduce *reduce, enum hr_status status) HR_WARN_UNUSED;

/* ---- Sums of gradients ---- */

/* Makes buckets of vectors of so many floats. */
enum hr_status hr_reduce_plan(struct hr_reduce *reduce, size_t floats) HR_WARN_UNUSED;
/* Begins a sum over the ranks, in place, of values that are made from the end to the beginning. */
void hr_reduce_begin(struct hr_reduce *reduce, float *values);
/* Values from `from` on are final and are not touched any more: whole buckets start to travel, and
 * what travels is helped on. */
void hr_reduce_ready(struct hr_reduce *reduce, size_t from);
/* Starts the rest and waits for all. */
enum hr_status hr_reduce_end(struct hr_reduce *reduce) HR_WARN_UNUSED;

/* Of all sums so far. */
struct hr_reduce_times {
    size_t sums, buckets, bytes;           /* buckets and bytes: of one sum */
    double travel_seconds, waited_seconds; /* of a sum in the mean: from the first bucket's start to
                                              the last one's end, and the part of it after the
                                              backward half, in hr_reduce_end */
};
struct hr_reduce_times hr_reduce_times(const struct hr_reduce *reduce);

#endif
