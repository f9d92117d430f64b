/* SPDX-License-Identifier: Apache-2.0
 * Paddle's pickles: protocols 2 to 5 and both NumPy namings, pairs, cut tensors, optimizer files,
 * every refusal; writing, and what Paddle has no type for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tensor/formats.h"

#define SEEDS HRNET_TESTS_DIR "/fuzz/corpus/store/"

/* float32 [2]: 1, 2 */
#define ARRAY                                                                                 \
    "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85"                          \
    "C\1b\x87R(K\1K\2\x85"                                                                    \
    "cnumpy\ndtype\nU\2f4\x89\x88\x87R(K\3U\1<NNNJ\377\377\377\377J\377\377\377\377K\0tb\x89" \
    "U\x08\0\0\x80\x3f\0\0\0\x40tb"

static void check_w(const struct hr_store *store, const char *name)
{
    float x[6];
    const struct hr_tensor *w = hr_store_find(store, name);
    assert_non_null(w);
    assert_string_equal(hr_shape_str(&w->shape).s, "[2,3]");
    hr_tensor_to_f32(x, w);
    for (int i = 0; i < 6; i++)
        assert_true(x[i] == (float)i);
}

static void every_protocol(void **state)
{
    static const char *const files[] = { "seed_paddle2", "seed_paddle2_core", "seed_paddle2__core",
                                         "seed_paddle3", "seed_paddle4",      "seed_paddle5" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(files); i++) {
        struct hr_store *store = NULL;
        char path[512];
        float f[6], h[3];
        snprintf(path, sizeof path, SEEDS "%s", files[i]);
        if (hr_store_open(&store, path) != HR_OK)
            fail_msg("%s", hr_last_message());
        assert_int_equal(hr_store_count(store), 4); /* neither the table nor the epoch */
        check_w(store, "w");
        hr_tensor_to_f32(f, hr_store_find(store, "f"));
        assert_true(f[0] == 0 && f[1] == 3 && f[2] == 1 && f[5] == 5); /* Fortran order */
        assert_int_equal(hr_store_find(store, "n")->dtype, HR_DTYPE_I64);
        assert_int_equal(hr_store_find(store, "n")->shape.rank, 0);
        hr_tensor_to_f32(h, hr_store_find(store, "h"));
        assert_true(h[0] == 0 && h[2] == 2);
        hr_store_destroy(store);
    }
}

static void other_forms(void **state)
{
    struct hr_store *store = NULL;
    (void)state;
    assert_int_equal(hr_store_open(&store, SEEDS "seed_pairs"), HR_OK);
    assert_int_equal(hr_store_count(store), 2);
    check_w(store, "a");
    check_w(store, "b");
    hr_store_destroy(store);
    assert_int_equal(hr_store_open(&store, SEEDS "seed_slices"), HR_OK);
    assert_int_equal(hr_store_count(store), 1);
    check_w(store, "big");
    hr_store_destroy(store);
    assert_int_equal(hr_store_open(&store, SEEDS "seed_pdopt"), HR_OK);
    assert_int_equal(hr_store_count(store), 1);
    check_w(store, "p_w_velocity_0");
    hr_store_destroy(store);
}

static enum hr_status read_pickle(struct hr_store **store, const char *pickle, size_t size)
{
    assert_int_equal(hr_store_create(store), HR_OK);
    return hr_paddle_read(*store, pickle, size, "x.pdparams");
}

static void refuse(const char *pickle, size_t size, enum hr_status want, const char *words)
{
    struct hr_store *store;
    const enum hr_status status = read_pickle(&store, pickle, size);
    if (status != want || !strstr(hr_last_message(), words) ||
        !strstr(hr_last_message(), "x.pdparams"))
        fail_msg("'%s' wanted, status %d: %s", words, status, hr_last_message());
    hr_store_destroy(store);
}

