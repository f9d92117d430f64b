/* SPDX-License-Identifier: Apache-2.0
 * The queues: who waits, who is taken out early, who is told. */
#include "serve/batch_state.h"

#include <stdio.h>
#include <time.h>

#include "base/os.h"
#include "base/pool.h"

/* ---- Lists ---- */

void hr_item_list_push(struct hr_item_list *list, struct hr_item *item)
{
    item->next = NULL;
    item->previous = list->last;
    if (list->last)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
    list->count++;
}

void hr_item_list_remove(struct hr_item_list *list, struct hr_item *item)
{
    if (item->previous)
        item->previous->next = item->next;
    else
        list->first = item->next;
    if (item->next)
        item->next->previous = item->previous;
    else
        list->last = item->previous;
    list->count--;
}

void hr_batch_tell_clock(struct hr_batcher *b, const struct hr_request *request)
{
    if (request->deadline_ns && request->deadline_ns < b->next_deadline_ns)
        pthread_cond_signal(&b->clock);
}

void hr_batch_wait(struct hr_batcher *b, struct hr_item *item, uint64_t now_ns)
{
    struct hr_lane *lane = item->lane;
    hr_batch_tell_clock(b, item->request);
    item->stage = HR_ITEM_WAITING;
    item->since_ns = now_ns;
    hr_item_list_push(&lane->waiting, item);
    if (!lane->listed) {
        lane->listed = true;
        lane->next_listed = b->listed;
        b->listed = lane;
    }
    pthread_cond_signal(&b->work);
}

void hr_batch_unwait(struct hr_batcher *b, struct hr_item *item)
{
    struct hr_lane *lane = item->lane;
    hr_item_list_remove(&lane->waiting, item);
    if (lane->waiting.count > 0)
        return;
    struct hr_lane **at = &b->listed;
    while (*at != lane)
        at = &(*at)->next_listed;
    *at = lane->next_listed;
    lane->listed = false;
}

void hr_batch_free_slot(struct hr_batcher *b, struct hr_item *item)
{
    if (!item->slot)
        return;
    item->lane->slots[item->lane->free_slots++] = item->slot;
    item->slot = NULL;
    pthread_cond_signal(&b->decode);
}

/* ---- Ends ---- */

static void count_end(const struct hr_item *item, uint64_t now_ns)
{
    struct hr_model_stats *stats = &item->request->served->stats;
    const uint64_t ns = now_ns - item->request->begin_ns;
    struct timespec wall;
    if (item->status == HR_OK) {
        clock_gettime(CLOCK_REALTIME, &wall);
        atomic_fetch_add(&stats->success_count, 1);
        atomic_fetch_add(&stats->success_ns, ns);
        atomic_store(&stats->last_ms,
                     (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000);
        hr_durations_add(&stats->queue, item->queue_ns);
        hr_durations_add(&stats->request, ns);
        if (item->decode_ns)
            hr_durations_add(&stats->decode, item->decode_ns);
    } else if (item->status == HR_E_CANCELLED) {
        atomic_fetch_add(&stats->cancel_count, 1);
    } else {
        atomic_fetch_add(&stats->fail_count, 1);
        atomic_fetch_add(&stats->fail_ns, ns);
    }
}

void hr_batch_finish(struct hr_batcher *b, struct hr_item *item, enum hr_status status,
                     const char *message, struct hr_request **done)
{
    struct hr_request *request = item->request;
    const uint64_t now_ns = hr_os_now_ns();
    hr_batch_free_slot(b, item);
    item->stage = HR_ITEM_DONE;
    item->status = status;
    snprintf(item->message, sizeof item->message, "%s", status == HR_OK ? "" : message);
    item->lane->users--;
    item->lane->used_ns = now_ns;
    b->items--;
    count_end(item, now_ns);
    if (--request->pending == 0) {
        request->next_done = *done;
        *done = request;
    }
}

void hr_batch_call_done(struct hr_request *done)
{
    while (done) {
        struct hr_request *next = done->next_done;
        done->done(done);
        done = next;
    }
}

static const char *end_text(enum hr_status why)
{
    return why == HR_E_DEADLINE ? "the deadline passed before the answer was begun"
           : why == HR_E_BUSY   ? "the server is stopping"
                                : "the request was cancelled";
}

enum hr_status hr_batch_verdict(const struct hr_item *item, uint64_t now_ns, const char **message)
{
    const struct hr_request *request = item->request;
    enum hr_status status = request->cancelled;
    if (status == HR_OK && request->deadline_ns && now_ns >= request->deadline_ns)
        status = HR_E_DEADLINE;
    *message = end_text(status);
    return status;
}

/* Ends an item that waits; one in somebody's hands ends when that thread asks for the verdict. */
static void end_queued(struct hr_batcher *b, struct hr_item *item, enum hr_status why,
                       struct hr_request **done)
{
    if (item->stage == HR_ITEM_ENCODED)
        hr_item_list_remove(&b->encoded, item);
    else if (item->stage == HR_ITEM_WAITING)
        hr_batch_unwait(b, item);
    else
        return;
    hr_batch_finish(b, item, why, end_text(why), done);
}

void hr_batch_end_request(struct hr_batcher *b, struct hr_request *request, enum hr_status why,
                          struct hr_request **done)
{
    request->cancelled = why;
    for (size_t i = 0, count = request->count; i < count && request->pending > 0; i++)
        end_queued(b, &request->items[i], why, done);
}

/* ---- Deadlines ---- */

void hr_batch_sleep(struct hr_batcher *b, pthread_cond_t *condition, uint64_t until_ns)
{
    (void)hr_condition_wait(condition, &b->mutex, until_ns);
}

/* Ends the overdue of a queue; remembers the next deadline. */
static void end_overdue(struct hr_batcher *b, struct hr_item *item, uint64_t now_ns,
                        struct hr_request **done)
{
    for (struct hr_item *next; item; item = next) {
        const uint64_t deadline_ns = item->request->deadline_ns;
        next = item->next;
        if (deadline_ns && now_ns >= deadline_ns)
            end_queued(b, item, HR_E_DEADLINE, done);
        else if (deadline_ns && deadline_ns < b->next_deadline_ns)
            b->next_deadline_ns = deadline_ns;
    }
}

void *hr_batch_clock(void *argument)
{
    struct hr_batcher *b = ((struct hr_batch_thread *)argument)->batcher;
    pthread_mutex_lock(&b->mutex);
    while (!b->stopping) {
        struct hr_request *done = NULL;
        const uint64_t now_ns = hr_os_now_ns();
        b->next_deadline_ns = UINT64_MAX;
        end_overdue(b, b->encoded.first, now_ns, &done);
        for (struct hr_lane *lane = b->listed, *next; lane; lane = next) {
            next = lane->next_listed; /* ending the last item takes the lane off the list */
            end_overdue(b, lane->waiting.first, now_ns, &done);
        }
        if (done) {
            pthread_mutex_unlock(&b->mutex);
            hr_batch_call_done(done);
            pthread_mutex_lock(&b->mutex);
        } else {
            hr_batch_sleep(b, &b->clock, b->next_deadline_ns);
        }
    }
    pthread_mutex_unlock(&b->mutex);
    return NULL;
}
