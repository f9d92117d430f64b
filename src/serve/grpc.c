/* SPDX-License-Identifier: Apache-2.0
 * The loop of the gRPC server: sleeps until a socket, a post or a time limit wants something. */
#include "serve/grpc.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "serve/grpc_inner.h"

#define MOST_EVENTS  64
#define MOST_ACCEPTS 16 /* in a row, before connections have a turn */

void hr_grpc_options_init(struct hr_grpc_options *options)
{
    *options = (struct hr_grpc_options){ .message_bytes = (size_t)64 << 20,
                                         .all_bytes = (size_t)512 << 20,
                                         .header_bytes = 16384,
                                         .connections = 1000,
                                         .streams = 128,
                                         .idle_seconds = 300,
                                         .send_seconds = 30,
                                         .keepalive_seconds = 60,
                                         .time = { .seconds = 60 } };
}

/* ---- Connections ---- */

static unsigned connections_of(const struct hr_grpc *server, const char *peer)
{
    unsigned count = 0;
    for (const struct hr_grpc_connection *c = server->connections; c; c = c->next)
        count += strcmp(c->peer, peer) == 0;
    return count;
}

static bool may_come(const struct hr_grpc *server, const char *peer)
{
    const struct hr_grpc_options *o = &server->options;
    return !server->draining && atomic_load(&server->connection_count) < o->connections &&
           (o->connections_of_one == 0 || connections_of(server, peer) < o->connections_of_one);
}

static void watch_listener(struct hr_grpc *server, bool on)
{
    struct epoll_event event = { .events = on ? (uint32_t)EPOLLIN : 0, .data.ptr = server };
    (void)epoll_ctl(server->poll, EPOLL_CTL_MOD, server->listener, &event);
    server->paused = !on;
}

static void accept_some(struct hr_grpc *server)
{
    for (int i = 0; i < MOST_ACCEPTS; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        char peer[64] = "";
        const int one = 1;
        const int fd = accept4(server->listener, (struct sockaddr *)&address, &size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors or memory: the listener stays ready, so look away for a while. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                watch_listener(server, false);
            return;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)getnameinfo((struct sockaddr *)&address, size, peer, sizeof peer, NULL, 0,
                          NI_NUMERICHOST);
        if (!may_come(server, peer))
            close(fd);
        else
            (void)!hr_grpc_connection_open(server, fd, peer, &address);
    }
}

/* ---- The loop ---- */

static void run_posts(struct hr_grpc *server)
{
    pthread_mutex_lock(&server->mutex);
    struct hr_grpc_post *post = server->posts;
    server->posts = NULL;
    server->posts_end = &server->posts;
    pthread_mutex_unlock(&server->mutex);
    while (post) {
        struct hr_grpc_post *next = post->next; /* run() may free it */
        server->expected--;
        post->run(post);
        post = next;
    }
}

static void begin_drain(struct hr_grpc *server)
{
    server->draining = true;
    (void)epoll_ctl(server->poll, EPOLL_CTL_DEL, server->listener, NULL);
    close(server->listener);
    server->listener = -1;
    for (struct hr_grpc_connection *c = server->connections; c; c = c->next)
        hr_grpc_connection_leave(c);
}

static void sweep(struct hr_grpc *server, uint64_t now_ns)
{
    server->sweep_ns = UINT64_MAX;
    for (struct hr_grpc_connection *c = server->connections; c; c = c->next) {
        const uint64_t at = c->dead ? UINT64_MAX : hr_grpc_connection_sweep(c, now_ns);
        server->sweep_ns = at < server->sweep_ns ? at : server->sweep_ns;
    }
    if (server->paused && !server->draining)
        watch_listener(server, true);
    if (server->connections && server->sweep_ns > now_ns + HR_GRPC_SWEEP_NS)
        server->sweep_ns = now_ns + HR_GRPC_SWEEP_NS;
}

