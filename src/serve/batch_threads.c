/* SPDX-License-Identifier: Apache-2.0
 * The threads behind the queues: decoders make tensors, workers compute batches. */
#include <string.h>

#include "base/os.h"
#include "serve/batch_state.h"

/* ---- Decoders ---- */

/* Where a batch uses every CPU, a picture that is decoded beside it stops one of its threads, and
 * for that one all others wait at the end of a step: it costs twice its time and more.  So pictures
 * have their turn between batches, unless the next batch would not be full. */
static bool has_its_turn(const struct hr_batcher *b, const struct hr_lane *lane)
{
    return !b->options.in_turns || b->computing == 0 || lane->waiting.count < lane->batch;
}

/* The first picture that has its turn and a place for its tensor. */
static struct hr_item *next_encoded(const struct hr_batcher *b)
{
    struct hr_item *item = b->encoded.first;
    while (item && (item->lane->free_slots == 0 || !has_its_turn(b, item->lane)))
        item = item->next;
    return item;
}

static enum hr_status decode(const struct hr_batcher *b, struct hr_item *item)
{
    const struct hrnet_recipe *recipe = &item->request->served->recipe;
    if (item->pixels)
        return (enum hr_status)hrnet_preprocess_pixels(recipe, item->pixels, item->pixels_width,
                                                       item->pixels_height, item->slot);
    return (enum hr_status)hrnet_preprocess_memory(recipe, item->picture, item->picture_bytes,
                                                   item->name, &b->options.decode, item->slot,
                                                   &item->report);
}

/* Takes the item out of the queue, decodes it without the lock, hands it on. */
static void decode_one(struct hr_batcher *b, struct hr_item *item)
{
    struct hr_request *done = NULL;
    const char *message = NULL;
    const uint64_t start_ns = hr_os_now_ns();
    hr_item_list_remove(&b->encoded, item);
    item->stage = HR_ITEM_DECODING;
    item->queue_ns += start_ns - item->since_ns;
    item->slot = item->lane->slots[--item->lane->free_slots];
    b->decoding++;
    pthread_mutex_unlock(&b->mutex);
    enum hr_status status = decode(b, item);
    const uint64_t now_ns = hr_os_now_ns();
    item->decode_ns = now_ns - start_ns;
    pthread_mutex_lock(&b->mutex);
    b->decoding--;
    pthread_cond_signal(&b->work); /* who may wait for the last one */
    if (status != HR_OK) {
        message = hr_last_message();
    } else {
        status = b->stopping ? HR_E_BUSY : hr_batch_verdict(item, now_ns, &message);
        message = b->stopping ? "the server is stopping" : message;
    }
    if (status == HR_OK)
        hr_batch_wait(b, item, now_ns);
    else
        hr_batch_finish(b, item, status, message, &done);
    if (done) {
        pthread_mutex_unlock(&b->mutex);
        hr_batch_call_done(done);
        pthread_mutex_lock(&b->mutex);
    }
}

void *hr_batch_decoder(void *argument)
{
    struct hr_batcher *b = ((struct hr_batch_thread *)argument)->batcher;
    pthread_mutex_lock(&b->mutex);
    while (!b->stopping) {
        struct hr_item *item = next_encoded(b);
        if (item)
            decode_one(b, item);
        else
            hr_batch_sleep(b, &b->decode, UINT64_MAX);
    }
    pthread_mutex_unlock(&b->mutex);
    return NULL;
}

/* ---- Workers ---- */

#define PAUSE 16 /* part of a batch's time that a worker leaves to decoders at most */

/* Whether decoders, in their turn, get this batch and the next one ready; until *end_ns, which is
 * set when the pause begins (0). */
static bool pauses(const struct hr_batcher *b, const struct hr_lane *lane, uint64_t now_ns,
                   uint64_t *end_ns)
{
    if (!b->options.in_turns || lane->waiting.count >= 2 * lane->batch ||
        (b->decoding == 0 && !next_encoded(b)))
        return false;
    if (*end_ns == 0)
        *end_ns = now_ns + hr_lane_expect_ns(lane, lane->batch) / PAUSE;
    return now_ns < *end_ns;
}

/* The lane whose first item has waited longest among those that may start: full, or waited out.
 * Otherwise NULL, and when to look again. */
static struct hr_lane *ripe_lane(const struct hr_batcher *b, uint64_t now_ns, uint64_t *again_ns)
{
    struct hr_lane *best = NULL;
    *again_ns = UINT64_MAX;
    for (struct hr_lane *lane = b->listed; lane; lane = lane->next_listed) {
        const struct hr_item *first = lane->waiting.first;
        const uint64_t ripe_ns = first->since_ns + lane->delay_ns;
        if (lane->waiting.count < lane->batch && now_ns < ripe_ns)
            *again_ns = ripe_ns < *again_ns ? ripe_ns : *again_ns;
        else if (!best || first->since_ns < best->waiting.first->since_ns)
            best = lane;
    }
    return best;
}

