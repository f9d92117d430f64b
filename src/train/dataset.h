/* SPDX-License-Identifier: Apache-2.0
 * Which pictures there are and what they show: a folder of class folders, or PaddleClas's lists
 * ("path label" a line, paths below a root; or "path 0,1,0,..." where a picture may show several
 * things). */
#ifndef HR_TRAIN_DATASET_H
#define HR_TRAIN_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/os.h"

struct hr_dataset {
    struct hr_names paths; /* as they are opened */
    int32_t *labels;       /* of each path; of several, the first; -1: none is known */
    size_t *lines;         /* of each path, in its list from 1; 0 for folders */
    uint8_t *several;      /* [paths][class_count] of 0 and 1, or NULL: each shows one thing */
    size_t label_capacity, line_capacity, several_capacity;
    struct hr_names classes; /* names by label; empty for a list */
    int32_t class_count;
    bool takes_unlabelled;
    size_t unlabelled; /* paths of label -1 */
};
void hr_dataset_fini(struct hr_dataset *set); /* zero-initialised is fine */

/* Told of what is wrong with a data set instead of a failure; the message names file and line. */
typedef void hr_dataset_told(void *context, enum hr_status status, const char *message);

/* A folder: each folder in it is a class, in natural order, with all pictures below it.  A file: a
 * list, whose paths are below `root` (NULL: the list's own folder).  HR_E_FORMAT naming file and
 * line, HR_E_NOT_FOUND for missing pictures, naming the first and counting them. */
enum hr_status hr_dataset_open(struct hr_dataset *out, const char *path,
                               const char *root) HR_WARN_UNUSED;

/* The same, but lines, pictures and classes that cannot be used are told and left out. */
enum hr_status hr_dataset_open_told(struct hr_dataset *out, const char *path, const char *root,
                                    hr_dataset_told *told, void *context) HR_WARN_UNUSED;
/* The same for distillation: in a list, pictures may have the label -1. */
enum hr_status hr_dataset_open_unlabelled(struct hr_dataset *out, const char *path,
                                          const char *root) HR_WARN_UNUSED;

/* Gives every class of `set` the label that it has in `like`; HR_E_MISMATCH for one that is not
 * there.  Lists keep their numbers. */
enum hr_status hr_dataset_relabel(struct hr_dataset *set,
                                  const struct hr_dataset *like) HR_WARN_UNUSED;

/* What picture `index` shows: targets [class_count] of 0 and 1. */
void hr_dataset_targets(const struct hr_dataset *set, size_t index, float *targets);

/* Moves `share` of each class (rounded; at least one of two, never all) from `set` into the empty
 * `out`, as the seed draws them.  Several labels a picture: of all pictures.  HR_E_ARGUMENT where
 * nothing would move. */
enum hr_status hr_dataset_split(struct hr_dataset *set, double share, uint64_t seed,
                                struct hr_dataset *out) HR_WARN_UNUSED;

/* Fills order[count of paths] so that every class has as many places (or one more): each goes
 * through its pictures in an order of its own again and again.  One label a picture. */
enum hr_status hr_dataset_balance(size_t *order, const struct hr_dataset *set, uint64_t seed,
                                  uint64_t epoch) HR_WARN_UNUSED;

/* Fills order[count] with a permutation that follows from seed and epoch. */
void hr_dataset_shuffle(size_t *order, size_t count, uint64_t seed, uint64_t epoch);

#endif
