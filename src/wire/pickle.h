/* SPDX-License-Identifier: Apache-2.0
 * The safe subset of Python's pickle machine (protocols 0 to 5): it builds values and runs nothing.
 * A global is an opaque name that must be on the caller's list; calling one (REDUCE) only records
 * what would have been called.  Memory stays within a small multiple of the input's size. */
#ifndef HR_WIRE_PICKLE_H
#define HR_WIRE_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/status.h"

enum hr_pickle_kind {
    HR_PICKLE_NONE,
    HR_PICKLE_BOOL,
    HR_PICKLE_INT, /* fits int64; a larger one is HR_PICKLE_BYTES, little-endian */
    HR_PICKLE_FLOAT,
    HR_PICKLE_STRING, /* UTF-8 as stored, or the latin-1 bytes of a Python 2 string */
    HR_PICKLE_BYTES,
    HR_PICKLE_LIST, /* sets too */
    HR_PICKLE_TUPLE,
    HR_PICKLE_DICT,       /* items: key, value, key, value ... in order; OrderedDict too */
    HR_PICKLE_GLOBAL,     /* bytes: "module.name" */
    HR_PICKLE_OBJECT,     /* callable(*args), maybe with a state (BUILD) */
    HR_PICKLE_PERSISTENT, /* args: the persistent id */
};

/* A value; lives in the arena.  Values may be shared and lists may contain themselves: whoever
 * walks them bounds the depth. */
struct hr_pickle {
    enum hr_pickle_kind kind;
    int64_t integer; /* INT; 0 or 1 of a BOOL */
    double real;
    struct hr_span bytes;     /* views the input */
    struct hr_pickle **items; /* LIST, TUPLE, DICT */
    size_t count, capacity;
    struct hr_pickle *callable, *args, *state; /* OBJECT, PERSISTENT; state NULL without */
    bool seen;                                 /* of hr_pickle_seen */
};

/* Reads one pickle from the reader, which is left behind its STOP.  allowed[allowed_count]:
 * "module.name" of every global that may occur; another is HR_E_UNSUPPORTED naming it.
 * collections.OrderedDict is always allowed and becomes a DICT. */
enum hr_status hr_pickle_load(struct hr_pickle **out, struct hr_arena *arena,
                              struct hr_reader *reader, const char *const *allowed,
                              size_t allowed_count) HR_WARN_UNUSED;

/* Was this asked of the value before?  A walker that skips what it has seen takes no longer than
 * the pickle has values, however often they are shared. */
bool hr_pickle_seen(const struct hr_pickle *value);

/* Does a string, bytes or global equal this text? */
bool hr_pickle_is(const struct hr_pickle *value, const char *text);
/* An OBJECT made by this callable? */
bool hr_pickle_made_by(const struct hr_pickle *value, const char *callable);
/* The dict's value for a string key, or NULL; the last one wins, as in Python. */
struct hr_pickle *hr_pickle_get(const struct hr_pickle *dict, const char *key);

#endif
