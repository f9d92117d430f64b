/* SPDX-License-Identifier: Apache-2.0
 * NumPy arrays inside a pickle: both calls that make them, every element type, both orders, bytes
 * of every protocol, every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/ndarray.h"

static const char *const allowed[] = { HR_NDARRAY_GLOBALS };

#define HEAD                                                         \
    "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" \
    "C\1b\x87R"
#define DTYPE "cnumpy\ndtype\nU\2f4\x89\x88\x87R(K\3U\1<NNNJ\377\377\377\377J\377\377\377\377K\0tb"
#define BYTES "U\x08\0\0\x80\x3f\0\0\0\x40" /* 1, 2 */

struct loaded {
    struct hr_arena arena;
    struct hr_store *store;
    struct hr_pickle *value;
    struct hr_tensor tensor;
};

static enum hr_status read(struct loaded *l, const char *pickle, size_t size)
{
    struct hr_reader reader = hr_reader_of(pickle, size, "x.pdparams");
    *l = (struct loaded){ 0 };
    assert_int_equal(hr_store_create(&l->store), HR_OK);
    if (hr_pickle_load(&l->value, &l->arena, &reader, allowed, HR_COUNT(allowed)) != HR_OK)
        fail_msg("%s", hr_last_message());
    assert_true(hr_ndarray_is(l->value));
    struct hr_ndarray_source from = { l->store, "x.pdparams", size, 0, HR_DTYPE_BF16 };
    return hr_ndarray_read(&l->tensor, l->value, "w", &from);
}

static void drop(struct loaded *l)
{
    hr_arena_fini(&l->arena);
    hr_store_destroy(l->store);
}

#define READ(l, pickle) read(l, pickle, sizeof pickle - 1)

static void bytes_of_every_protocol(void **state)
{
    struct loaded l;
    float x[2];
    (void)state;
#define GOOD(pickle)                                                 \
    do {                                                             \
        if (READ(&l, pickle) != HR_OK)                               \
            fail_msg("%s", hr_last_message());                       \
        hr_tensor_to_f32(x, &l.tensor);                              \
        assert_true(x[0] == 1.0f && x[1] == 2.0f);                   \
        assert_string_equal(hr_shape_str(&l.tensor.shape).s, "[2]"); \
        drop(&l);                                                    \
    } while (0)
    GOOD(HEAD "(K\1K\2\x85" DTYPE "\x89" BYTES "tb."); /* Python 2 */
    GOOD(HEAD "(K\1K\2\x85" DTYPE "\x89"
              "C\x08\0\0\x80\x3f\0\0\0\x40tb.");       /* 3 and 4 */
    GOOD(HEAD "(K\1K\2\x85" DTYPE "\x88" BYTES "tb."); /* Fortran */
    GOOD(HEAD "(K\1K\2\x85" DTYPE "\x89"
              "c_codecs\nencode\nX\x09\0\0\0\0\0\xc2\x80\x3f\0\0\0\x40"
              "X\6\0\0\0latin1\x86Rtb."); /* 2 */
    GOOD("cnumpy.core.numeric\n_frombuffer\n(\x96\x08\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\x40" DTYPE
         "K\2\x85U\1CtR."); /* 5 */
    GOOD("cnumpy._core.numeric\n_frombuffer\n(" BYTES DTYPE "K\2\x85U\1FtR.");
#undef GOOD
    assert_int_equal(READ(&l, HEAD "(K\1K\0\x85" DTYPE "\x89"
                                   "c__builtin__\nbytes\n)Rtb."),
                     HR_OK);
    assert_string_equal(hr_shape_str(&l.tensor.shape).s, "[0]");
    drop(&l);
}

static void every_element_type(void **state)
{
    static const struct {
        const char *code;
        enum hr_dtype dtype;
    } cases[] = { { "f4", HR_DTYPE_F32 },  { "f2", HR_DTYPE_F16 }, { "f8", HR_DTYPE_F64 },
                  { "i1", HR_DTYPE_I8 },   { "u1", HR_DTYPE_U8 },  { "i2", HR_DTYPE_I16 },
                  { "u2", HR_DTYPE_BF16 }, { "i4", HR_DTYPE_I32 }, { "u4", HR_DTYPE_U32 },
                  { "i8", HR_DTYPE_I64 },  { "u8", HR_DTYPE_U64 }, { "b1", HR_DTYPE_BOOL } };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_buffer b = { 0 };
        struct loaded l;
        static const uint8_t bytes[8];
        hr_buffer_put(&b, HEAD "(K\1)cnumpy\ndtype\nU\2",
                      sizeof(HEAD "(K\1)cnumpy\ndtype\nU\2") - 1);
        hr_buffer_put(&b, cases[i].code, 2);
        hr_buffer_put(&b, "\x85R\x89U", 4);
        hr_buffer_put_u8(&b, (uint8_t)hr_dtype_bytes(cases[i].dtype));
        hr_buffer_put(&b, bytes, hr_dtype_bytes(cases[i].dtype));
        hr_buffer_put(&b, "tb.", 3);
        assert_int_equal(read(&l, (const char *)b.data, b.size), HR_OK);
        assert_int_equal(l.tensor.dtype, cases[i].dtype);
        assert_int_equal(l.tensor.shape.rank, 0);
        drop(&l);
        hr_buffer_fini(&b);
    }
}

