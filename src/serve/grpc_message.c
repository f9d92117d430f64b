/* SPDX-License-Identifier: Apache-2.0
 * Glue between protobuf-c and calls. */
#include "serve/grpc_message.h"

#include "base/mem.h"

bool hr_grpc_read_request(struct hr_grpc_call *call, const struct hr_buffer *bytes,
                          const ProtobufCMessageDescriptor *type, struct hr_message_memory *memory,
                          ProtobufCMessage **out)
{
    const enum hr_status status =
        hr_message_read(out, memory, type, bytes->data, bytes->size, "the request");
    if (status != HR_OK)
        hr_grpc_finish(call, status);
    return status == HR_OK;
}

enum hr_status hr_grpc_pack(struct hr_buffer *out, const ProtobufCMessage *message)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    if (size > HR_MESSAGE_LIMIT)
        return hr_fail(HR_E_LIMIT, "an answer of %zu bytes is too long for a message", size);
    struct hr_buffer buffer = { .data = hr_mem_alloc_raw(size, 1), .size = size, .capacity = size };
    if (!buffer.data)
        return HR_E_MEMORY;
    (void)protobuf_c_message_pack(message, buffer.data);
    *out = buffer;
    return HR_OK;
}

void hr_grpc_send_message(struct hr_grpc_call *call, const ProtobufCMessage *message)
{
    struct hr_buffer bytes = { 0 };
    const enum hr_status status = hr_grpc_pack(&bytes, message);
    if (status == HR_OK)
        hr_grpc_send(call, bytes.data, bytes.size);
    else
        hr_grpc_finish(call, status);
    hr_buffer_fini(&bytes);
}

void hr_grpc_answer(struct hr_grpc_call *call, const ProtobufCMessage *message)
{
    hr_grpc_send_message(call, message);
    hr_grpc_finish(call, HR_OK);
}
