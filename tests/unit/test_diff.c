/* SPDX-License-Identifier: Apache-2.0
 * Differences of models: none with itself, the tensor and the feature map where a changed weight
 * shows, equal answers of other weights, other architectures and classes, wrong arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "api/api.h"
#include "hrnet/hrnet.h"

struct seen {
    int count[4];
    char first[4][96];
    double difference[4];
};

static void see(void *context, const struct hrnet_difference *d)
{
    struct seen *s = context;
    if (s->count[d->kind]++ == 0) {
        snprintf(s->first[d->kind], sizeof s->first[0], "%s %s", d->name, d->note);
        s->difference[d->kind] = d->difference;
    }
}

static hrnet_model *synthetic(const char *architecture, int classes)
{
    struct hrnet_model_options options;
    hrnet_model *model = NULL;
    hrnet_model_options_init(&options, sizeof options);
    options.classes = classes;
    assert_int_equal(hrnet_model_synthetic(&model, architecture, &options), HRNET_OK);
    return model;
}

static struct hrnet_diff_report difference(hrnet_model *a, hrnet_model *b, struct seen *seen)
{
    static float x[3 * 64 * 64];
    struct hrnet_diff_options options;
    struct hrnet_diff_report report;
    *seen = (struct seen){ 0 };
    hrnet_synthetic_input("x", sizeof x / sizeof *x, x);
    hrnet_diff_options_init(&options, sizeof options);
    options.x = x;
    options.height = options.width = 64;
    if (hrnet_model_diff(a, b, &options, see, seen, &report) != HRNET_OK)
        fail_msg("%s", hrnet_last_error());
    return report;
}

static void a_model_is_like_itself(void **state)
{
    hrnet_model *a = synthetic("hrnet_w18_small", 5);
    struct seen seen;
    (void)state;
    const struct hrnet_diff_report r = difference(a, a, &seen);
    assert_true(r.same_answers && r.weights == 457 && r.weights_differing == 0);
    assert_true(r.logits_difference == 0 && !r.parts_at[0] && !r.recipes_differ);
    for (int kind = 0; kind < 4; kind++)
        assert_int_equal(seen.count[kind], 0);
    hrnet_model_release(a);
}

/* A bias of stage 4's first fuse layer: earlier maps stay the same. */
static void a_changed_weight_is_found(void **state)
{
    static const char name[] = "st4.stage_func_list.0.fuse_func.residual_func_list.0.bn.bias";
    hrnet_model *a = synthetic("hrnet_w18_small", 5), *b = synthetic("hrnet_w18_small", 5);
    struct seen seen;
    (void)state;
    float *bias = (float *)(uintptr_t)hr_store_find(hr_model_weights(b->model), name)->data;
    bias[0] += 3;
    const struct hrnet_diff_report r = difference(a, b, &seen);
    assert_false(r.same_answers);
    assert_int_equal(r.weights_differing, 1);
    assert_string_equal(r.parts_at, "stage4.0");
    assert_int_equal(strncmp(seen.first[HRNET_DIFF_WEIGHTS], name, sizeof name - 1), 0);
    assert_true(seen.difference[HRNET_DIFF_WEIGHTS] > 10);
    assert_string_equal(seen.first[HRNET_DIFF_ACTIVATIONS], "stage4.0 ");
    assert_int_equal(seen.count[HRNET_DIFF_LOGITS], 1);
    hrnet_model_release(a);
    hrnet_model_release(b);
}

static void other_models_are_different(void **state)
{
    hrnet_model *a = synthetic("hrnet_w18_small", 5), *b = synthetic("hrnet_w18_small_v2", 5);
    hrnet_model *c = synthetic("hrnet_w18_small", 6);
    struct seen seen;
    (void)state;
    struct hrnet_diff_report r = difference(a, b, &seen);
    assert_false(r.same_answers);
    assert_string_equal(r.parts_at, "logits");
    assert_int_equal(seen.count[HRNET_DIFF_ACTIVATIONS], 0);
    assert_true(isinf(seen.difference[HRNET_DIFF_WEIGHTS]));
    r = difference(a, c, &seen);
    assert_false(r.same_answers);
    assert_string_equal(r.parts_at, "classes");
    assert_int_equal(r.weights_differing, 2);
    assert_non_null(strstr(seen.first[HRNET_DIFF_WEIGHTS], "fc.weight other shapes"));
    hrnet_model_release(a);
    hrnet_model_release(b);
    hrnet_model_release(c);
}

static void wrong_arguments_are_refused(void **state)
{
    hrnet_model *a = synthetic("hrnet_w18_small", 5);
    struct hrnet_diff_options options;
    struct hrnet_diff_report report;
    float x = 0;
    (void)state;
    assert_int_equal(hrnet_model_diff(NULL, a, NULL, NULL, NULL, &report), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_model_diff(a, NULL, NULL, NULL, NULL, &report), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_model_diff(a, a, NULL, NULL, NULL, NULL), HRNET_E_ARGUMENT);
    hrnet_diff_options_init(&options, sizeof options);
    options.tolerance = -1;
    assert_int_equal(hrnet_model_diff(a, a, &options, NULL, NULL, &report), HRNET_E_ARGUMENT);
    options.tolerance = 0;
    options.x = &x;
    assert_int_equal(hrnet_model_diff(a, a, &options, NULL, NULL, &report), HRNET_E_ARGUMENT);
    options.height = options.width = 33;
    assert_int_equal(hrnet_model_diff(a, a, &options, NULL, NULL, &report), HRNET_E_SHAPE);
    hrnet_model_release(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_model_is_like_itself),
                                        cmocka_unit_test(a_changed_weight_is_found),
                                        cmocka_unit_test(other_models_are_different),
                                        cmocka_unit_test(wrong_arguments_are_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
