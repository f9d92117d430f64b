/* SPDX-License-Identifier: Apache-2.0
 * Base64 (RFC 4648, section 4). */
#ifndef HR_BASE_BASE64_H
#define HR_BASE_BASE64_H

#include "base/bytes.h"
#include "base/text.h"

/* Adds the code of data[size), padded, without line breaks. */
void hr_base64_encode(struct hr_text *out, const void *data, size_t size);

/* Decodes text[size) into *out, which is empty.  Line breaks and blanks are skipped, the padding
 * may be missing.  HR_E_FORMAT naming the place of a byte that does not belong, or when the end is
 * cut; HR_E_MEMORY.  hr_buffer_fini() frees, on failure too. */
enum hr_status hr_base64_decode(struct hr_buffer *out, const char *text,
                                size_t size) HR_WARN_UNUSED;

#endif
