/* SPDX-License-Identifier: Apache-2.0
 * Floats of 16 bits: all of them there and back, and how floats between them are rounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/float16.h"

static void halves(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = hr_f16_to_f32((uint16_t)h), b = hr_bf16_to_f32((uint16_t)h);
        if (isnan(f))
            assert_true(isnan(hr_f16_to_f32(hr_f32_to_f16(f))));
        else
            assert_int_equal(hr_f32_to_f16(f), h);
        if (isnan(b))
            assert_true(isnan(hr_bf16_to_f32(hr_f32_to_bf16(b))));
        else
            assert_int_equal(hr_f32_to_bf16(b), h);
    }
    assert_int_equal(hr_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(hr_f32_to_f16(65520.0f), 0x7c00);        /* to infinity */
    assert_int_equal(hr_f32_to_f16(1.0f + 0x1p-11f), 0x3c00); /* ties go to even */
    assert_int_equal(hr_f32_to_f16(1.0f + 0x3p-11f), 0x3c02);
    assert_int_equal(hr_f32_to_f16(0x1p-25f), 0);
    assert_int_equal(hr_f32_to_f16(0x1.8p-25f), 1);
    assert_int_equal(hr_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    assert_int_equal(hr_f32_to_bf16(1.0f + 0x3p-8f), 0x3f82);
    assert_int_equal(hr_f32_to_bf16(3.4e38f), 0x7f80);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(halves) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
