/* SPDX-License-Identifier: Apache-2.0
 * The bytes of gRPC that are not protobuf.  Knows no HTTP/2 and no socket. */
#include "serve/frame.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#define ZLIB_CONST /* or next_in would take bytes that may be written */
#include <zlib.h>

#include "base/mem.h"

enum hr_frame_coding hr_frame_coding_named(const char *name)
{
    if (!name || !*name || strcmp(name, "identity") == 0)
        return HR_FRAME_IDENTITY;
    return strcmp(name, "gzip") == 0 || strcmp(name, "deflate") == 0 ? HR_FRAME_ZLIB
                                                                     : HR_FRAME_UNKNOWN;
}

/* ---- Messages ---- */

static enum hr_status begin_message(struct hr_frames *f)
{
    if (f->prefix[0] > 1)
        return hr_fail(HR_E_FORMAT, "%s: a message begins with byte %u, where 0 or 1 is wanted",
                       f->name, f->prefix[0]);
    if (f->prefix[0] == 1 && f->coding != HR_FRAME_ZLIB)
        return f->coding == HR_FRAME_IDENTITY
                   ? hr_fail(HR_E_FORMAT,
                             "%s: a message is marked compressed, and grpc-encoding names nothing",
                             f->name)
                   : hr_fail(HR_E_UNSUPPORTED,
                             "%s: messages may be compressed with gzip or deflate only", f->name);
    f->wanted = hr_load_u32be(f->prefix + 1);
    if (f->wanted > f->limit)
        return hr_fail(HR_E_LIMIT, "%s: a message of %zu bytes, at most %zu are taken", f->name,
                       f->wanted, f->limit);
    return HR_OK;
}

static enum hr_status end_message(struct hr_frames *f)
{
    struct hr_buffer flat = { 0 };
    if (f->prefix[0] == 0)
        return HR_OK;
    enum hr_status status =
        hr_frame_inflate(&flat, f->whole.data, f->whole.size, f->limit, f->name);
    if (status == HR_OK) {
        hr_buffer_fini(&f->whole);
        f->whole = flat;
    }
    return status;
}

enum hr_status hr_frames_feed(struct hr_frames *f, const uint8_t *data, size_t size, size_t *used,
                              bool *complete)
{
    size_t at = 0;
    *complete = false;
    if (f->prefix_size < HR_FRAME_PREFIX) {
        while (f->prefix_size < HR_FRAME_PREFIX && at < size)
            f->prefix[f->prefix_size++] = data[at++];
        if (f->prefix_size == HR_FRAME_PREFIX)
            HR_TRY(begin_message(f));
    }
    if (f->prefix_size == HR_FRAME_PREFIX) {
        const size_t missing = f->wanted - f->whole.size;
        const size_t take = missing < size - at ? missing : size - at;
        hr_buffer_put(&f->whole, data + at, take);
        HR_TRY(f->whole.status);
        at += take;
        if (take == missing) {
            HR_TRY(end_message(f));
            *complete = true;
        }
    }
    *used = at;
    return HR_OK;
}

void hr_frames_next(struct hr_frames *f)
{
    hr_buffer_fini(&f->whole);
    f->prefix_size = f->wanted = 0;
}

bool hr_frames_open(const struct hr_frames *f)
{
    return f->prefix_size > 0;
}

void hr_frames_fini(struct hr_frames *f)
{
    hr_buffer_fini(&f->whole);
}

void hr_frame_prefix(uint8_t out[HR_FRAME_PREFIX], size_t size)
{
    out[0] = 0;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (uint8_t)(size >> (24 - 8 * i));
}

/* ---- Compression ---- */

