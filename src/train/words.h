/* SPDX-License-Identifier: Apache-2.0
 * Settings as one line of text: "step:every=30,gamma=0.1,by-epoch", lists as "at=30/60/90". */
#ifndef HR_TRAIN_WORDS_H
#define HR_TRAIN_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/status.h"

#define HR_MAX_REALS 64

struct hr_reals {
    double values[HR_MAX_REALS];
    size_t count;
};

enum hr_word_kind {
    HR_WORD_REAL,   /* double, finite */
    HR_WORD_SWITCH, /* bool: the key alone, or 0 or 1 */
    HR_WORD_REALS,  /* struct hr_reals, separated by '/' */
};
struct hr_word {
    const char *key;
    enum hr_word_kind kind;
    void *value;
};

/* Position of the name before the ':' (or of all of the text) among names[count]; `what` is for
 * messages, which name the nearest.  HR_E_ARGUMENT. */
enum hr_status hr_words_choose(const char *what, const char *text, const char *const *names,
                               size_t count, size_t *out) HR_WARN_UNUSED;
/* Sets what is behind the ':', if there is one; words[count] says where.  What is not told keeps
 * its value.  HR_E_ARGUMENT naming the key, and the nearest known one. */
enum hr_status hr_words_set(const char *what, const char *text, const struct hr_word *words,
                            size_t count) HR_WARN_UNUSED;

/* The next of the parts of *text that `separator` divides, copied into part[size]; moves *text on,
 * to NULL behind the last.  False where there is none; a part that is too long is cut. */
bool hr_words_next(const char **text, char separator, char *part, size_t size);

#endif
