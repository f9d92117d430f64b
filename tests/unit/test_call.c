/* SPDX-License-Identifier: Apache-2.0
 * Small answers: failures and their codes, counts of a query, a run that is refused or whose client
 * leaves, an answer for which memory did not suffice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/call.h"
#include "serve/json_memory.h"
#include "small_request.h"

static const char *query_value;
static void (*left)(void *context);
static void *left_context;

static const char *find_query(const struct hr_call *call, const char *name)
{
    (void)call;
    return strcmp(name, "k") == 0 ? query_value : NULL;
}

static void attend(const struct hr_call *call, void (*when_left)(void *context), void *context)
{
    if (call->transport && when_left) /* one that leaves at once */
        when_left(context);
    left = when_left;
    left_context = context;
}

static struct hr_call call_of(struct hr_service *service)
{
    return (struct hr_call){ .service = service, .find_query = find_query, .attend = attend };
}

/* The answer's "error"; the call is empty then. */
static void is_error(struct hr_call *call, int code, const char *error)
{
    json_t *value = json_loadb((const char *)call->answer.data, call->answer.size, 0, NULL);
    assert_int_equal(call->code, code);
    assert_string_equal(json_string_value(json_object_get(value, "error")), error);
    json_decref(value);
    hr_buffer_fini(&call->answer);
    *call = call_of(call->service);
}

static void failures_have_their_codes(void **state)
{
    struct hr_call call = call_of(NULL);
    (void)state;
    hr_call_fail(&call, hr_fail(HR_E_ARGUMENT, "no \"good\""));
    is_error(&call, 400, "no \"good\"");
    hr_call_fail(&call, hr_fail(HR_E_LIMIT, "long"));
    assert_int_equal(call.retry_seconds, 0);
    is_error(&call, 413, "long");
    hr_call_fail(&call, hr_fail(HR_E_BUSY, "full"));
    assert_int_equal(call.retry_seconds, 1);
    is_error(&call, 503, "full");
    hr_call_fail_code(&call, 418, "%s %d", "a", 5);
    is_error(&call, 418, "a 5");
    hr_call_fail_code(&call, 400, "\xff"); /* no UTF-8: no JSON of it */
    is_error(&call, 400, "the server failed");
}

static void counts_of_a_query_are_within_bounds(void **state)
{
    static const char *const bad[] = {
        "0", "6", "", "x", "1.0", "1x", " 1", "99999999999999999999"
    };
    struct hr_call call = call_of(NULL);
    int64_t value = 3;
    (void)state;
    query_value = NULL;
    assert_true(hr_call_query_count(&call, "k", 1, 5, &value));
    assert_int_equal(value, 3);
    query_value = "5";
    assert_true(hr_call_query_count(&call, "k", 1, 5, &value));
    assert_int_equal(value, 5);
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        query_value = bad[i];
        assert_false(hr_call_query_count(&call, "k", 1, 5, &value));
        assert_int_equal(call.code, 400);
        assert_non_null(memmem(call.answer.data, call.answer.size, "from 1 to 5", 11));
        hr_buffer_fini(&call.answer);
    }
    assert_int_equal(value, 5);
}

static void an_answer_without_memory_says_so(void **state)
{
    struct hr_call call = call_of(NULL);
    (void)state;
    hr_json_memory_forget();
    hr_call_text(&call, "text/plain", "whole");
    call.json_bytes = 3;
    hr_call_end(&call);
    assert_int_equal(call.code, 0);
    assert_memory_equal(call.answer.data, "whole", 5);
    hr_json_memory_note(); /* a member may be missing in it */
    hr_call_end(&call);
    assert_int_equal(call.retry_seconds, 1);
    assert_int_equal(call.json_bytes, 0);
    is_error(&call, 503, "out of memory");
    hr_json_memory_forget();

    struct hr_text text = { 0 };
    hr_text_add(&text, "cut");
    text.status = HR_E_MEMORY;
    hr_call_take_text(&call, "text/plain", &text);
    hr_call_end(&call);
    is_error(&call, 503, "out of memory");
}

