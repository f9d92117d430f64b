/* SPDX-License-Identifier: Apache-2.0
 * Archives: what is written is listed again, aligned; what Python wrote is listed and inflated;
 * every refusal, every cut, every flipped bit, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "hostile.h"
#include "wire/zip.h"

#define SEEDS HRNET_TESTS_DIR "/fuzz/corpus/zip"

static const char *const names[] = { "a/data.pkl", "empty", "a/data/0" };
static const char *const contents[] = { "pickle", "", "0123456789" };

/* Three stored entries; free with free(). */
static char *archive(size_t *size, size_t align)
{
    char *data = NULL;
    struct hr_zip_writer w = { .file = open_memstream(&data, size) };
    assert_non_null(w.file);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(hr_zip_add(&w, names[i], contents[i], strlen(contents[i]), align), HR_OK);
    assert_int_equal(hr_zip_finish(&w), HR_OK);
    assert_int_equal(fclose(w.file), 0);
    return data;
}

static void written_is_read(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 4096; align *= 64) {
        struct hr_arena arena = { 0 };
        struct hr_zip_entry *entries;
        size_t size, count;
        char *data = archive(&size, align);
        assert_int_equal(hr_zip_list(&entries, &count, &arena, data, size, "x.zip"), HR_OK);
        assert_int_equal(count, 3);
        for (size_t i = 0; i < 3; i++) {
            assert_string_equal(entries[i].name, names[i]);
            assert_false(entries[i].deflated);
            assert_int_equal(entries[i].size, strlen(contents[i]));
            assert_int_equal(entries[i].packed.size, strlen(contents[i]));
            assert_memory_equal(entries[i].packed.data, contents[i], strlen(contents[i]));
            assert_int_equal((size_t)(entries[i].packed.data - (uint8_t *)data) % align, 0);
        }
        hr_arena_fini(&arena);
        free(data);
    }
}

static void foreign_archives(void **state)
{
    static const char *const files[] = { SEEDS "/seed_stored.npz", SEEDS "/seed_deflated.npz" };
    uint8_t bytes[2][2][256];
    (void)state;
    for (size_t f = 0; f < 2; f++) {
        struct hr_map map = { 0 };
        struct hr_arena arena = { 0 };
        struct hr_zip_entry *entries;
        size_t count;
        assert_int_equal(hr_map_open(&map, files[f]), HR_OK);
        assert_int_equal(hr_zip_list(&entries, &count, &arena, map.data, map.size, "x"), HR_OK);
        assert_int_equal(count, 2);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(entries[i].deflated, f == 1);
            assert_in_range(entries[i].size, 128, 256);
            if (f == 1)
                assert_int_equal(hr_zip_inflate(&entries[i], bytes[f][i], "x"), HR_OK);
            else
                memcpy(bytes[f][i], entries[i].packed.data, entries[i].packed.size);
            if (f == 1)
                assert_memory_equal(bytes[0][i], bytes[1][i], (size_t)entries[i].size);
        }
        assert_string_equal(entries[0].name, "x.npy");
        entries[0].size++;
        if (f == 1)
            assert_int_equal(hr_zip_inflate(&entries[0], bytes[0][0], "x"), HR_E_FORMAT);
        hr_arena_fini(&arena);
        hr_map_close(&map);
    }
}

static void refuse(const char *data, size_t size, enum hr_status want, const char *words)
{
    struct hr_arena arena = { 0 };
    struct hr_zip_entry *entries = NULL;
    size_t count;
    const enum hr_status status = hr_zip_list(&entries, &count, &arena, data, size, "x.zip");
    if (status != want || !strstr(hr_last_message(), words) || !strstr(hr_last_message(), "x.zip"))
        fail_msg("'%s' wanted, status %d: %s", words, status, hr_last_message());
    assert_null(entries);
    hr_arena_fini(&arena);
}

/* The place of the n-th record of the directory, or of the end record (n = 3). */
static uint8_t *record(char *data, size_t size, int n)
{
    uint8_t *end = (uint8_t *)data + size - 22;
    uint8_t *at = (uint8_t *)data + hr_load_u32le(end + 16);
    while (n-- > 0)
        at += 46 + hr_load_u16le(at + 28) + hr_load_u16le(at + 30);
    return at;
}