static enum hr_status inflate_into(struct hr_buffer *out, z_stream *z, size_t limit,
                                   const char *name)
{
    uint8_t piece[16384];
    int code = Z_OK;
    while (code == Z_OK) {
        z->next_out = piece;
        z->avail_out = sizeof piece;
        code = inflate(z, Z_NO_FLUSH);
        const size_t got = sizeof piece - z->avail_out;
        if (got > limit - out->size)
            return hr_fail(HR_E_LIMIT, "%s: decompressed it is longer than %zu bytes", name, limit);
        hr_buffer_put(out, piece, got);
        HR_TRY(out->status);
    }
    if (code == Z_MEM_ERROR)
        return hr_fail(HR_E_MEMORY, "%s: no memory to decompress it", name);
    if (code != Z_STREAM_END || z->avail_in != 0)
        return hr_fail(HR_E_FORMAT, "%s: its compressed data is %s", name,
                       code == Z_BUF_ERROR    ? "cut"
                       : code == Z_STREAM_END ? "followed by something else"
                                              : "broken");
    return HR_OK;
}

enum hr_status hr_frame_inflate(struct hr_buffer *out, const uint8_t *data, size_t size,
                                size_t limit, const char *name)
{
    struct hr_buffer flat = { 0 };
    z_stream z = { 0 };
    if (size > UINT32_MAX)
        return hr_fail(HR_E_LIMIT, "%s: %zu compressed bytes are too many", name, size);
    if (inflateInit2(&z, 15 + 32) != Z_OK) /* 32: a gzip or a zlib header, whichever is there */
        return hr_fail(HR_E_MEMORY, "%s: no memory to decompress it", name);
    z.next_in = data;
    z.avail_in = (uInt)size;
    const enum hr_status status = inflate_into(&flat, &z, limit, name);
    inflateEnd(&z);
    if (status == HR_OK) {
        hr_buffer_fini(out);
        *out = flat;
    } else {
        hr_buffer_fini(&flat);
    }
    return status;
}

/* ---- Timeouts ---- */

static const struct {
    char letter;
    uint64_t ns;
} units[] = {
    { 'n', 1 },          { 'u', 1000 },        { 'm', 1000000 },
    { 'S', 1000000000 }, { 'M', 60000000000 }, { 'H', 3600000000000 },
};

enum hr_status hr_grpc_timeout_parse(const char *text, uint64_t *ns)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; isdigit((unsigned char)text[digits]) && digits < 8; digits++)
        value = 10 * value + (uint64_t)(text[digits] - '0');
    for (size_t i = 0; digits > 0 && i < HR_COUNT(units); i++)
        if (text[digits] == units[i].letter && text[digits + 1] == '\0') {
            /* 99,999,999 hours are more nanoseconds than 64 bits count. */
            *ns = value > UINT64_MAX / units[i].ns ? UINT64_MAX : value * units[i].ns;
            return HR_OK;
        }
    return hr_fail(HR_E_FORMAT, "grpc-timeout '%.16s' is no timeout", text);
}

void hr_grpc_timeout_print(char out[16], uint64_t ns)
{
    for (size_t i = 0; i < HR_COUNT(units); i++) {
        const uint64_t value = ns / units[i].ns + (ns % units[i].ns != 0);
        if (value < 100000000 || i + 1 == HR_COUNT(units)) {
            snprintf(out, 16, "%" PRIu64 "%c", value < 99999999 ? value : (uint64_t)99999999,
                     units[i].letter);
            return;
        }
    }
}

/* ---- Percent coding ---- */

void hr_percent_encode(char *out, size_t room, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        const bool plain = c >= 0x20 && c < 0x7f && c != '%';
        if (room < (plain ? 2u : 4u))
            break;
        if (plain) {
            *out++ = (char)c;
            room--;
            continue;
        }
        *out++ = '%';
        *out++ = hex[c >> 4];
        *out++ = hex[c & 15];
        room -= 3;
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const int letter = c | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

void hr_percent_decode(char *out, size_t room, const char *text)
{
    for (; *text && room > 1; room--) {
        const int high = text[0] == '%' ? hex_value(text[1]) : -1;
        const int low = high >= 0 ? hex_value(text[2]) : -1;
        if (low >= 0 && (high | low) != 0) {
            *out++ = (char)(high << 4 | low);
            text += 3;
        } else {
            *out++ = *text++;
        }
    }
    *out = '\0';
}
