/* SPDX-License-Identifier: Apache-2.0
 * Colour maps, interpolation, overlays, letters and sheets, pixel by pixel; nothing is drawn
 * outside. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "hostile.h"
#include "image/draw.h"

static struct hr_image blank(int64_t width, int64_t height, uint32_t colour)
{
    struct hr_image image = { 0 };
    assert_int_equal(hr_image_init(&image, width, height), HR_OK);
    hr_draw_box(&image, 0, 0, width, height, colour);
    return image;
}

static uint32_t colour_at(const struct hr_image *image, int64_t x, int64_t y)
{
    const uint8_t *p = image->pixels + (y * image->width + x) * 3;
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

/* One row of '#' (ink) and '.' (anything else) a line of the picture, from (x, y). */
static void looks_like(const struct hr_image *image, int64_t x, int64_t y, uint32_t ink,
                       const char *const *rows, int count)
{
    for (int row = 0; row < count; row++)
        for (int64_t column = 0; rows[row][column]; column++)
            if ((colour_at(image, x + column, y + row) == ink) != (rows[row][column] == '#'))
                fail_msg("pixel (%d,%d) is %06x", (int)(x + column), (int)(y + row),
                         (unsigned)colour_at(image, x + column, y + row));
}

/* ---- Colours and fields ---- */

static void colours_run_from_end_to_end(void **state)
{
    (void)state;
    assert_int_equal(hr_draw_colour(HR_COLOURS_HEAT, 0), 0x1c2078);
    assert_int_equal(hr_draw_colour(HR_COLOURS_HEAT, 1), 0xd6221e);
    assert_int_equal(hr_draw_colour(HR_COLOURS_HEAT, 0.5f), 0x46c478);
    assert_int_equal(hr_draw_colour(HR_COLOURS_HEAT, 0.125f), 0x1a55a4); /* halfway, to even */
    assert_int_equal(hr_draw_colour(HR_COLOURS_HEAT, -5), 0x1c2078);
    assert_int_equal(hr_draw_colour(HR_COLOURS_HEAT, INFINITY), 0xd6221e);
    assert_int_equal(hr_draw_colour(HR_COLOURS_GLOW, 0), 0x04040e);
    assert_int_equal(hr_draw_colour(HR_COLOURS_GLOW, 1), 0xfff4c8);
    assert_int_equal(hr_draw_colour(HR_COLOURS_GLOW, NAN), 0x808080);
}

static void range_leaves_out_what_is_not_finite(void **state)
{
    static const float values[] = { 3, NAN, -1, INFINITY, 2, -INFINITY }, none[] = { NAN };
    struct hr_field field = { .values = values, .width = 3, .height = 2 };
    (void)state;
    hr_field_range(&field);
    assert_true(field.least == -1 && field.most == 3);
    field = (struct hr_field){ .values = none, .width = 1, .height = 1, .least = 7, .most = 8 };
    hr_field_range(&field);
    assert_true(field.least == 0 && field.most == 0);
}

static void field_is_interpolated_between_centres(void **state)
{
    static const float values[] = { 0, 4, 8, 12 };
    const struct hr_field field = { .values = values, .width = 2, .height = 2 };
    (void)state;
    /* Four output pixels over two: centres at -1/4, 1/4, 3/4 and 5/4 of them. */
    assert_true(hr_field_at(&field, 4, 4, 0, 0) == 0);
    assert_true(hr_field_at(&field, 4, 4, 1, 0) == 1);
    assert_true(hr_field_at(&field, 4, 4, 2, 0) == 3);
    assert_true(hr_field_at(&field, 4, 4, 3, 3) == 12);
    assert_true(hr_field_at(&field, 4, 4, 1, 2) == 7);
    assert_true(hr_field_at(&field, 2, 2, 1, 0) == 4);
    assert_true(hr_field_at(&field, 1, 1, 0, 0) == 6);
}

static void field_becomes_blocks(void **state)
{
    static const float values[] = { 0, 1, 2, NAN };
    struct hr_field field = { .values = values, .width = 2, .height = 2 };
    struct hr_image image = blank(4, 6, 0);
    (void)state;
    hr_field_range(&field);
    hr_draw_field(&image, &field, HR_COLOURS_HEAT);
    for (int64_t i = 0; i < 24; i++) {
        const int64_t x = i % 4, y = i / 4;
        static const uint32_t want[] = { 0x1c2078, 0x46c478, 0xd6221e, 0x808080 };
        assert_int_equal(colour_at(&image, x, y), want[y / 3 * 2 + x / 2]);
    }
    field.least = field.most; /* no range: nothing stands out */
    hr_draw_field(&image, &field, HR_COLOURS_HEAT);
    assert_int_equal(colour_at(&image, 0, 5), 0x1c2078);
    hr_image_fini(&image);
}

