/* SPDX-License-Identifier: Apache-2.0
 * Pictures of every kind, made here or taken from data/pictures: right colours, orientation, what
 * bytes are named, limits, cut-off files, failing memory.  Cases of users.md C1, C2, C4, C6, C15.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "hostile.h"
#include "image/image.h"
#include "image/recipe.h"
#include "small_pictures.h"

#define PICTURES HRNET_TESTS_DIR "/data/pictures/"

static void decode(struct hr_image *image, struct hr_decode_report *report, struct hr_span bytes,
                   const char *name)
{
    if (hr_image_decode(image, report, bytes.data, bytes.size, name, NULL) != HR_OK)
        fail_msg("%s", hr_last_message());
}

static void refuse(const void *data, size_t size, const char *name,
                   const struct hr_decode_options *options, enum hr_status want, const char *word)
{
    struct hr_image image = { 0 };
    const enum hr_status status = hr_image_decode(&image, NULL, data, size, name, options);
    if (status != want || !strstr(hr_last_message(), word) || !strstr(hr_last_message(), name))
        fail_msg("status %d, not %d, or '%s' lacks '%s' or '%s'", status, want, hr_last_message(),
                 word, name);
    assert_null(image.pixels);
}

static void near(const struct hr_image *image, int64_t x, int64_t y, uint32_t rgb, int tolerance)
{
    const uint8_t *p = image->pixels + (y * image->width + x) * 3;
    for (int c = 0; c < 3; c++)
        if (abs(p[c] - (int)(rgb >> (16 - 8 * c) & 255)) > tolerance)
            fail_msg("pixel (%d,%d) is %02x%02x%02x, not %06x", (int)x, (int)y, p[0], p[1], p[2],
                     (unsigned)rgb);
}

static void first_channel(const struct hr_image *image, const float want[3], float tolerance)
{
    struct hr_recipe r;
    float *x = hr_mem_alloc(3 * 224 * 224, sizeof *x);
    assert_non_null(x);
    assert_int_equal(hr_recipe_named(&r, "opencv"), HR_OK);
    assert_int_equal(hr_recipe_apply(&r, image, x), HR_OK);
    for (size_t c = 0; c < 3; c++)
        assert_float_equal(x[c * 224 * 224], want[c], tolerance);
    hr_mem_free(x);
}

/* ---- C1: inks ---- */

static void inks(void **state)
{
    static const uint8_t red[4] = { 255, 0, 0, 255 }, gray[4] = { 128, 128, 128, 128 };
    static const float red_tensor[3] = { 2.2489f, -2.0357f, -1.8044f };
    (void)state;
    for (int ycck = 0; ycck < 2; ycck++)
        for (int adobe = 0; adobe < 2; adobe++) {
            const int tolerance = ycck ? 4 : 2;
            struct hr_image image = { 0 };
            struct hr_buffer jpeg = { 0 };
            if (ycck && !adobe)
                continue; /* cannot be told from CMYK */
            make_ink_jpeg(&jpeg, red, ycck, adobe);
            decode(&image, NULL, span_of(&jpeg), "red.jpg");
            near(&image, 0, 0, 0xff0000, tolerance);
            near(&image, 63, 63, 0xff0000, tolerance);
            first_channel(&image, red_tensor, ycck ? 0.07f : 0.04f);
            hr_image_fini(&image);
            hr_buffer_fini(&jpeg);
            make_ink_jpeg(&jpeg, gray, ycck, adobe);
            decode(&image, NULL, span_of(&jpeg), "gray.jpg");
            near(&image, 31, 31, 0x404040, tolerance);
            hr_image_fini(&image);
            hr_buffer_fini(&jpeg);
        }
}

/* ---- C2: orientation ---- */

static const uint32_t blocks[6] = { 0xe02020, 0x20c020, 0x2020e0, 0xe0e020, 0x20c0c0, 0xc020c0 };

/* `order`: the blocks' letters row by row, "DAEBFC". */
static void check_blocks(const struct hr_image *image, const char *order, int64_t columns,
                         int64_t rows)
{
    assert_int_equal(image->width, columns * 16);
    assert_int_equal(image->height, rows * 16);
    for (int64_t i = 0; i < 6; i++)
        near(image, i % columns * 16 + 8, i / columns * 16 + 8, blocks[order[i] - 'A'], 12);
}

