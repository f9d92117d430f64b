/* SPDX-License-Identifier: Apache-2.0
 * The pages: each file is there with its type and policy, and names nothing of elsewhere; the
 * OpenAPI document tells the routes that there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "asking.h"
#include "serve/routes.h"

static struct hr_call ask(const char *path)
{
    static struct asking asking;
    struct hr_call call;
    char text[64];
    size_t used;
    asking = (struct asking){ .leaves = false };
    snprintf(text, sizeof text, "GET %s\n\n", path);
    assert_true(asking_read(&asking, (const uint8_t *)text, strlen(text), &used));
    assert_true(asking_route(&asking, &call, NULL, NULL, 0));
    assert_int_equal(call.code, 0);
    return call;
}

static void pages_have_types_and_a_policy(void **state)
{
    static const char *const pages[][2] = {
        { "/", "text/html; charset=utf-8" },
        { "/status", "text/html; charset=utf-8" },
        { "/page.css", "text/css; charset=utf-8" },
        { "/classify.js", "text/javascript; charset=utf-8" },
        { "/status.js", "text/javascript; charset=utf-8" },
        { "/openapi.json", "application/json" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(pages); i++) {
        struct hr_call call = ask(pages[i][0]);
        assert_string_equal(call.content_type, pages[i][1]);
        assert_non_null(strstr(call.security_policy, "default-src 'none'"));
        assert_true(call.answer.size > 500);
        if (i < HR_COUNT(pages) - 1) /* nothing is fetched from another server */
            assert_null(memmem(call.answer.data, call.answer.size, "https://", 8));
        hr_buffer_fini(&call.answer);
    }
}

/* "/v2/models/{model}/infer" is met by that path with its braces. */
static void the_document_tells_routes_that_there_are(void **state)
{
    const char *method, *path;
    json_t *operations, *operation;
    size_t count = 0;
    (void)state;
    struct hr_call call = ask("/openapi.json");
    json_t *document = json_loadb((const char *)call.answer.data, call.answer.size, 0, NULL);
    assert_non_null(document);
    json_object_foreach(json_object_get(document, "paths"), path, operations)
    {
        json_object_foreach(operations, method, operation)
        {
            const char *captures[HR_CALL_CAPTURES];
            char copy[128], allowed[32], upper[16] = "";
            if (strcmp(method, "parameters") == 0)
                continue;
            snprintf(copy, sizeof copy, "%s", path);
            for (size_t i = 0; method[i] && i < sizeof upper - 1; i++)
                upper[i] = (char)(method[i] - 'a' + 'A');
            if (!hr_route_find(upper, copy, captures, allowed))
                fail_msg("%s %s is told, and not there", upper, path);
            count++;
        }
    }
    assert_true(count > 20);
    json_decref(document);
    hr_buffer_fini(&call.answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_have_types_and_a_policy),
        cmocka_unit_test(the_document_tells_routes_that_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
