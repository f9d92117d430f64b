/* SPDX-License-Identifier: Apache-2.0
 * Class names: "id name" lines, names-only lines, or the built-in ImageNet-1k names. */
#ifndef HR_MODEL_LABELS_H
#define HR_MODEL_LABELS_H

#include <stddef.h>

#include "base/status.h"

struct hr_labels {
    char **names; /* [count], one block with its text, owned; UTF-8 */
    size_t count;
};
/* Parses a label file's bytes (CRLF, byte-order mark and blank last line are fine).  Ids must be
 * 0..count-1 once each; a defect is HR_E_FORMAT naming the line. */
enum hr_status hr_labels_parse(struct hr_labels *out, const void *data, size_t size,
                               const char *name) HR_WARN_UNUSED;
/* A copy of source[count]. */
enum hr_status hr_labels_copy(struct hr_labels *out, const char *const *source,
                              size_t count) HR_WARN_UNUSED;
/* The built-in ImageNet-1k names, PaddleClas's list. */
enum hr_status hr_labels_imagenet(struct hr_labels *out) HR_WARN_UNUSED;
void hr_labels_fini(struct hr_labels *labels);

#endif
