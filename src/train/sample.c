/* SPDX-License-Identifier: Apache-2.0
 * Training samples.  Knows one picture and one stream of random numbers. */
#include "train/sample.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "image/resize.h"

/* paddleclas.md 4.5: an aspect from [3/4, 4/3], then an area that still fits. */
struct hr_rectangle hr_sample_rectangle(struct hr_random *random, int64_t width, int64_t height,
                                        double least_area)
{
    const double w = (double)width, h = (double)height;
    const double aspect = hr_random_between(random, 3.0 / 4.0, 4.0 / 3.0);
    const double bound = fmin(w / h / aspect, h / w * aspect);
    const double most = fmin(1.0, bound), least = fmin(least_area, bound);
    const double area = w * h * hr_random_between(random, least, most);
    struct hr_rectangle r = { .width = (int64_t)sqrt(area * aspect),
                              .height = (int64_t)sqrt(area / aspect) };
    r.width = r.width < 1 ? 1 : r.width > width ? width : r.width;
    r.height = r.height < 1 ? 1 : r.height > height ? height : r.height;
    r.x = (int64_t)hr_random_below(random, (uint64_t)(width - r.width) + 1);
    r.y = (int64_t)hr_random_below(random, (uint64_t)(height - r.height) + 1);
    return r;
}

static void flip_rows(struct hr_image *image)
{
    for (int64_t y = 0; y < image->height; y++)
        for (int64_t x = 0; x < image->width / 2; x++) {
            uint8_t *const left = image->pixels + (y * image->width + x) * 3;
            uint8_t *const right = image->pixels + (y * image->width + image->width - 1 - x) * 3;
            for (int c = 0; c < 3; c++) {
                const uint8_t keep = left[c];
                left[c] = right[c];
                right[c] = keep;
            }
        }
}

static enum hr_status random_crop(const struct hr_sample_options *o, const struct hr_image *image,
                                  struct hr_random *random, struct hr_image *out)
{
    const struct hr_rectangle r =
        hr_sample_rectangle(random, image->width, image->height, o->least_area);
    const struct hr_resize_to to = { .width = o->recipe.crop_width,
                                     .height = o->recipe.crop_height };
    struct hr_image part = { 0 };
    enum hr_status status = hr_image_init(&part, r.width, r.height);
    for (int64_t y = 0; status == HR_OK && y < r.height; y++)
        memcpy(part.pixels + y * r.width * 3, image->pixels + ((r.y + y) * image->width + r.x) * 3,
               (size_t)r.width * 3);
    if (status == HR_OK)
        status = hr_image_init(out, to.width, to.height);
    if (status == HR_OK)
        status = hr_resize_window(out, &part, o->recipe.resize, &to);
    hr_image_fini(&part);
    return status;
}

enum hr_status hr_sample_make(const struct hr_sample_options *options, const char *path,
                              struct hr_random *random, float *x)
{
    const struct hr_decode_options decode = hr_decode_defaults();
    struct hr_image image = { 0 }, crop = { 0 };
    uint8_t *data = NULL;
    size_t size = 0;
    enum hr_status status = hr_file_read(path, decode.max_bytes, &data, &size);
    if (status == HR_OK)
        status = hr_image_decode(&image, NULL, data, size, path, &decode);
    if (status == HR_OK && options->crop)
        status = random_crop(options, &image, random, &crop);
    else if (status == HR_OK && hr_recipe_crop(&options->recipe, &image, &crop) != HR_OK)
        status = hr_fail_context(HR_E_SHAPE, "%s", path);
    if (status == HR_OK) {
        if (hr_random_unit(random) < options->flip)
            flip_rows(&crop);
        hr_recipe_normalise(&options->recipe, &crop, x);
    }
    hr_image_fini(&crop);
    hr_image_fini(&image);
    hr_mem_free(data);
    return status;
}
