/* SPDX-License-Identifier: Apache-2.0 */
#include "small_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <time.h>

#define PATIENCE 300 /* s, of a machine that does much else */

static atomic_uint ends;

void small_order_begin(void)
{
    atomic_store(&ends, 0);
}

static void done(struct hr_request *request)
{
    struct small_request *r = request->context;
    const unsigned long round = small_round();
    const bool holds = r->holds;
    pthread_mutex_lock(&r->mutex);
    r->done = true;
    r->done_order = atomic_fetch_add(&ends, 1) + 1;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mutex);
    if (holds)
        small_hold(round);
}

void small_request_init(struct small_request *r, struct hr_service *service, size_t count)
{
    *r = (struct small_request){
        .request = { .items = r->items, .count = count, .done = done, .context = r }
    };
    assert_true(count <= SMALL_ITEMS);
    assert_int_equal(hr_registry_find(service->registry, &r->request.served, "m", NULL), HR_OK);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->changed, NULL);
    for (size_t i = 0; i < count; i++) {
        r->items[i].logits = r->logits[i];
        r->items[i].name = "picture";
    }
}

void small_request_pictures(struct small_request *r, struct hr_span picture)
{
    for (size_t i = 0; i < r->request.count; i++) {
        r->items[i].picture = picture.data;
        r->items[i].picture_bytes = picture.size;
    }
}

void small_request_tensors(struct small_request *r, const float *x, int height, int width)
{
    for (size_t i = 0; i < r->request.count; i++) {
        r->items[i].x = x;
        r->items[i].height = height;
        r->items[i].width = width;
    }
}

enum hr_status small_request_submit(struct small_request *r, struct hr_service *service)
{
    return hr_batcher_submit(service->batcher, &r->request);
}

void small_request_wait(struct small_request *r)
{
    struct timespec end;
    int error = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE;
    pthread_mutex_lock(&r->mutex);
    while (!r->done && error == 0)
        error = pthread_cond_timedwait(&r->changed, &r->mutex, &end);
    const bool done = r->done;
    pthread_mutex_unlock(&r->mutex);
    if (!done)
        fail_msg("not done within %d s", PATIENCE);
}

bool small_request_is_done(struct small_request *r)
{
    pthread_mutex_lock(&r->mutex);
    const bool is_done = r->done;
    pthread_mutex_unlock(&r->mutex);
    return is_done;
}

void small_request_fini(struct small_request *r)
{
    pthread_mutex_destroy(&r->mutex);
    pthread_cond_destroy(&r->changed);
    hr_served_release(r->request.served);
}

void small_hold_begin(struct small_request *r, struct hr_service *service, const float *x)
{
    small_request_init(r, service, 1);
    small_request_tensors(r, x, SMALL_SIDE, SMALL_SIDE);
    r->holds = true;
    assert_int_equal(small_request_submit(r, service), HR_OK);
    small_request_wait(r);
}