static void orientation(void **state)
{
    static const struct {
        int tag, applied;
        const char *order;
        int64_t columns, rows;
    } cases[] = {
        { 1, 1, "ABCDEF", 3, 2 }, { 2, 2, "CBAFED", 3, 2 }, { 3, 3, "FEDCBA", 3, 2 },
        { 4, 4, "DEFABC", 3, 2 }, { 5, 5, "ADBECF", 2, 3 }, { 6, 6, "DAEBFC", 2, 3 },
        { 7, 7, "FCEBDA", 2, 3 }, { 8, 8, "CFBEAD", 2, 3 }, { 0, 1, "ABCDEF", 3, 2 },
        { 9, 1, "ABCDEF", 3, 2 },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases) * 2; i++) {
        const size_t n = i / 2;
        struct hr_buffer file = { 0 };
        struct hr_image image = { 0 };
        struct hr_decode_report report;
        if (i % 2)
            make_block_png(&file, blocks, cases[n].tag);
        else
            make_block_jpeg(&file, blocks, cases[n].tag);
        decode(&image, &report, span_of(&file), i % 2 ? "blocks.png" : "blocks.jpg");
        assert_int_equal(report.orientation, cases[n].applied);
        check_blocks(&image, cases[n].order, cases[n].columns, cases[n].rows);
        hr_image_fini(&image);
        struct hr_decode_options options = hr_decode_defaults();
        options.ignore_orientation = true;
        assert_int_equal(hr_image_decode(&image, &report, file.data, file.size, "plain", &options),
                         HR_OK);
        assert_int_equal(report.orientation, 1);
        check_blocks(&image, "ABCDEF", 3, 2);
        hr_image_fini(&image);
        hr_buffer_fini(&file);
    }
}

/* ---- C4: alpha, palette, gray, 1 bit ---- */

static void png_of(struct hr_image *image, int colour, int depth, int64_t width,
                   const uint8_t *samples, size_t size, const char *name)
{
    struct hr_buffer file = { 0 };
    struct hr_decode_report report;
    make_png(&file, colour, depth, (uint32_t)width, 1, samples, size);
    decode(image, &report, span_of(&file), name);
    assert_int_equal(report.format, HR_PICTURE_PNG);
    assert_int_equal(image->width, width);
    hr_buffer_fini(&file);
}

static void png_kinds(void **state)
{
    static const uint8_t rgba[] = { 255, 0, 0, 0, 0, 0, 255, 128 }, index[] = { 0, 1, 2 },
                         gray[] = { 128 }, gray_alpha[] = { 128, 7 }, bits[] = { 0xaa },
                         deep[] = { 0x12, 0xff, 0x80, 0x00, 0xff, 0xfe };
    static const float gray_tensor[3] = { 0.0741f, 0.2052f, 0.4265f };
    struct hr_image image = { 0 };
    (void)state;
    png_of(&image, 6, 8, 2, rgba, sizeof rgba, "PNG data under another name.jpg");
    near(&image, 0, 0, 0xff0000, 0);
    near(&image, 1, 0, 0x0000ff, 0);
    hr_image_fini(&image);
    png_of(&image, 3, 8, 3, index, sizeof index, "palette.png");
    for (int i = 0; i < 3; i++)
        near(&image, i, 0, png_palette[i], 0);
    hr_image_fini(&image);
    png_of(&image, 0, 8, 1, gray, sizeof gray, "gray.png");
    near(&image, 0, 0, 0x808080, 0);
    first_channel(&image, gray_tensor, 0.0001f);
    hr_image_fini(&image);
    png_of(&image, 4, 8, 1, gray_alpha, sizeof gray_alpha, "gray alpha.png");
    near(&image, 0, 0, 0x808080, 0);
    hr_image_fini(&image);
    png_of(&image, 0, 1, 8, bits, sizeof bits, "1 bit.png");
    for (int i = 0; i < 8; i++)
        near(&image, i, 0, i % 2 ? 0 : 0xffffff, 0);
    hr_image_fini(&image);
    png_of(&image, 2, 16, 1, deep, sizeof deep, "16 bit.png");
    near(&image, 0, 0, 0x1280ff, 0);
    hr_image_fini(&image);
}

