/* SPDX-License-Identifier: Apache-2.0
 * Getting in and out: who is let into the queues, who goes away, who waits for an answer; and the
 * batcher's own life. */
#include "serve/batcher.h"

#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "serve/batch_state.h"

/* ---- Getting in ---- */

/* The lane of that size: there, or made in the place of one that nobody uses. */
static enum hr_status find_lane(struct hr_served *served, int height, int width,
                                struct hr_lane **out)
{
    size_t oldest = 0;
    struct hr_lane *made = NULL;
    for (size_t i = 0; i < served->lane_count; i++) {
        struct hr_lane *lane = served->lanes[i];
        if (lane->height == height && lane->width == width) {
            *out = lane;
            return HR_OK;
        }
        if (i > 0 && lane->users == 0 &&
            (oldest == 0 || lane->used_ns < served->lanes[oldest]->used_ns))
            oldest = i;
    }
    const size_t place = served->lane_count < HR_MOST_LANES ? served->lane_count : oldest;
    if (place == 0)
        return hr_fail(HR_E_BUSY, "inputs of too many sizes are being computed");
    HR_TRY(hr_lane_create_beside(&made, served->lanes[0], height, width));
    if (place < served->lane_count)
        hr_lane_destroy(served->lanes[place]);
    else
        served->lane_count++;
    served->lanes[place] = made;
    *out = made;
    return HR_OK;
}

static enum hr_status find_lanes(struct hr_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        struct hr_item *item = &request->items[i];
        item->lane = request->served->lanes[0];
        if (item->x)
            HR_TRY(find_lane(request->served, item->height, item->width, &item->lane));
        item->lane->used_ns = hr_os_now_ns();
    }
    return HR_OK;
}

static uint64_t expected_wait_ns(const struct hr_batcher *b, const struct hr_lane *lane,
                                 size_t more)
{
    return hr_lane_expect_ns(lane, b->items + more) / b->options.workers;
}

static enum hr_status check_room(struct hr_batcher *b, const struct hr_request *request,
                                 enum hr_reject *reason)
{
    const struct hr_lane *own = request->served->lanes[0];
    *reason = HR_REJECT_STOPPING;
    if (b->stopping)
        return hr_fail(HR_E_BUSY, "the server is stopping");
    *reason = HR_REJECT_QUEUE;
    if (request->count > b->options.queue_items - b->items)
        return hr_fail(HR_E_BUSY, "the queue is full: %zu of %zu places are taken", b->items,
                       b->options.queue_items);
    *reason = HR_REJECT_DEADLINE;
    if (request->deadline_ns && b->items > 0 &&
        hr_os_now_ns() + expected_wait_ns(b, own, 0) > request->deadline_ns)
        return hr_fail(HR_E_BUSY, "the queue is too long for the deadline");
    *reason = HR_REJECT_LANE;
    return HR_OK;
}

static void enqueue(struct hr_batcher *b, struct hr_item *item, uint64_t now_ns)
{
    item->lane->users++;
    b->items++;
    if (item->x) {
        hr_batch_wait(b, item, now_ns);
        return;
    }
    item->stage = HR_ITEM_ENCODED;
    item->since_ns = now_ns;
    hr_item_list_push(&b->encoded, item);
    pthread_cond_signal(&b->decode);
}

enum hr_status hr_batcher_submit(struct hr_batcher *b, struct hr_request *request)
{
    const uint64_t now_ns = hr_os_now_ns();
    pthread_mutex_lock(&b->mutex);
    enum hr_reject reason;
    enum hr_status status = check_room(b, request, &reason);
    if (status == HR_OK)
        status = find_lanes(request);
    if (status == HR_OK) {
        request->pending = request->count;
        request->cancelled = HR_OK;
        request->begin_ns = now_ns;
        for (size_t i = 0; i < request->count; i++) {
            request->items[i].request = request;
            enqueue(b, &request->items[i], now_ns);
        }
        hr_batch_tell_clock(b, request);
    } else {
        atomic_fetch_add(&request->served->stats.rejects[reason], 1);
    }
    pthread_mutex_unlock(&b->mutex);
    return status;
}

void hr_batcher_cancel(struct hr_batcher *b, struct hr_request *request, enum hr_status why)
{
    struct hr_request *done = NULL;
    pthread_mutex_lock(&b->mutex);
    if (request->pending > 0)
        hr_batch_end_request(b, request, why, &done);
    pthread_mutex_unlock(&b->mutex);
    hr_batch_call_done(done);
}

