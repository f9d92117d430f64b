/* SPDX-License-Identifier: Apache-2.0
 * Runs any graph, rewritten or not, one node after the other as plain loops in float32, in the
 * order of arithmetic that kernel/conv.h, kernel/eltwise.h and kernel/gemm.h promise.  What a
 * rewrite must not change, and what plans of exact kernels must equal bit for bit (but for
 * SIGMOID, whose last bit is the kernel's own). */
#ifndef HR_TESTS_SCALAR_GRAPH_H
#define HR_TESTS_SCALAR_GRAPH_H

#include "graph/graph.h"
#include "tensor/store.h"

struct scalar_graph {
    float **values; /* by hr_value: dense [n][c][h][w] or [n][c] */
    size_t *counts; /* floats of each */
    size_t value_count;
};

/* x [n][3][h][w].  weights: every parameter, canonical, float32.  Aborts on what a test would not
 * do.  Flush denormals around it, as sessions do. */
void scalar_graph_run(struct scalar_graph *run, const struct hr_graph *graph,
                      const struct hr_store *weights, const float *x);
void scalar_graph_fini(struct scalar_graph *run);

/* Is there a loop for this operator? */
bool scalar_graph_knows(enum hr_op op);

#endif
