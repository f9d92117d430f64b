/* SPDX-License-Identifier: Apache-2.0
 * Loss scaling (Micikevicius et al. 2018, arXiv 1710.03740, section 3.2): gradients are computed of
 * the loss times a factor, so that small ones do not vanish, and divided by it at the end; a step
 * whose gradient overflowed is left out, and the factor goes by what happens. */
#ifndef HR_TRAIN_SCALER_H
#define HR_TRAIN_SCALER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum hr_scaler_kind {
    HR_SCALER_NONE, /* the factor is 1, and an overflow an error */
    HR_SCALER_FIXED,
    HR_SCALER_DYNAMIC, /* grows after so many good steps, shrinks after an overflow */
};

struct hr_scaler_options {
    enum hr_scaler_kind kind;
    double scale; /* at first */
    double every; /* good steps in a row before it grows */
    double grow, shrink;
};
/* "none", "fixed:scale=128" or "dynamic:scale=65536,every=2000,grow=2,shrink=0.5", with these
 * defaults.  With powers of two the bits of a run that never overflows are those without scaling.
 * HR_E_ARGUMENT. */
enum hr_status hr_scaler_parse(struct hr_scaler_options *out, const char *text) HR_WARN_UNUSED;

struct hr_scaler {
    double scale;
    uint64_t good;    /* steps since it last moved */
    uint64_t skipped; /* of all steps */
    uint64_t row;     /* the last ones, without a good one between */
};
struct hr_scaler hr_scaler_start(const struct hr_scaler_options *options);

/* The step was good.  */
void hr_scaler_good(struct hr_scaler *s, const struct hr_scaler_options *options);
/* It overflowed and is left out; false: that will not help, since the factor is down to 1, or a
 * fixed one has overflowed in 100 steps in a row. */
bool hr_scaler_overflow(struct hr_scaler *s, const struct hr_scaler_options *options);

#endif
