/* SPDX-License-Identifier: Apache-2.0
 * What gRPC puts around messages: length prefixes, compression, timeouts, percent-coded texts.
 * Source: "gRPC over HTTP2", the protocol's own document.  Every byte may be hostile. */
#ifndef HR_SERVE_FRAME_H
#define HR_SERVE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"

#define HR_FRAME_PREFIX 5 /* bytes: flag, length as 32 bits big-endian */

enum hr_frame_coding { HR_FRAME_IDENTITY, HR_FRAME_ZLIB, HR_FRAME_UNKNOWN };
/* "identity" and "" (or NULL), "gzip" and "deflate" (both are told apart by their content). */
enum hr_frame_coding hr_frame_coding_named(const char *name);

/* Puts messages together from pieces that break anywhere.  Set coding, limit and name, the rest
 * zero; hr_frames_fini frees. */
struct hr_frames {
    enum hr_frame_coding coding;
    size_t limit;     /* bytes of one message, after decompression too */
    const char *name; /* for messages */

    uint8_t prefix[HR_FRAME_PREFIX];
    size_t prefix_size;
    size_t wanted;          /* bytes of the message that is coming */
    struct hr_buffer whole; /* what of it is there */
};

/* Takes bytes up to the end of one message at most: *used of data[size).  When *complete, f->whole
 * is the message, decompressed; the caller may move the buffer out (zero it) and calls
 * hr_frames_next().  HR_E_LIMIT, HR_E_FORMAT, HR_E_UNSUPPORTED (compressed with something unknown),
 * HR_E_MEMORY. */
enum hr_status hr_frames_feed(struct hr_frames *f, const uint8_t *data, size_t size, size_t *used,
                              bool *complete) HR_WARN_UNUSED;
void hr_frames_next(struct hr_frames *f);
/* True in the middle of a message: the end of the stream would cut it. */
bool hr_frames_open(const struct hr_frames *f);
void hr_frames_fini(struct hr_frames *f);

/* The prefix of an uncompressed message of `size` bytes (below 4 GiB). */
void hr_frame_prefix(uint8_t out[HR_FRAME_PREFIX], size_t size);

/* data[size), a gzip or zlib stream, put out whole.  HR_E_LIMIT above `limit` bytes; HR_E_FORMAT if
 * it is none, is cut, or has bytes behind it.  *out is as it was on failure. */
enum hr_status hr_frame_inflate(struct hr_buffer *out, const uint8_t *data, size_t size,
                                size_t limit, const char *name) HR_WARN_UNUSED;

/* "250m" -> nanoseconds; up to 8 digits and one of H M S m u n.  HR_E_FORMAT otherwise. */
enum hr_status hr_grpc_timeout_parse(const char *text, uint64_t *ns) HR_WARN_UNUSED;
/* The shortest way to write it, rounded up: at most 9 characters. */
void hr_grpc_timeout_print(char out[16], uint64_t ns);

/* Percent-codes a text for grpc-message: printing ASCII but '%' stays.  out[room) is cut at a whole
 * character and ended with a zero; room > 0. */
void hr_percent_encode(char *out, size_t room, const char *text);
/* The reverse; broken escapes are kept as they are.  In place is allowed. */
void hr_percent_decode(char *out, size_t room, const char *text);

#endif
