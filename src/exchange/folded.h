/* SPDX-License-Identifier: Apache-2.0
 * Batch norms multiplied into their convolutions, in the graph and in the weights: what is written
 * for programs that want convolutions with biases. */
#ifndef HR_EXCHANGE_FOLDED_H
#define HR_EXCHANGE_FOLDED_H

#include "graph/graph.h"
#include "tensor/store.h"

/* Folds each norm that only a convolution feeds: the convolution then owns WEIGHT and BIAS [k],
 * named NAME.bias after it unless it had one.  *out: the weights of the changed graph, float32
 * where they were multiplied, else views of `weights`, which outlive it.  After a failure the graph
 * may only be destroyed. */
enum hr_status hr_exchange_fold(struct hr_store **out, struct hr_graph *graph,
                                const struct hr_store *weights) HR_WARN_UNUSED;

#endif
