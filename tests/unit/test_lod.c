/* SPDX-License-Identifier: Apache-2.0
 * Paddle's tensor stream: what is written is read, a stream that ends early or late is refused at
 * every byte, as are records of other versions and sizes that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/lod.h"

static const float numbers[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static const char *const names[] = { "a", "b", "c" };

struct stream {
    char *data;
    size_t size;
};

/* A matrix, its turned view, and a scalar. */
static struct stream written(void)
{
    struct stream s = { NULL, 0 };
    FILE *file = open_memstream(&s.data, &s.size);
    struct hr_tensor a = { .shape = { 2, { 3, 4 } }, .data = numbers };
    struct hr_tensor c = { .data = numbers };
    assert_non_null(file);
    hr_tensor_set_contiguous(&a);
    struct hr_tensor b = a;
    b.shape = (struct hr_shape){ 2, { 4, 3 } };
    b.stride[0] = 1;
    b.stride[1] = 4;
    assert_int_equal(hr_lod_write(&a, file), HR_OK);
    assert_int_equal(hr_lod_write(&b, file), HR_OK);
    assert_int_equal(hr_lod_write(&c, file), HR_OK);
    assert_int_equal(fclose(file), 0);
    return s;
}

static enum hr_status read_back(const void *data, size_t size, size_t count,
                                struct hr_store **store)
{
    assert_int_equal(hr_store_create(store), HR_OK);
    return hr_lod_read(*store, data, size, names, count, "test");
}

static void records_come_back(void **state)
{
    struct stream s = written();
    struct hr_store *store;
    float turned[12];
    (void)state;
    assert_int_equal(read_back(s.data, s.size, 3, &store), HR_OK);
    const struct hr_tensor *a = hr_store_find(store, "a"), *b = hr_store_find(store, "b");
    assert_memory_equal(a->data, numbers, sizeof numbers);
    assert_int_equal(b->shape.dim[0], 4);
    hr_tensor_to_f32(turned, b);
    assert_true(turned[0] == 1 && turned[1] == 5 && turned[2] == 9 && turned[3] == 2);
    assert_int_equal(hr_store_find(store, "c")->shape.rank, 0);
    hr_store_destroy(store);
    free(s.data);
}

static void other_lengths_are_refused(void **state)
{
    struct stream s = written();
    struct hr_store *store;
    (void)state;
    for (size_t size = 0; size < s.size; size++) {
        assert_int_not_equal(read_back(s.data, size, 3, &store), HR_OK);
        hr_store_destroy(store);
    }
    assert_int_equal(read_back(s.data, s.size, 2, &store), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "do not belong together"));
    hr_store_destroy(store);
    free(s.data);
}

static void records_that_lie_are_refused(void **state)
{
    static const struct {
        size_t at; /* of the first record */
        uint8_t value;
        const char *says;
    } cases[] = {
        { 0, 1, "its version is not 0" },
        { 4, 99, "it has too many levels" },
        { 12, 1, "its tensor's version" },
        { 21, 99, "of Paddle type 99" },
        { 22, 0x18, "has an unknown field" },
        { 23, 0x7f, "do not" },
        { 16, 0xff, "" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct stream s = written();
        struct hr_store *store;
        s.data[cases[i].at] = (char)cases[i].value;
        assert_int_not_equal(read_back(s.data, s.size, 3, &store), HR_OK);
        if (i < 5 && !strstr(hr_last_message(), cases[i].says))
            fail_msg("case %zu: %s", i, hr_last_message());
        hr_store_destroy(store);
        free(s.data);
    }
}

/* Dimensions may come packed into one field. */
static void packed_dimensions_are_read(void **state)
{
    static const uint8_t record[] = { 0, 0, 0, 0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6,
                                      0, 0, 0, 8, 5, 0x12, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0 };
    struct hr_store *store;
    (void)state;
    assert_int_equal(read_back(record, sizeof record, 1, &store), HR_OK);
    assert_int_equal(hr_store_find(store, "a")->shape.dim[1], 2);
    hr_store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(records_come_back),
                                        cmocka_unit_test(other_lengths_are_refused),
                                        cmocka_unit_test(records_that_lie_are_refused),
                                        cmocka_unit_test(packed_dimensions_are_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
