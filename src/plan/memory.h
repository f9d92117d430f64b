/* SPDX-License-Identifier: Apache-2.0
 * Where the values of a plan live: lifetimes in steps -> offsets into one arena. */
#ifndef HR_PLAN_MEMORY_H
#define HR_PLAN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* One value of a plan.  Alive from the step that writes it to the last that reads it, both
 * included, so what a step reads and what it writes never overlap, but for `onto`. */
struct hr_block {
    const char *name;   /* of the layer that writes it; borrowed */
    size_t bytes;       /* 0: lives outside the arena */
    size_t image_bytes; /* from image to image; 0: scratch, or images take the place in turn */
    size_t first, last;
    int32_t onto;  /* an earlier block, dying at `first`, whose memory it takes over, or -1 */
    size_t offset; /* result: a multiple of 64 */
};

/* Gives every block its offset: largest first, each into the smallest gap that holds it among the
 * blocks that live at the same time (as XNNPACK's planner does).  Blocks must be in order of
 * `first` as far as `onto` goes: onto < own index.  *arena_bytes is a multiple of 64. */
enum hr_status hr_memory_place(struct hr_block *blocks, size_t count,
                               size_t *arena_bytes) HR_WARN_UNUSED;

/* Is the block's own value (not what it takes over) alive at this step? */
bool hr_block_alive(const struct hr_block *block, size_t step);

/* Bytes alive at a step; memory that one value takes over from another counts once. */
size_t hr_memory_alive(const struct hr_block *blocks, size_t count, size_t step);

#endif
