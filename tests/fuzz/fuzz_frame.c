/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a stream of gRPC messages: broken in pieces of two sizes they give the same messages
 * and the same verdict; the same bytes as texts of headers. */
#include <stdlib.h>
#include <string.h>

#include "serve/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 4096 /* bytes of a message: small, so that limits are met */

struct seen {
    size_t messages, bytes;
    enum hr_status status;
};

static struct seen feed(const uint8_t *data, size_t size, size_t step)
{
    struct seen seen = { 0 };
    struct hr_frames f = { .coding = HR_FRAME_ZLIB, .limit = LIMIT, .name = "fuzz" };
    for (size_t at = 0; at < size && seen.status == HR_OK;) {
        size_t used = 0;
        bool complete = false;
        const size_t piece = step < size - at ? step : size - at;
        seen.status = hr_frames_feed(&f, data + at, piece, &used, &complete);
        at += used;
        if (seen.status == HR_OK && complete) {
            if (f.whole.size > LIMIT)
                abort();
            seen.messages++;
            seen.bytes += f.whole.size;
            hr_frames_next(&f);
        } else if (seen.status == HR_OK && used != piece) {
            abort();
        }
    }
    hr_frames_fini(&f);
    return seen;
}

static void texts(const uint8_t *data, size_t size)
{
    char text[64], coded[256], back[64];
    uint64_t ns;
    const size_t length = size < sizeof text ? size : sizeof text - 1;
    memcpy(text, data, length);
    text[length] = '\0';
    if (hr_grpc_timeout_parse(text, &ns) == HR_OK && (strlen(text) < 2 || strlen(text) > 9))
        abort();
    hr_percent_encode(coded, sizeof coded, text);
    hr_percent_decode(back, sizeof back, coded);
    if (strcmp(text, back) != 0)
        abort();
    hr_percent_decode(back, sizeof back, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct seen whole = feed(data, size, size), pieces = feed(data, size, 3);
    if (whole.messages != pieces.messages || whole.bytes != pieces.bytes ||
        whole.status != pieces.status)
        abort();
    texts(data, size);
    return 0;
}
