/* SPDX-License-Identifier: Apache-2.0
 * Small help with jansson: answers, hostile text, typed members. */
#ifndef HR_SERVE_JSON_H
#define HR_SERVE_JSON_H

#include <jansson.h>

#include "serve/call.h"

/* A string even of bytes that are no UTF-8: those become '?'. */
json_t *hr_json_text(const char *text); /* NULL without memory, which is noted */
/* The same of a text that was put together; NULL, and noted, where memory did not suffice for it.
 */
json_t *hr_json_text_of(const struct hr_text *text);
/* Answers with the value, which it takes; NULL means out of memory. */
void hr_json_answer(struct hr_call *call, json_t *value);
/* Parses a whole body, which must be an object; *out is the caller's.  HR_E_FORMAT. */
enum hr_status hr_json_object(json_t **out, const char *text, size_t size) HR_WARN_UNUSED;
/* A member that must be a string if it is there (not NULL or missing: *out stays). */
enum hr_status hr_json_string_member(const json_t *object, const char *key,
                                     const char **out) HR_WARN_UNUSED;

#endif
