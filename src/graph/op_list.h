/* SPDX-License-Identifier: Apache-2.0
 * One row an operator; every per-operator table in the tree is indexed by HR_OP_<id>.
 * Activations are [n, c, h, w], or [n, c] after pooling. */
#ifndef HR_GRAPH_OP_LIST_H
#define HR_GRAPH_OP_LIST_H

/*    id             name              what it computes                                         */
#define HR_OP_LIST(X)                                                                           \
    X(CONV, "conv")               /* 2-D, zero padding, square kernel, no groups */             \
    X(BATCH_NORM, "batch_norm")   /* (x - mean) / sqrt(variance + epsilon) * gamma + beta */    \
    X(RELU, "relu")               /* max(0, x) */                                               \
    X(ADD, "add")                 /* a + b */                                                   \
    X(UPSAMPLE, "upsample")       /* nearest, src = dst >> log2(factor) */                      \
    X(SUM, "sum")                 /* fused: ((x0 + up(x1)) + up(x2)) ... in order, then relu */ \
    X(GLOBAL_POOL, "global_pool") /* mean over h and w: [n, c] */                               \
    X(LINEAR, "linear")           /* x W^T + b on [n, c] */                                     \
    X(SIGMOID, "sigmoid")         /* 1 / (1 + exp(-x)) */                                       \
    X(SCALE, "scale")             /* x[n,c,h,w] * s[n,c] */

#endif