#define TABLE "U\x15UnpackBigParamInfor@@"
#define SHAPE "U\x0bOriginShape"
static void every_refusal(void **state)
{
    struct hr_buffer b = { 0 };
    (void)state;
#define REFUSE(text, status, words) refuse(text, sizeof text - 1, status, words)
    REFUSE("N.", HR_E_FORMAT, "no dict of arrays");
    REFUSE("cos\nsystem\n.", HR_E_UNSUPPORTED, "'os.system'");
    REFUSE("}U\1w" ARRAY "sU\1w" ARRAY "s.", HR_E_FORMAT, "'w' occurs twice");
    REFUSE("}U\3a\0b" ARRAY "s.", HR_E_FORMAT, "longer than 1023 bytes or not text");
    REFUSE("}U\1a}U\1a}U\1a}U\1a}U\1a}sssss.", HR_E_FORMAT, "nest deeper than 4");
    REFUSE("}" TABLE "}U\3big}ss.", HR_E_FORMAT, "'big' is cut into unknown pieces");
    REFUSE("}" TABLE "}U\3big}" SHAPE "K\2\x85sU\6slices]ss"
           "s.",
           HR_E_FORMAT, "unknown pieces");
    REFUSE("}" TABLE "}U\3big}" SHAPE "K\2\x85sU\6slices]Nass"
           "s.",
           HR_E_FORMAT, "has no name");
    REFUSE("}" TABLE "}U\3big}" SHAPE "K\2\x85sU\6slices]U\1pass"
           "s.",
           HR_E_FORMAT, "piece 'p' is missing");
    REFUSE("}U\1p" ARRAY "s" TABLE "}U\3big}" SHAPE "K\1\x85sU\6slices]U\1pass"
           "s.",
           HR_E_FORMAT, "'p' does not fit [1]");
    REFUSE("}U\1p" ARRAY "s" TABLE "}U\3big}" SHAPE "K\3\x85sU\6slices]U\1pass"
           "s.",
           HR_E_FORMAT, "make 2 of 3 elements");
    REFUSE("}U\1p" ARRAY "s" TABLE "}U\3big}" SHAPE "J\377\377\377\177\x85sU\6slices]U\1pass"
           "s.",
           HR_E_FORMAT, "more bytes than the file has");
#undef REFUSE
    static const char head[] = "}" TABLE "}U\3big}U\6slices](";
    hr_buffer_put(&b, head, sizeof head - 1);
    for (int i = 0; i < 5000; i++)
        hr_buffer_put(&b, "N", 1);
    hr_buffer_put(&b, "esss.", 5);
    refuse((const char *)b.data, b.size, HR_E_LIMIT, "more than 4096 pieces");
    hr_buffer_fini(&b);
}

/* Reading u2 as bfloat16 and writing uint16 as u2 would turn one into the other unseen. */
static void bfloat16_is_uint16_there(void **state)
{
    const uint16_t values[1] = { 0x3f80 };
    struct hr_tensor t = { .dtype = HR_DTYPE_BF16, .data = values };
    struct hr_store *store = NULL, *back = NULL;
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "/tmp/hrnet_test_paddle_%ld", (long)getpid());
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_store_add(store, "bf", &t), HR_OK);
    assert_int_equal(hr_paddle_write(store, path), HR_OK);
    assert_int_equal(hr_store_open(&back, path), HR_OK);
    assert_int_equal(hr_store_find(back, "bf")->dtype, HR_DTYPE_BF16);
    hr_store_destroy(back);
    t.dtype = HR_DTYPE_U16;
    assert_int_equal(hr_store_add(store, "u", &t), HR_OK);
    assert_int_equal(hr_paddle_write(store, path), HR_E_UNSUPPORTED);
    assert_non_null(strstr(hr_last_message(), "tensor 'u': Paddle has no element type U16"));
    hr_store_destroy(store);
    assert_int_equal(hr_store_open(&back, path), HR_OK); /* the old file is still there */
    hr_store_destroy(back);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_protocol),
        cmocka_unit_test(other_forms),
        cmocka_unit_test(every_refusal),
        cmocka_unit_test(bfloat16_is_uint16_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
