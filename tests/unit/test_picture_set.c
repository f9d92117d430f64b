/* SPDX-License-Identifier: Apache-2.0
 * Several pictures for one model: limits, base 64 with and without its address, best classes, and
 * the code of a picture that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hostile.h"
#include "serve/picture_set.h"
#include "small_service.h"

static struct hr_service *service;

static int set_up(void **state)
{
    (void)state;
    service = small_service_start(NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_service_stop(service);
    return 0;
}

static void counts_are_bounded(void **state)
{
    struct hr_pictures p = { 0 };
    (void)state;
    assert_int_equal(hr_pictures_begin(&p, service, NULL, NULL, 0), HR_E_ARGUMENT);
    assert_int_equal(hr_pictures_begin(&p, service, NULL, NULL, 9), HR_E_LIMIT);
    assert_int_equal(hr_pictures_begin(&p, service, "n", NULL, 1), HR_E_NOT_FOUND);
    hr_pictures_fini(&p);
    assert_int_equal(hr_pictures_begin(&p, service, NULL, NULL, 1), HR_OK);
    assert_string_equal(p.request.items[0].name, "the picture");
    hr_pictures_fini(&p);
    assert_int_equal(hr_pictures_begin(&p, service, "m", "1", 8), HR_OK);
    assert_string_equal(p.request.items[7].name, "picture 8");
    assert_ptr_equal(p.request.items[7].logits, p.logits + 7 * SMALL_CLASSES);
    hr_pictures_fini(&p);
}

static void base_64_may_have_an_address(void **state)
{
    static const struct {
        const char *text, *bytes;
        enum hr_status status;
    } cases[] = {
        { "aGFsbG8=", "hallo", HR_OK },
        { "data:image/png;base64,aGFsbG8=", "hallo", HR_OK },
        { "data:,aGFsbG8=", "hallo", HR_OK },
        { "", "", HR_OK },
        { "data:aGFsbG8=", NULL, HR_E_FORMAT }, /* no comma: no address, and no base 64 */
        { "aGFs*G8=", NULL, HR_E_FORMAT },
    };
    struct hr_pictures p = { 0 };
    (void)state;
    assert_int_equal(hr_pictures_begin(&p, service, NULL, NULL, 2), HR_OK);
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_buffer bytes = { 0 };
        const enum hr_status status =
            hr_pictures_set_base64(&p, 1, cases[i].text, strlen(cases[i].text), &bytes);
        assert_int_equal(status, cases[i].status);
        if (status == HR_OK) {
            assert_int_equal(p.request.items[1].picture_bytes, strlen(cases[i].bytes));
            assert_memory_equal(p.request.items[1].picture, cases[i].bytes, strlen(cases[i].bytes));
        } else {
            assert_non_null(strstr(hr_last_message(), "picture 2"));
        }
        hr_buffer_fini(&bytes);
    }
    hr_pictures_fini(&p);
}

static void best_classes_come_first(void **state)
{
    struct hr_pictures p = { 0 };
    (void)state;
    assert_int_equal(hr_pictures_begin(&p, service, NULL, NULL, 2), HR_OK);
    memcpy(p.logits + SMALL_CLASSES, (const float[]){ 1, 3, 2, 3, -1 },
           SMALL_CLASSES * sizeof *p.logits);
    const size_t *index = hr_pictures_top(&p, 1, 3);
    assert_true(index[0] == 1 && index[1] == 3 && index[2] == 2); /* of equal ones the first */
    assert_true(p.probabilities[1] == p.probabilities[3] && p.probabilities[1] > 0.39f);
    json_t *classes = hr_pictures_classes(&p, 1, 99);
    assert_int_equal(json_array_size(json_object_get(classes, "class_ids")), SMALL_CLASSES);
    assert_int_equal(json_array_size(json_object_get(classes, "label_names")), SMALL_CLASSES);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(classes, "class_ids"), 4)),
                     4);
    json_decref(classes);
    hr_pictures_fini(&p);
}

static void codes_tell_broken_from_no_picture(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum hr_status status;
        int code;
    } cases[] = {
        { "\xff\xd8\xff\xe0", 4, HR_E_FORMAT, 422 },
        { "\x89PNG", 4, HR_E_FORMAT, 422 },
        { "RIFF\0\0\0\0WEBP", 12, HR_E_FORMAT, 422 },
        { "RIFF\0\0\0\0WAVE", 12, HR_E_FORMAT, 415 },
        { "BM", 2, HR_E_FORMAT, 422 },
        { "P6", 2, HR_E_FORMAT, 422 },
        { "P7", 2, HR_E_FORMAT, 415 },
        { "GIF8", 4, HR_E_FORMAT, 415 },
        { "", 0, HR_E_FORMAT, 415 },
        { "\xff\xd8", 2, HR_E_FORMAT, 415 },
        { "BM", 2, HR_E_UNSUPPORTED, 415 },
        { "BM", 2, HR_E_LIMIT, 413 },
        { "BM", 2, HR_E_DEADLINE, 504 },
        { "BM", 2, HR_E_BUSY, 503 },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        const struct hr_item item = { .picture = cases[i].bytes,
                                      .picture_bytes = cases[i].size,
                                      .status = cases[i].status };
        assert_int_equal(hr_picture_code(&item), cases[i].code);
    }
}

static void without_memory_nothing_is_left(void **state)
{
    bool failed = true;
    (void)state;
    for (unsigned n = 0; failed; n++) {
        struct hr_pictures p = { 0 };
        hostile_memory_fail(n);
        const enum hr_status status = hr_pictures_begin(&p, service, NULL, NULL, 3);
        hr_pictures_fini(&p);
        assert_int_equal(hostile_memory_held(), 0);
        failed = hostile_memory_restore();
        assert_int_equal(status, failed ? HR_E_MEMORY : HR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_bounded),
        cmocka_unit_test(base_64_may_have_an_address),
        cmocka_unit_test(best_classes_come_first),
        cmocka_unit_test(codes_tell_broken_from_no_picture),
        cmocka_unit_test(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
