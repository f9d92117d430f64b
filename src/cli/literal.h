/* SPDX-License-Identifier: Apache-2.0
 * Python's literals as data: None, True, numbers, strings, lists, tuples and dicts.  Nothing is
 * ever evaluated. */
#ifndef HR_CLI_LITERAL_H
#define HR_CLI_LITERAL_H

#include "cli/value.h"

/* Makes `value`, which has its text, what the whole text is as a literal, or TEXT.  depth: of lists
 * and maps around it.  HR_E_LIMIT for nesting beyond HR_VALUE_DEPTH, naming origin and line. */
enum hr_status hr_literal_parse(struct hr_value *value, struct hr_arena *arena,
                                int depth) HR_WARN_UNUSED;

/* The value of "1.0/255.0" and its like: numbers, + - * / and parentheses.  False if it is none. */
bool hr_literal_arithmetic(const char *text, double *out);

#endif
