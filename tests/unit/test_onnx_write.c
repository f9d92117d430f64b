/* SPDX-License-Identifier: Apache-2.0
 * Writing ONNX: every operator of networks has a row; what is written is read back as the same
 * network with the same weights, in every form; failing memory leaks nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "exchange/onnx_write.h"
#include "exchange/open.h"
#include "hostile.h"

static struct hr_model *synthetic(const char *architecture)
{
    const struct hr_zoo_row *row;
    struct hr_store *store;
    struct hr_model *model;
    assert_int_equal(hr_zoo_find(&row, architecture), HR_OK);
    assert_int_equal(hr_synthetic_weights(&store, row, 5), HR_OK);
    assert_int_equal(hr_model_from_store(&model, store, "synthetic", NULL), HR_OK);
    return model;
}

static enum hr_status write_model(const struct hr_model *model, const struct hr_onnx_options *o,
                                  char **data, size_t *size)
{
    FILE *file = open_memstream(data, size);
    assert_non_null(file);
    const enum hr_status status = hr_onnx_write(model, o, file, "test");
    assert_int_equal(fclose(file), 0);
    return status;
}

static void every_operator_is_written(void **state)
{
    (void)state;
    for (int op = 0; op < HR_OP_COUNT; op++)
        if (op != HR_OP_SUM && !hr_onnx_can_write((enum hr_op)op))
            fail_msg("%s has no row", hr_op_name((enum hr_op)op));
}

/* Largest difference of a weight, over all. */
static double difference(const struct hr_store *a, const struct hr_store *b)
{
    double most = 0;
    assert_int_equal(hr_store_count(a), hr_store_count(b));
    for (size_t i = 0; i < hr_store_count(a); i++) {
        const struct hr_tensor *x = hr_store_tensor(a, i);
        const struct hr_tensor *y = hr_store_find(b, hr_store_name(a, i));
        size_t count;
        assert_true(y && hr_shape_equal(&x->shape, &y->shape));
        assert_int_equal(hr_shape_elements(&x->shape, &count), HR_OK);
        float *u = hr_mem_alloc(count, sizeof *u), *v = hr_mem_alloc(count, sizeof *v);
        assert_true(u && v);
        hr_tensor_to_f32(u, x);
        hr_tensor_to_f32(v, y);
        for (size_t k = 0; k < count; k++) {
            const double d = (double)u[k] - (double)v[k];
            most = d > most ? d : -d > most ? -d : most;
        }
        hr_mem_free(u);
        hr_mem_free(v);
    }
    return most;
}

static void models_come_back(void **state)
{
    static const struct {
        const char *architecture;
        struct hr_onnx_options options;
        double most;
    } cases[] = {
        { "hrnet_w18_small", { .opset = 11, .batch = 1, .height = 64, .width = 96 }, 0 },
        { "hrnet_w18_small",
          { .opset = 21,
            .height = 64,
            .width = 64,
            .result = HR_RESULT_SOFTMAX,
            .preprocess = true },
          0 },
        { "hrnet_w18_small", { .opset = 13, .half = true, .result = HR_RESULT_SIGMOID }, 1e-3 },
        { "SE_HRNet_W18_C", { .opset = 17 }, 0 },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_model *model = synthetic(cases[i].architecture), *back = NULL;
        char *data = NULL;
        size_t size = 0;
        assert_int_equal(write_model(model, &cases[i].options, &data, &size), HR_OK);
        if (hr_exchange_open_memory(&back, data, size, "test", NULL) != HR_OK)
            fail_msg("case %zu: %s", i, hr_last_message());
        free(data);
        assert_ptr_equal(hr_model_row(back), hr_model_row(model));
        assert_true(difference(hr_model_weights(model), hr_model_weights(back)) <= cases[i].most);
        const struct hr_recipe *r = hr_model_recipe(back), *want = hr_model_recipe(model);
        assert_string_equal(r->name, want->name);
        assert_memory_equal(r->mean, want->mean, sizeof r->mean);
        assert_true(r->scale == want->scale);
        if (cases[i].options.height)
            assert_int_equal(r->crop_height, cases[i].options.height);
        hr_model_unref(back);
        hr_model_unref(model);
    }
}

/* Folded, the norms come back as norms that do nothing. */
static void folded_norms_come_back(void **state)
{
    const struct hr_onnx_options options = { .opset = 17, .fold = true };
    struct hr_model *model = synthetic("hrnet_w18_small"), *back = NULL;
    char *data = NULL;
    size_t size = 0;
    float gamma;
    (void)state;
    assert_int_equal(write_model(model, &options, &data, &size), HR_OK);
    assert_int_equal(hr_exchange_open_memory(&back, data, size, "test", NULL), HR_OK);
    free(data);
    assert_ptr_equal(hr_model_row(back), hr_model_row(model));
    struct hr_tensor t = *hr_store_find(hr_model_weights(back), "conv_last.bn.weight");
    t.shape.dim[0] = 1;
    hr_tensor_to_f32(&gamma, &t);
    assert_true(gamma == 1.0f);
    hr_model_unref(back);
    hr_model_unref(model);
}

static void wrong_options_are_refused(void **state)
{
    static const struct hr_onnx_options wrong[] = {
        { .opset = 10 },
        { .opset = 22 },
        { .opset = 17, .height = 64 },
        { .opset = 17, .height = 33, .width = 64 },
        { .opset = 17, .batch = -1 },
    };
    struct hr_model *model = synthetic("hrnet_w18_small");
    (void)state;
    for (size_t i = 0; i < HR_COUNT(wrong); i++) {
        char *data = NULL;
        size_t size = 0;
        assert_int_not_equal(write_model(model, &wrong[i], &data, &size), HR_OK);
        free(data);
    }
    hr_model_unref(model);
}

static void memory_may_fail_anywhere(void **state)
{
    const struct hr_onnx_options options = { .opset = 17, .fold = true };
    enum hr_status status = HR_E_MEMORY;
    size_t n = 0;
    (void)state;
    hostile_memory_limit(SIZE_MAX);
    struct hr_model *model = synthetic("hrnet_w18_small");
    for (; status == HR_E_MEMORY && n < 100000; n += 1 + n / 16) {
        char *data = NULL;
        size_t size = 0;
        hostile_memory_limit(n);
        status = write_model(model, &options, &data, &size);
        free(data);
    }
    hostile_memory_limit(SIZE_MAX);
    hr_model_unref(model);
    (void)hostile_memory_restore();
    assert_int_equal(status, HR_OK);
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_is_written), cmocka_unit_test(models_come_back),
        cmocka_unit_test(folded_norms_come_back),    cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
