/* SPDX-License-Identifier: Apache-2.0
 * The infer route: numbers in JSON, bytes behind it and mixtures give the session's bits; sizes
 * that lie are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "small_pictures.h"
#include "small_service.h"

#define INFER "POST /v2/models/m/infer"

static struct hr_service *service;
static float x[SMALL_FLOATS], logits[SMALL_CLASSES];

static int set_up(void **state)
{
    (void)state;
    service = small_service_start(NULL);
    small_input("oip", x);
    small_logits(service, x, logits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_service_stop(service);
    return 0;
}

/* Asks with a JSON part, whose length a header tells, and bytes behind it. */
static struct small_answer ask_binary(const char *json, const void *data, size_t size)
{
    struct hr_buffer body = { 0 };
    char head[128];
    snprintf(head, sizeof head, INFER "\nInference-Header-Content-Length:%zu", strlen(json));
    hr_buffer_put(&body, json, strlen(json));
    hr_buffer_put(&body, data, size);
    struct small_answer answer = small_ask(service, head, body.data, body.size);
    hr_buffer_fini(&body);
    return answer;
}

static void is_logits(const json_t *data)
{
    assert_int_equal(json_array_size(data), SMALL_CLASSES);
    for (size_t i = 0; i < SMALL_CLASSES; i++)
        assert_true((float)json_real_value(json_array_get(data, i)) == logits[i]);
}

static const json_t *output(const struct small_answer *answer, size_t i)
{
    return json_array_get(json_object_get(answer->json, "outputs"), i);
}

static void numbers_in_json_give_the_sessions_bits(void **state)
{
    struct hr_text text = { 0 };
    (void)state;
    for (int nested = 0; nested < 2; nested++) {
        text.size = 0;
        hr_text_add(&text, "{\"id\": \"7\", \"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", "
                           "\"shape\": [1, 3, 32, 32], \"data\": [");
        hr_text_add(&text, nested ? "[" : "");
        for (size_t i = 0; i < SMALL_FLOATS; i++)
            hr_text_printf(&text, "%s%.9g", i ? "," : "", (double)x[i]);
        hr_text_add(&text, nested ? "]]}]}" : "]}]}");
        struct small_answer answer = small_ask(service, INFER, hr_text_str(&text), text.size);
        assert_int_equal(answer.code, 200);
        assert_string_equal(json_string_value(json_object_get(answer.json, "id")), "7");
        assert_string_equal(json_string_value(json_object_get(answer.json, "model_name")), "m");
        assert_string_equal(json_string_value(json_object_get(answer.json, "model_version")), "1");
        is_logits(json_object_get(output(&answer, 0), "data"));
        small_answer_fini(&answer);
    }
    hr_text_fini(&text);
}

#define BINARY(size)                                                                      \
    "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": [1, 3, 32, 32], " \
    "\"parameters\": {\"binary_data_size\": " size "}}]"

static void bytes_behind_the_json_give_the_same(void **state)
{
    (void)state;
    struct small_answer answer = ask_binary(BINARY("12288") "}", x, sizeof x);
    assert_int_equal(answer.code, 200);
    assert_int_equal(answer.json_bytes, 0);
    is_logits(json_object_get(output(&answer, 0), "data"));
    small_answer_fini(&answer);

    answer = ask_binary(BINARY("12288") ", \"parameters\": {\"binary_data_output\": true}}", x,
                        sizeof x);
    assert_string_equal(answer.type, "application/octet-stream");
    assert_int_equal(answer.size, answer.json_bytes + sizeof logits);
    assert_memory_equal(answer.bytes + answer.json_bytes, logits, sizeof logits);
    small_answer_fini(&answer);

    answer = ask_binary(BINARY("12288") ", \"outputs\": [{\"name\": \"logits\", \"parameters\": "
                                        "{\"classification\": 2}}, {\"name\": \"logits\", "
                                        "\"parameters\": {\"binary_data\": true}}]}",
                        x, sizeof x); /* one of each */
    assert_int_equal(answer.code, 200);
    assert_int_equal(json_array_size(json_object_get(output(&answer, 0), "data")), 2);
    assert_memory_equal(answer.bytes + answer.json_bytes, logits, sizeof logits);
    small_answer_fini(&answer);

    answer = small_ask(service, INFER "\nInference-Header-Content-Length:0", x, sizeof x); /* raw */
    assert_int_equal(answer.code, 200);
    assert_memory_equal(answer.bytes + answer.json_bytes, logits, sizeof logits);
    small_answer_fini(&answer);
}

