/* SPDX-License-Identifier: Apache-2.0
 * Previews: samples as training makes them, turned back into pictures. */
#include "train/preview.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "image/draw.h"
#include "train/mix.h"

#define CAPTION_BYTES 64
#define MOST_TILES    1024
#define SCALE_SIDE    150 /* px of a tile from which captions are twice as large */

struct preview {
    const struct hr_preview_options *options;
    struct hr_image *pictures; /* [count], decoded */
    struct hr_names values;    /* of `vary`, "m=5" */
    size_t rows, columns;      /* columns with the plain one */
    int64_t side;
    float *batch, *spare, *targets; /* of a row's samples */
    int32_t *labels;
    struct hr_image *images; /* [rows * columns] */
    char (*captions)[CAPTION_BYTES];
    struct hr_tile *tiles;
};

static void preview_fini(struct preview *p)
{
    for (size_t i = 0; p->pictures && i < p->options->count; i++)
        hr_image_fini(&p->pictures[i]);
    for (size_t i = 0; p->images && i < p->rows * p->columns; i++)
        hr_image_fini(&p->images[i]);
    hr_names_fini(&p->values);
    hr_mem_free(p->pictures);
    hr_mem_free(p->batch);
    hr_mem_free(p->spare);
    hr_mem_free(p->targets);
    hr_mem_free(p->labels);
    hr_mem_free(p->images);
    hr_mem_free(p->captions);
    hr_mem_free(p->tiles);
}

/* "m=1,5" as "m=1" and "m=5". */
static enum hr_status read_values(struct preview *p, const char *vary)
{
    const char *const equals = strchr(vary, '=');
    if (!equals || equals == vary || equals[1] == '\0')
        return hr_fail(HR_E_ARGUMENT, "vary '%.60s' is not name=value,value,...", vary);
    for (const char *at = equals + 1;; at++) {
        const size_t length = strcspn(at, ",");
        struct hr_text value = { 0 };
        hr_text_add_bytes(&value, vary, (size_t)(equals + 1 - vary));
        hr_text_add_bytes(&value, at, length);
        const enum hr_status status =
            value.status == HR_OK ? hr_names_add(&p->values, hr_text_str(&value)) : value.status;
        hr_text_fini(&value);
        HR_TRY(status);
        at += length;
        if (*at == '\0')
            return HR_OK;
    }
}

static enum hr_status decode_all(struct preview *p)
{
    const struct hr_decode_options decode = hr_decode_defaults();
    for (size_t i = 0; i < p->options->count; i++) {
        const char *const path = p->options->paths[i];
        uint8_t *data = NULL;
        size_t size = 0;
        HR_TRY(hr_file_read(path, decode.max_bytes, &data, &size));
        const enum hr_status status =
            hr_image_decode(&p->pictures[i], NULL, data, size, path, &decode);
        hr_mem_free(data);
        HR_TRY(status);
    }
    return HR_OK;
}

static enum hr_status set_up(struct preview *p)
{
    const struct hr_preview_options *o = p->options;
    p->side = o->sample.recipe.crop_width;
    if (o->vary)
        HR_TRY(read_values(p, o->vary));
    p->rows = o->vary ? p->values.count : o->rows;
    p->columns = o->columns + 1;
    if (p->rows < 1 || o->columns < 1 || p->rows > MOST_TILES / p->columns)
        return hr_fail(HR_E_ARGUMENT, "%zu rows of %zu: at least one and at most %d samples",
                       p->rows, p->columns, MOST_TILES);
    const size_t cells = p->rows * p->columns, n = o->columns;
    const size_t floats = (size_t)(3 * p->side * p->side), spare = floats > n ? floats : n;
    p->pictures = hr_mem_alloc(o->count, sizeof *p->pictures);
    p->batch = hr_mem_alloc(n, floats * sizeof *p->batch);
    p->spare = hr_mem_alloc(n, spare * sizeof *p->spare);
    p->targets = hr_mem_alloc(n, n * sizeof *p->targets);
    p->labels = hr_mem_alloc(n, sizeof *p->labels);
    p->images = hr_mem_alloc(cells, sizeof *p->images);
    p->captions = hr_mem_alloc(cells, sizeof *p->captions);
    p->tiles = hr_mem_alloc(cells, sizeof *p->tiles);
    if (!p->pictures || !p->batch || !p->spare || !p->targets || !p->labels || !p->images ||
        !p->captions || !p->tiles)
        return HR_E_MEMORY;
    return decode_all(p);
}