static void every_refusal(void **state)
{
    static const struct {
        int record;
        size_t at;
        uint8_t value;
        enum hr_status status;
        const char *words;
    } cases[] = {
        { 0, 0, 0, HR_E_FORMAT, "the directory is damaged" },
        { 0, 8, 1, HR_E_UNSUPPORTED, "'a/data.pkl' is encrypted" },
        { 0, 10, 12, HR_E_UNSUPPORTED, "packed by another method" },
        { 0, 24, 7, HR_E_FORMAT, "two sizes" },
        { 0, 29, 9, HR_E_FORMAT, "the directory is damaged" }, /* a name past the end */
        { 0, 42, 1, HR_E_FORMAT, "is not where the directory says" },
        { 2, 42, 0, HR_E_FORMAT, "overlap" },
        { 3, 0, 0, HR_E_FORMAT, "the end record is missing" },
        { 3, 11, 1, HR_E_FORMAT, "does not fit" },
        { 3, 19, 1, HR_E_FORMAT, "does not fit" },
    };
    (void)state;
    refuse("PK", 2, HR_E_FORMAT, "too short");
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        size_t size;
        char *data = archive(&size, 1);
        uint8_t *at = record(data, size, cases[i].record);
        at[cases[i].at] = cases[i].value;
        if (cases[i].record == 2) { /* the third entry becomes the first, at the same place */
            memcpy(at + 20, record(data, size, 0) + 20, 8);
            memcpy(at + 42, record(data, size, 0) + 42, 4);
        }
        refuse(data, size, cases[i].status, cases[i].words);
        free(data);
    }
}

static void bombs(void **state)
{
    size_t size;
    char *data = archive(&size, 1);
    uint8_t *at = record(data, size, 2);
    (void)state;
    at[10] = 8; /* deflated: ten bytes that claim 16 MiB */
    at[27] = 1;
    refuse(data, size, HR_E_LIMIT, "more than deflate can give");
    at[24] = at[25] = at[26] = at[27] = 0xff; /* a 64-bit size that is not there */
    refuse(data, size, HR_E_LIMIT, "more than deflate can give");
    free(data);
}

static void too_much_is_not_written(void **state)
{
    char *data = NULL, name[5000];
    size_t size;
    struct hr_zip_writer w = { .file = open_memstream(&data, &size) };
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(hr_zip_add(&w, name, "", 0, 1), HR_E_LIMIT);
    w.offset = UINT32_MAX - 8192;
    assert_int_equal(hr_zip_add(&w, "a", "b", 1, 1), HR_E_LIMIT);
    assert_non_null(strstr(hr_last_message(), "4 GiB"));
    hr_buffer_fini(&w.directory);
    fclose(w.file);
    free(data);
}

static void any_end(void *context, const uint8_t *data, size_t size)
{
    struct hr_arena arena = { 0 };
    struct hr_zip_entry *entries = NULL;
    size_t count = 0, sum = 0;
    const enum hr_status status = hr_zip_list(&entries, &count, &arena, data, size, "x");
    if (context)
        assert_true(status == HR_E_FORMAT || status == HR_E_LIMIT || status == HR_E_UNSUPPORTED);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < entries[i].packed.size; k++)
            sum += entries[i].packed.data[k];
        void *block = malloc((size_t)entries[i].size);
        if (entries[i].deflated && block && entries[i].size < 1 << 20)
            sum += hr_zip_inflate(&entries[i], block, "x");
        free(block);
    }
    assert_true(sum < SIZE_MAX);
    hr_arena_fini(&arena);
}

static void hostile_seeds(void **state)
{
    struct hr_names files = { 0 };
    (void)state;
    assert_int_equal(hr_os_walk(&files, SEEDS, true), HR_OK);
    assert_in_range(files.count, 4, 1000);
    for (size_t i = 0; i < files.count; i++) {
        struct hr_map map = { 0 };
        assert_int_equal(hr_map_open(&map, files.items[i]), HR_OK);
        hostile_cuts(map.data, map.size, any_end, "must fail");
        hostile_flips(map.data, map.size, any_end, NULL);
        hostile_mutations(map.data, map.size, 11, 2000, any_end, NULL);
        hr_map_close(&map);
    }
    hr_names_fini(&files);
}

static enum hr_status write_and_list(void)
{
    char *data = NULL;
    size_t size = 0, count;
    struct hr_zip_writer w = { .file = open_memstream(&data, &size) };
    struct hr_arena arena = { 0 };
    struct hr_zip_entry *entries;
    enum hr_status status = hr_zip_add(&w, "a", "b", 1, 64);
    if (status == HR_OK)
        status = hr_zip_finish(&w);
    fclose(w.file);
    if (status == HR_OK)
        status = hr_zip_list(&entries, &count, &arena, data, size, "x");
    hr_buffer_fini(&w.directory);
    hr_arena_fini(&arena);
    free(data);
    return status;
}

static void failing_memory(void **state)
{
    bool failed = true;
    unsigned n = 0;
    (void)state;
    for (; failed; n++) {
        hostile_memory_fail(n);
        const enum hr_status status = write_and_list();
        failed = hostile_memory_restore();
        assert_int_equal(status, failed ? HR_E_MEMORY : HR_OK);
    }
    assert_in_range(n, 4, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_is_read),         cmocka_unit_test(foreign_archives),
        cmocka_unit_test(every_refusal),           cmocka_unit_test(bombs),
        cmocka_unit_test(too_much_is_not_written), cmocka_unit_test(hostile_seeds),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