static void interlacing_changes_nothing(void **state)
{
    struct hr_map plain = { 0 }, laced = { 0 };
    struct hr_image a = { 0 }, b = { 0 };
    (void)state;
    assert_int_equal(hr_map_open(&plain, PICTURES "coffee.png"), HR_OK);
    assert_int_equal(hr_map_open(&laced, PICTURES "coffee_interlaced.png"), HR_OK);
    decode(&a, NULL, (struct hr_span){ plain.data, plain.size }, "plain");
    decode(&b, NULL, (struct hr_span){ laced.data, laced.size }, "interlaced");
    assert_int_equal(a.width, b.width);
    assert_memory_equal(a.pixels, b.pixels, (size_t)(a.width * a.height * 3));
    hr_image_fini(&a);
    hr_image_fini(&b);
    hr_map_close(&plain);
    hr_map_close(&laced);
}

/* ---- BMP and Netpbm ---- */

static void bmp_and_netpbm(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        uint32_t left, right;
    } cases[] = {
#define CASE(text, left, right) { text, sizeof text - 1, left, right }
        CASE("P6\n2 1\n255\n\1\2\3\4\5\6", 0x010203, 0x040506),
        CASE("P6 # remark\n2 1 # more\n255\n\1\2\3\4\5\6", 0x010203, 0x040506),
        CASE("P6\n2 1\n15\n\17\0\0\0\0\5", 0xff0000, 0x000055), /* stretched */
        CASE("P6\n2 1\n65535\n\22\377\0\0\0\0\0\0\0\0\200\0", 0x120000, 0x000080),
        CASE("P5\n2 1\n255\n\1\200", 0x010101, 0x808080),
        CASE("P4\n2 1\n\x40", 0xffffff, 0x000000),
        CASE("P3\n2 1\n255\n1 2 3 255 0 9\n", 0x010203, 0xff0009),
        CASE("P2\n2 1\n3\n0 2\n", 0x000000, 0xaaaaaa),
        CASE("P1\n2 1\n01", 0xffffff, 0x000000),
#undef CASE
    };
    struct hr_image image = { 0 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        decode(&image, NULL, (struct hr_span){ (const uint8_t *)cases[i].bytes, cases[i].size },
               "x.ppm");
        near(&image, 0, 0, cases[i].left, 0);
        near(&image, 1, 0, cases[i].right, 0);
        hr_image_fini(&image);
    }
    for (int top_down = 0; top_down < 2; top_down++)
        for (int bits = 16; bits <= 32; bits += 8) {
            struct hr_buffer file = { 0 };
            make_bmp(&file, bits, top_down);
            decode(&image, NULL, span_of(&file), "x.bmp");
            near(&image, 0, 0, 0xf80000, 0); /* 5 bits give 248 */
            near(&image, 0, 1, 0x0000f8, 0);
            hr_image_fini(&image);
            hr_buffer_fini(&file);
        }
}

/* ---- Every kind, as OpenCV 4.6 reads it ---- */

/* One line of data/kinds/expected.txt (made by make_pictures.py beside it). */
static void check_kind(const char *name, int64_t width, int64_t height, const char *sha256)
{
    char path[512], hex[65];
    uint8_t digest[32];
    struct hr_map map = { 0 };
    struct hr_image image = { 0 };
    struct hr_decode_report report = { 0 };
    struct hr_sha256 hash;
    snprintf(path, sizeof path, HRNET_TESTS_DIR "/data/kinds/%s", name);
    assert_int_equal(hr_map_open(&map, path), HR_OK);
    const enum hr_status status = hr_image_decode(&image, &report, map.data, map.size, name, NULL);
    if (strcmp(sha256, "none") == 0) {
        assert_int_not_equal(status, HR_OK);
        assert_non_null(strstr(hr_last_message(), name));
    } else {
        if (status != HR_OK)
            fail_msg("%s", hr_last_message());
        hr_sha256_init(&hash);
        hr_sha256_update(&hash, image.pixels, (size_t)(image.width * image.height * 3));
        hr_sha256_final(&hash, digest);
        hr_hex(hex, digest);
        if (image.width != width || image.height != height || strcmp(hex, sha256) != 0)
            fail_msg("%s: other pixels than OpenCV's", name);
        assert_int_equal(report.truncated, strstr(name, "jpeg_cut") != NULL);
    }
    hr_image_fini(&image);
    hr_map_close(&map);
}

static void every_kind_as_opencv_reads_it(void **state)
{
    FILE *file = fopen(HRNET_TESTS_DIR "/data/kinds/expected.txt", "r");
    char name[100], sha256[65];
    long width, height;
    int count = 0;
    (void)state;
    assert_non_null(file);
    for (; fscanf(file, "%99s %ld %ld %64s", name, &width, &height, sha256) == 4; count++)
#if !HRNET_WEBP
        if (!strstr(name, "webp"))
#endif
            check_kind(name, width, height, sha256);
    fclose(file);
    assert_int_equal(count, 83);
}