static void binary_sizes_that_lie_are_refused(void **state)
{
    static const struct {
        const char *json, *word;
        size_t size;
    } cases[] = {
        { BINARY("12288") "}", "12288 bytes of binary data, 12287 are left", sizeof x - 1 },
        { BINARY("12284") "}", "4 bytes of binary data belong to no input", sizeof x },
        { BINARY("12292") "}", "12292", sizeof x },
        { BINARY("18446744073709551615") "}", "", sizeof x },
        { BINARY("-1") "}", "'binary_data_size'", sizeof x },
        { BINARY("1.5") "}", "'binary_data_size'", sizeof x },
        { BINARY("\"12288\"") "}", "'binary_data_size'", sizeof x },
        { "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": [1, 3, 32, 32], "
          "\"parameters\": [1]}]}",
          "'parameters'", sizeof x },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct small_answer answer = ask_binary(cases[i].json, x, cases[i].size);
        const char *error = json_string_value(json_object_get(answer.json, "error"));
        if (answer.code != 400 || !error || !strstr(error, cases[i].word))
            fail_msg("case %zu: %d %s", i, answer.code, error ? error : "");
        small_answer_fini(&answer);
    }
    small_refuses(service, INFER "\nInference-Header-Content-Length:9", "{}", 400, "has 2 bytes");
    small_refuses(service, INFER "\nInference-Header-Content-Length:-1", "{}", 400, "'-1'");
    small_refuses(service, INFER "\nInference-Header-Content-Length:x", "{}", 400, "'x'");
    small_refuses(service, INFER "\nInference-Header-Content-Length:0", "raw", 400, "3 bytes");
}

#define INPUT(more) \
    "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": [1,3,1,1]" more "}]}"

