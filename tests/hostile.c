/* SPDX-License-Identifier: Apache-2.0
 * The generator is xorshift32: small, and the same everywhere. */
#include "hostile.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void hostile_copy(const uint8_t *data, size_t size, hostile_fn *look, void *context)
{
    uint8_t *copy = calloc(1, size);
    if (!copy && size > 0)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    look(context, copy, size);
    free(copy);
}

void hostile_cuts(const uint8_t *data, size_t size, hostile_fn *look, void *context)
{
    for (size_t cut = 0; cut < size; cut++)
        hostile_copy(data, cut, look, context);
}

void hostile_flips(const uint8_t *data, size_t size, hostile_fn *look, void *context)
{
    uint8_t *copy = malloc(size + 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        hostile_copy(copy, size, look, context);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(copy);
}

static uint32_t next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* One change of copy[0..*size), which has room for one byte more. */
static void change(uint8_t *copy, size_t *size, uint32_t *random)
{
    static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '(', ']', '0', '9', '"' };
    const size_t at = next(random) % *size;
    switch (next(random) % 5) {
    case 0:
        copy[at] = odd[next(random) % sizeof odd];
        break;
    case 1:
        copy[at] = (uint8_t)next(random);
        break;
    case 2:
        copy[at] = copy[next(random) % *size];
        break;
    case 3:
        memmove(copy + at, copy + at + 1, *size - at - 1);
        *size -= *size > 1;
        break;
    default:
        memmove(copy + at + 1, copy + at, *size - at);
        ++*size;
    }
}

void hostile_mutations(const uint8_t *data, size_t size, uint32_t seed, unsigned count,
                       hostile_fn *look, void *context)
{
    uint32_t random = seed ? seed : 1;
    uint8_t *copy = malloc(size + 8);
    if (!copy)
        abort();
    for (unsigned i = 0; i < count && size > 0; i++) {
        size_t now = size;
        memcpy(copy, data, size);
        for (uint32_t changes = next(&random) % 7 + 1; changes > 0; changes--)
            change(copy, &now, &random);
        hostile_copy(copy, now, look, context);
    }
    free(copy);
}

static struct {
    size_t left;
    bool armed, failed;
    bool once; /* later allocations succeed again */
    long held;
} memory;

static bool fails_now(void)
{
    const bool now = memory.armed && memory.left == 0;
    memory.left -= memory.armed && memory.left > 0 && memory.left < SIZE_MAX;
    if (now) {
        memory.armed = !memory.once;
        memory.failed = true;
    }
    return now;
}

static void *allocate(void *context, size_t bytes, size_t align)
{
    void *block = NULL;
    (void)context;
    if (fails_now() || posix_memalign(&block, align, bytes) != 0)
        return NULL;
    memory.held++;
    return block;
}

static void release(void *context, void *block)
{
    (void)context;
    memory.held--;
    free(block);
}

static void limit(size_t n, bool once)
{
    memory.left = n;
    memory.armed = true;
    memory.once = once;
    hr_mem_set_allocator(&(struct hr_allocator){ allocate, release, NULL });
}

static void *json_allocate(size_t bytes)
{
    return fails_now() ? NULL : malloc(bytes);
}

/* Jansson's memory may be the library's already. */
static json_malloc_t json_memory(void)
{
    json_malloc_t allocates;
    json_free_t frees;
    json_get_alloc_funcs(&allocates, &frees);
    return allocates;
}

void hostile_memory_fail(unsigned n)
{
    memory.failed = false;
    limit(n, true);
    if (json_memory() == malloc)
        json_set_alloc_funcs(json_allocate, free);
}

void hostile_memory_limit(size_t n)
{
    limit(n, false);
}

long hostile_memory_held(void)
{
    return memory.held;
}

bool hostile_memory_restore(void)
{
    const bool failed = memory.failed;
    memory.armed = memory.failed = false;
    memory.held = 0;
    hr_mem_set_allocator(NULL);
    if (json_memory() == json_allocate)
        json_set_alloc_funcs(malloc, free);
    return failed;
}
