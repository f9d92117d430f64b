/* SPDX-License-Identifier: Apache-2.0
 * Label files: both forms, every defect with its line number, and the built-in names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/labels.h"

static enum hr_status parse(struct hr_labels *labels, const char *text)
{
    return hr_labels_parse(labels, text, strlen(text), "l.txt");
}

static void refused(const char *text, const char *because)
{
    struct hr_labels labels = { 0 };

    assert_int_equal(parse(&labels, text), HR_E_FORMAT);
    if (!strstr(hr_last_message(), because))
        fail_msg("message is: %s", hr_last_message());
    assert_null(labels.names);
}

static void test_forms(void **state)
{
    struct hr_labels labels;

    (void)state;
    assert_int_equal(parse(&labels, "\xEF\xBB\xBF"
                                    "1 cat, felis\r\n0 dog\r\n2 cat, felis\r\n\r\n"),
                     HR_OK);
    assert_int_equal(labels.count, 3);
    assert_string_equal(labels.names[0], "dog");
    assert_string_equal(labels.names[1], "cat, felis");
    assert_string_equal(labels.names[2], "cat, felis");
    hr_labels_fini(&labels);
    assert_int_equal(parse(&labels, "  red fox \n7up\n18 wheeler\n\xE5\x9B\xBE"), HR_OK);
    assert_int_equal(labels.count, 4);
    assert_string_equal(labels.names[0], "red fox");
    assert_string_equal(labels.names[1], "7up");
    assert_string_equal(labels.names[2], "18 wheeler");
    assert_string_equal(labels.names[3], "\xE5\x9B\xBE");
    hr_labels_fini(&labels);
}

static void test_defects(void **state)
{
    (void)state;
    refused("", "empty");
    refused("\r\n\r\n", "empty");
    refused("a\n\nb\n", "line 2 is blank");
    refused("a\nb\xFF\n", "line 2 is not UTF-8");
    refused("0 a\nb\n", "line 2 has no 'id name'");
    refused("0 a\n2 c\n", "line 2 has id 2");
    refused("1 a\n2 c\n", "line 2 has id 2");
    refused("0 a\n0 c\n", "line 2 has id 0 for the second time");
    refused("0 a\n99999999999999999999999 c\n", "line 2 has id");
}

static void test_imagenet(void **state)
{
    struct hr_labels labels;

    (void)state;
    assert_int_equal(hr_labels_imagenet(&labels), HR_OK);
    assert_int_equal(labels.count, 1000);
    assert_string_equal(labels.names[0], "tench, Tinca tinca");
    assert_string_equal(labels.names[134], "crane");
    assert_string_equal(labels.names[517], "crane");
    assert_string_equal(labels.names[999], "toilet tissue, toilet paper, bathroom tissue");
    for (size_t i = 0; i < labels.count; i++)
        for (const char *c = labels.names[i]; *c; c++)
            assert_in_range(*c, 32, 126);
    hr_labels_fini(&labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_defects),
        cmocka_unit_test(test_imagenet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
