/* SPDX-License-Identifier: Apache-2.0
 * Random numbers: repeatable, evenly spread, unrelated between streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "base/rng.h"

static void the_same_seed_gives_the_same_numbers(void **state)
{
    struct hr_random a = hr_random_of(7, 3), b = hr_random_of(7, 3);
    struct hr_random c = hr_random_of(7, 4), d = hr_random_of(8, 3);
    (void)state;
    for (int i = 0; i < 1000; i++) {
        const uint64_t value = hr_random_next(&a);
        assert_true(value == hr_random_next(&b));
        assert_true(value != hr_random_next(&c));
        assert_true(value != hr_random_next(&d));
    }
}

static void a_number_follows_from_its_count(void **state)
{
    struct hr_random a = hr_random_of(1, 2), b = hr_random_of(1, 2);
    (void)state;
    for (int i = 0; i < 41; i++)
        (void)hr_random_next(&a);
    b.count = 41;
    assert_true(hr_random_next(&a) == hr_random_next(&b));
}

static void numbers_are_spread_evenly(void **state)
{
    double sum = 0.0, squares = 0.0;
    int buckets[10] = { 0 };
    (void)state;
    for (uint64_t stream = 0; stream < 100; stream++) { /* first numbers of many streams too */
        struct hr_random r = hr_random_of(5, stream);
        for (int i = 0; i < 100; i++) {
            const double u = hr_random_unit(&r);
            assert_true(u >= 0.0 && u < 1.0);
            sum += u;
            squares += u * u;
            buckets[hr_random_below(&r, 10)]++;
        }
    }
    assert_true(fabs(sum / 1e4 - 0.5) < 0.01);
    assert_true(fabs(squares / 1e4 - 1.0 / 3.0) < 0.01);
    for (int i = 0; i < 10; i++)
        assert_true(buckets[i] > 880 && buckets[i] < 1120);
}

static void normal_numbers_are_normal(void **state)
{
    struct hr_random r = hr_random_of(9, 9);
    double sum = 0.0, squares = 0.0, fourth = 0.0;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        const double x = hr_random_normal(&r);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / 2e4) < 0.03);
    assert_true(fabs(squares / 2e4 - 1.0) < 0.04);
    assert_true(fabs(fourth / 2e4 - 3.0) < 0.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(a_number_follows_from_its_count),
        cmocka_unit_test(numbers_are_spread_evenly),
        cmocka_unit_test(normal_numbers_are_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
