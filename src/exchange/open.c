/* SPDX-License-Identifier: Apache-2.0
 * Which reader a file gets, told from its first bytes, and the recipe of a graph: what its own
 * metadata say, else its family's, with the size and the normalisation that the graph has. */
#include "exchange/open.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "exchange/onnx.h"
#include "exchange/program.h"
#include "model/model_metadata.h"

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
    if (own)
        HR_TRY(hr_recipe_parse(&recipe, own));
    else
        HR_TRY(hr_recipe_named(&recipe, is->recipe ? is->recipe : "opencv"));
    fit_size(&recipe, is);
    fit_normalisation(&recipe, is);
    HR_TRY(hr_recipe_check(&recipe));
    return hr_model_set_recipe(weights, &recipe);
}

/* A graph that makes scores of its logits itself knows better than what was written beside it. */
static enum hr_status settle_activation(struct hr_store *weights, const struct hr_foreign *is)
{
    if (is->result == HR_RESULT_LOGITS)
        return HR_OK;
    return hr_store_set_meta(weights, "hrnet.activation",
                             is->result == HR_RESULT_SIGMOID ? "sigmoid" : "softmax");
}

/* ---- Opening ------------------------------------------------------------------------------- */

/* A wrong guess shows in no shape, only in answers. */
static void tell_recipe(const char *name, const struct hr_recipe *r)
{
    static const char *const resizes[] = { "opencv", "pillow", "pillow-bicubic" };
    hr_log(HR_LOG_INFO,
           "%s: nothing in the file says how pictures are prepared: recipe '%s' is assumed (%s "
           "resize, short side %d, crop %dx%d, mean %.6g,%.6g,%.6g); --recipe, --mean and the like "
           "change it, `hrnet convert` keeps it",
           name, r->name, resizes[r->resize], r->resize_short, r->crop_height, r->crop_width,
           (double)r->mean[0], (double)r->mean[1], (double)r->mean[2]);
}

/* Takes graph and weights whatever happens. */
static enum hr_status from_graph(struct hr_model **out, struct hr_graph *graph,
                                 struct hr_store *weights, const struct hr_foreign *is,
                                 const char *name, const struct hr_model_options *options)
{
    const bool told = hr_store_meta(weights, "hrnet.recipe") || (options && options->recipe);
    enum hr_status status = settle_recipe(weights, is);
    if (status == HR_OK)
        status = settle_activation(weights, is);
    if (status != HR_OK) {
        hr_graph_destroy(graph);
        hr_store_destroy(weights);
        return hr_fail_context(status, "%s", name);
    }
    status = hr_model_from_graph(out, graph, weights, name, options);
    if (status == HR_OK && !told)
        tell_recipe(name, hr_model_recipe(*out));
    return status;
}

static enum hr_status from_onnx(struct hr_model **out, const void *data, size_t size,
                                const char *name, const char *folder,
                                const struct hr_model_options *options)
{
    struct hr_graph *graph = NULL;
    struct hr_store *weights = NULL;
    struct hr_foreign is;
    HR_TRY(hr_onnx_read(&graph, &weights, &is, data, size, name, folder));
    return from_graph(out, graph, weights, &is, name, options);
}

/* ---- Paddle programs ----------------------------------------------------------------------- */

/* The two files of a program. */
struct pair {
    char *program, *params;
    bool pir;
};

static void pair_fini(struct pair *pair)
{
    hr_mem_free(pair->program);
    hr_mem_free(pair->params);
    *pair = (struct pair){ 0 };
}

static bool is_file(const char *path)
{
    return hr_os_kind(path) == HR_OS_FILE;
}

/* PREFIX and an ending, or NULL without memory. */
static char *joined(const char *prefix, size_t length, const char *ending)
{
    struct hr_text text = { 0 };
    char *path = NULL;
    hr_text_add_bytes(&text, prefix, length);
    hr_text_add(&text, ending);
    return hr_text_take(&text, &path) == HR_OK ? path : NULL;
}

/* Fills the pair if both files are there; an empty pair if not. */
static enum hr_status try_pair(struct pair *pair, const char *prefix, size_t length,
                               const char *program, const char *params)
{
    pair->program = joined(prefix, length, program);
    pair->params = joined(prefix, length, params);
    pair->pir = hr_text_ends(program, ".json");
    if (!pair->program || !pair->params) {
        pair_fini(pair);
        return HR_E_MEMORY;
    }
    if (!is_file(pair->program) || !is_file(pair->params))
        pair_fini(pair);
    return HR_OK;
}

