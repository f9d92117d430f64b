/* SPDX-License-Identifier: Apache-2.0
 * What the readers share.  The one idea: an activation is remembered together with the form in
 * which its file sees it, so that reshapes between [n,c,1,1] and [n,c] cost no node, and with what
 * was done to it that belongs to the recipe or to the reader of the answer rather than to the
 * network.  Knows nothing of any file format.
 *
 * Letters: n images, c channels, h w plane, k outputs. */
#include "exchange/import.h"

#include <string.h>

#include "base/mem.h"
#include "exchange/import_values.h"
#include "graph/rewrite.h"

static const char *value_name(const void *values, size_t i)
{
    return ((const struct hr_import_value *)values)[i].name;
}

enum hr_status hr_import_init(struct hr_import *im)
{
    *im = (struct hr_import){
        .names = { .name = value_name }, .node = "", .scale = 1, .deviation = { 1, 1, 1 }
    };
    HR_TRY(hr_builder_start(&im->builder));
    return hr_store_create(&im->weights);
}

void hr_import_fini(struct hr_import *im)
{
    hr_graph_destroy(im->builder.graph);
    hr_store_destroy(im->weights);
    hr_mem_free(im->values);
    hr_index_fini(&im->names);
    *im = (struct hr_import){ 0 };
}

/* ---- Names --------------------------------------------------------------------------------- */

enum hr_status hr_import_define(struct hr_import *im, const struct hr_import_value *value)
{
    if (im->builder.status != HR_OK)
        return im->builder.status;
    if (hr_index_find(&im->names, im->values, value->name))
        return hr_fail(HR_E_FORMAT, "'%.100s' is made twice", value->name);
    HR_TRY(hr_index_reserve(&im->names, im->values));
    HR_TRY(hr_mem_grow((void **)&im->values, &im->capacity, im->count + 1, sizeof *im->values));
    im->values[im->count++] = *value;
    hr_index_add(&im->names, im->values);
    return HR_OK;
}

const struct hr_import_value *hr_import_look_up(const struct hr_import *im, const char *name)
{
    const size_t found = name ? hr_index_find(&im->names, im->values, name) : 0;
    return found ? &im->values[found - 1] : NULL;
}

enum hr_status hr_import_unknown(const char *name)
{
    return hr_fail(HR_E_FORMAT, "it reads '%.100s', which nothing before it makes",
                   name ? name : "");
}

enum hr_status hr_import_find(const struct hr_import *im, const char *name,
                              const struct hr_import_value **out)
{
    const struct hr_import_value *value = hr_import_look_up(im, name);
    if (!value)
        return hr_import_unknown(name);
    if (value->constant)
        return hr_fail(HR_E_UNSUPPORTED, "its input '%.100s' is a constant", name);
    if (value->spent)
        return hr_fail(HR_E_UNSUPPORTED, "'%.100s' is read without its bias, too", name);
    *out = value;
    return HR_OK;
}

enum hr_status hr_import_find_constant(const struct hr_import *im, const char *name,
                                       const struct hr_tensor **out)
{
    const struct hr_import_value *value = hr_import_look_up(im, name);
    if (!value)
        return hr_import_unknown(name);
    if (!value->constant)
        return hr_fail(HR_E_UNSUPPORTED, "its operand '%.100s' is computed: a constant is wanted",
                       name);
    *out = &value->tensor;
    return HR_OK;
}

enum hr_status hr_import_constant(struct hr_import *im, const char *name,
                                  const struct hr_tensor *tensor)
{
    struct hr_import_value value = { name, .constant = true, .tensor = *tensor };
    if (!value.tensor.data)
        value.tensor.data = ""; /* of an empty list */
    return hr_import_define(im, &value);
}

enum hr_status hr_import_integers(const struct hr_import *im, const char *name, int64_t *out,
                                  int most, int *count)
{
    const struct hr_tensor *t;
    size_t elements;
    HR_TRY(hr_import_find_constant(im, name, &t));
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    if (elements > (size_t)most || (t->dtype != HR_DTYPE_I64 && t->dtype != HR_DTYPE_I32))
        return hr_fail(HR_E_FORMAT, "'%.100s' is %s%s: up to %d whole numbers are wanted", name,
                       hr_dtype_name(t->dtype), hr_shape_str(&t->shape).s, most);
    int32_t narrow[HR_MAX_RANK];
    const bool wide = t->dtype == HR_DTYPE_I64;
    if (most > HR_MAX_RANK)
        return hr_fail(HR_E_INTERNAL, "more than %d whole numbers are asked for", HR_MAX_RANK);
    hr_tensor_gather(wide ? (void *)out : (void *)narrow, t);
    for (size_t i = 0; i < elements && !wide; i++)
        out[i] = narrow[i];
    *count = (int)elements;
    return HR_OK;
}