static void overlay_is_denser_where_more_is(void **state)
{
    static const float values[] = { 0, 1 };
    const struct hr_field field = { .values = values, .width = 2, .height = 1, .most = 1 };
    struct hr_image image = blank(2, 1, 0);
    (void)state;
    hr_draw_overlay(&image, &field, HR_COLOURS_HEAT);
    assert_int_equal(colour_at(&image, 0, 0), 0x07081e); /* a quarter of 1c2078 */
    assert_int_equal(colour_at(&image, 1, 0), 0x8b1614); /* .65 of d6221e */
    hr_image_fini(&image);
}

/* ---- Boxes, pictures, letters ---- */

static void nothing_is_drawn_outside(void **state)
{
    struct hr_image image = blank(4, 3, 0), stamp = blank(3, 3, 0xff0000);
    static const char *const box[] = { "##..", "##..", "...." };
    static const char *const corner[] = { "....", "...#", "...#" };
    (void)state;
    hr_draw_box(&image, -7, -1, 9, 3, 0xffffff);
    hr_draw_box(&image, 4, 0, 5, 5, 0xffffff);
    hr_draw_box(&image, 0, 3, 5, 5, 0xffffff);
    looks_like(&image, 0, 0, 0xffffff, box, 3);
    hr_draw_paste(&image, &stamp, 3, 1);
    hr_draw_paste(&image, &stamp, 4, 0);
    hr_draw_paste(&image, &stamp, -3, 0);
    hr_draw_paste(&image, &stamp, 0, -3);
    looks_like(&image, 0, 0, 0xff0000, corner, 3);
    hr_draw_text(&image, -3, -5, 3, 0x00ff00, "##\n##");
    hr_draw_text(&image, 90, 2, 1, 0x00ff00, "far away");
    hr_image_fini(&image);
    hr_image_fini(&stamp);
}

static void stamp_keeps_its_part(void **state)
{
    struct hr_image image = blank(2, 2, 0), stamp = blank(2, 2, 0);
    (void)state;
    hr_draw_box(&stamp, 1, 1, 1, 1, 0x123456);
    hr_draw_paste(&image, &stamp, -1, -1);
    assert_int_equal(colour_at(&image, 0, 0), 0x123456);
    assert_int_equal(colour_at(&image, 1, 1), 0);
    hr_image_fini(&image);
    hr_image_fini(&stamp);
}

static void letters_can_be_read(void **state)
{
    static const char *const ell_jay[] = {
        "#........#.", "#..........", "#.......##.", "#........#.",
        "#........#.", "#........#.", "#####.#..#.", ".......##..",
    };
    static const char *const box[] = { "#####", "#...#", "#...#", "#...#",
                                       "#...#", "#...#", "#####", "....." };
    struct hr_image image = blank(40, 40, 0xffffff);
    (void)state;
    hr_draw_text(&image, 2, 1, 1, 0x202020, "Lj");
    looks_like(&image, 2, 1, 0x202020, ell_jay, 8);
    hr_draw_text(&image, 2, 11, 1, 0x303030, "\xe7\x8c\xab\nL\x01"); /* one character, one box */
    looks_like(&image, 2, 11, 0x303030, box, 8);
    assert_int_equal(colour_at(&image, 8, 11), 0xffffff);
    assert_int_equal(colour_at(&image, 2, 21), 0x303030);
    looks_like(&image, 8, 21, 0x303030, box, 8);
    hr_draw_text(&image, 20, 0, 2, 0x404040, "L");
    assert_int_equal(colour_at(&image, 21, 1), 0x404040);
    assert_int_equal(colour_at(&image, 22, 11), 0xffffff);
    assert_int_equal(colour_at(&image, 29, 13), 0x404040);
    hr_image_fini(&image);
}

static void every_letter_differs(void **state)
{
    static uint8_t seen[96][5 * 8 * 3];
    (void)state;
    for (int c = 32; c < 128; c++) {
        struct hr_image image = blank(5, 8, 0);
        const char text[2] = { (char)c, 0 };
        hr_draw_text(&image, 0, 0, 1, 0xffffff, text);
        memcpy(seen[c - 32], image.pixels, sizeof seen[0]);
        for (int d = 0; d < c - 32; d++)
            assert_memory_not_equal(seen[d], image.pixels, sizeof seen[0]);
        hr_image_fini(&image);
    }
}

