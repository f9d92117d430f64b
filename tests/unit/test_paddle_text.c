/* SPDX-License-Identifier: Apache-2.0
 * Text as Python's repr() has it (the right sides are what Python 3 prints), and error numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "serve/paddle_text.h"

static void strings(void **state)
{
    static const char *const cases[][2] = {
        { "", "''" },
        { "daisy", "'daisy'" },
        { "yellow lady's slipper", "\"yellow lady's slipper\"" },
        { "a \"b\"", "'a \"b\"'" },
        { "a 'b' \"c\"", "'a \\'b\\' \"c\"'" },
        { "back\\slash", "'back\\\\slash'" },
        { "a\1b", "'a\\x01b'" },
        { "\345\233\276", "'\345\233\276'" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_text text = { 0 };
        hr_python_string(&text, cases[i][0]);
        assert_string_equal(hr_text_str(&text), cases[i][1]);
        hr_text_fini(&text);
    }
}

static void numbers(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        { 0.0, "0.0" },
        { 1.0, "1.0" },
        { 0.5, "0.5" },
        { 0.1, "0.1" },
        { (double)0.93414021f, "0.9341402053833008" },
        { 1e-05, "1e-05" },
        { (double)1.5e-7f, "1.500000053056283e-07" },
        { 0.0001, "0.0001" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_text text = { 0 };
        hr_python_number(&text, cases[i].value);
        assert_string_equal(hr_text_str(&text), cases[i].text);
        hr_text_fini(&text);
    }
}

static void errors_have_families(void **state)
{
    (void)state;
    assert_int_equal(hr_paddle_error_number(HR_OK), 0);
    assert_int_equal(hr_paddle_error_number(HR_E_NOT_FOUND), 3002);
    assert_int_equal(hr_paddle_error_number(HR_E_FORMAT), 5000);
    assert_int_equal(hr_paddle_error_number(HR_E_DEADLINE), 6000);
    assert_int_equal(hr_paddle_error_number(HR_E_BUSY), 3000);
    assert_int_equal(hr_paddle_error_number(HR_E_INTERNAL), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings),
        cmocka_unit_test(numbers),
        cmocka_unit_test(errors_have_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
