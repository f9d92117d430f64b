/* SPDX-License-Identifier: Apache-2.0
 * The sessions of one model at one input size, one a worker, and the queue in front of them.  A
 * lane knows how long its batches take, and from that how large they should be and how long it pays
 * to wait for more. */
#ifndef HR_SERVE_LANE_H
#define HR_SERVE_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "hrnet/hrnet.h"
#include "serve/request.h"

#define HR_MOST_BATCH 64

struct hr_item_list {
    struct hr_item *first, *last;
    size_t count;
};

/* How batches are made. */
struct hr_lane_options {
    unsigned workers;
    struct hrnet_session_options session; /* of each; threads 0: all CPUs over the workers */
    size_t batch;                         /* largest batch; 0: the best within the budget */
    double budget_seconds;                /* a batch may take so long */
    double delay_seconds; /* the first of a batch waits so long for others; < 0: choose */
    unsigned decoders;    /* threads that decode pictures ahead */
};

struct hr_lane {
    hrnet_model *model; /* the served version's */
    int height, width, classes;
    unsigned workers;
    size_t batch;
    uint64_t delay_ns;
    atomic_uint_least64_t
        batch_ns[HR_MOST_BATCH + 1]; /* how long n take, running mean; 0 unknown */
    struct hr_lane_worker {
        hrnet_session *session; /* NULL: not planned yet.  Only its worker touches it */
        float *x, *logits;      /* [batch,3,height,width], [batch,classes] */
    } * of;                     /* [workers] */

    /* Under the batcher's lock. */
    struct hr_item_list waiting;
    float *slot_memory, **slots; /* decoded tensors [3,height,width]; a stack of free ones */
    size_t free_slots;
    size_t users; /* unfinished items that point here */
    uint64_t used_ns;
    struct hr_lane *next_listed; /* of the batcher's list of lanes with waiting items */
    bool listed;
};

/* The lane of the model's own size: plans a session for every worker, and measures batches first
 * unless the options tell the batch.  Takes seconds. */
enum hr_status hr_lane_create_planned(struct hr_lane **out, hrnet_model *model,
                                      const struct hrnet_recipe *recipe,
                                      const struct hr_lane_options *options) HR_WARN_UNUSED;
/* A lane of another size beside `own`, with batches of about as many pixels; nothing is planned. */
enum hr_status hr_lane_create_beside(struct hr_lane **out, const struct hr_lane *own, int height,
                                     int width) HR_WARN_UNUSED;
/* NULL is allowed. */
void hr_lane_destroy(struct hr_lane *lane);

/* Makes the session of a worker if there is none.  HR_E_SHAPE where the network takes no such
 * size.  By that worker, or before there are any. */
enum hr_status hr_lane_plan(struct hr_lane *lane, const struct hr_lane_options *options,
                            unsigned worker) HR_WARN_UNUSED;

/* Expected time of n items, in batches, nanoseconds; 0 unknown.  Any thread. */
uint64_t hr_lane_expect_ns(const struct hr_lane *lane, size_t n);
/* Remembers how long a batch of n took. */
void hr_lane_learn(struct hr_lane *lane, size_t n, uint64_t ns);

#endif
