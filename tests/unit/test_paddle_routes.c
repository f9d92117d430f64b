/* SPDX-License-Identifier: Apache-2.0
 * The shapes of Paddle's servers: the pipeline, the general model, PaddleHub and PaddleX, with
 * their own ways to say that something failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "small_pictures.h"
#include "small_service.h"

#define PIPELINE "POST /m/prediction"
#define HUB      "POST /predict/clas_system"
#define PADDLEX  "POST /image-classification"
#define GENERAL  "POST /GeneralModelService/inference"

static const uint32_t blocks[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030 };

static struct hr_service *service;
static struct hr_text coded; /* a picture in base 64 */
static float x[SMALL_FLOATS], scores[SMALL_CLASSES], x_scores[SMALL_CLASSES];
static size_t order[SMALL_CLASSES];

static int set_up(void **state)
{
    struct hr_buffer png = { 0 };
    float logits[SMALL_CLASSES];
    (void)state;
    service = small_service_start(NULL);
    make_block_png(&png, blocks, 1);
    hr_base64_encode(&coded, png.data, png.size);
    small_picture_logits(service, span_of(&png), logits);
    hr_buffer_fini(&png);
    small_scores(service, logits, scores);
    hrnet_top_k(scores, SMALL_CLASSES, SMALL_CLASSES, order);
    small_input("x", x);
    small_logits(service, x, logits);
    small_scores(service, logits, x_scores);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hr_text_fini(&coded);
    small_service_stop(service);
    return 0;
}

/* Asks with a body in which each $ is the picture. */
static struct small_answer ask(const char *head, const char *body)
{
    struct hr_text text = { 0 };
    for (const char *at = body; *at; at++)
        hr_text_printf(&text, *at == '$' ? "%s" : "%.1s", *at == '$' ? hr_text_str(&coded) : at);
    struct small_answer answer = small_ask(service, head, hr_text_str(&text), text.size);
    hr_text_fini(&text);
    assert_non_null(answer.json);
    return answer;
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "(no text)";
}

/* ---- The pipeline ---- */

static void the_pipeline_answers_in_pythons_lists(void **state)
{
    (void)state;
    struct small_answer answer = ask(
        PIPELINE, "{\"key\": [\"image\", \"other\"], \"value\": [\"$\", \"$\"], \"tensors\": []}");
    assert_int_equal(answer.code, 200);
    assert_int_equal(number(answer.json, "err_no"), 0);
    const json_t *key = json_object_get(answer.json, "key");
    const json_t *value = json_object_get(answer.json, "value");
    assert_string_equal(json_string_value(json_array_get(key, 0)), "label");
    assert_string_equal(json_string_value(json_array_get(key, 1)), "prob");
    assert_true(json_is_array(json_object_get(answer.json, "tensors")));
    const char *prob = json_string_value(json_array_get(value, 1));
    char *end;
    assert_true(prob[0] == '[');
    assert_true((float)strtod(prob + 1, &end) == scores[order[0]]);
    assert_memory_equal(end, ", ", 2); /* two pictures */
    small_answer_fini(&answer);
}

static void the_pipeline_fails_with_numbers_of_its_own(void **state)
{
    static const struct {
        const char *head, *body, *word;
        json_int_t error;
    } cases[] = {
        { PIPELINE, "no json", "", 5000 },
        { PIPELINE, "{}", "'key' and 'value'", 5000 },
        { PIPELINE, "{\"key\": [\"a\"], \"value\": []}", "same length", 5000 },
        { PIPELINE, "{\"key\": \"a\", \"value\": \"$\"}", "'key' and 'value'", 5000 },
        { PIPELINE, "{\"key\": [], \"value\": []}", "no picture", 5000 },
        { PIPELINE, "{\"key\": [\"a\"], \"value\": [1]}", "no string", 5000 },
        { PIPELINE, "{\"key\": [\"a\"], \"value\": [\"*\"]}", "the picture", 5000 },
        { PIPELINE, "{\"key\": [\"a\"], \"value\": [\"aGFsbG8=\"]}", "not a picture", 5000 },
        { PIPELINE, "{\"key\": [\"a\"], \"value\": [\"$\"], \"tensors\": [{}]}", "'tensors'",
          5000 },
        { "POST /n/prediction", "{\"key\": [\"a\"], \"value\": [\"$\"]}", "'n'", 3002 },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct small_answer answer = ask(cases[i].head, cases[i].body);
        assert_int_equal(answer.code, 200); /* the original's habit */
        if (number(answer.json, "err_no") != cases[i].error ||
            !strstr(text_of(answer.json, "err_msg"), cases[i].word))
            fail_msg("case %zu: %s", i, (const char *)answer.bytes);
        assert_int_equal(json_array_size(json_object_get(answer.json, "value")), 0);
        small_answer_fini(&answer);
    }
}

/* ---- PaddleHub ---- */

static void the_hub_answers_lists(void **state)
{
    (void)state;
    struct small_answer answer = ask(HUB, "{\"images\": [\"$\", \"$\"], \"top_k\": 2}");
    const json_t *results = json_object_get(answer.json, "results");
    assert_string_equal(text_of(answer.json, "status"), "000");
    assert_int_equal(json_array_size(results), 2);
    const json_t *first = json_array_get(results, 0), *ids = json_array_get(first, 0);
    assert_int_equal(json_array_size(ids), 2);
    assert_int_equal(json_integer_value(json_array_get(ids, 1)), order[1]);
    assert_true((float)json_real_value(json_array_get(json_array_get(first, 1), 0)) ==
                scores[order[0]]);
    assert_true(json_real_value(json_array_get(first, 2)) > 0); /* seconds */
    small_answer_fini(&answer);
    static const char *const bad[] = { "{}",
                                       "{\"images\": []}",
                                       "{\"images\": [\"$\"], \"top_k\": 0}",
                                       "{\"images\": [\"$\"], \"top_k\": 6}",
                                       "{\"images\": [\"$\"], \"top_k\": \"1\"}",
                                       "{\"images\": [\"aGFsbG8=\"]}",
                                       "[]" };
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        answer = ask(HUB, bad[i]);
        assert_int_equal(answer.code, 200);
        assert_string_equal(text_of(answer.json, "status"), "101");
        assert_true(text_of(answer.json, "msg")[0] != '\0');
        small_answer_fini(&answer);
    }
}

