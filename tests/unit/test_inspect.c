/* SPDX-License-Identifier: Apache-2.0
 * What inspection finds in small data sets that are wrong in one way each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "train/inspect.h"

static char folder[64], told[16384];

static void write_file(const char *name, const char *text)
{
    char path[192], *slash;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(hr_os_make_folders(path), HR_OK);
    *slash = '/';
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* A picture of 2 x 1 whose bytes are `shade`. */
static void picture(const char *name, char shade)
{
    char text[32];
    snprintf(text, sizeof text, "P6 2 1 255\n%c%c%c%c%c%c", shade, shade, shade, shade, shade,
             shade);
    write_file(name, text);
}

static void take(void *context, const struct hr_finding *f)
{
    static const char *const levels[] = { "note", "warning", "error" };
    const size_t used = strlen(told);
    (void)context;
    snprintf(told + used, sizeof told - used, "%s %s %s: %s\n", levels[f->level],
             f->validation ? "val" : "train", f->kind, f->message);
}

/* Inspects a and b (or NULL) below the folder. */
static struct hr_inspection look(const char *a, const char *b, bool quick)
{
    char train[128], validation[128];
    struct hr_inspection in = { .errors = 0 };
    struct hr_inspect_options o = {
        .data = train, .validation = b ? validation : NULL, .quick = quick, .threads = 2
    };
    snprintf(train, sizeof train, "%s/%s", folder, a);
    snprintf(validation, sizeof validation, "%s/%s", folder, b ? b : "");
    told[0] = '\0';
    o.fn = take;
    o.root = folder;
    assert_int_equal(hr_inspect(&in, &o), HR_OK);
    return in;
}

static void expect(const char *words)
{
    if (!strstr(told, words))
        fail_msg("'%s' is not told in:\n%s", words, told);
}

static int set_up(void **state)
{
    char name[64];
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hrnet-inspect-%ld", (long)getpid());
    for (int i = 0; i < 14; i++) {
        snprintf(name, sizeof name, "train/%s/%d.ppm", i % 2 ? "b" : "a", i);
        picture(name, (char)('A' + i));
    }
    return 0;
}

