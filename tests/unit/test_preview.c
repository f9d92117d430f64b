/* SPDX-License-Identifier: Apache-2.0
 * Sheets: what is where, and that rows of other values share their draws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "train/preview.h"

#define SIDE 40

static const char *const paths[] = { HRNET_TESTS_DIR "/data/augment/cup.ppm",
                                     HRNET_TESTS_DIR "/data/pictures/cat_420.jpg" };

static struct hr_preview_options options_of(const char *chain)
{
    struct hr_preview_options o = {
        .paths = paths, .count = 2, .rows = 2, .columns = 3, .seed = 5
    };
    assert_int_equal(hr_recipe_named(&o.sample.recipe, "opencv"), HR_OK);
    o.sample.recipe.crop_width = o.sample.recipe.crop_height = SIDE;
    o.sample.recipe.resize_short = SIDE;
    assert_int_equal(hr_augment_parse(&o.sample.augment, chain), HR_OK);
    return o;
}

/* Tile `column` of `row` of a sheet of `rows` (hr_draw_sheet: gaps of 8 px). */
static const uint8_t *tile(const struct hr_image *sheet, int rows, int row, int column, int y)
{
    const int64_t down = (sheet->height - 8) / rows;
    return sheet->pixels + ((8 + row * down + y) * sheet->width + 8 + column * (SIDE + 8)) * 3;
}

/* Without an augmentation every tile of a picture is its plain one: the first row shows picture 1
 * in tiles 0, 1 and 3, the second picture 2 in 0, 1 and 3. */
static void tiles_are_samples(void **state)
{
    const struct hr_preview_options o = options_of("flip:p=0");
    struct hr_image sheet = { 0 };
    (void)state;
    assert_int_equal(hr_preview(&sheet, &o), HR_OK);
    assert_int_equal(sheet.width, 8 + 4 * (SIDE + 8));
    for (int y = 0; y < SIDE; y++)
        for (int row = 0; row < 2; row++) {
            const uint8_t *const plain = tile(&sheet, 2, row, 0, y);
            assert_memory_equal(plain, tile(&sheet, 2, row, 1, y), 3 * SIDE);
            assert_memory_equal(plain, tile(&sheet, 2, row, 3, y), 3 * SIDE);
            assert_memory_not_equal(plain, tile(&sheet, 2, 1 - row, 0, y), 3 * SIDE);
        }
    hr_image_fini(&sheet);
}

static void values_make_rows(void **state)
{
    struct hr_preview_options o = options_of("randaugment:n=2;cutmix:p=0");
    struct hr_image sheet = { 0 }, again = { 0 };
    int differ = 0;
    (void)state;
    o.vary = "m=1,1,9";
    assert_int_equal(hr_preview(&sheet, &o), HR_OK);
    assert_int_equal(hr_preview(&again, &o), HR_OK);
    assert_memory_equal(sheet.pixels, again.pixels, (size_t)(sheet.width * sheet.height * 3));
    for (int y = 0; y < SIDE; y++)
        for (int column = 0; column < 4; column++) {
            const uint8_t *const first = tile(&sheet, 3, 0, column, y);
            assert_memory_equal(first, tile(&sheet, 3, 1, column, y), 3 * SIDE);
            differ += memcmp(first, tile(&sheet, 3, 2, column, y), 3 * SIDE) != 0;
        }
    assert_true(differ > SIDE);
    hr_image_fini(&sheet);
    hr_image_fini(&again);
}

static void what_cannot_be_drawn_is_refused(void **state)
{
    struct hr_preview_options o = options_of("mixup");
    struct hr_image sheet = { 0 };
    (void)state;
    o.vary = "alpha";
    assert_int_equal(hr_preview(&sheet, &o), HR_E_ARGUMENT);
    o.vary = "alpha=";
    assert_int_equal(hr_preview(&sheet, &o), HR_E_ARGUMENT);
    o.vary = "alpha=1,,2";
    assert_int_equal(hr_preview(&sheet, &o), HR_E_ARGUMENT);
    o.vary = NULL;
    o.rows = 1000;
    assert_int_equal(hr_preview(&sheet, &o), HR_E_ARGUMENT);
    o.rows = 1;
    o.paths = (const char *const[]){ "/nowhere.jpg", "/nowhere.jpg" };
    assert_int_equal(hr_preview(&sheet, &o), HR_E_NOT_FOUND);
    assert_null(sheet.pixels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_samples),
        cmocka_unit_test(values_make_rows),
        cmocka_unit_test(what_cannot_be_drawn_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
