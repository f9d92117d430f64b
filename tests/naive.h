/* SPDX-License-Identifier: Apache-2.0
 * A graph computed the obvious way, node by node, in double precision over dense NCHW: what plans
 * are compared with.  Takes graphs as they are built; knows BATCH_NORM and no fused attributes. */
#ifndef HR_TESTS_NAIVE_H
#define HR_TESTS_NAIVE_H

#include "graph/graph.h"
#include "tensor/store.h"

/* Every value of the graph for input x: values[i] holds value i, dense.  Aborts on what a test
 * would not do; free with naive_free. */
double **naive_run(const struct hr_graph *graph, const struct hr_store *weights, const float *x);
void naive_free(const struct hr_graph *graph, double **values);

/* Weights for every parameter of a graph: deterministic, positive variances. */
struct hr_store *naive_weights(const struct hr_graph *graph);

#endif
