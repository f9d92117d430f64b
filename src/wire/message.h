/* SPDX-License-Identifier: Apache-2.0
 * Protobuf messages of foreign files: read into one growing piece of memory that is given back as a
 * whole, within a budget; written to a stream.  The schemas are src/wire/proto. */
#ifndef HR_WIRE_MESSAGE_H
#define HR_WIRE_MESSAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"
#include "base/status.h"

#define HR_MESSAGE_LIMIT ((size_t)2 << 30) /* protobuf's own limit of one message */

/* The memory of one message: blocks of hr_mem_alloc.  Zero-initialise; one thread at a time. */
struct hr_message_memory {
    void **blocks;
    size_t count, capacity;
    size_t used, size; /* bytes of the newest small block */
    size_t left;       /* of the budget */
    enum hr_status status;
};
void hr_message_memory_fini(struct hr_message_memory *memory);
/* More of it, 16-byte aligned, for what belongs to the message; NULL with memory->status set. */
void *hr_message_block(struct hr_message_memory *memory, size_t bytes) HR_WARN_UNUSED;

/* Reads data[size) as the message that `type` describes; it and all it points to live in `memory`.
 * HR_E_FORMAT if it is no such message, HR_E_LIMIT if it is longer than 2 GiB or would take far
 * more memory than it has bytes; `name` is for messages. */
enum hr_status hr_message_read(ProtobufCMessage **out, struct hr_message_memory *memory,
                               const ProtobufCMessageDescriptor *type, const void *data,
                               size_t size, const char *name) HR_WARN_UNUSED;

/* Writes a message piece by piece.  HR_E_LIMIT above 2 GiB; errors of the stream stick to it. */
enum hr_status hr_message_write(const ProtobufCMessage *message, FILE *file,
                                const char *name) HR_WARN_UNUSED;

#endif
