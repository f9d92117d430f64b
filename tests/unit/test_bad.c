/* SPDX-License-Identifier: Apache-2.0
 * The table of bad pictures reads back what was written, whatever names and reasons hold, and takes
 * nothing from files that say nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/compiler.h"
#include "train/bad.h"

static const char *const training[] = { "a.jpg", "dir/b \"c\", d.png", "line\nend.bmp", "e.jpg" };

static void make_set(struct hr_dataset *set, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hr_names_add(&set->paths, names[i]), HR_OK);
}

static void add(struct hr_bad_list *list, size_t picture, const char *reason, bool want_new)
{
    bool is_new = !want_new;
    assert_int_equal(hr_bad_add(list, picture, reason, 1, &is_new), HR_OK);
    assert_int_equal(is_new, want_new);
}

static void what_is_written_reads_back(void **state)
{
    static const char *const other[] = { "v.jpg" };
    struct hr_dataset sets[2] = { { .several = NULL }, { .several = NULL } };
    struct hr_bad_list lists[2] = { { 0 } }, back[2] = { { 0 } };
    struct hr_text text = { 0 };
    (void)state;
    make_set(&sets[0], training, HR_COUNT(training));
    make_set(&sets[1], other, 1);
    const struct hr_bad_set of[] = { { "training", &sets[0], &lists[0] },
                                     { "validation", &sets[1], &lists[1] } };
    const struct hr_bad_set again[] = { { "training", &sets[0], &back[0] },
                                        { "validation", &sets[1], &back[1] } };
    hr_bad_print(&text, of, 2);
    assert_string_equal(hr_text_str(&text), ""); /* nothing is bad */
    add(&lists[0], 2, "line\nend.bmp: no \"picture\"", true);
    add(&lists[0], 1, "too short, by much", true);
    add(&lists[0], 2, "line\nend.bmp: no \"picture\"", false);
    add(&lists[1], 0, "v.jpg: text", true);
    assert_true(lists[0].changed);
    hr_bad_print(&text, of, 2);
    assert_string_equal(hr_text_str(&text),
                        "picture,reason,times,set\n"
                        "\"line\nend.bmp\",\"no \"\"picture\"\"\",2,training\n"
                        "\"dir/b \"\"c\"\", d.png\",\"too short, by much\",1,training\n"
                        "v.jpg,text,1,validation\n");
    assert_int_equal(hr_bad_parse(hr_text_str(&text), again, 2), HR_OK);
    assert_int_equal(back[0].count, 2);
    assert_int_equal(back[0].items[0].picture, 2);
    assert_int_equal(back[0].items[0].times, 2);
    assert_string_equal(back[0].items[1].reason, "too short, by much");
    assert_int_equal(back[1].count, 1);
    for (int i = 0; i < 2; i++) {
        hr_bad_fini(&lists[i]);
        hr_bad_fini(&back[i]);
        hr_dataset_fini(&sets[i]);
    }
    hr_text_fini(&text);
}

static void texts_that_say_nothing(void **state)
{
    static const char *const texts[] = { "",
                                         "\"",
                                         "picture,reason,times,set\n",
                                         "a.jpg,why,1,training", /* not ended */
                                         "a.jpg,why,0,training\n",
                                         "a.jpg,why,-1,training\n",
                                         "a.jpg,why,x,training\n",
                                         "a.jpg,why,1,other\n",
                                         "z.jpg,why,1,training\n",
                                         "a.jpg,why,1\n",
                                         "a.jpg,why,1,training,more\n",
                                         "\"a.jpg\"x,why,1,training\n",
                                         "a.jpg,\"why,1,training\n" };
    struct hr_dataset set = { .several = NULL };
    struct hr_bad_list list = { 0 };
    const struct hr_bad_set of = { "training", &set, &list };
    (void)state;
    make_set(&set, training, HR_COUNT(training));
    for (size_t i = 0; i < HR_COUNT(texts); i++) {
        assert_int_equal(hr_bad_parse(texts[i], &of, 1), HR_OK);
        if (list.count > 0)
            print_error("%s\n", texts[i]);
        assert_int_equal(list.count, 0);
    }
    assert_int_equal(hr_bad_parse("a.jpg,why,1\ne.jpg,why,7,training\n", &of, 1), HR_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].times, 7);
    hr_bad_fini(&list);
    hr_dataset_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(texts_that_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
