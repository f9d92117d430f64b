/* SPDX-License-Identifier: Apache-2.0
 * The bounded queues: answers are those of a session alone, a bad picture fails alone, and what is
 * too much, too late or not wanted any more ends as it must, without being computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/os.h"
#include "base/pool.h"
#include "serve/batch_state.h"
#include "small_pictures.h"
#include "small_request.h"

static const uint32_t blocks[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030 };

struct fixture {
    struct hr_service *service;
    struct hr_buffer jpeg;
    float x[SMALL_FLOATS], logits[SMALL_CLASSES], picture_logits[SMALL_CLASSES];
};

static int set_up(void **state)
{
    static struct fixture f;
    struct hr_service_options options;
    f = (struct fixture){ 0 };
    small_service_options(&options);
    options.batcher.queue_items = SMALL_ITEMS;
    f.service = small_service_start(&options);
    make_block_jpeg(&f.jpeg, blocks, 1);
    small_input("batcher", f.x);
    small_logits(f.service, f.x, f.logits);
    small_picture_logits(f.service, span_of(&f.jpeg), f.picture_logits);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    hr_buffer_fini(&f->jpeg);
    small_service_stop(f->service);
    return 0;
}

static struct hr_model_stats *stats_of(const struct small_request *r)
{
    return &r->request.served->stats;
}

static void submit(struct fixture *f, struct small_request *r)
{
    if (small_request_submit(r, f->service) != HR_OK)
        fail_msg("%s", hr_last_message());
}

/* ---- Answers ---- */

