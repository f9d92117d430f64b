/* SPDX-License-Identifier: Apache-2.0
 * Queues between protocols and sessions.  Decoders turn pictures into tensors; workers, each with
 * its own sessions, take what waits as a batch.  Everything is bounded: what does not fit is
 * refused at once with HR_E_BUSY, what its deadline overtakes in a queue ends then and there, and
 * what nobody waits for any more is not computed.
 *
 * All functions may be called from any thread. */
#ifndef HR_SERVE_BATCHER_H
#define HR_SERVE_BATCHER_H

#include "serve/request.h"

struct hr_batcher;

struct hr_batcher_options {
    unsigned workers;   /* sessions that compute side by side (1) */
    unsigned decoders;  /* threads that decode */
    size_t queue_items; /* most items in the server, running ones included */
    bool in_turns;      /* batches use every CPU: pictures are decoded between them */
    struct hrnet_decode_options decode;
};

enum hr_status hr_batcher_create(struct hr_batcher **out,
                                 const struct hr_batcher_options *options) HR_WARN_UNUSED;

/* HR_OK: done() will be called.  Otherwise it will not: HR_E_BUSY when the queue is full or the
 * deadline cannot be met by measured batch times, and after hr_batcher_stop(). */
enum hr_status hr_batcher_submit(struct hr_batcher *batcher,
                                 struct hr_request *request) HR_WARN_UNUSED;

/* Ends what has not begun with `why`; done() follows at once or, when an item is being decoded or
 * computed, a little later.  Harmless before it is submitted and when it is about to be done, wrong
 * after. */
void hr_batcher_cancel(struct hr_batcher *batcher, struct hr_request *request, enum hr_status why);

/* Submits and waits.  Uses the request's done and context.  Returns what submit said; after HR_OK
 * items tell. */
enum hr_status hr_batcher_run(struct hr_batcher *batcher,
                              struct hr_request *request) HR_WARN_UNUSED;

/* Items in the server now, and how long one more of that model would take, by measured times. */
size_t hr_batcher_load(struct hr_batcher *batcher);
double hr_batcher_wait_seconds(struct hr_batcher *batcher, const struct hr_served *served);

/* How pictures are decoded here. */
const struct hrnet_decode_options *hr_batcher_decode_options(const struct hr_batcher *batcher);

/* No more submits; what has not begun ends with HR_E_BUSY; waits for what has. */
void hr_batcher_stop(struct hr_batcher *batcher);
/* After stop.  NULL is allowed. */
void hr_batcher_destroy(struct hr_batcher *batcher);

#endif
