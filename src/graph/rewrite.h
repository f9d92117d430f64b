/* SPDX-License-Identifier: Apache-2.0
 * Named passes that make a graph cheaper to run and change no result beyond rounding (each says
 * which bits move).  A value that is a wanted feature is never fused away. */
#ifndef HR_GRAPH_REWRITE_H
#define HR_GRAPH_REWRITE_H

#include "graph/graph.h"

/* CONV followed only by BATCH_NORM becomes one CONV that owns the norm's parameters. */
enum hr_status hr_rewrite_fold_batch_norm(struct hr_graph *graph) HR_WARN_UNUSED;
/* What a folded norm makes of its convolution, for each of `count` outputs: y = scale * conv +
 * bias. scale = gamma / sqrt(variance + epsilon) in double, rounded to float; bias = beta + (own -
 * mean) * scale in double, with the scale as it was before rounding, rounded to float.  of: the
 * parameters [count] by role, HR_ROLE_BIAS or NULL for the convolution's own.  HR_E_MISMATCH that
 * names the variance when a result is not finite. */
enum hr_status hr_fold_factors(float *scale, float *bias, const float *const of[HR_ROLE_COUNT],
                               float epsilon, size_t count,
                               const char *variance_name) HR_WARN_UNUSED;
/* Chains of ADD whose terms may be UPSAMPLEd, with a RELU at the end, become SUM nodes that keep
 * the order of the additions. */
enum hr_status hr_rewrite_fuse_sums(struct hr_graph *graph) HR_WARN_UNUSED;
/* The residual of a CONV (or SCALE) whose only use is a two-term SUM without upsampling, and a
 * RELU behind a CONV, LINEAR or SCALE, become attributes of that node.  A leading part of a longer
 * SUM (x + conv) is taken too when the order of additions stays the same. */
enum hr_status hr_rewrite_fuse_epilogues(struct hr_graph *graph) HR_WARN_UNUSED;
/* Drops nodes, values and parameters that neither the output nor a wanted feature needs. */
enum hr_status hr_rewrite_drop_dead(struct hr_graph *graph) HR_WARN_UNUSED;

/* Takes the names of all values but the wanted features.  HR_E_NOT_FOUND with the nearest name for
 * an unknown one. */
enum hr_status hr_rewrite_pin_features(struct hr_graph *graph, const char *const *features,
                                       size_t count) HR_WARN_UNUSED;
/* All of them in order.  features[count]: names of values to keep, as above. */
enum hr_status hr_rewrite_all(struct hr_graph *graph, const char *const *features,
                              size_t count) HR_WARN_UNUSED;

#endif
