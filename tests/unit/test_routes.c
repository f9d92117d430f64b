/* SPDX-License-Identifier: Apache-2.0
 * Which row answers which path, and that no row of the tables stands in another's way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/routes.h"

static const struct hr_route *find(const char *method, const char *path,
                                   const char *captures[HR_CALL_CAPTURES], char allowed[32])
{
    static char copy[256];
    snprintf(copy, sizeof copy, "%s", path);
    memset(captures, 0, HR_CALL_CAPTURES * sizeof *captures);
    return hr_route_find(method, copy, captures, allowed);
}

static void paths_meet_their_rows(void **state)
{
    static const struct {
        const char *method, *path, *pattern, *first, *second;
    } cases[] = {
        { "GET", "/", "/", NULL, NULL },
        { "HEAD", "/", "/", NULL, NULL },
        { "GET", "/v2", "/v2", NULL, NULL },
        { "GET", "/v2/", "/v2", NULL, NULL },
        { "GET", "/v2/models/stats", "/v2/models/stats", NULL, NULL }, /* no model's name */
        { "GET", "/v2/models/m", "/v2/models/*", "m", NULL },
        { "POST", "/v2/models/m/infer", "/v2/models/*/infer", "m", NULL },
        { "POST", "/v2/models/m/versions/2/infer", "/v2/models/*/versions/*/infer", "m", "2" },
        { "GET", "/v2/models/m/versions/2", "/v2/models/*/versions/*", "m", "2" },
        { "POST", "/v1/classify", "/v1/classify", NULL, NULL },
        { "POST", "/v1/models/m:predict", "/v1/models/*", "m:predict", NULL },
        { "POST", "/imagenet/prediction", "/*/prediction", "imagenet", NULL },
        { "POST", "/predict/clas_system", "/predict/clas_system", NULL, NULL },
        { "PUT", "/predictions/m/2", "/predictions/*/*", "m", "2" },
        { "GET", "/metrics", "/metrics", NULL, NULL },
    };
    const char *captures[HR_CALL_CAPTURES];
    char allowed[32];
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        const struct hr_route *route = find(cases[i].method, cases[i].path, captures, allowed);
        if (!route || strcmp(route->pattern, cases[i].pattern) != 0)
            fail_msg("%s: %s", cases[i].path, route ? route->pattern : "nothing");
        if (cases[i].first)
            assert_string_equal(captures[0], cases[i].first);
        if (cases[i].second)
            assert_string_equal(captures[1], cases[i].second);
    }
}

static void other_methods_are_told(void **state)
{
    static const char *const cases[][3] = {
        { "POST", "/metrics", "GET" },
        { "GET", "/v1/classify", "POST" },
        { "DELETE", "/v1/models/m", "POST, GET" },
        { "GET", "/predictions/m", "POST, PUT" },
        { "get", "/metrics", "GET" },
        { "", "/metrics", "GET" },
        { "OPTIONS", "/v2/models/m/infer", "POST" },
    };
    const char *captures[HR_CALL_CAPTURES];
    char allowed[32];
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        assert_null(find(cases[i][0], cases[i][1], captures, allowed));
        assert_string_equal(allowed, cases[i][2]);
    }
}

static void other_paths_are_nothing(void **state)
{
    static const char *const paths[] = {
        "",
        "*",
        "v2",
        "/v3",
        "//",
        "/v2//models",
        "//v2",
        "/V2",
        "/v2/models/",
        "/metricsx",
        "/metric",
        "/metrics/x",
        "/v1/classify/x/y",
        "/v2/models/m/versions",
        "/v2/models//infer",
        "/a/b/c/d/e/f/g/h/i",
        "/v2/models/*/nothing",
    };
    const char *captures[HR_CALL_CAPTURES];
    char allowed[32];
    (void)state;
    for (size_t i = 0; i < HR_COUNT(paths); i++) {
        const struct hr_route *route = find("POST", paths[i], captures, allowed);
        if (route || allowed[0])
            assert_string_equal(paths[i], "/v2/models/"); /* the list, with a slash behind */
    }
}

/* Each row is met by a path of its own: none is hidden by one before it. */
static void every_row_can_be_met(void **state)
{
    const char *captures[HR_CALL_CAPTURES];
    char path[128], allowed[32];
    size_t rows = 0;
    (void)state;
    for (size_t table = 0; hr_route_tables[table]; table++)
        for (const struct hr_route *route = hr_route_tables[table]; route->method; route++) {
            size_t length = 0;
            for (const char *at = route->pattern; *at; at++)
                length += (size_t)snprintf(path + length, sizeof path - length,
                                           *at == '*' ? "name" : "%c", *at);
            assert_ptr_equal(find(route->method, path, captures, allowed), route);
            assert_non_null(route->handler);
            rows++;
        }
    assert_true(rows > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(paths_meet_their_rows),
                                        cmocka_unit_test(other_methods_are_told),
                                        cmocka_unit_test(other_paths_are_nothing),
                                        cmocka_unit_test(every_row_can_be_met) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
