/* SPDX-License-Identifier: Apache-2.0
 * ONNX files: how a model is written. */
#ifndef HR_EXCHANGE_ONNX_WRITE_H
#define HR_EXCHANGE_ONNX_WRITE_H

#include <stdio.h>

#include "exchange/import.h"
#include "model/model.h"

#define HR_ONNX_OPSET_LEAST 11 /* the first with a Resize that says how it rounds */
#define HR_ONNX_OPSET_MOST  21

struct hr_onnx_options {
    int opset;             /* 11 to 21 */
    int64_t batch;         /* 0: free */
    int64_t height, width; /* px of the input; 0: free, both or none */
    enum hr_result result;
    bool fold;       /* multiply batch norms into their convolutions */
    bool preprocess; /* input uint8 [n,h,w,3], normalised by the graph */
    bool half;       /* weights of convolutions and linear layers as float16 */
};

/* Writes the model's graph to a stream, whose errors stick to it.  Names of nodes and weights are
 * our layers' and parameters'; metadata are those of hr_model_metadata(). */
enum hr_status hr_onnx_write(const struct hr_model *model, const struct hr_onnx_options *options,
                             FILE *file, const char *name) HR_WARN_UNUSED;
/* Has the operator a row?  All have that networks are built of; rewrites make others. */
bool hr_onnx_can_write(enum hr_op op);

#endif
