/* SPDX-License-Identifier: Apache-2.0
 * JSON where memory fails: a text is read whole or not at all, and nothing is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "hostile.h"
#include "serve/json_memory.h"

static int install(void **state)
{
    (void)state;
    hr_json_memory_install();
    return 0;
}

static void reads_and_writes(void **state)
{
    static const char text[] = "{\"a\":[1,2.5,\"\\u00e9\",null,{}]}";
    json_t *value = NULL;
    (void)state;
    assert_int_equal(hr_json_parse(&value, text, sizeof text - 1), HR_OK);
    char *again = hr_json_dump(value);
    assert_string_equal(again, "{\"a\":[1,2.5,\"\xc3\xa9\",null,{}]}");
    hr_json_release(again);
    json_decref(value);
    assert_int_equal(hr_json_parse(&value, text, sizeof text - 3), HR_E_FORMAT);
    assert_int_equal(hr_json_parse(&value, "{\"a\":1,\"a\":2}", 13), HR_E_FORMAT);
    assert_null(hr_json_dump(NULL));
}

/* A string so long that its buffer grows many times, and a number behind it that would be another
 * if its last digits were lost. */
static void is_whole_or_nothing(void **state)
{
    struct hr_text text = { 0 };
    bool failed = true;
    unsigned failures = 0;
    (void)state;
    hr_text_add(&text, "{\"a\":[\"");
    for (int i = 0; i < 1000; i++)
        hr_text_add(&text, "0123456789");
    hr_text_add(&text, "\",12345678901234567,{\"b\":{\"c\":[true]}}]}");
    for (unsigned n = 0; failed; n++) {
        json_t *value = NULL;
        hr_json_memory_forget();
        hostile_memory_fail(n);
        const enum hr_status status = hr_json_parse(&value, hr_text_str(&text), text.size);
        assert_int_equal(hr_json_memory_failed(), status != HR_OK);
        if (status == HR_OK) {
            const json_t *a = json_object_get(value, "a");
            assert_int_equal(json_string_length(json_array_get(a, 0)), 10000);
            assert_int_equal(json_integer_value(json_array_get(a, 1)), 12345678901234567);
            json_decref(value);
        } else {
            assert_int_equal(status, HR_E_MEMORY);
            failures++;
        }
        assert_int_equal(hostile_memory_held(), 0);
        failed = hostile_memory_restore();
    }
    assert_true(failures > 20);
    hr_text_fini(&text);
}

static void building_tells(void **state)
{
    (void)state;
    hr_json_memory_forget();
    hostile_memory_fail(2);
    json_t *list = json_array();
    json_array_append_new(list, json_string("a"));
    assert_true(hr_json_memory_failed());
    json_decref(list);
    hostile_memory_restore();
    hr_json_memory_forget();
    assert_false(hr_json_memory_failed());
    hr_json_memory_note();
    assert_true(hr_json_memory_failed());
    hr_json_memory_forget();
}

/* A text may be one long string, but no million of empty lists. */
static void has_a_budget(void **state)
{
    const size_t size = 12 << 20;
    char *text = malloc(size);
    json_t *value = NULL;
    (void)state;
    assert_non_null(text);
    memset(text, 'A', size);
    memcpy(text, "[\"", 2);
    memcpy(text + size - 2, "\"]", 2);
    assert_int_equal(hr_json_parse(&value, text, size), HR_OK);
    json_decref(value);
    for (size_t i = 0; i < size; i++)
        text[i] = ",[]"[i % 3];
    text[0] = '[';
    hostile_memory_limit(SIZE_MAX);
    assert_int_equal(hr_json_parse(&value, text, size), HR_E_LIMIT);
    assert_int_equal(hostile_memory_held(), 0);
    hostile_memory_restore();
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_and_writes),
                                        cmocka_unit_test(is_whole_or_nothing),
                                        cmocka_unit_test(building_tells),
                                        cmocka_unit_test(has_a_budget) };
    return cmocka_run_group_tests(tests, install, NULL);
}