static void what_is_wrong_is_named(void **state)
{
    static const char *const cases[][2] = {
        { "", "" },
        { "{}", "'inputs' must be an array" },
        { "{\"inputs\": {}}", "'inputs' must be an array" },
        { "{\"inputs\": [1]}", "must hold objects" },
        { "{\"inputs\": []}", "takes one input, not 0" },
        { "{\"inputs\": [{}, {}, {}, {}, {}, {}, {}, {}, {}]}", "not 9" },
        { "{\"inputs\": [{\"name\": \"x\"}]}", "'name' and 'datatype'" },
        { "{\"inputs\": [{\"name\": 1, \"datatype\": \"FP32\"}]}", "'name' must be a string" },
        { INPUT(""), "neither 'data'" },
        { INPUT(", \"data\": 1"), "neither 'data'" },
        { INPUT(", \"data\": [\"a\"]"), "must hold numbers" },
        { INPUT(", \"data\": [1, \"a\", 2]"), "" },
        { INPUT(", \"data\": [1, 2]"), "8 bytes of data" },
        { INPUT(", \"data\": [1, 1e39, 2]"), "too large" },
        { INPUT(", \"data\": [1, 2, 3]}, {\"name\": \"y\", \"datatype\": \"FP32\", \"shape\": [1], "
                "\"data\": [1]"),
          "no input 'y'" },
        { "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": [1, \"3\"], "
          "\"data\": "
          "[1]}]}",
          "whole numbers" },
        { "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": 3, \"data\": [1]}]}",
          "'shape'" },
        { "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": "
          "[1,1,1,1,1,1,1,1,1], \"data\": [1]}]}",
          "at most 8" },
        { "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"UINT8\", \"shape\": [1,1,1,3], "
          "\"data\": "
          "[1, 2, 256]}]}",
          "element 2 is 256" },
        { "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"UINT8\", \"shape\": [1,1,1,3], "
          "\"data\": "
          "[1, -1, 2]}]}",
          "element 1 is -1" },
        { "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"UINT8\", \"shape\": [1,1,1,3], "
          "\"data\": "
          "[1.5, 1, 2]}]}",
          "element 0 is 1.5" },
        { "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"BYTES\", \"shape\": [1], \"data\": "
          "[[[[[[[[[[\"a\"]]]]]]]]]]}]}",
          "must hold strings" },
        { "{\"inputs\": [], \"parameters\": {\"timeout\": -1}}", "'timeout'" },
        { "{\"inputs\": [], \"outputs\": {}}", "'outputs'" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++)
        small_refuses(service, INFER, cases[i][0], 400, cases[i][1]);
    small_refuses(service, INFER,
                  "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"BYTES\", \"shape\": [1], "
                  "\"parameters\": {\"shared_memory_region\": \"r\"}}]}",
                  501, "shared memory");
    small_refuses(service, "POST /v2/models/n/infer", INPUT(", \"data\": [1, 2, 3]"), 404, "'n'");
    small_refuses(service, "POST /v2/models/m/versions/3/infer", INPUT(", \"data\": [1, 2, 3]"),
                  404, "'3'");
}

static void outputs_are_checked(void **state)
{
    static const char *const cases[][2] = {
        { ", \"outputs\": {}}", "'outputs'" },
        { ", \"outputs\": [1]}", "must hold objects" },
        { ", \"outputs\": [{}]}", "needs a 'name'" },
        { ", \"outputs\": [{\"name\": \"p\"}]}", "no output 'p'" },
        { ", \"outputs\": [{\"name\": \"logits\", \"parameters\": {\"classification\": -1}}]}",
          "'classification'" },
        { ", \"outputs\": [{\"name\": \"logits\", \"parameters\": {\"binary_data\": 1}}]}",
          "'binary_data'" },
        { ", \"parameters\": {\"binary_data_output\": \"yes\"}}", "'binary_data_output'" },
        { ", \"parameters\": {\"timeout\": \"1\"}}", "'timeout'" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        char json[512];
        snprintf(json, sizeof json, "%s%s", BINARY("12288"), cases[i][0]);
        struct small_answer answer = ask_binary(json, x, sizeof x);
        const char *error = json_string_value(json_object_get(answer.json, "error"));
        if (answer.code != 400 || !error || !strstr(error, cases[i][1]))
            fail_msg("case %zu: %d %s", i, answer.code, error ? error : "");
        small_answer_fini(&answer);
    }
}

static void pixels_and_pictures_are_prepared_here(void **state)
{
    static const uint32_t blocks[6] = {
        0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030
    };
    struct hr_buffer picture = { 0 }, body = { 0 };
    char json[256];
    float want[SMALL_CLASSES];
    (void)state;
    make_block_png(&picture, blocks, 1);
    hr_buffer_put_u32le(&body, (uint32_t)picture.size);
    hr_buffer_put(&body, picture.data, picture.size);
    small_picture_logits(service, span_of(&picture), want);
    snprintf(json, sizeof json,
             "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"BYTES\", \"shape\": [1], "
             "\"parameters\": {\"binary_data_size\": %zu}}], \"parameters\": "
             "{\"binary_data_output\": true}}",
             body.size);
    struct small_answer answer = ask_binary(json, body.data, body.size);
    assert_int_equal(answer.code, 200);
    assert_memory_equal(answer.bytes + answer.json_bytes, want, sizeof want);
    small_answer_fini(&answer);
    hr_buffer_fini(&picture);
    hr_buffer_fini(&body);

    static const char grey[] =
        "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"UINT8\", \"shape\": "
        "[1, 1, 2, 3], \"data\": [85, 85, 85, 85, 85, 85]}]}";
    answer = small_ask(service, INFER, grey, sizeof grey - 1);
    assert_int_equal(answer.code, 200);
    small_answer_fini(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_json_give_the_sessions_bits),
        cmocka_unit_test(bytes_behind_the_json_give_the_same),
        cmocka_unit_test(binary_sizes_that_lie_are_refused),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(outputs_are_checked),
        cmocka_unit_test(pixels_and_pictures_are_prepared_here),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