static void a_run_notes_its_times(void **state)
{
    float x[SMALL_FLOATS];
    struct small_request r;
    (void)state;
    struct hr_service *service = small_service_start(NULL);
    struct hr_call call = call_of(service);
    small_input("x", x);
    small_request_init(&r, service, 2);
    small_request_tensors(&r, x, SMALL_SIDE, SMALL_SIDE);
    r.items[1].x = NULL;
    r.items[1].picture = ""; /* fails */
    assert_true(hr_call_run(&call, &r.request));
    assert_null(left);
    assert_int_equal(call.items, 2);
    assert_int_equal(call.batch, 1);
    assert_int_equal(call.run_ns, r.items[0].run_ns);
    assert_int_equal(call.decode_ns, r.items[1].decode_ns);
    assert_string_equal(call.model_name, "m");
    assert_int_equal(call.answer.size, 0);
    small_request_fini(&r);
    small_service_stop(service);
}

static void who_leaves_is_not_computed_for(void **state)
{
    float x[SMALL_FLOATS];
    struct small_request held, r;
    (void)state;
    struct hr_service *service = small_service_start(NULL);
    struct hr_call call = call_of(service);
    small_input("x", x);
    small_request_init(&r, service, 1);
    small_request_tensors(&r, x, SMALL_SIDE, SMALL_SIDE);
    call.transport = &r; /* leaves before it is submitted: harmless */
    assert_true(hr_call_run(&call, &r.request));
    assert_int_equal(r.items[0].status, HR_OK);
    small_request_fini(&r);
    small_hold_begin(&held, service, x);
    hr_batcher_cancel(service->batcher, &held.request, HR_E_CANCELLED);
    small_let_go();
    small_request_fini(&held);
    small_service_stop(service);
}

static void a_full_queue_tells_when_to_come_again(void **state)
{
    float x[SMALL_FLOATS];
    struct small_request held, r, one;
    struct hr_service_options options;
    (void)state;
    small_service_options(&options);
    options.batcher.queue_items = 4;
    struct hr_service *service = small_service_start(&options);
    struct hr_call call = call_of(service);
    small_input("x", x);
    small_hold_begin(&held, service, x);
    struct hr_lane *lane = held.request.served->lanes[0];
    for (size_t n = 1; n <= lane->batch; n++)
        atomic_store(&lane->batch_ns[n], n * (uint64_t)1600000000);
    small_request_init(&r, service, 4);
    small_request_tensors(&r, x, SMALL_SIDE, SMALL_SIDE);
    assert_int_equal(small_request_submit(&r, service), HR_OK);
    small_request_init(&one, service, 1);
    small_request_tensors(&one, x, SMALL_SIDE, SMALL_SIDE);
    assert_false(hr_call_run(&call, &one.request));
    assert_int_equal(call.retry_seconds, 8); /* five of 1.6 s */
    for (size_t n = 1; n <= lane->batch; n++)
        atomic_store(&lane->batch_ns[n], n * (uint64_t)1600000000000);
    is_error(&call, 503, "the queue is full: 4 of 4 places are taken");
    assert_false(hr_call_run(&call, &one.request));
    assert_int_equal(call.retry_seconds, 60); /* at most */
    hr_buffer_fini(&call.answer);
    small_let_go();
    small_request_wait(&r);
    small_request_fini(&held);
    small_request_fini(&r);
    small_request_fini(&one);
    small_service_stop(service);
}

int main(void)
{
    hr_json_memory_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_have_their_codes),
        cmocka_unit_test(counts_of_a_query_are_within_bounds),
        cmocka_unit_test(an_answer_without_memory_says_so),
        cmocka_unit_test(a_run_notes_its_times),
        cmocka_unit_test(who_leaves_is_not_computed_for),
        cmocka_unit_test(a_full_queue_tells_when_to_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