static void settle(struct hr_grpc *server)
{
    while (server->dirty || server->dead) {
        struct hr_grpc_connection *c = server->dirty;
        if (c) {
            server->dirty = c->next_dirty;
            c->dirty = false;
            hr_grpc_connection_write(c);
        } else {
            c = server->dead;
            server->dead = c->next_dead;
            hr_grpc_connection_free(c);
        }
    }
    if (atomic_load(&server->connection_count) == 0) {
        pthread_mutex_lock(&server->mutex);
        pthread_cond_broadcast(&server->empty);
        pthread_mutex_unlock(&server->mutex);
    }
}

static int sleep_ms(const struct hr_grpc *server, uint64_t now_ns)
{
    if (!server->connections && !server->paused)
        return -1;
    if (server->sweep_ns <= now_ns)
        return 0;
    const uint64_t ns = server->sweep_ns - now_ns;
    return (int)((ns < HR_GRPC_SWEEP_NS ? ns : HR_GRPC_SWEEP_NS) / 1000000 + 1);
}

static void handle(struct hr_grpc *server, const struct epoll_event *event)
{
    if (event->data.ptr == server) {
        accept_some(server);
    } else if (event->data.ptr == &server->wake) {
        uint64_t count;
        (void)!read(server->wake, &count, sizeof count);
    } else {
        struct hr_grpc_connection *c = event->data.ptr;
        if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            hr_grpc_connection_read(c);
        hr_grpc_connection_touch(c);
    }
}

static bool orders(struct hr_grpc *server)
{
    pthread_mutex_lock(&server->mutex);
    const bool drain = server->drain && !server->draining, stop = server->stop;
    pthread_mutex_unlock(&server->mutex);
    if (drain)
        begin_drain(server);
    return !stop;
}

static void *loop(void *argument)
{
    struct hr_grpc *server = argument;
    struct epoll_event events[MOST_EVENTS];
    while (orders(server)) {
        run_posts(server);
        settle(server);
        const int count =
            epoll_wait(server->poll, events, MOST_EVENTS, sleep_ms(server, hr_os_now_ns()));
        for (int i = 0; i < count; i++)
            handle(server, &events[i]);
        const uint64_t now_ns = hr_os_now_ns();
        if (now_ns >= server->sweep_ns || server->paused)
            sweep(server, now_ns);
    }
    /* What was promised is sent, as far as sockets take it at once. */
    run_posts(server);
    settle(server);
    for (struct hr_grpc_connection *c = server->connections; c; c = c->next)
        hr_grpc_connection_kill(c);
    settle(server);
    while (server->expected > 0) {
        pthread_mutex_lock(&server->mutex);
        while (!server->posts)
            pthread_cond_wait(&server->posted, &server->mutex);
        pthread_mutex_unlock(&server->mutex);
        run_posts(server);
    }
    return NULL;
}

/* ---- From outside ---- */

static void wake(struct hr_grpc *server)
{
    const uint64_t one = 1;
    (void)!write(server->wake, &one, sizeof one);
}

static void destroy(struct hr_grpc *server)
{
    if (server->poll >= 0)
        close(server->poll);
    if (server->wake >= 0)
        close(server->wake);
    if (server->listener >= 0)
        close(server->listener);
    nghttp2_session_callbacks_del(server->callbacks);
    nghttp2_option_del(server->http);
    hr_credentials_release(server->credentials);
    pthread_mutex_destroy(&server->mutex);
    pthread_cond_destroy(&server->empty);
    pthread_cond_destroy(&server->posted);
    hr_mem_free(server->piece);
    hr_mem_free(server);
}

