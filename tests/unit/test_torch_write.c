/* SPDX-License-Identifier: Apache-2.0
 * Files for torch.load: the archive's entries in their places, every type that PyTorch has comes
 * back, and the others are refused.  That PyTorch reads them is tests/e2e/20_formats' to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tensor/formats.h"
#include "wire/zip.h"

static char path[64];

static void every_type(void **state)
{
    (void)state;
    for (int type = 0; type < HR_DTYPE_COUNT; type++) {
        static const uint8_t bytes[48] = { 1, 0, 1, 0, 1 };
        struct hr_tensor t = { .dtype = (enum hr_dtype)type,
                               .shape = { .rank = 2, .dim = { 2, 3 } },
                               .data = bytes };
        struct hr_store *store = NULL, *back = NULL;
        hr_tensor_set_fortran(&t);
        assert_int_equal(hr_store_create(&store), HR_OK);
        assert_int_equal(hr_store_add(store, "w", &t), HR_OK);
        const enum hr_status status = hr_torch_zip_write(store, path);
        if (type == HR_DTYPE_U16 || type == HR_DTYPE_U32 || type == HR_DTYPE_U64) {
            assert_int_equal(status, HR_E_UNSUPPORTED);
            assert_non_null(
                strstr(hr_last_message(), "tensor 'w': PyTorch has no storage of type U"));
        } else {
            uint8_t want[48], got[48];
            assert_int_equal(status, HR_OK);
            assert_int_equal(hr_store_open(&back, path), HR_OK);
            const struct hr_tensor *w = hr_store_find(back, "w");
            assert_int_equal(w->dtype, type);
            assert_true(hr_shape_equal(&w->shape, &t.shape));
            hr_tensor_gather(want, &t);
            hr_tensor_gather(got, w);
            assert_memory_equal(want, got, 6 * hr_dtype_bytes(t.dtype));
        }
        hr_store_destroy(back);
        hr_store_destroy(store);
    }
}

static void entries_in_their_places(void **state)
{
    static const char *const names[] = { "archive/data.pkl", "archive/byteorder", "archive/data/0",
                                         "archive/data/1", "archive/version" };
    const float values[2] = { 1, 2 };
    const struct hr_tensor t = { .shape = { .rank = 1, .dim = { 2 } },
                                 .stride = { 1 },
                                 .data = values };
    struct hr_store *store = NULL;
    struct hr_map map = { 0 };
    struct hr_arena arena = { 0 };
    struct hr_zip_entry *entries;
    size_t count;
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_store_add(store, "a", &t), HR_OK);
    assert_int_equal(hr_store_add(store, "b", &t), HR_OK);
    assert_int_equal(hr_torch_zip_write(store, path), HR_OK);
    assert_int_equal(hr_map_open(&map, path), HR_OK);
    assert_int_equal(hr_zip_list(&entries, &count, &arena, map.data, map.size, path), HR_OK);
    assert_int_equal(count, HR_COUNT(names));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(entries[i].name, names[i]);
        assert_int_equal((size_t)(entries[i].packed.data - map.data) % 64, 0);
    }
    assert_memory_equal(entries[3].packed.data, values, sizeof values);
    assert_memory_equal(entries[4].packed.data, "3\n", 2);
    hr_arena_fini(&arena);
    hr_map_close(&map);
    hr_store_destroy(store);
}

static void an_empty_store_has_no_tensors(void **state)
{
    struct hr_store *store = NULL, *back = NULL;
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_torch_zip_write(store, path), HR_OK);
    assert_int_equal(hr_store_open(&back, path), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "no state dict"));
    hr_store_destroy(store);
    unlink(path);
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/hrnet_test_torch_write_%ld", (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type),
        cmocka_unit_test(entries_in_their_places),
        cmocka_unit_test(an_empty_store_has_no_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