/* ---- Values -------------------------------------------------------------------------------- */

enum hr_status hr_import_define_result(struct hr_import *im, const char *name, hr_value value,
                                       enum hr_form form)
{
    return hr_import_define(im, &(struct hr_import_value){ name, .value = value, .form = form });
}

enum hr_status hr_import_operand(struct hr_import *im, const char *name,
                                 const struct hr_import_value **out)
{
    const struct hr_import_value *value;
    HR_TRY(hr_import_find(im, name, &value));
    if (value->softmax)
        return hr_fail(HR_E_UNSUPPORTED, "it reads a softmax: that is supported as result only");
    if (value->picture) {
        if (value->channels_last)
            return hr_fail(HR_E_UNSUPPORTED,
                           "it reads the picture as [n,h,w,c]: [n,c,h,w] is wanted");
        if (im->steps_taken && im->steps_taken != value->picture)
            return hr_fail(HR_E_UNSUPPORTED, "layers read differently normalised pictures");
        im->steps_taken = value->picture;
    }
    *out = value;
    return HR_OK;
}

enum hr_status hr_import_map_operand(struct hr_import *im, const char *name,
                                     const struct hr_import_value **out)
{
    HR_TRY(hr_import_operand(im, name, out));
    if ((*out)->form == HR_FORM_MAP)
        return HR_OK;
    return hr_fail(HR_E_UNSUPPORTED, "its input '%.100s' is no [n,c,h,w]", name);
}

const struct hr_shape *hr_import_shape_of(const struct hr_import *im,
                                          const struct hr_import_value *value)
{
    return &im->builder.graph->values[value->value].shape;
}

enum hr_status hr_import_shape(const struct hr_import *im, const char *name, struct hr_shape *out)
{
    const struct hr_import_value *value;
    HR_TRY(hr_import_find(im, name, &value));
    *out = *hr_import_shape_of(im, value);
    if (value->form == HR_FORM_PIXEL)
        *out = (struct hr_shape){ 4, { out->dim[0], out->dim[1], 1, 1 } };
    if (value->channels_last)
        *out = (struct hr_shape){ 4, { out->dim[0], out->dim[2], out->dim[3], out->dim[1] } };
    return HR_OK;
}

enum hr_status hr_import_input(struct hr_import *im, const char *name, int64_t height,
                               int64_t width, bool channels_last)
{
    const hr_value x = hr_input(&im->builder, 1, 3, height, width);
    return hr_import_define(im, &(struct hr_import_value){ name, .value = x, .form = HR_FORM_MAP,
                                                           .picture = 1,
                                                           .channels_last = channels_last });
}

enum hr_status hr_import_define_like(struct hr_import *im, const char *name,
                                     const struct hr_import_value *value)
{
    struct hr_import_value like = *value;
    like.name = name;
    return hr_import_define(im, &like);
}

enum hr_status hr_import_alias(struct hr_import *im, const char *out, const char *x)
{
    const struct hr_import_value *value = hr_import_look_up(im, x);
    return value ? hr_import_define_like(im, out, value) : hr_import_unknown(x);
}

enum hr_status hr_import_channels_first(struct hr_import *im, const char *out, const char *x)
{
    const struct hr_import_value *value;
    HR_TRY(hr_import_find(im, x, &value));
    struct hr_import_value like = *value;
    if (!value->picture || !value->channels_last)
        return hr_fail(HR_E_UNSUPPORTED, "only the picture [n,h,w,c] may be transposed, to "
                                         "[n,c,h,w]");
    like.channels_last = false;
    return hr_import_define_like(im, out, &like);
}

