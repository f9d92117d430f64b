/* SPDX-License-Identifier: Apache-2.0
 * hrnet features: what every branch makes of a picture, as one sheet: of each feature map the
 * channels that vary most, each in its own range of brightness. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/maps.h"
#include "cli/outputs.h"
#include "cli/setup.h"
#include "cli/subject.h"
#include "tensor/npy.h"

static const struct hr_flag flags[] = {
    { "output", 'o', HR_FLAG_FILE, "FILE.png", NULL, 0, 0, "the sheet" },
    { "npz", 0, HR_FLAG_FILE, "FILE.npz", NULL, 0, 0,
      "the maps as numbers, float32 [1,channels,height,width] a name" },
    { 0 },
};

#define ACROSS  4   /* channels in a tile's row, and rows */
#define GAP     2   /* px between them */
#define LEAST   224 /* px: of a tile */
#define COLUMNS 4

/* Rows of the sheet; NULL: the picture, "": nothing. */
static const char *const places[] = {
    NULL,       "stem",     "layer1",   "last",     "stage2.0", "stage2.1", "",
    "",         "stage3.0", "stage3.1", "stage3.2", "",         "stage4.0", "stage4.1",
    "stage4.2", "stage4.3", "incre.0",  "incre.1",  "incre.2",  "incre.3",
};

struct map {
    const float *values;
    int64_t channels, rows, columns;
};

struct tile {
    uint8_t *rgb; /* owned */
    int64_t width, height;
    char caption[96];
};

/* How much a channel's values differ from their mean. */
static double spread(const float *values, int64_t count)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    return squares - sum * sum / (double)count;
}

/* The channels that vary most, in their own order. */
static enum hr_status choose(size_t *index, size_t *count, const struct map *map)
{
    float *spreads = hr_mem_alloc((size_t)map->channels, sizeof *spreads);
    if (!spreads)
        return HR_E_MEMORY;
    for (int64_t k = 0; k < map->channels; k++)
        spreads[k] =
            (float)spread(map->values + k * map->rows * map->columns, map->rows * map->columns);
    *count = hrnet_top_k(spreads, (size_t)map->channels, *count, index);
    hr_mem_free(spreads);
    return HR_OK;
}

static void paste(struct tile *tile, const uint8_t *rgb, int64_t width, int64_t height, int64_t x,
                  int64_t y)
{
    for (int64_t row = 0; row < height; row++)
        memcpy(tile->rgb + ((y + row) * tile->width + x) * 3, rgb + row * width * 3,
               (size_t)width * 3);
}

static enum hr_status draw_channels(struct tile *tile, const struct map *map)
{
    size_t index[ACROSS * ACROSS], count = ACROSS * ACROSS;
    HR_TRY(choose(index, &count, map));
    /* Cells of whole pixels a value, and at least a quarter of the least tile. */
    const int64_t shorter = map->rows < map->columns ? map->rows : map->columns;
    const int64_t zoom = (LEAST / ACROSS + shorter - 1) / shorter;
    const int64_t width = map->columns * zoom, height = map->rows * zoom;
    tile->width = ACROSS * width + (ACROSS - 1) * GAP;
    tile->height = ACROSS * height + (ACROSS - 1) * GAP;
    tile->rgb = hr_mem_alloc((size_t)(tile->width * tile->height), 3);
    uint8_t *cell = hr_mem_alloc((size_t)(width * height), 3);
    enum hr_status status = tile->rgb && cell ? HR_OK : HR_E_MEMORY;
    if (status == HR_OK)
        memset(tile->rgb, 255, (size_t)(tile->width * tile->height) * 3);
    for (size_t i = 0; i < count && status == HR_OK; i++) {
        const float *values = map->values + (int64_t)index[i] * map->rows * map->columns;
        status =
            (enum hr_status)hrnet_draw_map(cell, width, height, values, map->rows, map->columns);
        paste(tile, cell, width, height, (int64_t)(i % ACROSS) * (width + GAP),
              (int64_t)(i / ACROSS) * (height + GAP));
    }
    hr_mem_free(cell);
    return status;
}

/* ---- The sheet ---- */

struct sheet {
    struct tile tiles[HR_COUNT(places)];
    struct hrnet_tile views[HR_COUNT(places)];
};

