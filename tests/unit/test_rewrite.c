/* SPDX-License-Identifier: Apache-2.0
 * Rewrites change no bit: networks of the zoo and random graphs are run by the plain interpreter
 * before and after.  Only folding a batch norm may move bits, by 1e-5 of the largest value. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "graph/rewrite.h"
#include "hostile.h"
#include "model/model.h"
#include "naive.h"
#include "scalar_graph.h"

enum { FEATURES = 16, CLASSES = 7 };

static int count_op(const struct hr_graph *graph, enum hr_op op)
{
    int count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        count += graph->nodes[i].op == op;
    return count;
}

static void must_be_ok(enum hr_status status)
{
    if (status != HR_OK)
        fail_msg("%s", hr_last_message());
}

/* ---- Networks of the zoo ---- */

static const char *const features[FEATURES] = { "stem",     "layer1",   "stage2.0", "stage2.1",
                                                "stage3.0", "stage3.1", "stage3.2", "stage4.0",
                                                "stage4.1", "stage4.2", "stage4.3", "incre.0",
                                                "incre.1",  "incre.3",  "pool",     "logits" };

static struct hr_graph *network(const char *model, enum hr_fuse_order order, int64_t h, int64_t w)
{
    const struct hr_zoo_row *row;
    struct hr_graph *graph = NULL;
    const struct hr_hrnet_options options = { 1, h, w, CLASSES, order };
    must_be_ok(hr_zoo_find(&row, model));
    must_be_ok(hr_hrnet_build(&graph, row, &options));
    return graph;
}

static void compare(const struct hr_graph *a, const struct scalar_graph *run_a,
                    const struct hr_graph *b, const struct scalar_graph *run_b, const char *feature,
                    double tolerance)
{
    const hr_value va = hr_graph_feature(a, feature), vb = hr_graph_feature(b, feature);
    assert_true(va != HR_NONE && vb != HR_NONE);
    assert_int_equal(run_a->counts[va], run_b->counts[vb]);
    double largest = 0.0, difference = 0.0;
    for (size_t i = 0; i < run_a->counts[va]; i++) {
        const double x = (double)run_a->values[va][i], y = (double)run_b->values[vb][i];
        largest = fmax(largest, fabs(x));
        difference = fmax(difference, fabs(x - y));
        if (tolerance == 0.0 && memcmp(&run_a->values[va][i], &run_b->values[vb][i], 4) != 0)
            fail_msg("%s[%zu]: %.9g became %.9g", feature, i, x, y);
    }
    if (!(difference <= tolerance * largest))
        fail_msg("%s moved by %g of %g", feature, difference, largest);
}

/* As built, with norms folded, and with everything: run and compared at every feature. */
static void check_network(const char *model, enum hr_fuse_order order, int64_t h, int64_t w)
{
    static float x[3 * 64 * 64];
    const struct hr_zoo_row *row;
    struct hr_store *weights = NULL;
    struct hr_graph *graph[3];
    struct scalar_graph run[3];
    assert_true(3 * h * w <= (int64_t)HR_COUNT(x));
    must_be_ok(hr_zoo_find(&row, model));
    must_be_ok(hr_synthetic_weights(&weights, row, CLASSES));
    hr_synthetic_fill(x, HR_COUNT(x), "rewrite");
    for (int i = 0; i < 3; i++)
        graph[i] = network(model, order, h, w);
    must_be_ok(hr_rewrite_fold_batch_norm(graph[1]));
    must_be_ok(hr_graph_check(graph[1]));
    must_be_ok(hr_rewrite_all(graph[2], features, FEATURES));
    for (int i = 0; i < 3; i++)
        scalar_graph_run(&run[i], graph[i], weights, x);
    for (int i = 0; i < FEATURES; i++) {
        compare(graph[0], &run[0], graph[1], &run[1], features[i], 1e-5);
        compare(graph[1], &run[1], graph[2], &run[2], features[i], 0.0);
    }
    for (int i = 0; i < 3; i++) {
        scalar_graph_fini(&run[i]);
        hr_graph_destroy(graph[i]);
    }
    hr_store_destroy(weights);
}

