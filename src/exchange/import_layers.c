/* SPDX-License-Identifier: Apache-2.0
 * Layers of an imported graph: what each operator of a file becomes, and the constants that it
 * gives as parameters.
 *
 * Letters: n images, c channels, h w plane, k outputs. */
#include "exchange/import.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "exchange/import_values.h"

#define LAYER_NAME_BYTES 128

/* ---- Parameters ---------------------------------------------------------------------------- */

bool hr_import_all_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

enum hr_status hr_import_check_values(const struct hr_tensor *t, const char *name)
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
    const bool good = hr_import_all_finite(values, elements);
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

enum hr_status hr_import_give(struct hr_import *im, enum hr_role role,
                              const struct hr_tensor *tensor, const char *from)
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
    HR_TRY(hr_import_check_values(&t, from));
    return hr_store_add(im->weights, name, &t);
}

enum hr_status hr_import_give_vector(struct hr_import *im, enum hr_role role, float value,
                                     float **out)
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

void hr_import_name_layer(struct hr_import *im)
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
    hr_import_name_layer(im);
    y.value = hr_linear(&im->builder, x->value, (int)w.shape.dim[1]);
    HR_TRY(hr_import_give(im, HR_ROLE_WEIGHT, &w, weight_name));
    if (b)
        HR_TRY(hr_import_give(im, HR_ROLE_BIAS, b, bias));
    else
        HR_TRY(hr_import_give_vector(im, HR_ROLE_BIAS, 0, &y.bias));
    return hr_import_define(im, &y);
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
    HR_TRY(hr_import_operand(im, x, &in));
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
    HR_TRY(hr_import_operand(im, x, &in));
    HR_TRY(hr_import_shape(im, x, &shape));
    HR_TRY(hr_import_find_constant(im, weight, &w));
    if (given(bias))
        HR_TRY(hr_import_find_constant(im, bias, &b));
    HR_TRY(conv_attr(&attr, &w->shape, &shape, window));
    if (in->form == HR_FORM_PIXEL && attr.kernel == 1 && attr.pad == 0) {
        const struct hr_tensor matrix = turned(w);
        return pixel_linear(im, out, in, &matrix, weight, bias);
    }
    HR_TRY(hr_import_map_operand(im, x, &in));
    hr_import_name_layer(im);
    const hr_value y = hr_conv(&im->builder, in->value, &attr, b != NULL);
    HR_TRY(hr_import_give(im, HR_ROLE_WEIGHT, w, weight));
    if (b)
        HR_TRY(hr_import_give(im, HR_ROLE_BIAS, b, bias));
    return hr_import_define_result(im, out, y, HR_FORM_MAP);
}

enum hr_status hr_import_norm(struct hr_import *im, const char *out, const char *x,
                              const char *const names[4], float epsilon)
{
    const struct hr_import_value *in;
    HR_TRY(hr_import_map_operand(im, x, &in));
    if (!(epsilon >= 0 && epsilon <= 1))
        return hr_fail(HR_E_UNSUPPORTED, "epsilon is %g: 0 to 1 is wanted", (double)epsilon);
    hr_import_name_layer(im);
    const hr_value y = hr_batch_norm(&im->builder, in->value, epsilon);
    for (int i = 0; i < 4; i++) {
        const struct hr_tensor *t;
        HR_TRY(hr_import_find_constant(im, names[i], &t));
        HR_TRY(hr_import_give(im, (enum hr_role)(HR_ROLE_GAMMA + i), t, names[i]));
    }
    return hr_import_define_result(im, out, y, HR_FORM_MAP);
}

enum hr_status hr_import_relu(struct hr_import *im, const char *out, const char *x)
{
    const struct hr_import_value *in;
    HR_TRY(hr_import_operand(im, x, &in));
    const enum hr_form form = in->form;
    hr_import_name_layer(im);
    return hr_import_define_result(im, out, hr_relu(&im->builder, in->value), form);
}

enum hr_status hr_import_sigmoid(struct hr_import *im, const char *out, const char *x)
{
    const struct hr_import_value *in;
    HR_TRY(hr_import_operand(im, x, &in));
    const enum hr_form form = in->form;
    hr_import_name_layer(im);
    return hr_import_define_result(im, out, hr_sigmoid(&im->builder, in->value), form);
}

enum hr_status hr_import_softmax(struct hr_import *im, const char *out, const char *x, int64_t axis)
{
    const struct hr_import_value *in;
    HR_TRY(hr_import_operand(im, x, &in));
    struct hr_import_value like = *in;
    if (in->form == HR_FORM_MAP || (axis != 1 && axis != (in->form == HR_FORM_PIXEL ? -3 : -1)))
        return hr_fail(HR_E_UNSUPPORTED,
                       "a softmax over anything but the classes is not supported");
    like.softmax = true;
    return hr_import_define_like(im, out, &like);
}

enum hr_status hr_import_upsample(struct hr_import *im, const char *out, const char *x,
                                  double factor_h, double factor_w)
{
    const struct hr_import_value *in;
    HR_TRY(hr_import_map_operand(im, x, &in));
    if (!(factor_h >= 1 && factor_h <= 65536) || factor_h != factor_w ||
        factor_h != floor(factor_h))
        return hr_fail(HR_E_UNSUPPORTED, "factors %g and %g: one power of two for both is wanted",
                       factor_h, factor_w);
    if (factor_h == 1)
        return hr_import_alias(im, out, x);
    hr_import_name_layer(im);
    const hr_value y = hr_upsample(&im->builder, in->value, (int)factor_h);
    return hr_import_define_result(im, out, y, HR_FORM_MAP);
}

enum hr_status hr_import_pool(struct hr_import *im, const char *out, const char *x, bool keep)
{
    const struct hr_import_value *in;
    HR_TRY(hr_import_map_operand(im, x, &in));
    hr_import_name_layer(im);
    const hr_value y = hr_global_pool(&im->builder, in->value);
    return hr_import_define_result(im, out, y, keep ? HR_FORM_PIXEL : HR_FORM_VECTOR);
}
