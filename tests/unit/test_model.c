/* SPDX-License-Identifier: Apache-2.0
 * What a model file is taken for: published weights are known by name, architecture and classes
 * together and get their publisher's recipe; a fresh head keeps the recipe of the body and is
 * marked in every format; the four schemes give equal answers; memory may end at any call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "hostile.h"
#include "model/model.h"
#include "plan/pack.h"
#include "session/session.h"

static struct hr_model *named(const char *architecture, int classes, const char *name,
                              const struct hr_model_options *options)
{
    const struct hr_zoo_row *row;
    struct hr_store *store;
    struct hr_model *model;
    assert_int_equal(hr_zoo_find(&row, architecture), HR_OK);
    assert_int_equal(hr_synthetic_weights(&store, row, classes), HR_OK);
    assert_int_equal(hr_model_from_store(&model, store, name, options), HR_OK);
    return model;
}

static void expect_published(const char *architecture, int classes, const char *name,
                             const char *published)
{
    struct hr_model *model = named(architecture, classes, name, NULL);
    const struct hr_zoo_weights *row = hr_model_published(model);
    if (published) {
        assert_non_null(row);
        assert_string_equal(row->name, published);
    } else {
        assert_null(row);
    }
    hr_model_unref(model);
}

static void published_weights_are_of_their_network(void **state)
{
    (void)state;
    expect_published("HRNet_W18_C", 1000, "a/HRNet_W18_C_pretrained.pdparams", "HRNet_W18_C");
    expect_published("HRNet_W18_C", 102, "a/HRNet_W18_C_pretrained.pdparams", NULL);
    expect_published("hrnet_w18_small", 1000, "a/HRNet_W18_C_pretrained.pdparams", NULL);
    expect_published("HRNet_W18_C", 1000, "a/mine.pdparams", NULL);
}

static void a_replaced_head_keeps_the_recipe(void **state)
{
    const struct hr_model_options options = { .classes = 5, .replace_head = true };
    struct hr_model *model = named("HRNet_W18_C", 1000, "a/hrnetv2_w18-8cb57bb9.pth", &options);
    (void)state;
    assert_int_equal(hr_model_classes(model), 5);
    assert_true(hr_model_match(model)->head_replaced);
    /* Not the default of the names, which are Paddle's here. */
    assert_non_null(hr_model_published(model));
    assert_string_not_equal(hr_model_published(model)->recipe, "opencv");
    assert_string_equal(hr_model_recipe(model)->name, hr_model_published(model)->recipe);
    hr_model_unref(model);
}

/* name: of a file; recipe and short side: what its publisher evaluates with (timm's configurations,
 * paddleclas.md 4.4 and 8). */
static void published_weights_have_their_publishers_recipe(void **state)
{
    static const struct {
        const char *architecture, *name, *recipe;
        int resize_short;
    } cases[] = {
        { "HRNet_W18_C", "HRNet_W18_C_ssld_pretrained.pdparams", "opencv", 256 },
        { "HRNet_W18_C", "hrnetv2_w18-8cb57bb9.pth", "pillow", 256 },
        { "HRNet_W18_C", "hrnet_w18.ms_aug_in1k.safetensors", "pillow", 235 },
        { "HRNet_W18_C", "hrnet_w18_ssld.paddle_in1k.safetensors", "pillow", 235 },
        { "hrnet_w18_small", "hrnet_w18_small.gluon_in1k.safetensors", "pillow-bicubic", 256 },
        { "hrnet_w18_small", "hrnet_w18_small_v1-f460c6bc.pth", "pillow", 256 },
        { "HRNet_W18_C", "hrnetv2_w18_imagenet_pretrained.pth", "pillow", 256 },
        { "HRNet_W18_C", "HRNet_W18_C_ssld_pretrained.pth", "pillow", 256 },
        { "HRNet_W18_C", "HRNet_W18_C_cosinelr_cutmix_300epoch.pth.tar", "pillow", 256 },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_model *model = named(cases[i].architecture, 1000, cases[i].name, NULL);
        const struct hr_recipe *recipe = hr_model_recipe(model);
        assert_non_null(hr_model_published(model));
        assert_string_equal(recipe->name, cases[i].recipe);
        assert_int_equal(recipe->resize_short, cases[i].resize_short);
        assert_int_equal(recipe->crop_width, 224);
        assert_int_equal(recipe->crop_height, 224);
        hr_model_unref(model);
    }
}

