/* SPDX-License-Identifier: Apache-2.0
 * Compressed bodies: round trips, foreign streams, cuts, flipped bits and bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "hostile.h"
#include "serve/coding.h"

enum { SIZE = 100000 };

static uint8_t data[SIZE];

static int set_up(void **state)
{
    uint32_t random = 1;
    (void)state;
    for (size_t i = 0; i < SIZE; i++) {
        random = random * 1664525u + 1013904223u;
        data[i] = (uint8_t)(random >> 30); /* two bits a byte */
    }
    return 0;
}

static void what_is_packed_is_unpacked(void **state)
{
    static const char *const names[] = { "gzip", "x-gzip", "GZIP", "Deflate" };
    static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, SIZE };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(sizes); i++)
        for (size_t j = 0; j < HR_COUNT(names); j++) {
            struct hr_buffer packed = { 0 }, out = { 0 };
            assert_int_equal(hr_coding_gzip(&packed, data, sizes[i]), HR_OK);
            assert_true(sizes[i] < 1000 || packed.size < sizes[i] / 2);
            assert_int_equal(hr_coding_decode(&out, names[j], packed.data, packed.size, sizes[i]),
                             HR_OK);
            assert_int_equal(out.size, sizes[i]);
            assert_true(sizes[i] == 0 || memcmp(out.data, data, sizes[i]) == 0);
            hr_buffer_fini(&packed);
            hr_buffer_fini(&out);
        }
}

static void zlib_streams_are_deflate(void **state)
{
    uint8_t packed[2048];
    uLongf size = sizeof packed;
    struct hr_buffer out = { 0 };
    (void)state;
    assert_int_equal(compress(packed, &size, data, 1000), Z_OK);
    assert_int_equal(hr_coding_decode(&out, "deflate", packed, size, SIZE), HR_OK);
    assert_int_equal(out.size, 1000);
    assert_memory_equal(out.data, data, 1000);
    hr_buffer_fini(&out);
}

static void other_encodings_are_named(void **state)
{
    static const char *const names[] = { "br", "zstd", "gzip, gzip", "", "identity" };
    struct hr_buffer out = { 0 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        assert_int_equal(hr_coding_decode(&out, names[i], "x", 1, SIZE), HR_E_UNSUPPORTED);
        assert_non_null(strstr(hr_last_message(), names[i]));
    }
}

/* A megabyte of zeros in a kilobyte. */
static void bombs_end_at_the_limit(void **state)
{
    enum { BOMB = 1 << 20 };
    struct hr_buffer packed = { 0 }, out = { 0 };
    uint8_t *zeros = calloc(1, BOMB);
    (void)state;
    assert_non_null(zeros);
    assert_int_equal(hr_coding_gzip(&packed, zeros, BOMB), HR_OK);
    assert_int_equal(hr_coding_decode(&out, "gzip", packed.data, packed.size, BOMB - 1),
                     HR_E_LIMIT);
    assert_true(out.capacity < 4 * BOMB);
    hr_buffer_fini(&out);
    assert_int_equal(hr_coding_decode(&out, "gzip", packed.data, packed.size, BOMB), HR_OK);
    assert_int_equal(out.size, BOMB);
    hr_buffer_fini(&out);
    hr_buffer_fini(&packed);
    free(zeros);
}

/* Damage is told or harmless: never other bytes. */
static void damaged(void *context, const uint8_t *bytes, size_t size)
{
    struct hr_buffer out = { 0 };
    const enum hr_status status = hr_coding_decode(&out, "gzip", bytes, size, 1 << 16);
    if (status == HR_OK) {
        assert_int_equal(out.size, 300);
        assert_memory_equal(out.data, data, 300);
        ++*(unsigned *)context;
    } else {
        assert_true(status == HR_E_FORMAT || status == HR_E_LIMIT);
    }
    hr_buffer_fini(&out);
}

static void damage_is_noticed(void **state)
{
    struct hr_buffer packed = { 0 };
    unsigned passed = 0;
    (void)state;
    assert_int_equal(hr_coding_gzip(&packed, data, 300), HR_OK);
    hostile_cuts(packed.data, packed.size, damaged, &passed);
    assert_int_equal(passed, 0);
    hostile_flips(packed.data, packed.size, damaged, &passed);
    assert_true(passed < 80); /* of the head: time, system, extra flags */
    hr_buffer_put(&packed, "trailing", 8);
    hostile_copy(packed.data, packed.size, damaged, &passed);
    hr_buffer_fini(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_is_unpacked), cmocka_unit_test(zlib_streams_are_deflate),
        cmocka_unit_test(other_encodings_are_named),  cmocka_unit_test(bombs_end_at_the_limit),
        cmocka_unit_test(damage_is_noticed),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
