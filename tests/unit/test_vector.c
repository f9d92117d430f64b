/* SPDX-License-Identifier: Apache-2.0
 * Loops over flat vectors against plain ones, with and without a team, around the piece's size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "train/vector.h"

#define MOST 200000

static float x_at(size_t i)
{
    return (float)((int)(i * 37 % 101) - 50) * 0.01f;
}

static void sums_and_averages(void **state)
{
    static const size_t counts[] = { 1, 65535, 65536, 65537, MOST };
    float *const a = hr_mem_alloc(MOST, sizeof *a), *const x = hr_mem_alloc(MOST, sizeof *x);
    struct hr_pool *pool = NULL;
    (void)state;
    assert_int_equal(hr_pool_create(&pool, 3), HR_OK);
    for (size_t c = 0; c < 2 * sizeof counts / sizeof *counts; c++) {
        const size_t n = counts[c / 2];
        struct hr_pool *const team = c % 2 ? pool : NULL;
        for (size_t i = 0; i < MOST; i++) {
            x[i] = x_at(i);
            a[i] = x_at(i + 7);
        }
        hr_vector_average(a, x, n, 0.75, team);
        hr_vector_add(a, x, n, team);
        hr_vector_scale(a, n, 0.5, team);
        for (size_t i = 0; i < MOST; i++) {
            const float average = 0.75f * x_at(i + 7) + 0.25f * x_at(i);
            const float want = i < n ? (average + x_at(i)) * 0.5f : x_at(i + 7);
            assert_memory_equal(&a[i], &want, sizeof want);
        }
    }
    hr_pool_destroy(pool);
    hr_mem_free(a);
    hr_mem_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sums_and_averages) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