/* ---- Files in a folder that goes at the end ---- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/hrnet-model-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static const char *place(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const struct {
    const char *file;
    enum hr_format format;
    enum hr_scheme scheme;
} files[] = { { "a.safetensors", HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE },
              { "b.safetensors", HR_FORMAT_SAFETENSORS, HR_SCHEME_TIMM },
              { "c.pdparams", HR_FORMAT_PADDLE, HR_SCHEME_PADDLE },
              { "d.pdparams", HR_FORMAT_PADDLE, HR_SCHEME_PADDLE_2_0 },
              { "e.pth", HR_FORMAT_TORCH, HR_SCHEME_MICROSOFT } };

/* Three labels, an odd recipe, Microsoft's order: all come back from every format. */
static void every_format_keeps_what_the_model_is(void **state)
{
    static const char *names[] = { "tench, Tinca", "crane", "\xe9\xb6\xb4" };
    const struct hr_labels labels = { (char **)(uintptr_t)names, 3 };
    struct hr_recipe recipe;
    (void)state;
    assert_int_equal(hr_recipe_named(&recipe, "pillow-bicubic"), HR_OK);
    recipe.crop_width = 96;
    recipe.mean[1] = 0.25f;
    const struct hr_model_options options = { .recipe = &recipe,
                                              .labels = &labels,
                                              .fuse_order = HR_FUSE_MICROSOFT,
                                              .fuse_order_set = true };
    const float logits[3] = { 1.5f, -2.0f, 0.25f };
    struct hr_model *model = named("hrnet_w18_small", 3, "mine", &options), *back;
    for (size_t i = 0; i < HR_COUNT(files); i++) {
        const char *path = place(files[i].file);
        char stored[65];
        assert_int_equal(hr_model_save(model, path, files[i].format, files[i].scheme, logits),
                         HR_OK);
        assert_int_equal(hr_model_open(&back, path, NULL), HR_OK);
        assert_memory_equal(hr_model_recipe(back), &recipe, sizeof recipe);
        assert_int_equal(hr_model_fuse_order(back), HR_FUSE_MICROSOFT);
        assert_int_equal(hr_model_labels(back)->count, 3);
        for (size_t k = 0; k < 3; k++)
            assert_string_equal(hr_model_labels(back)->names[k], names[k]);
        assert_memory_equal(hr_model_stored_self_test(back), logits, sizeof logits);
        assert_int_equal(hr_model_checksum(back, stored), HR_OK);
        assert_string_equal(hr_model_stored_checksum(back), stored);
        assert_int_equal(hr_model_match(back)->is.scheme, files[i].scheme);
        assert_false(hr_model_head_untrained(back));
        hr_model_unref(back);
        unlink(path);
    }
    hr_model_unref(model);
}

static void a_fresh_head_is_marked_in_every_format(void **state)
{
    const struct hr_model_options options = { .classes = 5, .replace_head = true };
    struct hr_model *model = named("hrnet_w18_small", 5, "mine", &options), *back;
    (void)state;
    /* Asked for is asked for, even with the same count. */
    assert_true(hr_model_match(model)->head_replaced && hr_model_head_untrained(model));
    for (size_t i = 0; i < HR_COUNT(files); i++) {
        const char *path = place(files[i].file);
        assert_int_equal(hr_model_save(model, path, files[i].format, files[i].scheme, NULL), HR_OK);
        assert_int_equal(hr_model_open(&back, path, NULL), HR_OK);
        assert_true(hr_model_head_untrained(back));
        assert_non_null(strstr(hr_model_match(back)->verdict, "its head is untrained"));
        hr_model_unref(back);
        unlink(path);
    }
    hr_model_unref(model);
}

