/* SPDX-License-Identifier: Apache-2.0
 * The Open Inference Protocol over REST but for inference: what is told of server and models, and
 * the repository's changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "small_request.h"

static struct hr_service *service;

static int set_up(void **state)
{
    struct hr_service_options options;
    (void)state;
    small_service_versions(&options);
    service = small_service_start(&options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_service_stop(service);
    return 0;
}

/* The answer must be this JSON, however it is written. */
static void answers(const char *head, const char *body, const char *want)
{
    struct small_answer answer = small_ask(service, head, body, strlen(body));
    json_t *wanted = json_loads(want, 0, NULL);
    assert_non_null(wanted);
    if (answer.code != 200 || !json_equal(answer.json, wanted))
        fail_msg("%s: %d %s", head, answer.code, (const char *)answer.bytes);
    json_decref(wanted);
    small_answer_fini(&answer);
}

static void server_and_models_are_told(void **state)
{
    (void)state;
    answers("GET /v2/health/live", "", "{\"live\": true}");
    answers("GET /v2/health/ready", "", "{\"live\": true, \"ready\": true}");
    answers("GET /v2/models", "", "{\"models\": [\"m\", \"m\", \"x\"]}");
    answers("GET /v2/models/m/ready", "", "{\"name\": \"m\", \"ready\": true}");
    answers("GET /v2/models/m/versions/1", "",
            "{\"name\": \"m\", \"versions\": [\"1\", \"2\"], \"platform\": \"hrnet\", \"inputs\": "
            "[{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": [-1, 3, 32, 32]}], \"outputs\": "
            "[{\"name\": \"logits\", \"datatype\": \"FP32\", \"shape\": [-1, 5]}]}");
    answers("GET /v2/models/x/config", "",
            "{\"name\": \"x\", \"platform\": \"hrnet\", \"backend\": \"hrnet\", "
            "\"max_batch_size\": 8, \"input\": [{\"name\": \"x\", \"data_type\": \"TYPE_FP32\", "
            "\"format\": \"FORMAT_NCHW\", \"dims\": [3, 32, 32]}], \"output\": [{\"name\": "
            "\"logits\", \"data_type\": \"TYPE_FP32\", \"dims\": [4]}], \"dynamic_batching\": "
            "{\"preferred_batch_size\": [4], \"max_queue_delay_microseconds\": 2}}");
    struct small_answer answer = small_ask(service, "GET /v2", "", 0);
    assert_string_equal(json_string_value(json_object_get(answer.json, "version")),
                        hrnet_version());
    assert_int_equal(json_array_size(json_object_get(answer.json, "extensions")), 6);
    small_answer_fini(&answer);
}

static void what_there_is_not_is_404_or_not_ready(void **state)
{
    static const char *const heads[] = { "GET /v2/models/n", "GET /v2/models/m/versions/3",
                                         "GET /v2/models/n/ready", "GET /v2/models/n/config",
                                         "GET /v2/models/n/stats" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(heads); i++)
        small_refuses(service, heads[i], "", 404, i == 1 ? "'3'" : "'n'");
    small_refuses(service, "GET /v2/models/m/versions/3/ready", "", 503, "'3'");
    atomic_store(&service->state, HR_SERVICE_DRAINING);
    small_refuses(service, "GET /v2/health/ready", "", 503, "not ready");
    answers("GET /v2/health/live", "", "{\"live\": true}");
    atomic_store(&service->state, HR_SERVICE_READY);
}

