/* SPDX-License-Identifier: Apache-2.0
 * multipart/form-data (RFC 7578, RFC 2046), of a whole body in memory. */
#ifndef HR_SERVE_MULTIPART_H
#define HR_SERVE_MULTIPART_H

#include <stddef.h>

#include "base/bytes.h"

struct hr_part {
    char name[64], file_name[128]; /* "" where there is none; cut where longer */
    struct hr_span content;        /* a view of the body */
};

/* Fills parts[most) and *count.  HR_E_FORMAT when the body is none of that content type's,
 * HR_E_LIMIT when there are more parts. */
enum hr_status hr_multipart_parse(const char *content_type, const void *body, size_t size,
                                  struct hr_part *parts, size_t most, size_t *count) HR_WARN_UNUSED;

#endif
