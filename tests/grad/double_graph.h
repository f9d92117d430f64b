/* SPDX-License-Identifier: Apache-2.0
 * A graph computed the obvious way in double, with the batch's own statistics in its norms: what
 * finite differences are taken of. */
#ifndef DOUBLE_GRAPH_H
#define DOUBLE_GRAPH_H

#include "graph/graph.h"

/* x [n,3,h,w]; params[i]: parameter i of the graph; y: its output.  Takes graphs as they are built.
 * Aborts on what a test would not do. */
void double_graph_run(const struct hr_graph *graph, double *const *params, const double *x,
                      double *y);

#endif
