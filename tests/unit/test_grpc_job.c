/* SPDX-License-Identifier: Apache-2.0
 * Requests on behalf of calls: finished on the server's thread, cancelled when the call is gone,
 * never finished when they were not taken; and what a log line tells of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/os.h"
#include "serve/grpc_job.h"
#include "small_request.h"
#include "talk.h"

static struct hr_service *service;
static float x[SMALL_FLOATS];

static struct {
    struct hr_grpc_job job;
    struct small_request request;
    enum hr_status submitted;
    atomic_int finished, over;
    pthread_t submit_thread, finish_thread;
} work;

static void finish(struct hr_grpc_job *job)
{
    work.finish_thread = pthread_self();
    atomic_store(&work.over, hr_grpc_call_over(job->call));
    if (!hr_grpc_call_over(job->call)) {
        hr_grpc_send(job->call, work.request.logits[0], sizeof work.request.logits[0]);
        hr_grpc_finish(job->call, job->request->items[0].status);
    }
    atomic_fetch_add(&work.finished, 1);
}

static void submit(struct hr_grpc_call *call, struct hr_buffer *message)
{
    (void)message;
    work.submit_thread = pthread_self();
    work.job.finish = finish;
    work.submitted = hr_grpc_job_submit(&work.job, call, service->batcher, &work.request.request);
    if (work.submitted != HR_OK)
        hr_grpc_finish(call, work.submitted);
}

static void gone(struct hr_grpc_call *call)
{
    (void)call;
    hr_grpc_job_cancel(&work.job);
}

static const struct hr_grpc_method methods[] = { { "/t.T/Run", 0, submit, NULL, gone, NULL },
                                                 { 0 } };
static const struct hr_grpc_method *const tables[] = { methods, NULL };

static int set_up(void **state)
{
    struct hr_service_options options;
    (void)state;
    small_service_options(&options);
    options.batcher.queue_items = 2;
    service = small_service_start(&options);
    small_input("x", x);
    memset(&work, 0, sizeof work);
    small_request_init(&work.request, service, 1);
    small_request_tensors(&work.request, x, SMALL_SIDE, SMALL_SIDE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_request_fini(&work.request);
    small_service_stop(service);
    return 0;
}

static void call(struct talk *talk, double seconds, enum hr_status want)
{
    hr_buffer_fini(&talk->answer.message);
    const enum hr_status status =
        hr_grpc_client_call(talk->client, "/t.T/Run", "", 0, seconds, &talk->answer);
    assert_true(status == want || (status == HR_OK && talk->answer.code == 4));
}

static void a_job_is_finished_on_the_servers_thread(void **state)
{
    struct talk talk;
    float logits[SMALL_CLASSES];
    (void)state;
    small_logits(service, x, logits);
    talk_start(&talk, tables, NULL);
    call(&talk, 20, HR_OK);
    assert_int_equal(talk.answer.code, 0);
    assert_int_equal(talk.answer.message.size, sizeof logits);
    assert_memory_equal(talk.answer.message.data, logits, sizeof logits);
    assert_true(pthread_equal(work.submit_thread, work.finish_thread));
    assert_int_equal(atomic_load(&work.finished), 1);
    talk_stop(&talk);
}

static void a_job_whose_call_is_gone_is_cancelled(void **state)
{
    struct talk talk;
    struct small_request held;
    (void)state;
    talk_start(&talk, tables, NULL);
    small_hold_begin(&held, service, x);
    call(&talk, 0.2, HR_E_DEADLINE);
    for (int i = 0; i < 60000 && atomic_load(&work.finished) == 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&work.finished), 1); /* while the worker is held */
    assert_int_equal(atomic_load(&work.over), 1);
    const enum hr_status status = work.request.items[0].status; /* the queue may be the first */
    assert_true(status == HR_E_CANCELLED || status == HR_E_DEADLINE);
    small_let_go();
    small_request_fini(&held);
    talk_stop(&talk);
}

static void a_job_that_is_not_taken_is_not_finished(void **state)
{
    struct talk talk;
    struct small_request held, r;
    (void)state;
    talk_start(&talk, tables, NULL);
    small_hold_begin(&held, service, x);
    small_request_init(&r, service, 2);
    small_request_tensors(&r, x, SMALL_SIDE, SMALL_SIDE);
    assert_int_equal(small_request_submit(&r, service), HR_OK);
    call(&talk, 20, HR_OK);
    assert_int_equal(talk.answer.code, HR_GRPC_UNAVAILABLE);
    assert_int_equal(work.submitted, HR_E_BUSY);
    small_let_go();
    small_request_wait(&r);
    talk_stop(&talk); /* waits for no post */
    assert_int_equal(atomic_load(&work.finished), 0);
    small_request_fini(&held);
    small_request_fini(&r);
}

static void a_note_keeps_the_longest(void **state)
{
    struct hr_grpc_note note = { 0 };
    struct small_request r;
    (void)state;
    small_request_init(&r, service, 2);
    r.items[0].queue_ns = 5;
    r.items[1].queue_ns = 3;
    r.items[1].decode_ns = 9;
    r.items[0].batch = 1;
    r.items[1].batch = 4;
    hr_grpc_note_add(&note, &r.request);
    r.items[0].run_ns = 7;
    r.items[1].batch = 2;
    hr_grpc_note_add(&note, &r.request);
    assert_string_equal(note.model, "m");
    assert_int_equal(note.items, 4);
    assert_true(note.queue_ns == 5 && note.decode_ns == 9 && note.run_ns == 7);
    assert_int_equal(note.batch, 4);
    small_request_fini(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(a_job_is_finished_on_the_servers_thread),
                                        TEST(a_job_whose_call_is_gone_is_cancelled),
                                        TEST(a_job_that_is_not_taken_is_not_finished),
                                        TEST(a_note_keeps_the_longest) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
