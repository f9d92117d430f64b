/* SPDX-License-Identifier: Apache-2.0
 * zlib streams of whole bodies. */
#include "serve/coding.h"

#include <stdint.h>
#include <strings.h>
#include <zlib.h>

#include "serve/frame.h"

#define PIECE 65536

enum hr_status hr_coding_decode(struct hr_buffer *out, const char *encoding, const void *data,
                                size_t size, size_t limit)
{
    if (strcasecmp(encoding, "gzip") != 0 && strcasecmp(encoding, "x-gzip") != 0 &&
        strcasecmp(encoding, "deflate") != 0)
        return hr_fail(HR_E_UNSUPPORTED,
                       "Content-Encoding '%.40s' is not known: gzip and deflate are", encoding);
    return hr_frame_inflate(out, data, size, limit, "the body");
}

enum hr_status hr_coding_gzip(struct hr_buffer *out, const void *data, size_t size)
{
    uint8_t piece[PIECE];
    z_stream stream = { 0 };
    int code;
    if (size > UINT32_MAX)
        return hr_fail(HR_E_LIMIT, "4 GiB or more to compress");
    if (deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return hr_fail(HR_E_MEMORY, "out of memory");
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    do {
        stream.next_out = piece;
        stream.avail_out = sizeof piece;
        code = deflate(&stream, Z_FINISH);
        hr_buffer_put(out, piece, sizeof piece - stream.avail_out);
    } while (code == Z_OK);
    deflateEnd(&stream);
    return code == Z_STREAM_END ? out->status : hr_fail(HR_E_INTERNAL, "deflate failed");
}