/* ---- What is no picture ---- */

static void other_bytes_are_named(void **state)
{
    static const struct {
        const char *bytes, *word;
        size_t size;
    } cases[] = {
#define CASE(text, word) { text, word, sizeof text - 1 }
        CASE("\x1f\x8b\x08\0\0\0\0\0", "gzip"),
        CASE("GIF89a\1\0\1\0", "GIF"),
        CASE("II*\0\x08\0\0\0", "TIFF"),
        CASE("%PDF-1.4\n", "PDF"),
        CASE("PK\3\4\0\0", "zip"),
        CASE("<!DOCTYPE html><html>", "HTML"),
        CASE("\0\0\0\x20"
             "ftypavif\0\0\0\0",
             "AVIF"),
        CASE("hello, this is no picture\n", "text"),
        CASE("\1\2\3\4\5\6\7", "unknown"),
#undef CASE
    };
    char longer[700];
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++)
        refuse(cases[i].bytes, cases[i].size, "n01440764_1.JPEG", NULL, HR_E_FORMAT, cases[i].word);
    refuse("", 0, "empty.jpg", NULL, HR_E_FORMAT, "empty");
    memset(longer, 'a', sizeof longer);
    refuse(longer, sizeof longer, "long.jpg", NULL, HR_E_FORMAT, "text");
    longer[100] = 1;
    refuse(longer, sizeof longer, "long.jpg", NULL, HR_E_FORMAT, "unknown");
}

/* ---- C15: limits ---- */

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void bombs_are_refused_from_the_header(void **state)
{
    const uint64_t start = hr_os_now_ns();
    const long before = peak_kib();
    struct hr_buffer png = { 0 }, jpeg = { 0 };
    struct hr_decode_options options = hr_decode_defaults();
    static const char ppm[] = "P6\n60000 60000\n255\n", large[] = "P6\n13000 13000\n255\n";
    (void)state;
    make_png_header(&png, 60000, 60000);
    assert_in_range(png.size, 1, 99);
    refuse(png.data, png.size, "bomb.png", NULL, HR_E_LIMIT, "178956970");
    refuse(ppm, sizeof ppm - 1, "bomb.ppm", NULL, HR_E_LIMIT, "178956970");
    make_block_jpeg(&jpeg, blocks, 1);
    set_jpeg_size(&jpeg, 60000, 60000);
    refuse(jpeg.data, jpeg.size, "bomb.jpg", NULL, HR_E_LIMIT, "178956970");
    set_jpeg_size(&jpeg, 13000, 13000); /* within the limit, and yet no such file exists */
    refuse(jpeg.data, jpeg.size, "bomb.jpg", NULL, HR_E_FORMAT, "13000x13000");
    refuse(large, sizeof large - 1, "large.ppm", NULL, HR_E_FORMAT, "cut off");
    set_jpeg_size(&jpeg, 48, 32);
    options.max_pixels = 48 * 32 - 1;
    refuse(jpeg.data, jpeg.size, "big.jpg", &options, HR_E_LIMIT, "1535");
    options = hr_decode_defaults();
    options.max_bytes = jpeg.size - 1;
    refuse(jpeg.data, jpeg.size, "long.jpg", &options, HR_E_LIMIT, "bytes");
    assert_in_range(peak_kib() - before, 0, 10 * 1024);
    assert_in_range(hr_os_now_ns() - start, 0, 50 * 1000 * 1000);
    hr_buffer_fini(&png);
    hr_buffer_fini(&jpeg);
}

/* ---- Cut-off files ---- */

/* C6: what is there is decoded, the rest is gray, and the record says so. */
static void cut_off_jpeg_is_decoded_with_a_warning(void **state)
{
    static const char *const names[] = { "cat_420.jpg", "cat_progressive.jpg" };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        char path[512];
        struct hr_map map = { 0 };
        struct hr_image whole = { 0 }, part = { 0 };
        struct hr_decode_report report;
        snprintf(path, sizeof path, PICTURES "%s", names[i]);
        assert_int_equal(hr_map_open(&map, path), HR_OK);
        decode(&whole, &report, (struct hr_span){ map.data, map.size }, names[i]);
        assert_false(report.truncated);
        assert_string_equal(report.warning, "");
        decode(&part, &report, (struct hr_span){ map.data, map.size * 6 / 10 }, names[i]);
        assert_true(report.truncated);
        assert_non_null(strstr(report.warning, "Premature end"));
        if (i == 0) {
            assert_memory_equal(part.pixels, whole.pixels, 150 * 451 * 3);
            near(&part, 450, 299, 0x808080, 0);
        }
        hr_image_fini(&whole);
        hr_image_fini(&part);
        hr_map_close(&map);
    }
}