static enum hr_status open_loop(struct hr_grpc *server)
{
    struct epoll_event listening = { .events = EPOLLIN, .data.ptr = server };
    struct epoll_event waking = { .events = EPOLLIN, .data.ptr = &server->wake };
    HR_TRY(hr_grpc_callbacks_create(server));
    server->piece = hr_mem_alloc_raw(HR_GRPC_PIECE, 1);
    if (!server->piece)
        return HR_E_MEMORY;
    server->poll = epoll_create1(EPOLL_CLOEXEC);
    server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->poll < 0 || server->wake < 0 || fcntl(server->listener, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(server->poll, EPOLL_CTL_ADD, server->listener, &listening) != 0 ||
        epoll_ctl(server->poll, EPOLL_CTL_ADD, server->wake, &waking) != 0 ||
        hr_thread_start(&server->thread, loop, server) != 0)
        return hr_fail(HR_E_IO, "the gRPC server does not start: %s", strerror(errno));
    return HR_OK;
}

enum hr_status hr_grpc_start(struct hr_grpc **out, int listener,
                             const struct hr_grpc_options *options)
{
    struct hr_grpc *server = hr_mem_alloc(1, sizeof *server);
    if (!server) {
        close(listener);
        return HR_E_MEMORY;
    }
    *server = (struct hr_grpc){ .options = *options,
                                .listener = listener,
                                .poll = -1,
                                .wake = -1,
                                .sweep_ns = UINT64_MAX,
                                .credentials = hr_credentials_hold(options->credentials) };
    server->posts_end = &server->posts;
    pthread_mutex_init(&server->mutex, NULL);
    hr_condition_init(&server->empty);
    pthread_cond_init(&server->posted, NULL);
    const enum hr_status status = open_loop(server);
    if (status == HR_OK)
        *out = server;
    else
        destroy(server);
    return status;
}

void hr_grpc_set_credentials(struct hr_grpc *server, struct hr_credentials *credentials)
{
    pthread_mutex_lock(&server->mutex);
    struct hr_credentials *old = server->credentials;
    server->credentials = hr_credentials_hold(credentials);
    pthread_mutex_unlock(&server->mutex);
    hr_credentials_release(old);
}

void hr_grpc_post_expect(struct hr_grpc *server)
{
    server->expected++;
}

void hr_grpc_post_forget(struct hr_grpc *server)
{
    server->expected--;
}

void hr_grpc_post(struct hr_grpc *server, struct hr_grpc_post *post)
{
    post->next = NULL;
    pthread_mutex_lock(&server->mutex);
    *server->posts_end = post;
    server->posts_end = &post->next;
    pthread_cond_signal(&server->posted);
    wake(server); /* under the lock: behind it the server may be gone */
    pthread_mutex_unlock(&server->mutex);
}

void hr_grpc_drain(struct hr_grpc *server)
{
    pthread_mutex_lock(&server->mutex);
    server->drain = true;
    pthread_mutex_unlock(&server->mutex);
    wake(server);
}

bool hr_grpc_wait(struct hr_grpc *server, double seconds)
{
    const uint64_t until_ns = hr_os_now_ns() + (uint64_t)(seconds * 1e9);
    pthread_mutex_lock(&server->mutex);
    while (atomic_load(&server->connection_count) > 0 &&
           hr_condition_wait(&server->empty, &server->mutex, until_ns))
        ;
    pthread_mutex_unlock(&server->mutex);
    return atomic_load(&server->connection_count) == 0;
}

void hr_grpc_stop(struct hr_grpc *server)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->mutex);
    server->stop = true;
    pthread_mutex_unlock(&server->mutex);
    wake(server);
    pthread_join(server->thread, NULL);
    destroy(server);
}

struct hr_grpc_counts hr_grpc_count(struct hr_grpc *server)
{
    return (struct hr_grpc_counts){ .connections = atomic_load(&server->connection_count),
                                    .calls = atomic_load(&server->call_count) };
}

bool hr_grpc_is_draining(const struct hr_grpc *server)
{
    return server->draining;
}

const struct hr_grpc_method *const *hr_grpc_tables(const struct hr_grpc *server)
{
    return server->options.tables;
}