enum hr_status hr_import_reform(struct hr_import *im, const char *out, const char *x, int rank)
{
    const struct hr_import_value *value;
    HR_TRY(hr_import_find(im, x, &value));
    struct hr_import_value like = *value;
    if (value->form == HR_FORM_MAP || (rank != 2 && rank != 4))
        return hr_fail(HR_E_UNSUPPORTED,
                       "it reshapes %s to rank %d: only [n,c,1,1] and [n,c] "
                       "become one another",
                       hr_shape_str(hr_import_shape_of(im, value)).s, rank);
    like.form = rank == 4 ? HR_FORM_PIXEL : HR_FORM_VECTOR;
    return hr_import_define_like(im, out, &like);
}

/* Elements a free dimension takes: what the others leave. */
static bool fill_free(struct hr_shape *shape, size_t elements)
{
    int64_t *free_dim = NULL;
    size_t others = 1;
    for (int d = 0; d < shape->rank; d++) {
        if (shape->dim[d] == -1 && !free_dim)
            free_dim = &shape->dim[d];
        else if (shape->dim[d] < 1 || !hr_size_mul(&others, others, (size_t)shape->dim[d]))
            return false;
    }
    if (free_dim)
        *free_dim = (int64_t)(elements / others);
    return free_dim ? elements % others == 0 : elements == others;
}

enum hr_status hr_import_reshape(struct hr_import *im, const char *out, const char *constant,
                                 const int64_t *dims, int rank)
{
    const struct hr_tensor *t;
    size_t elements;
    HR_TRY(hr_import_find_constant(im, constant, &t));
    struct hr_tensor shaped = *t;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    shaped.shape = (struct hr_shape){ .rank = rank };
    memcpy(shaped.shape.dim, dims, (size_t)rank * sizeof *dims);
    if (!hr_tensor_contiguous(t) || !fill_free(&shaped.shape, elements))
        return hr_fail(HR_E_UNSUPPORTED, "its constant '%.100s' of shape %s cannot be reshaped so",
                       constant, hr_shape_str(&t->shape).s);
    hr_tensor_set_contiguous(&shaped);
    return hr_import_constant(im, out, &shaped);
}

void hr_import_tell(const struct hr_import *im, struct hr_foreign *is)
{
    is->steps = im->steps_taken > 1 ? im->steps_taken - 1 : 0;
    is->scale = im->scale;
    memcpy(is->mean, im->mean, sizeof is->mean);
    memcpy(is->deviation, im->deviation, sizeof is->deviation);
}

/* ---- The end ------------------------------------------------------------------------------- */

/* The result without what only the reader of the answer needs. */
static hr_value logits_of(struct hr_import *im, const struct hr_import_value *result)
{
    const struct hr_graph *g = im->builder.graph;
    const int32_t made_by = g->values[result->value].producer;
    im->result = result->softmax ? HR_RESULT_SOFTMAX : HR_RESULT_LOGITS;
    if (result->softmax || made_by < 0 || g->nodes[made_by].op != HR_OP_SIGMOID)
        return result->value;
    im->result = HR_RESULT_SIGMOID;
    return g->nodes[made_by].in[0];
}

static void name_features(struct hr_import *im, hr_value logits)
{
    const struct hr_graph *g = im->builder.graph;
    const int32_t made_by = g->values[logits].producer;
    const hr_value before = made_by < 0 ? HR_NONE : g->nodes[made_by].in[0];
    const int32_t pool = before == HR_NONE ? HR_NONE : g->values[before].producer;
    hr_feature(&im->builder, logits, "logits");
    if (pool >= 0 && g->nodes[pool].op == HR_OP_GLOBAL_POOL)
        hr_feature(&im->builder, before, "pool");
}

enum hr_status hr_import_finish(struct hr_import *im, const char *output, struct hr_graph **graph,
                                struct hr_store **weights)
{
    const struct hr_import_value *result;
    struct hr_graph *made = NULL;
    HR_TRY(hr_import_find(im, output, &result));
    if (result->form == HR_FORM_MAP)
        return hr_fail(HR_E_UNSUPPORTED, "the result '%.100s' is a map %s: [n,classes] is wanted",
                       output, hr_shape_str(hr_import_shape_of(im, result)).s);
    const hr_value logits = logits_of(im, result);
    name_features(im, logits);
    const enum hr_status built = hr_builder_finish(&im->builder, logits, &made);
    im->builder.graph = NULL;
    HR_TRY(built);
    const enum hr_status status = hr_rewrite_drop_dead(made);
    if (status != HR_OK) {
        hr_graph_destroy(made);
        return status;
    }
    *graph = made;
    *weights = im->weights;
    im->weights = NULL;
    return HR_OK;
}
