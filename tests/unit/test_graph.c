/* SPDX-License-Identifier: Apache-2.0
 * Graphs: the builder names and shapes what it is told, its first error sticks, the check finds
 * every kind of inconsistency, the printed form is fixed, and no allocation is taken for granted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "hostile.h"

/* Every builder call once. */
static enum hr_status build_small(struct hr_graph **out)
{
    struct hr_builder b;
    HR_TRY(hr_builder_start(&b));
    const hr_value x = hr_input(&b, 1, 3, 8, 8);
    hr_layer(&b, "block.%d", 0);
    hr_value y = hr_relu(&b, hr_conv_bn(&b, x, 3, 2, 4));
    hr_feature(&b, y, "half.%d", 0);
    hr_layer(&b, "up");
    const hr_value fine = hr_conv_bn(&b, x, 1, 1, 4); /* arguments have no order of their own */
    y = hr_add(&b, fine, hr_upsample(&b, y, 2));
    hr_layer(&b, "se");
    y = hr_scale(&b, y, hr_sigmoid(&b, hr_linear(&b, hr_global_pool(&b, y), 4)));
    hr_layer(&b, "fc");
    y = hr_linear(&b, hr_global_pool(&b, y), 10);
    return hr_builder_finish(&b, y, out);
}

static struct hr_graph *small(void)
{
    struct hr_graph *graph = NULL;
    if (build_small(&graph) != HR_OK)
        fail_msg("%s", hr_last_message());
    return graph;
}

static void printed_form(void **state)
{
    (void)state;
    struct hr_graph *graph = small();
    struct hr_text text = { 0 };
    hr_graph_print(graph, &text);
    assert_string_equal(hr_text_str(&text), "%0 = input [1,3,8,8]\n"
                                            "%1 = conv(%0) block.0 [1,4,4,4] 3x3/2\n"
                                            "%2 = batch_norm(%1) block.0 [1,4,4,4]\n"
                                            "%3 = relu(%2) block.0 [1,4,4,4] -> half.0\n"
                                            "%4 = conv(%0) up [1,4,8,8] 1x1/1\n"
                                            "%5 = batch_norm(%4) up [1,4,8,8]\n"
                                            "%6 = upsample(%3) up [1,4,8,8] x2\n"
                                            "%7 = add(%5, %6) up [1,4,8,8]\n"
                                            "%8 = global_pool(%7) se [1,4]\n"
                                            "%9 = linear(%8) se [1,4]\n"
                                            "%10 = sigmoid(%9) se [1,4]\n"
                                            "%11 = scale(%7, %10) se [1,4,8,8]\n"
                                            "%12 = global_pool(%11) fc [1,4]\n"
                                            "%13 = linear(%12) fc [1,10]\n"
                                            "output %13\n");
    hr_text_fini(&text);
    hr_graph_destroy(graph);
}

static void names_costs_and_features(void **state)
{
    static const char *const params[] = {
        "block.0.conv.weight",
        "block.0.bn.weight",
        "block.0.bn.bias",
        "block.0.bn._mean",
        "block.0.bn._variance",
        "up.conv.weight",
        "up.bn.weight",
        "up.bn.bias",
        "up.bn._mean",
        "up.bn._variance",
        "se.weight",
        "se.bias",
        "fc.weight",
        "fc.bias",
    };
    (void)state;
    struct hr_graph *graph = small();
    assert_int_equal(graph->param_count, HR_COUNT(params));
    for (size_t i = 0; i < HR_COUNT(params); i++)
        assert_string_equal(graph->params[i].name, params[i]);
    assert_string_equal(hr_shape_str(&graph->params[12].shape).s, "[4,10]"); /* as Paddle stores */
    assert_int_equal(hr_node_multiply_adds(graph, &graph->nodes[0]), 4 * 4 * 4 * 27);
    assert_int_equal(hr_graph_multiply_adds(graph),
                     4 * 4 * 4 * 27 + 8 * 8 * 4 * 3 + 4 * 4 + 4 * 10);
    assert_int_equal(hr_graph_feature(graph, "half.0"), 3);
    assert_int_equal(hr_graph_feature(graph, "half.1"), HR_NONE);
    hr_graph_destroy(graph);
    hr_graph_destroy(NULL);
}

/* After the first error nothing happens, and finish tells that first error. */
static void the_first_error_sticks(void **state)
{
    (void)state;
    struct hr_builder b;
    struct hr_graph *graph = NULL;
    assert_int_equal(hr_builder_start(&b), HR_OK);
    const hr_value x = hr_input(&b, 1, 3, 9, 9);
    hr_layer(&b, "first");
    const hr_value half = hr_conv_bn(&b, x, 3, 2, 3);
    hr_layer(&b, "second");
    const size_t nodes = b.graph->node_count;
    assert_int_equal(hr_add(&b, x, hr_upsample(&b, half, 2)), HR_NONE);
    hr_layer(&b, "third");
    const hr_value y = hr_linear(&b, hr_global_pool(&b, hr_conv_bn(&b, x, 1, 1, 7)), 5);
    hr_feature(&b, y, "logits");
    assert_int_equal(y, HR_NONE);
    assert_int_equal(b.graph->node_count, nodes + 1); /* the upsampling was right */
    assert_int_equal(hr_builder_finish(&b, y, &graph), HR_E_SHAPE);
    assert_string_equal(hr_last_message(),
                        "layer second: add: shapes [1,3,9,9] and [1,3,10,10] differ");
    assert_null(graph);
    assert_int_not_equal(hr_builder_finish(&b, y, &graph), HR_OK); /* finished builders are dead */
}

