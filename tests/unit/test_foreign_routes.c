/* SPDX-License-Identifier: Apache-2.0
 * The routes of TensorFlow Serving, KServe v1 and TorchServe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base64.h"
#include "small_pictures.h"
#include "small_service.h"

static const uint32_t blocks[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030 };

static struct hr_service *service;
static struct hr_buffer png;
static char labels[] = "/tmp/hrnet-labels-XXXXXX";
static float x[SMALL_FLOATS], logits[SMALL_CLASSES], scores[SMALL_CLASSES], x_scores[SMALL_CLASSES];

static int set_up(void **state)
{
    static const char names[] = "zero\none\ntwo\nthree\nf\303\274nf\n";
    struct hr_service_options options;
    struct hr_served *served = NULL;
    (void)state;
    const int fd = mkstemp(labels);
    assert_int_equal(write(fd, names, sizeof names - 1), sizeof names - 1);
    close(fd);
    small_service_options(&options);
    options.registry.open_context = labels;
    service = small_service_start(&options);
    make_block_png(&png, blocks, 1);
    assert_int_equal(hr_registry_find(service->registry, &served, NULL, NULL), HR_OK);
    small_input("x", x);
    small_logits(service, x, logits);
    hrnet_model_scores(served->model, logits, x_scores);
    small_picture_logits(service, span_of(&png), logits);
    hrnet_model_scores(served->model, logits, scores);
    hr_served_release(served);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(labels);
    hr_buffer_fini(&png);
    small_service_stop(service);
    return 0;
}

/* ---- TensorFlow Serving ---- */

static void is_prediction(const struct small_answer *answer, size_t row, const float *want)
{
    const json_t *list = json_array_get(json_object_get(answer->json, "predictions"), row);
    if (answer->code != 200)
        fail_msg("%s", (const char *)answer->bytes);
    assert_int_equal(json_array_size(list), SMALL_CLASSES);
    for (size_t i = 0; i < SMALL_CLASSES; i++)
        assert_true((float)json_real_value(json_array_get(list, i)) == want[i]);
}

/* [[[...32 numbers...] 32 times] 3 times] */
static void add_tensor(struct hr_text *text)
{
    for (size_t i = 0; i < SMALL_FLOATS; i++)
        hr_text_printf(text, "%s%s%s%.9g%s%s", i % 1024 == 0 ? i ? ",[" : "[[" : "",
                       i % 32 == 0 ? i % 1024 ? ",[" : "[" : "", i % 32 ? "," : "", (double)x[i],
                       i % 32 == 31 ? "]" : "", i % 1024 == 1023 ? "]" : "");
    hr_text_add(text, "]");
}

static void instances_are_tensors_or_pictures(void **state)
{
    struct hr_text text = { 0 };
    (void)state;
    hr_text_add(&text, "{\"instances\": [");
    add_tensor(&text);
    hr_text_add(&text, ",");
    add_tensor(&text);
    hr_text_add(&text, "]}");
    struct small_answer answer =
        small_ask(service, "POST /v1/models/m:predict", hr_text_str(&text), text.size);
    is_prediction(&answer, 0, x_scores);
    is_prediction(&answer, 1, x_scores);
    small_answer_fini(&answer);
    text.size = 0;
    hr_text_add(&text, "{\"instances\": [{\"b64\": \"");
    hr_base64_encode(&text, png.data, png.size);
    hr_text_add(&text, "\"}]}");
    answer =
        small_ask(service, "POST /v1/models/m/versions/1:predict", hr_text_str(&text), text.size);
    is_prediction(&answer, 0, scores);
    small_answer_fini(&answer);
    hr_text_fini(&text);
}