static void networks_keep_their_bits(void **state)
{
    (void)state;
    check_network("hrnet_w18_small", HR_FUSE_PADDLE, 64, 29);
    check_network("hrnet_w18_small", HR_FUSE_MICROSOFT, 32, 61);
    check_network("SE_HRNet_W18_C", HR_FUSE_PADDLE, 32, 32);
    check_network("hrnet_w18_small_v2", HR_FUSE_MICROSOFT, 31, 30);
}

/* The sums that stay: in Paddle's order one for each branch that hears a coarser one, and the three
 * of the head, whose ReLU comes before the addition; in Microsoft's also where a branch's own map
 * is added to a sum that a convolution has already taken as its residual. */
static void a_network_becomes_convolutions(void **state)
{
    static const struct {
        const char *model;
        enum hr_fuse_order order;
        int sums, scales;
    } cases[] = {
        { "HRNet_W18_C", HR_FUSE_PADDLE, 1 + 4 * 2 + 3 * 3 + 3, 0 },
        { "HRNet_W18_C", HR_FUSE_MICROSOFT, 1 + 4 * 3 + 3 * 4 + 3, 0 },
        { "SE_HRNet_W18_C", HR_FUSE_PADDLE, 1 + 4 * 2 + 3 * 3 + 3, 112 },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_graph *graph = network(cases[i].model, cases[i].order, 224, 224);
        must_be_ok(hr_rewrite_all(graph, NULL, 0));
        assert_int_equal(count_op(graph, HR_OP_CONV), 325);
        assert_int_equal(count_op(graph, HR_OP_SUM), cases[i].sums);
        assert_int_equal(count_op(graph, HR_OP_SCALE), cases[i].scales);
        assert_int_equal(count_op(graph, HR_OP_GLOBAL_POOL), 1 + cases[i].scales);
        assert_int_equal(count_op(graph, HR_OP_LINEAR), 1 + 2 * cases[i].scales);
        assert_int_equal(graph->node_count, 325 + cases[i].sums + 2 + 5 * cases[i].scales);
        int residuals = 0;
        for (size_t n = 0; n < graph->node_count; n++)
            residuals += graph->nodes[n].attr.residual;
        assert_true(residuals >= 112); /* every block, and the first terms of many sums */
        hr_graph_destroy(graph);
    }
}

/* ---- Random graphs ---- */

static uint32_t random_state;

static int below(int limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int)((random_state >> 16) % (uint32_t)limit);
}

struct garden {
    struct hr_builder b;
    hr_value fine[32], coarse[32]; /* [1,2,4,4] and [1,2,2,2] */
    int fine_count, coarse_count;
};

static void keep(struct garden *g, hr_value x, bool fine)
{
    if (below(6) == 0)
        hr_feature(&g->b, x, "f%d", (int)x);
    if (fine)
        g->fine[g->fine_count++] = x;
    else
        g->coarse[g->coarse_count++] = x;
}

/* Mostly the newest values, so that chains grow; sometimes any, so that values have many readers.
 */
static hr_value pick(const hr_value *values, int count)
{
    return below(3) ? values[count - 1] : values[below(count)];
}

static void grow(struct garden *g)
{
    struct hr_builder *b = &g->b;
    const hr_value x = pick(g->fine, g->fine_count), z = pick(g->coarse, g->coarse_count);
    hr_layer(b, "n%zu", b->graph->node_count);
    switch (below(9)) {
    case 0:
        keep(g, hr_conv_bn(b, x, 3, 1, 2), true);
        break;
    case 1:
        keep(g, hr_conv_bn(b, x, 3, 2, 2), false);
        break;
    case 2:
        keep(g, hr_relu(b, x), true);
        break;
    case 3:
        keep(g, hr_relu(b, z), false);
        break;
    case 4:
        keep(g, hr_upsample(b, z, 2), true);
        break;
    case 5:
        keep(g, hr_add(b, z, pick(g->coarse, g->coarse_count)), false);
        break;
    case 6:
        keep(g, hr_scale(b, x, hr_sigmoid(b, hr_linear(b, hr_global_pool(b, x), 2))), true);
        break;
    default:
        keep(g, hr_add(b, x, pick(g->fine, g->fine_count)), true);
        break;
    }
}

