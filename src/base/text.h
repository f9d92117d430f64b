/* SPDX-License-Identifier: Apache-2.0
 * Strings: a builder, strict number parsing, comparison in natural order, nearest-name hints. */
#ifndef HR_BASE_TEXT_H
#define HR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

/* A growing string, always zero-terminated once something was added (before that data is NULL:
 * read it through hr_text_str).  Zero-initialise; the first failure sticks. */
struct hr_text {
    char *data;
    size_t size, capacity; /* size without the zero */
    enum hr_status status;
};
void hr_text_add(struct hr_text *t, const char *text);
void hr_text_add_bytes(struct hr_text *t, const char *text, size_t size);
void hr_text_printf(struct hr_text *t, const char *format, ...) HR_PRINTF(2, 3);
const char *hr_text_str(const struct hr_text *t); /* "" while empty */
/* Moves the string out (free with hr_mem_free), or fails with the sticky status. */
enum hr_status hr_text_take(struct hr_text *t, char **out) HR_WARN_UNUSED;
void hr_text_fini(struct hr_text *t);

/* The whole of text must be the number: no blanks, no trailing bytes, locale-independent.
 * HR_E_ARGUMENT otherwise, with the message set ("'12x' is not a whole number"). */
enum hr_status hr_parse_i64(const char *text, int64_t *out) HR_WARN_UNUSED;
enum hr_status hr_parse_f64(const char *text, double *out) HR_WARN_UNUSED;
/* 4096, 64K, 10M, 2G (powers of 1024). */
enum hr_status hr_parse_bytes(const char *text, uint64_t *out) HR_WARN_UNUSED;

/* Order of names as people count: "img2" before "img10"; total (ties broken by bytes). */
int hr_natural_compare(const char *a, const char *b);

bool hr_text_starts(const char *text, const char *prefix);
bool hr_text_ends(const char *text, const char *suffix);
/* ASCII case-insensitive equality. */
bool hr_text_same(const char *a, const char *b);

/* The candidate closest to `name` by edit distance, or NULL when none is near (distance over a
 * third of the length, rounded up).  `names[count]`. */
const char *hr_nearest_name(const char *name, const char *const *names, size_t count);

/* True if text[0..size) is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool hr_utf8_valid(const char *text, size_t size);

#endif
