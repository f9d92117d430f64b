/* SPDX-License-Identifier: Apache-2.0
 * The map of tensors: names, metadata, memory; and every format as a file: told by content, saved
 * and opened again, every cut, every flipped bit, mutations, failing memory at every allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "hostile.h"
#include "tensor/store.h"

#define SEEDS HRNET_TESTS_DIR "/fuzz/corpus/store"

static char path[64];

static void names_find_tensors(void **state)
{
    struct hr_store *store = NULL;
    const struct hr_shape shape = { .rank = 1, .dim = { 1 } };
    char name[32];
    void *data;
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_null(hr_store_find(store, "none"));
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "layer.%d.weight", i);
        assert_int_equal(hr_store_add_owned(store, name, HR_DTYPE_I32, &shape, &data), HR_OK);
        *(int32_t *)data = i;
    }
    assert_int_equal(hr_store_count(store), 3000);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "layer.%d.weight", i);
        assert_string_equal(hr_store_name(store, (size_t)i), name);
        assert_int_equal(*(const int32_t *)hr_store_find(store, name)->data, i);
    }
    assert_null(hr_store_find(store, "layer.3000.weight"));
    assert_int_equal(hr_store_add_owned(store, "layer.7.weight", HR_DTYPE_I32, &shape, &data),
                     HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "'layer.7.weight' occurs twice"));
    assert_int_equal(hr_store_count(store), 3000);
    hr_store_destroy(store);
    hr_store_destroy(NULL);
}

static void metadata(void **state)
{
    struct hr_store *store = NULL;
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_null(hr_store_meta(store, "a"));
    assert_int_equal(hr_store_set_meta(store, "a", "1"), HR_OK);
    assert_int_equal(hr_store_set_meta(store, "b", "2"), HR_OK);
    assert_int_equal(hr_store_set_meta(store, "a", "3"), HR_OK);
    assert_int_equal(hr_store_meta_count(store), 2);
    assert_string_equal(hr_store_meta_key(store, 0), "a");
    assert_string_equal(hr_store_meta(store, "a"), "3");
    hr_store_destroy(store);
}

static void memory_moves(void **state)
{
    struct hr_store *from = NULL, *to = NULL;
    (void)state;
    assert_int_equal(hr_store_open(&from, SEEDS "/seed_paddle2"), HR_OK);
    assert_int_equal(hr_store_create(&to), HR_OK);
    const struct hr_tensor w = *hr_store_find(from, "w");
    hr_store_forget(from, &w);
    assert_int_equal(hr_store_take_memory(to, from), HR_OK);
    hr_store_destroy(from);
    assert_true(((const float *)w.data)[5] == 5.0f);
    hr_store_destroy(to);
}

static void formats_are_told_by_content(void **state)
{
    static const struct {
        const char *file;
        enum hr_format format;
    } cases[] = {
        { "seed_paddle2", HR_FORMAT_PADDLE },
        { "seed_paddle5", HR_FORMAT_PADDLE },
        { "seed_torch_zip", HR_FORMAT_TORCH },
        { "seed_torch_legacy", HR_FORMAT_TORCH_LEGACY },
        { "seed_safetensors", HR_FORMAT_SAFETENSORS },
    };
    struct hr_store *store = NULL;
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        char file[512];
        snprintf(file, sizeof file, SEEDS "/%s", cases[i].file);
        assert_int_equal(hr_store_open(&store, file), HR_OK);
        assert_int_equal(hr_store_format(store), cases[i].format);
        assert_true(strlen(hr_format_name(hr_store_format(store))) > 5);
        hr_store_destroy(store);
    }
    store = NULL;
    assert_int_equal(hr_store_open_memory(&store, "", 0, "x.pth"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "x.pth: an empty file"));
    assert_int_equal(hr_store_open_memory(&store, "hello, world", 12, "x.pth"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "no weight file"));
    assert_int_equal(hr_store_open(&store, "/nowhere/x.pth"), HR_E_NOT_FOUND);
    assert_non_null(strstr(hr_last_message(), "/nowhere/x.pth"));
    assert_null(store);
}

static void same_tensors(const struct hr_store *a, const struct hr_store *b)
{
    assert_int_equal(hr_store_count(a), hr_store_count(b));
    for (size_t i = 0; i < hr_store_count(a); i++) {
        const struct hr_tensor *x = hr_store_tensor(a, i);
        const struct hr_tensor *y = hr_store_find(b, hr_store_name(a, i));
        size_t elements;
        assert_non_null(y);
        assert_int_equal(x->dtype, y->dtype);
        assert_true(hr_shape_equal(&x->shape, &y->shape));
        assert_int_equal(hr_shape_elements(&x->shape, &elements), HR_OK);
        const size_t bytes = elements * hr_dtype_bytes(x->dtype);
        void *p = malloc(bytes + 1), *q = malloc(bytes + 1);
        assert_true(p && q);
        hr_tensor_gather(p, x);
        hr_tensor_gather(q, y);
        assert_memory_equal(p, q, bytes);
        free(p);
        free(q);
    }
}

static void saved_and_opened_again(void **state)
{
    static const enum hr_format formats[] = { HR_FORMAT_SAFETENSORS, HR_FORMAT_PADDLE,
                                              HR_FORMAT_TORCH };
    static const char *const seeds[] = { "seed_paddle2",        "seed_paddle4",
                                         "seed_paddle5",        "seed_slices",
                                         "seed_pairs",          "seed_torch_zip",
                                         "seed_torch_deflated", "seed_torch_legacy",
                                         "seed_safetensors" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(seeds); i++)
        for (size_t f = 0; f < HR_COUNT(formats); f++) {
            struct hr_store *first = NULL, *second = NULL;
            char file[512];
            snprintf(file, sizeof file, SEEDS "/%s", seeds[i]);
            assert_int_equal(hr_store_open(&first, file), HR_OK);
            assert_int_equal(hr_store_save(first, path, formats[f]), HR_OK);
            assert_int_equal(hr_store_open(&second, path), HR_OK);
            assert_int_equal(hr_store_format(second), formats[f]);
            same_tensors(first, second);
            if (formats[f] == HR_FORMAT_SAFETENSORS && strstr(file, "safetensors"))
                assert_string_equal(hr_store_meta(second, "format"), "pt");
            hr_store_destroy(first);
            hr_store_destroy(second);
        }
    unlink(path);
}

static void formats_that_are_not_written(void **state)
{
    struct hr_store *store = NULL;
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_store_save(store, path, HR_FORMAT_TORCH_LEGACY), HR_E_UNSUPPORTED);
    assert_non_null(strstr(hr_last_message(), "read, not written"));
    assert_int_equal(hr_store_save(store, path, HR_FORMAT_NONE), HR_E_UNSUPPORTED);
    assert_int_equal(hr_store_save(store, "/nowhere/x", HR_FORMAT_TORCH), HR_E_IO);
    hr_store_destroy(store);
}

/* ---- Hostile files ---- */

