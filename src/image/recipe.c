/* SPDX-License-Identifier: Apache-2.0
 * The recipe: named ones, its JSON form, its rounding rules, and running it. */
#include "image/recipe.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/resize.h"

#include "kernel/pixel.h"

#define LARGEST_SIDE 16384 /* px of a network's input or a short side */

/* The means and deviations that every HRNet was trained with (ImageNet, RGB). */
#define IMAGENET .mean = { 0.485f, 0.456f, 0.406f }, .deviation = { 0.229f, 0.224f, 0.225f }
#define SIZES    .resize_short = 256, .crop_width = 224, .crop_height = 224

static const struct hr_recipe named[] = {
    { .name = "opencv", .resize = HR_RESIZE_OPENCV, SIZES, .scale = 1.0f / 255.0f, IMAGENET },
    { .name = "opencv-deploy", .resize = HR_RESIZE_OPENCV, SIZES, .scale = 0.00392157f, IMAGENET },
    { .name = "pillow", .resize = HR_RESIZE_PILLOW, SIZES, .scale = 1.0f / 255.0f, IMAGENET },
    { .name = "pillow-bicubic",
      .resize = HR_RESIZE_PILLOW_BICUBIC,
      SIZES,
      .scale = 1.0f / 255.0f,
      IMAGENET },
};

static const char *const resize_names[] = { [HR_RESIZE_OPENCV] = "opencv",
                                            [HR_RESIZE_PILLOW] = "pillow",
                                            [HR_RESIZE_PILLOW_BICUBIC] = "pillow-bicubic" };

enum hr_status hr_recipe_named(struct hr_recipe *out, const char *name)
{
    for (size_t i = 0; i < HR_COUNT(named); i++) {
        if (strcmp(name, named[i].name) == 0) {
            *out = named[i];
            return HR_OK;
        }
    }
    return hr_fail(HR_E_NOT_FOUND,
                   "recipe '%.60s' is not known: use opencv, opencv-deploy, pillow or "
                   "pillow-bicubic",
                   name);
}

static enum hr_status check_side(const char *field, int value, int least)
{
    if (value < least || value > LARGEST_SIDE)
        return hr_fail(HR_E_ARGUMENT, "recipe: %s is %d: it must be %d to %d", field, value, least,
                       LARGEST_SIDE);
    return HR_OK;
}

enum hr_status hr_recipe_check(const struct hr_recipe *r)
{
    if ((unsigned)r->resize >= HR_COUNT(resize_names))
        return hr_fail(HR_E_ARGUMENT, "recipe: resize %d is not known", (int)r->resize);
    HR_TRY(check_side("resize_short", r->resize_short, 0));
    HR_TRY(check_side("crop_width", r->crop_width, 1));
    HR_TRY(check_side("crop_height", r->crop_height, 1));
    if (!isfinite(r->scale))
        return hr_fail(HR_E_ARGUMENT, "recipe: scale is not a finite number");
    for (int c = 0; c < 3; c++)
        if (!isfinite(r->mean[c]) || !isfinite(r->deviation[c]) || !(r->deviation[c] > 0))
            return hr_fail(HR_E_ARGUMENT,
                           "recipe: mean and deviation of channel %d must be finite, and the "
                           "deviation above zero",
                           c);
    return HR_OK;
}

/* ---- JSON ---- */

static json_t *floats(const float *values)
{
    return json_pack("[f, f, f]", (double)values[0], (double)values[1], (double)values[2]);
}

/* Not json_dumps, which gives cut text when memory fails in the middle. */
static int put_text(const char *text, size_t size, void *json)
{
    hr_text_add_bytes(json, text, size);
    return 0;
}

bool hr_recipe_same_normalisation(const struct hr_recipe *a, const struct hr_recipe *b)
{
    return a->scale == b->scale && memcmp(a->mean, b->mean, sizeof a->mean) == 0 &&
           memcmp(a->deviation, b->deviation, sizeof a->deviation) == 0;
}

void hr_recipe_print(const struct hr_recipe *r, struct hr_text *json)
{
    json_t *object =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:o, s:o}", "name", r->name, "resize",
                  resize_names[r->resize], "resize_short", r->resize_short, "crop_width",
                  r->crop_width, "crop_height", r->crop_height, "scale", (double)r->scale, "mean",
                  floats(r->mean), "deviation", floats(r->deviation));
    if ((!object ||
         json_dump_callback(object, put_text, json, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0) &&
        json->status == HR_OK)
        json->status = hr_fail(HR_E_MEMORY, "out of memory");
    json_decref(object);
}

static bool read_floats(float out[3], const json_t *list)
{
    if (json_array_size(list) != 3)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (!json_is_number(json_array_get(list, i)))
            return false;
        out[i] = (float)json_number_value(json_array_get(list, i));
    }
    return true;
}

static bool read_side(int *out, const json_t *value)
{
    *out = json_is_integer(value) && llabs(json_integer_value(value)) <= LARGEST_SIDE
               ? (int)json_integer_value(value)
               : -1;
    return json_is_integer(value);
}

static bool read_resize(enum hr_resize *out, const json_t *value)
{
    for (size_t i = 0; json_is_string(value) && i < HR_COUNT(resize_names); i++) {
        if (strcmp(json_string_value(value), resize_names[i]) == 0) {
            *out = (enum hr_resize)i;
            return true;
        }
    }
    return false;
}

