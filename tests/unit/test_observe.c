/* SPDX-License-Identifier: Apache-2.0
 * Traces that go on, log lines that are JSON whatever a client sends, a log that moves, counters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/observe.h"
#include "small_service.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"

/* ---- Traces ---- */

static void a_valid_trace_goes_on(void **state)
{
    char out[HR_TRACEPARENT];
    (void)state;
    hr_trace_begin(out, "00-" TRACE "-" SPAN "-01");
    assert_int_equal(strlen(out), HR_TRACEPARENT - 1);
    assert_memory_equal(out, "00-" TRACE "-", 36);
    assert_string_equal(out + 52, "-01");
    assert_memory_not_equal(out + 36, SPAN, 16);           /* a span of its own */
    hr_trace_begin(out, "42-" TRACE "-" SPAN "-00-later"); /* a version to come */
    assert_memory_equal(out, "00-" TRACE "-", 36);
}

static void what_is_no_trace_begins_one(void **state)
{
    static const char *const bad[] = {
        NULL,
        "",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-01x",
        "00-" TRACE "-" SPAN "-01-more",
        "ff-" TRACE "-" SPAN "-01",
        "0g-" TRACE "-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "-" SPAN "-0z",
        "42-" TRACE "-" SPAN "-00later",
    };
    char out[HR_TRACEPARENT], other[HR_TRACEPARENT];
    (void)state;
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        hr_trace_begin(out, bad[i]);
        hr_trace_begin(other, bad[i]);
        assert_int_equal(strlen(out), HR_TRACEPARENT - 1);
        assert_int_equal(strspn(out, "0123456789abcdef-"), HR_TRACEPARENT - 1);
        assert_memory_not_equal(out + 3, TRACE, 32);
        assert_memory_not_equal(out + 3, other + 3, 32);
    }
}

/* ---- The log ---- */

static char path[64], moved[80];

static int set_up(void **state)
{
    (void)state;
    strcpy(path, "/tmp/hrnet-observe-XXXXXX");
    const int fd = mkstemp(path);
    snprintf(moved, sizeof moved, "%s.1", path);
    return fd < 0 || close(fd) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(moved);
    return unlink(path);
}

static struct hr_log_line line_of(const char *request_path)
{
    struct hr_log_line line = { .protocol = "http",
                                .method = "POST",
                                .path = request_path,
                                .model = "m",
                                .code = 200,
                                .client = "192.0.2.1",
                                .start_ns = hr_os_now_ns(),
                                .bytes_in = 10,
                                .bytes_out = 20 };
    hr_trace_begin(line.traceparent, "00-" TRACE "-" SPAN "-01");
    return line;
}

/* The one line of the file. */
static json_t *only_line(const char *file)
{
    uint8_t *text = NULL;
    size_t size;
    assert_int_equal(hr_file_read(file, 1 << 20, &text, &size), HR_OK);
    assert_true(size > 0 && memchr(text, '\n', size) == text + size - 1);
    json_t *value = json_loadb((const char *)text, size, 0, NULL);
    hr_mem_free(text);
    assert_non_null(value);
    return value;
}

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "missing";
}

static void a_line_tells_the_request(void **state)
{
    struct hr_observe *o = NULL;
    struct hr_log_line line = line_of("/v1/classify");
    (void)state;
    line.items = 3;
    line.batch = 2;
    line.decode_ns = 1234567;
    assert_int_equal(hr_observe_create(&o, path), HR_OK);
    hr_observe_request(o, &line);
    hr_observe_destroy(o);
    json_t *got = only_line(path);
    assert_string_equal(text_of(got, "method"), "POST");
    assert_string_equal(text_of(got, "path"), "/v1/classify");
    assert_string_equal(text_of(got, "client"), "192.0.2.1");
    assert_string_equal(text_of(got, "trace"), TRACE);
    assert_string_equal(text_of(got, "model"), "m");
    assert_int_equal(strlen(text_of(got, "time")), 24); /* 2026-11-27T17:00:00.000Z */
    assert_int_equal(json_integer_value(json_object_get(got, "code")), 200);
    assert_int_equal(json_integer_value(json_object_get(got, "bytes_in")), 10);
    assert_int_equal(json_integer_value(json_object_get(got, "batch")), 2);
    assert_true(json_real_value(json_object_get(got, "decode_ms")) == 1.234);
    json_decref(got);
}

/* A client chooses its path: it may not forge a line, nor lose its own. */
static void hostile_paths_stay_one_line(void **state)
{
    static const char *const paths[] = { "/a\nb", "/\"} {\"code\": 200", "/\\", "/\x01\x1f\x7f",
                                         "/\xc3\xbc" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(paths); i++) {
        struct hr_observe *o = NULL;
        const struct hr_log_line line = line_of(paths[i]);
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(hr_observe_create(&o, path), HR_OK);
        hr_observe_request(o, &line);
        hr_observe_destroy(o);
        json_t *got = only_line(path);
        assert_string_equal(text_of(got, "path"), paths[i]);
        json_decref(got);
    }
}

static void a_moved_log_is_opened_anew(void **state)
{
    struct hr_observe *o = NULL;
    const struct hr_log_line first = line_of("/first"), second = line_of("/second");
    (void)state;
    assert_int_equal(hr_observe_create(&o, path), HR_OK);
    assert_int_equal(rename(path, moved), 0);
    hr_observe_request(o, &first);
    hr_observe_reopen(o);
    hr_observe_request(o, &second);
    hr_observe_destroy(o);
    json_t *old = only_line(moved), *new = only_line(path);
    assert_string_equal(text_of(old, "path"), "/first");
    assert_string_equal(text_of(new, "path"), "/second");
    json_decref(old);
    json_decref(new);
    assert_int_equal(hr_observe_create(&o, "/nonexistent/log"), HR_E_IO);
    assert_non_null(strstr(hr_last_message(), "/nonexistent/log"));
}

/* ---- Counters ---- */

static void requests_are_counted_by_protocol_and_code(void **state)
{
    static const int http[] = { 200, 200, 404, 599, 600, 1000, -1 };
    struct hr_text text = { 0 };
    (void)state;
    struct hr_service *service = small_service_start(NULL);
    struct hr_log_line line = line_of("/");
    for (size_t i = 0; i < HR_COUNT(http); i++) {
        line.code = http[i];
        hr_observe_request(service->observe, &line);
    }
    line.protocol = "grpc";
    line.code = 14;
    hr_observe_request(service->observe, &line);
    hr_observe_print(service->observe, service, &text);
    const char *got = hr_text_str(&text);
    assert_non_null(strstr(got, "\nhrnet_requests_total{protocol=\"http\",code=\"200\"} 2\n"));
    assert_non_null(strstr(got, "\nhrnet_requests_total{protocol=\"http\",code=\"404\"} 1\n"));
    assert_non_null(strstr(got, "\nhrnet_requests_total{protocol=\"http\",code=\"599\"} 3\n"));
    assert_non_null(strstr(got, "\nhrnet_requests_total{protocol=\"grpc\",code=\"14\"} 1\n"));
    assert_null(strstr(got, "code=\"405\""));
    assert_non_null(strstr(got, "\nhrnet_request_seconds_count 8\n"));
    assert_non_null(strstr(got, "\nhrnet_queue_items 0\n"));
    hr_text_fini(&text);
    small_service_stop(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_trace_goes_on),
        cmocka_unit_test(what_is_no_trace_begins_one),
        cmocka_unit_test_setup_teardown(a_line_tells_the_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_paths_stay_one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_moved_log_is_opened_anew, set_up, tear_down),
        cmocka_unit_test(requests_are_counted_by_protocol_and_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
