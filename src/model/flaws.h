/* SPDX-License-Identifier: Apache-2.0
 * Whether a file's values can be weights: every element is looked at, by several threads. */
#ifndef HR_MODEL_FLAWS_H
#define HR_MODEL_FLAWS_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/store.h"

enum hr_flaw {
    HR_FLAW_TYPE = 1,       /* no floating point; nothing else is said then */
    HR_FLAW_NOT_FINITE = 2, /* NaN or infinity, as float32 */
    HR_FLAW_NEGATIVE = 4,   /* a value below zero, of tensors of rank 1 */
};

/* flaws[i] receives the sum of the flaws of tensor i of `store` where wanted[i], else 0; both have
 * hr_store_count(store) elements.  `threads`: 0 for as many as there are CPUs, at most 8.
 * HR_E_MEMORY only. */
enum hr_status hr_flaws_find(uint8_t *flaws, const struct hr_store *store, const bool *wanted,
                             unsigned threads) HR_WARN_UNUSED;

#endif
