/* SPDX-License-Identifier: Apache-2.0
 * The ladder: each rung only with its abilities.  The emulated multiply-add: the C library's bits.
 * What the kernels compute is checked in tests/kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "kernel/fma.h"
#include "kernel/kernel.h"

static void ladder_climbs_as_far_as_the_cpu(void **state)
{
    (void)state;
    struct hr_kernels kernels;
    hr_kernels_init(&kernels, 0);
    assert_string_equal(kernels.isa, "baseline");
    assert_int_equal(kernels.conv_count, 1);
    assert_ptr_equal(kernels.conv[0], &hr_conv_ref);
    assert_ptr_equal(kernels.linear, &hr_linear_ref);
    assert_int_equal(kernels.eltwise.vector_floats, 1);
    assert_non_null(kernels.pixel.normalise);
    for (size_t i = 0; i < hr_isa_count; i++) {
        if (hr_isa_ladder[i].need & ~hr_cpu_get()->flags)
            continue; /* filling a table already runs instructions of its rung */
        hr_kernels_init(&kernels, hr_isa_ladder[i].need);
        assert_string_equal(kernels.isa, hr_isa_ladder[i].name);
        assert_in_range(kernels.conv_count, 1, HR_MAX_CONV_KERNELS);
    }
    hr_kernels_init(&kernels, HR_CPU_AVX512); /* without AVX2 there is no way up */
    assert_string_equal(kernels.isa, "baseline");
}

static void peak_counts_what_it_does(void **state)
{
    (void)state;
    struct hr_kernels kernels;
    hr_kernels_init(&kernels, hr_cpu_get()->flags);
    float sink = 0.0f;
    assert_true(kernels.fma_peak(1000, &sink) >= 16000.0);
    assert_true(sink > 0.0f && sink < 100.0f);
}

static void reading_reads_all(void **state)
{
    (void)state;
    static const float x[300] HR_ALIGNED(
        64) = { [0] = 1, [127] = 2, [128] = 4, [255] = 8, [256] = 16 };
    for (size_t i = 0; i < hr_isa_count; i++) {
        struct hr_kernels kernels;
        if ((hr_cpu_get()->flags & hr_isa_ladder[i].need) != hr_isa_ladder[i].need)
            continue;
        hr_kernels_init(&kernels, hr_isa_ladder[i].need);
        assert_true(kernels.read_all(x, 300) == 15.0f);
        assert_true(kernels.read_all(x, 128) == 3.0f);
    }
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16 | *seed << 16;
}

static float any_bits(uint32_t *seed)
{
    const uint32_t bits = next(seed);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void fma_rounds_once(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int i = 0; i < 400000; i++) {
        const float x = any_bits(&seed), w = any_bits(&seed);
        float acc = any_bits(&seed);
        if (i & 1) /* near cancellation, and ties */
            acc = -x * w * (1.0f + (float)(next(&seed) % 5) * 0x1p-23f);
        else if (i & 2)
            acc = ldexpf(x * w, (int)(next(&seed) % 60) - 30);
        const float got = hr_fma(x, w, acc), want = fmaf(x, w, acc);
        if (isnan(want))
            assert_true(isnan(got));
        else
            assert_memory_equal(&got, &want, sizeof got);
    }
    /* 1 + 2^-24 is half way; a little more must round up, a little less down. */
    assert_true(hr_fma(0x1.000002p-12f, 0x1p-12f, 1.0f) == 0x1.000002p0f);
    assert_true(hr_fma(0x1.fffffep-13f, 0x1p-12f, 1.0f) == 1.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ladder_climbs_as_far_as_the_cpu),
        cmocka_unit_test(peak_counts_what_it_does),
        cmocka_unit_test(reading_reads_all),
        cmocka_unit_test(fma_rounds_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
