/* SPDX-License-Identifier: Apache-2.0
 * Rounds of measurements, and the choice from their leasts. */
#include "serve/batch_choice.h"

#include <stdbool.h>

#define LEAST_ROUNDS 3
#define MOST_ROUNDS  12
#define ENOUGH_NS    8000000000 /* of measuring, once the least rounds are done */
#define RESTLESS     1.01       /* a least that fell by more asks for another two rounds */
#define WORTH        1.02       /* a larger batch must be so much faster a picture */

size_t hr_batch_most(uint64_t alone_ns, uint64_t budget_ns)
{
    size_t most = 1;
    while (most < (size_t)1 << (HR_BATCH_SIZES - 1) && most * alone_ns <= budget_ns)
        most *= 2;
    return most;
}

/* One turn of each size; true when a least fell.  Adds what it took. */
static bool measure_round(struct hr_batch_times *times, hr_batch_timer *timer, void *context,
                          uint64_t *spent_ns)
{
    bool fell = false;
    for (size_t i = 0; i < times->count; i++) {
        const uint64_t taken = timer(context, (size_t)1 << i), ns = taken ? taken : 1;
        const uint64_t old = times->least_ns[i];
        *spent_ns += ns;
        fell = fell || (double)old > RESTLESS * (double)ns;
        if (ns < old)
            times->least_ns[i] = ns;
    }
    return fell;
}

/* What a larger batch does in that time, a smaller one does too. */
static void level(struct hr_batch_times *times)
{
    for (size_t i = times->count; i-- > 1;)
        if (times->least_ns[i - 1] > times->least_ns[i])
            times->least_ns[i - 1] = times->least_ns[i];
}

void hr_batch_times_measure(struct hr_batch_times *times, size_t most, hr_batch_timer *timer,
                            void *context)
{
    unsigned calm = 0;
    uint64_t spent_ns = 0;
    *times = (struct hr_batch_times){ 0 };
    while (times->count < HR_BATCH_SIZES && (size_t)1 << times->count <= most)
        times->least_ns[times->count++] = UINT64_MAX;
    for (size_t i = 0; i < times->count; i++)
        (void)timer(context, (size_t)1 << i); /* touches all memory */
    for (unsigned round = 0; round < MOST_ROUNDS; round++) {
        if (round >= LEAST_ROUNDS && (calm >= 2 || spent_ns > ENOUGH_NS))
            break;
        calm = measure_round(times, timer, context, &spent_ns) ? 0 : calm + 1;
    }
    level(times);
}

size_t hr_batch_best(const struct hr_batch_times *times, uint64_t budget_ns)
{
    size_t best = 0;
    for (size_t i = 1; i < times->count && times->least_ns[i] <= budget_ns; i++) {
        const double ours = (double)times->least_ns[best] / (double)((size_t)1 << best);
        const double theirs = (double)times->least_ns[i] / (double)((size_t)1 << i);
        if (ours > WORTH * theirs)
            best = i;
    }
    return (size_t)1 << best;
}
