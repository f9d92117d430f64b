/* SPDX-License-Identifier: Apache-2.0
 * Predictions as one page that needs nothing beside it: thumbnails, answers and bars, in light or
 * dark as the reader's system is. */
#ifndef HR_CLI_HTML_H
#define HR_CLI_HTML_H

#include "base/status.h"
#include "cli/pipeline.h"

#define HR_HTML_THUMBNAIL 224 /* px: the side of the box that a thumbnail fits into */

void hr_html_begin(FILE *out, const hrnet_model *model);
/* p: probabilities [classes] and index[top]: the classes to tell, best first; none for an error. */
enum hr_status hr_html_add(FILE *out, const hrnet_model *model, const struct hr_picture_slot *slot,
                           const float *p, const size_t *index, size_t top) HR_WARN_UNUSED;
void hr_html_end(FILE *out);

#endif
