/* SPDX-License-Identifier: Apache-2.0
 * Golden training runs (tests/golden/training): losses, gradients, weights of a few steps. */
#ifndef GOLDEN_TRAINING_H
#define GOLDEN_TRAINING_H

#include <jansson.h>
#include <stdbool.h>

#include "kernel/kernel.h"

/* Has the file a loss curve and gradients? */
bool golden_is_training(const json_t *json);

struct golden_training_settings {
    const struct hr_kernels *kernels;
    unsigned threads;
    bool fast;          /* kernels that reorder sums too */
    bool float32, wide; /* which runs: as training runs, and with activations in double */
};

/* Trains the network that the file describes and compares; prints one line a run.  False if
 * anything differs or the file cannot be read. */
bool golden_training_check(const json_t *json, const char *name,
                           const struct golden_training_settings *settings);

#endif