/* Back from normalised planes to bytes. */
static enum hr_status picture_of(struct hr_image *out, const struct hr_recipe *r, const float *x)
{
    const size_t pixels = (size_t)(r->crop_width * r->crop_height);
    HR_TRY(hr_image_init(out, r->crop_width, r->crop_height));
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++) {
            const float v = (x[c * pixels + i] * r->deviation[c] + r->mean[c]) / r->scale;
            out->pixels[3 * i + c] = (uint8_t)(v <= 0.0f ? 0.0f : v >= 255.0f ? 255.0f : v + 0.5f);
        }
    return HR_OK;
}

/* "0.70 + 0.30 of 4", where sample j was mixed with another. */
static void tell_shares(const struct preview *p, size_t j, char *caption)
{
    const size_t n = p->options->columns;
    const float own = p->targets[j * n + j];
    for (size_t k = 0; k < n; k++)
        if (k != j && p->targets[j * n + k] > 0.0f)
            snprintf(caption, CAPTION_BYTES, "%.2f + %.2f of %zu", (double)own, 1.0 - (double)own,
                     k + 1);
}

static enum hr_status mix(const struct preview *p, const struct hr_sample_options *sample,
                          struct hr_random random)
{
    const size_t n = p->options->columns;
    struct hr_mix_batch batch = { .n = n,
                                  .classes = n,
                                  .height = p->side,
                                  .width = p->side,
                                  .x = p->batch,
                                  .spare = p->spare,
                                  .targets = p->targets,
                                  .labels = p->labels };
    enum hr_augment_kind kind;
    memset(p->targets, 0, n * n * sizeof *p->targets);
    for (size_t j = 0; j < n; j++)
        p->targets[j * n + j] = 1.0f;
    return hr_mix_apply(&sample->augment, &random, &batch, &kind);
}

/* Samples of one row, drawn from `first` on, into its images. */
static enum hr_status make_row(const struct preview *p, size_t row,
                               const struct hr_sample_options *sample, uint64_t first)
{
    const struct hr_preview_options *o = p->options;
    const size_t floats = (size_t)(3 * p->side * p->side), from = row * p->columns;
    for (size_t j = 0; j < o->columns; j++) {
        struct hr_random random = hr_random_of(o->seed, first + j);
        HR_TRY(hr_sample_of(sample, &p->pictures[(first + j) % o->count], &random,
                            p->batch + j * floats));
        snprintf(p->captions[from + 1 + j], CAPTION_BYTES, "%llu",
                 (unsigned long long)(first + j + 1));
    }
    HR_TRY(mix(p, sample, hr_random_of(o->seed, first | (uint64_t)1 << 32)));
    for (size_t j = 0; j < o->columns; j++) {
        tell_shares(p, j, p->captions[from + 1 + j]);
        HR_TRY(picture_of(&p->images[from + 1 + j], &sample->recipe, p->batch + j * floats));
    }
    return HR_OK;
}

static enum hr_status make_rows(struct preview *p)
{
    const struct hr_preview_options *o = p->options;
    const struct hr_recipe *recipe = &o->sample.recipe;
    for (size_t row = 0; row < p->rows; row++) {
        struct hr_sample_options sample = o->sample;
        const uint64_t first = o->vary ? 0 : row * o->columns;
        const char *const label = o->vary ? p->values.items[row] : "";
        if (o->vary)
            HR_TRY(hr_augment_set(&sample.augment, label));
        HR_TRY(
            hr_recipe_crop(recipe, &p->pictures[first % o->count], &p->images[row * p->columns]));
        snprintf(p->captions[row * p->columns], CAPTION_BYTES, "%s", label);
        HR_TRY(make_row(p, row, &sample, first));
    }
    return HR_OK;
}

enum hr_status hr_preview(struct hr_image *out, const struct hr_preview_options *options)
{
    struct preview p = { .options = options };
    enum hr_status status = set_up(&p);
    if (status == HR_OK)
        status = make_rows(&p);
    for (size_t i = 0; status == HR_OK && i < p.rows * p.columns; i++)
        p.tiles[i] = (struct hr_tile){ &p.images[i], p.captions[i] };
    const struct hr_sheet sheet = { p.tiles, p.rows * p.columns, p.columns,
                                    p.side < SCALE_SIDE ? 1 : 2 };
    if (status == HR_OK)
        status = hr_draw_sheet(out, &sheet);
    preview_fini(&p);
    return status;
}
