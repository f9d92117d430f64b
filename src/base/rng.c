/* SPDX-License-Identifier: Apache-2.0
 * splitmix64 (Steele, Lea and Flood 2014) as a function of a key and a count. */
#include "base/rng.h"

#include <math.h>

#include "base/hash.h"

struct hr_random hr_random_of(uint64_t seed, uint64_t stream)
{
    return (struct hr_random){ .key = hr_hash_mix(hr_hash_mix(seed + HR_HASH_STEP) +
                                                  stream * 0xD1342543DE82EF95u) };
}

uint64_t hr_random_next(struct hr_random *r)
{
    return hr_hash_mix(r->key + ++r->count * HR_HASH_STEP);
}

double hr_random_unit(struct hr_random *r)
{
    return (double)(hr_random_next(r) >> 11) * 0x1p-53;
}

double hr_random_between(struct hr_random *r, double a, double b)
{
    return a + (b - a) * hr_random_unit(r);
}

/* The remainder is off by less than count / 2^64 of its chance: nobody will see it. */
uint64_t hr_random_below(struct hr_random *r, uint64_t count)
{
    return hr_random_next(r) % count;
}

/* Box and Muller 1958; one of the two. */
double hr_random_normal(struct hr_random *r)
{
    const double radius = sqrt(-2.0 * log(1.0 - hr_random_unit(r)));
    return radius * cos(6.28318530717958647692 * hr_random_unit(r));
}
