/* SPDX-License-Identifier: Apache-2.0
 * The pictures of a run that could not be used: which, why, and how often each was met, as a table:
 * a file for people, and a part of the run's state. */
#ifndef HR_TRAIN_BAD_H
#define HR_TRAIN_BAD_H

#include <stdint.h>

#include "base/text.h"
#include "train/dataset.h"

struct hr_bad {
    size_t picture; /* of its set */
    char *reason;   /* owned */
    uint64_t times;
};
struct hr_bad_list { /* zero-initialised is empty */
    struct hr_bad *items;
    size_t count, capacity;
    bool changed; /* whoever writes it resets this */
};
/* Met once more, or `times` times. */
enum hr_status hr_bad_add(struct hr_bad_list *list, size_t picture, const char *reason,
                          uint64_t times, bool *is_new) HR_WARN_UNUSED;
void hr_bad_fini(struct hr_bad_list *list);

struct hr_bad_set {
    const char *name; /* "training" */
    const struct hr_dataset *set;
    struct hr_bad_list *list;
};
/* picture,reason,times,set as CSV with a head line; nothing where there are none. */
void hr_bad_print(struct hr_text *out, const struct hr_bad_set *sets, size_t count);
/* Fills the lists from such a text.  Rows that are not understood, or name no picture of the sets,
 * are left out. */
enum hr_status hr_bad_parse(const char *text, const struct hr_bad_set *sets,
                            size_t count) HR_WARN_UNUSED;

#endif
