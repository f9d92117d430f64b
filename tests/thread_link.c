/* SPDX-License-Identifier: Apache-2.0
 * The link of threads.  A transfer is met by all ranks under its kind and number; who asks about it
 * copies what is for him once all are there, and it is done once all have copied. */
#include "thread_link.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"

#define MOST_RANKS     4
#define MOST_TRANSFERS 4096

enum kind { SCATTER, GATHER, RECORD, KINDS };

struct transfer {
    const void *from[MOST_RANKS];
    size_t met, copied;
};

struct hub {
    pthread_mutex_t mutex;
    size_t ranks, slow;
    struct transfer transfers[KINDS][MOST_TRANSFERS];
};

struct pending {
    struct transfer *transfer;
    enum kind kind;
    const size_t *parts;
    void *to;
    size_t bytes, asked;
    bool copied, tells;
};

struct end {
    struct hr_link link;
    struct hub *hub;
    size_t counts[KINDS];
    struct pending pending[HR_LINK_TICKETS];
};

static enum hr_status meet(struct hr_link *link, size_t ticket, const struct pending *pending,
                           const void *from)
{
    struct end *const e = link->context;
    struct pending *const p = &e->pending[ticket];
    assert(e->counts[pending->kind] < MOST_TRANSFERS);
    pthread_mutex_lock(&e->hub->mutex);
    *p = *pending;
    p->transfer = &e->hub->transfers[p->kind][e->counts[p->kind]++];
    p->transfer->from[link->rank] = from;
    p->transfer->met++;
    pthread_mutex_unlock(&e->hub->mutex);
    return HR_OK;
}

static enum hr_status scatter(struct hr_link *link, size_t ticket, const float *data,
                              const size_t *parts, float *into)
{
    return meet(link, ticket, &(struct pending){ .kind = SCATTER, .parts = parts, .to = into },
                data);
}

static enum hr_status gather(struct hr_link *link, size_t ticket, float *data, const size_t *parts)
{
    return meet(link, ticket, &(struct pending){ .kind = GATHER, .parts = parts, .to = data },
                data);
}

static enum hr_status share(struct hr_link *link, size_t ticket, const void *mine, void *all,
                            size_t bytes)
{
    return meet(link, ticket, &(struct pending){ .kind = RECORD, .bytes = bytes, .to = all }, mine);
}

static enum hr_status tell(struct hr_link *link, size_t ticket, void *data, size_t bytes)
{
    return meet(link, ticket,
                &(struct pending){ .kind = RECORD, .bytes = bytes, .to = data, .tells = true },
                data);
}

static void copy(const struct hr_link *link, const struct pending *p)
{
    const size_t own = (size_t)link->rank, ranks = (size_t)link->ranks;
    for (size_t r = 0; r < ranks; r++) {
        const float *const from = p->transfer->from[r];
        if (p->kind == SCATTER) {
            const size_t count = p->parts[own + 1] - p->parts[own];
            memcpy((float *)p->to + r * count, from + p->parts[own], count * sizeof *from);
        } else if (p->kind == GATHER && r != own) {
            memcpy((float *)p->to + p->parts[r], from + p->parts[r],
                   (p->parts[r + 1] - p->parts[r]) * sizeof *from);
        } else if (p->kind == RECORD && !p->tells) {
            memcpy((char *)p->to + r * p->bytes, from, p->bytes);
        } else if (p->kind == RECORD && r == 0 && own != 0) {
            memcpy(p->to, from, p->bytes);
        }
    }
}

static enum hr_status test(struct hr_link *link, size_t ticket, bool *done)
{
    struct end *const e = link->context;
    struct pending *const p = &e->pending[ticket];
    pthread_mutex_lock(&e->hub->mutex);
    if (p->transfer->met == e->hub->ranks && !p->copied && ++p->asked > e->hub->slow) {
        copy(link, p);
        p->copied = true;
        p->transfer->copied++;
    }
    *done = p->transfer->copied == e->hub->ranks;
    pthread_mutex_unlock(&e->hub->mutex);
    return HR_OK;
}

static void close_link(struct hr_link *link, bool in_order)
{
    (void)in_order;
    hr_mem_free(link->context);
}

struct start {
    const struct test_ranks *ranks;
    struct hub *hub;
    int rank;
};

static void *run(void *context)
{
    const struct start *const s = context;
    struct hr_reduce *reduce = NULL;
    struct end *const e = hr_mem_alloc(1, sizeof *e);
    assert(e);
    e->hub = s->hub;
    e->link = (struct hr_link){ .rank = s->rank,
                                .ranks = (int)s->ranks->ranks,
                                .context = e,
                                .scatter = scatter,
                                .gather = gather,
                                .share = share,
                                .tell = tell,
                                .test = test,
                                .close = close_link };
    const enum hr_status status = hr_reduce_create(&reduce, &e->link);
    assert(status == HR_OK);
    (void)status;
    s->ranks->fn(reduce, s->ranks->context);
    hr_reduce_destroy(reduce, true);
    return NULL;
}

void test_ranks_run(const struct test_ranks *ranks)
{
    struct hub *const hub = hr_mem_alloc(1, sizeof *hub);
    pthread_t threads[MOST_RANKS];
    struct start starts[MOST_RANKS];
    assert(hub && ranks->ranks <= MOST_RANKS);
    pthread_mutex_init(&hub->mutex, NULL);
    hub->ranks = ranks->ranks;
    hub->slow = ranks->slow;
    for (int i = 0; i < (int)ranks->ranks; i++) {
        starts[i] = (struct start){ ranks, hub, i };
        if (i != ranks->lost && pthread_create(&threads[i], NULL, run, &starts[i]) != 0)
            assert(false);
    }
    for (int i = 0; i < (int)ranks->ranks; i++)
        if (i != ranks->lost)
            pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&hub->mutex);
    hr_mem_free(hub);
}
