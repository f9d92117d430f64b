/* SPDX-License-Identifier: Apache-2.0
 * What the batcher's parts share: its doors (batcher.c), queues (batch_state.c) and threads
 * (batch_threads.c).  Every function here is called with the lock held. */
#ifndef HR_SERVE_BATCH_STATE_H
#define HR_SERVE_BATCH_STATE_H

#include <pthread.h>

#include "serve/batcher.h"
#include "serve/registry.h"

struct hr_batch_thread {
    struct hr_batcher *batcher;
    unsigned index;
    pthread_t thread;
    struct hr_item *batch[HR_MOST_BATCH]; /* a worker's */
};

struct hr_batcher {
    struct hr_batcher_options options;
    pthread_mutex_t mutex;
    pthread_cond_t work, decode, clock; /* waited for by workers, decoders, the clock */
    bool stopping;
    size_t items;                 /* unfinished ones */
    struct hr_item_list encoded;  /* wait for a decoder */
    struct hr_lane *listed;       /* lanes with waiting items */
    unsigned decoding, computing; /* decoders and workers that are at it */
    uint64_t next_deadline_ns;    /* UINT64_MAX: none */
    struct hr_batch_thread *threads;
    unsigned thread_count;
};

void hr_item_list_push(struct hr_item_list *list, struct hr_item *item);
void hr_item_list_remove(struct hr_item_list *list, struct hr_item *item);

/* Puts a tensor into its lane's queue, and takes it out. */
void hr_batch_wait(struct hr_batcher *batcher, struct hr_item *item, uint64_t now_ns);
void hr_batch_unwait(struct hr_batcher *batcher, struct hr_item *item);
/* Gives a decoded tensor's memory back. */
void hr_batch_free_slot(struct hr_batcher *batcher, struct hr_item *item);

/* Gives the item its end.  A request whose last item this is goes onto *done, whose done() must be
 * called by hr_batch_call_done() after the lock is left; then item and lane may be gone. */
void hr_batch_finish(struct hr_batcher *batcher, struct hr_item *item, enum hr_status status,
                     const char *message, struct hr_request **done);
void hr_batch_call_done(struct hr_request *done); /* without the lock */

/* Ends what has not begun of a request with `why`. */
void hr_batch_end_request(struct hr_batcher *batcher, struct hr_request *request,
                          enum hr_status why, struct hr_request **done);

/* Wakes the clock for a deadline that is nearer than what it waits for.  It sees what is in a
 * queue: so whatever enters one is told, also what comes from a decoder. */
void hr_batch_tell_clock(struct hr_batcher *batcher, const struct hr_request *request);

/* Why a queued item should end now, or HR_OK. */
enum hr_status hr_batch_verdict(const struct hr_item *item, uint64_t now_ns, const char **message);

/* Waits on a condition for at most until_ns (UINT64_MAX: for good). */
void hr_batch_sleep(struct hr_batcher *batcher, pthread_cond_t *condition, uint64_t until_ns);

void *hr_batch_decoder(void *thread); /* struct hr_batch_thread */
void *hr_batch_worker(void *thread);
void *hr_batch_clock(void *thread);

#endif
