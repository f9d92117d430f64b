/* SPDX-License-Identifier: Apache-2.0
 * Metrics and the plan, as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "small_service.h"

static void metrics_are_the_text_format(void **state)
{
    struct hr_service_options options;
    (void)state;
    small_service_options(&options);
    for (int triton = 0; triton < 2; triton++) {
        options.triton_metrics = triton;
        struct hr_service *service = small_service_start(&options);
        struct small_answer answer = small_ask(service, "GET /metrics", "", 0);
        const char *text = (const char *)answer.bytes;
        assert_int_equal(answer.code, 200);
        assert_string_equal(answer.type, "text/plain; version=0.0.4; charset=utf-8");
        assert_int_equal(text[answer.size - 1], '\n');
        assert_non_null(strstr(text, "\nhrnet_answers_total{model=\"m\",version=\"1\"} 0\n"));
        assert_int_equal(strstr(text, "\nnv_inference_count{") != NULL, triton);
        small_answer_fini(&answer);
        small_service_stop(service);
    }
}

static void the_plan_tells_batches_and_steps(void **state)
{
    struct hrnet_session_info info;
    struct hr_served *served = NULL;
    char line[128];
    (void)state;
    struct hr_service *service = small_service_start(NULL);
    assert_int_equal(hr_registry_find(service->registry, &served, "m", NULL), HR_OK);
    assert_int_equal(hrnet_session_describe(served->lanes[0]->of[0].session, &info), HRNET_OK);
    atomic_store(&served->lanes[0]->batch_ns[2], 1500000);
    struct small_answer answer = small_ask(service, "GET /debug/plan", "", 0);
    const char *text = (const char *)answer.bytes;
    static const char begin[] =
        "model m, version 1: hrnet_w18_small, 32x32, batch 4, delay 0.000 ms\n"
        "  a batch of 2 takes 1.500 ms\n  a batch of 4 takes ";
    assert_memory_equal(text, begin, sizeof begin - 1);
    size_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 4 + info.step_count); /* model, two times, session, steps */
    snprintf(line, sizeof line, "\n1 threads, %s, arena %zu bytes", info.isa, info.arena_bytes);
    assert_non_null(strstr(text, line));
    small_answer_fini(&answer);
    hr_served_release(served);
    assert_int_equal(hr_registry_unload(service->registry, "m"), HR_OK);
    answer = small_ask(service, "GET /debug/plan", "", 0);
    assert_int_equal(answer.size, 0);
    small_answer_fini(&answer);
    small_service_stop(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(metrics_are_the_text_format),
                                        cmocka_unit_test(the_plan_tells_batches_and_steps) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
