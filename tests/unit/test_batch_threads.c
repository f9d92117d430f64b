/* SPDX-License-Identifier: Apache-2.0
 * Decoders and workers: what makes a batch, which queue is next, how long a small batch waits for
 * company, and what is noted of times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/batch_state.h"
#include "small_pictures.h"
#include "small_request.h"

static const uint32_t blocks[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030 };

static float x[SMALL_FLOATS], large[3 * 64 * 64];

static struct hr_service *start(double delay_seconds, unsigned workers)
{
    struct hr_service_options options;
    small_service_options(&options);
    options.registry.lanes.delay_seconds = delay_seconds;
    options.registry.lanes.workers = options.batcher.workers = workers;
    small_input("x", x);
    hrnet_synthetic_input("large", HR_COUNT(large), large);
    return small_service_start(&options);
}

static void submit(struct small_request *r, struct hr_service *service, size_t count)
{
    small_request_init(r, service, count);
    small_request_tensors(r, x, SMALL_SIDE, SMALL_SIDE);
    assert_int_equal(small_request_submit(r, service), HR_OK);
}

static void what_waits_is_the_next_batch(void **state)
{
    struct hr_service *service = start(0, 1);
    struct small_request held, r;
    (void)state;
    small_hold_begin(&held, service, x);
    submit(&r, service, 6);
    small_let_go();
    small_request_wait(&r);
    float logits[SMALL_CLASSES];
    small_logits(service, x, logits);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(r.items[i].batch, i < 4 ? 4 : 2); /* the largest is 4 */
        assert_memory_equal(r.logits[i], logits, sizeof logits);
        assert_true(r.items[i].queue_ns > 0 && r.items[i].run_ns > 0);
    }
    const struct hr_model_stats *stats = &r.request.served->stats;
    assert_int_equal(stats->batches[1], 1);
    assert_int_equal(stats->batches[2], 1);
    assert_int_equal(stats->batches[4], 1);
    assert_int_equal(stats->batches_ns[4], r.items[0].run_ns);
    assert_true(hr_lane_expect_ns(r.request.served->lanes[0], 2) > 0);
    small_request_fini(&held);
    small_request_fini(&r);
    small_service_stop(service);
}

static void a_small_batch_waits_for_company_and_a_full_one_does_not(void **state)
{
    struct small_request r;
    (void)state;
    struct hr_service *service = start(0.1, 1);
    submit(&r, service, 2);
    small_request_wait(&r);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(r.items[i].batch, 2);
        assert_true(r.items[i].queue_ns >= 100000000);
    }
    small_request_fini(&r);
    small_service_stop(service);

    service = start(3600, 1); /* were it waited out, this test would never end */
    submit(&r, service, SMALL_BATCH);
    small_request_wait(&r);
    assert_int_equal(r.items[0].batch, SMALL_BATCH);
    small_request_fini(&r);
    small_service_stop(service);
}

static void who_waits_longest_is_next(void **state)
{
    struct hr_service *service = start(0, 1);
    struct small_request held, r[2];
    (void)state;
    for (int first_is_large = 0; first_is_large < 2; first_is_large++) {
        small_order_begin();
        small_hold_begin(&held, service, x);
        for (int i = 0; i < 2; i++) {
            small_request_init(&r[i], service, 1);
            if ((i == 0) == first_is_large)
                small_request_tensors(&r[i], large, 64, 64);
            else
                small_request_tensors(&r[i], x, SMALL_SIDE, SMALL_SIDE);
            assert_int_equal(small_request_submit(&r[i], service), HR_OK);
        }
        small_let_go();
        for (unsigned i = 0; i < 2; i++) {
            small_request_wait(&r[i]);
            assert_int_equal(r[i].done_order, i + 2); /* the held one was the first */
            assert_int_equal(r[i].items[0].batch, 1); /* of different sizes, never one batch */
            small_request_fini(&r[i]);
        }
        small_request_fini(&held);
    }
    small_service_stop(service);
}

static void workers_compute_side_by_side(void **state)
{
    struct hr_service *service = start(0, 2);
    struct small_request held[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) /* both are held at once, or this never ends */
        small_hold_begin(&held[i], service, x);
    assert_memory_equal(held[0].logits[0], held[1].logits[0], sizeof held[0].logits[0]);
    small_let_go();
    for (size_t i = 0; i < 2; i++)
        small_request_fini(&held[i]);
    small_service_stop(service);
}

static void decoders_go_on_as_room_comes(void **state)
{
    struct hr_service *service = start(0, 1);
    struct hr_buffer jpeg = { 0 };
    struct small_request held, r;
    float logits[SMALL_CLASSES];
    (void)state;
    make_block_jpeg(&jpeg, blocks, 1);
    small_hold_begin(&held, service, x);
    small_request_init(&r, service, SMALL_ITEMS); /* the lane has room for 9 tensors */
    small_request_pictures(&r, span_of(&jpeg));
    assert_int_equal(small_request_submit(&r, service), HR_OK);
    small_let_go();
    small_request_wait(&r);
    small_picture_logits(service, span_of(&jpeg), logits);
    for (size_t i = 0; i < SMALL_ITEMS; i++) {
        assert_int_equal(r.items[i].status, HR_OK);
        assert_memory_equal(r.logits[i], logits, sizeof logits);
        assert_true(r.items[i].decode_ns > 0);
    }
    const struct hr_lane *lane = r.request.served->lanes[0];
    assert_int_equal(lane->free_slots, 2 * SMALL_BATCH + 1);
    small_request_fini(&held);
    small_request_fini(&r);
    small_request_init(&r, service, SMALL_ITEMS); /* bad ones give their room back */
    small_request_pictures(&r, (struct hr_span){ (const uint8_t *)"junk", 4 });
    assert_int_equal(small_request_submit(&r, service), HR_OK);
    small_request_wait(&r);
    assert_int_equal(lane->free_slots, 2 * SMALL_BATCH + 1);
    small_request_fini(&r);
    hr_buffer_fini(&jpeg);
    small_service_stop(service);
}