static void fortran_order_is_strides(void **state)
{
    struct loaded l;
    uint8_t rows[6];
    (void)state;
    assert_int_equal(READ(&l, HEAD "(K\1K\2K\3\x86"
                                   "cnumpy\ndtype\nU\2u1\x85R\x88U\6\0\3\1\4\2\5tb."),
                     HR_OK);
    hr_tensor_gather(rows, &l.tensor);
    for (uint8_t i = 0; i < 6; i++)
        assert_int_equal(rows[i], i);
    drop(&l);
}

static void every_refusal(void **state)
{
    struct loaded l;
    (void)state;
#define REFUSE(pickle, want, words)                                                   \
    do {                                                                              \
        const enum hr_status status = READ(&l, pickle);                               \
        if (status != want || !strstr(hr_last_message(), words) ||                    \
            !strstr(hr_last_message(), "x.pdparams: tensor 'w'"))                     \
            fail_msg("'%s' wanted, status %d: %s", words, status, hr_last_message()); \
        assert_null(l.tensor.data);                                                   \
        drop(&l);                                                                     \
    } while (0)
    REFUSE(HEAD ".", HR_E_FORMAT, "without content");
    REFUSE(HEAD "(K\1tb.", HR_E_FORMAT, "without content");
    REFUSE("cnumpy.core.numeric\n_frombuffer\n" BYTES "\x85R.", HR_E_FORMAT, "without content");
    REFUSE(HEAD "(K\1N" DTYPE "\x89" BYTES "tb.", HR_E_FORMAT, "no shape");
    REFUSE(HEAD "(K\1(K\1K\1K\1K\1K\1K\1K\1K\1K\2t" DTYPE "\x89" BYTES "tb.", HR_E_FORMAT,
           "at most 8");
    REFUSE(HEAD "(K\1N\x85" DTYPE "\x89" BYTES "tb.", HR_E_FORMAT, "no whole number");
    REFUSE(HEAD "(K\1J\376\377\377\377\x85" DTYPE "\x89" BYTES "tb.", HR_E_FORMAT,
           "no whole number");
    REFUSE(HEAD "(K\1K\2\x85N\x89" BYTES "tb.", HR_E_FORMAT, "no NumPy element type");
    REFUSE(HEAD "(K\1K\1\x85"
                "cnumpy\ndtype\nU\2c8\x85R\x89" BYTES "tb.",
           HR_E_UNSUPPORTED, "'c8' is not read");
    REFUSE(HEAD "(K\1K\1\x85"
                "cnumpy\ndtype\nK\1\x85R\x89" BYTES "tb.",
           HR_E_UNSUPPORTED, "is not read");
    REFUSE(HEAD "(K\1K\2\x85"
                "cnumpy\ndtype\nU\2f4\x85R(K\3U\1>tb\x89" BYTES "tb.",
           HR_E_UNSUPPORTED, "big-endian");
    REFUSE(HEAD "(K\1K\3\x85" DTYPE "\x89" BYTES "tb.", HR_E_FORMAT, "do not make [3] of F32");
    REFUSE(HEAD "(K\1K\2\x85" DTYPE "\x89Ntb.", HR_E_FORMAT, "do not make");
    REFUSE(HEAD "(K\1\x8a\x08\377\377\377\377\377\377\377\177\x8a\x08\377\377\377\377\377\377\377"
                "\177\x86" DTYPE "\x89" BYTES "tb.",
           HR_E_LIMIT, "more elements than memory");
    REFUSE(HEAD "(K\1K\1\x85" DTYPE "\x89"
                "c_codecs\nencode\nX\5\0\0\0\0\0\xc4\x80\0X\6\0\0\0latin1"
                "\x86Rtb.",
           HR_E_FORMAT, "do not make"); /* a code point over 255 */
    REFUSE(HEAD "(K\1K\1\x85" DTYPE "\x89"
                "c_codecs\nencode\nX\4\0\0\0\0\0\0\xc2X\6\0\0\0latin1"
                "\x86Rtb.",
           HR_E_FORMAT, "do not make"); /* half a code point */
    REFUSE(HEAD "(K\1K\1\x85" DTYPE "\x89"
                "c_codecs\nencode\nX\4\0\0\0aaaaX\5\0\0\0ascii\x86Rtb.",
           HR_E_FORMAT, "do not make");
#undef REFUSE
}

static void no_more_than_the_file(void **state)
{
    struct hr_ndarray_source from = { .name = "x.pdparams", .size = 100 };
    (void)state;
    assert_int_equal(hr_ndarray_charge(&from, 60), HR_OK);
    assert_int_equal(hr_ndarray_charge(&from, 41), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "x.pdparams: its tensors claim more"));
    assert_int_equal(hr_ndarray_charge(&from, 40), HR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_every_protocol),  cmocka_unit_test(every_element_type),
        cmocka_unit_test(fortran_order_is_strides), cmocka_unit_test(every_refusal),
        cmocka_unit_test(no_more_than_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
