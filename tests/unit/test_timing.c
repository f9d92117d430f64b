/* SPDX-License-Identifier: Apache-2.0
 * Times of a training step: parts make up the whole; what cannot be timed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "train/timing.h"

static const struct hr_timing_options small = { .architecture = "hrnet_w18_small",
                                                .size = 32,
                                                .classes = 5,
                                                .batch = 2,
                                                .threads = 2,
                                                .cpu_flags = ~0u };

static void parts_make_up_the_step(void **state)
{
    struct hr_timing t;
    (void)state;
    assert_int_equal(hr_time_training(&t, &small), HR_OK);
    double sum = t.loss_ms + t.optimizer_ms;
    for (size_t i = 0; i < HR_TAPE_KIND_COUNT; i++)
        sum += t.parts_ms[i];
    assert_true(t.steps >= 3 && t.threads == 2);
    assert_true(t.least_ms > 0.0 && t.least_ms <= t.median_ms);
    assert_true(sum >= t.least_ms); /* the mean is no less */
    assert_true(t.parts_ms[HR_TAPE_CONV] > 0.0 && t.parts_ms[HR_TAPE_CONV_WEIGHTS] > 0.0);
    assert_true(t.parts_ms[HR_TAPE_CONV_AGAIN] == 0.0 && t.loader_ms == 0.0);
}

static void recomputing_takes_less_memory(void **state)
{
    struct hr_timing_options options = small;
    struct hr_timing kept, again;
    (void)state;
    options.size = 64;
    options.batch = 8;
    assert_int_equal(hr_time_training(&kept, &options), HR_OK);
    options.recompute = true;
    assert_int_equal(hr_time_training(&again, &options), HR_OK);
    assert_true(again.activation_bytes < kept.activation_bytes);
    assert_true(again.parts_ms[HR_TAPE_CONV_AGAIN] > 0.0);
}

static void halves_take_less_memory(void **state)
{
    struct hr_timing_options options = small;
    struct hr_timing whole, half, least;
    (void)state;
    options.size = 64;
    options.batch = 8;
    assert_int_equal(hr_time_training(&whole, &options), HR_OK);
    options.half = HR_HALF_BF16;
    assert_int_equal(hr_time_training(&half, &options), HR_OK);
    options.recompute = true;
    assert_int_equal(hr_time_training(&least, &options), HR_OK);
    assert_true(half.activation_bytes < whole.activation_bytes);
    assert_true(least.activation_bytes < half.activation_bytes);
}

static void what_cannot_be_is_refused(void **state)
{
    struct hr_timing_options options = small;
    struct hr_timing t;
    (void)state;
    options.architecture = "HRNet_W19_C";
    assert_int_not_equal(hr_time_training(&t, &options), HR_OK);
    options = small;
    options.size = 33;
    assert_int_not_equal(hr_time_training(&t, &options), HR_OK);
    options = small;
    options.pictures = "/nonexistent/pictures";
    assert_int_not_equal(hr_time_training(&t, &options), HR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_make_up_the_step),
        cmocka_unit_test(recomputing_takes_less_memory),
        cmocka_unit_test(halves_take_less_memory),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
