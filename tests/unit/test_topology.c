/* SPDX-License-Identifier: Apache-2.0
 * Networks are known by what is connected to what: every row of the zoo in both fuse orders, with
 * its names hidden; a graph that differs in one convolution is nobody's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "model/model.h"
#include "model/topology.h"

enum { CLASSES = 3 };

static void must_be_ok(enum hr_status status)
{
    if (status != HR_OK)
        fail_msg("%s", hr_last_message());
}

static struct hr_graph *network(const struct hr_zoo_row *row, enum hr_fuse_order order)
{
    const struct hr_hrnet_options options = { 1, 64, 32, CLASSES, order };
    struct hr_graph *graph;
    must_be_ok(hr_hrnet_build(&graph, row, &options));
    return graph;
}

/* Gives every parameter and layer a name that says nothing, here and in a new store. */
static struct hr_store *hide_names(struct hr_graph *graph, const struct hr_store *weights)
{
    struct hr_store *hidden;
    must_be_ok(hr_store_create(&hidden));
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct hr_tensor *t = hr_store_find(weights, graph->params[i].name);
        char *name = hr_arena_printf(&graph->arena, "p%zu", (i * 7919) % graph->param_count);
        assert_non_null(t);
        assert_non_null(name);
        graph->params[i].name = name;
        must_be_ok(hr_store_add(hidden, name, t));
    }
    for (size_t i = 0; i < graph->node_count; i++)
        graph->nodes[i].name = "layer";
    return hidden;
}

static void expect_same_views(const struct hr_store *got, const struct hr_store *want)
{
    assert_int_equal(hr_store_count(got), hr_store_count(want));
    for (size_t i = 0; i < hr_store_count(want); i++) {
        const struct hr_tensor *t = hr_store_find(got, hr_store_name(want, i));
        if (!t || t->data != hr_store_tensor(want, i)->data)
            fail_msg("%s is not the tensor it was", hr_store_name(want, i));
    }
}

static void every_network_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * hr_zoo_count(); i++) {
        const struct hr_zoo_row *row = hr_zoo_row(i / 2);
        const enum hr_fuse_order order = i % 2 ? HR_FUSE_MICROSOFT : HR_FUSE_PADDLE;
        struct hr_store *weights, *canonical;
        struct hr_topology is;
        if (row->width[0] > 30)
            continue; /* the same shape as the narrow ones, with more numbers */
        struct hr_graph *graph = network(row, order);
        must_be_ok(hr_synthetic_weights(&weights, row, CLASSES));
        struct hr_store *hidden = hide_names(graph, weights);
        must_be_ok(hr_topology_match(&canonical, &is, graph, hidden));
        assert_ptr_equal(is.row, row);
        assert_int_equal(is.fuse_order, order);
        expect_same_views(canonical, weights);
        hr_store_destroy(canonical);
        hr_store_destroy(hidden);
        hr_store_destroy(weights);
        hr_graph_destroy(graph);
    }
}

static void other_networks_are_not(void **state)
{
    const struct hr_zoo_row *row;
    struct hr_store *weights, *canonical;
    struct hr_topology is;
    (void)state;
    must_be_ok(hr_zoo_find(&row, "hrnet_w18_small"));
    struct hr_zoo_row other = *row;
    other.blocks = 3;
    struct hr_graph *graph = network(&other, HR_FUSE_PADDLE);
    must_be_ok(hr_synthetic_weights(&weights, &other, CLASSES));
    assert_int_equal(hr_topology_match(&canonical, &is, graph, weights), HR_E_NOT_FOUND);
    /* As a model it keeps its graph. */
    struct hr_model *model;
    must_be_ok(hr_model_from_graph(&model, graph, weights, "other", NULL));
    assert_null(hr_model_row(model));
    assert_string_equal(hr_model_architecture(model), "graph");
    assert_int_equal(hr_model_classes(model), CLASSES);
    must_be_ok(hr_model_graph(model, 2, 96, 61, &graph));
    assert_int_equal(graph->values[graph->output].shape.dim[0], 2);
    hr_graph_destroy(graph);
    assert_int_equal(hr_model_graph(model, 1, 33, 64, &graph), HR_E_SHAPE);
    assert_int_equal(
        hr_model_save(model, "/nowhere/x", HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE, NULL),
        HR_E_UNSUPPORTED);
    hr_model_unref(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_network_is_found),
                                        cmocka_unit_test(other_networks_are_not) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
