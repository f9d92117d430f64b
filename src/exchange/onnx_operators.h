/* SPDX-License-Identifier: Apache-2.0
 * The operators of ONNX that are read: a row each. */
#ifndef HR_EXCHANGE_ONNX_OPERATORS_H
#define HR_EXCHANGE_ONNX_OPERATORS_H

#include "exchange/import.h"
#include "exchange/onnx_tensor.h"

struct Hr__OnnxGraph; /* wire/onnx.pb-c.h */
struct Hr__OnnxNode;

struct hr_onnx_reader {
    struct hr_import *im;
    const struct Hr__OnnxGraph *graph;
    struct hr_onnx_tensors tensors;
    int64_t opset;
};

/* Adds what the node means to the imported graph.  HR_E_UNSUPPORTED names the operator and what is
 * supported; failures do not name the node. */
enum hr_status hr_onnx_read_node(struct hr_onnx_reader *r,
                                 const struct Hr__OnnxNode *n) HR_WARN_UNUSED;

#endif
