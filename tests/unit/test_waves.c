/* SPDX-License-Identifier: Apache-2.0
 * Waves of a network with branches: nothing is read in the wave that writes it, the foretold times
 * keep to arithmetic, every failing allocation is survived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "hostile.h"
#include "network.h"
#include "plan/waves.h"

struct fixture {
    struct hr_store *weights;
    struct hr_kernels kernels;
    struct test_network steps, waves; /* one after the other on 1 thread; side by side on 5 */
    uint64_t ns[1024];
    double sum; /* of ns */
};

static void make(struct test_network *net, struct fixture *f, const struct hr_zoo_row *row,
                 unsigned threads)
{
    const struct test_network_options options = {
        .row = row,
        .hrnet = { 1, 64, 64, 10, HR_FUSE_PADDLE },
        .weights = f->weights,
        .plan = { .kernels = &f->kernels, .threads = threads, .side_by_side = threads > 1 },
    };
    assert_int_equal(test_network_init(net, &options), HR_OK);
}

static int set_up(void **state)
{
    static struct fixture f;
    const struct hr_zoo_row *row;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    assert_int_equal(hr_synthetic_weights(&f.weights, row, 10), HR_OK);
    hr_kernels_init(&f.kernels, hr_cpu_get()->flags);
    make(&f.steps, &f, row, 1);
    make(&f.waves, &f, row, 5);
    for (size_t s = 0; s < f.steps.plan->step_count; s++)
        f.sum += (double)(f.ns[s] = 1000 + 7919 * s % 10000);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    test_network_fini(&f->steps);
    test_network_fini(&f->waves);
    hr_store_destroy(f->weights);
    return 0;
}

static void one_after_the_other_is_a_step_a_wave(void **state)
{
    const struct fixture *f = *state;
    const struct hr_plan *p = f->steps.plan;
    assert_int_equal(p->wave_count, p->step_count);
    for (size_t s = 0; s < p->step_count; s++)
        assert_int_equal(p->steps[s].wave, s);
}

static void nothing_is_read_in_the_wave_that_writes_it(void **state)
{
    const struct fixture *f = *state;
    const struct hr_plan *p = f->waves.plan;
    size_t wave_of[4096], largest = 0, split = 0;
    assert_in_range(p->block_count, 2, HR_COUNT(wave_of));
    for (size_t b = 0; b < p->block_count; b++)
        wave_of[b] = SIZE_MAX;
    wave_of[0] = 0;
    for (size_t w = 0; w < p->wave_count; w++) {
        const size_t first = p->wave_first[w], end = p->wave_first[w + 1];
        assert_in_range(end - first, 1, HR_MAX_WAVE);
        largest = end - first > largest ? end - first : largest;
        for (size_t s = first; s < end; s++) {
            assert_int_equal(p->steps[s].wave, w);
            assert_in_range(p->steps[s].split, 1, 5);
            split += p->steps[s].split < 5;
            for (int32_t i = 0; i < p->steps[s].read_count; i++)
                assert_true(wave_of[p->steps[s].reads[i]] < w || p->steps[s].reads[i] == 0);
        }
        for (size_t s = first; s < end; s++)
            wave_of[p->steps[s].writes] = w;
    }
    assert_int_equal(p->wave_first[p->wave_count], p->step_count);
    assert_true(p->wave_count * 2 < p->step_count);
    assert_true(largest >= 4 && split > 0); /* branches, sharing the threads */
}

static void blocks_of_a_wave_do_not_overlap(void **state)
{
    const struct fixture *f = *state;
    const struct hr_plan *p = f->waves.plan;
    for (size_t a = 1; a < p->block_count; a++)
        for (size_t b = a + 1; b < p->block_count; b++) {
            const struct hr_block *x = &p->blocks[a], *y = &p->blocks[b];
            if (x->last < y->first || y->last < x->first || !x->bytes || !y->bytes)
                continue;
            if (y->onto >= 0 || x->onto >= 0) /* a chain of values in one place */
                if (x->offset == y->offset && (x->last == y->first || y->last == x->first))
                    continue;
            assert_true(x->offset + x->bytes <= y->offset || y->offset + y->bytes <= x->offset);
        }
}

static struct hr_foretold foretell(const struct fixture *f, unsigned threads, double sync_ns,
                                   bool side_by_side)
{
    struct hr_foretold out;
    assert_int_equal(hr_waves_foretell(&out, f->steps.plan, f->ns, threads, sync_ns, side_by_side),
                     HR_OK);
    return out;
}

static void foretold_times_keep_to_arithmetic(void **state)
{
    const struct fixture *f = *state;
    for (int waves = 0; waves < 2; waves++) {
        const struct hr_foretold one = foretell(f, 1, 500, waves);
        assert_true(one.ns > f->sum * 0.999 && one.ns < f->sum * 1.001);
        assert_true(one.idle > -0.001 && one.idle < 0.001);
        for (unsigned threads = 2; threads <= 64; threads *= 2) {
            const struct hr_foretold t = foretell(f, threads, 0, waves);
            assert_true(t.ns * threads >= f->sum * 0.999); /* no work is lost */
            assert_true(t.ns <= one.ns * 1.001 && t.ns >= t.chain_ns * 0.999);
            assert_true(t.idle > -0.001 && t.idle < 1);
            assert_true(foretell(f, threads, 500, waves).ns > t.ns); /* barriers cost */
        }
    }
    assert_true(foretell(f, 16, 500, true).waves < foretell(f, 16, 500, false).waves);
}

static void the_nth_allocation_may_fail(void **state)
{
    const struct fixture *f = *state;
    struct hr_foretold out;
    size_t n = 0;
    enum hr_status status;
    do {
        hostile_memory_limit(n++);
        status = hr_waves_foretell(&out, f->steps.plan, f->ns, 4, 0, true);
        assert_true(status == HR_OK || status == HR_E_MEMORY);
    } while (status != HR_OK && n < 100);
    (void)hostile_memory_restore();
    assert_int_equal(status, HR_OK);
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other_is_a_step_a_wave),
        cmocka_unit_test(nothing_is_read_in_the_wave_that_writes_it),
        cmocka_unit_test(blocks_of_a_wave_do_not_overlap),
        cmocka_unit_test(foretold_times_keep_to_arithmetic),
        cmocka_unit_test(the_nth_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