/* Opens, reads every element, closes. */
static enum hr_status read_whole(const uint8_t *data, size_t size)
{
    struct hr_store *store = NULL;
    HR_TRY(hr_store_open_memory(&store, data, size, "hostile.bin"));
    for (size_t i = 0; i < hr_store_count(store); i++) {
        const struct hr_tensor *t = hr_store_tensor(store, i);
        size_t elements;
        assert_int_equal(hr_shape_elements(&t->shape, &elements), HR_OK);
        assert_true(elements <= size * 1032 + 64);
        float *values = malloc(elements * sizeof *values + 1);
        assert_non_null(values);
        hr_tensor_to_f32(values, t);
        free(values);
    }
    hr_store_destroy(store);
    return HR_OK;
}

static void any_end(void *context, const uint8_t *data, size_t size)
{
    hr_message_set("none");
    const enum hr_status status = read_whole(data, size);
    if (context && status == HR_OK)
        fail_msg("%s is read when cut to %zu bytes", (const char *)context, size);
    if (status != HR_OK && (status == HR_E_MEMORY || status == HR_E_INTERNAL ||
                            !strstr(hr_last_message(), "hostile.bin")))
        fail_msg("status %d: %s", status, hr_last_message());
}

static void failing_memory(const struct hr_map *map)
{
    bool failed = true;
    for (unsigned n = 0; failed; n++) {
        hostile_memory_fail(n);
        const enum hr_status status = read_whole(map->data, map->size);
        failed = hostile_memory_restore();
        /* jansson takes some failures of its own memory for bad text. */
        const bool json = status == HR_E_FORMAT && strstr(hr_last_message(), "no JSON object");
        if (failed ? status != HR_E_MEMORY && !json : status != HR_OK)
            fail_msg("allocation %u: status %d: %s", n, status, hr_last_message());
    }
}