static void bad_instances_are_refused(void **state)
{
    static const struct {
        const char *head, *body, *word;
        int code;
    } cases[] = {
        { "POST /v1/models/m:predict", "", "", 400 },
        { "POST /v1/models/m:predict", "{}", "'instances'", 400 },
        { "POST /v1/models/m:predict", "{\"instances\": []}", "'instances'", 400 },
        { "POST /v1/models/m:predict", "{\"instances\": {\"b64\": \"\"}}", "'instances'", 400 },
        { "POST /v1/models/m:predict", "{\"instances\": [1, 2]}", "", 400 },
        { "POST /v1/models/m:predict", "{\"instances\": [[1, 2], [3]]}", "", 400 },
        { "POST /v1/models/m:predict", "{\"instances\": [\"a\"]}", "", 400 },
        { "POST /v1/models/m:predict", "{\"instances\": [{\"b64\": 1}]}", "", 400 },
        { "POST /v1/models/m:predict", "{\"instances\": [{\"b64\": \"*\"}]}", "", 400 },
        { "POST /v1/models/m:predict", "{\"instances\": [{\"b64\": \"aGFsbG8=\"}]}", "", 415 },
        { "POST /v1/models/n:predict", "{\"instances\": [{\"b64\": \"aGFsbG8=\"}]}", "'n'", 404 },
        { "POST /v1/models/m/versions/2:predict", "{\"instances\": [{\"b64\": \"aA==\"}]}", "'2'",
          404 },
        { "POST /v1/models/m:classify", "{}", "NAME:predict", 404 },
        { "POST /v1/models/m", "{}", "NAME:predict", 404 },
        { "GET /v1/models/n", "", "'n'", 404 },
        { "POST /predictions/m", "", "empty", 400 },
        { "POST /predictions/m", "text", "not a picture", 415 },
        { "POST /predictions/n", "text", "'n'", 404 },
        { "PUT /predictions/m/2", "text", "'2'", 404 },
        { "POST /predictions/m\nContent-Type:multipart/form-data; boundary=xyz", "--xyz--",
          "no field", 400 },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++)
        small_refuses(service, cases[i].head, cases[i].body, cases[i].code, cases[i].word);
}

static void a_models_state_is_told_to_both(void **state)
{
    (void)state;
    struct small_answer answer = small_ask(service, "GET /v1/models/m", "", 0);
    const json_t *version = json_array_get(json_object_get(answer.json, "model_version_status"), 0);
    assert_true(json_is_true(json_object_get(answer.json, "ready")));
    assert_string_equal(json_string_value(json_object_get(version, "state")), "AVAILABLE");
    assert_string_equal(json_string_value(json_object_get(version, "version")), "1");
    small_answer_fini(&answer);
}

/* ---- TorchServe ---- */

static void labels_are_keys(void **state)
{
    static const char *const names[] = { "zero", "one", "two", "three", "f\303\274nf" };
    static const char head[] =
        "--xyz\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\ntext\r\n"
        "--xyz\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n";
    struct hr_buffer form = { 0 };
    (void)state;
    hr_buffer_put(&form, head, sizeof head - 1);
    hr_buffer_put(&form, png.data, png.size);
    hr_buffer_put(&form, "\r\n--xyz--\r\n", 11);
    for (int as_form = 0; as_form < 2; as_form++) {
        struct small_answer answer =
            as_form
                ? small_ask(service,
                            "POST /predictions/m\nContent-Type:multipart/form-data; boundary=xyz",
                            form.data, form.size)
                : small_ask(service, "PUT /predictions/m/1", png.data, png.size);
        assert_int_equal(answer.code, 200);
        assert_int_equal(json_object_size(answer.json), 5);
        for (size_t i = 0; i < SMALL_CLASSES; i++)
            assert_true((float)json_real_value(json_object_get(answer.json, names[i])) ==
                        scores[i]);
        small_answer_fini(&answer);
    }
    hr_buffer_fini(&form);
}

static void ping_tells_whether_the_server_is_ready(void **state)
{
    (void)state;
    struct small_answer answer = small_ask(service, "GET /ping", "", 0);
    assert_int_equal(answer.code, 200);
    assert_string_equal((const char *)answer.bytes, "{\"status\":\"Healthy\"}");
    small_answer_fini(&answer);
    atomic_store(&service->state, HR_SERVICE_DRAINING);
    small_refuses(service, "GET /ping", "", 503, "not ready");
    atomic_store(&service->state, HR_SERVICE_READY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances_are_tensors_or_pictures),
        cmocka_unit_test(bad_instances_are_refused),
        cmocka_unit_test(a_models_state_is_told_to_both),
        cmocka_unit_test(labels_are_keys),
        cmocka_unit_test(ping_tells_whether_the_server_is_ready),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
