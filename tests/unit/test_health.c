/* SPDX-License-Identifier: Apache-2.0
 * Health as gRPC's own protocol tells it: of the server and its services, once, and watched until
 * the server ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/pool.h"
#include "serve/health.h"
#include "serve/health.pb-c.h"
#include "serve/service.h"
#include "talk.h"

#define HEALTH "/grpc.health.v1.Health/"

typedef Grpc__Health__V1__HealthCheckResponse response_message;

static atomic_bool ready;

bool hr_service_ready(const struct hr_service *service) /* the server's, here the test's */
{
    (void)service;
    return atomic_load(&ready);
}

static void nothing(struct hr_grpc_call *call, struct hr_buffer *message)
{
    (void)message;
    hr_grpc_finish(call, HR_OK);
}

static const struct hr_grpc_method others[] = { { "/a.First/One", 0, nothing, NULL, NULL, NULL },
                                                { 0 } };
static const struct hr_grpc_method *const tables[] = { others, hr_health_methods, NULL };

static int status_of(struct talk *talk)
{
    return (int)((response_message *)talk_read(
                     talk, &grpc__health__v1__health_check_response__descriptor))
        ->status;
}

static void ask(struct talk *talk, const char *path, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)(uintptr_t)service;
    talk_ask(talk, path, &request.base);
}

static void is_checked(void **state)
{
    static const char *const known[] = { "", "a.First", "grpc.health.v1.Health" };
    static const char *const unknown[] = { "a", "a.First/One", "a.Firs", "a.FirstOne", "/a.First" };
    struct talk talk;
    (void)state;
    talk_start(&talk, tables, NULL);
    for (int is_ready = 0; is_ready < 2; is_ready++) {
        atomic_store(&ready, is_ready);
        for (size_t i = 0; i < HR_COUNT(known); i++) {
            ask(&talk, HEALTH "Check", known[i]);
            assert_int_equal(talk.answer.code, 0);
            assert_int_equal(status_of(&talk), is_ready ? 1 : 2);
        }
        for (size_t i = 0; i < HR_COUNT(unknown); i++) {
            ask(&talk, HEALTH "Check", unknown[i]);
            assert_int_equal(talk.answer.code, 5); /* NOT_FOUND */
        }
    }
    talk_stop(&talk);
}

static void *change_and_drain(void *server)
{
    usleep(400000);
    atomic_store(&ready, false);
    usleep(600000);
    hr_grpc_drain(server);
    return NULL;
}

/* The client hears the first status, each change and, when the server goes, an end. */
static void is_watched(void **state)
{
    static const struct {
        const char *service;
        int status;
        size_t told;
    } cases[] = { { "a.First", 1, 2 }, { "other", 3, 1 } };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct talk talk;
        pthread_t thread;
        atomic_store(&ready, true);
        talk_start(&talk, tables, NULL);
        assert_int_equal(hr_thread_start(&thread, change_and_drain, talk.server), 0);
        ask(&talk, HEALTH "Watch", cases[i].service);
        pthread_join(thread, NULL);
        assert_int_equal(talk.answer.code, HR_GRPC_UNAVAILABLE);
        assert_int_equal(talk.answer.messages, cases[i].told);
        assert_int_equal(status_of(&talk), cases[i].status);
        talk_stop(&talk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(is_checked),
                                        cmocka_unit_test(is_watched) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
