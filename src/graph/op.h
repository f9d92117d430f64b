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

/* Shape of the result for inputs x[count] of shapes in[].  HR_E_SHAPE naming the operator, the
 * shapes and what was expected. */
enum hr_status hr_op_infer(struct hr_shape *out, enum hr_op op, const struct hr_attr *attr,
                           const struct hr_shape *const *in, int count) HR_WARN_UNUSED;

/* Multiply-adds of CONV and LINEAR, 0 for the others (the census of paddleclas.md 1.5). */
uint64_t hr_op_multiply_adds(enum hr_op op, const struct hr_attr *attr,
                             const struct hr_shape *const *in, int count,
                             const struct hr_shape *out);

#endif
