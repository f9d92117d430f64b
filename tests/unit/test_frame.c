/* SPDX-License-Identifier: Apache-2.0
 * Messages come whole out of any pieces; what is too long, cut, compressed with something unknown
 * or grows too much is refused; timeouts and percent-coded texts survive the way there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "serve/frame.h"

/* Feeds data in pieces of `step`; messages found go to out, each ended with '|'. */
static enum hr_status feed(struct hr_frames *f, const uint8_t *data, size_t size, size_t step,
                           char *out)
{
    for (size_t at = 0; at < size;) {
        size_t used;
        bool complete;
        const size_t piece = step < size - at ? step : size - at;
        HR_TRY(hr_frames_feed(f, data + at, piece, &used, &complete));
        at += used;
        if (complete) {
            memcpy(out, f->whole.data ? (const char *)f->whole.data : "", f->whole.size);
            out += f->whole.size;
            *out++ = '|';
            hr_frames_next(f);
        }
    }
    *out = '\0';
    return HR_OK;
}

static void puts_messages_together(void **state)
{
    static const uint8_t three[] = "\0\0\0\0\5hello\0\0\0\0\0\0\0\0\0\1x";
    (void)state;
    for (size_t step = 1; step < sizeof three; step++) {
        char out[32];
        struct hr_frames f = { .limit = 5, .name = "x" };
        assert_int_equal(feed(&f, three, sizeof three - 1, step, out), HR_OK);
        assert_string_equal(out, "hello||x|");
        assert_false(hr_frames_open(&f));
        assert_int_equal(feed(&f, three, 7, step, out), HR_OK);
        assert_string_equal(out, "");
        assert_true(hr_frames_open(&f));
        hr_frames_fini(&f);
    }
}

static enum hr_status one(enum hr_frame_coding coding, const char *bytes, size_t size)
{
    char out[64];
    struct hr_frames f = { .coding = coding, .limit = 5, .name = "call 7" };
    const enum hr_status status = feed(&f, (const uint8_t *)bytes, size, 3, out);
    hr_frames_fini(&f);
    return status;
}

static void refuses_what_it_cannot_take(void **state)
{
    (void)state;
    assert_int_equal(one(HR_FRAME_IDENTITY, "\0\0\0\0\6", 5), HR_E_LIMIT);
    assert_non_null(strstr(hr_last_message(), "call 7"));
    assert_int_equal(one(HR_FRAME_IDENTITY, "\0\377\377\377\377", 5), HR_E_LIMIT);
    assert_int_equal(one(HR_FRAME_IDENTITY, "\2\0\0\0\1x", 6), HR_E_FORMAT);
    assert_int_equal(one(HR_FRAME_IDENTITY, "\1\0\0\0\1x", 6), HR_E_FORMAT);
    assert_int_equal(one(HR_FRAME_UNKNOWN, "\1\0\0\0\1x", 6), HR_E_UNSUPPORTED);
    assert_int_equal(one(HR_FRAME_UNKNOWN, "\0\0\0\0\1x", 6), HR_OK);
    assert_int_equal(one(HR_FRAME_ZLIB, "\1\0\0\0\1x", 6), HR_E_FORMAT);
    assert_int_equal(one(HR_FRAME_ZLIB, "\1\0\0\0\0", 5), HR_E_FORMAT);
}

