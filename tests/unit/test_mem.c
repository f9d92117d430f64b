/* SPDX-License-Identifier: Apache-2.0
 * Blocks are aligned, zeroed and padded; products that overflow are out of memory; a failing
 * allocator leaves everything as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void blocks(void **state)
{
    static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 100001 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(sizes); i++) {
        unsigned char *block = hr_mem_alloc(sizes[i], 1);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % HR_ALIGN_BYTES, 0);
        for (size_t k = 0; k < sizes[i] + HR_PAD_BYTES; k++)
            assert_int_equal(block[k], 0);
        hr_mem_free(block);
    }
    hr_mem_free(NULL);
}

static void overflow_is_out_of_memory(void **state)
{
    size_t out = 5;
    (void)state;
    assert_null(hr_mem_alloc(SIZE_MAX / 2, 3));
    assert_null(hr_mem_alloc(SIZE_MAX, 1));
    assert_null(hr_mem_alloc_raw(SIZE_MAX - 10, 1));
    assert_non_null(strstr(hr_last_message(), "memory"));
    assert_false(hr_size_mul(&out, SIZE_MAX, 2));
    assert_false(hr_size_add(&out, SIZE_MAX, 1));
    assert_int_equal(out, 5);
    assert_true(hr_size_mul(&out, SIZE_MAX, 1) && out == SIZE_MAX);
    assert_true(hr_size_mul(&out, 0, SIZE_MAX) && out == 0);
}

static void grows(void **state)
{
    int *items = NULL;
    size_t capacity = 0;
    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(hr_mem_grow((void **)&items, &capacity, i + 1, sizeof *items), HR_OK);
        items[i] = (int)i;
    }
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(items[i], i);
    const size_t before = capacity;
    assert_int_equal(hr_mem_grow((void **)&items, &capacity, SIZE_MAX / 2, sizeof *items),
                     HR_E_MEMORY);
    assert_int_equal(capacity, before);
    assert_int_equal(items[4999], 4999);
    hr_mem_free(items);
}

static void *fail_always(void *context, size_t bytes, size_t align)
{
    (void)bytes;
    (void)align;
    ++*(int *)context;
    return NULL;
}

static void release(void *context, void *block)
{
    (void)context;
    free(block);
}

static void failing_allocator(void **state)
{
    int calls = 0;
    struct hr_arena arena = { 0 };
    const struct hr_allocator failing = { fail_always, release, &calls };
    (void)state;
    hr_mem_set_allocator(&failing);
    assert_null(hr_mem_alloc(10, 1));
    assert_null(hr_mem_strdup("x"));
    assert_null(hr_arena_alloc(&arena, 1, 1));
    assert_null(hr_arena_printf(&arena, "%d", 1));
    hr_mem_set_allocator(NULL);
    assert_int_equal(calls, 4);
    hr_arena_fini(&arena);
}

static void arena(void **state)
{
    struct hr_arena a = { 0 };
    char *texts[300];
    (void)state;
    for (int i = 0; i < 300; i++) {
        texts[i] = hr_arena_printf(&a, "text %d", i);
        unsigned char *bytes = hr_arena_alloc(&a, (size_t)i * 37, 1);
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % 16, 0);
        for (int k = 0; k < i * 37; k++)
            assert_int_equal(bytes[k], 0);
        memset(bytes, 0xaa, (size_t)i * 37);
    }
    assert_string_equal(texts[0], "text 0");
    assert_string_equal(texts[299], "text 299");
    assert_null(hr_arena_alloc(&a, SIZE_MAX, 2));
    hr_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks), cmocka_unit_test(overflow_is_out_of_memory),
        cmocka_unit_test(grows), cmocka_unit_test(failing_allocator), cmocka_unit_test(arena)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
