/* SPDX-License-Identifier: Apache-2.0
 * One explainer a model, made when it is first asked for. */
#include "serve/heat.h"

#include <pthread.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"

#define FEATURE "last"

struct hr_heat {
    pthread_mutex_t mutex;
    pthread_cond_t free;
    bool busy; /* whoever set it has the explainer */
    hrnet_explainer *explainer;
};

enum hr_status hr_heat_create(struct hr_heat **out)
{
    struct hr_heat *heat = hr_mem_alloc(1, sizeof *heat);
    if (!heat)
        return HR_E_MEMORY;
    hr_condition_init(&heat->free);
    pthread_mutex_init(&heat->mutex, NULL);
    *out = heat;
    return HR_OK;
}

void hr_heat_destroy(struct hr_heat *heat)
{
    if (!heat)
        return;
    hrnet_explainer_destroy(heat->explainer);
    pthread_cond_destroy(&heat->free);
    pthread_mutex_destroy(&heat->mutex);
    hr_mem_free(heat);
}

/* What one picture needs: its tensor, its crop, its answer, its map. */
struct work {
    float *x, *logits, *map;
    uint8_t *rgb, *png;
    size_t png_bytes;
    int64_t rows, columns;
};

static enum hr_status prepare(struct work *w, hrnet_model *model, const void *picture, size_t size,
                              const struct hrnet_decode_options *decode,
                              struct hrnet_recipe *recipe)
{
    struct hrnet_model_info info;
    HR_TRY((enum hr_status)hrnet_model_recipe(model, recipe));
    HR_TRY((enum hr_status)hrnet_model_describe(model, &info));
    const size_t pixels = (size_t)recipe->crop_width * (size_t)recipe->crop_height;
    w->x = hr_mem_alloc(pixels, 3 * sizeof *w->x);
    w->rgb = hr_mem_alloc(pixels, 3);
    w->logits = hr_mem_alloc((size_t)info.classes, sizeof *w->logits);
    if (!w->x || !w->rgb || !w->logits)
        return HR_E_MEMORY;
    HR_TRY((enum hr_status)hrnet_preprocess_memory(recipe, picture, size, "the picture", decode,
                                                   w->x, NULL));
    return (enum hr_status)hrnet_preprocess_crop(recipe, picture, size, "the picture", decode,
                                                 w->rgb, NULL);
}

/* By whoever has the explainer. */
static enum hr_status explain(struct hr_heat *heat, hrnet_model *model, struct work *w)
{
    struct hrnet_explainer_options options;
    int chosen;
    hrnet_explainer_options_init(&options, sizeof options);
    if (!heat->explainer)
        HR_TRY((enum hr_status)hrnet_explainer_create(&heat->explainer, model, &options));
    HR_TRY((enum hr_status)hrnet_explainer_run(heat->explainer, w->x, -1, w->logits, &chosen));
    HR_TRY(
        (enum hr_status)hrnet_explainer_map_size(heat->explainer, FEATURE, &w->rows, &w->columns));
    w->map = hr_mem_alloc((size_t)w->rows, (size_t)w->columns * sizeof *w->map);
    if (!w->map)
        return HR_E_MEMORY;
    return (enum hr_status)hrnet_explainer_map(heat->explainer, HRNET_EXPLAIN_CAM, FEATURE, w->map);
}

static enum hr_status take(struct hr_heat *heat, uint64_t deadline_ns)
{
    bool in_time = true;
    pthread_mutex_lock(&heat->mutex);
    while (heat->busy && in_time)
        in_time = hr_condition_wait(&heat->free, &heat->mutex, deadline_ns);
    const bool taken = !heat->busy;
    heat->busy = true;
    pthread_mutex_unlock(&heat->mutex);
    return taken ? HR_OK : hr_fail(HR_E_DEADLINE, "the deadline passed before the map was begun");
}

static void give_back(struct hr_heat *heat)
{
    pthread_mutex_lock(&heat->mutex);
    heat->busy = false;
    pthread_cond_signal(&heat->free);
    pthread_mutex_unlock(&heat->mutex);
}

static enum hr_status explain_in_turn(struct hr_heat *heat, hrnet_model *model, struct work *w,
                                      uint64_t deadline_ns)
{
    HR_TRY(take(heat, deadline_ns));
    const enum hr_status status = explain(heat, model, w);
    give_back(heat);
    return status;
}

enum hr_status hr_heat_draw(struct hr_heat *heat, hrnet_model *model, const void *picture,
                            size_t size, const struct hrnet_decode_options *decode,
                            uint64_t deadline_ns, struct hr_text *out)
{
    struct work w = { 0 };
    struct hrnet_recipe recipe;
    enum hr_status status = prepare(&w, model, picture, size, decode, &recipe);
    if (status == HR_OK)
        status = explain_in_turn(heat, model, &w, deadline_ns);
    if (status == HR_OK)
        status = (enum hr_status)hrnet_draw_overlay(w.rgb, recipe.crop_width, recipe.crop_height,
                                                    w.map, w.rows, w.columns);
    if (status == HR_OK)
        status = (enum hr_status)hrnet_encode_png(w.rgb, recipe.crop_width, recipe.crop_height,
                                                  &w.png, &w.png_bytes);
    if (status == HR_OK) {
        hr_text_add(out, "data:image/png;base64,");
        hr_base64_encode(out, w.png, w.png_bytes);
        status = out->status;
    }
    hr_mem_free(w.x);
    hr_mem_free(w.logits);
    hr_mem_free(w.map);
    hr_mem_free(w.rgb);
    hrnet_free(w.png);
    return status;
}
