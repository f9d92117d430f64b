/* SPDX-License-Identifier: Apache-2.0
 * Pictures through the public API: a file, its bytes and its pixels give the same tensor; what the
 * report says; refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hrnet/hrnet.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "image/image.h"

#define PICTURES HRNET_TESTS_DIR "/data/pictures/"
#define FLOATS   (3 * 224 * 224)

static float by_file[FLOATS], by_bytes[FLOATS], by_pixels[FLOATS];
static uint8_t crop[FLOATS];

static void compare_paths(const struct hrnet_recipe *recipe, const char *name)
{
    char path[512];
    struct hr_map map = { 0 };
    struct hr_image image = { 0 };
    struct hrnet_picture_report report;
    snprintf(path, sizeof path, PICTURES "%s", name);
    assert_int_equal(hr_map_open(&map, path), HR_OK);
    assert_int_equal(hr_image_decode(&image, NULL, map.data, map.size, name, NULL), HR_OK);
    memset(by_bytes, 0, sizeof by_bytes);
    memset(by_pixels, 0, sizeof by_pixels);
    assert_int_equal(hrnet_preprocess_file(recipe, path, NULL, by_file, &report), HRNET_OK);
    assert_int_equal(
        hrnet_preprocess_memory(recipe, map.data, map.size, name, NULL, by_bytes, NULL), HRNET_OK);
    assert_int_equal(
        hrnet_preprocess_pixels(recipe, image.pixels, image.width, image.height, by_pixels),
        HRNET_OK);
    assert_int_equal(hrnet_preprocess_crop(recipe, map.data, map.size, name, NULL, crop, NULL),
                     HRNET_OK);
    assert_memory_equal(by_file, by_bytes, sizeof by_file);
    assert_memory_equal(by_file, by_pixels, sizeof by_file);
    for (int c = 0; c < 3; c++) {
        float t = (float)crop[c] * recipe->scale; /* the first pixel */
        t -= recipe->mean[c];
        t /= recipe->deviation[c];
        assert_memory_equal(&t, &by_file[c * 224 * 224], sizeof t);
    }
    assert_int_equal(report.width, image.width);
    assert_int_equal(report.height, image.height);
    hr_image_fini(&image);
    hr_map_close(&map);
}

static void three_paths_one_tensor(void **state)
{
    static const char *const recipes[] = { "opencv", "opencv-deploy", "pillow", "pillow-bicubic" };
    static const char *const names[] = { "cat_420.jpg", "cmyk.jpg",    "orient6.jpg",
                                         "one.png",     "rocket.webp", "small.bmp" };
    (void)state;
    for (size_t r = 0; r < sizeof recipes / sizeof *recipes; r++) {
        struct hrnet_recipe recipe;
        assert_int_equal(hrnet_recipe_named(recipes[r], &recipe), HRNET_OK);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            compare_paths(&recipe, names[i]);
    }
}

static void the_report_tells(void **state)
{
    struct hrnet_recipe recipe;
    struct hrnet_picture_report report;
    (void)state;
    assert_int_equal(hrnet_recipe_named("opencv", &recipe), HRNET_OK);
    assert_int_equal(hrnet_preprocess_file(&recipe, PICTURES "orient6.jpg", NULL, by_file, &report),
                     HRNET_OK);
    assert_string_equal(report.format, "JPEG");
    assert_int_equal(report.orientation, 6);
    assert_int_equal(report.width, 80);
    assert_int_equal(report.height, 120);
    assert_int_equal(report.truncated, 0);
    assert_string_equal(report.warning, "");
}

static void refusals(void **state)
{
    struct hrnet_recipe recipe;
    const uint8_t rgb[3] = { 1, 2, 3 };
    (void)state;
    assert_int_equal(hrnet_recipe_named("opencv", &recipe), HRNET_OK);
    assert_int_equal(hrnet_preprocess_file(&recipe, PICTURES "none.jpg", NULL, by_file, NULL),
                     HRNET_E_NOT_FOUND);
    assert_non_null(strstr(hrnet_last_error(), "none.jpg"));
    assert_int_equal(hrnet_preprocess_memory(&recipe, "", 0, "nothing", NULL, by_file, NULL),
                     HRNET_E_FORMAT);
    assert_non_null(strstr(hrnet_last_error(), "nothing"));
    assert_int_equal(hrnet_preprocess_pixels(&recipe, rgb, 0, 1, by_file), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_preprocess_pixels(&recipe, NULL, 1, 1, by_file), HRNET_E_ARGUMENT);
    recipe.deviation[1] = 0;
    assert_int_equal(hrnet_preprocess_pixels(&recipe, rgb, 1, 1, by_file), HRNET_E_ARGUMENT);
    assert_non_null(strstr(hrnet_last_error(), "deviation"));
}

static void pixels_become_a_png(void **state)
{
    const uint8_t rgb[6] = { 1, 2, 3, 250, 128, 0 };
    struct hr_image back = { 0 };
    uint8_t *png = NULL;
    size_t size = 0;
    (void)state;
    assert_int_equal(hrnet_encode_png(rgb, 2, 1, &png, &size), HRNET_OK);
    assert_int_equal(hr_image_decode(&back, NULL, png, size, "back", NULL), HR_OK);
    assert_int_equal(back.width, 2);
    assert_memory_equal(back.pixels, rgb, sizeof rgb);
    hr_image_fini(&back);
    hrnet_free(png);
    hrnet_free(NULL);
    assert_int_equal(hrnet_encode_png(rgb, 0, 1, &png, &size), HRNET_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_paths_one_tensor),
        cmocka_unit_test(the_report_tells),
        cmocka_unit_test(refusals),
        cmocka_unit_test(pixels_become_a_png),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