static void each_kind_of_item_is_answered(void **state)
{
    struct fixture *f = *state;
    struct small_request r;
    static uint8_t grey[40 * 50 * 3];
    memset(grey, 0x55, sizeof grey);
    small_request_init(&r, f->service, 3);
    r.items[0].x = f->x;
    r.items[0].height = r.items[0].width = SMALL_SIDE;
    r.items[1].picture = f->jpeg.data;
    r.items[1].picture_bytes = f->jpeg.size;
    r.items[2].pixels = grey;
    r.items[2].pixels_height = 40;
    r.items[2].pixels_width = 50;
    assert_int_equal(hr_batcher_run(f->service->batcher, &r.request), HR_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(r.items[i].status, HR_OK);
    assert_memory_equal(r.logits[0], f->logits, sizeof f->logits);
    assert_memory_equal(r.logits[1], f->picture_logits, sizeof f->logits);
    assert_int_equal(r.items[1].report.width, 48);
    assert_true(r.items[0].run_ns > 0 && r.items[1].decode_ns > 0 && r.items[0].decode_ns == 0);
    float x[SMALL_FLOATS], logits[SMALL_CLASSES];
    assert_int_equal(hrnet_preprocess_pixels(&r.request.served->recipe, grey, 50, 40, x), HRNET_OK);
    small_logits(f->service, x, logits);
    assert_memory_equal(r.logits[2], logits, sizeof logits);
    assert_int_equal(stats_of(&r)->success_count, 3);
    assert_int_equal(hr_batcher_load(f->service->batcher), 0);
    small_request_fini(&r);
}

static void a_bad_picture_fails_alone(void **state)
{
    struct fixture *f = *state;
    struct small_request r;
    small_request_init(&r, f->service, 3);
    small_request_pictures(&r, span_of(&f->jpeg));
    r.items[1].picture = "no picture";
    r.items[1].picture_bytes = 10;
    r.items[1].name = "picture 2";
    submit(f, &r);
    small_request_wait(&r);
    assert_int_equal(r.items[1].status, HR_E_FORMAT);
    assert_non_null(strstr(r.items[1].message, "picture 2"));
    for (size_t i = 0; i < 3; i += 2) {
        assert_int_equal(r.items[i].status, HR_OK);
        assert_memory_equal(r.logits[i], f->picture_logits, sizeof f->picture_logits);
    }
    assert_ptr_equal(hr_request_failure(&r.request), &r.items[1]);
    assert_int_equal(stats_of(&r)->success_count, 2);
    assert_int_equal(stats_of(&r)->fail_count, 1);
    small_request_fini(&r);
}

static void inputs_of_other_sizes_have_their_own_lanes(void **state)
{
    struct fixture *f = *state;
    static float large[3 * 64 * 61];
    struct small_request r;
    hrnet_synthetic_input("large", HR_COUNT(large), large);
    small_request_init(&r, f->service, 3);
    small_request_tensors(&r, f->x, SMALL_SIDE, SMALL_SIDE);
    r.items[1].x = large;
    r.items[1].height = 64;
    r.items[1].width = 61;
    r.items[2].x = large; /* no size of the network's */
    r.items[2].height = 64;
    r.items[2].width = 40;
    submit(f, &r);
    small_request_wait(&r);
    assert_int_equal(r.items[0].status, HR_OK);
    assert_memory_equal(r.logits[0], f->logits, sizeof f->logits);
    assert_int_equal(r.items[1].status, HR_OK);
    assert_memory_not_equal(r.logits[1], f->logits, sizeof f->logits);
    assert_int_equal(r.items[2].status, HR_E_SHAPE);
    assert_int_equal(r.request.served->lane_count, 3);
    small_request_fini(&r);
}

static void lanes_are_bounded_and_unused_ones_make_room(void **state)
{
    static const int sides[HR_MOST_LANES] = { 61, 62, 63, 64, 93, 94, 95, 96 };
    struct fixture *f = *state;
    static float large[3 * 96 * 96];
    struct small_request held, r[HR_MOST_LANES];
    small_hold_begin(&held, f->service, f->x);
    for (size_t i = 0; i < HR_MOST_LANES; i++) {
        small_request_init(&r[i], f->service, 1);
        small_request_tensors(&r[i], large, sides[i], sides[i]);
        if (i < HR_MOST_LANES - 1)
            submit(f, &r[i]);
    }
    struct small_request *last = &r[HR_MOST_LANES - 1];
    assert_int_equal(small_request_submit(last, f->service), HR_E_BUSY);
    assert_int_equal(stats_of(last)->rejects[HR_REJECT_LANE], 1);
    assert_non_null(strstr(hr_last_message(), "too many sizes"));
    assert_int_equal(hr_batcher_load(f->service->batcher), HR_MOST_LANES - 1);
    small_let_go();
    for (size_t i = 0; i < HR_MOST_LANES - 1; i++)
        small_request_wait(&r[i]);
    submit(f, last); /* now in the place of one that nobody uses */
    small_request_wait(last);
    assert_int_equal(last->items[0].status, HR_OK);
    assert_int_equal(last->request.served->lane_count, HR_MOST_LANES);
    for (size_t i = 0; i < HR_MOST_LANES; i++)
        small_request_fini(&r[i]);
    small_request_fini(&held);
}

/* ---- Bounds ---- */

static void what_does_not_fit_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct small_request held, r, one;
    small_hold_begin(&held, f->service, f->x);
    small_request_init(&r, f->service, SMALL_ITEMS);
    small_request_tensors(&r, f->x, SMALL_SIDE, SMALL_SIDE);
    submit(f, &r);
    assert_int_equal(hr_batcher_load(f->service->batcher), SMALL_ITEMS);
    small_request_init(&one, f->service, 1);
    small_request_tensors(&one, f->x, SMALL_SIDE, SMALL_SIDE);
    assert_int_equal(small_request_submit(&one, f->service), HR_E_BUSY);
    assert_non_null(strstr(hr_last_message(), "16 of 16"));
    assert_int_equal(stats_of(&one)->rejects[HR_REJECT_QUEUE], 1);
    assert_false(small_request_is_done(&one));
    assert_false(small_request_is_done(&r));
    small_let_go();
    small_request_wait(&r);
    submit(f, &one);
    small_request_wait(&one);
    assert_int_equal(one.items[0].status, HR_OK);
    small_request_fini(&held);
    small_request_fini(&one);
    small_request_fini(&r);
}