static int tear_down(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void good_data_is_good(void **state)
{
    struct hr_inspection in = look("train", NULL, false);
    (void)state;
    assert_string_equal(told, "");
    assert_int_equal(in.errors + in.warnings, 0);
    assert_int_equal(in.train.paths.count, 14);
    hr_inspection_fini(&in);
}

static void bad_pictures_are_named(void **state)
{
    write_file("bad/a/1.ppm", "");
    write_file("bad/a/2.ppm", "no picture");
    picture("bad/a/3.ppm", 'x');
    picture("bad/b/1.ppm", 'y');
    struct hr_inspection in = look("bad", NULL, false);
    (void)state;
    expect("error train unreadable: ");
    expect("bad/a/1.ppm");
    expect("bad/a/2.ppm");
    assert_int_equal(in.unreadable[0], 2);
    hr_inspection_fini(&in);
    in = look("bad", NULL, true);
    assert_int_equal(in.unreadable[0], 0);
    hr_inspection_fini(&in);
}

static void equal_pictures_are_told(void **state)
{
    picture("val/a/1.ppm", 'A'); /* train/a/0 */
    picture("val/b/1.ppm", 'C'); /* train/a/2 */
    picture("val/b/2.ppm", 'z');
    picture("val/b/3.ppm", 'z');
    picture("val/a/4.ppm", 'z');
    struct hr_inspection in = look("train", "val", false);
    (void)state;
    expect("error val leak: ");
    expect("val/a/1.ppm is also a training picture, ");
    expect("train/a/2.ppm, with another label");
    expect("val/b/2.ppm are equal but have different labels");
    assert_int_equal(in.errors, 4);
    hr_inspection_fini(&in);
}

static void lists_are_read_to_their_end(void **state)
{
    write_file("list.txt", "\xEF\xBB\xBFtrain/a/0.ppm 0\ntrain/b/1.ppm one\nx.jpg\n"
                           "train/nothing.ppm 1\ntrain/b/3.ppm\t1\n\ntrain/b/5.ppm 7\n");
    struct hr_inspection in = look("list.txt", NULL, true);
    (void)state;
    expect("line 2: label 'one' is not a number");
    expect("line 3 is not 'path label'");
    expect("error train missing: ");
    expect("line 4: there is no file");
    expect("5 of 8 classes have no picture");
    assert_int_equal(in.train.paths.count, 3);
    assert_int_equal(in.missing[0], 1);
    assert_int_equal(in.train.lines[1], 5);
    hr_inspection_fini(&in);
}

static void labels_that_count_from_one(void **state)
{
    write_file("one.txt", "train/a/0.ppm 1\ntrain/b/1.ppm 2\ntrain/b/3.ppm 3\n");
    struct hr_inspection in = look("one.txt", NULL, true);
    (void)state;
    expect("labels look 1-based: 1 to 3 all occur and 0 does not (line 3 has 3)");
    assert_int_equal(in.errors, 1);
    hr_inspection_fini(&in);
}

static void orders_that_differ(void **state)
{
    write_file("la.txt", "train/a/0.ppm 0\ntrain/a/2.ppm 0\ntrain/b/1.ppm 1\n");
    write_file("lb.txt", "val/b/1.ppm 0\nval/a/1.ppm 1\nval/a/4.ppm 2\n");
    struct hr_inspection in = look("la.txt", "lb.txt", true);
    (void)state;
    expect("error val order: folder 'b' has label 0 here and 1 in the training list, and 0 more");
    expect("label 2 occurs (line 3), but the training data has 2 classes");
    hr_inspection_fini(&in);
    picture("other/0/1.ppm", '1');
    picture("other/b/1.ppm", '2');
    in = look("train", "other", true);
    expect("error val class: class folder '0' is not among the training data's");
    expect("warning val class: class folder 'a' of the training data is missing");
    hr_inspection_fini(&in);
    picture("third/b/1.ppm", '1');
    picture("third/c/1.ppm", '2');
    in = look("train", "third", true);
    expect("warning val order: class folder 'b' is number 0 here and 1 in the training data");
    hr_inspection_fini(&in);
    picture("numbers/2/1.ppm", '1');
    picture("numbers/10/1.ppm", '2');
    in = look("numbers", NULL, true);
    expect("note train order: classes are numbered as people count, '2' before '10'");
    assert_int_equal(in.errors, 0);
    hr_inspection_fini(&in);
}

static void classes_of_all_sizes(void **state)
{
    char list[4096] = "train/b/1.ppm 1\n";
    (void)state;
    for (int i = 0; i < 40; i++)
        strcat(list, "train/a/0.ppm 0\n");
    write_file("uneven.txt", list);
    struct hr_inspection in = look("uneven.txt", NULL, true);
    expect("warning train balance: class 0 has 40 pictures and class 1 only 1");
    expect("1 classes have fewer than 5 pictures, the first is class 1 with 1");
    hr_inspection_fini(&in);
    write_file("single.txt", "train/a/0.ppm 1\ntrain/a/2.ppm 1\ntrain/b/1.ppm 1\n");
    in = look("single.txt", NULL, true);
    expect("labels look 1-based");
    hr_inspection_fini(&in);
    write_file("zero.txt", "train/a/0.ppm 0\ntrain/a/2.ppm 0\n");
    in = look("zero.txt", NULL, true);
    expect("error train class: all 2 pictures are of one class, class 0");
    hr_inspection_fini(&in);
}

static void several_labels(void **state)
{
    write_file("several.txt", "train/a/0.ppm 0,1,0\ntrain/a/2.ppm 1,1,0\ntrain/b/1.ppm 1\n"
                              "train/b/3.ppm 1,0\ntrain/b/5.ppm 1,0,2\n");
    struct hr_inspection in = look("several.txt", "la.txt", true);
    (void)state;
    expect("line 3 has 1 label, the lines before it 3");
    expect("line 4 has 2 labels, the lines before it 3");
    expect("line 5: '1,0,2' is not a row of 0 and 1");
    expect("one label a picture in one set, several in the other");
    expect("1 of 3 classes have no picture, the first is class 2");
    assert_int_equal(in.train.paths.count, 2);
    assert_int_equal(in.train.several[3], 1);
    hr_inspection_fini(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_data_is_good),          cmocka_unit_test(bad_pictures_are_named),
        cmocka_unit_test(equal_pictures_are_told),    cmocka_unit_test(lists_are_read_to_their_end),
        cmocka_unit_test(labels_that_count_from_one), cmocka_unit_test(orders_that_differ),
        cmocka_unit_test(classes_of_all_sizes),       cmocka_unit_test(several_labels),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
