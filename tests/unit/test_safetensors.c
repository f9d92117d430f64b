/* SPDX-License-Identifier: Apache-2.0
 * safetensors: every rule of the reference reader broken once, names and metadata, alignment. */
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

static enum hr_status open_text(struct hr_store **store, const char *header, size_t bytes)
{
    static const uint8_t data[64] = { 0, 0, 0x80, 0x3f };
    struct hr_buffer b = { 0 };
    hr_buffer_put_u64le(&b, strlen(header));
    hr_buffer_put(&b, header, strlen(header));
    hr_buffer_put(&b, data, bytes);
    assert_int_equal(hr_store_create(store), HR_OK);
    const enum hr_status status = hr_safetensors_read(*store, b.data, b.size, "x.safetensors");
    if (status == HR_OK)
        for (size_t i = 0; i < hr_store_count(*store); i++)
            assert_true((const uint8_t *)hr_store_tensor(*store, i)->data >= b.data);
    hr_buffer_fini(&b);
    return status;
}

static void read_as_the_rules_say(void **state)
{
    struct hr_store *store;
    (void)state;
    assert_int_equal(open_text(&store,
                               "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"BF16\","
                               "\"shape\":[2,1],\"data_offsets\":[4,8]},\"a\":{\"dtype\":\"F32\","
                               "\"shape\":[],\"data_offsets\":[0,4]},\"none\":{\"dtype\":\"I64\","
                               "\"shape\":[0,5],\"data_offsets\":[8,8]}}   ",
                               8),
                     HR_OK);
    assert_int_equal(hr_store_count(store), 3);
    assert_string_equal(hr_store_name(store, 0), "b"); /* in the header's order */
    assert_string_equal(hr_store_meta(store, "format"), "pt");
    assert_int_equal(hr_store_find(store, "a")->shape.rank, 0);
    assert_int_equal(hr_store_find(store, "b")->dtype, HR_DTYPE_BF16);
    hr_store_destroy(store);
    assert_int_equal(open_text(&store, "{}", 0), HR_OK);
    assert_int_equal(hr_store_count(store), 0);
    hr_store_destroy(store);
}

static void every_rule_broken_once(void **state)
{
    static const struct {
        const char *header, *words;
        size_t bytes;
        enum hr_status status;
    } cases[] = {
#define ENTRY(dtype, shape, range) \
    "\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" range "}"
        { "{" ENTRY("\"F32\"", "[1]", "[0,5]") "}", "do not lie inside the 4 bytes", 4,
          HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1]", "[4,0]") "}", "do not lie inside", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1]", "[-4,0]") "}", "do not lie inside", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1]", "[0]") "}", "pair of whole numbers", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1]", "[0,4.5]") "}", "pair of whole numbers", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[2]", "[0,4]") "}", "[2] of F32 does not take the 4 bytes", 4,
          HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1.5]", "[0,4]") "}", "not a whole number", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[-1]", "[0,4]") "}", "not a whole number", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "3", "[0,4]") "}", "at most 8 dimensions", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", "at most 8", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[9223372036854775807,9223372036854775807]", "[0,4]") "}",
          "more elements than memory", 4, HR_E_LIMIT },
        { "{" ENTRY("\"F32\"", "[4611686018427387904]", "[0,0]") "}", "more than memory", 0,
          HR_E_FORMAT },
        { "{" ENTRY("\"F8_E4M3\"", "[4]", "[0,4]") "}", "'F8_E4M3' is not supported", 4,
          HR_E_UNSUPPORTED },
        { "{" ENTRY("7", "[4]", "[0,4]") "}", "'none' is not supported", 4, HR_E_UNSUPPORTED },
        { "{" ENTRY("\"F32\"", "[1]", "[0,4]") "}", "4 of 8 data bytes belong", 8, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1]", "[4,8]") "}", "a hole before", 8, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1]",
                    "[0,4]") ",\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
          "overlap", 4, HR_E_FORMAT },
        { "{" ENTRY("\"F32\"", "[1]", "[0,4]") "," ENTRY("\"F32\"", "[1]", "[4,8]") "}",
          "duplicate", 8, HR_E_FORMAT },
        { "{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", "wanted exactly dtype, shape", 4,
          HR_E_FORMAT },
        { "{\"w\":7}", "wanted exactly dtype, shape", 0, HR_E_FORMAT },
        { "{\"__metadata__\":[]}", "not a JSON object", 0, HR_E_FORMAT },
        { "{\"__metadata__\":{\"a\":1}}", "metadata 'a' is not a string", 0, HR_E_FORMAT },
        { "[]", "another value", 0, HR_E_FORMAT },
        { "{\"w\"", "no JSON object", 0, HR_E_FORMAT },
        { "{\"\xff\":1}", "no JSON object", 0, HR_E_FORMAT },
        { "{\"a\\u0000b\":1}", "no JSON object", 0, HR_E_FORMAT },
