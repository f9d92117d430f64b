/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a Paddle program: the first four say how many of the rest are the program (JSON if
 * it begins with a brace), the others are its parameters.  What is read is a consistent graph whose
 * weights are all there. */
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "exchange/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct hr_graph *graph, const struct hr_store *weights)
{
    if (hr_graph_check(graph) != HR_OK)
        abort();
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct hr_tensor *t = hr_store_find(weights, graph->params[i].name);
        if (!t || !hr_shape_equal(&t->shape, &graph->params[i].shape))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hr_program program = { 0 };
    struct hr_graph *graph = NULL;
    struct hr_store *weights = NULL;
    struct hr_foreign is;
    if (size < 5)
        return 0;
    const size_t rest = size - 4, wanted = hr_load_u32le(data);
    const size_t length = wanted < rest ? wanted : rest;
    enum hr_status status =
        (data[4] == '{' ? hr_pir_read : hr_pdmodel_read)(&program, data + 4, length, "fuzz");
    if (status == HR_OK)
        status = hr_program_graph(&graph, &weights, &is, &program, data + 4 + length, rest - length,
                                  "params");
    if (status == HR_OK)
        check(graph, weights);
    hr_graph_destroy(graph);
    hr_store_destroy(weights);
    hr_program_fini(&program);
    return 0;
}
