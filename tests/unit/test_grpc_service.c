/* SPDX-License-Identifier: Apache-2.0
 * Whom the gRPC server of a service lets in, in gRPC's codes, and what it notes of calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve/grpc_client.h"
#include "serve/grpc_service.h"
#include "serve/observe.h"
#include "small_service.h"

#define OIP    "/inference.GRPCInferenceService/"
#define LIVE   OIP "ServerLive"
#define SERVER OIP "ServerMetadata"
#define STATS  OIP "ModelStatistics"

struct fixture {
    struct hr_service_options options;
    struct hr_service *service;
    struct hr_grpc *server;
    uint16_t port;
    char tokens[32];
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ .tokens = "/tmp/hrnet-grpc-XXXXXX" };
    small_service_options(&f.options);
    const int fd = mkstemp(f.tokens);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    *state = &f;
    return close(fd);
}

static void start(struct fixture *f)
{
    const struct hr_grpc_service_options options = { .host = "127.0.0.1",
                                                     .tables = hr_grpc_oip_tables };
    f->service = small_service_start(&f->options);
    if (hr_grpc_service_start(&f->server, &f->port, f->service, &options) != HR_OK)
        fail_msg("%s", hr_last_message());
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    hr_grpc_stop(f->server);
    small_service_stop(f->service);
    return unlink(f->tokens);
}

/* The code of an empty request. */
static int ask(const struct fixture *f, const char *path, const char *authorization)
{
    struct hr_grpc_client *client = NULL;
    struct hr_grpc_answer answer = { .code = -1 };
    char port[8];
    snprintf(port, sizeof port, "%u", f->port);
    const struct hr_grpc_client_options options = { "127.0.0.1", port, NULL, authorization,
                                                    1 << 20 };
    assert_int_equal(hr_grpc_client_create(&client, &options), HR_OK);
    assert_int_equal(hr_grpc_client_call(client, path, "", 0, 20, &answer), HR_OK);
    hr_buffer_fini(&answer.message);
    hr_grpc_client_destroy(client);
    return answer.code;
}

static void tokens_are_asked_for(void **state)
{
    struct fixture *f = *state;
    f->options.gate.token_file = f->tokens;
    start(f);
    assert_int_equal(ask(f, STATS, NULL), HR_GRPC_UNAUTHENTICATED);
    assert_int_equal(ask(f, STATS, "Bearer other"), HR_GRPC_UNAUTHENTICATED);
    assert_int_equal(ask(f, STATS, "Bearer secret"), 0);
    assert_int_equal(ask(f, LIVE, NULL), 0); /* health is open */
    assert_int_equal(ask(f, "/grpc.health.v1.Health/Check", NULL), 0);
}

static void rates_are_kept(void **state)
{
    struct fixture *f = *state;
    f->options.gate.rate = 0.0001;
    f->options.gate.burst = 2;
    start(f);
    assert_int_equal(ask(f, STATS, NULL), 0);
    assert_int_equal(ask(f, STATS, NULL), 0);
    assert_int_equal(ask(f, STATS, NULL), HR_GRPC_EXHAUSTED);
    assert_int_equal(ask(f, LIVE, NULL), 0);
}

static void what_is_early_is_answered_while_models_load(void **state)
{
    struct fixture *f = *state;
    start(f);
    atomic_store(&f->service->state, HR_SERVICE_LOADING);
    assert_int_equal(ask(f, STATS, NULL), HR_GRPC_UNAVAILABLE);
    assert_int_equal(ask(f, SERVER, NULL), 0);
    assert_int_equal(ask(f, OIP "ServerReady", NULL), 0);
    atomic_store(&f->service->state, HR_SERVICE_READY);
    assert_int_equal(ask(f, STATS, NULL), 0);
}

static void calls_are_counted_by_code(void **state)
{
    struct fixture *f = *state;
    struct hr_text text = { 0 };
    start(f);
    assert_int_equal(ask(f, STATS, NULL), 0);
    assert_int_equal(ask(f, OIP "Nothing", NULL), HR_GRPC_UNIMPLEMENTED);
    assert_int_equal(ask(f, OIP "ModelMetadata", NULL), 0); /* of the first model */
    hr_grpc_stop(f->server);                                /* so that all have ended */
    f->server = NULL;
    hr_observe_print(f->service->observe, f->service, &text);
    assert_non_null(
        strstr(hr_text_str(&text), "\nhrnet_requests_total{protocol=\"grpc\",code=\"0\"} 2\n"));
    hr_text_fini(&text);
}

static void what_cannot_be_started_is_told(void **state)
{
    struct fixture *f = *state;
    struct hr_grpc *other = NULL;
    uint16_t port;
    start(f);
    struct hr_grpc_service_options options = { .host = "127.0.0.1",
                                               .port = f->port,
                                               .tables = hr_grpc_oip_tables };
    assert_int_equal(hr_grpc_service_start(&other, &port, f->service, &options), HR_E_IO);
    options.certificate_file = options.key_file = f->tokens; /* nothing of the kind */
    assert_true(hr_grpc_service_start(&other, &port, f->service, &options) != HR_OK);
    assert_true(hr_grpc_service_reload(f->server, &options) != HR_OK);
    assert_int_equal(ask(f, LIVE, NULL), 0); /* the old goes on */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tokens_are_asked_for),
        TEST(rates_are_kept),
        TEST(what_is_early_is_answered_while_models_load),
        TEST(calls_are_counted_by_code),
        TEST(what_cannot_be_started_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
