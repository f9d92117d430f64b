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

/* Marsaglia and Tsang 2000; below 1 their step from shape + 1. */
double hr_random_gamma(struct hr_random *r, double shape)
{
    const double d = (shape < 1.0 ? shape + 1.0 : shape) - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    const double less = shape < 1.0 ? pow(1.0 - hr_random_unit(r), 1.0 / shape) : 1.0;
    for (;;) {
        const double x = hr_random_normal(r), u = 1.0 - hr_random_unit(r), w = 1.0 + c * x;
        const double v = w * w * w;
        if (w > 0.0 && log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v * less;
    }
}

/* Both may be 0 where the shape is tiny: half then, as likely as the ends are. */
double hr_random_beta(struct hr_random *r, double shape)
{
    const double a = hr_random_gamma(r, shape), b = hr_random_gamma(r, shape);
    return a + b > 0.0 ? a / (a + b) : 0.5;
}

/* Fisher and Yates. */
void hr_random_permute(struct hr_random *r, size_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; i--) {
        const size_t j = hr_random_below(r, i), keep = order[j];
        order[j] = order[i - 1];
        order[i - 1] = keep;
    }
}
