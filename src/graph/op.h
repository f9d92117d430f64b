/* SPDX-License-Identifier: Apache-2.0
 * What an operator is: its attributes, the shape of its result and the multiply-adds it costs. */
#ifndef HR_GRAPH_OP_H
#define HR_GRAPH_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "graph/op_list.h"
#include "tensor/tensor.h"

enum hr_op {
#define HR_OP_ENUM(id, name) HR_OP_##id,
    HR_OP_LIST(HR_OP_ENUM)
#undef HR_OP_ENUM
        HR_OP_COUNT
};
const char *hr_op_name(enum hr_op op);

/* No tensor of a network may have more: 2^40 floats are 4 TiB, and every size product of a plan
 * stays far from overflow. */
#define HR_MAX_ELEMENTS ((int64_t)1 << 40)

#define HR_MAX_INPUTS 5 /* a sum of four branches, or a convolution and its residual */

/* Attributes of all operators; those that an operator does not use are zero. */
struct hr_attr {
    int32_t kernel, stride, pad;  /* CONV: square */
    int32_t channels;             /* CONV, LINEAR: outputs */
    int32_t factor;               /* UPSAMPLE: a power of two */
    uint8_t shift[HR_MAX_INPUTS]; /* SUM: log2 of each input's upsampling */
    float epsilon;                /* BATCH_NORM, and CONV with a folded one */
    bool relu;                    /* CONV, SUM, LINEAR, SCALE: fused at the end */
    bool residual;                /* CONV: y = in[1] + conv(in[0]), then relu;
                                     SCALE: y = in[2] + in[0] * in[1], then relu */
};

/* Role of a node's parameters.  A CONV owns WEIGHT [k,c,r,s], maybe BIAS [k], and, once batch norm
 * is folded, the four of the norm: the plan multiplies them in when it packs. */
enum hr_role {
    HR_ROLE_WEIGHT,
    HR_ROLE_BIAS,
    HR_ROLE_GAMMA,
    HR_ROLE_BETA,
    HR_ROLE_MEAN,
    HR_ROLE_VARIANCE,
    HR_ROLE_COUNT
};
const char *hr_role_name(enum hr_role role); /* "weight" */

/* Shape of the result for count inputs of shapes in[].  HR_E_SHAPE naming the operator, the shapes
 * and what was expected; HR_E_LIMIT when the result would have too many elements. */
enum hr_status hr_op_infer(struct hr_shape *out, enum hr_op op, const struct hr_attr *attr,
                           const struct hr_shape *const *in, int count) HR_WARN_UNUSED;

/* Shape of the parameter that the operator keeps in `role` when its first input is `in`; false if
 * it keeps none there. */
bool hr_op_param_shape(struct hr_shape *out, enum hr_op op, const struct hr_attr *attr,
                       const struct hr_shape *in, enum hr_role role) HR_WARN_UNUSED;

/* Multiply-adds of CONV and LINEAR, 0 for the others (the census of paddleclas.md 1.5). */
uint64_t hr_op_multiply_adds(enum hr_op op, const struct hr_attr *attr,
                             const struct hr_shape *const *in, int count,
                             const struct hr_shape *out);

#endif
