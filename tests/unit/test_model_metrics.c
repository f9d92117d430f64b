/* SPDX-License-Identifier: Apache-2.0
 * The models' metrics as a collector reads them: every line, and no name twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "serve/model_metrics.h"
#include "small_request.h"

static const char *print(struct hr_text *text, struct hr_service *service, bool triton)
{
    text->size = 0;
    hr_metrics_print(service->registry, triton, text);
    return hr_text_str(text);
}

static void has(const char *text, const char *line)
{
    char whole[256];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    if (!strstr(text, whole))
        fail_msg("'%s' is not in\n%s", line, text);
}

static void numbers_are_the_models(void **state)
{
    struct hr_text text = { 0 };
    struct small_request held, r;
    float x[SMALL_FLOATS];
    (void)state;
    struct hr_service *service = small_service_start(NULL);
    small_input("x", x);
    small_hold_begin(&held, service, x);
    small_request_init(&r, service, 4);
    small_request_tensors(&r, x, SMALL_SIDE, SMALL_SIDE);
    r.items[2].x = NULL; /* a picture of no bytes */
    r.items[2].picture = "";
    assert_int_equal(small_request_submit(&r, service), HR_OK);
    small_let_go();
    small_request_wait(&r);
    atomic_store(&r.request.served->stats.rejects[HR_REJECT_QUEUE], 4);
    atomic_store(&r.request.served->stats.rejects[HR_REJECT_DEADLINE], 3);
    atomic_store(&r.request.served->stats.cancel_count, 8);
    const char *got = print(&text, service, false);
    has(got, "hrnet_answers_total{model=\"m\",version=\"1\"} 4");
    has(got, "hrnet_failures_total{model=\"m\",version=\"1\"} 1");
    has(got, "hrnet_rejected_total{model=\"m\",version=\"1\",reason=\"queue\"} 4");
    has(got, "hrnet_rejected_total{model=\"m\",version=\"1\",reason=\"deadline\"} 3");
    has(got, "hrnet_rejected_total{model=\"m\",version=\"1\",reason=\"stopping\"} 0");
    has(got, "hrnet_cancelled_total{model=\"m\",version=\"1\"} 8");
    has(got, "hrnet_batch_items_bucket{model=\"m\",version=\"1\",le=\"1\"} 1");
    has(got, "hrnet_batch_items_bucket{model=\"m\",version=\"1\",le=\"2\"} 1");
    has(got, "hrnet_batch_items_bucket{model=\"m\",version=\"1\",le=\"4\"} 2");
    has(got, "hrnet_batch_items_bucket{model=\"m\",version=\"1\",le=\"+Inf\"} 2");
    has(got, "hrnet_batch_items_sum{model=\"m\",version=\"1\"} 4");
    has(got, "hrnet_compute_seconds_count{model=\"m\",version=\"1\"} 2");
    has(got, "hrnet_queue_seconds_count{model=\"m\",version=\"1\"} 4");
    assert_null(strstr(got, "nv_"));
    got = print(&text, service, true);
    has(got, "nv_inference_exec_count{model=\"m\",version=\"1\"} 2");
    has(got, "nv_inference_count{model=\"m\",version=\"1\"} 4");
    has(got, "nv_inference_request_failure{model=\"m\",version=\"1\",reason=\"REJECTED\"} 7");
    has(got, "nv_inference_request_failure{model=\"m\",version=\"1\",reason=\"CANCELED\"} 8");
    has(got, "nv_inference_request_failure{model=\"m\",version=\"1\",reason=\"OTHER\"} 1");
    small_request_fini(&held);
    small_request_fini(&r);
    hr_text_fini(&text);
    small_service_stop(service);
}

/* The format wants all lines of a metric together, behind one HELP and one TYPE. */
static void lines_of_a_metric_stand_together(void **state)
{
    static const struct hr_model_source sources[] = { { "a", "1", "5" }, { "b", "2", "4" } };
    struct hr_service_options options;
    struct hr_text text = { 0 };
    char name[64] = "", type[32], line_name[64];
    size_t metrics = 0, lines = 0;
    (void)state;
    small_service_options(&options);
    options.registry.sources = sources;
    options.registry.source_count = HR_COUNT(sources);
    struct hr_service *service = small_service_start(&options);
    for (const char *at = print(&text, service, true); *at; at = strchr(at, '\n') + 1) {
        if (strncmp(at, "# HELP ", 7) == 0) {
            assert_int_equal(sscanf(at, "# HELP %63s", name), 1);
            const char *next = strchr(at, '\n') + 1;
            assert_int_equal(sscanf(next, "# TYPE %63s %31s", line_name, type), 2);
            assert_string_equal(line_name, name);
            assert_true(strcmp(type, "counter") == 0 || strcmp(type, "histogram") == 0);
            metrics++;
            at = next;
            continue;
        }
        assert_int_equal(sscanf(at, "%63[a-z_]", line_name), 1);
        assert_memory_equal(line_name, name, strlen(name));
        lines++;
    }
    assert_int_equal(metrics, 17);
    assert_true(lines % 2 == 0 && lines > 2 * metrics); /* two models */
    hr_text_fini(&text);
    small_service_stop(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(numbers_are_the_models),
                                        cmocka_unit_test(lines_of_a_metric_stand_together) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
