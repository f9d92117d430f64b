/* SPDX-License-Identifier: Apache-2.0
 * Bytes: a reader that never passes its end and a buffer that grows.
 * The one idea: every multi-byte read goes through take(), the only place that compares a size
 * with what is left. */
#include "base/bytes.h"

#include <string.h>

#include "base/mem.h"

uint16_t hr_load_u16le(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t hr_load_u32le(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t hr_load_u64le(const uint8_t *p)
{
    return hr_load_u32le(p) | (uint64_t)hr_load_u32le(p + 4) << 32;
}

uint16_t hr_load_u16be(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t hr_load_u32be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

uint64_t hr_load_u64be(const uint8_t *p)
{
    return (uint64_t)hr_load_u32be(p) << 32 | hr_load_u32be(p + 4);
}

struct hr_reader hr_reader_of(const void *data, size_t size, const char *name)
{
    return (struct hr_reader){ .data = data, .size = size, .name = name };
}

size_t hr_reader_left(const struct hr_reader *r)
{
    return r->size - r->pos;
}

static enum hr_status take(struct hr_reader *r, size_t size, const uint8_t **out)
{
    if (size > hr_reader_left(r)) {
        return hr_fail(HR_E_FORMAT,
                       "%s ends too early: %zu bytes are wanted at position %zu, but %zu are left; "
                       "the file is damaged or not complete",
                       r->name ? r->name : "the data", size, r->pos, hr_reader_left(r));
    }
    *out = r->data + r->pos;
    r->pos += size;
    return HR_OK;
}

enum hr_status hr_read_u8(struct hr_reader *r, uint8_t *out)
{
    const uint8_t *p = NULL;
    HR_TRY(take(r, 1, &p));
    *out = *p;
    return HR_OK;
}

enum hr_status hr_read_u16le(struct hr_reader *r, uint16_t *out)
{
    const uint8_t *p = NULL;
    HR_TRY(take(r, 2, &p));
    *out = hr_load_u16le(p);
    return HR_OK;
}

enum hr_status hr_read_u32le(struct hr_reader *r, uint32_t *out)
{
    const uint8_t *p = NULL;
    HR_TRY(take(r, 4, &p));
    *out = hr_load_u32le(p);
    return HR_OK;
}

enum hr_status hr_read_u64le(struct hr_reader *r, uint64_t *out)
{
    const uint8_t *p = NULL;
    HR_TRY(take(r, 8, &p));
    *out = hr_load_u64le(p);
    return HR_OK;
}

enum hr_status hr_read_u16be(struct hr_reader *r, uint16_t *out)
{
    const uint8_t *p = NULL;
    HR_TRY(take(r, 2, &p));
    *out = hr_load_u16be(p);
    return HR_OK;
}

enum hr_status hr_read_u32be(struct hr_reader *r, uint32_t *out)
{
    const uint8_t *p = NULL;
    HR_TRY(take(r, 4, &p));
    *out = hr_load_u32be(p);
    return HR_OK;
}

enum hr_status hr_read_u64be(struct hr_reader *r, uint64_t *out)
{
    const uint8_t *p = NULL;
    HR_TRY(take(r, 8, &p));
    *out = hr_load_u64be(p);
    return HR_OK;
}

enum hr_status hr_read_span(struct hr_reader *r, size_t size, struct hr_span *out)
{
    const uint8_t *p = NULL;
    HR_TRY(take(r, size, &p));
    *out = (struct hr_span){ p, size };
    return HR_OK;
}

enum hr_status hr_read_line(struct hr_reader *r, struct hr_span *out)
{
    const size_t left = hr_reader_left(r);
    const uint8_t *start = r->data + r->pos;
    const uint8_t *end = left ? memchr(start, '\n', left) : NULL;
    if (!end) {
        return hr_fail(HR_E_FORMAT, "%s ends too early: the line at position %zu has no end",
                       r->name ? r->name : "the data", r->pos);
    }
    *out = (struct hr_span){ start, (size_t)(end - start) };
    r->pos += out->size + 1;
    return HR_OK;
}

enum hr_status hr_read_skip(struct hr_reader *r, size_t size)
{
    const uint8_t *p = NULL;
    return take(r, size, &p);
}

void hr_buffer_put(struct hr_buffer *b, const void *data, size_t size)
{
    if (b->status != HR_OK || size == 0) {
        return;
    }
    size_t need;
    if (!hr_size_add(&need, b->size, size)) {
        b->status =
            hr_fail(HR_E_MEMORY, "out of memory: a message of more than %zu bytes", b->size);
        return;
    }
    void *block = b->data;
    b->status = hr_mem_grow(&block, &b->capacity, need, 1);
    b->data = block;
    if (b->status == HR_OK) {
        memcpy(b->data + b->size, data, size);
        b->size = need;
    }
}

void hr_buffer_put_u8(struct hr_buffer *b, uint8_t value)
{
    hr_buffer_put(b, &value, 1);
}

void hr_buffer_put_u16le(struct hr_buffer *b, uint16_t value)
{
    const uint8_t bytes[] = { (uint8_t)value, (uint8_t)(value >> 8) };
    hr_buffer_put(b, bytes, sizeof bytes);
}

void hr_buffer_put_u32le(struct hr_buffer *b, uint32_t value)
{
    const uint8_t bytes[] = { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24) };
    hr_buffer_put(b, bytes, sizeof bytes);
}

void hr_buffer_put_u64le(struct hr_buffer *b, uint64_t value)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    hr_buffer_put(b, bytes, sizeof bytes);
}

void hr_buffer_fini(struct hr_buffer *b)
{
    hr_mem_free(b->data);
    *b = (struct hr_buffer){ 0 };
}
