/* SPDX-License-Identifier: Apache-2.0
 * Content-Encoding of HTTP bodies (RFC 9110, 8.4.1): gzip and deflate, by zlib. */
#ifndef HR_SERVE_CODING_H
#define HR_SERVE_CODING_H

#include <stddef.h>

#include "base/bytes.h"

/* Decompresses.  HR_E_LIMIT above `limit` bytes, before they are there; HR_E_FORMAT;
 * HR_E_UNSUPPORTED where the encoding is another. */
enum hr_status hr_coding_decode(struct hr_buffer *out, const char *encoding, const void *data,
                                size_t size, size_t limit) HR_WARN_UNUSED;
/* Compresses with gzip, fast rather than small. */
enum hr_status hr_coding_gzip(struct hr_buffer *out, const void *data, size_t size) HR_WARN_UNUSED;

#endif
