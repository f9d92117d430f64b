/* SPDX-License-Identifier: Apache-2.0
 * Sums over ranks, and what they agree on: threads are the ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "thread_link.h"
#include "train/reduce.h"

#define FLOATS ((size_t)100003) /* several buckets, none of them round */
#define STEP   7001             /* floats that become final at once */

/* Exact sums of three would need more bits than a float has. */
static float value(size_t rank, size_t round, size_t i)
{
    return (1.0f + (float)(i % 251) * 1e-3f) * (rank == 1 ? -1e4f : 1.0f) + (float)(rank + round);
}

static float sum_of(size_t ranks, size_t round, size_t i)
{
    double sum = (double)value(0, round, i); /* in the order of the ranks, in double */
    for (size_t r = 1; r < ranks; r++)
        sum += (double)value(r, round, i);
    return (float)sum;
}

/* Threads count what they find wrong: cmocka's own checks are for the main one. */
static int wrong;
static void expect(bool good)
{
    if (!good)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
}

static void add_up(struct hr_reduce *r, void *context)
{
    float *const values = hr_mem_alloc(FLOATS, sizeof *values);
    const size_t ranks = hr_reduce_ranks(r);
    (void)context;
    expect(values && hr_reduce_plan(r, FLOATS) == HR_OK);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < FLOATS; i++)
            values[i] = NAN; /* nothing of it may travel before it is final */
        hr_reduce_begin(r, values);
        for (size_t from = FLOATS; from > 0;) {
            const size_t to = from;
            from = from > STEP ? from - STEP : 0;
            for (size_t i = from; i < to; i++)
                values[i] = value(hr_reduce_rank(r), round, i);
            if (from > FLOATS / 3) /* the rest is left to the end */
                hr_reduce_ready(r, from);
        }
        expect(hr_reduce_end(r) == HR_OK);
        for (size_t i = 0; i < FLOATS; i++)
            if (memcmp(&values[i], &(float){ sum_of(ranks, round, i) }, sizeof *values) != 0)
                expect(false);
    }
    const struct hr_reduce_times times = hr_reduce_times(r);
    expect(times.sums == 3 && times.buckets > 4 && times.bytes == FLOATS * sizeof(float));
    expect(times.travel_seconds >= times.waited_seconds);
    hr_mem_free(values);
}

static void sums_are_in_the_order_of_the_ranks(void **state)
{
    (void)state;
    wrong = 0;
    for (size_t ranks = 2; ranks <= 4; ranks++)
        for (size_t slow = 0; slow < 6; slow += 5)
            test_ranks_run(&(struct test_ranks){ ranks, slow, -1, add_up, NULL });
    assert_int_equal(wrong, 0);
}

static void talk(struct hr_reduce *r, void *context)
{
    const size_t rank = hr_reduce_rank(r);
    uint64_t all[3] = { 0 }, mine = 10 + rank;
    char told[8] = "others";
    (void)context;
    expect(hr_reduce_share(r, &mine, all, sizeof mine) == HR_OK);
    expect(all[0] == 10 && all[1] == 11 && all[2] == 12);
    if (rank == 0)
        strcpy(told, "first");
    expect(hr_reduce_tell(r, told, sizeof told) == HR_OK);
    expect(strcmp(told, "first") == 0);
    expect(hr_reduce_agree(r, HR_OK) == HR_OK && !hr_reduce_agreed(r));
    const enum hr_status status = rank == 0 ? HR_OK : hr_fail(HR_E_IO, "disk %zu is full", rank);
    expect(hr_reduce_agree(r, status) == HR_E_IO && hr_reduce_agreed(r));
    expect(strcmp(hr_last_message(), "process 1 of 3: disk 1 is full") == 0);
    expect(hr_reduce_status(r) == HR_OK);
}

static void records_are_seen_by_all(void **state)
{
    (void)state;
    wrong = 0;
    test_ranks_run(&(struct test_ranks){ 3, 0, -1, talk, NULL });
    assert_int_equal(wrong, 0);
}

static void count_call(void *context)
{
    (*(size_t *)context)++;
}

static void wait_in_vain(struct hr_reduce *r, void *context)
{
    uint8_t all[2], mine = 1;
    size_t calls = 0;
    (void)context;
    hr_reduce_watch(r, count_call, &calls);
    hr_reduce_patience(r, 0.05);
    expect(hr_reduce_share(r, &mine, all, 1) == HR_E_DEADLINE);
    expect(strstr(hr_last_message(), "did not answer for 0.05 s") != NULL);
    expect(calls > 10);
    expect(hr_reduce_status(r) == HR_E_DEADLINE);
    calls = 0;
    expect(hr_reduce_tell(r, &mine, 1) == HR_E_DEADLINE && calls == 0); /* at once */
    expect(hr_reduce_agree(r, HR_OK) == HR_E_DEADLINE);
    expect(hr_reduce_agree(r, hr_fail(HR_E_IO, "own")) == HR_E_IO);
}

static void a_lost_rank_is_noticed(void **state)
{
    (void)state;
    wrong = 0;
    test_ranks_run(&(struct test_ranks){ 2, 0, 1, wait_in_vain, NULL });
    assert_int_equal(wrong, 0);
}

static void alone(void **state)
{
    (void)state;
    struct hr_reduce *r = NULL;
    int mine = 5, all = 0;
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("PMI_SIZE");
    unsetenv("SLURM_STEP_NUM_TASKS");
    assert_int_equal(hr_reduce_open(&r), HR_OK);
    assert_null(r);
    assert_int_equal(hr_reduce_ranks(r), 1);
    assert_int_equal(hr_reduce_rank(r), 0);
    assert_int_equal(hr_reduce_share(r, &mine, &all, sizeof mine), HR_OK);
    assert_int_equal(all, 5);
    assert_int_equal(hr_reduce_tell(r, &mine, sizeof mine), HR_OK);
    assert_int_equal(hr_reduce_agree(r, HR_OK), HR_OK);
    assert_int_equal(hr_reduce_agree(r, hr_fail(HR_E_LIMIT, "own")), HR_E_LIMIT);
    assert_string_equal(hr_last_message(), "own");
    assert_int_equal(hr_reduce_plan(r, 10), HR_OK);
    hr_reduce_begin(r, NULL);
    hr_reduce_ready(r, 0);
    assert_int_equal(hr_reduce_end(r), HR_OK);
    hr_reduce_destroy(r, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_in_the_order_of_the_ranks),
        cmocka_unit_test(records_are_seen_by_all),
        cmocka_unit_test(a_lost_rank_is_noticed),
        cmocka_unit_test(alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
