/* SPDX-License-Identifier: Apache-2.0
 * The choice of a batch on made-up times: of a machine at rest, and of one on which others come and
 * go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "serve/batch_choice.h"

#define MS     1000000
#define BUDGET ((uint64_t)500 * MS)

/* A machine whose batches take so long where nobody disturbs. */
struct machine {
    double ms[HR_BATCH_SIZES];
    uint32_t random;
    double busy;         /* how many times as long it takes while others are there; 1: never */
    double clock, until; /* ms; when those who are there go, or the next come */
    bool disturbed;
    size_t runs, pictures;
};

static double draw(struct machine *m)
{
    m->random = m->random * 1664525u + 1013904223u;
    return (double)(m->random >> 8) / (1 << 24);
}

/* Others come for up to 0.8 s, and are away for up to 0.5 s. */
static double slowness(struct machine *m)
{
    while (m->busy > 1 && m->clock >= m->until) {
        m->disturbed = !m->disturbed;
        m->until += (m->disturbed ? 800 : 500) * draw(m);
    }
    return m->disturbed ? 1 + (m->busy - 1) * draw(m) : 1 + 0.005 * draw(m);
}

static uint64_t run(void *context, size_t n)
{
    struct machine *m = context;
    size_t i = 0;
    while ((size_t)1 << i < n)
        i++;
    const double ms = m->ms[i] * slowness(m);
    m->clock += ms;
    m->runs++;
    m->pictures += n;
    return (uint64_t)(ms * MS);
}

static size_t choose(struct machine *m, uint64_t budget)
{
    struct hr_batch_times times;
    hr_batch_times_measure(&times, hr_batch_most((uint64_t)(m->ms[0] * MS), budget), run, m);
    for (size_t i = 1; i < times.count; i++)
        assert_true(times.least_ns[i - 1] <= times.least_ns[i]);
    return hr_batch_best(&times, budget);
}

static const struct {
    double ms[HR_BATCH_SIZES];
    size_t best;
} machines[] = {
    { { 14, 26, 50, 103, 212 }, 4 },         /* two CPUs: a picture 14, 13, 12.5, 12.9, 13.3 */
    { { 60, 66, 78, 104, 160 }, 16 },        /* many */
    { { 10, 20, 40, 80, 160 }, 1 },          /* nothing is gained */
    { { 10, 19.95, 39.8, 79.5, 158.8 }, 1 }, /* nor anything to speak of */
    { { 100, 170, 310, 600, 1200 }, 4 },     /* more does not fit into half a second */
    { { 20, 41, 60, 121, 244 }, 4 },         /* two are worse than one, four better */
    { { 700, 800, 900, 1000, 1100 }, 1 }     /* one is too long */
};

static void a_machine_at_rest_gets_its_best(void **state)
{
    (void)state;
    for (size_t i = 0; i < HR_COUNT(machines); i++) {
        struct machine m = { .random = 1, .busy = 1 };
        for (size_t j = 0; j < HR_BATCH_SIZES; j++)
            m.ms[j] = machines[i].ms[j];
        assert_int_equal(choose(&m, BUDGET), machines[i].best);
        assert_true(m.pictures <= 31 * 5);
    }
}

static void others_that_come_and_go_change_nothing(void **state)
{
    enum { TRIES = 400 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(machines); i++) {
        size_t right = 0;
        for (uint32_t seed = 0; seed < TRIES; seed++) {
            struct machine m = { .random = seed * 977, .busy = 3 };
            for (size_t j = 0; j < HR_BATCH_SIZES; j++)
                m.ms[j] = machines[i].ms[j];
            right += choose(&m, BUDGET) == machines[i].best;
            assert_true(m.runs <= 13 * HR_BATCH_SIZES);
        }
        if (right * 100 < TRIES * 90)
            fail_msg("machine %zu: %zu of %d choices are right", i, right, TRIES);
    }
}

/* A machine that is half as fast all the time is one at rest. */
static void one_who_stays_is_the_machine(void **state)
{
    (void)state;
    struct machine m = { .random = 1, .busy = 1 };
    for (size_t j = 0; j < HR_BATCH_SIZES; j++)
        m.ms[j] = 2 * machines[0].ms[j];
    assert_int_equal(choose(&m, BUDGET), 4);
}

static void only_what_may_fit_is_measured(void **state)
{
    (void)state;
    assert_int_equal(hr_batch_most(10 * MS, BUDGET), 16);
    assert_int_equal(hr_batch_most(100 * MS, BUDGET), 8);
    assert_int_equal(hr_batch_most(500 * MS, BUDGET), 2);
    assert_int_equal(hr_batch_most(501 * MS, BUDGET), 1);
    assert_int_equal(hr_batch_most(1, 0), 1);
    struct machine m = { .ms = { 1, 1, 1, 1, 1 }, .random = 1, .busy = 1 };
    assert_int_equal(choose(&m, (uint64_t)3 * MS), 4);
    assert_int_equal(m.pictures % 7, 0); /* 1 + 2 + 4 of each round */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_at_rest_gets_its_best),
        cmocka_unit_test(others_that_come_and_go_change_nothing),
        cmocka_unit_test(one_who_stays_is_the_machine),
        cmocka_unit_test(only_what_may_fit_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
