/* SPDX-License-Identifier: Apache-2.0
 * Which reader a file gets, told from its first bytes, and the recipe of a graph: what its own
 * metadata say, else its family's, with the size and the normalisation that the graph has. */
#include "exchange/open.h"

#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "exchange/onnx.h"

/* ---- Recipes ------------------------------------------------------------------------------- */

static void fit_size(struct hr_recipe *r, const struct hr_foreign *is)
{
    if (!is->height || !is->width || (r->crop_height == is->height && r->crop_width == is->width))
        return;
    r->crop_height = (int)is->height;
    r->crop_width = (int)is->width;
    const int side = r->crop_height > r->crop_width ? r->crop_height : r->crop_width;
    if (r->resize_short)
        r->resize_short = (int)((double)side / 0.875); /* the usual margin around the crop */
}

/* A graph that normalises itself: its numbers, for bytes if they are a byte's. */
static void fit_normalisation(struct hr_recipe *r, const struct hr_foreign *is)
{
    if (is->steps == 0)
        return;
    bool of_bytes = is->bytes || is->scale != 1;
    for (int i = 0; i < 3; i++) {
        r->mean[i] = is->mean[i];
        r->deviation[i] = is->deviation[i];
        of_bytes = of_bytes || is->deviation[i] > 2;
    }
    r->scale = of_bytes ? is->scale : 1.0f / 255.0f;
}

static enum hr_status settle_recipe(struct hr_store *weights, const struct hr_foreign *is)
{
    const char *own = hr_store_meta(weights, "hrnet.recipe");
    struct hr_recipe recipe;
    struct hr_text text = { 0 };
    if (own)
        HR_TRY(hr_recipe_parse(&recipe, own));
    else
        HR_TRY(hr_recipe_named(&recipe, is->from_torch ? "pillow-bicubic" : "opencv"));
    fit_size(&recipe, is);
    fit_normalisation(&recipe, is);
    HR_TRY(hr_recipe_check(&recipe));
    hr_recipe_print(&recipe, &text);
    enum hr_status status = text.status;
    if (status == HR_OK)
        status = hr_store_set_meta(weights, "hrnet.recipe", hr_text_str(&text));
    hr_text_fini(&text);
    return status;
}

/* ---- Opening ------------------------------------------------------------------------------- */

static enum hr_status from_onnx(struct hr_model **out, const void *data, size_t size,
                                const char *name, const char *folder,
                                const struct hr_model_options *options)
{
    struct hr_graph *graph = NULL;
    struct hr_store *weights = NULL;
    struct hr_foreign is;
    HR_TRY(hr_onnx_read(&graph, &weights, &is, data, size, name, folder));
    const enum hr_status status = settle_recipe(weights, &is);
    if (status != HR_OK) {
        hr_graph_destroy(graph);
        hr_store_destroy(weights);
        return hr_fail_context(status, "%s", name);
    }
    return hr_model_from_graph(out, graph, weights, name, options);
}

enum hr_status hr_exchange_open_memory(struct hr_model **out, const void *data, size_t size,
                                       const char *name, const struct hr_model_options *options)
{
    if (hr_onnx_sniff(data, size))
        return from_onnx(out, data, size, name, NULL, options);
    return hr_model_open_memory(out, data, size, name, options);
}

/* The folder of a file: "." where the path has none. */
static char *folder_of(const char *path)
{
    const size_t length = (size_t)(hr_os_base_name(path) - path);
    return length ? hr_mem_strndup(path, length) : hr_mem_strdup(".");
}

enum hr_status hr_exchange_open(struct hr_model **out, const char *path,
                                const struct hr_model_options *options)
{
    struct hr_map map = { 0 };
    HR_TRY(hr_map_open(&map, path));
    if (!hr_onnx_sniff(map.data, map.size)) {
        hr_map_close(&map);
        return hr_model_open(out, path, options);
    }
    char *folder = folder_of(path);
    const enum hr_status status =
        folder ? from_onnx(out, map.data, map.size, path, folder, options) : HR_E_MEMORY;
    hr_mem_free(folder);
    hr_map_close(&map);
    return status;
}