static enum hr_status fill_tile(struct tile *tile, const struct hr_store *maps, const char *name,
                                int height)
{
    const struct hr_tensor *t = hr_store_find(maps, name);
    const struct map map = { t->data, t->shape.dim[1], t->shape.dim[2], t->shape.dim[3] };
    const int64_t shown = map.channels < ACROSS * ACROSS ? map.channels : ACROSS * ACROSS;
    /* Sizes round up at every halving. */
    snprintf(tile->caption, sizeof tile->caption, "%s\n%lldx%lld, stride %lld, %lld of %lld", name,
             (long long)map.columns, (long long)map.rows,
             (long long)((height + map.rows - 1) / map.rows), (long long)shown,
             (long long)map.channels);
    return draw_channels(tile, &map);
}

static enum hr_status fill_sheet(struct sheet *sheet, const struct hr_subject *subject,
                                 const struct hr_store *maps)
{
    for (size_t i = 0; i < HR_COUNT(places); i++) {
        struct tile *tile = &sheet->tiles[i];
        if (!places[i]) {
            sheet->views[i] = (struct hrnet_tile){ subject->rgb, subject->width, subject->height,
                                                   "what the network sees" };
        } else if (places[i][0]) {
            HR_TRY(fill_tile(tile, maps, places[i], subject->height));
            sheet->views[i] =
                (struct hrnet_tile){ tile->rgb, tile->width, tile->height, tile->caption };
        }
    }
    return HR_OK;
}

static enum hr_status write_sheet(const struct hr_subject *subject, const struct hr_store *maps,
                                  const char *path)
{
    struct sheet sheet = { 0 };
    uint8_t *rgb = NULL;
    int64_t width, height;
    enum hr_status status = fill_sheet(&sheet, subject, maps);
    if (status == HR_OK)
        status = (enum hr_status)hrnet_draw_sheet(sheet.views, HR_COUNT(places), COLUMNS, &rgb,
                                                  &width, &height);
    if (status == HR_OK)
        status = hr_output_png(path, rgb, width, height);
    hrnet_free(rgb);
    for (size_t i = 0; i < HR_COUNT(places); i++)
        hr_mem_free(sheet.tiles[i].rgb);
    return status;
}

static enum hr_status run_picture(hrnet_session *session, const struct hr_subject *subject,
                                  struct hr_store *maps)
{
    struct hrnet_session_info info;
    hrnet_session_describe(session, &info);
    float *logits = hr_mem_alloc((size_t)info.classes, sizeof *logits);
    if (!logits)
        return HR_E_MEMORY;
    enum hr_status status = (enum hr_status)hrnet_session_run(session, subject->x, 1, logits);
    if (status == HR_OK)
        status = hr_maps_add(maps, session, hrnet_feature_names(), 0, 1);
    hr_mem_free(logits);
    return status;
}

static int features(const struct hr_args *args)
{
    const char *output = hr_arg_text(args, "output"), *npz = hr_arg_text(args, "npz");
    struct hr_subject subject = { 0 };
    struct hr_store *maps = NULL;
    hrnet_model *model = NULL;
    hrnet_session *session = NULL;
    if (!output && !npz)
        return hr_usage_error("features", "features needs --output sheet.png or --npz maps.npz");
    int code = hr_setup_model(&model, args, NULL, false);
    if (code < 0)
        code = hr_subject_open(&subject, model, args, args->operands[0]);
    if (code < 0)
        code = hr_setup_session(&session, model, args, 1, subject.height, subject.width,
                                hrnet_feature_names());
    if (code < 0) {
        enum hr_status status = hr_store_create(&maps);
        if (status == HR_OK)
            status = run_picture(session, &subject, maps);
        if (status == HR_OK && output)
            status = write_sheet(&subject, maps, output);
        if (status == HR_OK && npz)
            status = hr_npz_save(maps, npz);
        code = status == HR_OK ? 0 : hr_report((int)status);
    }
    hr_store_destroy(maps);
    hrnet_session_destroy(session);
    hr_subject_close(&subject);
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const groups[] = {
    hr_model_flag, hr_model_flags, flags, hr_recipe_flags, hr_decode_flags, hr_session_flags, NULL
};

const struct hr_command hr_command_features = {
    .name = "features",
    .operands = "PICTURE",
    .takes = HR_FLAG_FILE,
    .summary = "show what every branch makes of a picture",
    .examples = "hrnet features cat.jpg -m w18.safetensors -o sheet.png\n"
                "hrnet features street.jpg -m w18.safetensors --size 480x640 --npz street.npz",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .untrained_head = true,
    .run = features,
};
