/* SPDX-License-Identifier: Apache-2.0
 * Training samples.  Knows one picture and one stream of random numbers. */
#include "train/sample.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "image/resize.h"
#include "image/tone.h"
#include "image/warp.h"
#include "train/erase.h"
#include "train/policy.h"

/* ---- Crops ---- */

static int64_t clamp(int64_t value, int64_t most)
{
    return value < 1 ? 1 : value > most ? most : value;
}

static struct hr_rectangle anywhere(struct hr_random *random, struct hr_rectangle r, int64_t width,
                                    int64_t height)
{
    r.x = (int64_t)hr_random_below(random, (uint64_t)(width - r.width) + 1);
    r.y = (int64_t)hr_random_below(random, (uint64_t)(height - r.height) + 1);
    return r;
}

static double draw_aspect(const double *n, struct hr_random *random)
{
    if (n[HR_CROP_LOG] != 0.0)
        return exp(hr_random_between(random, log(n[HR_CROP_LOW]), log(n[HR_CROP_HIGH])));
    return hr_random_between(random, n[HR_CROP_LOW], n[HR_CROP_HIGH]);
}

/* paddleclas.md 4.5: an aspect first, then an area that still fits. */
static struct hr_rectangle fitting(const double *n, struct hr_random *random, int64_t width,
                                   int64_t height)
{
    const double w = (double)width, h = (double)height;
    const double aspect = draw_aspect(n, random);
    const double bound = fmin(w / h / aspect, h / w * aspect);
    const double most = fmin(n[HR_CROP_MOST], bound), least = fmin(n[HR_CROP_AREA], bound);
    const double area = w * h * hr_random_between(random, least, most);
    const struct hr_rectangle r = { .width = clamp((int64_t)sqrt(area * aspect), width),
                                    .height = clamp((int64_t)sqrt(area / aspect), height) };
    return anywhere(random, r, width, height);
}

/* RandomResizedCrop of torchvision and of paddle.vision: ten tries for an area and an aspect that
 * fit, else the centre with the nearest aspect that is allowed. */
static struct hr_rectangle tried(const double *n, struct hr_random *random, int64_t width,
                                 int64_t height)
{
    const double w = (double)width, h = (double)height;
    struct hr_rectangle r = { .width = width, .height = height };
    for (int i = 0; i < 10; i++) {
        const double area = w * h * hr_random_between(random, n[HR_CROP_AREA], n[HR_CROP_MOST]);
        const double aspect = draw_aspect(n, random);
        const int64_t wide = (int64_t)rint(sqrt(area * aspect));
        const int64_t high = (int64_t)rint(sqrt(area / aspect));
        if (wide > 0 && wide <= width && high > 0 && high <= height)
            return anywhere(random, (struct hr_rectangle){ .width = wide, .height = high }, width,
                            height);
    }
    if (w / h < n[HR_CROP_LOW])
        r.height = clamp((int64_t)rint(w / n[HR_CROP_LOW]), height);
    else if (w / h > n[HR_CROP_HIGH])
        r.width = clamp((int64_t)rint(h * n[HR_CROP_HIGH]), width);
    r.x = (width - r.width) / 2;
    r.y = (height - r.height) / 2;
    return r;
}

struct hr_rectangle hr_sample_rectangle(const struct hr_augment_step *step,
                                        struct hr_random *random, int64_t width, int64_t height)
{
    return step->kind == HR_AUGMENT_CROP ? fitting(step->number, random, width, height)
                                         : tried(step->number, random, width, height);
}

static void copy_rows(struct hr_image *out, const struct hr_image *image, int64_t x, int64_t y)
{
    for (int64_t row = 0; row < out->height; row++)
        memcpy(out->pixels + row * out->width * 3,
               image->pixels + ((y + row) * image->width + x) * 3, (size_t)out->width * 3);
}

static enum hr_status random_crop(const struct hr_augment_step *step,
                                  const struct hr_recipe *recipe, const struct hr_image *image,
                                  struct hr_random *random, struct hr_image *out)
{
    const struct hr_rectangle r = hr_sample_rectangle(step, random, image->width, image->height);
    const struct hr_resize_to to = { .width = recipe->crop_width, .height = recipe->crop_height };
    struct hr_image part = { 0 };
    enum hr_status status = hr_image_init(&part, r.width, r.height);
    if (status == HR_OK) {
        copy_rows(&part, image, r.x, r.y);
        status = hr_image_init(out, to.width, to.height);
    }
    if (status == HR_OK)
        status = hr_resize_window(out, &part, recipe->resize, &to);
    hr_image_fini(&part);
    return status;
}