static void expect_refusal(struct hr_builder *b, hr_value output, const char *want)
{
    struct hr_graph *graph = NULL;
    assert_int_not_equal(hr_builder_finish(b, output, &graph), HR_OK);
    assert_null(graph);
    if (!strstr(hr_last_message(), want))
        fail_msg("'%s' lacks '%s'", hr_last_message(), want);
}

static void builders_refuse_nonsense(void **state)
{
    (void)state;
    struct hr_builder b;
    assert_int_equal(hr_builder_start(&b), HR_OK);
    expect_refusal(&b, hr_input(&b, 0, 3, 8, 8), "[0,3,8,8] has a dimension below 1");
    assert_int_equal(hr_builder_start(&b), HR_OK);
    (void)hr_input(&b, 1, 3, 8, 8);
    expect_refusal(&b, hr_input(&b, 1, 3, 8, 8), "a second input");
    assert_int_equal(hr_builder_start(&b), HR_OK);
    (void)hr_input(&b, 1, 3, 8, 8);
    expect_refusal(&b, hr_relu(&b, 17), "value 17 is not in the graph");
    assert_int_equal(hr_builder_start(&b), HR_OK);
    const hr_value x = hr_input(&b, 1, 3, 8, 8), y = hr_relu(&b, x);
    hr_feature(&b, x, "a");
    hr_feature(&b, y, "a");
    expect_refusal(&b, y, "feature a is named twice");
    assert_int_equal(hr_builder_start(&b), HR_OK);
    hr_layer(&b, "%0300d", 1);
    expect_refusal(&b, hr_input(&b, 1, 3, 8, 8), "a layer name has more than 191 bytes");
}

/* One way to break the small graph, and what the check must say. */
struct damage {
    void (*break_it)(struct hr_graph *graph);
    const char *message;
};

static void no_output(struct hr_graph *g)
{
    g->output = HR_NONE;
}
static void wrong_order(struct hr_graph *g)
{
    g->nodes[1].in[0] = 5;
}
static void input_from_nowhere(struct hr_graph *g)
{
    g->nodes[1].in[0] = 99;
}
static void no_inputs(struct hr_graph *g)
{
    g->nodes[1].input_count = 0;
}
static void two_producers(struct hr_graph *g)
{
    g->nodes[1].out = 1;
}
static void wrong_shape(struct hr_graph *g)
{
    g->values[2].shape.dim[1] = 5;
}
static void wrong_parameter(struct hr_graph *g)
{
    g->nodes[0].param[HR_ROLE_WEIGHT] = 5;
}
static void parameter_it_cannot_have(struct hr_graph *g)
{
    g->nodes[2].param[HR_ROLE_BIAS] = 2;
}

static void the_check_finds_damage(void **state)
{
    static const struct damage damages[] = {
        { no_output, "the graph has no output" },
        { wrong_order, "node 1 (batch_norm block.0): input 0 is used before it is produced" },
        { input_from_nowhere, "node 1 (batch_norm block.0): input 0 is no value of the graph" },
        { no_inputs, "node 1 (batch_norm block.0): 0 inputs" },
        { two_producers, "value 2 of the graph has no producer" },
        { wrong_shape,
          "node 1 (batch_norm block.0): its result is [1,5,4,4]; [1,4,4,4] is expected" },
        { wrong_parameter, "node 0 (conv block.0): weight up.conv.weight is [4,3,1,1]; [4,3,3,3] "
                           "is needed" },
        { parameter_it_cannot_have, "node 2 (relu block.0): bias may not be parameter 2" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(damages); i++) {
        struct hr_graph *graph = small();
        assert_int_equal(hr_graph_check(graph), HR_OK);
        damages[i].break_it(graph);
        assert_int_equal(hr_graph_check(graph), HR_E_INTERNAL);
        assert_string_equal(hr_last_message(), damages[i].message);
        hr_graph_destroy(graph);
    }
}

/* ---- The n-th allocation fails ---- */

static void every_allocation_may_fail(void **state)
{
    (void)state;
    enum hr_status status = HR_E_MEMORY;
    int n = 0;
    for (; status != HR_OK && n < 1000; n++) {
        struct hr_graph *graph = NULL;
        hostile_memory_limit((size_t)n);
        status = build_small(&graph);
        if (status != HR_OK && (status != HR_E_MEMORY || graph))
            break;
        hr_graph_destroy(graph);
        if (hostile_memory_held() != 0)
            break;
    }
    const long held = hostile_memory_held();
    (void)hostile_memory_restore();
    assert_int_equal(status, HR_OK);
    assert_int_equal(held, 0);
    assert_true(n > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_form),           cmocka_unit_test(names_costs_and_features),
        cmocka_unit_test(the_first_error_sticks), cmocka_unit_test(builders_refuse_nonsense),
        cmocka_unit_test(the_check_finds_damage), cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
