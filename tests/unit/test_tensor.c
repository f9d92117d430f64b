/* SPDX-License-Identifier: Apache-2.0
 * Element types, shapes, strides, views copied and converted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "tensor/tensor.h"

static void shapes(void **state)
{
    struct hr_shape s = { .rank = 3, .dim = { 2, 3, 4 } }, t = s;
    size_t count = 99;
    (void)state;
    assert_string_equal(hr_shape_str(&s).s, "[2,3,4]");
    assert_int_equal(hr_shape_elements(&s, &count), HR_OK);
    assert_int_equal(count, 24);
    assert_true(hr_shape_equal(&s, &t));
    t.dim[2] = 5;
    assert_false(hr_shape_equal(&s, &t));
    t.rank = 2;
    assert_false(hr_shape_equal(&s, &t));
    s.rank = 0;
    assert_string_equal(hr_shape_str(&s).s, "[]");
    assert_int_equal(hr_shape_elements(&s, &count), HR_OK);
    assert_int_equal(count, 1);
    s = (struct hr_shape){ .rank = 2, .dim = { -1, 2 } };
    assert_int_equal(hr_shape_elements(&s, &count), HR_E_SHAPE);
    assert_non_null(strstr(hr_last_message(), "[-1,2]"));
    s = (struct hr_shape){ .rank = 2, .dim = { INT64_MAX, 3 } };
    assert_int_equal(hr_shape_elements(&s, &count), HR_E_LIMIT);
    assert_int_equal(count, 1);
    s = (struct hr_shape){ .rank = HR_MAX_RANK };
    for (int d = 0; d < HR_MAX_RANK; d++)
        s.dim[d] = INT64_MIN;
    assert_int_equal(strlen(hr_shape_str(&s).s), HR_MAX_RANK * 21 + 1);
}

static void strides(void **state)
{
    struct hr_tensor t = { .shape = { .rank = 3, .dim = { 2, 3, 4 } } };
    (void)state;
    hr_tensor_set_contiguous(&t);
    assert_true(t.stride[0] == 12 && t.stride[1] == 4 && t.stride[2] == 1);
    assert_true(hr_tensor_contiguous(&t));
    hr_tensor_set_fortran(&t);
    assert_true(t.stride[0] == 1 && t.stride[1] == 2 && t.stride[2] == 6);
    assert_false(hr_tensor_contiguous(&t));
    t.shape.dim[1] = 0;
    assert_true(hr_tensor_contiguous(&t)); /* no elements, any strides */
    t = (struct hr_tensor){ .shape = { .rank = 2, .dim = { 1, 4 } }, .stride = { 77, 1 } };
    assert_true(hr_tensor_contiguous(&t)); /* a dimension of 1 has no stride */
    t = (struct hr_tensor){ .shape = { .rank = 3, .dim = { 0, INT64_MAX, INT64_MAX } } };
    hr_tensor_set_contiguous(&t);
    hr_tensor_set_fortran(&t); /* overflow is no undefined behaviour */
}

static void views_are_copied(void **state)
{
    int16_t values[24], out[24];
    float floats[24];
    (void)state;
    for (int16_t i = 0; i < 24; i++)
        values[i] = i;
    /* [2,3,4] turned to [4,2,3] */
    const struct hr_tensor turned = {
        HR_DTYPE_I16, { .rank = 3, .dim = { 4, 2, 3 } }, { 1, 12, 4 }, values
    };
    hr_tensor_gather(out, &turned);
    hr_tensor_to_f32(floats, &turned);
    for (int a = 0, i = 0; a < 4; a++)
        for (int b = 0; b < 2; b++)
            for (int c = 0; c < 3; c++, i++) {
                assert_int_equal(out[i], a + 12 * b + 4 * c);
                assert_true(floats[i] == (float)out[i]);
            }
    const struct hr_tensor repeated = {
        HR_DTYPE_I16, { .rank = 2, .dim = { 2, 3 } }, { 0, 1 }, values
    };
    hr_tensor_gather(out, &repeated);
    for (int i = 0; i < 6; i++)
        assert_int_equal(out[i], i % 3);
    const struct hr_tensor none = {
        HR_DTYPE_I16, { .rank = 2, .dim = { 2, 0 } }, { 0, 1 }, values
    };
    out[0] = -7;
    hr_tensor_gather(out, &none);
    assert_int_equal(out[0], -7);
}

static void every_type_converts(void **state)
{
    static const struct {
        enum hr_dtype dtype;
        const char *bytes;
        float value;
    } cases[] = {
        { HR_DTYPE_F32, "\0\0\xc0\xbf", -1.5f },
        { HR_DTYPE_F16, "\0\xbe", -1.5f },
        { HR_DTYPE_BF16, "\xc0\xbf", -1.5f },
        { HR_DTYPE_F64, "\0\0\0\0\0\0\xf8\xbf", -1.5f },
        { HR_DTYPE_I8, "\xfe", -2 },
        { HR_DTYPE_U8, "\xfe", 254 },
        { HR_DTYPE_I16, "\xfe\xff", -2 },
        { HR_DTYPE_U16, "\xfe\xff", 65534 },
        { HR_DTYPE_I32, "\xfe\xff\xff\xff", -2 },
        { HR_DTYPE_U32, "\0\0\0\x80", 2147483648.0f },
        { HR_DTYPE_I64, "\xfe\xff\xff\xff\xff\xff\xff\xff", -2 },
        { HR_DTYPE_U64, "\0\0\0\0\0\0\0\x80", 9223372036854775808.0f },
        { HR_DTYPE_BOOL, "\2", 1 },
    };
    (void)state;
    assert_int_equal(sizeof cases / sizeof *cases, HR_DTYPE_COUNT);
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        uint8_t odd[9]; /* any alignment */
        float f = 0;
        memcpy(odd + 1, cases[i].bytes, hr_dtype_bytes(cases[i].dtype));
        const struct hr_tensor t = { .dtype = cases[i].dtype, .data = odd + 1 };
        hr_tensor_to_f32(&f, &t);
        if (f != cases[i].value)
            fail_msg("%s gives %g", hr_dtype_name(cases[i].dtype), (double)f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(strides),
        cmocka_unit_test(views_are_copied),
        cmocka_unit_test(every_type_converts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
