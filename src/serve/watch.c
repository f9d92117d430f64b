/* SPDX-License-Identifier: Apache-2.0
 * A list of sockets with the time of their last change of phase. */
#include "serve/watch.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"

#define LOOK_EVERY_NS   200000000
#define ATTEND_EVERY_NS 50000000 /* so long is computed for a client that left */
#define POLLED          64       /* connections that one call looks at */

struct hr_watched {
    int socket;
    enum hr_watch_phase phase;
    uint64_t since_ns;
    void (*left)(void *context); /* or NULL */
    void *context;
    struct hr_watched *next, *previous;
};

struct hr_watch {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    pthread_t thread;
    struct hr_watched *first;
    size_t count, attended; /* attended: that have `left` */
    uint64_t limit_ns[HR_WATCH_PHASES];
    bool stop;
};

static void end_slow(struct hr_watch *w)
{
    const uint64_t now_ns = hr_os_now_ns();
    for (struct hr_watched *c = w->first; c; c = c->next)
        if (now_ns - c->since_ns > w->limit_ns[c->phase]) {
            shutdown(c->socket, SHUT_RDWR); /* its thread sees the end and closes */
            c->since_ns = now_ns;
        }
}

/* Looks at some of those that wait for an answer; the connection behind them. */
static const struct hr_watched *tell_some(const struct hr_watched *c)
{
    struct pollfd waits[POLLED];
    const struct hr_watched *of[POLLED];
    nfds_t count = 0;
    for (; c && count < POLLED; c = c->next)
        if (c->left) {
            waits[count] = (struct pollfd){ .fd = c->socket, .events = POLLRDHUP };
            of[count++] = c;
        }
    if (count > 0 && poll(waits, count, 0) > 0)
        for (nfds_t i = 0; i < count; i++)
            if (waits[i].revents & (POLLRDHUP | POLLHUP | POLLERR))
                of[i]->left(of[i]->context);
    return c;
}

static void tell_of_left(const struct hr_watch *w)
{
    for (const struct hr_watched *c = w->first; c;)
        c = tell_some(c);
}

static void *look(void *argument)
{
    struct hr_watch *w = argument;
    pthread_mutex_lock(&w->mutex);
    while (!w->stop) {
        const uint64_t every_ns = w->attended ? ATTEND_EVERY_NS : LOOK_EVERY_NS;
        (void)hr_condition_wait(&w->condition, &w->mutex, hr_os_now_ns() + every_ns);
        end_slow(w);
        tell_of_left(w);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

enum hr_status hr_watch_create(struct hr_watch **out, double head_seconds, double body_seconds)
{
    struct hr_watch *w = hr_mem_alloc(1, sizeof *w);
    if (!w)
        return HR_E_MEMORY;
    w->limit_ns[HR_WATCH_HEAD] = (uint64_t)(1e9 * head_seconds);
    w->limit_ns[HR_WATCH_BODY] = (uint64_t)(1e9 * body_seconds);
    w->limit_ns[HR_WATCH_SEND] = (uint64_t)(1e9 * body_seconds);
    w->limit_ns[HR_WATCH_COMPUTE] = UINT64_MAX;
    pthread_mutex_init(&w->mutex, NULL);
    hr_condition_init(&w->condition);
    if (hr_thread_start(&w->thread, look, w) != 0) {
        hr_mem_free(w);
        return hr_fail(HR_E_MEMORY, "no thread can be started");
    }
    *out = w;
    return HR_OK;
}

void hr_watch_destroy(struct hr_watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_signal(&w->condition);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->condition);
    pthread_mutex_destroy(&w->mutex);
    hr_mem_free(w);
}

struct hr_watched *hr_watch_add(struct hr_watch *w, int socket)
{
    struct hr_watched *c = hr_mem_alloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->socket = socket;
    c->since_ns = hr_os_now_ns();
    pthread_mutex_lock(&w->mutex);
    c->next = w->first;
    if (c->next)
        c->next->previous = c;
    w->first = c;
    w->count++;
    pthread_mutex_unlock(&w->mutex);
    return c;
}

void hr_watch_phase(struct hr_watch *w, struct hr_watched *c, enum hr_watch_phase phase)
{
    if (!c)
        return;
    pthread_mutex_lock(&w->mutex);
    c->phase = phase;
    c->since_ns = hr_os_now_ns();
    pthread_mutex_unlock(&w->mutex);
}

void hr_watch_attend(struct hr_watch *w, struct hr_watched *c, void (*left)(void *context),
                     void *context)
{
    if (!c)
        return;
    pthread_mutex_lock(&w->mutex);
    w->attended += left != NULL;
    w->attended -= c->left != NULL;
    c->left = left;
    c->context = context;
    if (left && w->attended == 1)
        pthread_cond_signal(&w->condition);
    pthread_mutex_unlock(&w->mutex);
}

void hr_watch_remove(struct hr_watch *w, struct hr_watched *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&w->mutex);
    if (c->previous)
        c->previous->next = c->next;
    else
        w->first = c->next;
    if (c->next)
        c->next->previous = c->previous;
    w->count--;
    pthread_mutex_unlock(&w->mutex);
    hr_mem_free(c);
}

size_t hr_watch_count(struct hr_watch *w)
{
    pthread_mutex_lock(&w->mutex);
    const size_t count = w->count;
    pthread_mutex_unlock(&w->mutex);
    return count;
}
