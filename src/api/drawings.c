/* SPDX-License-Identifier: Apache-2.0
 * The public API, part seven: pictures to look at. */
#include "api/api.h"

#include "base/mem.h"
#include "image/draw.h"

static enum hr_status check_sizes(const char *what, int64_t width, int64_t height)
{
    if (width < 1 || height < 1)
        return hr_fail(HR_E_ARGUMENT, "a %s of %lldx%lld has no content", what, (long long)width,
                       (long long)height);
    return HR_OK;
}

static enum hr_status check_both(int64_t width, int64_t height, int64_t rows, int64_t columns)
{
    HR_TRY(check_sizes("picture", width, height));
    return check_sizes("map", columns, rows);
}

static struct hr_field field_of(const float *map, int64_t rows, int64_t columns)
{
    struct hr_field field = { .values = map, .width = columns, .height = rows };
    hr_field_range(&field);
    return field;
}

hrnet_status hrnet_draw_overlay(uint8_t *rgb, int64_t width, int64_t height, const float *map,
                                int64_t rows, int64_t columns)
{
    if (!rgb || !map)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = check_both(width, height, rows, columns);
    if (status == HR_OK) {
        struct hr_image view = { width, height, rgb };
        struct hr_field field = field_of(map, rows, columns);
        field.least = 0; /* what speaks against the class is not told from what is silent */
        hr_draw_overlay(&view, &field, HR_COLOURS_HEAT);
    }
    return PUBLIC(status);
}

hrnet_status hrnet_draw_map(uint8_t *rgb, int64_t width, int64_t height, const float *map,
                            int64_t rows, int64_t columns)
{
    if (!rgb || !map)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = check_both(width, height, rows, columns);
    if (status == HR_OK) {
        struct hr_image view = { width, height, rgb };
        const struct hr_field field = field_of(map, rows, columns);
        hr_draw_field(&view, &field, HR_COLOURS_GLOW);
    }
    return PUBLIC(status);
}

/* The pixels stay the caller's. */
static struct hr_image view_of(const struct hrnet_tile *tile)
{
    return (struct hr_image){ tile->width, tile->height, (uint8_t *)(uintptr_t)tile->rgb };
}

hrnet_status hrnet_draw_sheet(const struct hrnet_tile *tiles, size_t count, size_t columns,
                              uint8_t **rgb, int64_t *width, int64_t *height)
{
    struct hr_image *views = NULL, sheet = { 0 };
    struct hr_tile *inner = NULL;
    if (!tiles || !rgb || !width || !height)
        return hr_api_missing_argument(__func__);
    if (count < 1 || columns < 1)
        return PUBLIC(hr_fail(HR_E_ARGUMENT, "a sheet of %zu tiles in %zu columns has no content",
                              count, columns));
    enum hr_status status = HR_OK;
    for (size_t i = 0; i < count && status == HR_OK; i++)
        if (tiles[i].rgb)
            status = check_sizes("tile", tiles[i].width, tiles[i].height);
    if (status == HR_OK) {
        views = hr_mem_alloc(count, sizeof *views);
        inner = hr_mem_alloc(count, sizeof *inner);
        status = views && inner ? HR_OK : HR_E_MEMORY;
    }
    for (size_t i = 0; i < count && status == HR_OK; i++) {
        views[i] = view_of(&tiles[i]);
        inner[i] = (struct hr_tile){ tiles[i].rgb ? &views[i] : NULL, tiles[i].caption };
    }
    const struct hr_sheet plan = { .tiles = inner, .count = count, .columns = columns, .scale = 1 };
    if (status == HR_OK)
        status = hr_draw_sheet(&sheet, &plan);
    if (status == HR_OK) {
        *rgb = sheet.pixels;
        *width = sheet.width;
        *height = sheet.height;
    }
    hr_mem_free(views);
    hr_mem_free(inner);
    return PUBLIC(status);
}
