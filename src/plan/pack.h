/* SPDX-License-Identifier: Apache-2.0
 * Packed weights of a model, made once per (parameter, kernel) and shared by all its plans, so
 * that sessions of different batch or picture size cost no second copy. */
#ifndef HR_PLAN_PACK_H
#define HR_PLAN_PACK_H

#include "base/pool.h"
#include "base/status.h"
#include "graph/graph.h"
#include "kernel/kernel.h"
#include "tensor/store.h"

struct hr_packs; /* thread-safe */

/* `weights` holds every parameter under its canonical name with the canonical shape, all finite;
 * it is borrowed until destroy.  Pages of a mapped store are let go once packed. */
enum hr_status hr_packs_create(struct hr_packs **out,
                               const struct hr_store *weights) HR_WARN_UNUSED;
void hr_packs_destroy(struct hr_packs *packs); /* after the last plan; NULL is allowed */

/* The weights of one node, wanted in the form of one kernel: of a CONV (`conv` set) or a LINEAR. */
struct hr_pack_job {
    const struct hr_node *node;
    const struct hr_conv_kernel *conv;
    const struct hr_conv_shape *conv_shape;
    const struct hr_linear_kernel *linear;
    const struct hr_linear_shape *linear_shape;
    const void **out; /* receives the packed form, valid until the packs are destroyed */
};

/* Packs what is not packed yet, in one block of memory, and points every job's *out at its packed
 * form.  Batch norm is multiplied in (hr_fold_factors).  A packed form depends on the weights, the
 * kernel and the channel counts, never on the plane, so one serves every picture size.  `pool` may
 * be NULL.  HR_E_MISMATCH naming the parameter when it is missing, has another shape, or makes the
 * norm infinite. */
enum hr_status hr_packs_make(struct hr_packs *packs, const struct hr_graph *graph,
                             const struct hr_pack_job *jobs, size_t count,
                             struct hr_pool *pool) HR_WARN_UNUSED;

/* Bytes of all packed weights so far. */
size_t hr_packs_bytes(struct hr_packs *packs);

#endif