/* ---- PaddleX ---- */

static void paddlex_answers_categories(void **state)
{
    static const struct {
        const char *body, *word;
        int code;
    } bad[] = { { "{}", "'image' is wanted", 400 },
                { "{\"image\": 1}", "'image' must be a string", 400 },
                { "{\"image\": \"https://a/b.jpg\"}", "fetches nothing", 501 },
                { "{\"image\": \"$\", \"topk\": 6}", "'topk'", 400 },
                { "{\"image\": \"aGFsbG8=\"}", "not a picture", 422 } };
    (void)state;
    struct small_answer answer =
        ask(PADDLEX, "{\"image\": \"data:image/png;base64,$\", \"topk\": 3}");
    const json_t *categories =
        json_object_get(json_object_get(answer.json, "result"), "categories");
    assert_int_equal(answer.code, 200);
    assert_int_equal(number(answer.json, "errorCode"), 0);
    assert_int_equal(json_array_size(categories), 3);
    assert_int_equal(number(json_array_get(categories, 2), "id"), order[2]);
    assert_true((float)json_real_value(json_object_get(json_array_get(categories, 2), "score")) ==
                scores[order[2]]);
    small_answer_fini(&answer);
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        answer = ask(PADDLEX, bad[i].body);
        if (answer.code != bad[i].code || number(answer.json, "errorCode") != bad[i].code ||
            !strstr(text_of(answer.json, "errorMsg"), bad[i].word))
            fail_msg("case %zu: %d %s", i, answer.code, (const char *)answer.bytes);
        small_answer_fini(&answer);
    }
}

/* ---- The general model ---- */

static void is_scores(const struct small_answer *answer, const float *want)
{
    const json_t *outputs = json_object_get(answer->json, "outputs");
    const json_t *tensor = json_array_get(json_object_get(json_array_get(outputs, 0), "tensor"), 0);
    const json_t *data = json_object_get(tensor, "float_data");
    if (number(answer->json, "err_no") != 0)
        fail_msg("%s", (const char *)answer->bytes);
    assert_int_equal(json_array_size(data), SMALL_CLASSES);
    for (size_t i = 0; i < SMALL_CLASSES; i++)
        assert_true((float)json_real_value(json_array_get(data, i)) == want[i]);
}

static void the_general_model_takes_pictures_and_floats(void **state)
{
    struct hr_text text = { 0 };
    (void)state;
    struct small_answer answer =
        ask(GENERAL, "{\"tensor\": [{\"elem_type\": 20, \"data\": [\"$\"]}], \"log_id\": 77}");
    is_scores(&answer, scores);
    assert_int_equal(number(answer.json, "log_id"), 77);
    small_answer_fini(&answer);
    hr_text_add(&text,
                "{\"tensor\": [{\"elem_type\": 1, \"shape\": [3, 32, 32], \"float_data\": [");
    for (size_t i = 0; i < SMALL_FLOATS; i++)
        hr_text_printf(&text, "%s%.9g", i ? "," : "", (double)x[i]);
    hr_text_add(&text, "]}]}");
    answer = small_ask(service, GENERAL, hr_text_str(&text), text.size);
    is_scores(&answer, x_scores);
    small_answer_fini(&answer);
    hr_text_fini(&text);
}

static void the_general_model_refuses_the_rest(void **state)
{
    static const char *const cases[][2] = {
        { "{}", "one tensor" },
        { "{\"tensor\": [{}, {}]}", "one tensor" },
        { "{\"tensor\": [1]}", "one tensor" },
        { "{\"tensor\": [{\"elem_type\": 13, \"data\": [\"$\"]}]}", "'elem_type' is 13" }, /* npy */
        { "{\"tensor\": [{\"elem_type\": 20, \"data\": \"$\"}]}", "array" },
        { "{\"tensor\": [{\"elem_type\": 1, \"float_data\": []}]}", "array of numbers" },
        { "{\"tensor\": [{\"elem_type\": 1, \"float_data\": [1], \"shape\": [1]}]}", "'shape'" },
        { "{\"tensor\": [{\"elem_type\": 1, \"float_data\": [1], \"shape\": [3, 32, 32]}]}",
          "4 bytes" },
        { "{\"tensor\": [{\"elem_type\": 1, \"float_data\": [1, \"a\"], \"shape\": [3, 1, 1]}]}",
          "" },
        { "{\"tensor\": [{\"elem_type\": 1, \"float_data\": [1], \"shape\": [\"3\", 1, 1]}]}", "" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct small_answer answer = ask(GENERAL, cases[i][0]);
        if (number(answer.json, "err_no") != 5000 ||
            !strstr(text_of(answer.json, "err_msg"), cases[i][1]))
            fail_msg("case %zu: %s", i, (const char *)answer.bytes);
        small_answer_fini(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pipeline_answers_in_pythons_lists),
        cmocka_unit_test(the_pipeline_fails_with_numbers_of_its_own),
        cmocka_unit_test(the_hub_answers_lists),
        cmocka_unit_test(paddlex_answers_categories),
        cmocka_unit_test(the_general_model_takes_pictures_and_floats),
        cmocka_unit_test(the_general_model_refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
