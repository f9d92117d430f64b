/* SPDX-License-Identifier: Apache-2.0
 * Settings as a tree of values, each with the place that it comes from.  Text of other people's
 * files: depth and size are bounded where the tree is made. */
#ifndef HR_CLI_VALUE_H
#define HR_CLI_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"

#define HR_VALUE_DEPTH 32   /* of lists and maps; deeper is refused, recursion stays small */
#define HR_VALUE_KEYS  1024 /* of a map, and items of a list that is searched */

enum hr_value_kind {
    HR_VALUE_NULL,
    HR_VALUE_BOOL,
    HR_VALUE_INT,
    HR_VALUE_REAL,
    HR_VALUE_TEXT,
    HR_VALUE_LIST,
    HR_VALUE_MAP,
};

/* Lives, with all it points to, in an arena. */
struct hr_value {
    enum hr_value_kind kind;
    int64_t integer;    /* INT; 0 or 1 of a BOOL */
    double real;        /* REAL and INT */
    const char *text;   /* of scalars: as it was written */
    const char *origin; /* a file's name, or "-o KEY=VALUE" */
    int line;           /* in the file, from 1; 0: the origin is no file */
    bool repeated;      /* its key stood in the map before; the last one holds */
    struct hr_value **items;
    const char **keys; /* of a MAP's items */
    size_t count, capacity;
};

/* An empty value of that kind; NULL with the message set. */
struct hr_value *hr_value_make(struct hr_arena *arena, enum hr_value_kind kind, const char *origin,
                               int line) HR_WARN_UNUSED;
/* Appends to a list (key NULL) or sets a key of a map.  HR_E_LIMIT beyond HR_VALUE_KEYS keys. */
enum hr_status hr_value_add(struct hr_value *to, struct hr_arena *arena, const char *key,
                            struct hr_value *item) HR_WARN_UNUSED;
/* The value of a key, or NULL, also where `map` is NULL or no map. */
struct hr_value *hr_value_get(const struct hr_value *map, const char *key);
/* Gives a scalar what YAML 1.1 sees in plain text, and PaddleClas in any: null, a bool, a number,
 * a Python literal; else it stays text. */
enum hr_status hr_value_resolve(struct hr_value *value, struct hr_arena *arena, bool plain,
                                int depth) HR_WARN_UNUSED;
/* As text that reads back as the same value: `null`, `[1, 2]`, `{a: 1}`, 'a: b'. */
void hr_value_print(struct hr_text *out, const struct hr_value *value);

#endif