/* Without its end chunk a PNG is not whole, though all pixels are there. */
static void cut_off_png_is_refused(void **state)
{
    struct hr_buffer png = { 0 };
    (void)state;
    make_block_png(&png, blocks, 1);
    refuse(png.data, png.size - 12, "short.png", NULL, HR_E_FORMAT, "PNG");
    hr_buffer_fini(&png);
}

/* Every length of a small file of each kind, in a block of just that size. */
static void every_cut_is_survived(void **state)
{
    (void)state;
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        struct hr_buffer file = { 0 };
        make_small(&file, kind, blocks);
        for (size_t size = 0; size < file.size; size++) {
            uint8_t *copy = malloc(size + (size == 0));
            struct hr_image image = { 0 };
            assert_non_null(copy);
            memcpy(copy, file.data, size);
            if (hr_image_decode(&image, NULL, copy, size, "cut", NULL) != HR_OK) {
                assert_null(image.pixels);
                assert_non_null(strstr(hr_last_message(), "cut"));
            }
            hr_image_fini(&image);
            free(copy);
        }
        hr_buffer_fini(&file);
    }
}

/* ---- Failing memory ---- */

static enum hr_status whole_way(const struct hr_buffer *file, const char *recipe_name, float *x)
{
    struct hr_image image = { 0 };
    struct hr_recipe recipe;
    HR_TRY(hr_recipe_named(&recipe, recipe_name));
    recipe.resize_short = 16;
    recipe.crop_width = recipe.crop_height = 8;
    HR_TRY(hr_image_decode(&image, NULL, file->data, file->size, "memory", NULL));
    const enum hr_status status = hr_recipe_apply(&recipe, &image, x);
    hr_image_fini(&image);
    return status;
}

static void failing_memory_is_reported(void **state)
{
    static const char *const recipes[] = { "opencv", "pillow", "pillow-bicubic" };
    float x[3 * 8 * 8];
    (void)state;
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        struct hr_buffer file = { 0 };
        make_small(&file, kind, blocks);
        for (size_t r = 0; r < HR_COUNT(recipes); r++) {
            enum hr_status status = HR_E_MEMORY;
            int n = 0;
            for (; status != HR_OK && n < 50; n++) {
                hostile_memory_limit((size_t)n);
                status = whole_way(&file, recipes[r], x);
                (void)hostile_memory_restore();
                assert_true(status == HR_OK || status == HR_E_MEMORY);
            }
            assert_in_range(n, 3, 49);
        }
        hr_buffer_fini(&file);
    }
}

/* ---- One path, and back ---- */

static void encoded_png_reads_back(void **state)
{
    struct hr_image image = { 0 }, back = { 0 };
    struct hr_buffer png = { 0 };
    (void)state;
    assert_int_equal(hr_image_init(&image, 37, 11), HR_OK);
    for (int i = 0; i < 37 * 11 * 3; i++)
        image.pixels[i] = (uint8_t)(i * i);
    assert_int_equal(hr_image_encode_png(&png, &image), HR_OK);
    decode(&back, NULL, span_of(&png), "back.png");
    assert_int_equal(back.width, 37);
    assert_int_equal(back.height, 11);
    assert_memory_equal(back.pixels, image.pixels, 37 * 11 * 3);
    hr_image_fini(&image);
    hr_image_fini(&back);
    hr_buffer_fini(&png);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bombs_are_refused_from_the_header), /* first: it looks at the peak */
        cmocka_unit_test(inks),
        cmocka_unit_test(orientation),
        cmocka_unit_test(png_kinds),
        cmocka_unit_test(interlacing_changes_nothing),
        cmocka_unit_test(bmp_and_netpbm),
        cmocka_unit_test(every_kind_as_opencv_reads_it),
        cmocka_unit_test(other_bytes_are_named),
        cmocka_unit_test(cut_off_jpeg_is_decoded_with_a_warning),
        cmocka_unit_test(cut_off_png_is_refused),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(failing_memory_is_reported),
        cmocka_unit_test(encoded_png_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
