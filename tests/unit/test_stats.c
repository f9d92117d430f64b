/* SPDX-License-Identifier: Apache-2.0
 * Histograms of durations: which bucket, the lines of the text format, many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/pool.h"
#include "serve/stats.h"

static void bounds_double_from_a_millisecond(void **state)
{
    struct hr_durations d = { 0 };
    (void)state;
    for (size_t i = 0; i + 1 < HR_DURATION_BUCKETS; i++) {
        const uint64_t bound_ns = (uint64_t)1000000 << i;
        assert_true(hr_durations_bound(i) == 1e-9 * (double)bound_ns);
        hr_durations_add(&d, bound_ns);     /* a bound belongs to its bucket: le */
        hr_durations_add(&d, bound_ns + 1); /* and what is above to the next */
    }
    hr_durations_add(&d, 0);
    hr_durations_add(&d, UINT64_MAX / 4);
    assert_int_equal(d.buckets[0], 2);
    for (size_t i = 1; i < HR_DURATION_BUCKETS; i++)
        assert_int_equal(d.buckets[i], 2);
}

static void lines_are_those_of_the_text_format(void **state)
{
    struct hr_durations d = { 0 };
    struct hr_text text = { 0 };
    (void)state;
    hr_durations_add(&d, 500000);
    hr_durations_add(&d, 3000000);
    hr_durations_add(&d, 100000000000);
    hr_durations_print(&d, "t", "a=\"b\"", &text);
    static const char begin[] =
        "t_bucket{a=\"b\",le=\"0.001\"} 1\nt_bucket{a=\"b\",le=\"0.002\"} 1\n"
        "t_bucket{a=\"b\",le=\"0.004\"} 2\n";
    static const char end[] = "t_bucket{a=\"b\",le=\"16.384\"} 2\nt_bucket{a=\"b\",le=\"+Inf\"} 3\n"
                              "t_sum{a=\"b\"} 100.0035\nt_count{a=\"b\"} 3\n";
    const char *got = hr_text_str(&text);
    assert_memory_equal(got, begin, sizeof begin - 1);
    assert_true(strlen(got) > sizeof end && strcmp(got + strlen(got) - sizeof end + 1, end) == 0);
    text.size = 0;
    hr_durations_print(&d, "t", "", &text);
    assert_non_null(
        strstr(hr_text_str(&text), "t_bucket{le=\"+Inf\"} 3\nt_sum 100.0035\nt_count 3\n"));
    hr_text_fini(&text);
}

static void *add(void *argument)
{
    for (uint64_t i = 0; i < 20000; i++)
        hr_durations_add(argument, i % 2 ? 1500000 : 40000000000);
    return NULL;
}

static void no_addition_is_lost(void **state)
{
    struct hr_durations d = { 0 };
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(hr_thread_start(&threads[i], add, &d), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(d.buckets[1], 40000);
    assert_int_equal(d.buckets[HR_DURATION_BUCKETS - 1], 40000);
    assert_int_equal(d.sum_ns, 40000 * (1500000 + (uint64_t)40000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bounds_double_from_a_millisecond),
                                        cmocka_unit_test(lines_are_those_of_the_text_format),
                                        cmocka_unit_test(no_addition_is_lost) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
