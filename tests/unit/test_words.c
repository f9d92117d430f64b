/* SPDX-License-Identifier: Apache-2.0
 * Settings in one line: what is read, and how what is wrong is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "train/words.h"

static const char *const names[] = { "cosine", "step", "piecewise" };

static void names_are_chosen(void **state)
{
    size_t which = 9;
    (void)state;
    assert_int_equal(hr_words_choose("schedule", "step:every=3", names, 3, &which), HR_OK);
    assert_int_equal(which, 1);
    assert_int_equal(hr_words_choose("schedule", "cosine", names, 3, &which), HR_OK);
    assert_int_equal(which, 0);
    assert_int_equal(hr_words_choose("schedule", "cosin:end=1", names, 3, &which), HR_E_ARGUMENT);
    assert_string_equal(hr_last_message(), "schedule 'cosin' is not known: did you mean cosine");
    assert_int_equal(hr_words_choose("schedule", "", names, 3, &which), HR_E_ARGUMENT);
}

static void values_are_set(void **state)
{
    double end = 7.0;
    bool on = false, off = true, kept = true;
    struct hr_reals at = { .count = 9 };
    const struct hr_word words[] = { { "end", HR_WORD_REAL, &end },
                                     { "on", HR_WORD_SWITCH, &on },
                                     { "off", HR_WORD_SWITCH, &off },
                                     { "kept", HR_WORD_SWITCH, &kept },
                                     { "at", HR_WORD_REALS, &at } };
    (void)state;
    assert_int_equal(hr_words_set("it", "name", words, 5), HR_OK);
    assert_true(end > 6.9 && end < 7.1 && at.count == 9);
    assert_int_equal(hr_words_set("it", "name:on,end=1e-3,off=0,at=30/60.5/90", words, 5), HR_OK);
    assert_true(on && !off && kept);
    assert_true(end > 0.00099 && end < 0.00101);
    assert_int_equal(at.count, 3);
    assert_true(at.values[1] > 60.4 && at.values[1] < 60.6);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "n:ende=3", "it has no 'ende': did you mean end" },
        { "n:xyzzy=3", "it has no 'xyzzy'" },
        { "n:end", "'end' needs a value" },
        { "n:end=", "end is ''" },
        { "n:end=inf", "end is 'inf'" },
        { "n:on=2", "on is '2'" },
        { "n:at=1//2", "at is ''" },
        { "n:", "it has no ''" },
    };
    double end;
    bool on;
    struct hr_reals at;
    const struct hr_word words[] = { { "end", HR_WORD_REAL, &end },
                                     { "on", HR_WORD_SWITCH, &on },
                                     { "at", HR_WORD_REALS, &at } };
    char many[400] = "n:at=1";
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(hr_words_set("it", cases[i].text, words, 3), HR_E_ARGUMENT);
        if (!strstr(hr_last_message(), cases[i].says))
            fail_msg("'%s' does not say '%s'", hr_last_message(), cases[i].says);
    }
    for (int i = 0; i < HR_MAX_REALS; i++)
        strcat(many, "/1");
    assert_int_equal(hr_words_set("it", many, words, 3), HR_E_ARGUMENT);
    assert_non_null(strstr(hr_last_message(), "more than 64"));
}

static void parts_follow_one_another(void **state)
{
    const char *text = "a,,bcd";
    char part[3];
    (void)state;
    assert_true(hr_words_next(&text, ',', part, sizeof part));
    assert_string_equal(part, "a");
    assert_true(hr_words_next(&text, ',', part, sizeof part));
    assert_string_equal(part, "");
    assert_true(hr_words_next(&text, ',', part, sizeof part));
    assert_string_equal(part, "bc");
    assert_false(hr_words_next(&text, ',', part, sizeof part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_chosen),
        cmocka_unit_test(values_are_set),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(parts_follow_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