/* The evaluation's crop within edges of px on each side, and a window of that at random. */
static enum hr_status padded_crop(const struct hr_augment_step *step,
                                  const struct hr_recipe *recipe, const struct hr_image *image,
                                  struct hr_random *random, struct hr_image *out)
{
    const int64_t px = (int64_t)step->number[HR_PAD_PX];
    const int64_t dx = (int64_t)hr_random_below(random, (uint64_t)(2 * px) + 1) - px;
    const int64_t dy = (int64_t)hr_random_below(random, (uint64_t)(2 * px) + 1) - px;
    const uint8_t gray = (uint8_t)step->number[HR_PAD_FILL], fill[3] = { gray, gray, gray };
    const double moved[6] = { 1.0, 0.0, (double)dx, 0.0, 1.0, (double)dy };
    HR_TRY(hr_recipe_crop(recipe, image, out));
    return hr_warp_affine(out, moved, HR_WARP_NEAREST, fill);
}

static enum hr_status crop_of(const struct hr_sample_options *o, const struct hr_image *image,
                              struct hr_random *random, struct hr_image *out)
{
    const struct hr_augment_step own = { .kind = HR_AUGMENT_CROP,
                                         .number = { [HR_CROP_AREA] = o->least_area,
                                                     [HR_CROP_MOST] = 1.0,
                                                     [HR_CROP_LOW] = 3.0 / 4.0,
                                                     [HR_CROP_HIGH] = 4.0 / 3.0 } };
    const struct hr_augment_step *step = hr_augment_find(&o->augment, HR_STAGE_CROP);
    if (!step && o->crop)
        step = &own;
    if (!step)
        return hr_recipe_crop(&o->recipe, image, out);
    if (step->kind == HR_AUGMENT_PAD_CROP)
        return padded_crop(step, &o->recipe, image, random, out);
    return random_crop(step, &o->recipe, image, random, out);
}

/* ---- Pixels ---- */

static void swap(uint8_t *a, uint8_t *b)
{
    for (int c = 0; c < 3; c++) {
        const uint8_t keep = a[c];
        a[c] = b[c];
        b[c] = keep;
    }
}

static void flip(struct hr_image *image, bool vertical)
{
    const int64_t w = image->width, h = image->height;
    for (int64_t y = 0; y < (vertical ? h / 2 : h); y++)
        for (int64_t x = 0; x < (vertical ? w : w / 2); x++)
            swap(image->pixels + (y * w + x) * 3,
                 image->pixels + (vertical ? (h - 1 - y) * w + x : y * w + w - 1 - x) * 3);
}

static double around_one(struct hr_random *random, double by)
{
    return hr_random_between(random, fmax(0.0, 1.0 - by), 1.0 + by);
}

/* ColorJitter of torchvision and of paddle.vision, on Pillow's pictures. */
static void jitter(const double *n, struct hr_random *random, struct hr_image *image)
{
    size_t order[4];
    hr_random_permute(random, order, 4);
    for (size_t i = 0; i < 4; i++) {
        const double by = n[order[i]];
        if (by == 0.0)
            continue;
        if (order[i] == HR_JITTER_BRIGHTNESS)
            hr_tone_brightness(image, around_one(random, by));
        else if (order[i] == HR_JITTER_CONTRAST)
            hr_tone_contrast(image, around_one(random, by));
        else if (order[i] == HR_JITTER_SATURATION)
            hr_tone_color(image, around_one(random, by));
        else
            hr_tone_hue(image, (uint8_t)(int)(hr_random_between(random, -by, by) * 255.0));
    }
}

static enum hr_status rotation(const double *n, struct hr_random *random, struct hr_image *image)
{
    const double degrees =
        hr_random_between(random, -n[HR_ROTATION_DEGREES], n[HR_ROTATION_DEGREES]);
    const uint8_t gray = (uint8_t)n[HR_ROTATION_FILL], fill[3] = { gray, gray, gray };
    static const enum hr_warp_filter filters[] = { HR_WARP_BICUBIC, HR_WARP_BILINEAR };
    const size_t filter =
        n[HR_ROTATION_FILTER] == 2.0 ? hr_random_below(random, 2) : (size_t)n[HR_ROTATION_FILTER];
    return hr_warp_rotate(image, degrees, filters[filter], fill);
}

