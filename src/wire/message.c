/* SPDX-License-Identifier: Apache-2.0
 * Glue to protobuf-c: an allocator that only grows and has a budget, and a stream that it writes
 * to. A field of two bytes can become a structure of a hundred and more, so a hostile file could
 * ask for a hundred times its size. */
#include "wire/message.h"

#include "base/mem.h"

#define SMALL_BLOCK ((size_t)256 << 10)
#define LARGE       ((size_t)32 << 10) /* gets a block of its own */
#define FREE_BUDGET ((size_t)64 << 20) /* any file may take this much, and 4 times its size */

void hr_message_memory_fini(struct hr_message_memory *memory)
{
    for (size_t i = 0; i < memory->count; i++)
        hr_mem_free(memory->blocks[i]);
    hr_mem_free(memory->blocks);
    *memory = (struct hr_message_memory){ 0 };
}

static void *add_block(struct hr_message_memory *m, size_t bytes)
{
    void *block = NULL;
    m->status = hr_mem_grow((void **)&m->blocks, &m->capacity, m->count + 1, sizeof *m->blocks);
    if (m->status == HR_OK && !(block = hr_mem_alloc_raw(bytes, 1)))
        m->status = HR_E_MEMORY;
    if (block)
        m->blocks[m->count++] = block;
    return block;
}

static void *take(void *context, size_t bytes)
{
    struct hr_message_memory *m = context;
    const size_t rounded = bytes > SIZE_MAX - 16 ? SIZE_MAX : hr_round_up(bytes + !bytes, 16);
    if (m->status != HR_OK)
        return NULL;
    if (rounded > m->left) {
        m->status = hr_fail(HR_E_LIMIT, "the file would take too much memory for its size");
        return NULL;
    }
    m->left -= rounded;
    if (rounded >= LARGE) {
        /* Small pieces go on in the block before, which stays the last. */
        uint8_t *block = add_block(m, rounded);
        if (block && m->count > 1) {
            m->blocks[m->count - 1] = m->blocks[m->count - 2];
            m->blocks[m->count - 2] = block;
        } else {
            m->used = m->size = 0;
        }
        return block;
    }
    if (m->size - m->used < rounded) {
        if (!add_block(m, SMALL_BLOCK))
            return NULL;
        m->used = 0;
        m->size = SMALL_BLOCK;
    }
    uint8_t *at = (uint8_t *)m->blocks[m->count - 1] + m->used;
    m->used += rounded;
    return at;
}

void *hr_message_block(struct hr_message_memory *memory, size_t bytes)
{
    return take(memory, bytes);
}

static void give_back(void *context, void *block)
{
    (void)context;
    (void)block; /* all at once, in hr_message_memory_fini */
}

enum hr_status hr_message_read(ProtobufCMessage **out, struct hr_message_memory *memory,
                               const ProtobufCMessageDescriptor *type, const void *data,
                               size_t size, const char *name)
{
    ProtobufCAllocator allocator = { take, give_back, memory };
    if (size > HR_MESSAGE_LIMIT)
        return hr_fail(HR_E_LIMIT,
                       "%s: %zu bytes are more than a protobuf message may have (2 GiB)", name,
                       size);
    memory->left = FREE_BUDGET + 4 * size;
    memory->status = HR_OK;
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, size, data);
    if (message) {
        *out = message;
        return HR_OK;
    }
    if (memory->status == HR_E_LIMIT)
        return hr_fail(HR_E_LIMIT, "%s: its %zu bytes would take more than %zu in memory", name,
                       size, FREE_BUDGET + 4 * size);
    if (memory->status != HR_OK)
        return memory->status;
    return hr_fail(HR_E_FORMAT, "%s: its content is no well-formed %s", name, type->short_name);
}

struct stream {
    ProtobufCBuffer base;
    FILE *file;
};

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
    struct stream *stream = (struct stream *)(void *)buffer;
    (void)!fwrite(data, 1, size, stream->file);
}

enum hr_status hr_message_write(const ProtobufCMessage *message, FILE *file, const char *name)
{
    struct stream stream = { { append }, file };
    const size_t size = protobuf_c_message_get_packed_size(message);
    if (size > HR_MESSAGE_LIMIT)
        return hr_fail(HR_E_LIMIT,
                       "%s: %zu bytes are more than a protobuf message may have (2 GiB)", name,
                       size);
    (void)protobuf_c_message_pack_to_buffer(message, &stream.base);
    return HR_OK;
}
