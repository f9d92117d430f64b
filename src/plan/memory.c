/* SPDX-License-Identifier: Apache-2.0
 * Lifetimes -> offsets.  Blocks that take over each other's memory form one region; regions are
 * placed greedily, largest first, into the tightest gap.  Knows nothing of steps or operators. */
#include "plan/memory.h"

#include <stdlib.h>

#include "base/mem.h"

/* A block with all that take over its memory. */
struct region {
    size_t bytes, first, last, offset;
    size_t index; /* of its first block: makes the order total */
};

static int larger_first(const void *a, const void *b)
{
    const struct region *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* Regions of all blocks, roots in regions[0..*count); region_of[i] is block i's while indices
 * still are block indices. */
static void join(const struct hr_block *blocks, size_t count, struct region *regions,
                 size_t *region_of)
{
    for (size_t i = 0; i < count; i++) {
        const struct hr_block *b = &blocks[i];
        if (b->onto < 0) {
            regions[i] = (struct region){ b->bytes, b->first, b->last, 0, i };
            region_of[i] = i;
            continue;
        }
        struct region *r = &regions[region_of[b->onto]];
        region_of[i] = region_of[b->onto];
        regions[i] = (struct region){ .index = i };
        if (r->last < b->last)
            r->last = b->last;
        if (r->bytes < b->bytes)
            r->bytes = b->bytes;
    }
}

/* placed[count] is sorted by offset.  The tightest gap between those that live with `r`, or the
 * end of the last of them. */
static size_t find_offset(const struct region *const *placed, size_t count, const struct region *r)
{
    size_t end = 0, best = SIZE_MAX, best_gap = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct region *p = placed[i];
        if (p->last < r->first || r->last < p->first)
            continue;
        const size_t gap = p->offset > end ? p->offset - end : 0;
        if (gap >= r->bytes && gap < best_gap) {
            best = end;
            best_gap = gap;
        }
        if (end < p->offset + p->bytes)
            end = p->offset + p->bytes;
    }
    return best != SIZE_MAX ? best : end;
}

static void insert_by_offset(const struct region **placed, size_t count, const struct region *r)
{
    size_t i = count;
    for (; i > 0 && placed[i - 1]->offset > r->offset; i--)
        placed[i] = placed[i - 1];
    placed[i] = r;
}

enum hr_status hr_memory_place(struct hr_block *blocks, size_t count, size_t *arena_bytes)
{
    enum hr_status status = HR_E_MEMORY;
    struct region *regions = hr_mem_alloc(count, sizeof *regions);
    const struct region **placed = hr_mem_alloc(count, sizeof *placed);
    size_t *region_of = hr_mem_alloc(count, sizeof *region_of);
    size_t total = 0, placed_count = 0;
    if (!regions || !placed || !region_of)
        goto out;

    join(blocks, count, regions, region_of);
    for (size_t i = 0; i < count; i++)
        regions[i].bytes = hr_round_up(regions[i].bytes, HR_ALIGN_BYTES);
    qsort(regions, count, sizeof *regions, larger_first);
    for (size_t i = 0; i < count && regions[i].bytes > 0; i++) {
        struct region *r = &regions[i];
        r->offset = find_offset(placed, placed_count, r);
        if (!hr_size_add(&(size_t){ 0 }, r->offset, r->bytes)) {
            status = hr_fail(HR_E_LIMIT, "the plan needs more memory than can be addressed");
            goto out;
        }
        insert_by_offset(placed, placed_count++, r);
        if (total < r->offset + r->bytes)
            total = r->offset + r->bytes;
    }
    /* Sorting has moved the regions; their index says whose they are. */
    for (size_t i = 0; i < count; i++)
        blocks[regions[i].index].offset = regions[i].offset;
    for (size_t i = 0; i < count; i++)
        blocks[i].offset = blocks[region_of[i]].offset;
    *arena_bytes = total;
    status = HR_OK;
out:
    hr_mem_free(region_of);
    hr_mem_free(placed);
    hr_mem_free(regions);
    return status;
}

bool hr_block_alive(const struct hr_block *block, size_t step)
{
    return block->bytes > 0 && block->first <= step && step <= block->last;
}

size_t hr_memory_alive(const struct hr_block *blocks, size_t count, size_t step)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct hr_block *b = &blocks[i];
        /* At the step of the hand-over the old block is counted, the new one not. */
        if (hr_block_alive(b, step) && !(b->onto >= 0 && b->first == step))
            bytes += hr_round_up(b->bytes, HR_ALIGN_BYTES);
    }
    return bytes;
}
