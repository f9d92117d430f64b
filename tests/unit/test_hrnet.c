/* SPDX-License-Identifier: Apache-2.0
 * Every network of the zoo: parameters, tensors and multiply-adds are those of the published tables
 * (paddleclas.md 1.4, 1.5), before and after rewriting, in both fuse orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "graph/rewrite.h"
#include "model/hrnet.h"

static bool is_statistic(const char *name)
{
    return strstr(name, "._mean") || strstr(name, "._variance");
}

static uint64_t trainable(const struct hr_graph *graph)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < graph->param_count; i++) {
        size_t elements = 0;
        assert_int_equal(hr_shape_elements(&graph->params[i].shape, &elements), HR_OK);
        sum += is_statistic(graph->params[i].name) ? 0 : elements;
    }
    return sum;
}

static int count_op(const struct hr_graph *graph, enum hr_op op)
{
    int count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        count += graph->nodes[i].op == op;
    return count;
}

static void build(struct hr_graph **out, const struct hr_zoo_row *row, int64_t h, int64_t w,
                  int classes, enum hr_fuse_order order)
{
    const struct hr_hrnet_options options = { 1, h, w, classes, order };
    if (hr_hrnet_build(out, row, &options) != HR_OK)
        fail_msg("%s: %s", row->name, hr_last_message());
}

static void check_row(const struct hr_zoo_row *row, enum hr_fuse_order order)
{
    struct hr_graph *graph = NULL;
    build(&graph, row, 224, 224, 1000, order);
    assert_int_equal(trainable(graph), row->parameters);
    assert_int_equal(hr_graph_multiply_adds(graph), row->multiply_adds);
    if (strstr(row->name, "_C"))
        assert_int_equal(graph->param_count, row->squeeze ? 2075 : 1627);
    const int convolutions = count_op(graph, HR_OP_CONV), linears = count_op(graph, HR_OP_LINEAR);
    assert_int_equal(hr_rewrite_all(graph, NULL, 0), HR_OK);
    assert_int_equal(trainable(graph), row->parameters);
    assert_int_equal(hr_graph_multiply_adds(graph), row->multiply_adds);
    assert_int_equal(count_op(graph, HR_OP_CONV), convolutions);
    assert_int_equal(count_op(graph, HR_OP_LINEAR), linears);
    assert_int_equal(count_op(graph, HR_OP_BATCH_NORM), 0);
    assert_int_equal(count_op(graph, HR_OP_RELU), 0);
    assert_int_equal(count_op(graph, HR_OP_ADD), 0);
    assert_int_equal(count_op(graph, HR_OP_UPSAMPLE), 0);
    hr_graph_destroy(graph);
}

static void every_model_has_its_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < hr_zoo_count(); i++) {
        check_row(hr_zoo_row(i), HR_FUSE_PADDLE);
        check_row(hr_zoo_row(i), HR_FUSE_MICROSOFT);
    }
}

/* 1,627 tensors: the first and last names of a Paddle state dict, in its order. */
static void names_are_paddles(void **state)
{
    static const struct {
        size_t at;
        const char *name, *shape;
    } want[] = {
        { 0, "conv_layer1_1.conv.weight", "[64,3,3,3]" },
        { 4, "conv_layer1_1.bn._variance", "[64]" },
        { 10, "layer1.0.conv1.conv.weight", "[64,64,1,1]" },
        { 25, "layer1.0.conv_down.conv.weight", "[256,64,1,1]" },
        { 75, "conv_tr1_1.conv.weight", "[18,256,3,3]" },
        { 85, "st2.stage_func_list.0.basic_block_list.0.0.conv1.conv.weight", "[18,18,3,3]" },
        { 165, "st2.stage_func_list.0.fuse_func.residual_func_list.0.conv.weight", "[18,36,1,1]" },
        { 1625, "fc.weight", "[2048,1000]" },
        { 1626, "fc.bias", "[1000]" },
    };
    const struct hr_zoo_row *row;
    struct hr_graph *graph = NULL;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "HRNet_W18_C"), HR_OK);
    build(&graph, row, 64, 64, 1000, HR_FUSE_PADDLE);
    for (size_t i = 0; i < HR_COUNT(want); i++) {
        assert_string_equal(graph->params[want[i].at].name, want[i].name);
        assert_string_equal(hr_shape_str(&graph->params[want[i].at].shape).s, want[i].shape);
    }
    hr_graph_destroy(graph);
}

