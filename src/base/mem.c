/* SPDX-License-Identifier: Apache-2.0
 * Memory: aligned and padded blocks, checked size products, growing arrays, arenas.
 * The one idea: every byte of the library comes through allocate_block(), so that one failing
 * allocator in a test reaches every failure path. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_BLOCK_BYTES ((size_t)16 * 1024) /* larger wastes memory, smaller allocates often */
#define ARENA_ALIGN       ((size_t)16)

static void *default_allocate(void *context, size_t bytes, size_t align)
{
    (void)context;
    void *block = NULL;
    return posix_memalign(&block, align, bytes) == 0 ? block : NULL;
}

static void default_release(void *context, void *block)
{
    (void)context;
    free(block);
}

static struct hr_allocator allocator = { default_allocate, default_release, NULL };

void hr_mem_set_allocator(const struct hr_allocator *chosen)
{
    const bool whole = chosen && chosen->allocate && chosen->release;
    allocator = whole ? *chosen : (struct hr_allocator){ default_allocate, default_release, NULL };
}

bool hr_size_mul(size_t *out, size_t a, size_t b)
{
    if (b != 0 && a > SIZE_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

bool hr_size_add(size_t *out, size_t a, size_t b)
{
    if (a > SIZE_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

/* NULL with the message set.  *total is the whole block with its padding, for zeroing. */
static void *allocate_block(size_t count, size_t elem_bytes, size_t *total)
{
    size_t bytes;
    if (!hr_size_mul(&bytes, count, elem_bytes) || !hr_size_add(&bytes, bytes, HR_PAD_BYTES) ||
        bytes > PTRDIFF_MAX) {
        hr_message_set("out of memory: %zu elements of %zu bytes are too many", count, elem_bytes);
        return NULL;
    }
    void *block = allocator.allocate(allocator.context, bytes, HR_ALIGN_BYTES);
    if (!block) {
        hr_message_set("out of memory: the system did not give %zu bytes", bytes);
        return NULL;
    }
    *total = bytes;
    return block;
}

void *hr_mem_alloc(size_t count, size_t elem_bytes)
{
    size_t total = 0;
    void *block = allocate_block(count, elem_bytes, &total);
    if (block) {
        memset(block, 0, total);
    }
    return block;
}

void *hr_mem_alloc_raw(size_t count, size_t elem_bytes)
{
    size_t total = 0;
    uint8_t *block = allocate_block(count, elem_bytes, &total);
    if (block) {
        /* The padding is zeroed all the same: over-read lanes then hold no stray NaN. */
        memset(block + (total - HR_PAD_BYTES), 0, HR_PAD_BYTES);
    }
    return block;
}

void hr_mem_prefer_huge(void *block, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t page =
        4096; /* the call wants whole small pages, of the smallest size there is */
    const uintptr_t begin = ((uintptr_t)block + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)block + bytes) / page * page;
    if (begin < end && bytes >= (size_t)2 << 20)
        (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)block;
    (void)bytes;
#endif
}

void hr_mem_free(void *block)
{
    if (block) {
        allocator.release(allocator.context, block);
    }
}

enum hr_status hr_mem_grow(void **block, size_t *capacity, size_t need, size_t elem_bytes)
{
    if (need <= *capacity) {
        return HR_OK;
    }
    size_t count = *capacity < 8 ? 8 : *capacity;
    while (count < need) {
        count = count > SIZE_MAX / 2 ? need : count * 2;
    }
    void *grown = hr_mem_alloc(count, elem_bytes);
    if (!grown) {
        return HR_E_MEMORY;
    }
    if (*block) {
        memcpy(grown, *block, *capacity * elem_bytes);
        hr_mem_free(*block);
    }
    *block = grown;
    *capacity = count;
    return HR_OK;
}

char *hr_mem_strndup(const char *text, size_t length)
{
    size_t bytes;
    if (!hr_size_add(&bytes, length, 1)) {
        hr_message_set("out of memory: a string of %zu bytes is too long", length);
        return NULL;
    }
    char *copy = hr_mem_alloc_raw(bytes, 1);
    if (copy) {
        if (length > 0) {
            memcpy(copy, text, length);
        }
        copy[length] = '\0';
    }
    return copy;
}

char *hr_mem_strdup(const char *text)
{
    return hr_mem_strndup(text, strlen(text));
}

/* One block of an arena; the bytes it hands out follow the header. */
struct hr_arena_block {
    struct hr_arena_block *next;
    size_t used, capacity; /* counted from the header's start */
};

void *hr_arena_alloc(struct hr_arena *arena, size_t count, size_t elem_bytes)
{
    size_t bytes;
    if (!hr_size_mul(&bytes, count, elem_bytes) ||
        bytes > PTRDIFF_MAX - ARENA_ALIGN - sizeof(struct hr_arena_block)) {
        hr_message_set("out of memory: %zu elements of %zu bytes are too many", count, elem_bytes);
        return NULL;
    }
    /* An empty request still gets bytes of its own, so that its pointer is valid and distinct. */
    bytes = hr_round_up(bytes ? bytes : 1, ARENA_ALIGN);
    struct hr_arena_block *block = arena->blocks;
    if (!block || block->capacity - block->used < bytes) {
        const size_t header = hr_round_up(sizeof *block, ARENA_ALIGN);
        size_t capacity = header + bytes;
        const bool large = capacity > ARENA_BLOCK_BYTES / 4;
        if (!large) {
            capacity = ARENA_BLOCK_BYTES;
        }
        block = hr_mem_alloc(capacity, 1);
        if (!block) {
            return NULL;
        }
        block->used = header;
        block->capacity = capacity;
        /* A large block is full at once: it goes behind the open one, which keeps its room. */
        struct hr_arena_block **link =
            large && arena->blocks ? &arena->blocks->next : &arena->blocks;
        block->next = *link;
        *link = block;
    }
    void *result = (uint8_t *)block + block->used;
    block->used += bytes;
    return result;
}

char *hr_arena_printf(struct hr_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = NULL;
    if (size < 0) {
        hr_message_set("a text of the program cannot be formatted");
    } else {
        text = hr_arena_alloc(arena, (size_t)size + 1, 1);
    }
    if (text) {
        (void)vsnprintf(text, (size_t)size + 1, format, again);
    }
    va_end(again);
    return text;
}

void hr_arena_fini(struct hr_arena *arena)
{
    while (arena->blocks) {
        struct hr_arena_block *next = arena->blocks->next;
        hr_mem_free(arena->blocks);
        arena->blocks = next;
    }
}
