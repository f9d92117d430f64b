/* SPDX-License-Identifier: Apache-2.0
 * Threads of one process as the ranks of a run: a link that copies. */
#ifndef TESTS_THREAD_LINK_H
#define TESTS_THREAD_LINK_H

#include "train/reduce.h"

/* Calls fn on a thread of its own for each rank, with a reduce of so many ranks, and waits for all.
 * slow: how often a rank asks in vain about a transfer that could be done.  lost: that rank's
 * thread does not run (-1: all do). */
struct test_ranks {
    size_t ranks, slow;
    int lost;
    void (*fn)(struct hr_reduce *reduce, void *context);
    void *context;
};
void test_ranks_run(const struct test_ranks *ranks);

#endif