/* One field; false when its value is of the wrong kind, HR_E_NOT_FOUND never. */
static bool read_field(struct hr_recipe *r, const char *key, const json_t *value, bool *known)
{
    *known = true;
    if (strcmp(key, "name") == 0) {
        if (json_string_length(value) >= sizeof r->name)
            return false;
        if (json_is_string(value))
            snprintf(r->name, sizeof r->name, "%s", json_string_value(value));
        return json_is_string(value);
    }
    if (strcmp(key, "resize") == 0)
        return read_resize(&r->resize, value);
    if (strcmp(key, "resize_short") == 0)
        return read_side(&r->resize_short, value);
    if (strcmp(key, "crop_width") == 0)
        return read_side(&r->crop_width, value);
    if (strcmp(key, "crop_height") == 0)
        return read_side(&r->crop_height, value);
    if (strcmp(key, "scale") == 0) {
        r->scale = (float)json_number_value(value);
        return json_is_number(value);
    }
    if (strcmp(key, "mean") == 0)
        return read_floats(r->mean, value);
    if (strcmp(key, "deviation") == 0)
        return read_floats(r->deviation, value);
    *known = false;
    return false;
}

enum hr_status hr_recipe_parse(struct hr_recipe *out, const char *text)
{
    json_error_t error;
    struct hr_recipe r = named[0];
    enum hr_status status = HR_OK;
    const char *key;
    json_t *value, *object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(object)) {
        json_decref(object);
        return hr_fail(HR_E_FORMAT, "recipe: no JSON object: %s",
                       object ? "another value" : error.text);
    }
    json_object_foreach(object, key, value)
    {
        bool known;
        if (status == HR_OK && !read_field(&r, key, value, &known))
            status = known ? hr_fail(HR_E_FORMAT, "recipe: the value of '%s' is not valid", key)
                           : hr_fail(HR_E_FORMAT, "recipe: '%.60s' is not known", key);
    }
    json_decref(object);
    if (status == HR_OK)
        status = hr_recipe_check(&r);
    if (status == HR_OK)
        *out = r;
    return status;
}

/* ---- Sizes ---- */

/* Python's round(): to the nearest, halves to even, in double as the original computes. */
static int64_t round_half_even(double value)
{
    return llrint(value);
}

enum hr_status hr_recipe_resized(const struct hr_recipe *r, int64_t width, int64_t height,
                                 int64_t *out_width, int64_t *out_height)
{
    const int64_t least = width < height ? width : height;
    if (least < 1)
        return hr_fail(HR_E_ARGUMENT, "a picture of %" PRId64 "x%" PRId64 " pixels has no content",
                       width, height);
    if (r->resize_short == 0) {
        *out_width = r->crop_width;
        *out_height = r->crop_height;
    } else if (r->resize == HR_RESIZE_OPENCV) {
        const double scale = (double)r->resize_short / (double)least;
        *out_width = round_half_even((double)width * scale);
        *out_height = round_half_even((double)height * scale);
    } else {
        const double size = (double)r->resize_short;
        *out_width =
            width <= height ? r->resize_short : (int64_t)(size * (double)width / (double)height);
        *out_height =
            width <= height ? (int64_t)(size * (double)height / (double)width) : r->resize_short;
    }
    return HR_OK;
}

/* Where the centre crop starts: Python's // for OpenCV's chain, round() for torchvision's. */
static int64_t crop_start(const struct hr_recipe *r, int64_t size, int64_t crop)
{
    if (r->resize == HR_RESIZE_OPENCV)
        return (size - crop) / 2;
    return round_half_even((double)(size - crop) / 2.0);
}

enum hr_status hr_recipe_crop(const struct hr_recipe *r, const struct hr_image *image,
                              struct hr_image *crop)
{
    struct hr_resize_to to;
    struct hr_image window = { 0 };
    HR_TRY(hr_recipe_resized(r, image->width, image->height, &to.width, &to.height));
    if (to.width < r->crop_width || to.height < r->crop_height)
        return hr_fail(HR_E_SHAPE,
                       "the resized picture of %" PRId64 "x%" PRId64 " is smaller than the crop of "
                       "%dx%d: use a larger resize_short",
                       to.width, to.height, r->crop_width, r->crop_height);
    to.x = crop_start(r, to.width, r->crop_width);
    to.y = crop_start(r, to.height, r->crop_height);
    HR_TRY(hr_image_init(&window, r->crop_width, r->crop_height));
    const enum hr_status status = hr_resize_window(&window, image, r->resize, &to);
    if (status == HR_OK)
        *crop = window;
    else
        hr_image_fini(&window);
    return status;
}

/* A byte has 256 values only: each is normalised once and then looked up. */
void hr_recipe_normalise(const struct hr_recipe *r, const struct hr_image *crop, float *x)
{
    struct hr_pixel_kernels kernels;
    const size_t pixels = (size_t)(crop->width * crop->height);
    const uint8_t *rgb = crop->pixels;
    float value[3][256];
    uint8_t every[256 * 3];
    for (size_t i = 0; i < sizeof every; i++)
        every[i] = (uint8_t)(i / 3);
    hr_pixel_ref(&kernels);
    kernels.normalise(value[0], 256, every, 256, r->scale, r->mean, r->deviation);
    for (size_t i = 0; i < pixels; i++, rgb += 3)
        for (size_t c = 0; c < 3; c++)
            x[c * pixels + i] = value[c][rgb[c]];
}

enum hr_status hr_recipe_apply(const struct hr_recipe *r, const struct hr_image *image, float *x)
{
    struct hr_image crop = { 0 };
    HR_TRY(hr_recipe_crop(r, image, &crop));
    hr_recipe_normalise(r, &crop, x);
    hr_image_fini(&crop);
    return HR_OK;
}
