/* SPDX-License-Identifier: Apache-2.0
 * NumPy's files: every type and order, archives stored and deflated, every refusal, every cut,
 * failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "hostile.h"
#include "tensor/npy.h"

#define SEEDS HRNET_TESTS_DIR "/fuzz/corpus/npy/"

/* A version-1 file of this header and `bytes` zero bytes; the header is not padded. */
static void build(struct hr_buffer *out, const char *header, size_t bytes)
{
    static const uint8_t zeros[64];
    hr_buffer_put(out, "\x93NUMPY\1\0", 8);
    hr_buffer_put_u16le(out, (uint16_t)strlen(header));
    hr_buffer_put(out, header, strlen(header));
    hr_buffer_put(out, zeros, bytes);
}

static void every_type_comes_back(void **state)
{
    (void)state;
    for (int type = 0; type < HR_DTYPE_COUNT; type++) {
        uint8_t bytes[6 * 8], back[6 * 8];
        struct hr_tensor t = { .dtype = (enum hr_dtype)type,
                               .shape = { .rank = 2, .dim = { 2, 3 } },
                               .data = bytes };
        struct hr_tensor read;
        struct hr_buffer file = { 0 };
        const size_t size = 6 * hr_dtype_bytes(t.dtype);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(type == HR_DTYPE_BF16 ? 0x3f + (i & 1) : i);
        hr_tensor_set_contiguous(&t);
        assert_int_equal(hr_npy_write(&file, &t), HR_OK);
        assert_int_equal(file.size % 64, type == HR_DTYPE_BF16 ? 24 : size % 64);
        assert_int_equal(hr_npy_parse(&read, file.data, file.size, "x.npy"), HR_OK);
        assert_true(hr_shape_equal(&read.shape, &t.shape));
        if (type == HR_DTYPE_BF16) { /* NumPy lacks it: float32 holds it exactly */
            float want[6], got[6];
            assert_int_equal(read.dtype, HR_DTYPE_F32);
            hr_tensor_to_f32(want, &t);
            hr_tensor_to_f32(got, &read);
            assert_memory_equal(want, got, sizeof want);
        } else {
            assert_int_equal(read.dtype, type);
            hr_tensor_gather(back, &read);
            assert_memory_equal(back, bytes, size);
        }
        hr_buffer_fini(&file);
    }
}

static void load_seed(struct hr_map *map, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, SEEDS "%s", name);
    assert_int_equal(hr_map_open(map, path), HR_OK);
}

static void files_of_numpy(void **state)
{
    struct hr_map map = { 0 };
    struct hr_tensor t;
    int64_t values[6];
    (void)state;
    load_seed(&map, "seed_fortran.npy");
    assert_int_equal(hr_npy_parse(&t, map.data, map.size, "x"), HR_OK);
    assert_int_equal(t.dtype, HR_DTYPE_I64);
    assert_int_equal(t.stride[0], 1);
    assert_int_equal(t.stride[1], 2);
    hr_tensor_gather(values, &t);
    for (int i = 0; i < 6; i++)
        assert_int_equal(values[i], i);
    hr_map_close(&map);
    load_seed(&map, "seed_scalar.npy");
    assert_int_equal(hr_npy_parse(&t, map.data, map.size, "x"), HR_OK);
    assert_int_equal(t.shape.rank, 0);
    float one;
    hr_tensor_to_f32(&one, &t);
    assert_true(one == 2.5f);
    hr_map_close(&map);
    load_seed(&map, "seed_empty.npy");
    assert_int_equal(hr_npy_parse(&t, map.data, map.size, "x"), HR_OK);
    assert_string_equal(hr_shape_str(&t.shape).s, "[0,3]");
    hr_map_close(&map);
}

static void every_refusal(void **state)
{
    static const struct {
        const char *header, *words;
        size_t bytes;
        enum hr_status status;
    } cases[] = {
#define HEADER(descr, order, shape) \
    "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape "}"
        { HEADER("'<f4'", "False", "(2,)"), "does not take 7 bytes", 7, HR_E_FORMAT },
        { HEADER("'>f4'", "False", "(2,)"), "big-endian", 8, HR_E_UNSUPPORTED },
        { HEADER("'<c8'", "False", "(1,)"), "'<c8'", 8, HR_E_UNSUPPORTED },
        { HEADER("'<f4x'", "False", "(1,)"), "is not read", 4, HR_E_UNSUPPORTED },
        { HEADER("[('a', '<f4')]", "False", "(1,)"), "type is not understood", 4, HR_E_FORMAT },
        { HEADER("'", "False", "(1,)"), "is not understood", 4, HR_E_FORMAT },
        { HEADER("'<f4'", "Maybe", "(2,)"), "fortran_order is missing", 8, HR_E_FORMAT },
        { HEADER("'<f4'", "False", "2"), "the shape is missing", 8, HR_E_FORMAT },
        { HEADER("'<f4'", "False", "(-2,)"), "shape is not understood", 8, HR_E_FORMAT },
        { HEADER("'<f4'", "False", "(2"), "shape is not understood", 8, HR_E_FORMAT },
        { HEADER("'<f4'", "False", "(1,1,1,1,1,1,1,1,2)"), "not understood", 8, HR_E_FORMAT },
        { HEADER("'<f4'", "False", "(9999999999999999999,)"), "not understood", 8, HR_E_FORMAT },
        { HEADER("'<f4'", "False", "(99999999999,99999999999)"), "memory", 8, HR_E_LIMIT },
        { HEADER("'<f8'", "False", "(999999999999999999,16)"), "more than memory", 8, HR_E_FORMAT },
        { "", "type is not understood", 0, HR_E_FORMAT },
#undef HEADER
    };
    struct hr_tensor t = { 0 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_buffer file = { 0 };
        build(&file, cases[i].header, cases[i].bytes);
        const enum hr_status status = hr_npy_parse(&t, file.data, file.size, "x.npy");
        if (status != cases[i].status || !strstr(hr_last_message(), cases[i].words) ||
            !strstr(hr_last_message(), "x.npy"))
            fail_msg("case %zu, status %d: %s", i, status, hr_last_message());
        assert_null(t.data);
        hr_buffer_fini(&file);
    }
    assert_int_equal(hr_npy_parse(&t, "hello, world", 12, "x.npy"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "no NumPy"));
    assert_int_equal(hr_npy_parse(&t, "\x93NUMPY\4\0\0\0\0\0", 12, "x.npy"), HR_E_UNSUPPORTED);
    assert_int_equal(hr_npy_parse(&t, "\x93NUMPY\2\0\377\377\377\377", 12, "x"), HR_E_UNSUPPORTED);
    assert_int_equal(hr_npy_parse(&t, "\x93NUMPY\1\0\377\0aa", 12, "x"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "ends too early"));
}

