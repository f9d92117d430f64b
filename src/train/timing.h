/* SPDX-License-Identifier: Apache-2.0
 * How long a training step of a network takes here, part by part, on synthetic pictures. */
#ifndef HR_TRAIN_TIMING_H
#define HR_TRAIN_TIMING_H

#include "base/status.h"
#include "train/tape.h"

struct hr_timing_options {
    const char *architecture; /* of the zoo */
    int size, classes;
    size_t batch;
    unsigned threads; /* 0: hr_cpu_count() */
    uint32_t cpu_flags;
    bool exact, recompute;
    enum hr_half half;
    double seconds;       /* of timing, at least 3 steps; one more goes before */
    const char *pictures; /* a folder or list for the loader's time, or NULL */
};

/* Milliseconds of the median step, and least of all steps; parts are means of a step.  `loader` is
 * of a batch of `pictures` decoded ahead of the computation by as many threads, 0 without. */
struct hr_timing {
    double median_ms, least_ms;
    double parts_ms[HR_TAPE_KIND_COUNT]; /* by kind of step */
    double loss_ms, optimizer_ms, loader_ms;
    size_t steps, activation_bytes, state_bytes;
    unsigned threads;
    const char *isa;
};

/* SGD with momentum and weight decay on random labels.  HR_E_NOT_FOUND for an unknown network,
 * HR_E_ARGUMENT for a size it cannot have. */
enum hr_status hr_time_training(struct hr_timing *out,
                                const struct hr_timing_options *options) HR_WARN_UNUSED;

#endif
