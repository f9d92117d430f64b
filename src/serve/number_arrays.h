/* SPDX-License-Identifier: Apache-2.0
 * Long arrays of numbers in JSON (RFC 8259), read straight into floats: a tensor of 150 528 numbers
 * must not become as many objects.  The arrays are cut out, and what is left is small enough for a
 * common parser. */
#ifndef HR_SERVE_NUMBER_ARRAYS_H
#define HR_SERVE_NUMBER_ARRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define HR_ARRAY_MOST_RANK 8

struct hr_number_array {
    float *values; /* [count], each the float nearest to what is written */
    size_t count, capacity;
    bool regular; /* nested evenly; then shape[rank] is the nesting */
    size_t rank;
    int64_t shape[HR_ARRAY_MOST_RANK];
};

/* The text without the arrays, and the arrays.  Zero-initialise; fini frees. */
struct hr_number_arrays {
    struct hr_text text;
    struct hr_number_array *items;
    size_t count, capacity;
};

/* Cuts out each array, flat or nested, that is the value of one of `keys` (NULL-terminated) and
 * whose first element is a number, and leaves [i] in its place, i into ->items.  HR_E_FORMAT where
 * such an array is no JSON, holds something else than numbers, or a number too large for a float;
 * whether the rest is JSON is not looked at. */
enum hr_status hr_number_arrays_cut(struct hr_number_arrays *out, const char *json, size_t size,
                                    const char *const *keys) HR_WARN_UNUSED;
void hr_number_arrays_fini(struct hr_number_arrays *arrays);

#endif
