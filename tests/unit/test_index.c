/* SPDX-License-Identifier: Apache-2.0
 * Thousands of names, found while the array moves; names that are not there; memory that ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/index.h"
#include "base/mem.h"
#include "hostile.h"

#define COUNT 5000

struct item {
    int number;
    char name[16];
};

static const char *name_of(const void *items, size_t i)
{
    return ((const struct item *)items)[i].name;
}

static void every_name_is_found_while_the_array_grows(void **state)
{
    struct hr_index index = { .name = name_of };
    struct item *items = NULL;
    size_t capacity = 0;
    char name[16];
    (void)state;
    assert_int_equal(hr_index_find(&index, items, "0"), 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(hr_mem_grow((void **)&items, &capacity, (size_t)i + 1, sizeof *items),
                         HR_OK);
        items[i].number = i;
        (void)snprintf(items[i].name, sizeof items[i].name, "%d", i * 7);
        assert_int_equal(hr_index_reserve(&index, items), HR_OK);
        hr_index_add(&index, items);
        assert_int_equal(hr_index_find(&index, items, items[i / 2].name), i / 2 + 1);
    }
    for (int i = 0; i < COUNT * 7; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        assert_int_equal(hr_index_find(&index, items, name), i % 7 ? 0 : i / 7 + 1);
    }
    hr_index_fini(&index);
    assert_int_equal(hr_index_find(&index, items, "0"), 0);
    hr_mem_free(items);
}

static void memory_that_ends_loses_nothing(void **state)
{
    static struct item items[200];
    struct hr_index index = { .name = name_of };
    (void)state;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(items[i].name, sizeof items[i].name, "x%d", i);
        hostile_memory_limit(0);
        enum hr_status status = hr_index_reserve(&index, items);
        (void)hostile_memory_restore();
        if (i > 0)
            assert_int_equal(hr_index_find(&index, items, items[i - 1].name), i);
        if (status != HR_OK)
            assert_int_equal(hr_index_reserve(&index, items), HR_OK);
        hr_index_add(&index, items);
    }
    hr_index_fini(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_found_while_the_array_grows),
        cmocka_unit_test(memory_that_ends_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
