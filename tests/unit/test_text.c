/* SPDX-License-Identifier: Apache-2.0
 * Strict numbers, natural order, hints, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static void numbers(void **state)
{
    static const char *const bad[] = { "",    " 1",  "1 ", "1x",  "0x10",
                                       "1.5", "--1", "+",  "1e3", "9223372036854775808" };
    int64_t value = 0;
    double real = 0;
    uint64_t bytes = 0;
    (void)state;
    for (size_t i = 0; i < HR_COUNT(bad); i++)
        assert_int_equal(hr_parse_i64(bad[i], &value), HR_E_ARGUMENT);
    assert_int_equal(hr_parse_i64("-9223372036854775808", &value), HR_OK);
    assert_true(value == INT64_MIN);
    assert_int_equal(hr_parse_f64("0.00392157", &real), HR_OK);
    assert_true(real == 0.00392157);
    assert_int_equal(hr_parse_f64("1,5", &real), HR_E_ARGUMENT);
    assert_int_equal(hr_parse_f64("", &real), HR_E_ARGUMENT);
    assert_int_equal(hr_parse_bytes("64K", &bytes), HR_OK);
    assert_int_equal(bytes, 65536);
    assert_int_equal(hr_parse_bytes("2G", &bytes), HR_OK);
    assert_true(bytes == (uint64_t)2 << 30);
    assert_int_equal(hr_parse_bytes("99999999999G", &bytes), HR_E_ARGUMENT);
    assert_int_equal(hr_parse_bytes("-1", &bytes), HR_E_ARGUMENT);
}

static void natural_order(void **state)
{
    static const char *const sorted[] = { "a", "a1",       "a2",        "a02", "a10",
                                          "b", "img2.png", "img10.png", "x/1", "x/2" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(sorted); i++)
        for (size_t j = 0; j < HR_COUNT(sorted); j++) {
            const int got = hr_natural_compare(sorted[i], sorted[j]);
            if (i == j)
                assert_int_equal(got, 0);
            else if (strcmp(sorted[i], "a2") != 0 && strcmp(sorted[i], "a02") != 0)
                assert_true(i < j ? got < 0 : got > 0);
        }
    assert_int_not_equal(hr_natural_compare("a2", "a02"), 0);
    assert_true(hr_natural_compare("99999999999999999999998", "99999999999999999999999") < 0);
}

static void hints(void **state)
{
    static const char *const names[] = { "predict", "preprocess", "batch", "bench" };
    (void)state;
    assert_string_equal(hr_nearest_name("pedict", names, 4), "predict");
    assert_string_equal(hr_nearest_name("bacth", names, 4), "batch");
    assert_null(hr_nearest_name("zzz", names, 4));
    assert_null(hr_nearest_name("", names, 4));
}

static void builder(void **state)
{
    struct hr_text t = { 0 };
    char *taken = NULL;
    (void)state;
    assert_string_equal(hr_text_str(&t), "");
    for (int i = 0; i < 100; i++)
        hr_text_printf(&t, "%d,", i);
    hr_text_add_bytes(&t, "xyz", 2);
    assert_int_equal(t.size, 292);
    assert_int_equal(hr_text_take(&t, &taken), HR_OK);
    assert_true(hr_text_starts(taken, "0,1,") && hr_text_ends(taken, "99,xy"));
    hr_mem_free(taken);
    hr_text_fini(&t);
    assert_true(hr_text_same("JPG", "jpg"));
    assert_false(hr_text_same("JPG", "jpeg"));
}

static void utf8(void **state)
{
    (void)state;
    assert_true(hr_utf8_valid("caf\xc3\xa9 \xe5\x9b\xbe \xf0\x9f\x90\x88", 14));
    assert_false(hr_utf8_valid("\xc0\xaf", 2));     /* overlong */
    assert_false(hr_utf8_valid("\xed\xa0\x80", 3)); /* surrogate */
    assert_false(hr_utf8_valid("\xe5\x9b", 2));     /* cut */
    assert_false(hr_utf8_valid("\xff", 1));
    assert_false(hr_utf8_valid("\xf4\x90\x80\x80", 4)); /* past U+10FFFF */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(numbers), cmocka_unit_test(natural_order),
                                        cmocka_unit_test(hints), cmocka_unit_test(builder),
                                        cmocka_unit_test(utf8) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
