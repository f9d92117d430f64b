/* SPDX-License-Identifier: Apache-2.0
 * One bad value anywhere in a tensor of any type is found, and none where there is none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/float16.h"
#include "model/flaws.h"

#define PIECE (128 << 10) /* as the module cuts */

static void put(void *data, enum hr_dtype dtype, size_t i, double value)
{
    if (dtype == HR_DTYPE_F32)
        ((float *)data)[i] = (float)value;
    else if (dtype == HR_DTYPE_F64)
        ((double *)data)[i] = value;
    else
        ((uint16_t *)data)[i] =
            dtype == HR_DTYPE_F16 ? hr_f32_to_f16((float)value) : hr_f32_to_bf16((float)value);
}

static void one_bad_value_is_found_wherever_it_is(void **state)
{
    static const enum hr_dtype types[] = { HR_DTYPE_F32, HR_DTYPE_F16, HR_DTYPE_BF16,
                                           HR_DTYPE_F64 };
    static const size_t places[] = { 0, 1, PIECE - 1, PIECE, 2 * PIECE - 1, 2 * PIECE, 20 * PIECE };
    const double bad[] = { NAN, INFINITY, -INFINITY };
    const struct hr_shape shape = { 1, { 20 * PIECE + 1 } };
    (void)state;
    for (size_t t = 0; t < HR_COUNT(types); t++) {
        struct hr_store *store;
        void *data;
        uint8_t flaw;
        const bool wanted = true, unwanted = false;
        assert_int_equal(hr_store_create(&store), HR_OK);
        assert_int_equal(hr_store_add_owned(store, "x", types[t], &shape, &data), HR_OK);
        for (size_t i = 0; i <= 20 * PIECE; i++)
            put(data, types[t], i, (double)(i % 3) * 0.5);
        for (unsigned threads = 0; threads < 4; threads++) {
            assert_int_equal(hr_flaws_find(&flaw, store, &wanted, threads), HR_OK);
            assert_int_equal(flaw, 0);
            for (size_t p = 0; p < HR_COUNT(places); p++) {
                put(data, types[t], places[p], bad[p % 3]);
                assert_int_equal(hr_flaws_find(&flaw, store, &wanted, threads), HR_OK);
                assert_int_equal(flaw & HR_FLAW_NOT_FINITE, HR_FLAW_NOT_FINITE);
                assert_int_equal(hr_flaws_find(&flaw, store, &unwanted, threads), HR_OK);
                assert_int_equal(flaw, 0);
                put(data, types[t], places[p], -0.25);
                assert_int_equal(hr_flaws_find(&flaw, store, &wanted, threads), HR_OK);
                assert_int_equal(flaw, HR_FLAW_NEGATIVE);
                put(data, types[t], places[p], -0.0);
            }
        }
        hr_store_destroy(store);
    }
}

/* Infinite as float32, which is what is computed with. */
static void a_double_out_of_range_is_infinite(void **state)
{
    const struct hr_shape shape = { 2, { 2, 2 } };
    const bool wanted[2] = { true, true };
    struct hr_store *store;
    void *data;
    uint8_t flaws[2];
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_store_add_owned(store, "large", HR_DTYPE_F64, &shape, &data), HR_OK);
    for (size_t i = 0; i < 4; i++)
        ((double *)data)[i] = -1e300;
    assert_int_equal(hr_store_add_owned(store, "whole", HR_DTYPE_I64, &shape, &data), HR_OK);
    memset(data, 0xff, 4 * sizeof(int64_t));
    assert_int_equal(hr_flaws_find(flaws, store, wanted, 1), HR_OK);
    assert_int_equal(flaws[0], HR_FLAW_NOT_FINITE); /* of rank 2: its sign is no matter */
    assert_int_equal(flaws[1], HR_FLAW_TYPE);
    hr_store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_bad_value_is_found_wherever_it_is),
        cmocka_unit_test(a_double_out_of_range_is_infinite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
