/* SPDX-License-Identifier: Apache-2.0
 * Which network a file of tensors is: scheme and prefix by the names of a few layers that every
 * HRNet has, the architecture by a guess from some shapes or, when that does not hold, by counting
 * what each known network would find wrong.  No single tensor decides, so that a file that lacks
 * one is still known for what it is. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "graph/graph.h"
#include "model/names.h"

#define PROBE_SIZE 32 /* px; parameters do not depend on the picture's size */

/* Layers that every HRNet has, from end to end.  Other networks have the first few too. */
static const char *const anchors[] = {
    "conv_layer1_1.conv.weight",
    "conv_layer1_2.conv.weight",
    "layer1.0.conv1.conv.weight",
    "conv_tr1_1.conv.weight",
    "conv_tr1_2.conv.weight",
    "st2.stage_func_list.0.basic_block_list.0.0.conv1.conv.weight",
    "conv_tr2.conv.weight",
    "st3.stage_func_list.0.basic_block_list.0.0.conv1.conv.weight",
    "conv_tr3.conv.weight",
    "st4.stage_func_list.0.basic_block_list.0.0.conv1.conv.weight",
    "last_cls.func_list.0.conv1.conv.weight",
    "cls_head_conv_list.0.conv.weight",
    "conv_last.conv.weight",
};
#define ANCHORS_WANTED 4 /* one more than a ResNet has */

bool hr_names_locate(char full[HR_FULL_NAME_BYTES], size_t *index, const struct hr_store *store,
                     const struct hr_recognised *is, const char *canonical)
{
    char name[HR_NAME_BYTES];
    if (hr_name_of(name, is->scheme, canonical) != HR_OK || !name[0]) {
        snprintf(full, HR_FULL_NAME_BYTES, "%s", canonical);
        return false;
    }
    snprintf(full, HR_FULL_NAME_BYTES, "%s%s", is->prefix, name);
    return hr_store_index(store, full, index);
}

static const struct hr_tensor *find(const struct hr_store *store, const struct hr_recognised *is,
                                    const char *canonical)
{
    char full[HR_FULL_NAME_BYTES];
    size_t index;
    return hr_names_locate(full, &index, store, is, canonical) ? hr_store_tensor(store, index)
                                                               : NULL;
}

/* ---- Scheme and prefix ---- */

/* The anchors' names in every scheme; timm's are Microsoft's. */
struct anchor_names {
    char of[HR_SCHEME_TIMM][HR_COUNT(anchors)][HR_NAME_BYTES];
};

static bool name_anchors(struct anchor_names *names)
{
    for (int s = 0; s < HR_SCHEME_TIMM; s++)
        for (size_t a = 0; a < HR_COUNT(anchors); a++)
            if (hr_name_of(names->of[s][a], (enum hr_scheme)s, anchors[a]) != HR_OK)
                return false;
    return true;
}

static size_t count_anchors(const struct hr_store *store, const struct hr_recognised *is)
{
    size_t count = 0;
    for (size_t a = 0; a < HR_COUNT(anchors); a++)
        count += find(store, is, anchors[a]) != NULL;
    return count;
}

/* The best start so far. */
struct start {
    struct hr_recognised is;
    size_t anchors;
};

/* A student is preferred to what else a distillation checkpoint holds. */
static void consider(struct start *best, const struct hr_store *store, enum hr_scheme scheme,
                     const char *name, size_t prefix_size)
{
    struct hr_recognised is = { .scheme = scheme };
    if (prefix_size >= sizeof is.prefix || (prefix_size > 0 && name[prefix_size - 1] != '.'))
        return;
    memcpy(is.prefix, name, prefix_size);
    const size_t count = count_anchors(store, &is);
    const bool student = hr_text_starts(is.prefix, "Student.");
    const bool had = hr_text_starts(best->is.prefix, "Student.");
    if (count < ANCHORS_WANTED || (had && !student) || (had == student && count <= best->anchors))
        return;
    *best = (struct start){ is, count };
}

static bool find_start(struct hr_recognised *out, const struct hr_store *store)
{
    struct anchor_names names;
    struct start best = { 0 };
    if (!name_anchors(&names))
        return false;
    for (size_t i = 0; i < hr_store_count(store); i++) {
        const char *name = hr_store_name(store, i);
        if (!hr_text_ends(name, ".weight"))
            continue;
        for (int s = 0; s < HR_SCHEME_TIMM; s++)
            for (size_t a = 0; a < HR_COUNT(anchors); a++)
                if (hr_text_ends(name, names.of[s][a]))
                    consider(&best, store, (enum hr_scheme)s, name,
                             strlen(name) - strlen(names.of[s][a]));
    }
    *out = best.is;
    return best.anchors > 0;
}

/* ---- Architecture ---- */

static bool has_layer(const struct hr_store *store, const struct hr_recognised *is,
                      const char *format, int index)
{
    char name[HR_NAME_BYTES];
    snprintf(name, sizeof name, format, index);
    return find(store, is, name) != NULL;
}

/* Does the numbered layer exist up to count - 1, and no further? */
static bool has_layers(const struct hr_store *store, const struct hr_recognised *is,
                       const char *format, int count)
{
    return has_layer(store, is, format, count - 1) && !has_layer(store, is, format, count);
}