static void a_deadline_that_cannot_be_met_is_refused(void **state)
{
    struct fixture *f = *state;
    struct small_request held, first, r;
    small_hold_begin(&held, f->service, f->x);
    struct hr_lane *lane = held.request.served->lanes[0];
    for (size_t n = 1; n <= lane->batch; n++)
        atomic_store(&lane->batch_ns[n], (uint64_t)20000000000); /* 20 s */
    small_request_init(&first, f->service, 1);
    small_request_tensors(&first, f->x, SMALL_SIDE, SMALL_SIDE);
    first.request.deadline_ns = hr_os_now_ns() + 15000000000; /* nothing is before it: tried */
    submit(f, &first);
    small_request_init(&r, f->service, 1);
    small_request_tensors(&r, f->x, SMALL_SIDE, SMALL_SIDE);
    r.request.deadline_ns = hr_os_now_ns() + 15000000000;
    assert_int_equal(small_request_submit(&r, f->service), HR_E_BUSY);
    assert_non_null(strstr(hr_last_message(), "deadline"));
    assert_int_equal(stats_of(&r)->rejects[HR_REJECT_DEADLINE], 1);
    r.request.deadline_ns = hr_os_now_ns() + 3000000000000;
    submit(f, &r);
    assert_true(hr_batcher_wait_seconds(f->service->batcher, r.request.served) > 19);
    small_let_go();
    small_request_wait(&first);
    small_request_wait(&r);
    assert_int_equal(r.items[0].status, HR_OK);
    small_request_fini(&held);
    small_request_fini(&first);
    small_request_fini(&r);
}

/* ---- Ends before the beginning ---- */

/* More pictures than have room for their tensors: some wait for a decoder, some for the worker. */
static void fill(struct fixture *f, struct small_request *r)
{
    small_request_init(r, f->service, SMALL_ITEMS - 1);
    small_request_pictures(r, span_of(&f->jpeg));
}

static uint64_t batches_of(const struct small_request *r)
{
    uint64_t count = 0;
    for (size_t n = 1; n <= HR_STATS_BATCHES; n++)
        count += stats_of(r)->batches[n];
    return count;
}

static void is_all(const struct small_request *r, enum hr_status status, const char *word)
{
    for (size_t i = 0; i < r->request.count; i++) {
        assert_int_equal(r->items[i].status, status);
        assert_non_null(strstr(r->items[i].message, word));
    }
}

static void the_overdue_end_in_the_queue(void **state)
{
    struct fixture *f = *state;
    struct small_request held, r;
    small_hold_begin(&held, f->service, f->x);
    const uint64_t batches = batches_of(&held);
    fill(f, &r);
    r.request.deadline_ns = hr_os_now_ns() + 100000000;
    submit(f, &r);
    small_request_wait(&r); /* while the worker is held */
    assert_true(hr_os_now_ns() >= r.request.deadline_ns);
    is_all(&r, HR_E_DEADLINE, "deadline");
    assert_int_equal(hr_batcher_load(f->service->batcher), 0);
    assert_int_equal(stats_of(&r)->fail_count, r.request.count);
    small_let_go();
    assert_int_equal(batches_of(&r), batches);
    small_request_fini(&held);
    small_request_fini(&r);
}

static void a_verdict_is_the_first_reason(void **state)
{
    struct hr_request request = { .deadline_ns = 100 };
    const struct hr_item item = { .request = &request };
    const char *message;
    (void)state;
    assert_int_equal(hr_batch_verdict(&item, 99, &message), HR_OK);
    assert_int_equal(hr_batch_verdict(&item, 100, &message), HR_E_DEADLINE);
    assert_non_null(strstr(message, "deadline"));
    request.cancelled = HR_E_CANCELLED;
    assert_int_equal(hr_batch_verdict(&item, 100, &message), HR_E_CANCELLED);
    request.cancelled = HR_E_BUSY;
    assert_int_equal(hr_batch_verdict(&item, 0, &message), HR_E_BUSY);
    assert_non_null(strstr(message, "stopping"));
    request = (struct hr_request){ 0 }; /* no deadline */
    assert_int_equal(hr_batch_verdict(&item, UINT64_MAX, &message), HR_OK);
}