static void the_repository_changes(void **state)
{
    (void)state;
    answers("POST /v2/repository/index", "{\"ready\": true}",
            "[{\"name\": \"m\", \"version\": \"1\", \"state\": \"READY\", \"reason\": \"\"}, "
            "{\"name\": \"m\", \"version\": \"2\", \"state\": \"READY\", \"reason\": \"\"}, "
            "{\"name\": \"x\", \"version\": \"1\", \"state\": \"READY\", \"reason\": \"\"}]");
    struct small_answer answer = small_ask(service, "POST /v2/repository/models/m/unload", "", 0);
    assert_true(answer.code == 200 && answer.size == 0);
    small_answer_fini(&answer);
    answers("POST /v2/repository/index", "{\"ready\": true}",
            "[{\"name\": \"x\", \"version\": \"1\", \"state\": \"READY\", \"reason\": \"\"}]");
    small_refuses(service, "GET /v2/models/m/ready", "", 503, "not loaded");
    small_refuses(service, "POST /v2/repository/index", "[]", 400, "object");
    small_refuses(service, "POST /v2/repository/models/n/load", "", 404, "'n'");
    small_refuses(service, "POST /v2/repository/models/n/unload", "", 404, "'n'");
    small_refuses(service, "POST /v2/repository/models/m/load",
                  "{\"parameters\": {\"file:1/model\": \"\"}}", 501, "not taken");
    answer = small_ask(service, "POST /v2/repository/models/m/load", "{\"parameters\": {}}", 18);
    assert_int_equal(answer.code, 200);
    small_answer_fini(&answer);
    answers("GET /v2/models/m/ready", "", "{\"name\": \"m\", \"ready\": true}");
}

/* A failure to load names no file of the server. */
static void a_failed_load_tells_no_path(void **state)
{
    const struct hr_model_source bad = { "b", "1", "bad" };
    struct hr_service_options options;
    struct hr_service strict;
    (void)state;
    small_service_options(&options);
    options.registry.sources = &bad;
    assert_int_equal(hr_service_open(&strict, &options), HR_OK);
    small_refuses(&strict, "POST /v2/repository/models/b/load", "", 400, "cannot be loaded");
    assert_null(strstr(hr_last_message(), "/secret"));
    hr_service_close(&strict);
}

static void statistics_count_what_ran(void **state)
{
    struct small_request r;
    float x[SMALL_FLOATS];
    (void)state;
    small_input("x", x);
    small_request_init(&r, service, 3);
    small_request_tensors(&r, x, SMALL_SIDE, SMALL_SIDE);
    r.items[2].x = NULL;
    r.items[2].picture = "";
    assert_int_equal(hr_batcher_run(service->batcher, &r.request), HR_OK);
    small_request_fini(&r);
    struct small_answer answer = small_ask(service, "GET /v2/models/m/stats", "", 0);
    const json_t *m = json_array_get(json_object_get(answer.json, "model_stats"), 0);
    const json_t *infer = json_object_get(m, "inference_stats");
    assert_int_equal(json_integer_value(json_object_get(m, "inference_count")), 2);
    assert_true(json_integer_value(json_object_get(m, "last_inference")) > 1700000000000);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(infer, "success"), "count")), 2);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(infer, "fail"), "count")),
                     1);
    const json_t *batches = json_object_get(m, "batch_stats");
    json_int_t executions = 0;
    size_t i;
    json_t *batch;
    json_array_foreach(batches, i, batch)
    {
        const json_t *compute = json_object_get(batch, "compute_infer");
        executions += json_integer_value(json_object_get(compute, "count"));
        assert_true(json_integer_value(json_object_get(compute, "ns")) > 0);
    }
    assert_int_equal(json_integer_value(json_object_get(m, "execution_count")), executions);
    assert_true(executions == 1 || executions == 2);
    small_answer_fini(&answer);
    answer = small_ask(service, "GET /v2/models/stats", "", 0);
    assert_int_equal(json_array_size(json_object_get(answer.json, "model_stats")), 3);
    small_answer_fini(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_and_models_are_told),
        cmocka_unit_test(what_there_is_not_is_404_or_not_ready),
        cmocka_unit_test(the_repository_changes),
        cmocka_unit_test(a_failed_load_tells_no_path),
        cmocka_unit_test(statistics_count_what_ran),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
