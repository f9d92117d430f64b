/* SPDX-License-Identifier: Apache-2.0
 * The constants of an ONNX file: where their bytes lie, in it or beside it. */
#ifndef HR_EXCHANGE_ONNX_TENSOR_H
#define HR_EXCHANGE_ONNX_TENSOR_H

#include "base/os.h"
#include "tensor/tensor.h"
#include "wire/message.h"

struct Hr__OnnxTensor; /* wire/onnx.pb-c.h */

struct hr_onnx_tensors {
    struct hr_message_memory *memory; /* of the message, and of what is made for it */
    const char *folder;               /* of external data; NULL: there may be none */
    struct hr_onnx_external {
        char *path; /* every link followed: a file has one */
        struct hr_map map;
    } * files;
    size_t file_count, file_capacity;
};
void hr_onnx_tensors_fini(struct hr_onnx_tensors *tensors);

/* A view of the bytes that `from` means, checked against its shape and type. */
enum hr_status hr_onnx_tensor(struct hr_tensor *out, struct hr_onnx_tensors *tensors,
                              const struct Hr__OnnxTensor *from) HR_WARN_UNUSED;

#endif