static void half_a_model_keeps_what_it_is(void **state)
{
    struct hr_model *model = named("hrnet_w18_small", 3, "mine", NULL), *half, *back;
    const char *path = place("half.safetensors");
    char stored[65], whole[65];
    (void)state;
    assert_int_equal(hr_model_halve(&half, model), HR_OK);
    for (size_t i = 0; i < hr_store_count(hr_model_weights(half)); i++) {
        const struct hr_tensor *t = hr_store_tensor(hr_model_weights(half), i);
        assert_int_equal(t->dtype, t->shape.rank < 2 ? HR_DTYPE_F32 : HR_DTYPE_F16);
    }
    assert_int_equal(hr_model_save(half, path, HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE, NULL),
                     HR_OK);
    assert_int_equal(hr_model_open(&back, path, NULL), HR_OK);
    assert_int_equal(hr_model_checksum(back, stored), HR_OK);
    assert_string_equal(hr_model_stored_checksum(back), stored);
    assert_int_equal(hr_model_checksum(model, whole), HR_OK);
    assert_string_not_equal(whole, stored);
    assert_memory_equal(hr_model_recipe(back), hr_model_recipe(model), sizeof(struct hr_recipe));
    hr_model_unref(back);
    hr_model_unref(half);
    hr_model_unref(model);
    unlink(path);
}

/* ---- Schemes ---- */

static void answer(float *logits, struct hr_model *model)
{
    const struct hr_session_options options = {
        .batch = 1, .height = 64, .width = 64, .threads = 1, .cpu_flags = ~0u
    };
    static float x[3 * 64 * 64];
    struct hr_packs *packs;
    struct hr_session *session;
    hr_synthetic_fill(x, HR_COUNT(x), "scheme");
    assert_int_equal(hr_packs_create(&packs, hr_model_weights(model)), HR_OK);
    assert_int_equal(hr_session_create(&session, model, packs, &options), HR_OK);
    hr_session_run(session, x, 1, logits);
    hr_session_destroy(session);
    hr_packs_destroy(packs);
}

/* PyTorch's convolutions with a bias: b is added to bias and mean alike, which cancels. */
static void shift_head(struct hr_store *file)
{
    static const char *const layers[] = { "downsamp_modules.0", "downsamp_modules.1",
                                          "downsamp_modules.2", "final_layer" };
    for (size_t i = 0; i < HR_COUNT(layers); i++) {
        char bias[64], mean[64];
        snprintf(bias, sizeof bias, "%s.0.bias", layers[i]);
        snprintf(mean, sizeof mean, "%s.1.running_mean", layers[i]);
        const struct hr_tensor *b = hr_store_find(file, bias), *m = hr_store_find(file, mean);
        float *to_bias = (float *)(uintptr_t)b->data, *to_mean = (float *)(uintptr_t)m->data;
        for (int64_t k = 0; k < b->shape.dim[0]; k++) {
            to_bias[k] += 0.125f * (float)(k % 7);
            to_mean[k] += 0.125f * (float)(k % 7);
        }
    }
}

static void schemes_agree(const char *architecture)
{
    static float want[10], got[10];
    const struct hr_zoo_row *row;
    struct hr_store *weights, *file;
    struct hr_model *model = named(architecture, 10, "canonical", NULL);
    float largest = 0;
    answer(want, model);
    hr_model_unref(model);
    for (int k = 0; k < 10; k++)
        largest = want[k] > largest ? want[k] : -want[k] > largest ? -want[k] : largest;
    assert_true(largest > 0.01f);
    assert_int_equal(hr_zoo_find(&row, architecture), HR_OK);
    for (int s = 0; s < HR_SCHEME_COUNT; s++) {
        assert_int_equal(hr_synthetic_weights(&weights, row, 10), HR_OK);
        assert_int_equal(hr_names_export(&file, weights, (enum hr_scheme)s), HR_OK);
        if (hr_scheme_is_torch((enum hr_scheme)s))
            shift_head(file);
        assert_int_equal(hr_store_take_memory(file, weights), HR_OK);
        hr_store_destroy(weights);
        assert_int_equal(hr_model_from_store(&model, file, "scheme", NULL), HR_OK);
        assert_int_equal(hr_model_match(model)->is.scheme, s);
        answer(got, model);
        for (int k = 0; k < 10; k++)
            assert_true(got[k] - want[k] <= 1e-5f * largest && want[k] - got[k] <= 1e-5f * largest);
        hr_model_unref(model);
    }
}

