/* SPDX-License-Identifier: Apache-2.0
 * Bodies of several parts: well made ones, every cut of one, and none at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/multipart.h"

enum { MOST = 3 };
#define TYPE "multipart/form-data; boundary=xyz"

static const char two[] =
    "--xyz\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.jpg\"\r\n"
    "Content-Type: image/jpeg\r\n\r\nfirst\r\n--xyz\r\n\r\nsecond\r\n--xyz--\r\n";

/* In a block of the body's size, so that reading behind its end is seen; NULL where it is empty. */
static enum hr_status parse(const char *type, const char *body, size_t size, struct hr_part *parts,
                            size_t *count)
{
    char *const copy = size ? malloc(size) : NULL;
    if (size)
        memcpy(copy, body, size);
    const enum hr_status status = hr_multipart_parse(type, copy, size, parts, MOST, count);
    for (size_t i = 0; status == HR_OK && i < *count; i++) /* views of what outlives this */
        parts[i].content.data = (const uint8_t *)body + (parts[i].content.data - (uint8_t *)copy);
    free(copy);
    return status;
}

static void parts_are_found(void **state)
{
    struct hr_part parts[MOST];
    size_t count;
    (void)state;
    assert_int_equal(parse(TYPE, two, sizeof two - 1, parts, &count), HR_OK);
    assert_int_equal(count, 2);
    assert_string_equal(parts[0].name, "a");
    assert_string_equal(parts[0].file_name, "a.jpg");
    assert_int_equal(parts[0].content.size, 5);
    assert_memory_equal(parts[0].content.data, "first", 5);
    assert_string_equal(parts[1].name, "");
    assert_int_equal(parts[1].content.size, 6);
    assert_memory_equal(parts[1].content.data, "second", 6);
    /* What stands before the first boundary is no part. */
    assert_int_equal(parse(TYPE, "text\r\n--xyz--", 13, parts, &count), HR_OK);
    assert_int_equal(count, 0);
}

static void what_is_cut_off_is_damaged(void **state)
{
    struct hr_part parts[MOST];
    size_t count;
    (void)state;
    for (size_t size = 0; size < sizeof two - 3; size++) /* the last line end may be missing */
        assert_int_equal(parse(TYPE, two, size, parts, &count), HR_E_FORMAT);
    assert_int_equal(parse(TYPE, two + 5, sizeof two - 6, parts, &count), HR_OK);
    assert_int_equal(count, 1); /* without its boundary the first is none */
}

static void too_many_parts_and_no_boundary(void **state)
{
    static const char four[] =
        "--xyz\r\n\r\n1\r\n--xyz\r\n\r\n2\r\n--xyz\r\n\r\n3\r\n--xyz\r\n\r\n4\r\n--xyz--";
    struct hr_part parts[MOST];
    size_t count;
    (void)state;
    assert_int_equal(parse(TYPE, four, sizeof four - 1, parts, &count), HR_E_LIMIT);
    assert_int_equal(parse("multipart/form-data", two, sizeof two - 1, parts, &count), HR_E_FORMAT);
    assert_int_equal(parse("multipart/form-data; boundary=", two, sizeof two - 1, parts, &count),
                     HR_E_FORMAT);
    assert_int_equal(
        parse("multipart/form-data; boundary=\"xyz\"", two, sizeof two - 1, parts, &count), HR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(what_is_cut_off_is_damaged),
        cmocka_unit_test(too_many_parts_and_no_boundary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