static void archives(void **state)
{
    static const char *const names[] = { "seed_stored.npz", "seed_deflated.npz" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        struct hr_map map = { 0 };
        struct hr_store *store = NULL;
        float x[6];
        load_seed(&map, names[i]);
        assert_int_equal(hr_store_create(&store), HR_OK);
        assert_int_equal(hr_npz_read(store, map.data, map.size, names[i]), HR_OK);
        assert_int_equal(hr_store_count(store), 2);
        const struct hr_tensor *t = hr_store_find(store, "x");
        assert_non_null(t);
        assert_string_equal(hr_shape_str(&t->shape).s, "[1,2,3]");
        hr_tensor_to_f32(x, t);
        for (int k = 0; k < 6; k++)
            assert_true(x[k] == (float)k);
        assert_non_null(hr_store_find(store, "y"));
        hr_store_destroy(store);
        hr_map_close(&map);
    }
}

static void saved_archives_are_read(void **state)
{
    const float values[4] = { 1, 2, 3, 4 };
    struct hr_tensor t = { .shape = { .rank = 1, .dim = { 4 } }, .stride = { 1 }, .data = values };
    struct hr_store *store = NULL, *back = NULL;
    struct hr_map map = { 0 };
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "/tmp/hrnet_test_npy_%ld.npz", (long)getpid());
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_store_add(store, "a.b", &t), HR_OK);
    assert_int_equal(hr_npz_save(store, path), HR_OK);
    assert_int_equal(hr_map_open(&map, path), HR_OK);
    assert_int_equal(hr_store_create(&back), HR_OK);
    assert_int_equal(hr_npz_read(back, map.data, map.size, path), HR_OK);
    assert_memory_equal(hr_store_find(back, "a.b")->data, values, sizeof values);
    hr_store_destroy(back);
    hr_store_destroy(store);
    hr_map_close(&map);
    unlink(path);
}

static enum hr_status read_any(const uint8_t *data, size_t size)
{
    struct hr_tensor t;
    struct hr_store *store = NULL;
    struct hr_buffer out = { 0 };
    if (size < 2 || data[0] != 'P') {
        HR_TRY(hr_npy_parse(&t, data, size, "x"));
        const enum hr_status status = hr_npy_write(&out, &t);
        hr_buffer_fini(&out);
        return status;
    }
    HR_TRY(hr_store_create(&store));
    const enum hr_status status = hr_npz_read(store, data, size, "x");
    hr_store_destroy(store);
    return status;
}

static void any_end(void *context, const uint8_t *data, size_t size)
{
    const enum hr_status status = read_any(data, size);
    assert_true(status != HR_E_MEMORY && status != HR_E_INTERNAL);
    if (context)
        assert_true(status != HR_OK);
}

static void hostile_seeds(void **state)
{
    struct hr_names files = { 0 };
    (void)state;
    assert_int_equal(hr_os_walk(&files, SEEDS, true), HR_OK);
    assert_in_range(files.count, 7, 1000);
    for (size_t i = 0; i < files.count; i++) {
        struct hr_map map = { 0 };
        bool failed = true;
        assert_int_equal(hr_map_open(&map, files.items[i]), HR_OK);
        hostile_cuts(map.data, map.size, any_end,
                     strstr(files.items[i], "empty") ? NULL : "must fail");
        hostile_flips(map.data, map.size, any_end, NULL);
        for (unsigned n = 0; failed; n++) {
            hostile_memory_fail(n);
            const enum hr_status status = read_any(map.data, map.size);
            failed = hostile_memory_restore();
            assert_int_equal(status, failed ? HR_E_MEMORY : HR_OK);
        }
        hr_map_close(&map);
    }
    hr_names_fini(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),   cmocka_unit_test(files_of_numpy),
        cmocka_unit_test(every_refusal),           cmocka_unit_test(archives),
        cmocka_unit_test(saved_archives_are_read), cmocka_unit_test(hostile_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