static void decompresses_within_the_limit(void **state)
{
    static const char text[] = "hello, hello, hello, hello";
    uint8_t packed[128] = { 1 };
    uLongf size = sizeof packed - HR_FRAME_PREFIX;
    char out[64];
    (void)state;
    assert_int_equal(compress(packed + HR_FRAME_PREFIX, &size, (const Bytef *)text, sizeof text),
                     Z_OK);
    packed[4] = (uint8_t)size;
    struct hr_frames f = { .coding = HR_FRAME_ZLIB, .limit = sizeof text, .name = "x" };
    assert_int_equal(feed(&f, packed, HR_FRAME_PREFIX + size, 7, out), HR_OK);
    assert_memory_equal(out, text, sizeof text);
    f.limit = sizeof text - 1;
    assert_int_equal(feed(&f, packed, HR_FRAME_PREFIX + size, 7, out), HR_E_LIMIT);
    hr_frames_fini(&f);

    struct hr_buffer flat = { 0 };
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(hr_frame_inflate(&flat, packed + HR_FRAME_PREFIX, cut, 99, "x"),
                         HR_E_FORMAT);
    assert_int_equal(hr_frame_inflate(&flat, packed + HR_FRAME_PREFIX, size + 1, 99, "x"),
                     HR_E_FORMAT);
    assert_null(flat.data);
    assert_int_equal(hr_frame_inflate(&flat, packed + HR_FRAME_PREFIX, size, 99, "x"), HR_OK);
    assert_int_equal(flat.size, sizeof text);
    hr_buffer_fini(&flat);
}

static void codings_have_names(void **state)
{
    (void)state;
    assert_int_equal(hr_frame_coding_named(NULL), HR_FRAME_IDENTITY);
    assert_int_equal(hr_frame_coding_named("identity"), HR_FRAME_IDENTITY);
    assert_int_equal(hr_frame_coding_named("gzip"), HR_FRAME_ZLIB);
    assert_int_equal(hr_frame_coding_named("deflate"), HR_FRAME_ZLIB);
    assert_int_equal(hr_frame_coding_named("snappy"), HR_FRAME_UNKNOWN);
}

static void prefixes_are_big_endian(void **state)
{
    uint8_t out[HR_FRAME_PREFIX];
    (void)state;
    hr_frame_prefix(out, 0x01020304);
    assert_memory_equal(out, "\0\1\2\3\4", sizeof out);
}

static void timeouts(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        { "250m", 250000000 },
        { "1S", 1000000000 },
        { "99999999n", 99999999 },
        { "0u", 0 },
        { "2M", UINT64_C(120000000000) },
        { "99999999H", UINT64_MAX },
    };
    static const char *const bad[] = { "", "1", "m", "123456789m", "1mm", "-1m", "1 m", "1h" };
    char text[16];
    uint64_t ns = 7;
    (void)state;
    for (size_t i = 0; i < HR_COUNT(good); i++) {
        assert_int_equal(hr_grpc_timeout_parse(good[i].text, &ns), HR_OK);
        assert_true(ns == good[i].ns);
    }
    ns = 7;
    for (size_t i = 0; i < HR_COUNT(bad); i++)
        assert_int_equal(hr_grpc_timeout_parse(bad[i], &ns), HR_E_FORMAT);
    assert_true(ns == 7);
    for (uint64_t value = 1; value < UINT64_C(1) << 60; value = value * 3 + 1) {
        hr_grpc_timeout_print(text, value);
        assert_true(strlen(text) <= 9);
        assert_int_equal(hr_grpc_timeout_parse(text, &ns), HR_OK);
        assert_true(ns >= value && (double)(ns - value) <= 1e-5 * (double)value);
    }
}

static void percent_coding(void **state)
{
    char coded[64], back[64];
    (void)state;
    hr_percent_encode(coded, sizeof coded, "50% \303\274ber\n");
    assert_string_equal(coded, "50%25 %C3%BCber%0A");
    hr_percent_decode(back, sizeof back, coded);
    assert_string_equal(back, "50% \303\274ber\n");
    hr_percent_encode(coded, 4, "a%b");
    assert_string_equal(coded, "a");
    hr_percent_encode(coded, 5, "a%b");
    assert_string_equal(coded, "a%25");
    hr_percent_decode(back, sizeof back, "%zz%4%00%");
    assert_string_equal(back, "%zz%4%00%");
    hr_percent_decode(back, 3, "abcdef");
    assert_string_equal(back, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_messages_together),
        cmocka_unit_test(refuses_what_it_cannot_take),
        cmocka_unit_test(decompresses_within_the_limit),
        cmocka_unit_test(codings_have_names),
        cmocka_unit_test(prefixes_are_big_endian),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(percent_coding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
