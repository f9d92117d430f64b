/* SPDX-License-Identifier: Apache-2.0
 * Recipes bit for bit: the crops that OpenCV 4.6 and Pillow 9.4 make of pictures of every awkward
 * kind (SHA-256 of their 224x224 RGB bytes), the rounding rules, normalisation, JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "image/image.h"
#include "image/recipe.h"

#define PICTURES HRNET_TESTS_DIR "/data/pictures/"

static void decode_file(struct hr_image *image, struct hr_decode_report *report, const char *name)
{
    char path[512];
    struct hr_map map = { 0 };
    snprintf(path, sizeof path, PICTURES "%s", name);
    assert_int_equal(hr_map_open(&map, path), HR_OK);
    if (hr_image_decode(image, report, map.data, map.size, name, NULL) != HR_OK)
        fail_msg("%s", hr_last_message());
    hr_map_close(&map);
}

static void digest_of(char hex[65], const struct hr_image *image)
{
    struct hr_sha256 h;
    uint8_t digest[32];
    hr_sha256_init(&h);
    hr_sha256_update(&h, image->pixels, (size_t)(image->width * image->height * 3));
    hr_sha256_final(&h, digest);
    hr_hex(hex, digest);
}

static void golden_crops(void **state)
{
    char name[128], recipe_name[32], want[65], got[65];
    int count = 0, wrong = 0;
    FILE *list = fopen(PICTURES "expected_crops.txt", "r");
    (void)state;
    assert_non_null(list);
    while (fscanf(list, "%127s %31s %64s", name, recipe_name, want) == 3) {
        struct hr_recipe recipe;
        struct hr_image image = { 0 }, crop = { 0 };
        assert_int_equal(hr_recipe_named(&recipe, recipe_name), HR_OK);
        decode_file(&image, NULL, name);
        assert_int_equal(hr_recipe_crop(&recipe, &image, &crop), HR_OK);
        digest_of(got, &crop);
        if (strcmp(got, want) != 0) {
            print_error("%s with %s is not bit-equal\n", name, recipe_name);
            wrong++;
        }
        hr_image_fini(&crop);
        hr_image_fini(&image);
        count++;
    }
    fclose(list);
    assert_int_equal(wrong, 0);
    assert_int_equal(count, 42);
}

/* From float32 arithmetic without fused steps; bits of NumPy 1.24. */
static void normalise_bits(void **state)
{
    struct hr_recipe train, deploy;
    struct hr_image image = { 0 };
    float x[3 * 256];
    (void)state;
    assert_int_equal(hr_recipe_named(&train, "opencv"), HR_OK);
    assert_int_equal(hr_recipe_named(&deploy, "opencv-deploy"), HR_OK);
    assert_int_equal(hr_image_init(&image, 256, 1), HR_OK);
    for (int v = 0; v < 256; v++)
        memset(image.pixels + 3 * v, v, 3);
    for (int d = 0; d < 2; d++) {
        const uint32_t want[2] = { 0x25d61ba3u, 0xb2c4e897u }; /* FNV-1a over the 768 floats */
        uint32_t h = 0x811c9dc5u;
        hr_recipe_normalise(d ? &deploy : &train, &image, x);
        for (size_t i = 0; i < sizeof x; i++)
            h = (h ^ ((const uint8_t *)x)[i]) * 0x01000193u;
        assert_int_equal(h, want[d]);
    }
    hr_image_fini(&image);
}

static void check_size(const char *name, int w, int h, int want_w, int want_h)
{
    struct hr_recipe r;
    int64_t got_w = 0, got_h = 0;
    assert_int_equal(hr_recipe_named(&r, name), HR_OK);
    assert_int_equal(hr_recipe_resized(&r, w, h, &got_w, &got_h), HR_OK);
    assert_int_equal(got_w, want_w);
    assert_int_equal(got_h, want_h);
}

static void sizes(void **state)
{
    (void)state;
    check_size("opencv", 500, 375, 341, 256);
    check_size("opencv", 500, 333, 384, 256);
    check_size("opencv", 1024, 683, 384, 256);
    check_size("opencv", 512, 541, 256, 270); /* 270.5: half to even */
    check_size("opencv", 451, 300, 385, 256);
    check_size("pillow", 451, 300, 384, 256); /* truncated */
    check_size("opencv", 1, 10000, 256, 2560000);
}

