/* SPDX-License-Identifier: Apache-2.0
 * What a model file is taken for: published weights are known by name, architecture and classes
 * together, and a replaced head keeps the recipe of the body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "model/model.h"

static struct hr_model *named(const char *architecture, int classes, const char *name,
                              const struct hr_model_options *options)
{
    const struct hr_zoo_row *row;
    struct hr_store *store;
    struct hr_model *model;
    assert_int_equal(hr_zoo_find(&row, architecture), HR_OK);
    assert_int_equal(hr_synthetic_weights(&store, row, classes), HR_OK);
    assert_int_equal(hr_model_from_store(&model, store, name, options), HR_OK);
    return model;
}

static void expect_published(const char *architecture, int classes, const char *name,
                             const char *published)
{
    struct hr_model *model = named(architecture, classes, name, NULL);
    const struct hr_zoo_weights *row = hr_model_published(model);
    if (published) {
        assert_non_null(row);
        assert_string_equal(row->name, published);
    } else {
        assert_null(row);
    }
    hr_model_unref(model);
}

static void published_weights_are_of_their_network(void **state)
{
    (void)state;
    expect_published("HRNet_W18_C", 1000, "a/HRNet_W18_C_pretrained.pdparams", "HRNet_W18_C");
    expect_published("HRNet_W18_C", 102, "a/HRNet_W18_C_pretrained.pdparams", NULL);
    expect_published("hrnet_w18_small", 1000, "a/HRNet_W18_C_pretrained.pdparams", NULL);
    expect_published("HRNet_W18_C", 1000, "a/mine.pdparams", NULL);
}

static void a_replaced_head_keeps_the_recipe(void **state)
{
    const struct hr_model_options options = { .classes = 5, .replace_head = true };
    struct hr_model *model = named("HRNet_W18_C", 1000, "a/hrnetv2_w18-8cb57bb9.pth", &options);
    (void)state;
    assert_int_equal(hr_model_classes(model), 5);
    assert_true(hr_model_match(model)->head_replaced);
    /* Not the default of the names, which are Paddle's here. */
    assert_non_null(hr_model_published(model));
    assert_string_not_equal(hr_model_published(model)->recipe, "opencv");
    assert_string_equal(hr_model_recipe(model)->name, hr_model_published(model)->recipe);
    hr_model_unref(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(published_weights_are_of_their_network),
                                        cmocka_unit_test(a_replaced_head_keeps_the_recipe) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
