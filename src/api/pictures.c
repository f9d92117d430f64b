/* SPDX-License-Identifier: Apache-2.0
 * The public API, part four: pictures to tensors. */
#include "api/api.h"

#include "base/bytes.h"
#include "base/os.h"
#include "image/draw.h"
#include "image/image.h"

void hrnet_decode_options_init(struct hrnet_decode_options *options, size_t struct_size)
{
    const struct hr_decode_options d = hr_decode_defaults();
    const struct hrnet_decode_options defaults = { .max_pixels = d.max_pixels,
                                                   .max_bytes = d.max_bytes };
    HR_API_OPTIONS_INIT(struct hrnet_decode_options, defaults);
}

static enum hr_status decode_inner(struct hr_decode_options *inner,
                                   const struct hrnet_decode_options *options)
{
    struct hrnet_decode_options o;
    *inner = hr_decode_defaults();
    if (!options)
        return HR_OK;
    hrnet_decode_options_init(&o, sizeof o);
    HR_TRY(hr_api_options_copy(&o, sizeof o, options, "hrnet_decode_options"));
    inner->max_pixels = o.max_pixels;
    inner->max_bytes = o.max_bytes;
    inner->ignore_orientation = o.ignore_orientation != 0;
    return HR_OK;
}

static void report_outer(struct hrnet_picture_report *out, const struct hr_decode_report *report,
                         const struct hr_image *image)
{
    static const char *const formats[] = { "unknown", "JPEG", "PNG", "WebP", "BMP", "PPM" };
    if (!out)
        return;
    *out = (struct hrnet_picture_report){ .format = formats[report->format],
                                          .width = image->width,
                                          .height = image->height,
                                          .orientation = report->orientation,
                                          .truncated = report->truncated };
    _Static_assert(sizeof out->warning == sizeof report->warning, "warnings of equal length");
    memcpy(out->warning, report->warning, sizeof out->warning);
}

/* Bytes to the 8-bit crop. */
static enum hr_status bytes_to_crop(struct hr_image *crop, const struct hr_recipe *recipe,
                                    const void *data, size_t size, const char *name,
                                    const struct hrnet_decode_options *options,
                                    struct hrnet_picture_report *report)
{
    struct hr_decode_options decode;
    struct hr_decode_report noticed;
    struct hr_image image = { 0 };
    HR_TRY(decode_inner(&decode, options));
    enum hr_status status = hr_image_decode(&image, &noticed, data, size, name, &decode);
    if (status == HR_OK) {
        status = hr_recipe_crop(recipe, &image, crop);
        if (status == HR_OK)
            report_outer(report, &noticed, &image);
        else
            status = hr_fail_context(status, "%s", name);
    }
    hr_image_fini(&image);
    return status;
}

hrnet_status hrnet_preprocess_memory(const struct hrnet_recipe *recipe, const void *data,
                                     size_t size, const char *name,
                                     const struct hrnet_decode_options *options, float *x,
                                     struct hrnet_picture_report *report)
{
    struct hr_recipe inner;
    struct hr_image crop = { 0 };
    if (!recipe || (!data && size) || !x)
        return hr_api_missing_argument(__func__);
    enum hr_status status = hr_api_recipe_checked(&inner, recipe);
    if (status == HR_OK)
        status = bytes_to_crop(&crop, &inner, data, size, name ? name : "memory", options, report);
    if (status == HR_OK)
        hr_recipe_normalise(&inner, &crop, x);
    hr_image_fini(&crop);
    return PUBLIC(status);
}

hrnet_status hrnet_preprocess_file(const struct hrnet_recipe *recipe, const char *path,
                                   const struct hrnet_decode_options *options, float *x,
                                   struct hrnet_picture_report *report)
{
    struct hr_map map = { 0 };
    if (!recipe || !path || !x)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = hr_map_open(&map, path);
    if (status != HR_OK)
        return PUBLIC(status);
    const hrnet_status result =
        hrnet_preprocess_memory(recipe, map.data, map.size, path, options, x, report);
    hr_map_close(&map);
    return result;
}

hrnet_status hrnet_preprocess_pixels(const struct hrnet_recipe *recipe, const uint8_t *rgb,
                                     int64_t width, int64_t height, float *x)
{
    struct hr_recipe inner;
    if (!recipe || !rgb || !x)
        return hr_api_missing_argument(__func__);
    if (width < 1 || height < 1)
        return PUBLIC(hr_fail(HR_E_ARGUMENT, "a picture of %lldx%lld pixels has no content",
                              (long long)width, (long long)height));
    const enum hr_status status = hr_api_recipe_checked(&inner, recipe);
    if (status != HR_OK)
        return PUBLIC(status);
    /* The view is only read. */
    const struct hr_image view = { width, height, (uint8_t *)(uintptr_t)rgb };
    return PUBLIC(hr_recipe_apply(&inner, &view, x));
}

hrnet_status hrnet_preprocess_crop(const struct hrnet_recipe *recipe, const void *data, size_t size,
                                   const char *name, const struct hrnet_decode_options *options,
                                   uint8_t *rgb, struct hrnet_picture_report *report)
{
    struct hr_recipe inner;
    struct hr_image crop = { 0 };
    if (!recipe || (!data && size) || !rgb)
        return hr_api_missing_argument(__func__);
    enum hr_status status = hr_api_recipe_checked(&inner, recipe);
    if (status == HR_OK)
        status = bytes_to_crop(&crop, &inner, data, size, name ? name : "memory", options, report);
    if (status == HR_OK)
        memcpy(rgb, crop.pixels, (size_t)(crop.width * crop.height * 3));
    hr_image_fini(&crop);
    return PUBLIC(status);
}

hrnet_status hrnet_thumbnail(const void *data, size_t size, const char *name,
                             const struct hrnet_decode_options *options, int64_t width,
                             int64_t height, uint8_t **rgb, int64_t *out_width, int64_t *out_height)
{
    struct hr_decode_options decode;
    struct hr_image image = { 0 }, small = { 0 };
    if ((!data && size) || !rgb || !out_width || !out_height)
        return hr_api_missing_argument(__func__);
    if (width < 1 || height < 1)
        return PUBLIC(hr_fail(HR_E_ARGUMENT, "a picture of %lldx%lld pixels has no content",
                              (long long)width, (long long)height));
    enum hr_status status = decode_inner(&decode, options);
    if (status == HR_OK)
        status = hr_image_decode(&image, NULL, data, size, name ? name : "memory", &decode);
    if (status == HR_OK)
        status = hr_draw_thumbnail(&small, &image, width, height);
    if (status == HR_OK) {
        *rgb = small.pixels;
        *out_width = small.width;
        *out_height = small.height;
    }
    hr_image_fini(&image);
    return PUBLIC(status);
}

hrnet_status hrnet_encode_png(const uint8_t *rgb, int64_t width, int64_t height, uint8_t **out,
                              size_t *size)
{
    struct hr_buffer png = { 0 };
    if (!rgb || !out || !size)
        return hr_api_missing_argument(__func__);
    if (width < 1 || height < 1)
        return PUBLIC(hr_fail(HR_E_ARGUMENT, "a picture of %lldx%lld pixels has no content",
                              (long long)width, (long long)height));
    const struct hr_image view = { width, height, (uint8_t *)(uintptr_t)rgb };
    const enum hr_status status = hr_image_encode_png(&png, &view);
    if (status == HR_OK) {
        *out = png.data;
        *size = png.size;
        png = (struct hr_buffer){ 0 };
    }
    hr_buffer_fini(&png);
    return PUBLIC(status);
}
