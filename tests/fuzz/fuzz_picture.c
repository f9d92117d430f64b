/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a picture: decoding ends in pixels or one sentence; pixels written as PNG read back
 * the same; every recipe takes them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "image/image.h"
#include "image/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct hr_image *image)
{
    struct hr_buffer png = { 0 };
    struct hr_image back = { 0 };
    if (hr_image_encode_png(&png, image) != HR_OK ||
        hr_image_decode(&back, NULL, png.data, png.size, "back", NULL) != HR_OK ||
        back.width != image->width || back.height != image->height ||
        memcmp(back.pixels, image->pixels, (size_t)(image->width * image->height * 3)) != 0)
        abort();
    hr_image_fini(&back);
    hr_buffer_fini(&png);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "opencv", "pillow", "pillow-bicubic" };
    static float x[3 * 16 * 24];
    struct hr_decode_options options = hr_decode_defaults();
    struct hr_decode_report report;
    struct hr_image image = { 0 };
    options.max_pixels = 1 << 16;
    if (hr_image_decode(&image, &report, data, size, "fuzz", &options) != HR_OK) {
        if (image.pixels || !hr_last_message()[0])
            abort();
        return 0;
    }
    if (report.orientation < 1 || report.orientation > 8 ||
        image.width * image.height > (int64_t)options.max_pixels)
        abort();
    if (image.width * image.height <= 4096) /* larger ones only cost time */
        round_trip(&image);
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        struct hr_recipe recipe;
        if (hr_recipe_named(&recipe, names[i]) != HR_OK)
            abort();
        recipe.resize_short = data[size - 1] % 2 ? 24 : 0;
        recipe.crop_width = 24;
        recipe.crop_height = 16;
        if (hr_recipe_apply(&recipe, &image, x) != HR_OK)
            abort();
    }
    hr_image_fini(&image);
    return 0;
}