/* The mean colour as a byte. */
static uint8_t mean_byte(const struct hr_recipe *recipe, int channel)
{
    const double value = rint((double)recipe->mean[channel] / (double)recipe->scale);
    return (uint8_t)(value < 0.0 ? 0.0 : value > 255.0 ? 255.0 : value);
}

static enum hr_status apply_pixels(const struct hr_augment_step *step,
                                   const struct hr_recipe *recipe, struct hr_random *random,
                                   struct hr_image *image)
{
    const uint8_t mean[3] = { mean_byte(recipe, 0), mean_byte(recipe, 1), mean_byte(recipe, 2) };
    switch (step->kind) {
    case HR_AUGMENT_FLIP:
    case HR_AUGMENT_VERTICAL_FLIP:
        flip(image, step->kind == HR_AUGMENT_VERTICAL_FLIP);
        return HR_OK;
    case HR_AUGMENT_JITTER:
        jitter(step->number, random, image);
        return HR_OK;
    case HR_AUGMENT_GRAY:
        hr_tone_gray(image);
        return HR_OK;
    case HR_AUGMENT_ROTATION:
        return rotation(step->number, random, image);
    default:
        return hr_policy_apply(step, mean, random, image);
    }
}

/* ---- All ---- */

/* All steps of one stage: pixels, or floats in `x`.  A step's stream is its kind and which of its
 * kind it is. */
static enum hr_status apply_stage(const struct hr_sample_options *o, enum hr_augment_stage stage,
                                  uint64_t key, struct hr_image *image, float *x)
{
    uint64_t seen[HR_AUGMENT_KINDS] = { 0 };
    for (size_t i = 0; i < o->augment.count; i++) {
        const struct hr_augment_step *step = &o->augment.steps[i];
        if (hr_augment_stage(step->kind) != stage)
            continue;
        struct hr_random random = hr_random_of(key, seen[step->kind]++ << 8 | step->kind);
        if (hr_random_unit(&random) >= step->p)
            continue;
        HR_TRY(stage == HR_STAGE_PIXELS
                   ? apply_pixels(step, &o->recipe, &random, image)
                   : hr_erase_apply(step, &random, x, image->height, image->width));
    }
    return HR_OK;
}

static bool flips(const struct hr_augment_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        if (chain->steps[i].kind == HR_AUGMENT_FLIP ||
            chain->steps[i].kind == HR_AUGMENT_VERTICAL_FLIP)
            return true;
    return false;
}

enum hr_status hr_sample_of(const struct hr_sample_options *options, const struct hr_image *image,
                            struct hr_random *random, float *x)
{
    struct hr_image crop = { 0 };
    enum hr_status status = crop_of(options, image, random, &crop);
    if (status == HR_OK) {
        if (hr_random_unit(random) < options->flip && !flips(&options->augment))
            flip(&crop, false);
        const uint64_t key = hr_random_next(random);
        status = apply_stage(options, HR_STAGE_PIXELS, key, &crop, NULL);
        if (status == HR_OK) {
            hr_recipe_normalise(&options->recipe, &crop, x);
            status = apply_stage(options, HR_STAGE_FLOATS, key, &crop, x);
        }
    }
    hr_image_fini(&crop);
    return status;
}

enum hr_status hr_sample_make(const struct hr_sample_options *options, const char *path,
                              struct hr_random *random, float *x)
{
    const struct hr_decode_options decode = hr_decode_defaults();
    struct hr_decode_report report = { 0 };
    struct hr_image image = { 0 };
    uint8_t *data = NULL;
    size_t size = 0;
    enum hr_status status = hr_file_read(path, decode.max_bytes, &data, &size);
    if (status == HR_OK)
        status = hr_image_decode(&image, &report, data, size, path, &decode);
    if (status == HR_OK && options->whole_only && report.truncated)
        status = hr_fail(HR_E_FORMAT, "%s: the picture ends early", path);
    if (status == HR_OK) {
        status = hr_sample_of(options, &image, random, x);
        if (status != HR_OK)
            status = hr_fail_context(status, "%s", path);
    }
    hr_image_fini(&image);
    hr_mem_free(data);
    return status;
}