size_t hr_batcher_load(struct hr_batcher *b)
{
    pthread_mutex_lock(&b->mutex);
    const size_t items = b->items;
    pthread_mutex_unlock(&b->mutex);
    return items;
}

double hr_batcher_wait_seconds(struct hr_batcher *b, const struct hr_served *served)
{
    pthread_mutex_lock(&b->mutex);
    const uint64_t ns = expected_wait_ns(b, served->lanes[0], 1);
    pthread_mutex_unlock(&b->mutex);
    return 1e-9 * (double)ns;
}

const struct hrnet_decode_options *hr_batcher_decode_options(const struct hr_batcher *b)
{
    return &b->options.decode;
}

/* ---- Waiting for an answer ---- */

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool done;
};

static void wake(struct hr_request *request)
{
    struct waiter *w = request->context;
    pthread_mutex_lock(&w->mutex);
    w->done = true;
    pthread_cond_signal(&w->condition);
    pthread_mutex_unlock(&w->mutex);
}

enum hr_status hr_batcher_run(struct hr_batcher *b, struct hr_request *request)
{
    struct waiter w = { .done = false };
    pthread_mutex_init(&w.mutex, NULL);
    pthread_cond_init(&w.condition, NULL);
    request->done = wake;
    request->context = &w;
    const enum hr_status status = hr_batcher_submit(b, request);
    pthread_mutex_lock(&w.mutex);
    while (status == HR_OK && !w.done)
        pthread_cond_wait(&w.condition, &w.mutex);
    pthread_mutex_unlock(&w.mutex);
    pthread_cond_destroy(&w.condition);
    pthread_mutex_destroy(&w.mutex);
    return status;
}

/* ---- Its own life ---- */

static enum hr_status start(struct hr_batcher *b, void *(*fn)(void *), unsigned index)
{
    struct hr_batch_thread *t = &b->threads[b->thread_count];
    t->batcher = b;
    t->index = index;
    if (hr_thread_start(&t->thread, fn, t) != 0)
        return hr_fail(HR_E_MEMORY, "no thread can be started");
    b->thread_count++;
    return HR_OK;
}

enum hr_status hr_batcher_create(struct hr_batcher **out, const struct hr_batcher_options *options)
{
    struct hr_batcher *b = hr_mem_alloc(1, sizeof *b);
    if (!b)
        return HR_E_MEMORY;
    b->options = *options;
    b->next_deadline_ns = UINT64_MAX;
    pthread_mutex_init(&b->mutex, NULL);
    hr_condition_init(&b->work);
    hr_condition_init(&b->decode);
    hr_condition_init(&b->clock);
    b->threads = hr_mem_alloc(options->workers + options->decoders + 1, sizeof *b->threads);
    enum hr_status status = b->threads ? start(b, hr_batch_clock, 0) : HR_E_MEMORY;
    for (unsigned i = 0; i < options->workers && status == HR_OK; i++)
        status = start(b, hr_batch_worker, i);
    for (unsigned i = 0; i < options->decoders && status == HR_OK; i++)
        status = start(b, hr_batch_decoder, i);
    if (status != HR_OK) {
        hr_batcher_stop(b);
        hr_batcher_destroy(b);
        return status;
    }
    *out = b;
    return HR_OK;
}

void hr_batcher_stop(struct hr_batcher *b)
{
    struct hr_request *done = NULL;
    pthread_mutex_lock(&b->mutex);
    b->stopping = true;
    while (b->encoded.first)
        hr_batch_end_request(b, b->encoded.first->request, HR_E_BUSY, &done);
    while (b->listed)
        hr_batch_end_request(b, b->listed->waiting.first->request, HR_E_BUSY, &done);
    pthread_cond_broadcast(&b->work);
    pthread_cond_broadcast(&b->decode);
    pthread_cond_broadcast(&b->clock);
    pthread_mutex_unlock(&b->mutex);
    hr_batch_call_done(done);
    for (unsigned i = 0; i < b->thread_count; i++)
        pthread_join(b->threads[i].thread, NULL);
    b->thread_count = 0;
}

void hr_batcher_destroy(struct hr_batcher *b)
{
    if (!b)
        return;
    hr_mem_free(b->threads);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->decode);
    pthread_cond_destroy(&b->clock);
    pthread_mutex_destroy(&b->mutex);
    hr_mem_free(b);
}
