/* SPDX-License-Identifier: Apache-2.0
 * PyTorch's files: zip and legacy, views, untyped storages, checkpoints that hold more than
 * weights; every refusal, on pickles put into archives here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/formats.h"
#include "wire/zip.h"

#define SEEDS HRNET_TESTS_DIR "/fuzz/corpus/store/"

static void check(const struct hr_store *store, const char *name, const char *shape,
                  const float *want, size_t count)
{
    float x[8];
    const struct hr_tensor *t = hr_store_find(store, name);
    assert_non_null(t);
    assert_string_equal(hr_shape_str(&t->shape).s, shape);
    hr_tensor_to_f32(x, t);
    for (size_t i = 0; i < count; i++)
        assert_true(x[i] == want[i]);
}

static void views_of_storages(void **state)
{
    static const char *const files[] = { "seed_torch_zip", "seed_torch_checkpoint",
                                         "seed_torch_deflated", "seed_torch_legacy" };
    static const float w[] = { 0, 1, 2, 3, 4, 5 }, turned[] = { 0, 3, 1, 4, 2, 5 },
                       part[] = { 1, 4 }, n[] = { 7 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(files); i++) {
        struct hr_store *store = NULL;
        char path[512];
        snprintf(path, sizeof path, SEEDS "%s", files[i]);
        if (hr_store_open(&store, path) != HR_OK)
            fail_msg("%s", hr_last_message());
        assert_int_equal(hr_store_count(store), i == 2 ? 6 : 5);
        check(store, "w", "[2,3]", w, 6);
        check(store, "turned", "[3,2]", turned, 6);
        check(store, "part", "[2]", part, 2);
        check(store, "n", "[]", n, 1);
        assert_int_equal(hr_store_find(store, "h")->dtype, HR_DTYPE_F16);
        if (i == 2) /* a NumPy array among the tensors, its bytes in a deflated pickle */
            check(store, "np", "[2,3]", w, 6);
        hr_store_destroy(store);
    }
}

static void storages_without_type(void **state)
{
    static const float u[] = { 1, 65535 };
    struct hr_store *store = NULL;
    (void)state;
    assert_int_equal(hr_store_open(&store, SEEDS "seed_torch_untyped"), HR_OK);
    assert_int_equal(hr_store_find(store, "u")->dtype, HR_DTYPE_U16);
    check(store, "u", "[2]", u, 2);
    hr_store_destroy(store);
}

/* ---- Refusals ---- */

struct part {
    const char *name, *data;
    size_t size;
};

static enum hr_status read_parts(const struct part *parts, size_t count)
{
    char *data = NULL;
    size_t size = 0;
    struct hr_zip_writer w = { .file = open_memstream(&data, &size) };
    struct hr_store *store = NULL;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hr_zip_add(&w, parts[i].name, parts[i].data, parts[i].size, 1), HR_OK);
    assert_int_equal(hr_zip_finish(&w), HR_OK);
    fclose(w.file);
    assert_int_equal(hr_store_create(&store), HR_OK);
    const enum hr_status status = hr_torch_zip_read(store, data, size, "x.pth");
    hr_store_destroy(store);
    free(data);
    return status;
}

static void refused(enum hr_status status, enum hr_status want, const char *words)
{
    if (status != want || !strstr(hr_last_message(), words) || !strstr(hr_last_message(), "x.pth"))
        fail_msg("'%s' wanted, status %d: %s", words, status, hr_last_message());
}

#define STORAGE                            \
    "(U\7storagectorch\nFloatStorage\nU\1" \
    "0U\3cpuK\4tQ"
#define TENSOR(storage, offset, shape, stride) \
    "}U\1wctorch._utils\n_rebuild_tensor_v2\n(" storage offset shape stride "\x89}tRs."
#define FOUR "0123456789abcdef" /* a storage of four floats */

static void refuse(const char *pickle, size_t size, enum hr_status want, const char *words)
{
    const struct part parts[] = { { "a/data.pkl", pickle, size }, { "a/data/0", FOUR, 16 } };
    refused(read_parts(parts, 2), want, words);
}

