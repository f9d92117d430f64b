/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "serve/number_arrays.h"

static const char *const keys[] = { "data", "instances", NULL };

static enum hr_status cut(struct hr_number_arrays *out, const char *json)
{
    *out = (struct hr_number_arrays){ 0 };
    return hr_number_arrays_cut(out, json, strlen(json), keys);
}

static void arrays_are_cut_out_of_the_text(void **state)
{
    struct hr_number_arrays a;
    (void)state;
    assert_int_equal(cut(&a, "{\"shape\":[1,2], \"data\" : [ [1 , -2.5] ,[3e2,4] ],\"x\":"
                             "\"\\\"data\\\":[9]\",\"instances\":[7]}"),
                     HR_OK);
    assert_string_equal(hr_text_str(&a.text), "{\"shape\":[1,2], \"data\" : [0],\"x\":"
                                              "\"\\\"data\\\":[9]\",\"instances\":[1]}");
    assert_int_equal(a.count, 2);
    assert_int_equal(a.items[0].count, 4);
    assert_true(a.items[0].regular);
    assert_int_equal(a.items[0].rank, 2);
    assert_int_equal(a.items[0].shape[0], 2);
    assert_int_equal(a.items[0].shape[1], 2);
    const float wanted[] = { 1, -2.5f, 300, 4 };
    assert_memory_equal(a.items[0].values, wanted, sizeof wanted);
    assert_true(a.items[1].values[0] == 7);
    hr_number_arrays_fini(&a);
}

static void other_arrays_stay(void **state)
{
    static const char *const texts[] = { "{\"data\":[\"a\",\"b\"]}",
                                         "{\"data\":[]}",
                                         "{\"data\":[true]}",
                                         "{\"data\":3}",
                                         "{\"date\":[1]}",
                                         "[1,2,3]",
                                         "\"data",
                                         "{\"data\"",
                                         "{\"data\":",
                                         "\"data\\",
                                         "" };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hr_number_arrays a;
        assert_int_equal(cut(&a, texts[i]), HR_OK);
        assert_string_equal(hr_text_str(&a.text), texts[i]);
        assert_int_equal(a.count, 0);
        hr_number_arrays_fini(&a);
    }
}

static void what_is_no_array_of_numbers_is_refused(void **state)
{
    static const char *const texts[] = {
        "{\"data\":[1,]}", "{\"data\":[1 2]}",   "{\"data\":[1,\"a\"]}", "{\"data\":[1",
        "{\"data\":[1,[",  "{\"data\":[01]}",    "{\"data\":[1.]}",      "{\"data\":[-]}",
        "{\"data\":[1e]}", "{\"data\":[1e999]}", "{\"data\":[1,NaN]}",   "{\"data\":[1,,2]}",
        "{\"data\":[1.5.", "{\"data\":[[1][2]]", "{\"data\":[-1e+]}",    "{\"data\":[1,null]}",
        "{\"data\":[1}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hr_number_arrays a;
        assert_int_equal(cut(&a, texts[i]), HR_E_FORMAT);
        hr_number_arrays_fini(&a);
    }
}

static void nesting_is_bounded_and_told(void **state)
{
    struct hr_number_arrays a;
    (void)state;
    assert_int_equal(cut(&a, "{\"data\":[[[[[[[[[1]]]]]]]]]}"), HR_E_LIMIT);
    hr_number_arrays_fini(&a);
    static const char *const uneven[] = { "{\"data\":[[1,2],[3]]}", "{\"data\":[1,[2]]}",
                                          "{\"data\":[[1],2]}", "{\"data\":[[1],[]]}" };
    for (size_t i = 0; i < sizeof uneven / sizeof *uneven; i++) {
        assert_int_equal(cut(&a, uneven[i]), HR_OK);
        assert_false(a.items[0].regular);
        hr_number_arrays_fini(&a);
    }
    char text[400] = "{\"data\":[1.";
    memset(text + strlen(text), '0', 300);
    strcat(text, "1e-99999]}");
    assert_int_equal(cut(&a, text), HR_E_LIMIT);
    hr_number_arrays_fini(&a);
}

static void check_number(const char *text)
{
    struct hr_number_arrays a;
    char json[512];
    snprintf(json, sizeof json, "{\"data\":[%s]}", text);
    assert_int_equal(cut(&a, json), HR_OK);
    const float wanted = strtof(text, NULL);
    if (memcmp(&wanted, a.items[0].values, sizeof wanted) != 0)
        fail_msg("%s became %.9g, not %.9g", text, (double)a.items[0].values[0], (double)wanted);
    hr_number_arrays_fini(&a);
}

static void every_number_becomes_the_nearest_float(void **state)
{
    static const char *const odd[] = {
        "0",
        "-0",
        "0.0",
        "-0.0e5",
        "1e-46",
        "1.4e-45",
        "7e-46",
        "1.17549435e-38",
        "3.4028234e38",
        "3.40282346638528859811704183484516925440e+38",
        "16777217",
        "16777219",
        "33554431",
        "0.1",
        "1.00000005960464477539062",
        "1.00000005960464477539063",
        "1.0000000596046447753906200000000000000000000001",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000011754942106924411",
        "9007199254740993",
        "1e22",
        "1e23",
        "1E+10",
        "18446744073709551616",
        "0.00000000000000000000000000001",
    };
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        check_number(odd[i]);
    uint64_t random = 1;
    for (int i = 0; i < 200000; i++) {
        float value;
        double wide;
        const uint64_t bits = hr_hash_mix(random += HR_HASH_STEP);
        const uint32_t low = (uint32_t)bits;
        memcpy(&value, &low, sizeof value);
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, i % 2 ? "%.9g" : "%.17g", (double)value);
        check_number(text);
        /* Next to the middle between two floats. */
        wide = (double)value + (double)(nextafterf(value, 0) - value) / 2;
        snprintf(text, sizeof text, "%.*g", 10 + (int)(bits >> 60), wide);
        check_number(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_cut_out_of_the_text),
        cmocka_unit_test(other_arrays_stay),
        cmocka_unit_test(what_is_no_array_of_numbers_is_refused),
        cmocka_unit_test(nesting_is_bounded_and_told),
        cmocka_unit_test(every_number_becomes_the_nearest_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
