/* SPDX-License-Identifier: Apache-2.0
 * Timing of a small network's kernels: each shape is told once, winners are candidates, and a plan
 * that is told winners takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "network.h"
#include "plan/lower.h"
#include "plan/tune.h"

enum { CLASSES = 10, SIDE = 64 };

struct fixture {
    const struct hr_zoo_row *row;
    struct hr_store *weights;
    struct hr_kernels kernels;
    float x[3 * SIDE * SIDE];
};

static struct test_network network(const struct fixture *f, const struct hr_tuning *tuning,
                                   bool exact)
{
    struct test_network net = { 0 };
    const struct test_network_options options = {
        .row = f->row,
        .hrnet = { 1, SIDE, SIDE, CLASSES, HR_FUSE_PADDLE },
        .weights = f->weights,
        .plan = { .kernels = &f->kernels, .threads = 1, .tuning = tuning, .exact = exact },
    };
    assert_int_equal(test_network_init(&net, &options), HR_OK);
    return net;
}

static int set_up(void **state)
{
    static struct fixture f;
    assert_int_equal(hr_zoo_find(&f.row, "hrnet_w18_small"), HR_OK);
    assert_int_equal(hr_synthetic_weights(&f.weights, f.row, CLASSES), HR_OK);
    hr_kernels_init(&f.kernels, hr_cpu_get()->flags);
    hr_synthetic_fill(f.x, HR_COUNT(f.x), "tune");
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    hr_store_destroy(((struct fixture *)*state)->weights);
    return 0;
}

struct seen {
    struct hr_conv_shape shapes[64];
    size_t count, steps;
};

static void see(void *context, const struct hr_tune_result *r)
{
    struct seen *seen = context;
    for (size_t i = 0; i < seen->count; i++) /* padding is copied with the rest */
        assert_memory_not_equal(&seen->shapes[i], r->shape, sizeof *r->shape);
    assert_true(seen->count < HR_COUNT(seen->shapes));
    memcpy(&seen->shapes[seen->count++], r->shape, sizeof *r->shape);
    seen->steps += r->count;
    assert_true(r->chosen_us > 0 && r->winner_us > 0 && r->winner_us <= r->chosen_us);
    assert_true(r->winner == r->chosen || r->winner_us <= 0.97 * r->chosen_us);
}

static void every_shape_is_timed_once(void **state)
{
    const struct fixture *f = *state;
    struct test_network net = network(f, NULL, false);
    struct hr_tuning tuning = { 0 };
    struct seen seen = { 0 };
    assert_int_equal(hr_tune_plan(&tuning, net.plan, see, &seen), HR_OK);
    assert_true(tuning.count <= seen.count && seen.count <= seen.steps);
    if (strcmp(f->kernels.isa, "baseline") != 0)
        assert_true(seen.count > 5 && seen.steps > 30);
    hr_tuning_fini(&tuning);
    test_network_fini(&net);
}

/* Direct kernels everywhere: what they give is known, as exact plans have nothing else. */
static void plans_take_the_winners(void **state)
{
    const struct fixture *f = *state;
    struct test_network plain = network(f, NULL, false), exact = network(f, NULL, true);
    struct hr_tuning tuning = { 0 };
    float want[CLASSES], got[CLASSES], fast[CLASSES];
    const struct hr_conv_kernel *kernel;
    for (size_t s = 0; s < exact.plan->step_count; s++) {
        const struct hr_conv_shape *shape = hr_step_conv(&exact.plan->steps[s], &kernel);
        if (!shape)
            continue;
        const struct hr_tuning_row row = hr_tuning_row(shape, kernel->name);
        assert_int_equal(hr_tuning_put(&tuning, &row), HR_OK);
    }
    struct test_network tuned = network(f, &tuning, false);
    test_network_run(&exact, 1, f->x, want);
    test_network_run(&plain, 1, f->x, fast);
    test_network_run(&tuned, 1, f->x, got);
    assert_memory_equal(got, want, sizeof want);
    if (strcmp(f->kernels.isa, "baseline") != 0)
        assert_memory_not_equal(fast, want, sizeof want);
    test_network_fini(&tuned);
    for (size_t i = 0; i < tuning.count; i++) /* names that nobody has change nothing */
        memset(tuning.rows[i].name, 'q', 3);
    tuned = network(f, &tuning, false);
    test_network_run(&tuned, 1, f->x, got);
    assert_memory_equal(got, fast, sizeof fast);
    test_network_fini(&tuned);
    hr_tuning_fini(&tuning);
    test_network_fini(&exact);
    test_network_fini(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_is_timed_once),
        cmocka_unit_test(plans_take_the_winners),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
