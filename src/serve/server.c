/* SPDX-License-Identifier: Apache-2.0
 * Order of life: listen (live), load (ready), serve, on SIGTERM be unready at once, go on answering
 * while load balancers notice, accept no more, finish, end. */
#include "serve/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "serve/json_memory.h"
#include "serve/observe.h"

struct server {
    const struct hr_server_options *options;
    struct hr_service service;
    struct hr_http *http;
    struct grpc_listener {
        struct hr_grpc *grpc; /* or NULL */
        struct hr_grpc_service_options options;
        uint16_t port;
    } oip, paddle;
    pthread_t loader;
    atomic_int loaded; /* -1 while loading, else the status */
    char message[1024];
};

/* ---- Signals ---- */

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* The next signal within the time, or 0. */
static int await_signal(const sigset_t *set, double seconds)
{
    const struct timespec time = { (time_t)seconds,
                                   (long)(1e9 * (seconds - (double)(time_t)seconds)) };
    const int number = sigtimedwait(set, NULL, &time);
    return number > 0 ? number : 0;
}

/* ---- Loading ---- */

static void *load(void *argument)
{
    struct server *s = argument;
    const enum hr_status status = hr_registry_load_all(s->service.registry);
    if (status != HR_OK)
        snprintf(s->message, sizeof s->message, "%s", hr_last_message());
    atomic_store(&s->loaded, (int)status);
    return NULL;
}

/* Loads while signals are listened to; true when a signal says to end. */
static enum hr_status load_models(struct server *s, const sigset_t *signals, bool *end)
{
    atomic_store(&s->loaded, -1);
    if (hr_thread_start(&s->loader, load, s) != 0)
        return hr_fail(HR_E_MEMORY, "no thread can be started");
    while (atomic_load(&s->loaded) < 0) {
        const int number = await_signal(signals, 0.02);
        *end = *end || number == SIGTERM || number == SIGINT;
    }
    pthread_join(s->loader, NULL);
    const enum hr_status status = (enum hr_status)atomic_load(&s->loaded);
    return status == HR_OK ? HR_OK : hr_fail(status, "%s", s->message);
}

static void note(const char *what, enum hr_status status)
{
    if (status == HR_OK)
        hr_log(HR_LOG_INFO, "%s", what);
    else
        hr_log(HR_LOG_WARNING, "%s failed, the old goes on: %s", what, hr_last_message());
}

static void reload_grpc(const struct grpc_listener *l)
{
    if (l->grpc)
        note("reload of gRPC's certificates", hr_grpc_service_reload(l->grpc, &l->options));
}

static void reload(struct server *s)
{
    note("reload of tokens", hr_gate_reload(s->service.gate));
    note("reload of certificates", hr_http_reload(s->http));
    reload_grpc(&s->oip);
    reload_grpc(&s->paddle);
    note("reload of models", hr_registry_reload(s->service.registry));
    hr_observe_reopen(s->service.observe);
}

/* ---- The end ---- */

static uint64_t calls_of(const struct grpc_listener *l)
{
    return l->grpc ? hr_grpc_count(l->grpc).calls : 0;
}

static void drain_grpc(const struct grpc_listener *l)
{
    if (l->grpc)
        hr_grpc_drain(l->grpc);
}

static bool is_busy(const struct server *s)
{
    return atomic_load(&s->service.requests_now) > 0 || calls_of(&s->oip) > 0 ||
           calls_of(&s->paddle) > 0;
}

/* Still answering, but no more ready: balancers need time to notice.  A second signal cuts it. */
static void drain(struct server *s, const sigset_t *signals)
{
    const uint64_t start_ns = hr_os_now_ns();
    atomic_store(&s->service.state, HR_SERVICE_DRAINING);
    if (s->options->drain_seconds > 0)
        await_signal(signals, s->options->drain_seconds);
    hr_http_quiesce(s->http);
    drain_grpc(&s->oip);
    drain_grpc(&s->paddle);
    while (is_busy(s) && 1e-9 * (double)(hr_os_now_ns() - start_ns) <
                             s->options->drain_seconds + s->options->finish_seconds)
        if (await_signal(signals, 0.01))
            break;
}

static void close_all(struct server *s)
{
    if (s->service.batcher)
        hr_batcher_stop(s->service.batcher); /* what waits is refused: no handler blocks on */
    hr_http_stop(s->http);
    hr_grpc_stop(s->oip.grpc);
    hr_grpc_stop(s->paddle.grpc);
    hr_service_close(&s->service);
}

static enum hr_status open_grpc(struct server *s, struct grpc_listener *l, int port,
                                const struct hr_grpc_method *const *tables)
{
    const struct hr_http_options *http = &s->options->http;
    if (port < 0)
        return HR_OK;
    l->options = (struct hr_grpc_service_options){ .host = http->host,
                                                   .port = (uint16_t)port,
                                                   .certificate_file = http->certificate_file,
                                                   .key_file = http->key_file,
                                                   .tables = tables };
    return hr_grpc_service_start(&l->grpc, &l->port, &s->service, &l->options);
}

static enum hr_status open_all(struct server *s)
{
    const struct hr_server_options *o = s->options;
    HR_TRY(hr_service_open(&s->service, &o->service));
    HR_TRY(hr_http_start(&s->http, &s->service, &o->http));
    HR_TRY(open_grpc(s, &s->oip, o->grpc_port, hr_grpc_oip_tables));
    return open_grpc(s, &s->paddle, o->paddle_port, hr_grpc_paddle_tables);
}

static enum hr_status serve(struct server *s, const sigset_t *signals)
{
    bool end = false;
    HR_TRY(open_all(s));
    HR_TRY(load_models(s, signals, &end));
    atomic_store(&s->service.state, HR_SERVICE_READY);
    if (!end && s->options->ready)
        s->options->ready(s->options->context, hr_http_port(s->http), s->oip.port, s->paddle.port);
    while (!end) {
        const int number = await_signal(signals, 3600);
        if (number == SIGHUP)
            reload(s);
        end = number == SIGTERM || number == SIGINT;
    }
    drain(s, signals);
    return HR_OK;
}

enum hr_status hr_server_run(const struct hr_server_options *options)
{
    struct server *s = hr_mem_alloc(1, sizeof *s);
    sigset_t signals;
    if (!s)
        return HR_E_MEMORY;
    s->options = options;
    hr_json_memory_install();
    block_signals(&signals);
    const enum hr_status status = serve(s, &signals);
    close_all(s);
    hr_mem_free(s);
    return status;
}