#undef ENTRY
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_store *store;
        const enum hr_status status = open_text(&store, cases[i].header, cases[i].bytes);
        if (status != cases[i].status || !strstr(hr_last_message(), cases[i].words) ||
            !strstr(hr_last_message(), "x.safetensors"))
            fail_msg("case %zu: status %d: %s", i, status, hr_last_message());
        hr_store_destroy(store);
    }
}

static void lengths_that_lie(void **state)
{
    static const char *const files[] = { "\3\0\0\0\0\0\0\0{}", "\377\377\377\377\377\377\377\377{}",
                                         "\1\341\365\5\0\0\0\0{}" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(files); i++) {
        struct hr_store *store;
        assert_int_equal(hr_store_create(&store), HR_OK);
        assert_int_equal(hr_safetensors_read(store, files[i], 10, "x"), HR_E_FORMAT);
        assert_non_null(strstr(hr_last_message(), "does not fit: the file has 2 more"));
        hr_store_destroy(store);
    }
}

static void deep_json_is_refused(void **state)
{
    static char text[100001];
    struct hr_store *store;
    (void)state;
    memset(text, '[', 100000);
    memcpy(text, "{\"a\":", 5);
    assert_int_equal(open_text(&store, text, 0), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "no JSON object"));
    hr_store_destroy(store);
}

static void written_aligned_and_in_order(void **state)
{
    const uint8_t bytes[3] = { 1, 2, 3 };
    const struct hr_tensor t = {
        .dtype = HR_DTYPE_U8, .shape = { .rank = 1, .dim = { 3 } }, .stride = { 1 }, .data = bytes
    };
    struct hr_store *store, *back;
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "/tmp/hrnet_test_safetensors_%ld", (long)getpid());
    for (int extra = 0; extra < 9; extra++) {
        char name[16] = "zzzzzzzzzzzz";
        struct hr_map map = { 0 };
        name[extra + 1] = '\0';
        assert_int_equal(hr_store_create(&store), HR_OK);
        assert_int_equal(hr_store_add(store, name, &t), HR_OK);
        assert_int_equal(hr_store_add(store, "a", &t), HR_OK);
        assert_int_equal(hr_safetensors_write(store, path), HR_OK);
        assert_int_equal(hr_map_open(&map, path), HR_OK);
        assert_int_equal((8 + hr_load_u64le(map.data)) % 8, 0);
        hr_map_close(&map);
        assert_int_equal(hr_store_open(&back, path), HR_OK);
        assert_string_equal(hr_store_name(back, 0), name);
        assert_string_equal(hr_store_name(back, 1), "a");
        hr_store_destroy(back);
        hr_store_destroy(store);
    }
    unlink(path);
}

static void names_that_cannot_be_written(void **state)
{
    const struct hr_tensor t = { .dtype = HR_DTYPE_U8, .data = "" };
    struct hr_store *store;
    (void)state;
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_store_add(store, "a\xff", &t), HR_OK);
    assert_int_equal(hr_safetensors_write(store, "/tmp/never-written"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "is not UTF-8"));
    hr_store_destroy(store);
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_store_add(store, "__metadata__", &t), HR_OK);
    assert_int_equal(hr_safetensors_write(store, "/tmp/never-written"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "cannot be called '__metadata__'"));
    hr_store_destroy(store);
    assert_int_equal(hr_store_create(&store), HR_OK);
    assert_int_equal(hr_store_set_meta(store, "key", "\xff"), HR_OK);
    assert_int_equal(hr_safetensors_write(store, "/tmp/never-written"), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "metadata 'key' is not UTF-8"));
    hr_store_destroy(store);
    assert_int_not_equal(access("/tmp/never-written", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_as_the_rules_say),
        cmocka_unit_test(every_rule_broken_once),
        cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(written_aligned_and_in_order),
        cmocka_unit_test(names_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
