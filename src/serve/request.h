/* SPDX-License-Identifier: Apache-2.0
 * A question to one model, whatever protocol brought it: items (pictures or tensors) that go
 * through decoding and batching on their own and fail alone.
 *
 * Life of a request: fill it; hr_batcher_submit(); `done` is called once, from a thread of the
 * batcher, when every item has a status.  Until then the request, its items and all that they point
 * to must stay.  hr_batcher_cancel() makes that sooner.  hr_batcher_run() does all of it and waits.
 */
#ifndef HR_SERVE_REQUEST_H
#define HR_SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "hrnet/hrnet.h"

struct hr_served; /* serve/registry.h: a loaded version of a model */
struct hr_lane;   /* serve/lane.h: its sessions of one input size */
struct hr_request;

#define HR_ITEM_MESSAGE 256

enum hr_item_stage {
    HR_ITEM_NEW,
    HR_ITEM_ENCODED,  /* waits for a decoder */
    HR_ITEM_DECODING, /* a decoder has it */
    HR_ITEM_WAITING,  /* its tensor waits for a batch */
    HR_ITEM_RUNNING,
    HR_ITEM_DONE,
};

struct hr_item {
    /* In, one of three; borrowed until done. */
    const void *picture; /* an encoded picture: JPEG, PNG, WebP, BMP, PPM */
    size_t picture_bytes;
    const uint8_t *pixels; /* RGB [pixels_height][pixels_width][3], for the recipe */
    int64_t pixels_height, pixels_width;
    const void *x;     /* a network input: float32 [3][height][width], any alignment */
    int height, width; /* of x; pictures and pixels get the model's own size */
    const char *name;  /* what messages call it: "picture 2" */

    /* Out. */
    float *logits; /* [classes], the caller's memory */
    enum hr_status status;
    char message[HR_ITEM_MESSAGE];        /* of a failure */
    struct hrnet_picture_report report;   /* of a picture */
    uint64_t decode_ns, queue_ns, run_ns; /* run_ns: of its whole batch */
    uint32_t batch;                       /* how many items its batch had */

    /* The batcher's. */
    enum hr_item_stage stage;
    struct hr_request *request;
    struct hr_lane *lane;
    struct hr_item *next, *previous;
    float *slot; /* a decoded tensor, of the lane */
    uint64_t since_ns;
};

/* Called once; the request is the caller's again.  Must be quick: it holds up a worker. */
typedef void hr_request_done(struct hr_request *request);

struct hr_request {
    struct hr_served *served; /* a reference of the caller, kept until done */
    struct hr_item *items;    /* [count] */
    size_t count;
    uint64_t deadline_ns; /* on hr_os_now_ns(); 0: none.  Not begun by then: HR_E_DEADLINE */
    hr_request_done *done;
    void *context;

    /* The batcher's. */
    size_t pending;
    enum hr_status cancelled; /* HR_OK, or what unfinished items end with */
    struct hr_request *next_done;
    uint64_t begin_ns;
};

/* The first item that failed, or NULL. */
HR_INLINE const struct hr_item *hr_request_failure(const struct hr_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        if (request->items[i].status != HR_OK)
            return &request->items[i];
    return NULL;
}

/* Before it is submitted: an earlier deadline counts; 0 is none. */
void hr_request_limit(struct hr_request *request, uint64_t deadline_ns);
/* So many seconds from now; 0 is no limit. */
void hr_request_limit_seconds(struct hr_request *request, double seconds);

#endif