static void every_refusal(void **state)
{
    (void)state;
#define REFUSE(text, status, words) refuse(text, sizeof text - 1, status, words)
    REFUSE("N.", HR_E_FORMAT, "no state dict of tensors");
    REFUSE("}U\1aK\1s.", HR_E_FORMAT, "no state dict of tensors");
    REFUSE("cargparse\nNamespace\n.", HR_E_UNSUPPORTED, "'argparse.Namespace'");
    REFUSE(TENSOR("N", "K\0", "K\1\x85", "K\1\x85"), HR_E_FORMAT, "'w': it has no storage");
    REFUSE(TENSOR("(U\7storageNNNNtQ", "K\0", "K\1\x85", "K\1\x85"), HR_E_FORMAT,
           "storage type is not read");
    REFUSE(TENSOR("(U\7storagectorch\nFloatStorage\nU\1"
                  "9NNtQ",
                  "K\0", "K\1\x85", "K\1\x85"),
           HR_E_FORMAT, "storage '9' is missing");
    REFUSE(TENSOR("(U\7storagectorch\nFloatStorage\nNNNtQ", "K\0", "K\1\x85", "K\1\x85"),
           HR_E_FORMAT, "a storage has no name");
    REFUSE(TENSOR(STORAGE, "K\0", "K\5\x85", "K\1\x85"), HR_E_FORMAT,
           "past the end of its storage");
    REFUSE(TENSOR(STORAGE, "K\1", "K\4\x85", "K\1\x85"), HR_E_FORMAT,
           "past the end of its storage");
    REFUSE(TENSOR(STORAGE, "K\5", "K\0\x85", "K\1\x85"), HR_E_FORMAT,
           "past the end of its storage");
    REFUSE(TENSOR(STORAGE, "K\0", "K\2\x85", "K\4\x85"), HR_E_FORMAT,
           "past the end of its storage");
    REFUSE(TENSOR(STORAGE, "K\0", "K\2\x85", "\x8a\x08\377\377\377\377\377\377\377\177\x85"),
           HR_E_FORMAT, "past the end of its storage");
    REFUSE(TENSOR(STORAGE, "K\0", "K\5\x85", "K\0\x85"), HR_E_FORMAT,
           "more elements than its storage");
    REFUSE(TENSOR(STORAGE, "K\0", "K\1\x85", "K\1K\1\x86"), HR_E_FORMAT, "not whole numbers");
    REFUSE(TENSOR(STORAGE, "K\0", "J\377\377\377\377\x85", "K\1\x85"), HR_E_FORMAT,
           "not whole numbers");
    REFUSE(TENSOR(STORAGE, "N", "K\1\x85", "K\1\x85"), HR_E_FORMAT, "not whole numbers");
    REFUSE("}U\3w\0wctorch._utils\n_rebuild_tensor_v2\n(" STORAGE "K\0K\1\x85K\1\x85tRs.",
           HR_E_FORMAT, "not text");
#undef REFUSE
}

static void archives_that_are_none(void **state)
{
    static const char pickle[] = TENSOR(STORAGE, "K\0", "K\4\x85", "K\1\x85");
    const struct part whole[] = { { "a/data.pkl", pickle, sizeof pickle - 1 },
                                  { "a/data/0", FOUR, 16 },
                                  { "a/byteorder", "big", 3 },
                                  { "a/data/0", FOUR, 16 } };
    const struct part other[] = { { "a/code", "x", 1 }, { "b", "y", 1 } };
    (void)state;
    assert_int_equal(read_parts(whole, 2), HR_OK);
    refused(read_parts(whole, 1), HR_E_FORMAT, "storage '0' is missing: the file is incomplete");
    refused(read_parts(whole, 3), HR_E_UNSUPPORTED, "big-endian");
    refused(read_parts((const struct part[]){ whole[0], whole[1], whole[3] }, 3), HR_E_FORMAT,
            "storage '0' occurs twice");
    refused(read_parts(other + 1, 1), HR_E_FORMAT, "without data.pkl");
    refused(read_parts(other, 2), HR_E_FORMAT, "TorchScript");
}

