/* SPDX-License-Identifier: Apache-2.0
 * Counted random numbers: each is a pure function of (seed, stream, count), so that any thread may
 * draw any of them and a run is repeated by its seed alone. */
#ifndef HR_BASE_RNG_H
#define HR_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct hr_random {
    uint64_t key, count;
};
/* The stream `stream` of a seed; streams are unrelated. */
struct hr_random hr_random_of(uint64_t seed, uint64_t stream);
uint64_t hr_random_next(struct hr_random *r);
double hr_random_unit(struct hr_random *r);                        /* [0, 1), 53 bits */
double hr_random_between(struct hr_random *r, double a, double b); /* [a, b) */
uint64_t hr_random_below(struct hr_random *r, uint64_t count);     /* [0, count), count >= 1 */
double hr_random_normal(struct hr_random *r);                      /* mean 0, deviation 1 */
double hr_random_gamma(struct hr_random *r, double shape);         /* scale 1, shape > 0 */
double hr_random_beta(struct hr_random *r, double shape);          /* Beta(shape, shape) */
/* Fills order[count] with a permutation of 0 .. count - 1. */
void hr_random_permute(struct hr_random *r, size_t *order, size_t count);

#endif
