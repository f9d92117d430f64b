/* SPDX-License-Identifier: Apache-2.0
 * Which network of the zoo a graph is, whatever its nodes and parameters are called: by what is
 * connected to what. */
#ifndef HR_MODEL_TOPOLOGY_H
#define HR_MODEL_TOPOLOGY_H

#include "graph/graph.h"
#include "model/hrnet.h"
#include "tensor/store.h"

struct hr_topology {
    const struct hr_zoo_row *row;
    enum hr_fuse_order fuse_order; /* in which its fuse layers add */
};

/* Finds the network and its weights under canonical names and shapes, in a new store: views of
 * `weights` (which holds every parameter of `graph` as floats and must outlive it) or owned.  Norms
 * that were multiplied into their convolutions come back as norms that change no bit; a bias
 * before a norm goes into its mean.  The graph is as it was read: not rewritten.
 * HR_E_NOT_FOUND when it is no network of the zoo. */
enum hr_status hr_topology_match(struct hr_store **out, struct hr_topology *is,
                                 const struct hr_graph *graph,
                                 const struct hr_store *weights) HR_WARN_UNUSED;

#endif
