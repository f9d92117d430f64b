/* SPDX-License-Identifier: Apache-2.0
 * Requests to a small service's batcher from a test that goes on meanwhile, and a way to hold a
 * worker, so that what waits behind it can be looked at. */
#ifndef TESTS_SMALL_REQUEST_H
#define TESTS_SMALL_REQUEST_H

#include <pthread.h>

#include "small_service.h"

#define SMALL_ITEMS 16

struct small_request {
    struct hr_request request;
    struct hr_item items[SMALL_ITEMS];
    float logits[SMALL_ITEMS][SMALL_CLASSES];
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done, holds;
    unsigned done_order; /* 1 for the first that was done since small_order_begin(), ... */
};

/* `count` items of the model "m" (NULL: no such model, fails the test) without contents yet. */
void small_request_init(struct small_request *r, struct hr_service *service, size_t count);
/* All of them the same picture, or tensors [3][height][width]. */
void small_request_pictures(struct small_request *r, struct hr_span picture);
void small_request_tensors(struct small_request *r, const float *x, int height, int width);
enum hr_status small_request_submit(struct small_request *r, struct hr_service *service);
/* Until done() was called. */
void small_request_wait(struct small_request *r);
bool small_request_is_done(struct small_request *r);
/* Of a request that is done, or was never taken. */
void small_request_fini(struct small_request *r);

/* Counts the order of ends anew. */
void small_order_begin(void);

/* A request of one tensor whose done() holds its worker from here to small_let_go(). */
void small_hold_begin(struct small_request *r, struct hr_service *service, const float *x);

#endif
