/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as an ONNX file: what is read is a consistent graph whose weights are all there with
 * the shapes it needs, and is the same graph for its own size. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct hr_graph *graph, const struct hr_store *weights)
{
    const struct hr_shape *x = &graph->values[graph->input].shape;
    struct hr_graph *again = NULL;
    if (hr_graph_check(graph) != HR_OK ||
        hr_graph_resize(&again, graph, x->dim[0], x->dim[2], x->dim[3]) != HR_OK)
        abort();
    if (again->node_count != graph->node_count || hr_graph_check(again) != HR_OK)
        abort();
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct hr_tensor *t = hr_store_find(weights, graph->params[i].name);
        if (!t || !hr_shape_equal(&t->shape, &graph->params[i].shape))
            abort();
    }
    hr_graph_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_graph *graph = NULL;
    struct hr_store *weights = NULL;
    struct hr_foreign is;
    if (hr_onnx_read(&graph, &weights, &is, data, size, "fuzz", NULL) == HR_OK)
        check(graph, weights);
    hr_graph_destroy(graph);
    hr_store_destroy(weights);
    return 0;
}
