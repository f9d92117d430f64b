/* SPDX-License-Identifier: Apache-2.0
 * Tones and warps against what Pillow makes of the same pictures, bit for bit
 * (tests/data/augment/make_augment.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "image/blur.h"
#include "image/tone.h"
#include "image/warp.h"

#define AUGMENT HRNET_TESTS_DIR "/data/augment/"

static const uint8_t fill[3] = { 124, 116, 104 };

static void cup(struct hr_image *out)
{
    const struct hr_decode_options options = hr_decode_defaults();
    uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(hr_file_read(AUGMENT "cup.ppm", options.max_bytes, &data, &size), HR_OK);
    assert_int_equal(hr_image_decode(out, NULL, data, size, "cup.ppm", &options), HR_OK);
    hr_mem_free(data);
}

static void start(struct hr_image *out, const char *name)
{
    struct hr_image whole = { 0 };
    cup(&whole);
    if (strcmp(name, "flat") == 0) {
        assert_int_equal(hr_image_init(out, 9, 7), HR_OK);
        for (int i = 0; i < 9 * 7; i++)
            memcpy(out->pixels + 3 * i, (const uint8_t[]){ 10, 200, 90 }, 3);
    } else if (strcmp(name, "small") == 0) {
        assert_int_equal(hr_image_init(out, 2, 2), HR_OK);
        memcpy(out->pixels, whole.pixels, 6);
        memcpy(out->pixels + 6, whole.pixels + 3 * whole.width, 6);
    } else {
        *out = whole;
        for (int64_t i = 0; strcmp(name, "dull") == 0 && i < whole.width * whole.height * 3; i++)
            out->pixels[i] = (uint8_t)(out->pixels[i] / 3 + 40);
        return;
    }
    hr_image_fini(&whole);
}

static void tone(struct hr_image *p, const char *op, double a)
{
    if (strcmp(op, "autocontrast") == 0)
        hr_tone_autocontrast(p);
    else if (strcmp(op, "equalize") == 0)
        hr_tone_equalize(p);
    else if (strcmp(op, "invert") == 0)
        hr_tone_invert(p);
    else if (strcmp(op, "gray") == 0)
        hr_tone_gray(p);
    else if (strcmp(op, "solarize") == 0)
        hr_tone_solarize(p, a);
    else if (strcmp(op, "solarize_add") == 0)
        hr_tone_solarize_add(p, (int)a);
    else if (strcmp(op, "posterize") == 0)
        hr_tone_posterize(p, (int)a);
    else if (strcmp(op, "blur") == 0)
        assert_int_equal(hr_blur_gaussian(p, a), HR_OK);
    else if (strcmp(op, "hue") == 0)
        hr_tone_hue(p, (uint8_t)a);
    else if (strcmp(op, "color") == 0)
        hr_tone_color(p, a);
    else if (strcmp(op, "contrast") == 0)
        hr_tone_contrast(p, a);
    else if (strcmp(op, "brightness") == 0)
        hr_tone_brightness(p, a);
    else if (strcmp(op, "sharpness") == 0)
        assert_int_equal(hr_tone_sharpness(p, a), HR_OK);
    else
        fail_msg("%s is not known", op);
}

static void warp(struct hr_image *p, const char *op, double a, const char *word)
{
    const enum hr_warp_filter filter = word[0] == 'n'   ? HR_WARP_NEAREST
                                       : word[2] == 'l' ? HR_WARP_BILINEAR
                                                        : HR_WARP_BICUBIC;
    double m[6] = { 1, 0, 0, 0, 1, 0 };
    if (strcmp(op, "rotate") == 0) {
        assert_int_equal(hr_warp_rotate(p, a, filter, fill), HR_OK);
        return;
    }
    m[strcmp(op, "shear_x") == 0       ? 1
      : strcmp(op, "shear_y") == 0     ? 3
      : strcmp(op, "translate_x") == 0 ? 2
                                       : 5] = a;
    assert_int_equal(hr_warp_affine(p, m, filter, fill), HR_OK);
}

static void as_pillow(void **state)
{
    FILE *list = fopen(AUGMENT "pillow.txt", "r");
    char name[16], op[24], number[32], word[16], expected[72], got[65];
    int lines = 0, wrong = 0;
    (void)state;
    assert_non_null(list);
    while (fscanf(list, "%15s %23s %31s %15s %71s", name, op, number, word, expected) == 5) {
        struct hr_image p = { 0 };
        struct hr_sha256 h;
        uint8_t digest[32];
        double a;
        assert_int_equal(hr_parse_f64(number, &a), HR_OK);
        start(&p, name);
        if (word[0] == '-')
            tone(&p, op, a);
        else
            warp(&p, op, a, word);
        hr_sha256_init(&h);
        hr_sha256_update(&h, p.pixels, (size_t)(p.width * p.height) * 3);
        hr_sha256_final(&h, digest);
        hr_hex(got, digest);
        if (strcmp(got, expected) != 0) {
            print_error("%s %s %s %s differs\n", name, op, number, word);
            wrong++;
        }
        hr_image_fini(&p);
        lines++;
    }
    fclose(list);
    assert_int_equal(wrong, 0);
    assert_int_equal(lines, 4 * (52 + 72));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_pillow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