static void hostile_seeds(void **state)
{
    struct hr_names names = { 0 };
    (void)state;
    assert_int_equal(hr_os_walk(&names, SEEDS, true), HR_OK);
    assert_in_range(names.count, 15, 1000);
    for (size_t i = 0; i < names.count; i++) {
        struct hr_map map = { 0 };
        const bool seed = strstr(names.items[i], "/seed_") != NULL;
        assert_int_equal(hr_map_open(&map, names.items[i]), HR_OK);
        if (seed) {
            hostile_cuts(map.data, map.size, any_end, names.items[i]);
            hostile_flips(map.data, map.size, any_end, NULL);
            failing_memory(&map);
        }
        hostile_copy(map.data, map.size, any_end, NULL);
        hostile_mutations(map.data, map.size, 3, 200, any_end, NULL);
        hr_map_close(&map);
    }
    hr_names_fini(&names);
}

/* A save that fails for memory leaves the old file, and nothing beside it. */
static void saving_without_memory(void **state)
{
    static const enum hr_format formats[] = { HR_FORMAT_SAFETENSORS, HR_FORMAT_PADDLE,
                                              HR_FORMAT_TORCH };
    struct hr_store *store = NULL, *back = NULL;
    (void)state;
    assert_int_equal(hr_store_open(&store, SEEDS "/seed_torch_zip"), HR_OK);
    assert_int_equal(hr_store_set_meta(store, "key", "value"), HR_OK);
    for (size_t f = 0; f < HR_COUNT(formats); f++) {
        bool failed = true;
        assert_int_equal(hr_store_save(store, path, formats[f]), HR_OK);
        for (unsigned n = 0; failed; n++) {
            hostile_memory_fail(n);
            const enum hr_status status = hr_store_save(store, path, formats[f]);
            failed = hostile_memory_restore();
            /* Flushing the folder is worth a try, no more. */
            if (status != HR_OK && (!failed || status != HR_E_MEMORY))
                fail_msg("format %zu, allocation %u: status %d: %s", f, n, status,
                         hr_last_message());
            assert_int_equal(hr_store_open(&back, path), HR_OK);
            same_tensors(store, back);
            hr_store_destroy(back);
        }
    }
    hr_store_destroy(store);
    unlink(path);
}

int main(void)
{
    /* A file system in memory, where there is one, does not wait for disks. */
    snprintf(path, sizeof path, "%s/hrnet_test_store_%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_find_tensors),     cmocka_unit_test(metadata),
        cmocka_unit_test(memory_moves),           cmocka_unit_test(formats_are_told_by_content),
        cmocka_unit_test(saved_and_opened_again), cmocka_unit_test(formats_that_are_not_written),
        cmocka_unit_test(hostile_seeds),          cmocka_unit_test(saving_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