/* ---- Thumbnails and sheets ---- */

static void thumbnails_keep_their_shape(void **state)
{
    static const int64_t cases[][6] = { { 400, 200, 100, 100, 100, 50 },
                                        { 200, 400, 100, 100, 50, 100 },
                                        { 30, 20, 100, 100, 30, 20 },
                                        { 1000, 2, 100, 100, 100, 1 } };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct hr_image image = blank(cases[i][0], cases[i][1], 0x336699), small = { 0 };
        assert_int_equal(hr_draw_thumbnail(&small, &image, cases[i][2], cases[i][3]), HR_OK);
        assert_int_equal(small.width, cases[i][4]);
        assert_int_equal(small.height, cases[i][5]);
        assert_int_equal(colour_at(&small, small.width - 1, small.height - 1), 0x336699);
        hr_image_fini(&image);
        hr_image_fini(&small);
    }
}

static void sheet_has_its_tiles_and_captions(void **state)
{
    struct hr_image red = blank(16, 10, 0xff0000), blue = blank(11, 20, 0x0000ff), out = { 0 };
    const struct hr_tile tiles[] = {
        { &red, "LLLLL\nL" }, { &blue, NULL }, { &red, "" }, { NULL, NULL }
    };
    const struct hr_sheet sheet = { .tiles = tiles, .count = 4, .columns = 2, .scale = 1 };
    (void)state;
    assert_int_equal(hr_draw_sheet(&out, &sheet), HR_OK);
    assert_int_equal(out.width, 8 + 2 * (16 + 8));
    assert_int_equal(out.height, 8 + 2 * (20 + 8 + 2 * HR_DRAW_LINE + 4));
    assert_int_equal(colour_at(&out, 7, 8), 0xffffff);
    assert_int_equal(colour_at(&out, 8, 8), 0xff0000);
    assert_int_equal(colour_at(&out, 23, 17), 0xff0000);
    assert_int_equal(colour_at(&out, 32, 8), 0x0000ff);
    assert_int_equal(colour_at(&out, 8, 8 + 52), 0xff0000);
    assert_int_equal(colour_at(&out, 32, 8 + 52), 0xffffff); /* empty */
    /* Below the tallest: two of five letters fit; the second line is there. */
    assert_int_equal(colour_at(&out, 8, 32), 0x202020);
    assert_int_equal(colour_at(&out, 14, 32), 0x202020);
    assert_int_equal(colour_at(&out, 20, 32), 0xffffff);
    assert_int_equal(colour_at(&out, 8, 42), 0x202020);
    hr_image_fini(&out);
    hr_image_fini(&red);
    hr_image_fini(&blue);
}

static void failing_memory_is_reported(void **state)
{
    struct hr_image image = blank(64, 64, 0x808080), out = { 0 };
    const struct hr_tile tile = { &image, "one" };
    const struct hr_sheet sheet = { .tiles = &tile, .count = 1, .columns = 1, .scale = 1 };
    enum hr_status status = HR_E_MEMORY;
    unsigned n = 0;
    (void)state;
    for (; status != HR_OK && n < 20; n++) {
        hostile_memory_limit(n);
        status = hr_draw_thumbnail(&out, &image, 8, 8);
        (void)hostile_memory_restore();
        assert_true(status == HR_OK || (status == HR_E_MEMORY && !out.pixels));
    }
    assert_in_range(n, 2, 19);
    hr_image_fini(&out);
    hostile_memory_limit(0);
    assert_int_equal(hr_draw_sheet(&out, &sheet), HR_E_MEMORY);
    (void)hostile_memory_restore();
    assert_null(out.pixels);
    hr_image_fini(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_run_from_end_to_end),
        cmocka_unit_test(range_leaves_out_what_is_not_finite),
        cmocka_unit_test(field_is_interpolated_between_centres),
        cmocka_unit_test(field_becomes_blocks),
        cmocka_unit_test(overlay_is_denser_where_more_is),
        cmocka_unit_test(nothing_is_drawn_outside),
        cmocka_unit_test(stamp_keeps_its_part),
        cmocka_unit_test(letters_can_be_read),
        cmocka_unit_test(every_letter_differs),
        cmocka_unit_test(thumbnails_keep_their_shape),
        cmocka_unit_test(sheet_has_its_tiles_and_captions),
        cmocka_unit_test(failing_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
