/* SPDX-License-Identifier: Apache-2.0
 * What the readers share.  The one idea: an activation is remembered together with the form in
 * which its file sees it, so that reshapes between [n,c,1,1] and [n,c] cost no node, and with what
 * was done to it that belongs to the recipe or to the reader of the answer rather than to the
 * network.  Knows nothing of any file format.
 *
 * Letters: n images, c channels, h w plane, k outputs. */
#include "exchange/import.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "graph/rewrite.h"

#define PLAIN_EPSILON    1e-5f /* of norms that stand for a factor or a bias: 1 - it + it is 1 */
#define LAYER_NAME_BYTES 128

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

static enum hr_status define(struct hr_import *im, const struct hr_import_value *value)
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

static const struct hr_import_value *look_up(const struct hr_import *im, const char *name)
{
    const size_t found = name ? hr_index_find(&im->names, im->values, name) : 0;
    return found ? &im->values[found - 1] : NULL;
}

static enum hr_status unknown(const char *name)
{
    return hr_fail(HR_E_FORMAT, "it reads '%.100s', which nothing before it makes",
                   name ? name : "");
}

enum hr_status hr_import_find(const struct hr_import *im, const char *name,
                              const struct hr_import_value **out)
{
    const struct hr_import_value *value = look_up(im, name);
    if (!value)
        return unknown(name);
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
    const struct hr_import_value *value = look_up(im, name);
    if (!value)
        return unknown(name);
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
    return define(im, &value);
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

static enum hr_status define_result(struct hr_import *im, const char *name, hr_value value,
                                    enum hr_form form)
{
    return define(im, &(struct hr_import_value){ name, .value = value, .form = form });
}

/* An activation that a layer may read: the first layer fixes what was done to the picture. */
static enum hr_status operand(struct hr_import *im, const char *name,
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

static enum hr_status map_operand(struct hr_import *im, const char *name,
                                  const struct hr_import_value **out)
{
    HR_TRY(operand(im, name, out));
    if ((*out)->form == HR_FORM_MAP)
        return HR_OK;
    return hr_fail(HR_E_UNSUPPORTED, "its input '%.100s' is no [n,c,h,w]", name);
}

static const struct hr_shape *shape_of(const struct hr_import *im,
                                       const struct hr_import_value *value)
{
    return &im->builder.graph->values[value->value].shape;
}

enum hr_status hr_import_shape(const struct hr_import *im, const char *name, struct hr_shape *out)
{
    const struct hr_import_value *value;
    HR_TRY(hr_import_find(im, name, &value));
    *out = *shape_of(im, value);
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
    return define(im, &(struct hr_import_value){ name, .value = x, .form = HR_FORM_MAP,
                                                 .picture = 1, .channels_last = channels_last });
}

/* The same value under another name, changed a little. */
static enum hr_status define_like(struct hr_import *im, const char *name,
                                  const struct hr_import_value *value)
{
    struct hr_import_value like = *value;
    like.name = name;
    return define(im, &like);
}

enum hr_status hr_import_alias(struct hr_import *im, const char *out, const char *x)
{
    const struct hr_import_value *value = look_up(im, x);
    return value ? define_like(im, out, value) : unknown(x);
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
    return define_like(im, out, &like);
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
                       hr_shape_str(shape_of(im, value)).s, rank);
    like.form = rank == 4 ? HR_FORM_PIXEL : HR_FORM_VECTOR;
    return define_like(im, out, &like);
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

/* ---- Parameters ---------------------------------------------------------------------------- */

static bool all_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static enum hr_status check_values(const struct hr_tensor *t, const char *name)
{
    size_t elements;
    if (t->dtype != HR_DTYPE_F32 && t->dtype != HR_DTYPE_F16 && t->dtype != HR_DTYPE_BF16 &&
        t->dtype != HR_DTYPE_F64)
        return hr_fail(HR_E_UNSUPPORTED, "its weights '%.100s' are %s: floating point is wanted",
                       name, hr_dtype_name(t->dtype));
    const float *values;
    float *made;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    HR_TRY(hr_tensor_floats(&values, &made, t));
    const bool good = all_finite(values, elements);
    hr_mem_free(made);
    return good ? HR_OK : hr_fail(HR_E_MISMATCH, "its weights '%.100s' hold NaN or infinity", name);
}

/* The store's name of a parameter of the newest layer. */
static enum hr_status parameter(const struct hr_import *im, enum hr_role role, const char **name,
                                struct hr_shape *shape)
{
    if (im->builder.status != HR_OK)
        return im->builder.status;
    const struct hr_graph *g = im->builder.graph;
    const struct hr_graph_param *p = &g->params[g->nodes[g->node_count - 1].param[role]];
    *name = p->name;
    *shape = p->shape;
    return HR_OK;
}

/* Gives the newest layer a constant as parameter; a [1,k] or [k,1,1] is as good as [k]. */
static enum hr_status give(struct hr_import *im, enum hr_role role, const struct hr_tensor *tensor,
                           const char *from)
{
    struct hr_tensor t = *tensor;
    struct hr_shape want;
    const char *name;
    size_t have, need;
    HR_TRY(parameter(im, role, &name, &want));
    HR_TRY(hr_shape_elements(&t.shape, &have));
    HR_TRY(hr_shape_elements(&want, &need));
    if (want.rank == 1 && have == need && hr_tensor_contiguous(&t)) {
        t.shape = want;
        hr_tensor_set_contiguous(&t);
    }
    if (!hr_shape_equal(&t.shape, &want))
        return hr_fail(HR_E_SHAPE, "its %s '%.100s' has shape %s: %s is wanted", hr_role_name(role),
                       from, hr_shape_str(&tensor->shape).s, hr_shape_str(&want).s);
    HR_TRY(check_values(&t, from));
    return hr_store_add(im->weights, name, &t);
}

/* Gives the newest layer a vector of equal values, for the caller to change. */
static enum hr_status give_vector(struct hr_import *im, enum hr_role role, float value, float **out)
{
    struct hr_shape want;
    const char *name;
    void *data;
    HR_TRY(parameter(im, role, &name, &want));
    HR_TRY(hr_store_add_owned(im->weights, name, HR_DTYPE_F32, &want, &data));
    *out = data;
    for (int64_t i = 0; i < want.dim[0]; i++)
        (*out)[i] = value;
    return HR_OK;
}

/* Names the layers that come next after the node, if no layer has that name yet. */
static void name_layer(struct hr_import *im)
{
    char name[LAYER_NAME_BYTES];
    const size_t at = im->builder.graph->node_count;
    static const char *const owned[] = { "weight", "bias" };
    snprintf(name, sizeof name, "%.100s", im->node);
    for (size_t i = 0; i < HR_COUNT(owned); i++) {
        char full[LAYER_NAME_BYTES + 16];
        snprintf(full, sizeof full, "%s.%s", name, owned[i]);
        if (!name[0] || hr_store_find(im->weights, full))
            snprintf(name, sizeof name, "%.100s#%zu", im->node, at);
    }
    hr_layer(&im->builder, "%s", name);
}

/* ---- Layers -------------------------------------------------------------------------------- */

static bool given(const char *name)
{
    return name && name[0];
}

/* Padding that keeps ceil(size / stride), which must be even to be the same on both sides. */
static int64_t same_pad(int64_t size, int64_t kernel, int64_t stride)
{
    const int64_t out = (size + stride - 1) / stride;
    const int64_t total = (out - 1) * stride + kernel - size;
    return total < 0 ? 0 : total % 2 ? -1 : total / 2;
}

static enum hr_status conv_attr(struct hr_attr *attr, const struct hr_shape *weight,
                                const struct hr_shape *x, const struct hr_import_window *window)
{
    int64_t pad[4];
    memcpy(pad, window->pad, sizeof pad);
    if (weight->rank != 4 || weight->dim[2] != weight->dim[3] || weight->dim[2] > INT16_MAX ||
        weight->dim[0] > INT32_MAX)
        return hr_fail(HR_E_UNSUPPORTED, "weights %s: a square 2-D window is wanted",
                       hr_shape_str(weight).s);
    if (window->group != 1 || window->dilation[0] != 1 || window->dilation[1] != 1)
        return hr_fail(HR_E_UNSUPPORTED, "groups and dilations are not supported");
    if (window->stride[0] != window->stride[1] || window->stride[0] < 1 ||
        window->stride[0] > INT16_MAX)
        return hr_fail(HR_E_UNSUPPORTED, "strides %lld and %lld are not supported: equal ones are",
                       (long long)window->stride[0], (long long)window->stride[1]);
    for (int side = 0; side < 4 && window->same; side++)
        pad[side] = same_pad(x->dim[2 + side % 2], weight->dim[2], window->stride[0]);
    if (pad[0] != pad[1] || pad[0] != pad[2] || pad[0] != pad[3] || pad[0] < 0 ||
        pad[0] > INT16_MAX)
        return hr_fail(HR_E_UNSUPPORTED, "pads that differ from side to side are not supported");
    *attr = (struct hr_attr){ .kernel = (int32_t)weight->dim[2],
                              .stride = (int32_t)window->stride[0],
                              .pad = (int32_t)pad[0],
                              .channels = (int32_t)weight->dim[0] };
    return HR_OK;
}

/* A 1x1 convolution of one pixel is a linear layer; w [k,c,1,1]. */
static enum hr_status pixel_linear(struct hr_import *im, const char *out,
                                   const struct hr_import_value *x, const struct hr_tensor *weight,
                                   const char *weight_name, const char *bias)
{
    struct hr_tensor w = *weight;
    struct hr_import_value y = { out, .form = x->form };
    const struct hr_tensor *b = NULL;
    if (w.shape.rank != 2 || w.shape.dim[1] < 1 || w.shape.dim[1] > INT32_MAX)
        return hr_fail(HR_E_SHAPE, "weights %s: a matrix is wanted", hr_shape_str(&w.shape).s);
    if (given(bias))
        HR_TRY(hr_import_find_constant(im, bias, &b));
    name_layer(im);
    y.value = hr_linear(&im->builder, x->value, (int)w.shape.dim[1]);
    HR_TRY(give(im, HR_ROLE_WEIGHT, &w, weight_name));
    if (b)
        HR_TRY(give(im, HR_ROLE_BIAS, b, bias));
    else
        HR_TRY(give_vector(im, HR_ROLE_BIAS, 0, &y.bias));
    return define(im, &y);
}

/* [k,c,1,1] or [k,c] as [c,k]. */
static struct hr_tensor turned(const struct hr_tensor *t)
{
    struct hr_tensor w = *t;
    w.shape.rank = 2;
    hr_tensor_transpose(&w);
    return w;
}

enum hr_status hr_import_linear(struct hr_import *im, const char *out, const char *x,
                                const char *weight, bool transposed, const char *bias)
{
    const struct hr_import_value *in;
    const struct hr_tensor *w;
    HR_TRY(operand(im, x, &in));
    HR_TRY(hr_import_find_constant(im, weight, &w));
    if (in->form != HR_FORM_VECTOR)
        return hr_fail(HR_E_UNSUPPORTED, "its input '%.100s' is no [n,c]", x);
    const struct hr_tensor matrix = transposed && w->shape.rank == 2 ? turned(w) : *w;
    return pixel_linear(im, out, in, &matrix, weight, bias);
}

enum hr_status hr_import_conv(struct hr_import *im, const char *out, const char *x,
                              const char *weight, const char *bias,
                              const struct hr_import_window *window)
{
    const struct hr_import_value *in;
    const struct hr_tensor *w, *b = NULL;
    struct hr_shape shape;
    struct hr_attr attr;
    HR_TRY(operand(im, x, &in));
    HR_TRY(hr_import_shape(im, x, &shape));
    HR_TRY(hr_import_find_constant(im, weight, &w));
    if (given(bias))
        HR_TRY(hr_import_find_constant(im, bias, &b));
    HR_TRY(conv_attr(&attr, &w->shape, &shape, window));
    if (in->form == HR_FORM_PIXEL && attr.kernel == 1 && attr.pad == 0) {
        const struct hr_tensor matrix = turned(w);
        return pixel_linear(im, out, in, &matrix, weight, bias);
    }
    HR_TRY(map_operand(im, x, &in));
    name_layer(im);
    const hr_value y = hr_conv(&im->builder, in->value, &attr, b != NULL);
    HR_TRY(give(im, HR_ROLE_WEIGHT, w, weight));
    if (b)
        HR_TRY(give(im, HR_ROLE_BIAS, b, bias));
    return define_result(im, out, y, HR_FORM_MAP);
}

enum hr_status hr_import_norm(struct hr_import *im, const char *out, const char *x,
                              const char *const names[4], float epsilon)
{
    const struct hr_import_value *in;
    HR_TRY(map_operand(im, x, &in));
    if (!(epsilon >= 0 && epsilon <= 1))
        return hr_fail(HR_E_UNSUPPORTED, "epsilon is %g: 0 to 1 is wanted", (double)epsilon);
    name_layer(im);
    const hr_value y = hr_batch_norm(&im->builder, in->value, epsilon);
    for (int i = 0; i < 4; i++) {
        const struct hr_tensor *t;
        HR_TRY(hr_import_find_constant(im, names[i], &t));
        HR_TRY(give(im, (enum hr_role)(HR_ROLE_GAMMA + i), t, names[i]));
    }
    return define_result(im, out, y, HR_FORM_MAP);
}

enum hr_status hr_import_relu(struct hr_import *im, const char *out, const char *x)
{
    const struct hr_import_value *in;
    HR_TRY(operand(im, x, &in));
    const enum hr_form form = in->form;
    name_layer(im);
    return define_result(im, out, hr_relu(&im->builder, in->value), form);
}

enum hr_status hr_import_sigmoid(struct hr_import *im, const char *out, const char *x)
{
    const struct hr_import_value *in;
    HR_TRY(operand(im, x, &in));
    const enum hr_form form = in->form;
    name_layer(im);
    return define_result(im, out, hr_sigmoid(&im->builder, in->value), form);
}

enum hr_status hr_import_softmax(struct hr_import *im, const char *out, const char *x, int64_t axis)
{
    const struct hr_import_value *in;
    HR_TRY(operand(im, x, &in));
    struct hr_import_value like = *in;
    if (in->form == HR_FORM_MAP || (axis != 1 && axis != (in->form == HR_FORM_PIXEL ? -3 : -1)))
        return hr_fail(HR_E_UNSUPPORTED,
                       "a softmax over anything but the classes is not supported");
    like.softmax = true;
    return define_like(im, out, &like);
}

enum hr_status hr_import_upsample(struct hr_import *im, const char *out, const char *x,
                                  double factor_h, double factor_w)
{
    const struct hr_import_value *in;
    HR_TRY(map_operand(im, x, &in));
    if (!(factor_h >= 1 && factor_h <= 65536) || factor_h != factor_w ||
        factor_h != floor(factor_h))
        return hr_fail(HR_E_UNSUPPORTED, "factors %g and %g: one power of two for both is wanted",
                       factor_h, factor_w);
    if (factor_h == 1)
        return hr_import_alias(im, out, x);
    name_layer(im);
    const hr_value y = hr_upsample(&im->builder, in->value, (int)factor_h);
    return define_result(im, out, y, HR_FORM_MAP);
}

enum hr_status hr_import_pool(struct hr_import *im, const char *out, const char *x, bool keep)
{
    const struct hr_import_value *in;
    HR_TRY(map_operand(im, x, &in));
    name_layer(im);
    const hr_value y = hr_global_pool(&im->builder, in->value);
    return define_result(im, out, y, keep ? HR_FORM_PIXEL : HR_FORM_VECTOR);
}

/* ---- Arithmetic ---------------------------------------------------------------------------- */

/* A constant that is one number, or one a channel, spread over channels[count]. */
static enum hr_status per_channel(const struct hr_tensor *t, const char *name, int axis_from_end,
                                  float *channels, size_t count)
{
    size_t elements;
    const int at = t->shape.rank - axis_from_end;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    if (elements != 1 && !(at >= 0 && (size_t)t->shape.dim[at] == elements && elements == count))
        return hr_fail(HR_E_UNSUPPORTED,
                       "the constant '%.100s' of shape %s is neither one number nor one a channel "
                       "(%zu)",
                       name, hr_shape_str(&t->shape).s, count);
    HR_TRY(check_values(t, name));
    hr_tensor_to_f32(channels, t);
    for (size_t i = elements; i < count; i++)
        channels[i] = channels[0];
    return HR_OK;
}

/* Arithmetic on the picture goes into the recipe: y = (x * scale - mean) / deviation. */
static void normalise(struct hr_import *im, char op, const float c[3])
{
    const bool uniform = c[0] == c[1] && c[0] == c[2];
    if (op == '*' && im->steps == 0 && uniform) {
        im->scale *= c[0];
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (op == '*')
            im->deviation[i] /= c[i];
        else if (op == '/')
            im->deviation[i] *= c[i];
        else if (op == '-')
            im->mean[i] += c[i] * im->deviation[i];
        else
            im->mean[i] -= c[i] * im->deviation[i];
    }
}

static enum hr_status normalise_picture(struct hr_import *im, const char *out, char op,
                                        const struct hr_import_value *x, const char *constant)
{
    const struct hr_tensor *t;
    struct hr_import_value like = *x;
    float c[3];
    HR_TRY(hr_import_find_constant(im, constant, &t));
    HR_TRY(per_channel(t, constant, x->channels_last ? 1 : 3, c, 3));
    if (x->picture != im->steps + 1)
        return hr_fail(HR_E_UNSUPPORTED, "the picture is normalised in two ways");
    normalise(im, op, c);
    im->steps++;
    like.picture++;
    return define_like(im, out, &like);
}

/* A factor or a bias a channel is a norm with mean 0 and variance 1. */
static enum hr_status affine(struct hr_import *im, const char *out, char op,
                             const struct hr_import_value *x, const struct hr_tensor *t,
                             const char *constant)
{
    const hr_value in = x->value;
    const size_t count = (size_t)shape_of(im, x)->dim[1];
    float *gamma, *beta, *other;
    name_layer(im);
    const hr_value y = hr_batch_norm(&im->builder, in, PLAIN_EPSILON);
    HR_TRY(give_vector(im, HR_ROLE_GAMMA, 1, &gamma));
    HR_TRY(give_vector(im, HR_ROLE_BETA, 0, &beta));
    HR_TRY(give_vector(im, HR_ROLE_MEAN, 0, &other));
    HR_TRY(give_vector(im, HR_ROLE_VARIANCE, 1 - PLAIN_EPSILON, &other));
    HR_TRY(per_channel(t, constant, 3, op == '*' || op == '/' ? gamma : beta, count));
    for (size_t i = 0; i < count; i++) {
        if (op == '/')
            gamma[i] = 1 / gamma[i];
        if (op == '-')
            beta[i] = -beta[i];
    }
    if (!all_finite(gamma, count))
        return hr_fail(HR_E_MISMATCH, "it divides by 0");
    return define_result(im, out, y, HR_FORM_MAP);
}

static bool has_reader(const struct hr_graph *g, hr_value x)
{
    for (size_t i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++)
            if (g->nodes[i].in[k] == x)
                return true;
    return false;
}

/* The bias of a product that came without. */
static enum hr_status late_bias(struct hr_import *im, const char *out,
                                const struct hr_import_value *x, const struct hr_tensor *t,
                                const char *constant)
{
    struct hr_import_value like = *x;
    const size_t count = (size_t)shape_of(im, x)->dim[1];
    if (has_reader(im->builder.graph, x->value))
        return hr_fail(HR_E_UNSUPPORTED, "its product is read without its bias, too");
    HR_TRY(per_channel(t, constant, x->form == HR_FORM_VECTOR ? 1 : 3, like.bias, count));
    im->values[x - im->values].spent = true;
    like.bias = NULL;
    return define_like(im, out, &like);
}

static enum hr_status with_constant(struct hr_import *im, const char *out, char op, const char *a,
                                    const char *constant)
{
    const struct hr_import_value *x;
    const struct hr_tensor *t;
    HR_TRY(hr_import_find(im, a, &x));
    if (x->picture)
        return normalise_picture(im, out, op, x, constant);
    HR_TRY(operand(im, a, &x));
    HR_TRY(hr_import_find_constant(im, constant, &t));
    if (x->form == HR_FORM_MAP)
        return affine(im, out, op, x, t, constant);
    if (op == '+' && x->bias)
        return late_bias(im, out, x, t, constant);
    return hr_fail(HR_E_UNSUPPORTED,
                   "arithmetic with the constant '%.100s' is supported as bias of "
                   "a product only",
                   constant);
}

/* The longer sum goes to the left, where it can grow: a + b is b + a to the bit. */
static enum hr_status add_maps(struct hr_import *im, const char *out,
                               const struct hr_import_value *a, const struct hr_import_value *b)
{
    const struct hr_graph *g = im->builder.graph;
    const int32_t made_by[2] = { g->values[a->value].producer, g->values[b->value].producer };
    const bool swap = made_by[1] >= 0 && g->nodes[made_by[1]].op == HR_OP_ADD &&
                      !(made_by[0] >= 0 && g->nodes[made_by[0]].op == HR_OP_ADD);
    const hr_value left = swap ? b->value : a->value, right = swap ? a->value : b->value;
    name_layer(im);
    return define_result(im, out, hr_add(&im->builder, left, right), HR_FORM_MAP);
}

enum hr_status hr_import_arithmetic(struct hr_import *im, const char *out, char op, const char *a,
                                    const char *b)
{
    const struct hr_import_value *x = look_up(im, a), *y = look_up(im, b);
    if (!x || !y)
        return unknown(x ? b : a);
    if (!x->constant && y->constant)
        return with_constant(im, out, op, a, b);
    if (x->constant && !y->constant && (op == '+' || op == '*'))
        return with_constant(im, out, op, b, a);
    HR_TRY(operand(im, a, &x));
    HR_TRY(operand(im, b, &y));
    if (op == '+' && x->form == HR_FORM_MAP && y->form == HR_FORM_MAP)
        return add_maps(im, out, x, y);
    if (op == '*' && x->form == HR_FORM_PIXEL && y->form == HR_FORM_MAP) {
        const struct hr_import_value *swap = x;
        x = y;
        y = swap;
    }
    if (op != '*' || x->form != HR_FORM_MAP || y->form != HR_FORM_PIXEL)
        return hr_fail(HR_E_UNSUPPORTED, "'%c' of shapes %s and %s is not supported", op,
                       hr_shape_str(shape_of(im, x)).s, hr_shape_str(shape_of(im, y)).s);
    name_layer(im);
    return define_result(im, out, hr_scale(&im->builder, x->value, y->value), HR_FORM_MAP);
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
                       output, hr_shape_str(shape_of(im, result)).s);
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
