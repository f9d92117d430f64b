/* SPDX-License-Identifier: Apache-2.0
 * When the steps of a plan run: one after the other, or in waves of steps that do not need each
 * other, so that many threads find enough to do.  And how long that would take on more threads than
 * this machine has. */
#ifndef HR_PLAN_WAVES_H
#define HR_PLAN_WAVES_H

#include "plan/lower.h"

/* Orders plan->steps into waves (one step a wave unless `side_by_side`), and changes the lifetimes
 * of blocks from steps to waves.  A step's wave is the first in which all that it reads is there.
 */
enum hr_status hr_waves_order(struct hr_plan *plan, bool side_by_side) HR_WARN_UNUSED;
void hr_waves_fini(struct hr_plan *plan); /* frees what order made */

/* Decides over how many threads each step is split, from the estimated costs: all of them where it
 * is alone in its wave, else such that no thread waits long.  Fills in the tasks of full batches.
 */
enum hr_status hr_waves_split(struct hr_plan *plan) HR_WARN_UNUSED;

/* Finds the waves at the start of a network that work on so much that a batch would leave the
 * caches between them: images go through them in turn.  Changes blocks so that one image's place
 * serves all where a value dies in these waves, and so that the others live through all of them.
 * Call it when lifetimes are final, but before memory is taken over. */
void hr_waves_take_turns(struct hr_plan *plan);

/* One run as the schedule's own rules foretell it. */
struct hr_foretold {
    size_t waves;
    double ns;   /* until the last step has ended */
    double idle; /* share of the threads' time that is not work */
    double
        chain_ns; /* the longest chain of steps that need each other, each on all threads alone */
};

/* Foretells a full batch on `threads` threads from what each step of `plan`, in its order, took on
 * one (nanoseconds[step]), if pieces that threads take together take as long as alone.  sync_ns:
 * what a barrier costs.  Steps one after the other, or side by side. */
enum hr_status hr_waves_foretell(struct hr_foretold *out, const struct hr_plan *plan,
                                 const uint64_t *nanoseconds, unsigned threads, double sync_ns,
                                 bool side_by_side) HR_WARN_UNUSED;

#endif