/* The traits by which rows differ, read off a few tensors. */
static bool row_fits(const struct hr_zoo_row *row, const struct hr_store *store,
                     const struct hr_recognised *is)
{
    const struct hr_tensor *width = find(store, is, "conv_tr1_1.conv.weight");
    const struct hr_tensor *planes = find(store, is, "layer1.0.conv1.conv.weight");
    const bool squeeze = find(store, is, "layer1.0.se.fc_squeeze.weight") != NULL;
    return width && planes && width->shape.dim[0] == row->width[0] &&
           planes->shape.dim[0] == row->layer1_planes && squeeze == row->squeeze &&
           has_layers(store, is, "layer1.%d.conv1.conv.weight", row->layer1_blocks) &&
           has_layers(store, is, "st3.stage_func_list.%d.basic_block_list.0.0.conv1.conv.weight",
                      row->modules[1]) &&
           has_layers(store, is, "st4.stage_func_list.%d.basic_block_list.0.0.conv1.conv.weight",
                      row->modules[2]);
}

struct hr_shape hr_names_turned(const struct hr_shape *shape, const struct hr_recognised *is)
{
    struct hr_shape turned = *shape;
    if (shape->rank == 2 && hr_scheme_is_torch(is->scheme)) {
        turned.dim[0] = shape->dim[1];
        turned.dim[1] = shape->dim[0];
    }
    return turned;
}

/* How many parameters of this network the file lacks or has in another shape, and how many tensors
 * it has beyond them; counting ends at `most`. */
static size_t count_faults(const struct hr_graph *graph, const struct hr_store *store,
                           const struct hr_recognised *is, size_t owned, size_t most)
{
    char full[HR_FULL_NAME_BYTES];
    size_t wrong = 0, found = 0, index;
    for (size_t i = 0; i < graph->param_count && wrong < most; i++) {
        if (!hr_names_locate(full, &index, store, is, graph->params[i].name)) {
            wrong++;
            continue;
        }
        const struct hr_shape want = hr_names_turned(&graph->params[i].shape, is);
        wrong += !hr_shape_equal(&hr_store_tensor(store, index)->shape, &want);
        found++;
    }
    return wrong + (owned > found ? owned - found : 0);
}

static size_t count_owned(const struct hr_store *store, const struct hr_recognised *is)
{
    size_t owned = 0;
    for (size_t i = 0; i < hr_store_count(store); i++)
        owned += hr_names_kind(is, hr_store_name(store, i)) == HR_NAME_OWN;
    return owned;
}

enum hr_status hr_names_nearest(const struct hr_zoo_row **out, const struct hr_store *store,
                                const struct hr_recognised *is)
{
    /* The head says nothing of the network: any class count is as wrong for every row. */
    const struct hr_hrnet_options options = { 1, PROBE_SIZE, PROBE_SIZE, 1, HR_FUSE_PADDLE };
    const struct hr_zoo_row *nearest = NULL;
    const size_t owned = count_owned(store, is);
    size_t least = SIZE_MAX;
    for (size_t i = is->row ? 0 : 1; i <= hr_zoo_count(); i++) {
        const struct hr_zoo_row *row = i == 0 ? is->row : hr_zoo_row(i - 1); /* the guess first */
        struct hr_graph *graph = NULL;
        HR_TRY(hr_hrnet_build(&graph, row, &options));
        const size_t faults = count_faults(graph, store, is, owned, least);
        if (faults < least) {
            least = faults;
            nearest = row;
        }
        if (least * HR_NAMES_DISTANCE <= graph->param_count)
            i = hr_zoo_count();
        hr_graph_destroy(graph);
    }
    *out = nearest;
    return HR_OK;
}

/* By the classifier's weight, or by its bias if that is all there is; 0 if there is neither. */
static int classes_of(const struct hr_store *store, const struct hr_recognised *is)
{
    const struct hr_tensor *weight = find(store, is, "fc.weight");
    const struct hr_tensor *bias = find(store, is, "fc.bias");
    int64_t classes = 0;
    if (weight && weight->shape.rank == 2)
        classes = hr_names_turned(&weight->shape, is).dim[1];
    else if (bias && bias->shape.rank == 1)
        classes = bias->shape.dim[0];
    return classes >= 1 && classes <= INT32_MAX ? (int)classes : 0;
}

enum hr_status hr_names_recognise(struct hr_recognised *out, const struct hr_store *store)
{
    struct hr_recognised is = { 0 };
    if (!find_start(&is, store))
        return hr_fail(HR_E_MISMATCH,
                       "the %zu tensors are no HRNet's: none are named like its stem, transitions "
                       "and stages (conv_layer1_1.conv.weight in Paddle, conv1.weight in PyTorch); "
                       "the first is '%.80s'",
                       hr_store_count(store),
                       hr_store_count(store) ? hr_store_name(store, 0) : "missing");
    is.classes = classes_of(store, &is);
    for (size_t i = 0; i < hr_zoo_count() && !is.row; i++)
        if (row_fits(hr_zoo_row(i), store, &is))
            is.row = hr_zoo_row(i);
    if (!is.row)
        HR_TRY(hr_names_nearest(&is.row, store, &is));
    const char *made_by = hr_store_meta(store, "format");
    if (is.scheme == HR_SCHEME_MICROSOFT && made_by && strcmp(made_by, "pt") == 0)
        is.scheme = HR_SCHEME_TIMM;
    *out = is;
    return HR_OK;
}