/* A graph of some 30 nodes whose output and about a sixth of whose values are wanted. */
static struct hr_graph *random_graph(uint32_t seed)
{
    struct garden g = { 0 };
    struct hr_graph *graph = NULL;
    random_state = seed * 2654435761u + 1;
    must_be_ok(hr_builder_start(&g.b));
    const hr_value x = hr_input(&g.b, 1, 3, 4, 4);
    hr_layer(&g.b, "fine");
    keep(&g, hr_conv_bn(&g.b, x, 3, 1, 2), true);
    hr_layer(&g.b, "coarse");
    keep(&g, hr_conv_bn(&g.b, x, 3, 2, 2), false);
    for (int i = 0; i < 25; i++)
        grow(&g);
    must_be_ok(hr_builder_finish(&g.b, pick(g.fine, g.fine_count), &graph));
    return graph;
}

static void same_wanted_values(const struct hr_graph *a, const struct scalar_graph *run_a,
                               const struct hr_graph *b, const struct scalar_graph *run_b)
{
    assert_memory_equal(run_a->values[a->output], run_b->values[b->output],
                        run_a->counts[a->output] * sizeof(float));
    for (size_t v = 0; v < a->value_count; v++)
        if (a->values[v].feature)
            compare(a, run_a, b, run_b, a->values[v].feature, 0.0);
}

static void random_graphs_keep_their_bits(void **state)
{
    (void)state;
    int sums = 0, residuals = 0;
    for (uint32_t seed = 0; seed < 400; seed++) {
        struct hr_graph *plain = random_graph(seed), *fused = random_graph(seed);
        struct hr_store *weights = naive_weights(plain);
        struct scalar_graph run[2];
        float x[3 * 4 * 4];
        hr_synthetic_fill(x, HR_COUNT(x), "garden");
        must_be_ok(hr_rewrite_fold_batch_norm(plain));
        must_be_ok(hr_rewrite_fold_batch_norm(fused));
        must_be_ok(hr_rewrite_fuse_sums(fused));
        must_be_ok(hr_graph_check(fused));
        must_be_ok(hr_rewrite_fuse_epilogues(fused));
        must_be_ok(hr_rewrite_drop_dead(fused));
        must_be_ok(hr_graph_check(fused));
        scalar_graph_run(&run[0], plain, weights, x);
        scalar_graph_run(&run[1], fused, weights, x);
        same_wanted_values(plain, &run[0], fused, &run[1]);
        assert_true(fused->node_count <= plain->node_count);
        assert_int_equal(count_op(fused, HR_OP_ADD), 0);
        sums += count_op(fused, HR_OP_SUM);
        for (size_t i = 0; i < fused->node_count; i++)
            residuals += fused->nodes[i].attr.residual;
        scalar_graph_fini(&run[0]);
        scalar_graph_fini(&run[1]);
        hr_graph_destroy(plain);
        hr_graph_destroy(fused);
        hr_store_destroy(weights);
    }
    assert_true(sums > 400 && residuals > 100); /* the graphs are not too easy */
}

/* Twelve terms: more than one SUM holds. */
static void long_chains_become_several_sums(void **state)
{
    (void)state;
    struct hr_builder b;
    struct hr_graph *graph[2];
    struct scalar_graph run[2];
    float x[3 * 4 * 4];
    hr_synthetic_fill(x, HR_COUNT(x), "chain");
    for (int g = 0; g < 2; g++) {
        must_be_ok(hr_builder_start(&b));
        const hr_value input = hr_input(&b, 1, 3, 4, 4);
        hr_layer(&b, "chain");
        hr_value sum = hr_relu(&b, input);
        for (int i = 1; i < 12; i++)
            sum = hr_add(&b, sum, i % 2 ? input : hr_sigmoid(&b, input));
        must_be_ok(hr_builder_finish(&b, sum, &graph[g]));
    }
    must_be_ok(hr_rewrite_all(graph[1], NULL, 0));
    assert_int_equal(count_op(graph[1], HR_OP_SUM), 3);
    for (int g = 0; g < 2; g++)
        scalar_graph_run(&run[g], graph[g], NULL, x);
    same_wanted_values(graph[0], &run[0], graph[1], &run[1]);
    for (int g = 0; g < 2; g++) {
        scalar_graph_fini(&run[g]);
        hr_graph_destroy(graph[g]);
    }
}

