/* SPDX-License-Identifier: Apache-2.0
 * An evaluation as one page of HTML: nothing else is needed to look at it. */
#ifndef HR_CLI_EVAL_PAGE_H
#define HR_CLI_EVAL_PAGE_H

#include "cli/eval_report.h"

/* The pictures of the mistakes are read again; one that cannot be is told in its place.  Errors of
 * the stream stick to it. */
void hr_eval_page(FILE *out, const struct hr_eval_report *report);

#endif