/* The clock sees no picture that a decoder has; it must hear of it when that is done. */
static void a_deadline_is_kept_behind_a_decoder(void **state)
{
    enum { SIDE = 6000 };
    struct fixture *f = *state;
    struct small_request held, late, r;
    struct hr_buffer png = { 0 };
    uint8_t *grey = calloc(SIDE, SIDE);
    assert_non_null(grey);
    make_png(&png, 0, 8, SIDE, SIDE, grey, (size_t)SIDE * SIDE); /* decoded in some 200 ms */
    free(grey);
    small_hold_begin(&held, f->service, f->x);
    small_request_init(&r, f->service, 1);
    small_request_pictures(&r, span_of(&png));
    r.request.deadline_ns = hr_os_now_ns() + 1000000000;
    submit(f, &r);
    usleep(5000); /* the decoder has it */
    small_request_init(&late, f->service, 1);
    small_request_tensors(&late, f->x, SMALL_SIDE, SMALL_SIDE);
    late.request.deadline_ns = hr_os_now_ns() + 50000000; /* then the clock looks again */
    if (small_request_submit(&late, f->service) == HR_OK)
        small_request_wait(&late);
    small_request_wait(&r); /* while the worker is held */
    is_all(&r, HR_E_DEADLINE, "deadline");
    small_let_go();
    small_request_fini(&held);
    small_request_fini(&late);
    small_request_fini(&r);
    hr_buffer_fini(&png);
}

static void the_cancelled_are_not_computed(void **state)
{
    struct fixture *f = *state;
    struct small_request held, r, after;
    small_hold_begin(&held, f->service, f->x);
    const uint64_t batches = batches_of(&held);
    fill(f, &r);
    submit(f, &r);
    hr_batcher_cancel(f->service->batcher, &r.request, HR_E_CANCELLED);
    small_request_wait(&r);
    is_all(&r, HR_E_CANCELLED, "cancelled");
    assert_int_equal(stats_of(&r)->cancel_count, r.request.count);
    hr_batcher_cancel(f->service->batcher, &held.request, HR_E_CANCELLED); /* about to be done */
    assert_int_equal(held.items[0].status, HR_OK);
    small_let_go();
    small_request_init(&after, f->service, 1);
    small_request_pictures(&after, span_of(&f->jpeg));
    submit(f, &after);
    small_request_wait(&after);
    assert_memory_equal(after.logits[0], f->picture_logits, sizeof f->picture_logits);
    assert_int_equal(batches_of(&r), batches + 1);
    small_request_fini(&held);
    small_request_fini(&after);
    small_request_fini(&r);
}

static void *stop(void *batcher)
{
    hr_batcher_stop(batcher);
    return NULL;
}

static void what_has_not_begun_ends_with_the_server(void **state)
{
    struct fixture *f = *state;
    struct small_request held, r;
    pthread_t thread;
    small_hold_begin(&held, f->service, f->x);
    fill(f, &r);
    submit(f, &r);
    assert_int_equal(hr_thread_start(&thread, stop, f->service->batcher), 0);
    small_request_wait(&r); /* while the worker is held */
    is_all(&r, HR_E_BUSY, "stopping");
    assert_int_equal(small_request_submit(&r, f->service), HR_E_BUSY);
    assert_non_null(strstr(hr_last_message(), "stopping"));
    assert_int_equal(stats_of(&r)->rejects[HR_REJECT_STOPPING], 1);
    small_let_go();
    pthread_join(thread, NULL);
    small_request_fini(&held);
    small_request_fini(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_kind_of_item_is_answered),
        TEST(a_bad_picture_fails_alone),
        TEST(inputs_of_other_sizes_have_their_own_lanes),
        TEST(lanes_are_bounded_and_unused_ones_make_room),
        TEST(what_does_not_fit_is_refused_at_once),
        TEST(a_deadline_that_cannot_be_met_is_refused),
        TEST(the_overdue_end_in_the_queue),
        cmocka_unit_test(a_verdict_is_the_first_reason),
        TEST(a_deadline_is_kept_behind_a_decoder),
        TEST(the_cancelled_are_not_computed),
        TEST(what_has_not_begun_ends_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