/* ---- In turns ---- */

static struct hr_service *start_in_turns(void)
{
    struct hr_service_options options;
    small_service_options(&options);
    options.batcher.in_turns = true;
    small_input("x", x);
    return small_service_start(&options);
}

static size_t waiting(struct hr_batcher *b, const struct hr_lane *lane)
{
    pthread_mutex_lock(&b->mutex);
    const size_t count = lane->waiting.count;
    pthread_mutex_unlock(&b->mutex);
    return count;
}

static void await_waiting(struct hr_batcher *b, const struct hr_lane *lane, size_t count)
{
    for (int i = 0; i < 60000 && waiting(b, lane) < count; i++)
        usleep(1000);
    usleep(50000);
    assert_int_equal(waiting(b, lane), count);
}

/* Beside a batch that is computed the next one is made ready, and no more. */
static void pictures_have_their_turn_between_batches(void **state)
{
    struct hr_service *service = start_in_turns();
    struct hr_batcher *b = service->batcher;
    struct hr_buffer jpeg = { 0 };
    struct small_request held, r;
    (void)state;
    make_block_jpeg(&jpeg, blocks, 1);
    small_hold_begin(&held, service, x);
    pthread_mutex_lock(&b->mutex);
    b->computing++; /* as if a worker were at it */
    pthread_mutex_unlock(&b->mutex);
    small_request_init(&r, service, 8);
    small_request_pictures(&r, span_of(&jpeg));
    assert_int_equal(small_request_submit(&r, service), HR_OK);
    await_waiting(b, r.request.served->lanes[0], SMALL_BATCH);
    pthread_mutex_lock(&b->mutex);
    b->computing--;
    pthread_cond_broadcast(&b->decode);
    pthread_mutex_unlock(&b->mutex);
    await_waiting(b, r.request.served->lanes[0], 8);
    small_let_go();
    small_request_wait(&r);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(r.items[i].status, HR_OK);
    small_request_fini(&held);
    small_request_fini(&r);
    hr_buffer_fini(&jpeg);
    small_service_stop(service);
}

/* A worker waits a little for a picture that is being decoded, and not for long. */
static void a_worker_leaves_decoders_their_turn(void **state)
{
    enum { SIDE = 4000 };
    struct hr_service *service = start_in_turns();
    struct hr_buffer png = { 0 };
    struct small_request tensor, picture;
    uint8_t *grey = calloc(SIDE, SIDE);
    (void)state;
    assert_non_null(grey);
    make_png(&png, 0, 8, SIDE, SIDE, grey, (size_t)SIDE * SIDE); /* decoded in some 0.1 s */
    free(grey);
    for (int patient = 0; patient < 2; patient++) {
        small_request_init(&picture, service, 1);
        small_request_pictures(&picture, span_of(&png));
        struct hr_lane *lane = picture.request.served->lanes[0];
        for (size_t n = 1; n <= lane->batch; n++)
            atomic_store(&lane->batch_ns[n], patient ? (uint64_t)16000000000000 : 16);
        assert_int_equal(small_request_submit(&picture, service), HR_OK);
        submit(&tensor, service, 1);
        small_request_wait(&tensor);
        small_request_wait(&picture);
        assert_int_equal(tensor.items[0].batch, patient ? 2 : 1);
        assert_int_equal(picture.items[0].status, HR_OK);
        small_request_fini(&tensor);
        small_request_fini(&picture);
    }
    hr_buffer_fini(&png);
    small_service_stop(service);
}

static void a_size_that_cannot_be_planned_fails_its_batch(void **state)
{
    struct hr_service *service = start(0, 1);
    struct small_request held, bad, good;
    (void)state;
    small_hold_begin(&held, service, x);
    small_request_init(&bad, service, 2);
    small_request_tensors(&bad, large, 40, 64);
    assert_int_equal(small_request_submit(&bad, service), HR_OK);
    submit(&good, service, 1);
    small_let_go();
    small_request_wait(&bad);
    small_request_wait(&good);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(bad.items[i].status, HR_E_SHAPE);
        assert_non_null(strstr(bad.items[i].message, "40"));
    }
    assert_int_equal(good.items[0].status, HR_OK);
    small_request_fini(&held);
    small_request_fini(&bad);
    small_request_fini(&good);
    small_service_stop(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_is_the_next_batch),
        cmocka_unit_test(a_small_batch_waits_for_company_and_a_full_one_does_not),
        cmocka_unit_test(who_waits_longest_is_next),
        cmocka_unit_test(workers_compute_side_by_side),
        cmocka_unit_test(decoders_go_on_as_room_comes),
        cmocka_unit_test(pictures_have_their_turn_between_batches),
        cmocka_unit_test(a_worker_leaves_decoders_their_turn),
        cmocka_unit_test(a_size_that_cannot_be_planned_fails_its_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
