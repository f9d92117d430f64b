/* SPDX-License-Identifier: Apache-2.0
 * Factors of rates by name and of the loss by class. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "model/hrnet.h"
#include "model/zoo.h"
#include "train/factors.h"

struct fixture {
    struct hr_kernels kernels;
    struct hr_tape *tape;
    float *factors;
};

static int start(void **state)
{
    struct fixture *f = hr_mem_alloc(1, sizeof *f);
    const struct hr_zoo_row *row = NULL;
    const struct hr_hrnet_options net = { 2, 32, 32, 3, HR_FUSE_PADDLE };
    const struct hr_tape_options options = { .kernels = &f->kernels, .momentum = 0.9f };
    struct hr_graph *graph = NULL;
    hr_kernels_init(&f->kernels, 0);
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    assert_int_equal(hr_hrnet_build(&graph, row, &net), HR_OK);
    assert_int_equal(hr_tape_create(&f->tape, graph, &options), HR_OK);
    hr_graph_destroy(graph);
    f->factors = hr_mem_alloc(hr_tape_param_count(f->tape), sizeof *f->factors);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    hr_tape_destroy(f->tape);
    hr_mem_free(f->factors);
    hr_mem_free(f);
    return 0;
}

static enum hr_status rates(struct fixture *f, const char *text, const char *freeze, double decay)
{
    const struct hr_factor_options options = { text, freeze, decay };
    return hr_factors_of_rates(f->factors, f->tape, &options);
}

/* Every parameter whose name begins so has this factor; there are some. */
static void all_are(const struct fixture *f, const char *begin, double want)
{
    size_t seen = 0;
    for (size_t i = 0; i < hr_tape_param_count(f->tape); i++)
        if (hr_text_starts(hr_tape_param(f->tape, i)->name, begin)) {
            assert_true(fabs((double)f->factors[i] - want) < 1e-6);
            seen++;
        }
    assert_true(seen > 0);
}

static void the_longest_beginning_counts(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(rates(f, NULL, NULL, 1.0), HR_OK);
    all_are(f, "", 1.0);
    assert_int_equal(rates(f, "st4.stage_func_list.0.fuse=2,st4=0.5,fc=10", NULL, 1.0), HR_OK);
    all_are(f, "st4.stage_func_list.0.basic", 0.5);
    all_are(f, "st4.stage_func_list.0.fuse", 2.0);
    all_are(f, "st3", 1.0);
    all_are(f, "fc.", 10.0);
    assert_int_equal(rates(f, "layer1=3", "conv_layer1,layer1", 1.0), HR_OK);
    all_are(f, "layer1", 0.0);
    all_are(f, "conv_layer1", 0.0);
    all_are(f, "st2", 1.0);
}

static void parts_in_front_are_slower(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(rates(f, "fc=2", NULL, 0.5), HR_OK);
    all_are(f, "fc", 2.0);
    all_are(f, "last_cls", 0.5);
    all_are(f, "conv_last", 0.5);
    all_are(f, "cls_head_conv_list", 0.5);
    all_are(f, "st4", 0.25);
    all_are(f, "conv_tr3", 0.25);
    all_are(f, "st2", 0.0625);
    all_are(f, "conv_layer1_2", 0.015625);
}

static void wrong_rates_are_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(rates(f, NULL, "stem", 1.0), HR_E_ARGUMENT);
    assert_non_null(strstr(hr_last_message(), "'stem'"));
    assert_non_null(strstr(hr_last_message(), "conv_layer1_"));
    assert_int_equal(rates(f, "st4", NULL, 1.0), HR_E_ARGUMENT);
    assert_int_equal(rates(f, "st4=-1", NULL, 1.0), HR_E_ARGUMENT);
    assert_int_equal(rates(f, "st4=x", NULL, 1.0), HR_E_ARGUMENT);
    assert_int_equal(rates(f, "=1", NULL, 1.0), HR_E_ARGUMENT);
    assert_int_equal(rates(f, NULL, NULL, 0.0), HR_E_ARGUMENT);
}

static void weights_of_classes(void **state)
{
    char *paths[] = { "a", "b", "c", "d", "e" };
    int32_t labels[] = { 0, 1, 1, 1, 0 };
    const struct hr_dataset set = { .paths = { paths, 5, 5 }, .labels = labels, .class_count = 3 };
    float w[3];
    (void)state;
    assert_int_equal(hr_factors_of_classes(w, &set, "balanced"), HR_OK);
    assert_true(fabs((double)w[0] - 5.0 / 6.0) < 1e-6);
    assert_true(fabs((double)w[1] - 5.0 / 9.0) < 1e-6);
    assert_true(w[2] < 1e-6f);
    assert_int_equal(hr_factors_of_classes(w, &set, "1,2.5,3"), HR_OK);
    assert_true(w[1] > 2.4f && w[1] < 2.6f);
    assert_int_equal(hr_factors_of_classes(w, &set, "1,2"), HR_E_ARGUMENT);
    assert_non_null(strstr(hr_last_message(), "2 class weights for 3 classes"));
    assert_int_equal(hr_factors_of_classes(w, &set, "1,2,3,4"), HR_E_ARGUMENT);
    assert_int_equal(hr_factors_of_classes(w, &set, "1,0,3"), HR_E_ARGUMENT);
    assert_int_equal(hr_factors_of_classes(w, &set, "balance"), HR_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_beginning_counts),
        cmocka_unit_test(parts_in_front_are_slower),
        cmocka_unit_test(wrong_rates_are_named),
        cmocka_unit_test(weights_of_classes),
    };
    return cmocka_run_group_tests(tests, start, end);
}
