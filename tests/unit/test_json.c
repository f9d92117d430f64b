/* SPDX-License-Identifier: Apache-2.0
 * Small help with jansson: text that is no UTF-8, members of the wrong type, answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hostile.h"
#include "serve/json.h"
#include "serve/json_memory.h"

static void text_that_is_no_utf8_loses_its_bytes_only(void **state)
{
    static const char *const cases[][2] = { { "plain", "plain" },
                                            { "\xc3\xbc", "\xc3\xbc" },
                                            { "a\xff\xc3z", "a??z" },
                                            { "\xed\xa0\x80", "???" }, /* half a surrogate pair */
                                            { "", "" } };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        json_t *value = hr_json_text(cases[i][0]);
        assert_string_equal(json_string_value(value), cases[i][1]);
        json_decref(value);
    }
}

static void a_text_without_memory_is_noted(void **state)
{
    struct hr_text text = { 0 };
    (void)state;
    hr_text_add(&text, "ab");
    json_t *value = hr_json_text_of(&text);
    assert_string_equal(json_string_value(value), "ab");
    json_decref(value);
    hr_json_memory_forget();
    text.status = HR_E_MEMORY;
    assert_null(hr_json_text_of(&text));
    assert_true(hr_json_memory_failed());
    hr_json_memory_forget();
    text.status = HR_OK;
    hr_text_fini(&text);
}

static void a_body_must_be_an_object(void **state)
{
    static const char *const bad[] = { "",
                                       "[]",
                                       "1",
                                       "\"{}\"",
                                       "{",
                                       "{} {}",
                                       "{'a': 1}",
                                       "null",
                                       "{\"a\": 1, \"a\": 2",
                                       "{\"a\":\xff}",
                                       "{\"a\": 1e999}" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        json_t *value = NULL;
        assert_int_equal(hr_json_object(&value, bad[i], strlen(bad[i])), HR_E_FORMAT);
        assert_null(value);
        assert_true(hr_last_message()[0] != '\0');
    }
    json_t *value = NULL;
    assert_int_equal(hr_json_object(&value, "{\"a\": \"b\"}", 10), HR_OK);
    assert_int_equal(json_object_size(value), 1);
    json_decref(value);
}

static void a_member_is_a_string_or_not_there(void **state)
{
    static const char text[] = "{\"s\": \"x\", \"n\": null, \"i\": 1, \"o\": {}}";
    const char *out = "stays";
    json_t *object = NULL;
    (void)state;
    assert_int_equal(hr_json_object(&object, text, sizeof text - 1), HR_OK);
    assert_int_equal(hr_json_string_member(object, "missing", &out), HR_OK);
    assert_int_equal(hr_json_string_member(object, "n", &out), HR_OK);
    assert_string_equal(out, "stays");
    assert_int_equal(hr_json_string_member(object, "i", &out), HR_E_ARGUMENT);
    assert_non_null(strstr(hr_last_message(), "'i'"));
    assert_int_equal(hr_json_string_member(object, "o", &out), HR_E_ARGUMENT);
    assert_string_equal(out, "stays");
    assert_int_equal(hr_json_string_member(object, "s", &out), HR_OK);
    assert_string_equal(out, "x");
    json_decref(object);
}

static void an_answer_is_the_value_or_says_why_not(void **state)
{
    struct hr_call call = { 0 };
    (void)state;
    hr_json_answer(&call, json_pack("{s:[i, b]}", "a", 1, 1));
    assert_int_equal(call.code, 0);
    assert_string_equal(call.content_type, "application/json");
    assert_int_equal(call.answer.size, strlen("{\"a\":[1,true]}"));
    assert_memory_equal(call.answer.data, "{\"a\":[1,true]}", call.answer.size);
    hr_json_answer(&call, NULL); /* could not be built */
    assert_int_equal(call.code, 503);
    assert_non_null(memmem(call.answer.data, call.answer.size, "memory", 6));
    hr_buffer_fini(&call.answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_is_no_utf8_loses_its_bytes_only),
        cmocka_unit_test(a_text_without_memory_is_noted),
        cmocka_unit_test(a_body_must_be_an_object),
        cmocka_unit_test(a_member_is_a_string_or_not_there),
        cmocka_unit_test(an_answer_is_the_value_or_says_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
