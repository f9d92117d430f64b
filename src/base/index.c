/* SPDX-License-Identifier: Apache-2.0
 * Open addressing over hashes of the names, at most half full.  Names that collide on purpose only
 * cost time, bounded by the file that they come from. */
#include "base/index.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define LEAST_SLOTS 64 /* a power of two, as every number of slots */

void hr_index_fini(struct hr_index *index)
{
    hr_mem_free(index->slots);
    *index = (struct hr_index){ .name = index->name };
}

/* The slot that holds `name`, or the free one where it would go. */
static size_t slot_of(const struct hr_index *index, const void *items, const char *name)
{
    const uint64_t h = hr_hash_text(name);
    size_t slot = (size_t)(h ^ h >> 32) & (index->slot_count - 1);
    while (index->slots[slot] && strcmp(index->name(items, index->slots[slot] - 1), name) != 0)
        slot = (slot + 1) & (index->slot_count - 1);
    return slot;
}

size_t hr_index_find(const struct hr_index *index, const void *items, const char *name)
{
    return index->count ? index->slots[slot_of(index, items, name)] : 0;
}

enum hr_status hr_index_reserve(struct hr_index *index, const void *items)
{
    if ((index->count + 1) * 2 <= index->slot_count)
        return HR_OK;
    const size_t slot_count = index->slot_count ? index->slot_count * 2 : LEAST_SLOTS;
    size_t *slots = hr_mem_alloc(slot_count, sizeof *slots);
    if (!slots)
        return HR_E_MEMORY;
    hr_mem_free(index->slots);
    index->slots = slots;
    index->slot_count = slot_count;
    for (size_t i = 0; i < index->count; i++)
        slots[slot_of(index, items, index->name(items, i))] = i + 1;
    return HR_OK;
}

void hr_index_add(struct hr_index *index, const void *items)
{
    const size_t slot = slot_of(index, items, index->name(items, index->count));
    index->slots[slot] = ++index->count;
}