static void any_legal_size_and_class_count(void **state)
{
    static const int64_t sizes[] = { 29, 30, 31, 32, 61, 64, 221, 224, 253, 288 };
    const struct hr_zoo_row *row;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    for (size_t i = 0; i < HR_COUNT(sizes); i++)
        for (size_t j = 0; j < HR_COUNT(sizes); j += 3) {
            struct hr_graph *graph = NULL;
            build(&graph, row, sizes[i], sizes[j], (int)(1 + i * 7), HR_FUSE_PADDLE);
            assert_int_equal(graph->values[graph->output].shape.dim[1], 1 + i * 7);
            hr_graph_destroy(graph);
        }
}

static void refuse(int64_t h, int64_t w, int classes, const char *want)
{
    const struct hr_hrnet_options options = { 1, h, w, classes, HR_FUSE_PADDLE };
    struct hr_graph *graph = NULL;
    assert_int_not_equal(hr_hrnet_build(&graph, hr_zoo_row(0), &options), HR_OK);
    if (!strstr(hr_last_message(), want))
        fail_msg("'%s' lacks '%s'", hr_last_message(), want);
}

/* users.md C9. */
static void illegal_sizes_name_their_neighbours(void **state)
{
    (void)state;
    refuse(225, 224, 10, "the nearest are 224 and 253");
    refuse(224, 270, 10, "the nearest are 256 and 285");
    refuse(192, 144, 10,
           "width 144 does not fit the network: sizes modulo 32 must be 29, 30, 31 "
           "or 0; the nearest are 128 and 157");
    refuse(480, 854, 10, "832 and 861");
    refuse(33, 33, 10, "32 and 61");
    refuse(1, 32, 10, "the nearest is 29");
    refuse(224, 0, 10, "width 0");
    refuse(32, 32, 0, "0 classes");
}

static void wanted_features_survive(void **state)
{
    static const char *const features[] = { "stem",    "layer1",   "stage2.1", "stage4.0",
                                            "incre.3", "stage3.2", "pool",     "logits" };
    const struct hr_zoo_row *row;
    struct hr_graph *graph = NULL;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "HRNet_W18_C"), HR_OK);
    build(&graph, row, 224, 224, 1000, HR_FUSE_PADDLE);
    assert_int_equal(hr_rewrite_all(graph, features, HR_COUNT(features)), HR_OK);
    for (size_t i = 0; i < HR_COUNT(features); i++)
        assert_int_not_equal(hr_graph_feature(graph, features[i]), HR_NONE);
    assert_int_equal(hr_graph_feature(graph, "stage4.1"), HR_NONE);
    assert_string_equal(hr_shape_str(&graph->values[hr_graph_feature(graph, "stage4.0")].shape).s,
                        "[1,18,56,56]");
    hr_graph_destroy(graph);
    build(&graph, row, 224, 224, 1000, HR_FUSE_PADDLE);
    const char *wrong = "stage4.4";
    assert_int_equal(hr_rewrite_all(graph, &wrong, 1), HR_E_NOT_FOUND);
    hr_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_has_its_counts),
        cmocka_unit_test(names_are_paddles),
        cmocka_unit_test(any_legal_size_and_class_count),
        cmocka_unit_test(illegal_sizes_name_their_neighbours),
        cmocka_unit_test(wanted_features_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
