/* SPDX-License-Identifier: Apache-2.0
 * Finds the items of somebody's array by name.  The array grows at its end and stays its owner's:
 * the index keeps places only. */
#ifndef HR_BASE_INDEX_H
#define HR_BASE_INDEX_H

#include <stddef.h>

#include "base/status.h"

/* The name of item i of `items`. */
typedef const char *hr_index_name(const void *items, size_t i);

/* Zero-initialise with .name set; fini frees. */
struct hr_index {
    hr_index_name *name;
    size_t *slots; /* place + 1, 0 free */
    size_t slot_count, count;
};
void hr_index_fini(struct hr_index *index);
/* Place of the item of that name + 1; 0 if there is none. */
size_t hr_index_find(const struct hr_index *index, const void *items, const char *name);
/* Makes room for one more name: the next add cannot fail. */
enum hr_status hr_index_reserve(struct hr_index *index, const void *items) HR_WARN_UNUSED;
/* The array's new last item, whose name is not in the index yet. */
void hr_index_add(struct hr_index *index, const void *items);

#endif
