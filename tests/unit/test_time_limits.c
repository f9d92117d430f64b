/* SPDX-License-Identifier: Apache-2.0
 * Time limits by path: what fits, what is longest, and what is no limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "serve/time_limits.h"

static void the_longest_path_that_fits_counts(void **state)
{
    struct hr_time_limits limits = { .seconds = 30 };
    (void)state;
    assert_int_equal(hr_time_limits_parse(&limits, "/v1=5,/v1/classify/=0.25,/v2/models=0"), HR_OK);
    assert_int_equal(hr_time_limits_parse(&limits, NULL), HR_OK);
    assert_int_equal(hr_time_limits_parse(&limits, "/a.B/C=7,"), HR_OK);
    assert_int_equal(limits.count, 4);
    const struct {
        const char *path;
        double seconds;
    } cases[] = {
        { "/v1", 5 },
        { "/v1/", 5 },
        { "/v1/other", 5 },
        { "/v1/classify", 0.25 },
        { "/v1/classify/x", 0.25 },
        { "/v1/classifying", 5 },
        { "/v10", 30 },
        { "/v2/models/m/infer", 0 },
        { "/v2", 30 },
        { "/", 30 },
        { "/a.B/C", 7 },
        { "/a.B/D", 30 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(hr_time_limit(&limits, cases[i].path) == cases[i].seconds);
    assert_int_equal(hr_time_limits_parse(&limits, "/=9"), HR_OK);
    assert_true(hr_time_limit(&limits, "/v2") == 9);
    assert_true(hr_time_limit(&limits, "/v1") == 5);
}

static void what_is_no_limit_is_named(void **state)
{
    static const char *const bad[] = {
        "5",         "v1=5",   "=5",     "/v1",
        "/v1=",      "/v1=-1", "/v1=x",  "/v1=nan",
        "/v1=86401", "/a=1,b", ",/v1=5", "/v1=00000000000000000000000000000000001"
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hr_time_limits limits = { .seconds = 30 };
        assert_int_equal(hr_time_limits_parse(&limits, bad[i]), HR_E_ARGUMENT);
        assert_non_null(strstr(hr_last_message(), "wanted"));
    }
}

static void paths_are_bounded(void **state)
{
    struct hr_time_limits limits = { .seconds = 30 };
    char path[200];
    (void)state;
    snprintf(path, sizeof path, "/%0127d=1", 0);
    assert_int_equal(hr_time_limits_parse(&limits, path), HR_E_ARGUMENT);
    snprintf(path, sizeof path, "/%0126d=1", 0);
    for (int i = 0; i < HR_MOST_TIME_LIMITS; i++)
        assert_int_equal(hr_time_limits_parse(&limits, path), HR_OK);
    assert_int_equal(hr_time_limits_parse(&limits, "/v1=1"), HR_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_path_that_fits_counts),
        cmocka_unit_test(what_is_no_limit_is_named),
        cmocka_unit_test(paths_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
