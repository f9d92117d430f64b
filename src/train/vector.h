/* SPDX-License-Identifier: Apache-2.0
 * Loops over flat vectors of parameters: averages and sums.  The same bits for any pool, which may
 * be NULL. */
#ifndef HR_TRAIN_VECTOR_H
#define HR_TRAIN_VECTOR_H

#include <stddef.h>

#include "base/pool.h"

/* average = keep average + (1 - keep) x. */
void hr_vector_average(float *average, const float *x, size_t count, double keep,
                       struct hr_pool *pool);
/* sum += x. */
void hr_vector_add(float *sum, const float *x, size_t count, struct hr_pool *pool);
/* x *= factor. */
void hr_vector_scale(float *x, size_t count, double factor, struct hr_pool *pool);

#endif
