/* SPDX-License-Identifier: Apache-2.0
 * The order of life, by signals to this process: ready, reloaded, drained; an end while models are
 * loaded; what cannot be started. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "serve/server.h"
#include "small_service.h"

static struct {
    atomic_int opened; /* models */
    atomic_int ready;
    atomic_bool slow; /* a model waits for `go` */
    atomic_bool go;
    uint16_t ports[3];
} seen;

static hrnet_status open_model(void *context, const char *source, hrnet_model **out)
{
    atomic_fetch_add(&seen.opened, 1);
    while (atomic_load(&seen.slow) && !atomic_load(&seen.go))
        usleep(1000);
    return small_open(context, source, out);
}

static void note_ready(void *context, uint16_t http, uint16_t grpc, uint16_t paddle)
{
    (void)context;
    seen.ports[0] = http;
    seen.ports[1] = grpc;
    seen.ports[2] = paddle;
    atomic_store(&seen.ready, 1);
}

static struct hr_server_options options_of(void)
{
    struct hr_server_options o = { .http = { .host = "127.0.0.1" },
                                   .paddle_port = -1,
                                   .finish_seconds = 20,
                                   .ready = note_ready };
    small_service_options(&o.service);
    o.service.registry.open = open_model;
    o.service.registry.lanes.batch = 1;
    atomic_store(&seen.opened, 0);
    atomic_store(&seen.ready, 0);
    atomic_store(&seen.slow, false);
    atomic_store(&seen.go, false);
    return o;
}

static void *run(void *options)
{
    return (void *)(uintptr_t)hr_server_run(options);
}

static pthread_t start(const struct hr_server_options *options)
{
    pthread_t thread;
    assert_int_equal(hr_thread_start(&thread, run, (void *)(uintptr_t)options), 0);
    return thread;
}

static void wait_for(atomic_int *value, int least)
{
    for (int i = 0; i < 60000 && atomic_load(value) < least; i++)
        usleep(1000);
    assert_true(atomic_load(value) >= least);
}

static enum hr_status join(pthread_t thread)
{
    void *status;
    pthread_join(thread, &status);
    return (enum hr_status)(uintptr_t)status;
}

static void signals_reload_and_end(void **state)
{
    const struct hr_server_options options = options_of();
    (void)state;
    const pthread_t server = start(&options);
    wait_for(&seen.ready, 1);
    assert_true(seen.ports[0] > 0 && seen.ports[1] > 0 && seen.ports[2] == 0);
    assert_int_equal(atomic_load(&seen.opened), 1);
    for (int round = 2; round < 4; round++) { /* and it goes on */
        kill(getpid(), SIGHUP);
        wait_for(&seen.opened, round);
    }
    kill(getpid(), SIGTERM);
    assert_int_equal(join(server), HR_OK);
}

static void a_signal_while_loading_ends_it(void **state)
{
    const struct hr_server_options options = options_of();
    (void)state;
    atomic_store(&seen.slow, true);
    const pthread_t server = start(&options);
    wait_for(&seen.opened, 1);
    kill(getpid(), SIGINT);
    usleep(100000); /* it is heard now; loading is not torn off */
    atomic_store(&seen.go, true);
    assert_int_equal(join(server), HR_OK);
    assert_int_equal(atomic_load(&seen.ready), 0); /* it never said so */
}

static void what_cannot_serve_says_why(void **state)
{
    static const struct hr_model_source bad = { "m", "1", "bad" };
    struct hr_server_options options = options_of();
    (void)state;
    options.service.registry.sources = &bad;
    assert_int_equal(join(start(&options)), HR_E_FORMAT);
    options = options_of();
    options.http.host = "192.0.2.1"; /* of no machine */
    assert_int_equal(join(start(&options)), HR_E_IO);
    assert_int_equal(atomic_load(&seen.opened), 0); /* nothing is loaded in vain */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(signals_reload_and_end),
                                        cmocka_unit_test(a_signal_while_loading_ends_it),
                                        cmocka_unit_test(what_cannot_serve_says_why) };
    sigset_t signals;
    sigfillset(&signals);
    sigdelset(&signals, SIGSEGV);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* they are the server's */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