static void the_four_schemes_give_equal_logits(void **state)
{
    (void)state;
    schemes_agree("hrnet_w18_small");
    schemes_agree("HRNet_W18_C");
}

/* ---- Memory ---- */

static size_t left; /* of jansson's allocations, those that still succeed */

static void *scarce_json(size_t bytes)
{
    return left && left-- ? malloc(bytes) : NULL;
}

/* Every call of opening a file fails in turn: never is the file blamed. */
static void opening_may_run_out_of_memory_anywhere(void **state)
{
    struct hr_model *model = named("hrnet_w18_small", 3, "mine", NULL), *back;
    const float logits[3] = { 1, 2, 3 };
    (void)state;
    for (size_t i = 2; i < HR_COUNT(files); i += 2) { /* Paddle's and PyTorch's */
        struct hr_map map;
        const char *path = place(files[i].file);
        assert_int_equal(hr_model_save(model, path, files[i].format, files[i].scheme, logits),
                         HR_OK);
        assert_int_equal(hr_map_open(&map, path), HR_OK);
        unlink(path);
        enum hr_status status = HR_E_MEMORY;
        size_t n = 0;
        for (; status == HR_E_MEMORY; n++) {
            hostile_memory_limit(n);
            status = hr_model_open_memory(&back, map.data, map.size, files[i].file, NULL);
        }
        hostile_memory_limit(SIZE_MAX);
        if (status != HR_OK)
            fail_msg("call %zu of %s: %s", n, files[i].file, hr_last_message());
        hr_model_unref(back);
        (void)hostile_memory_restore();
        hr_map_close(&map);
        assert_true(n > 200);
        print_message("%s: %zu calls failed in turn\n", files[i].file, n - 1);
    }
    hr_model_unref(model);
}

/* jansson's memory ends while the labels are written: they are not called bad text. */
static void labels_without_memory_are_not_called_bad_text(void **state)
{
    static const char *names[] = { "a", "b", "c" };
    const struct hr_labels labels = { (char **)(uintptr_t)names, 3 };
    const struct hr_model_options options = { .labels = &labels };
    struct hr_model *model = named("hrnet_w18_small", 3, "mine", &options);
    const char *path = place("x.safetensors");
    (void)state;
    json_set_alloc_funcs(scarce_json, free);
    for (size_t n = 0; n < 40; n++) { /* recipe and labels come first; a save takes 0.1 s */
        left = n;
        if (hr_model_save(model, path, HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE, NULL) !=
            HR_E_MEMORY)
            fail_msg("call %zu: %s", n, hr_last_message());
    }
    json_set_alloc_funcs(malloc, free);
    hr_model_unref(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_weights_are_of_their_network),
        cmocka_unit_test(a_replaced_head_keeps_the_recipe),
        cmocka_unit_test(published_weights_have_their_publishers_recipe),
        cmocka_unit_test(every_format_keeps_what_the_model_is),
        cmocka_unit_test(a_fresh_head_is_marked_in_every_format),
        cmocka_unit_test(half_a_model_keeps_what_it_is),
        cmocka_unit_test(the_four_schemes_give_equal_logits),
        cmocka_unit_test(opening_may_run_out_of_memory_anywhere),
        cmocka_unit_test(labels_without_memory_are_not_called_bad_text),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
