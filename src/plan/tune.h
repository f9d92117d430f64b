/* SPDX-License-Identifier: Apache-2.0
 * Which kernel is the fastest for each shape of a plan, measured. */
#ifndef HR_PLAN_TUNE_H
#define HR_PLAN_TUNE_H

#include "plan/plan.h"
#include "plan/tuning.h"

struct hr_tune_result {
    const struct hr_conv_shape *shape;
    size_t count;                /* steps of this shape */
    const char *chosen, *winner; /* by the cost model; by the clock, the same if it gains little */
    double chosen_us, winner_us;
};
/* Told of every shape with more than one candidate; pointers are valid during the call. */
typedef void hr_tune_report(void *context, const struct hr_tune_result *result);

/* Times, for every shape of the plan's convolutions on NHWC, the kernels of the plan's instruction
 * set for it: one image, one thread, weights that come from memory.  Those that gain at least 3 %
 * are put into *out.  Takes seconds. */
enum hr_status hr_tune_plan(struct hr_tuning *out, const struct hr_plan *plan,
                            hr_tune_report *report, void *context) HR_WARN_UNUSED;

#endif
