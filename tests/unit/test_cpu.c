/* SPDX-License-Identifier: Apache-2.0
 * The denormal switch, and abilities that imply one another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cpu.h"

static void denormals_flush_and_come_back(void **state)
{
    volatile float tiny = 1e-40f, result;
    (void)state;
    result = tiny * 2.0f;
    assert_true(result > 0);
    const uint32_t saved = hr_fp_enter();
#if defined(__x86_64__)
    result = tiny * 2.0f;
    assert_true(result == 0);
#endif
    hr_fp_leave(saved);
    result = tiny * 2.0f;
    assert_true(result > 0);
}

static void abilities_are_steps(void **state)
{
    const uint32_t flags = hr_cpu_get()->flags;
    (void)state;
    if (flags & HR_CPU_AVX512)
        assert_true(flags & HR_CPU_AVX2);
    if (flags & (HR_CPU_VNNI | HR_CPU_FP16))
        assert_true(flags & HR_CPU_AVX512);
    assert_ptr_equal(hr_cpu_get(), hr_cpu_get());
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(abilities_are_steps),
                                        cmocka_unit_test(denormals_flush_and_come_back) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
