/* SPDX-License-Identifier: Apache-2.0
 * Protobuf messages in and out of calls. */
#ifndef HR_SERVE_GRPC_MESSAGE_H
#define HR_SERVE_GRPC_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "serve/grpc.h"
#include "wire/message.h"

/* Reads a request, into memory that the caller frees with hr_message_memory_fini(); false: the call
 * is finished with the failure. */
bool hr_grpc_read_request(struct hr_grpc_call *call, const struct hr_buffer *bytes,
                          const ProtobufCMessageDescriptor *type, struct hr_message_memory *memory,
                          ProtobufCMessage **out) HR_WARN_UNUSED;

/* The bytes of a message, for the caller to free with hr_buffer_fini(). */
enum hr_status hr_grpc_pack(struct hr_buffer *out, const ProtobufCMessage *message) HR_WARN_UNUSED;

/* Sends a message; when that fails the call is finished with the failure. */
void hr_grpc_send_message(struct hr_grpc_call *call, const ProtobufCMessage *message);
/* The same, and finishes the call. */
void hr_grpc_answer(struct hr_grpc_call *call, const ProtobufCMessage *message);

#endif
