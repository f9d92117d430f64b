/* SPDX-License-Identifier: Apache-2.0
 * How large batches should be, from how long they take.  Another program may take the processors
 * from one measurement and not from the next; so sizes take turns, the least of each counts, and
 * there are rounds until the leasts have come to rest. */
#ifndef HR_SERVE_BATCH_CHOICE_H
#define HR_SERVE_BATCH_CHOICE_H

#include <stddef.h>
#include <stdint.h>

#define HR_BATCH_SIZES \
    5 /* 1, 2, 4, 8, 16: larger ones gain nothing on a CPU and make answers wait */

struct hr_batch_times {
    size_t count;                      /* of sizes: 1, 2, 4, ... */
    uint64_t least_ns[HR_BATCH_SIZES]; /* of a batch of 1 << i */
};

/* Computes a batch of n; how long it took, nanoseconds. */
typedef uint64_t hr_batch_timer(void *context, size_t n);

/* The largest size that is worth a look when one picture alone takes so long: half of it fits into
 * the budget. */
size_t hr_batch_most(uint64_t alone_ns, uint64_t budget_ns);
/* Times batches of 1, 2, 4 ... up to `most` (of hr_batch_most). */
void hr_batch_times_measure(struct hr_batch_times *times, size_t most, hr_batch_timer *timer,
                            void *context);
/* The size to serve with: the largest that keeps within the budget and makes a picture cheaper by
 * 2 % than the best smaller one. */
size_t hr_batch_best(const struct hr_batch_times *times, uint64_t budget_ns);

#endif