static void legacy_streams(void **state)
{
#define MAGIC "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define LEGACY(protocol, little, keys, tail)                    \
    MAGIC "\x80\2" protocol ".\x80\2}U\x0dlittle_endian" little \
          "s.\x80\2" TENSOR(STORAGE, "K\0", "K\4\x85", "K\1\x85") "\x80\2" keys "." tail
#define KEYS \
    "]U\1"   \
    "0a"
#define DATA "\4\0\0\0\0\0\0\0" FOUR
    static const struct {
        const char *file, *words;
        size_t size;
        enum hr_status status;
    } cases[] = {
#define CASE(file, status, words) { file, words, sizeof file - 1, status }
        CASE(LEGACY("M\xe9\3", "\x88", KEYS, DATA), HR_OK, ""),
        CASE(LEGACY("M\xe8\3", "\x88", KEYS, DATA), HR_E_UNSUPPORTED, "not 1001"),
        CASE(LEGACY("M\xe9\3", "\x89", KEYS, DATA), HR_E_UNSUPPORTED, "big-endian"),
        CASE(LEGACY("M\xe9\3", "\x88", "N", DATA), HR_E_FORMAT, "list of storages is missing"),
        CASE(LEGACY("M\xe9\3", "\x88", "]Na", DATA), HR_E_FORMAT, "a storage has no name"),
        CASE(LEGACY("M\xe9\3", "\x88",
                    "]U\1"
                    "9a",
                    DATA),
             HR_E_FORMAT, "belongs to no tensor"),
        CASE(LEGACY("M\xe9\3", "\x88", "]", DATA), HR_E_FORMAT, "storage '0' is missing"),
        CASE(LEGACY("M\xe9\3", "\x88", KEYS,
                    "\4\0\0\0\0\0\0\0"
                    "012"),
             HR_E_FORMAT, "bytes are left"),
        CASE(LEGACY("M\xe9\3", "\x88", KEYS,
                    "\4\0\0\0\0\0\0\0"
                    "01234567"),
             HR_E_FORMAT, "ends too early"),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_store *store;
        assert_true(hr_torch_legacy_magic(cases[i].file, cases[i].size));
        assert_int_equal(hr_store_create(&store), HR_OK);
        const enum hr_status status =
            hr_torch_legacy_read(store, cases[i].file, cases[i].size, "x.pth");
        if (cases[i].status == HR_OK)
            assert_int_equal(status, HR_OK);
        else
            refused(status, cases[i].status, cases[i].words);
        hr_store_destroy(store);
    }
    assert_false(hr_torch_legacy_magic(MAGIC, 14));
}

/* Three hundred dicts, each shared by all of the level above: looked at a bounded number of times.
 */
static void shared_dicts_cost_little(void **state)
{
    struct hr_buffer b = { 0 };
    (void)state;
    hr_buffer_put(&b, "}q\0", 3);
    for (uint8_t level = 1; level < 6; level++) {
        hr_buffer_put(&b, "}q", 2);
        hr_buffer_put_u8(&b, level);
        hr_buffer_put(&b, "(", 1);
        for (int i = 0; i < 300; i++) {
            hr_buffer_put(&b, "Nh", 2);
            hr_buffer_put_u8(&b, (uint8_t)(level - 1));
        }
        hr_buffer_put(&b, "u", 1);
    }
    hr_buffer_put(&b, ".", 1);
    refuse((const char *)b.data, b.size, HR_E_FORMAT, "no state dict of tensors");
    hr_buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_of_storages), cmocka_unit_test(storages_without_type),
        cmocka_unit_test(every_refusal),     cmocka_unit_test(archives_that_are_none),
        cmocka_unit_test(legacy_streams),    cmocka_unit_test(shared_dicts_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
