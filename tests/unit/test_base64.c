/* SPDX-License-Identifier: Apache-2.0
 * The examples of RFC 4648, every length there and back, and what is no base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/base64.h"

static const char *const examples[][2] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
};

static void examples_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < HR_COUNT(examples); i++) {
        struct hr_text text = { 0 };
        struct hr_buffer bytes = { 0 };
        hr_base64_encode(&text, examples[i][0], strlen(examples[i][0]));
        assert_string_equal(hr_text_str(&text), examples[i][1]);
        assert_int_equal(hr_base64_decode(&bytes, examples[i][1], strlen(examples[i][1])), HR_OK);
        assert_int_equal(bytes.size, strlen(examples[i][0]));
        assert_memory_equal(bytes.data, examples[i][0], bytes.size);
        hr_text_fini(&text);
        hr_buffer_fini(&bytes);
    }
}

static void there_and_back(void **state)
{
    uint8_t data[5000];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + (i >> 5));
    for (size_t size = 0; size <= sizeof data; size += size < 300 ? 1 : 391) {
        struct hr_text text = { 0 };
        struct hr_buffer bytes = { 0 };
        hr_base64_encode(&text, data, size);
        assert_int_equal(text.size, (size + 2) / 3 * 4);
        assert_int_equal(hr_base64_decode(&bytes, hr_text_str(&text), text.size), HR_OK);
        assert_int_equal(bytes.size, size);
        assert_memory_equal(bytes.data, data, size);
        hr_text_fini(&text);
        hr_buffer_fini(&bytes);
    }
}

static void forms_that_are_taken(void **state)
{
    static const char *const forms[] = { "Zm9vYg", "Zm9v\r\nYg==\n",
                                         " Z m 9 v Y g = = ", "Zm9vYg=" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(forms); i++) {
        struct hr_buffer bytes = { 0 };
        assert_int_equal(hr_base64_decode(&bytes, forms[i], strlen(forms[i])), HR_OK);
        assert_int_equal(bytes.size, 4);
        assert_memory_equal(bytes.data, "foob", 4);
        hr_buffer_fini(&bytes);
    }
}

static void what_is_no_base64(void **state)
{
    static const char *const bad[] = { "Z",     "=",    "Zg==x",  "Zm9v=",    "Z===",
                                       "Zg===", "Zm-v", "Zm9v\1", "\303\244", "Zm9vY" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        struct hr_buffer bytes = { 0 };
        assert_int_equal(hr_base64_decode(&bytes, bad[i], strlen(bad[i])), HR_E_FORMAT);
        hr_buffer_fini(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(forms_that_are_taken),
        cmocka_unit_test(what_is_no_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
