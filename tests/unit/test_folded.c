/* SPDX-License-Identifier: Apache-2.0
 * Norms multiplied into convolutions: the numbers by hand, whose parameters stay as they are, what
 * is damaged, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "exchange/folded.h"
#include "hostile.h"

/* "a": a convolution and its norm; "b": one with a bias, and its norm; "c": linear. */
static struct hr_graph *network(void)
{
    struct hr_builder b;
    struct hr_graph *graph = NULL;
    const struct hr_attr attr = { .kernel = 1, .stride = 1, .channels = 2 };
    assert_int_equal(hr_builder_start(&b), HR_OK);
    hr_value x = hr_input(&b, 1, 1, 4, 4);
    hr_layer(&b, "a");
    x = hr_conv_bn(&b, x, 1, 1, 2);
    hr_layer(&b, "b");
    x = hr_conv(&b, x, &attr, true);
    hr_layer(&b, "b.norm");
    x = hr_batch_norm(&b, x, 0.25f);
    x = hr_global_pool(&b, x);
    hr_layer(&b, "c");
    x = hr_linear(&b, x, 1);
    assert_int_equal(hr_builder_finish(&b, x, &graph), HR_OK);
    return graph;
}

/* Parameter i is i + 1, i + 1.5, ...; variances are 0.75 * 4. */
static struct hr_store *weights_of(const struct hr_graph *graph)
{
    struct hr_store *store = NULL;
    assert_int_equal(hr_store_create(&store), HR_OK);
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct hr_graph_param *p = &graph->params[i];
        size_t count;
        void *data;
        assert_int_equal(hr_shape_elements(&p->shape, &count), HR_OK);
        assert_int_equal(hr_store_add_owned(store, p->name, HR_DTYPE_F32, &p->shape, &data), HR_OK);
        for (size_t k = 0; k < count; k++)
            ((float *)data)[k] = strstr(p->name, "_variance") ? 3.75f : (float)i + 1 + (float)k / 2;
    }
    return store;
}

static const float *values(const struct hr_store *store, const char *name)
{
    const struct hr_tensor *t = hr_store_find(store, name);
    if (!t)
        fail_msg("there is no %s", name);
    return hr_tensor_plain(t);
}

static void norms_are_multiplied_in(void **state)
{
    struct hr_graph *graph = network();
    struct hr_store *weights = weights_of(graph), *folded = NULL;
    (void)state;
    assert_int_equal(hr_exchange_fold(&folded, graph, weights), HR_OK);
    assert_int_equal(hr_graph_check(graph), HR_OK);
    assert_int_equal(graph->node_count, 4);
    assert_int_equal(graph->param_count, 6);
    assert_int_equal(hr_store_count(folded), 6);
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct hr_tensor *t = hr_store_find(folded, graph->params[i].name);
        assert_true(t && hr_shape_equal(&t->shape, &graph->params[i].shape));
    }
    /* The norm of "b", with epsilon 0.25, divides by 2: (bias - mean) / 2 * gamma + beta. */
    const float *w = values(weights, "b.weight"), *own = values(weights, "b.bias");
    const float *gamma = values(weights, "b.norm.weight"), *beta = values(weights, "b.norm.bias");
    const float *mean = values(weights, "b.norm._mean");
    for (int k = 0; k < 2; k++) {
        assert_true(values(folded, "b.weight")[2 * k] == w[2 * k] * gamma[k] / 2);
        assert_true(values(folded, "b.bias")[k] == beta[k] + (own[k] - mean[k]) * gamma[k] / 2);
    }
    assert_ptr_equal(values(folded, "c.weight"), values(weights, "c.weight"));
    values(folded, "a.bias");
    values(folded, "a.conv.weight");
    hr_store_destroy(folded);
    hr_store_destroy(weights);
    hr_graph_destroy(graph);
}

static void damaged_norms_are_refused(void **state)
{
    struct hr_graph *graph = network();
    struct hr_store *weights = weights_of(graph), *folded = NULL;
    (void)state;
    struct hr_tensor t = *hr_store_find(weights, "a.bn._variance");
    ((float *)(uintptr_t)t.data)[1] = -8;
    assert_int_equal(hr_exchange_fold(&folded, graph, weights), HR_E_MISMATCH);
    assert_non_null(strstr(hr_last_message(), "a.bn._variance"));
    assert_null(folded);
    hr_store_destroy(weights);
    hr_graph_destroy(graph);
}

static void memory_may_fail_anywhere(void **state)
{
    enum hr_status status = HR_E_MEMORY;
    unsigned n = 0;
    (void)state;
    for (; status != HR_OK && n < 100; n++) {
        struct hr_graph *graph = network();
        struct hr_store *weights = weights_of(graph), *folded = NULL;
        hostile_memory_limit(n);
        status = hr_exchange_fold(&folded, graph, weights);
        (void)hostile_memory_restore();
        assert_true(status == HR_OK || (status == HR_E_MEMORY && !folded));
        hr_store_destroy(folded);
        hr_store_destroy(weights);
        hr_graph_destroy(graph);
    }
    assert_in_range(n, 5, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_are_multiplied_in),
        cmocka_unit_test(damaged_norms_are_refused),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
