/* SPDX-License-Identifier: Apache-2.0
 * Sessions of one size: what is planned, what times are expected, and lanes of other sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostile.h"
#include "serve/lane.h"
#include "small_service.h"

static hrnet_model *model;
static struct hrnet_recipe recipe;

static int set_up(void **state)
{
    (void)state;
    return small_open(NULL, "5", &model) != HRNET_OK ||
           hrnet_model_recipe(model, &recipe) != HRNET_OK;
}

static int tear_down(void **state)
{
    (void)state;
    hrnet_model_release(model);
    return 0;
}

static struct hr_lane_options options_of(size_t batch)
{
    struct hr_service_options service;
    small_service_options(&service);
    struct hr_lane_options options = service.registry.lanes;
    options.batch = batch;
    options.budget_seconds = 0.5;
    return options;
}

static struct hr_lane *lane_of(const struct hr_lane_options *options)
{
    struct hr_lane *lane = NULL;
    if (hr_lane_create_planned(&lane, model, &recipe, options) != HR_OK)
        fail_msg("%s", hr_last_message());
    return lane;
}

/* ---- Times ---- */

static void known_times_foretell_others(void **state)
{
    struct hr_lane lane = { .batch = 8 };
    (void)state;
    assert_int_equal(hr_lane_expect_ns(&lane, 3), 0); /* nothing is known */
    hr_lane_learn(&lane, 2, 200);
    assert_int_equal(hr_lane_expect_ns(&lane, 2), 200);
    assert_int_equal(hr_lane_expect_ns(&lane, 1), 100); /* in proportion */
    assert_int_equal(hr_lane_expect_ns(&lane, 8), 800);
    hr_lane_learn(&lane, 8, 480);
    assert_int_equal(hr_lane_expect_ns(&lane, 7), 420); /* to the nearest */
    assert_int_equal(hr_lane_expect_ns(&lane, 3), 300);
    assert_int_equal(hr_lane_expect_ns(&lane, 5), 300);            /* of two the larger */
    assert_int_equal(hr_lane_expect_ns(&lane, 18), 2 * 480 + 200); /* full ones and the rest */
    assert_int_equal(hr_lane_expect_ns(&lane, 0), 0);
}

static void times_are_learnt_slowly(void **state)
{
    struct hr_lane lane = { .batch = 4 };
    (void)state;
    hr_lane_learn(&lane, 1, 8000);
    hr_lane_learn(&lane, 1, 16000);
    assert_int_equal(hr_lane_expect_ns(&lane, 1), 9000); /* an eighth of what is new */
    for (int i = 0; i < 100; i++)
        hr_lane_learn(&lane, 1, 800);
    assert_true(hr_lane_expect_ns(&lane, 1) < 900);
    hr_lane_learn(&lane, 2, 0); /* known all the same */
    assert_int_equal(hr_lane_expect_ns(&lane, 2), 1);
}

/* ---- Lanes ---- */

static void a_batch_that_is_told_is_planned_for_every_worker(void **state)
{
    struct hr_lane_options options = options_of(3);
    struct hrnet_session_info info;
    (void)state;
    options.workers = 2;
    options.decoders = 3;
    options.delay_seconds = 0.25;
    struct hr_lane *lane = lane_of(&options);
    assert_int_equal(lane->batch, 3);
    assert_int_equal(lane->delay_ns, 250000000);
    assert_int_equal(lane->classes, SMALL_CLASSES);
    assert_int_equal(lane->free_slots, 2 * 3 * 2 + 3);
    assert_true(hr_lane_expect_ns(lane, 3) > 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(hrnet_session_describe(lane->of[i].session, &info), HRNET_OK);
        assert_int_equal(info.threads, 1);
        lane->of[i].x[3 * SMALL_FLOATS - 1] = 0; /* room for a whole batch */
        lane->of[i].logits[3 * SMALL_CLASSES - 1] = 0;
    }
    hr_lane_destroy(lane);
}

static void a_batch_that_is_chosen_has_known_times(void **state)
{
    struct hr_lane_options options = options_of(0);
    (void)state;
    options.delay_seconds = -1;
    struct hr_lane *lane = lane_of(&options);
    assert_true(lane->batch >= 1 && lane->batch <= 16 && (lane->batch & (lane->batch - 1)) == 0);
    for (size_t n = 1; n <= HR_MOST_BATCH; n++) /* of 1, 2, 4 ... up to the batch */
        assert_int_equal(lane->batch_ns[n] > 0, n <= lane->batch && (n & (n - 1)) == 0);
    const uint64_t alone = lane->batch_ns[1], shared = lane->batch_ns[lane->batch] / lane->batch;
    assert_int_equal(lane->delay_ns, lane->batch > 1 ? (alone - shared) / 4 : 0);
    float x[SMALL_FLOATS] = { 0 }, logits[SMALL_CLASSES];
    assert_int_equal(hrnet_session_run(lane->of[0].session, x, 1, logits), HRNET_OK);
    hr_lane_destroy(lane);

    options.budget_seconds = 0; /* nothing fits */
    lane = lane_of(&options);
    assert_int_equal(lane->batch, 1);
    assert_int_equal(lane->delay_ns, 0);
    hr_lane_destroy(lane);
}

static void other_sizes_have_batches_of_about_as_many_pixels(void **state)
{
    static const struct {
        int height, width;
        size_t batch;
    } cases[] = { { 32, 64, 4 }, { 64, 64, 2 }, { 96, 96, 1 }, { 320, 320, 1 }, { 16, 16, 8 } };
    const struct hr_lane_options options = options_of(8);
    struct hr_lane *lane = lane_of(&options);
    (void)state;
    lane->delay_ns = 7;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_lane *other = NULL;
        assert_int_equal(hr_lane_create_beside(&other, lane, cases[i].height, cases[i].width),
                         HR_OK);
        assert_int_equal(other->batch, cases[i].batch);
        assert_int_equal(other->delay_ns, 7);
        assert_null(other->of[0].session);
        assert_int_equal(hr_lane_expect_ns(other, 1), 0);
        const enum hr_status planned = hr_lane_plan(other, &options, 0);
        assert_int_equal(planned, cases[i].height == 16 ? HR_E_SHAPE : HR_OK);
        assert_int_equal(hr_lane_plan(other, &options, 0), planned); /* again: nothing to do */
        hr_lane_destroy(other);
    }
    hr_lane_destroy(lane);
}

static void without_memory_there_is_no_lane(void **state)
{
    const struct hr_lane own = {
        .model = model, .height = 32, .width = 32, .workers = 2, .batch = 4
    };
    bool failed = true;
    (void)state;
    for (unsigned n = 0; failed; n++) {
        struct hr_lane *lane = NULL;
        hostile_memory_fail(n);
        const enum hr_status status = hr_lane_create_beside(&lane, &own, 64, 64);
        assert_int_equal(lane != NULL, status == HR_OK);
        hr_lane_destroy(lane);
        assert_int_equal(hostile_memory_held(), 0);
        failed = hostile_memory_restore();
        assert_int_equal(status, failed ? HR_E_MEMORY : HR_OK);
    }
    hr_lane_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times_foretell_others),
        cmocka_unit_test(times_are_learnt_slowly),
        cmocka_unit_test(a_batch_that_is_told_is_planned_for_every_worker),
        cmocka_unit_test(a_batch_that_is_chosen_has_known_times),
        cmocka_unit_test(other_sizes_have_batches_of_about_as_many_pixels),
        cmocka_unit_test(without_memory_there_is_no_lane),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
