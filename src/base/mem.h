/* SPDX-License-Identifier: Apache-2.0
 * The only caller of malloc.  Every block is 64-byte aligned, zeroed, and readable for
 * HR_PAD_BYTES past its end, so that vector kernels may over-read by less than one vector. */
#ifndef HR_BASE_MEM_H
#define HR_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/status.h"

#define HR_ALIGN_BYTES 64
#define HR_PAD_BYTES   64 /* one AVX-512 vector: smaller breaks over-reading kernels */

/* Process-wide allocator.  Not thread-safe: set it before anything is allocated.  `allocate`
 * returns memory aligned to `align` (a power of two) or NULL.  NULL members restore the default. */
struct hr_allocator {
    void *(*allocate)(void *context, size_t bytes, size_t align);
    void (*release)(void *context, void *block);
    void *context;
};
void hr_mem_set_allocator(const struct hr_allocator *allocator);

/* count * elem_bytes zeroed bytes, or NULL with the message set (overflow counts as out of
 * memory).  count 0 gives a valid block.  Free with hr_mem_free.  Thread-safe. */
void *hr_mem_alloc(size_t count, size_t elem_bytes) HR_WARN_UNUSED;

/* As hr_mem_alloc without the zeroing; for blocks that are written whole. */
void *hr_mem_alloc_raw(size_t count, size_t elem_bytes) HR_WARN_UNUSED;

/* NULL is allowed. */
void hr_mem_free(void *block);

/* Asks the system to back a large block, not yet written, with large pages: fewer faults and
 * address look-ups.  A hint that may do nothing. */
void hr_mem_prefer_huge(void *block, size_t bytes);

/* Makes room for `need` elements in the growing array *block (NULL at first) of *capacity
 * elements; doubles.  On failure nothing changed.
 * Call as hr_mem_grow((void **)&items, &capacity, count + 1, sizeof *items). */
enum hr_status hr_mem_grow(void **block, size_t *capacity, size_t need,
                           size_t elem_bytes) HR_WARN_UNUSED;

/* A zero-terminated copy of text[0..length), or NULL with the message set. */
char *hr_mem_strndup(const char *text, size_t length) HR_WARN_UNUSED;
char *hr_mem_strdup(const char *text) HR_WARN_UNUSED;

/* *out = a * b or a + b; false and *out untouched on overflow. */
bool hr_size_mul(size_t *out, size_t a, size_t b) HR_WARN_UNUSED;
bool hr_size_add(size_t *out, size_t a, size_t b) HR_WARN_UNUSED;

/* Rounds up to a multiple of `to` (> 0); the caller knows that it cannot overflow. */
HR_INLINE size_t hr_round_up(size_t value, size_t to)
{
    return (value + to - 1) / to * to;
}

/* A bump allocator whose blocks all die together.  Zero-initialise; hr_arena_fini frees.
 * One owner, one thread at a time. */
struct hr_arena_block;
struct hr_arena {
    struct hr_arena_block *blocks;
};
/* Zeroed, 16-byte aligned; NULL with the message set. */
void *hr_arena_alloc(struct hr_arena *arena, size_t count, size_t elem_bytes) HR_WARN_UNUSED;
/* A formatted, zero-terminated string in the arena; NULL with the message set. */
char *hr_arena_printf(struct hr_arena *arena, const char *format, ...)
    HR_PRINTF(2, 3) HR_WARN_UNUSED;
void hr_arena_fini(struct hr_arena *arena);

#endif