/* users.md C8: columns 255, 0, 0, 255 shrunk four times: plain bilinear sees only the zeros. */
static void stripes_tell_the_kernel(void **state)
{
    struct hr_image image = { 0 }, crop = { 0 };
    struct hr_recipe r;
    (void)state;
    assert_int_equal(hr_image_init(&image, 1024, 1024), HR_OK);
    for (int64_t i = 0; i < 1024 * 1024; i++)
        memset(image.pixels + 3 * i, i % 4 == 0 || i % 4 == 3 ? 255 : 0, 3);
    assert_int_equal(hr_recipe_named(&r, "opencv"), HR_OK);
    assert_int_equal(hr_recipe_crop(&r, &image, &crop), HR_OK);
    for (int64_t i = 0; i < 224 * 224 * 3; i++)
        assert_int_equal(crop.pixels[i], 0);
    hr_image_fini(&crop);
    assert_int_equal(hr_recipe_named(&r, "pillow"), HR_OK);
    assert_int_equal(hr_recipe_crop(&r, &image, &crop), HR_OK);
    for (int64_t i = 0; i < 224 * 224 * 3; i++)
        assert_in_range(crop.pixels[i], 127, 128);
    hr_image_fini(&crop);
    hr_image_fini(&image);
}

/* A 1 x 10000 picture would be 256 x 2,560,000 (2 GB) if it were resized whole. */
static void extreme_shapes_stay_small(void **state)
{
    static const char *const names[] = { "opencv", "pillow", "pillow-bicubic" };
    struct rusage before, after;
    (void)state;
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        for (int turned = 0; turned < 2; turned++) {
            struct hr_image image = { 0 }, crop = { 0 };
            struct hr_recipe r;
            assert_int_equal(hr_image_init(&image, turned ? 10000 : 1, turned ? 1 : 10000), HR_OK);
            memset(image.pixels, 77, 30000);
            assert_int_equal(hr_recipe_named(&r, names[i]), HR_OK);
            assert_int_equal(hr_recipe_crop(&r, &image, &crop), HR_OK);
            for (int64_t p = 0; p < 224 * 224 * 3; p++)
                assert_int_equal(crop.pixels[p], 77);
            hr_image_fini(&crop);
            hr_image_fini(&image);
        }
    }
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 20 * 1024);
}

static void json_round_trip(void **state)
{
    static const char *const names[] = { "opencv", "opencv-deploy", "pillow", "pillow-bicubic" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        struct hr_recipe a, b;
        struct hr_text text = { 0 };
        assert_int_equal(hr_recipe_named(&a, names[i]), HR_OK);
        hr_recipe_print(&a, &text);
        assert_int_equal(hr_recipe_parse(&b, hr_text_str(&text)), HR_OK);
        assert_string_equal(a.name, b.name);
        assert_int_equal(a.resize, b.resize);
        assert_memory_equal(&a.resize_short, &b.resize_short, 3 * sizeof(int));
        assert_memory_equal(&a.scale, &b.scale, 7 * sizeof(float));
        hr_text_fini(&text);
    }
}

static void refuse(const char *json, const char *want)
{
    struct hr_recipe r;
    assert_int_not_equal(hr_recipe_parse(&r, json), HR_OK);
    if (!strstr(hr_last_message(), want))
        fail_msg("%s: '%s' lacks '%s'", json, hr_last_message(), want);
}

static void bad_json(void **state)
{
    (void)state;
    refuse("", "JSON");
    refuse("[]", "JSON object");
    refuse("{\"resise\":1}", "'resise' is not known");
    refuse("{\"resize\":\"lanczos\"}", "'resize' is not valid");
    refuse("{\"name\":\"a name of thirty-two characters or\"}", "'name' is not valid");
    refuse("{\"crop_width\":0}", "crop_width");
    refuse("{\"crop_width\":99999999999}", "crop_width");
    refuse("{\"mean\":[1,2]}", "'mean'");
    refuse("{\"deviation\":[1,0,1]}", "deviation");
    refuse("{\"scale\":1,\"scale\":2}", "JSON");
}

static void small_pictures_are_refused_by_size(void **state)
{
    struct hr_recipe r;
    struct hr_image image = { 0 }, crop = { 0 };
    (void)state;
    assert_int_equal(hr_recipe_named(&r, "opencv"), HR_OK);
    r.resize_short = 100;
    assert_int_equal(hr_image_init(&image, 300, 300), HR_OK);
    assert_int_equal(hr_recipe_crop(&r, &image, &crop), HR_E_SHAPE);
    assert_non_null(strstr(hr_last_message(), "100x100"));
    hr_image_fini(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extreme_shapes_stay_small), /* first: it looks at the peak */
        cmocka_unit_test(golden_crops),
        cmocka_unit_test(normalise_bits),
        cmocka_unit_test(sizes),
        cmocka_unit_test(stripes_tell_the_kernel),
        cmocka_unit_test(json_round_trip),
        cmocka_unit_test(bad_json),
        cmocka_unit_test(small_pictures_are_refused_by_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
