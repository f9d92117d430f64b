/* SPDX-License-Identifier: Apache-2.0
 * Optimizer states and counters that PaddlePaddle itself wrote (tests/data/paddle/optim) are read,
 * and what is written reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tensor/paddle_state.h"

#define DATA HRNET_TESTS_DIR "/data/paddle/optim/"

static void test_names(void **state)
{
    struct hr_paddle_names names = { .structured = { 0 } };
    static const char *const wanted[][2] = {
        { "conv.weight", "conv2d_0.w_0" },      { "bn.weight", "batch_norm_0.w_0" },
        { "bn.bias", "batch_norm_0.b_0" },      { "bn._mean", "batch_norm_0.w_1" },
        { "bn._variance", "batch_norm_0.w_2" }, { "fc.weight", "linear_0.w_0" },
        { "fc.bias", "linear_0.b_0" },
    };
    struct hr_paddle_namer namer = { { 0 } };
    (void)state;
    assert_int_equal(hr_paddle_names_read(&names, DATA "net.pdparams"), HR_OK);
    assert_int_equal(names.structured.count, HR_COUNT(wanted));
    for (size_t i = 0; i < HR_COUNT(wanted); i++) {
        char name[64], structured[80];
        assert_string_equal(names.structured.items[i], wanted[i][0]);
        assert_string_equal(names.fixed.items[i], wanted[i][1]);
        /* HRNet's own names: a block's convolution and norm have one more part. */
        snprintf(structured, sizeof structured, "block.%s", wanted[i][0]);
        hr_paddle_name_next(&namer, name, structured);
        assert_string_equal(name, wanted[i][1]);
    }
    hr_paddle_names_fini(&names);
    assert_int_equal(hr_paddle_names_read(&names, DATA "net.pdstates"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "has no table of Paddle's own names"));
}

static void test_rates(void **state)
{
    struct hr_paddle_rate rate;
    (void)state;
    assert_int_equal(hr_paddle_rate_read(&rate, DATA "momentum.pdopt"), HR_OK);
    assert_int_equal(rate.step, 3);
    assert_true(rate.warms);
    assert_int_equal(rate.inner_step, 1);
    assert_true(rate.rate == 0.09755282581475769 && rate.inner_rate == rate.rate);
    assert_int_equal(hr_paddle_rate_read(&rate, DATA "adamw.pdopt"), HR_OK);
    assert_int_equal(rate.step, 3);
    assert_false(rate.warms);
    assert_false(rate.waits);
    assert_int_equal(hr_paddle_rate_read(&rate, DATA "net.pdstates"), HR_OK);
    assert_int_equal(rate.step, -1);
    assert_int_equal(hr_paddle_rate_read(&rate, DATA "plateau_fresh.pdopt"), HR_OK);
    assert_true(rate.waits && !rate.has_best && rate.step == 0 && rate.rate == 0.1);
    assert_int_equal(hr_paddle_rate_read(&rate, DATA "plateau.pdopt"), HR_OK);
    assert_true(rate.waits && rate.has_best && rate.best == 0.625 && rate.rate == 0.05);
    assert_true(rate.step == 4 && rate.cooling == 1 && rate.bad == 0);
}

static void test_progress(void **state)
{
    struct hr_paddle_progress p;
    char path[] = "/tmp/hrnet-state-XXXXXX";
    (void)state;
    assert_int_equal(hr_paddle_progress_read(&p, DATA "net.pdstates"), HR_OK);
    assert_true(p.metric == 0.8125);
    assert_int_equal(p.epoch, 3);
    close(mkstemp(path));
    p.metric = -1.0 / 3.0;
    p.epoch = 70000;
    assert_int_equal(hr_paddle_progress_write(&p, path), HR_OK);
    p = (struct hr_paddle_progress){ 0 };
    assert_int_equal(hr_paddle_progress_read(&p, path), HR_OK);
    assert_true(p.metric == -1.0 / 3.0);
    assert_int_equal(p.epoch, 70000);
    unlink(path);
    assert_int_equal(hr_paddle_progress_read(&p, DATA "net.pdparams"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "'epoch' is missing or no count"));
    assert_int_equal(p.epoch, 70000);
}

/* Paddle's file, written again by us, holds the same tensors and counters. */
static void check_again(const char *from, size_t tensors)
{
    struct hr_store *store = NULL, *again = NULL;
    struct hr_paddle_rate rate, back;
    char path[] = "/tmp/hrnet-state-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(hr_store_open(&store, from), HR_OK);
    assert_int_equal(hr_store_count(store), tensors);
    assert_int_equal(hr_paddle_rate_read(&rate, from), HR_OK);
    assert_int_equal(hr_paddle_optim_write(store, &rate, path), HR_OK);
    assert_int_equal(hr_store_open(&again, path), HR_OK);
    assert_int_equal(hr_store_count(again), tensors);
    for (size_t i = 0; i < tensors; i++) {
        const struct hr_tensor *const a = hr_store_tensor(store, i);
        const struct hr_tensor *const b = hr_store_find(again, hr_store_name(store, i));
        size_t count;
        assert_non_null(b);
        assert_int_equal(hr_shape_elements(&a->shape, &count), HR_OK);
        assert_memory_equal(&a->shape, &b->shape, sizeof a->shape);
        assert_memory_equal(a->data, b->data, count * sizeof(float));
    }
    assert_int_equal(hr_paddle_rate_read(&back, path), HR_OK);
    assert_int_equal(back.step, rate.step);
    assert_int_equal(back.warms, rate.warms);
    assert_int_equal(back.inner_step, rate.inner_step);
    assert_true(back.rate == rate.rate && back.inner_rate == rate.inner_rate);
    assert_true(back.waits == rate.waits && back.has_best == rate.has_best);
    assert_true(!rate.has_best || back.best == rate.best);
    assert_true(back.cooling == rate.cooling && back.bad == rate.bad);
    hr_store_destroy(store);
    hr_store_destroy(again);
    unlink(path);
}

static void test_optimizers(void **state)
{
    (void)state;
    check_again(DATA "momentum.pdopt", 5);
    check_again(DATA "adamw.pdopt", 20);
    check_again(DATA "plateau_fresh.pdopt", 0);
    check_again(DATA "plateau.pdopt", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_optimizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
