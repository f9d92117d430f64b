/* SPDX-License-Identifier: Apache-2.0
 * jansson where memory may fail.  In the middle of a text jansson (2.14) goes on after a failed
 * allocation with what it has: it reads other values, or writes behind a string's end.  And what is
 * built with it lacks members without a word.  So parsing never sees a failure: it is left at once,
 * and its blocks are freed; and that one failed while building is remembered. */
#ifndef HR_SERVE_JSON_MEMORY_H
#define HR_SERVE_JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/status.h"

/* For the whole process, before anything is read or built.  Without it jansson keeps its own
 * memory, and the rest of this header is as if none failed. */
void hr_json_memory_install(void);

/* Reads a text; *out is the caller's.  HR_E_FORMAT; HR_E_MEMORY; HR_E_LIMIT where values would take
 * far more memory than the text. */
enum hr_status hr_json_parse(json_t **out, const char *text, size_t size) HR_WARN_UNUSED;

/* Did an allocation of jansson fail on this thread since hr_json_memory_forget()? */
bool hr_json_memory_failed(void);
void hr_json_memory_note(void); /* another one, on the way to a value, did */
void hr_json_memory_forget(void);

/* The value as a compact text, or NULL; hr_json_release() frees it. */
char *hr_json_dump(const json_t *value);
void hr_json_release(char *text);

#endif
