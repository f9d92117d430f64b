/* SPDX-License-Identifier: Apache-2.0
 * Every network of the zoo: parameters, tensors and multiply-adds are those of the published tables
 * (paddleclas.md 1.4, 1.5), before and after rewriting, in both fuse orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/hash.h"
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
    if (strstr(row->name, "_C") && !row->squeeze) /* PyTorch: 6 a convolution, 4 head biases */
        assert_int_equal(6 * count_op(graph, HR_OP_CONV) + 2 + 4, 1956);
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

/* SHA-256 over "NAME [SHAPE]\n" of all parameters in the order of a Paddle state dict, as an
 * independent list of them gives it (the numpy recipe of the golden answers, checked there against
 * PaddleClas itself). */
static void all_names_and_shapes_are_paddles_in_order(void **state)
{
    static const char *const want[][2] = {
        { "HRNet_W18_C", "721453ee03dc886e4048fbe509bc6c4b71c93829e5be2fae0314a4fab0b0da88" },
        { "HRNet_W30_C", "ab1e8b356ff54c27085db625ccfb162a6fe4c0761a4b1ab704e49d5d8b654c08" },
        { "HRNet_W32_C", "cd14c0ffe9c9b592a6a619d2a2bd743a4098835f850205519c1a191cf02e786e" },
        { "HRNet_W40_C", "f6192227f49cc753dd1a8902996601bf416100e4c4348f28fecc04706d2e03f0" },
        { "HRNet_W44_C", "4da8dd178831ba65306663916333153d28ac88106dd5c1e999cbc623b560e012" },
        { "HRNet_W48_C", "0affd94018670dc826512831d167a4a9f141688e382124a6b923abe4e216c6af" },
        { "HRNet_W60_C", "fff484e268c398bc8ffaa5ecd2386ae386cc4b51b670af9f464c893a00733bc3" },
        { "HRNet_W64_C", "fcfc6d0c1961f2b3bb84fe9ce95126bdbad9bb47f24971d651ce2caac70f526a" },
        { "SE_HRNet_W18_C", "d2f993dcb35d651e6773d70b283420e192b53fc11307531bed66b81824108b99" },
        { "SE_HRNet_W30_C", "d24e007db4f7841e0569f12da287d3a3f8aba34007f615ef6bfde273256de081" },
        { "SE_HRNet_W32_C", "c34707dcf07792f2dedccc75e0ea3c19fc64b1c3863549cb523bf626917f551f" },
        { "SE_HRNet_W40_C", "aa5aa705e18bdd8c3fe39325cacecf7d92669edeb6a26c7e575305f751fafa1e" },
        { "SE_HRNet_W44_C", "46ab497d135590ad9215e7fb753845386627ec1ce7c02c9b7998d005182acb6b" },
        { "SE_HRNet_W48_C", "a5a73dc312ffcc629f99047fc182dc1bc8d7a7d841f661f744d3b19783eb7f46" },
        { "SE_HRNet_W60_C", "6f1cee8e5f4267138c25b0d37810db5798e3b02c318e7b485166ca2e3ba95a68" },
        { "SE_HRNet_W64_C", "23b2584405ab801e304cf39d1504e5babb130c8b5e99268dd9e8680e50c9130b" },
    };
    (void)state;
    for (size_t i = 0; i < 2 * HR_COUNT(want); i++) {
        const struct hr_zoo_row *row;
        struct hr_graph *graph = NULL;
        struct hr_sha256 hash;
        struct hr_text text = { 0 };
        uint8_t digest[32];
        char hex[65];
        assert_int_equal(hr_zoo_find(&row, want[i / 2][0]), HR_OK);
        build(&graph, row, 32, 61, 1000, i % 2 ? HR_FUSE_MICROSOFT : HR_FUSE_PADDLE);
        for (size_t p = 0; p < graph->param_count; p++)
            hr_text_printf(&text, "%s %s\n", graph->params[p].name,
                           hr_shape_str(&graph->params[p].shape).s);
        hr_sha256_init(&hash);
        hr_sha256_update(&hash, text.data, text.size);
        hr_sha256_final(&hash, digest);
        hr_hex(hex, digest);
        assert_string_equal(hex, want[i / 2][1]);
        hr_text_fini(&text);
        hr_graph_destroy(graph);
    }
}

static void any_legal_size_and_class_count(void **state)
{
    static const int64_t sizes[] = { 29, 30, 31, 32, 61, 62, 63, 64, 221, 224, 253, 288 };
    const struct hr_zoo_row *row;
    (void)state;
    assert_int_equal(hr_zoo_find(&row, "hrnet_w18_small"), HR_OK);
    for (size_t i = 0; i < HR_COUNT(sizes); i++)
        for (size_t j = 0; j < HR_COUNT(sizes); j++) {
            struct hr_graph *graph = NULL;
            build(&graph, row, sizes[i], sizes[j], (int)(1 + i * 7), HR_FUSE_PADDLE);
            assert_int_equal(graph->values[graph->output].shape.dim[1], 1 + i * 7);
            const hr_value map = hr_graph_feature(graph, "stage4.3");
            assert_int_equal(graph->values[map].shape.dim[2], (sizes[i] + 31) / 32);
            assert_int_equal(graph->values[map].shape.dim[3], (sizes[j] + 31) / 32);
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
        cmocka_unit_test(all_names_and_shapes_are_paddles_in_order),
        cmocka_unit_test(any_legal_size_and_class_count),
        cmocka_unit_test(illegal_sizes_name_their_neighbours),
        cmocka_unit_test(wanted_features_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
