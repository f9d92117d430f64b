/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/classify: bodies and forms, what a query asks for, which picture failed and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "small_pictures.h"
#include "small_request.h"

#define FORM  "POST /v1/classify\nContent-Type:multipart/form-data; boundary=xyz"
#define PLAIN "POST /v1/classify"

static const uint32_t blocks[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030 };

static struct hr_service *service;
static struct hr_buffer jpeg;
static float logits[SMALL_CLASSES];

static int set_up(void **state)
{
    (void)state;
    service = small_service_start(NULL);
    make_block_jpeg(&jpeg, blocks, 6); /* turned */
    small_picture_logits(service, span_of(&jpeg), logits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hr_buffer_fini(&jpeg);
    small_service_stop(service);
    return 0;
}

static const json_t *result(const struct small_answer *answer, size_t i)
{
    return json_array_get(json_object_get(answer->json, "results"), i);
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void a_picture_gets_its_classes(void **state)
{
    size_t order[SMALL_CLASSES];
    (void)state;
    hrnet_top_k(logits, SMALL_CLASSES, SMALL_CLASSES, order);
    struct small_answer answer = small_ask(service, PLAIN "?k=3&logits=1", jpeg.data, jpeg.size);
    const json_t *r = result(&answer, 0), *ids = json_object_get(r, "class_ids");
    const json_t *numbers = json_object_get(r, "logits");
    assert_int_equal(answer.code, 200);
    assert_int_equal(json_array_size(ids), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(json_integer_value(json_array_get(ids, i)), order[i]);
    assert_int_equal(json_array_size(numbers), SMALL_CLASSES);
    for (size_t i = 0; i < SMALL_CLASSES; i++)
        assert_true((float)json_real_value(json_array_get(numbers, i)) == logits[i]);
    assert_int_equal(number(r, "width"), 32);
    assert_int_equal(number(r, "orientation"), 6);
    assert_string_equal(json_string_value(json_object_get(r, "format")), "JPEG");
    assert_string_equal(json_string_value(json_object_get(answer.json, "model")), "m");
    assert_int_equal(number(json_object_get(answer.json, "timing"), "batch"), 1);
    small_answer_fini(&answer);
    answer = small_ask(service, PLAIN, jpeg.data, jpeg.size);
    assert_int_equal(json_array_size(json_object_get(result(&answer, 0), "class_ids")), 5);
    assert_null(json_object_get(result(&answer, 0), "logits"));
    small_answer_fini(&answer);
}

static void queries_are_checked(void **state)
{
    static const char *const heads[] = { PLAIN "?k=0", PLAIN "?k=6", PLAIN "?k=", PLAIN "?logits=2",
                                         PLAIN "?explain=x" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(heads); i++) {
        struct small_answer answer = small_ask(service, heads[i], jpeg.data, jpeg.size);
        assert_int_equal(answer.code, 400);
        small_answer_fini(&answer);
    }
    small_refuses(service, PLAIN "?model=n", "x", 404, "'n'");
    small_refuses(service, PLAIN "?model=m&version=2", "x", 404, "'2'");
    small_refuses(service, PLAIN, "", 400, "empty");
    small_refuses(service, PLAIN, "text", 415, "not a picture");
}

/* A part of a form; name "" for none. */
static void add_part(struct hr_buffer *form, const char *file_name, const void *data, size_t size)
{
    char head[160];
    snprintf(head, sizeof head,
             "--xyz\r\nContent-Disposition: form-data; name=\"a\"; filename=\"%s\"\r\n\r\n",
             file_name);
    hr_buffer_put(form, head, strlen(head));
    hr_buffer_put(form, data, size);
    hr_buffer_put(form, "\r\n", 2);
}

static void a_bad_picture_of_a_form_fails_alone(void **state)
{
    struct hr_buffer form = { 0 };
    (void)state;
    add_part(&form, "one.jpg", jpeg.data, jpeg.size);
    add_part(&form, "two.txt", "text", 4);
    add_part(&form, "", jpeg.data, jpeg.size / 4);
    hr_buffer_put(&form, "--xyz--\r\n", 9);
    struct small_answer answer = small_ask(service, FORM, form.data, form.size);
    assert_int_equal(answer.code, 200);
    const json_t *one = result(&answer, 0), *two = result(&answer, 1), *three = result(&answer, 2);
    assert_int_equal(json_array_size(json_object_get(one, "class_ids")), 5);
    assert_string_equal(json_string_value(json_object_get(one, "filename")), "one.jpg");
    assert_int_equal(number(two, "code"), 415);
    assert_non_null(strstr(json_string_value(json_object_get(two, "error")), "picture 2"));
    assert_string_equal(json_string_value(json_object_get(two, "filename")), "two.txt");
    assert_int_equal(number(three, "code"), 422); /* cut off */
    assert_null(json_object_get(three, "filename"));
    small_answer_fini(&answer);
    hr_buffer_fini(&form);

    add_part(&form, "two.txt", "text", 4); /* none is good: the request failed */
    hr_buffer_put(&form, "--xyz--\r\n", 9);
    answer = small_ask(service, FORM, form.data, form.size);
    assert_int_equal(answer.code, 415);
    small_answer_fini(&answer);
    hr_buffer_fini(&form);
}

static void forms_are_bounded(void **state)
{
    struct hr_buffer form = { 0 };
    (void)state;
    for (size_t i = 0; i <= service->limits.items; i++)
        add_part(&form, "a", "b", 1);
    hr_buffer_put(&form, "--xyz--\r\n", 9);
    struct small_answer answer = small_ask(service, FORM, form.data, form.size);
    assert_int_equal(answer.code, 413);
    small_answer_fini(&answer);
    hr_buffer_fini(&form);
    small_refuses(service, FORM, "--xyz--\r\n", 400, "no picture");
    small_refuses(service, FORM, "nothing of the kind", 400, "");
    small_refuses(service, "POST /v1/classify\nContent-Type:multipart/form-data", "--xyz--\r\n",
                  400, "boundary");
}

static void a_map_is_added(void **state)
{
    (void)state;
    struct small_answer answer = small_ask(service, PLAIN "?k=1&explain=1", jpeg.data, jpeg.size);
    const char *map = json_string_value(json_object_get(result(&answer, 0), "explanation"));
    assert_int_equal(answer.code, 200);
    assert_non_null(map);
    assert_memory_equal(map, "data:image/png;base64,iVBOR", 27); /* PNG's first bytes */
    small_answer_fini(&answer);
}

static void a_late_answer_is_504_and_a_full_queue_503(void **state)
{
    struct hr_service_options options;
    struct small_request held;
    float x[SMALL_FLOATS];
    (void)state;
    small_service_options(&options);
    assert_int_equal(hr_time_limits_parse(&options.limits.time, "/v1/classify=0.1"), HR_OK);
    options.batcher.queue_items = 1;
    struct hr_service *strict = small_service_start(&options);
    small_input("x", x);
    small_hold_begin(&held, strict, x);
    struct small_answer answer = small_ask(strict, PLAIN, jpeg.data, jpeg.size);
    assert_int_equal(answer.code, 504);
    small_answer_fini(&answer);
    struct small_request r;
    small_request_init(&r, strict, 1);
    small_request_tensors(&r, x, SMALL_SIDE, SMALL_SIDE);
    assert_int_equal(small_request_submit(&r, strict), HR_OK);
    answer = small_ask(strict, PLAIN, jpeg.data, jpeg.size);
    assert_int_equal(answer.code, 503);
    assert_true(answer.retry_seconds >= 1);
    small_answer_fini(&answer);
    small_let_go();
    small_request_wait(&r);
    small_request_fini(&r);
    small_request_fini(&held);
    small_service_stop(strict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_gets_its_classes),
        cmocka_unit_test(queries_are_checked),
        cmocka_unit_test(a_bad_picture_of_a_form_fails_alone),
        cmocka_unit_test(forms_are_bounded),
        cmocka_unit_test(a_map_is_added),
        cmocka_unit_test(a_late_answer_is_504_and_a_full_queue_503),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