/* An empty pair if the path means no program. */
static enum hr_status find_pair(struct pair *pair, const char *path)
{
    static const char *const in_folder[][2] = {
        { "/inference.pdmodel", "/inference.pdiparams" },
        { "/inference.json", "/inference.pdiparams" },
        { "/model.pdmodel", "/model.pdiparams" },
        { "/model.json", "/model.pdiparams" },
        { "/__model__", "/__params__" },
    };
    static const char *const endings[] = { ".pdmodel", ".json", ".pdiparams", "" };
    const enum hr_os_kind kind = hr_os_kind(path);
    size_t length = strlen(path);
    while (kind == HR_OS_FOLDER && length > 1 && path[length - 1] == '/')
        length--;
    for (size_t i = 0; kind == HR_OS_FOLDER && i < HR_COUNT(in_folder) && !pair->program; i++)
        HR_TRY(try_pair(pair, path, length, in_folder[i][0], in_folder[i][1]));
    for (size_t i = 0; kind != HR_OS_FOLDER && i < HR_COUNT(endings) && !pair->program; i++) {
        if (!hr_text_ends(path, endings[i]) || (kind == HR_OS_FILE) != (endings[i][0] != '\0'))
            continue;
        const size_t prefix = length - strlen(endings[i]);
        if (i != 1)
            HR_TRY(try_pair(pair, path, prefix, ".pdmodel", ".pdiparams"));
        if (!pair->program)
            HR_TRY(try_pair(pair, path, prefix, ".json", ".pdiparams"));
    }
    return HR_OK;
}

static enum hr_status read_program(struct hr_graph **graph, struct hr_store **weights,
                                   struct hr_foreign *is, const char *path, bool pir,
                                   const struct hr_map *params, const char *params_path)
{
    struct hr_map program = { 0 };
    struct hr_program p = { 0 };
    HR_TRY(hr_map_open(&program, path));
    enum hr_status status =
        (pir ? hr_pir_read : hr_pdmodel_read)(&p, program.data, program.size, path);
    if (status == HR_OK)
        status = hr_program_graph(graph, weights, is, &p, params->data, params->size, params_path);
    hr_program_fini(&p);
    hr_map_close(&program);
    return status;
}

enum hr_status hr_exchange_open_program(struct hr_model **out, const char *program,
                                        const char *params, bool pir,
                                        const struct hr_model_options *options)
{
    struct hr_map map = { 0 };
    struct hr_graph *graph = NULL;
    struct hr_store *weights = NULL;
    struct hr_foreign is;
    HR_TRY(hr_map_open(&map, params));
    enum hr_status status = read_program(&graph, &weights, &is, program, pir, &map, params);
    if (status == HR_OK) {
        is.recipe = "opencv-deploy"; /* that of PaddleClas's deployment */
        status = hr_store_take_map(weights, &map);
        if (status != HR_OK) {
            hr_graph_destroy(graph);
            hr_store_destroy(weights);
        }
    }
    if (status == HR_OK) {
        hr_store_set_format(weights, pir ? HR_FORMAT_PADDLE_PIR : HR_FORMAT_PADDLE_PROGRAM);
        status = from_graph(out, graph, weights, &is, program, options);
    } else if (status != HR_E_MEMORY) {
        status = hr_fail_context(status, "%s", program);
    }
    hr_map_close(&map);
    return status;
}

/* ---- Any file ------------------------------------------------------------------------------ */

enum hr_status hr_exchange_open_memory(struct hr_model **out, const void *data, size_t size,
                                       const char *name, const struct hr_model_options *options)
{
    if (hr_onnx_sniff(data, size))
        return from_onnx(out, data, size, name, NULL, options);
    return hr_model_open_memory(out, data, size, name, options);
}

enum hr_status hr_exchange_open(struct hr_model **out, const char *path,
                                const struct hr_model_options *options)
{
    struct hr_map map = { 0 };
    struct pair pair = { 0 };
    HR_TRY(find_pair(&pair, path));
    if (pair.program) {
        const enum hr_status opened =
            hr_exchange_open_program(out, pair.program, pair.params, pair.pir, options);
        pair_fini(&pair);
        return opened;
    }
    if (hr_os_kind(path) == HR_OS_FOLDER)
        return hr_fail(
            HR_E_NOT_FOUND,
            "%s: the folder holds no Paddle program: inference.pdmodel or inference.json "
            "with inference.pdiparams is looked for",
            path);
    HR_TRY(hr_map_open(&map, path));
    if (!hr_onnx_sniff(map.data, map.size)) {
        hr_map_close(&map);
        return hr_model_open(out, path, options);
    }
    char *folder = hr_os_folder(path);
    const enum hr_status status =
        folder ? from_onnx(out, map.data, map.size, path, folder, options) : HR_E_MEMORY;
    hr_mem_free(folder);
    hr_map_close(&map);
    return status;
}