/* ---- Wanted features, unknown features, memory ---- */

/* A convolution whose result before its norm is wanted keeps its norm apart. */
static void a_wanted_value_is_not_fused_away(void **state)
{
    (void)state;
    struct hr_graph *graph = network("hrnet_w18_small", HR_FUSE_PADDLE, 32, 32);
    graph->values[graph->nodes[0].out].feature = "raw";
    graph->values[graph->nodes[1].out].feature = "normed";
    must_be_ok(hr_rewrite_all(graph, (const char *const[]){ "raw", "normed" }, 2));
    assert_int_equal(graph->nodes[0].op, HR_OP_CONV);
    assert_int_equal(graph->nodes[0].out, hr_graph_feature(graph, "raw"));
    assert_int_equal(graph->nodes[1].op, HR_OP_BATCH_NORM);
    assert_int_equal(graph->nodes[1].out, hr_graph_feature(graph, "normed"));
    assert_int_equal(graph->nodes[2].op, HR_OP_RELU);
    assert_int_equal(count_op(graph, HR_OP_BATCH_NORM), 1);
    hr_graph_destroy(graph);
}

static void dead_nodes_go_with_their_parameters(void **state)
{
    (void)state;
    struct hr_graph *graph = network("hrnet_w18_small", HR_FUSE_PADDLE, 32, 32);
    graph->output = hr_graph_feature(graph, "stem");
    for (size_t v = 0; v < graph->value_count; v++)
        graph->values[v].feature = NULL;
    must_be_ok(hr_rewrite_drop_dead(graph));
    must_be_ok(hr_graph_check(graph));
    assert_int_equal(graph->node_count, 6);
    assert_int_equal(graph->value_count, 7);
    assert_int_equal(graph->param_count, 10);
    assert_string_equal(graph->params[9].name, "conv_layer1_2.bn._variance");
    hr_graph_destroy(graph);
}

static void an_unknown_feature_is_refused(void **state)
{
    (void)state;
    struct hr_graph *graph = network("hrnet_w18_small", HR_FUSE_PADDLE, 32, 32);
    const size_t nodes = graph->node_count;
    const char *wanted[] = { "pool", "stage5.0" };
    assert_int_equal(hr_rewrite_all(graph, wanted, 2), HR_E_NOT_FOUND);
    assert_non_null(strstr(hr_last_message(), "feature 'stage5.0' is not in this model: did you"));
    assert_int_equal(graph->node_count, nodes);
    wanted[1] = "colour";
    assert_int_equal(hr_rewrite_all(graph, wanted, 2), HR_E_NOT_FOUND);
    assert_non_null(strstr(hr_last_message(), "stem, layer1, stage2.0, stage2.1"));
    hr_graph_destroy(graph);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    enum hr_status status = HR_E_MEMORY;
    int n = 0;
    for (; status == HR_E_MEMORY && n < 100; n++) {
        hostile_memory_limit(SIZE_MAX);
        struct hr_graph *graph = random_graph(7);
        hostile_memory_limit((size_t)n);
        status = hr_rewrite_all(graph, NULL, 0);
        hr_graph_destroy(graph);
    }
    const long held = hostile_memory_held();
    (void)hostile_memory_restore();
    assert_int_equal(status, HR_OK);
    assert_int_equal(held, 0);
    assert_true(n > 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_keep_their_bits),
        cmocka_unit_test(a_network_becomes_convolutions),
        cmocka_unit_test(random_graphs_keep_their_bits),
        cmocka_unit_test(long_chains_become_several_sums),
        cmocka_unit_test(a_wanted_value_is_not_fused_away),
        cmocka_unit_test(dead_nodes_go_with_their_parameters),
        cmocka_unit_test(an_unknown_feature_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