/* Moves up to a batch out of the queue; what is not wanted any more ends here. */
static size_t take_batch(struct hr_batcher *b, struct hr_batch_thread *t, struct hr_lane *lane,
                         uint64_t now_ns, struct hr_request **done)
{
    size_t count = 0;
    while (count < lane->batch && lane->waiting.first) {
        struct hr_item *item = lane->waiting.first;
        const char *message;
        const enum hr_status status = hr_batch_verdict(item, now_ns, &message);
        hr_batch_unwait(b, item);
        if (status != HR_OK) {
            hr_batch_finish(b, item, status, message, done);
            continue;
        }
        item->stage = HR_ITEM_RUNNING;
        item->queue_ns += now_ns - item->since_ns;
        t->batch[count++] = item;
    }
    return count;
}

/* Copies the inputs next to each other and gives decoded pictures' memory back. */
static void gather(struct hr_batcher *b, const struct hr_batch_thread *t, struct hr_lane *lane,
                   size_t count)
{
    const size_t floats = (size_t)3 * (size_t)lane->height * (size_t)lane->width;
    for (size_t i = 0; i < count; i++)
        memcpy(lane->of[t->index].x + i * floats,
               t->batch[i]->slot ? t->batch[i]->slot : t->batch[i]->x, floats * sizeof(float));
    pthread_mutex_lock(&b->mutex);
    for (size_t i = 0; i < count; i++)
        hr_batch_free_slot(b, t->batch[i]);
    pthread_mutex_unlock(&b->mutex);
}

static enum hr_status compute(struct hr_batcher *b, const struct hr_batch_thread *t,
                              struct hr_lane *lane, size_t count)
{
    struct hr_lane_worker *w = &lane->of[t->index];
    struct hr_served *served = t->batch[0]->request->served;
    HR_TRY(hr_lane_plan(lane, &served->lane_options, t->index));
    gather(b, t, lane, count);
    const uint64_t start_ns = hr_os_now_ns();
    HR_TRY((enum hr_status)hrnet_session_run(w->session, w->x, count, w->logits));
    const uint64_t run_ns = hr_os_now_ns() - start_ns;
    for (size_t i = 0; i < count; i++) {
        struct hr_item *item = t->batch[i];
        memcpy(item->logits, w->logits + i * (size_t)lane->classes,
               (size_t)lane->classes * sizeof *w->logits);
        item->run_ns = run_ns;
        item->batch = (uint32_t)count;
    }
    hr_lane_learn(lane, count, run_ns);
    hr_durations_add(&served->stats.run, run_ns);
    const size_t row = count < HR_STATS_BATCHES ? count : HR_STATS_BATCHES;
    atomic_fetch_add(&served->stats.batches[row], 1);
    atomic_fetch_add(&served->stats.batches_ns[row], run_ns);
    return HR_OK;
}

/* One batch of the lane; enters and leaves with the lock held. */
static void run_batch(struct hr_batcher *b, struct hr_batch_thread *t, struct hr_lane *lane,
                      uint64_t now_ns)
{
    struct hr_request *done = NULL;
    const size_t count = take_batch(b, t, lane, now_ns, &done);
    enum hr_status status = HR_OK;
    b->computing++;
    pthread_mutex_unlock(&b->mutex);
    hr_batch_call_done(done);
    done = NULL;
    if (count > 0)
        status = compute(b, t, lane, count);
    pthread_mutex_lock(&b->mutex);
    b->computing--;
    if (b->encoded.first)
        pthread_cond_broadcast(&b->decode);
    for (size_t i = 0; i < count; i++)
        hr_batch_finish(b, t->batch[i], status, hr_last_message(), &done);
    if (done) {
        pthread_mutex_unlock(&b->mutex);
        hr_batch_call_done(done);
        pthread_mutex_lock(&b->mutex);
    }
}

void *hr_batch_worker(void *argument)
{
    struct hr_batch_thread *t = argument;
    struct hr_batcher *b = t->batcher;
    uint64_t pause_end_ns = 0;
    pthread_mutex_lock(&b->mutex);
    while (!b->stopping) {
        const uint64_t now_ns = hr_os_now_ns();
        uint64_t again_ns;
        struct hr_lane *lane = ripe_lane(b, now_ns, &again_ns);
        if (!lane) {
            hr_batch_sleep(b, &b->work, again_ns);
        } else if (pauses(b, lane, now_ns, &pause_end_ns)) {
            hr_batch_sleep(b, &b->work, pause_end_ns);
        } else {
            run_batch(b, t, lane, now_ns);
            pause_end_ns = 0;
        }
    }
    pthread_mutex_unlock(&b->mutex);
    return NULL;
}
