/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 against the vectors of FIPS 180-4 and NIST's long ones, in pieces of every size; CRC-32C
 * against RFC 3720's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/hash.h"

static void check(const char *text, size_t repeat, size_t piece, const char *want)
{
    struct hr_sha256 h;
    uint8_t digest[32];
    char hex[65];
    hr_sha256_init(&h);
    for (size_t i = 0; i < repeat; i++)
        for (size_t at = 0, size = strlen(text); at < size; at += piece)
            hr_sha256_update(&h, text + at, size - at < piece ? size - at : piece);
    hr_sha256_final(&h, digest);
    hr_hex(hex, digest);
    assert_string_equal(hex, want);
}

static void check_vectors(void)
{
    check("", 1, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t piece = 1; piece < 70; piece++) {
        check("abc", 1, piece, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, piece,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
    check(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaa",
        10000, 77, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void vectors(void **state)
{
    (void)state;
    check_vectors();
}

/* A CPU with the instructions takes them by itself, so that the plain rounds need asking for. */
static void vectors_without_instructions(void **state)
{
    (void)state;
    const bool had = hr_sha256_allow_instructions(true);
    assert_false(hr_sha256_allow_instructions(false));
    check_vectors();
    assert_true(hr_sha256_allow_instructions(true) == had);
}

/* RFC 3720, appendix B.4, and the usual check value. */
static void castagnoli(void **state)
{
    uint8_t data[32];
    (void)state;
    assert_int_equal(hr_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(hr_crc32c("", 0), 0);
    memset(data, 0, sizeof data);
    assert_int_equal(hr_crc32c(data, sizeof data), 0x8a9136aa);
    memset(data, 0xff, sizeof data);
    assert_int_equal(hr_crc32c(data, sizeof data), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        data[i] = (uint8_t)i;
    assert_int_equal(hr_crc32c(data, sizeof data), 0x46dd794e);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vectors),
                                        cmocka_unit_test(vectors_without_instructions),
                                        cmocka_unit_test(castagnoli) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
