/* SPDX-License-Identifier: Apache-2.0
 * Bounded reading and growing writing of bytes.  A reader never passes its end: each function
 * fails with HR_E_FORMAT naming the position instead. */
#ifndef HR_BASE_BYTES_H
#define HR_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

struct hr_span {
    const uint8_t *data;
    size_t size;
};

struct hr_reader {
    const uint8_t *data; /* borrowed: the caller keeps it alive */
    size_t size, pos;
    const char *name; /* of the file or message, for error texts */
};

struct hr_reader hr_reader_of(const void *data, size_t size, const char *name);
size_t hr_reader_left(const struct hr_reader *r);
enum hr_status hr_read_u8(struct hr_reader *r, uint8_t *out) HR_WARN_UNUSED;
enum hr_status hr_read_u16le(struct hr_reader *r, uint16_t *out) HR_WARN_UNUSED;
enum hr_status hr_read_u32le(struct hr_reader *r, uint32_t *out) HR_WARN_UNUSED;
enum hr_status hr_read_u64le(struct hr_reader *r, uint64_t *out) HR_WARN_UNUSED;
enum hr_status hr_read_u16be(struct hr_reader *r, uint16_t *out) HR_WARN_UNUSED;
enum hr_status hr_read_u32be(struct hr_reader *r, uint32_t *out) HR_WARN_UNUSED;
enum hr_status hr_read_u64be(struct hr_reader *r, uint64_t *out) HR_WARN_UNUSED;
/* A view of the next `size` bytes; valid as long as the reader's data. */
enum hr_status hr_read_span(struct hr_reader *r, size_t size, struct hr_span *out) HR_WARN_UNUSED;
/* A view up to, without, the next newline, which is consumed too. */
enum hr_status hr_read_line(struct hr_reader *r, struct hr_span *out) HR_WARN_UNUSED;
enum hr_status hr_read_skip(struct hr_reader *r, size_t size) HR_WARN_UNUSED;

/* A growing byte string.  Zero-initialise; hr_buffer_fini frees.  The first failure sticks: later
 * writes do nothing, and hr_buffer_status tells. */
struct hr_buffer {
    uint8_t *data;
    size_t size, capacity;
    enum hr_status status;
};
void hr_buffer_put(struct hr_buffer *b, const void *data, size_t size);
void hr_buffer_put_u8(struct hr_buffer *b, uint8_t value);
void hr_buffer_put_u16le(struct hr_buffer *b, uint16_t value);
void hr_buffer_put_u32le(struct hr_buffer *b, uint32_t value);
void hr_buffer_put_u64le(struct hr_buffer *b, uint64_t value);
void hr_buffer_fini(struct hr_buffer *b);

/* Byte order inside a block whose bounds the caller has checked; any alignment. */
uint16_t hr_load_u16le(const uint8_t *p);
uint32_t hr_load_u32le(const uint8_t *p);
uint64_t hr_load_u64le(const uint8_t *p);
uint16_t hr_load_u16be(const uint8_t *p);
uint32_t hr_load_u32be(const uint8_t *p);
uint64_t hr_load_u64be(const uint8_t *p);

#endif
