/* SPDX-License-Identifier: Apache-2.0
 * Readers stop at their end whatever is asked of them; writers keep order and their first error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/bytes.h"

static void reads_in_both_orders(void **state)
{
    static const uint8_t data[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    uint16_t half;
    uint32_t word;
    uint64_t wide;
    struct hr_reader r = hr_reader_of(data, sizeof data, "x");
    (void)state;
    assert_int_equal(hr_read_u16le(&r, &half), HR_OK);
    assert_int_equal(half, 0x0201);
    assert_int_equal(hr_read_u16be(&r, &half), HR_OK);
    assert_int_equal(half, 0x0304);
    assert_int_equal(hr_read_u32be(&r, &word), HR_OK);
    assert_int_equal(word, 0x05060708);
    r.pos = 0;
    assert_int_equal(hr_read_u64le(&r, &wide), HR_OK);
    assert_true(wide == 0x0807060504030201u);
    assert_true(hr_load_u64be(data) == 0x0102030405060708u);
}

static void never_passes_the_end(void **state)
{
    static const uint8_t data[7] = { 0 };
    uint64_t wide = 77;
    struct hr_span span;
    (void)state;
    for (size_t size = 0; size <= 7; size++) {
        struct hr_reader r = hr_reader_of(data, size, "short.bin");
        assert_int_equal(hr_read_u64le(&r, &wide), HR_E_FORMAT);
        assert_true(wide == 77 && r.pos == 0);
        assert_non_null(strstr(hr_last_message(), "short.bin"));
        assert_int_equal(hr_read_span(&r, size + 1, &span), HR_E_FORMAT);
        assert_int_equal(hr_read_span(&r, SIZE_MAX, &span), HR_E_FORMAT);
        assert_int_equal(hr_read_skip(&r, SIZE_MAX), HR_E_FORMAT);
        assert_int_equal(hr_read_line(&r, &span), HR_E_FORMAT);
        assert_int_equal(hr_read_span(&r, size, &span), HR_OK);
        assert_int_equal(hr_reader_left(&r), 0);
    }
}

static void reads_lines(void **state)
{
    struct hr_reader r = hr_reader_of("ab\n\nc", 5, "x");
    struct hr_span line;
    (void)state;
    assert_int_equal(hr_read_line(&r, &line), HR_OK);
    assert_int_equal(line.size, 2);
    assert_int_equal(hr_read_line(&r, &line), HR_OK);
    assert_int_equal(line.size, 0);
    assert_int_equal(hr_read_line(&r, &line), HR_E_FORMAT);
}

static void writes_what_it_reads(void **state)
{
    struct hr_buffer b = { 0 };
    uint64_t wide;
    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        hr_buffer_put_u64le(&b, i * i);
    hr_buffer_put_u8(&b, 7);
    hr_buffer_put_u16le(&b, 0x1234);
    assert_int_equal(b.status, HR_OK);
    assert_int_equal(b.size, 8003);
    struct hr_reader r = hr_reader_of(b.data, b.size, "x");
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(hr_read_u64le(&r, &wide), HR_OK);
        assert_true(wide == i * i);
    }
    hr_buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_in_both_orders),
                                        cmocka_unit_test(never_passes_the_end),
                                        cmocka_unit_test(reads_lines),
                                        cmocka_unit_test(writes_what_it_reads) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
