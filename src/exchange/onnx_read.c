/* SPDX-License-Identifier: Apache-2.0
 * ONNX to graphs: one row an operator, read as a graph and never by name.  Nodes come in
 * topological order (IR, "Graphs"), so one that reads what nothing before it makes is refused, and
 * with it every cycle.  Source: ONNX operator specifications, opset 7 to 25. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "exchange/onnx.h"
#include "exchange/onnx_tensor.h"
#include "wire/message.h"
#include "wire/onnx.pb-c.h"

#define FREE_SIDE 224 /* px of an input whose size is free: what it is built for first */
#define MOST_SIDE 65536

struct reader {
    struct hr_import *im;
    const Hr__OnnxGraph *graph;
    struct hr_onnx_tensors tensors;
    int64_t opset;
};

/* ---- Attributes and operands --------------------------------------------------------------- */

static const Hr__OnnxAttribute *attribute(const Hr__OnnxNode *n, const char *name)
{
    for (size_t i = 0; i < n->n_attribute; i++)
        if (n->attribute[i]->name && strcmp(n->attribute[i]->name, name) == 0)
            return n->attribute[i];
    return NULL;
}

static int64_t integer(const Hr__OnnxNode *n, const char *name, int64_t otherwise)
{
    const Hr__OnnxAttribute *a = attribute(n, name);
    return a && a->has_i ? a->i : otherwise;
}

static float number(const Hr__OnnxNode *n, const char *name, float otherwise)
{
    const Hr__OnnxAttribute *a = attribute(n, name);
    return a && a->has_f ? a->f : otherwise;
}

static bool word_is(const Hr__OnnxNode *n, const char *name, const char *otherwise,
                    const char *word)
{
    const Hr__OnnxAttribute *a = attribute(n, name);
    if (!a || !a->has_s)
        return strcmp(otherwise, word) == 0;
    return a->s.len == strlen(word) && memcmp(a->s.data, word, a->s.len) == 0;
}

/* Fills out[count] from a list attribute; false if it is there and has another length. */
static bool integers(const Hr__OnnxNode *n, const char *name, int64_t *out, size_t count)
{
    const Hr__OnnxAttribute *a = attribute(n, name);
    if (!a)
        return true;
    if (a->n_ints != count)
        return false;
    memcpy(out, a->ints, count * sizeof *out);
    return true;
}

static const char *input(const Hr__OnnxNode *n, size_t i)
{
    return i < n->n_input ? n->input[i] : "";
}

static bool has_input(const Hr__OnnxNode *n, size_t i)
{
    return input(n, i)[0] != '\0';
}

static const char *output(const Hr__OnnxNode *n)
{
    return n->output[0];
}

static enum hr_status bad_attribute(const char *name)
{
    return hr_fail(HR_E_UNSUPPORTED, "its attribute %s has a value that is not supported", name);
}

/* Axes from an attribute (older opsets) or an input; *count is -1 if it has none. */
static enum hr_status read_axes(struct reader *r, const Hr__OnnxNode *n, int64_t axes[HR_MAX_RANK],
                                int *count)
{
    const Hr__OnnxAttribute *a = attribute(n, "axes");
    *count = -1;
    if (a && a->n_ints > 0 && a->n_ints <= HR_MAX_RANK) {
        memcpy(axes, a->ints, a->n_ints * sizeof *axes);
        *count = (int)a->n_ints;
    } else if (has_input(n, 1)) {
        return hr_import_integers(r->im, input(n, 1), axes, HR_MAX_RANK, count);
    }
    return HR_OK;
}

/* Are the axes those of the plane of a value of rank 4? */
static bool are_plane(const int64_t *axes, int count)
{
    int64_t a = count == 2 ? axes[0] : 0, b = count == 2 ? axes[1] : 0;
    a += a < 0 ? 4 : 0;
    b += b < 0 ? 4 : 0;
    return (a == 2 && b == 3) || (a == 3 && b == 2);
}

/* ---- Operators ----------------------------------------------------------------------------- */

static enum hr_status read_conv(struct reader *r, const Hr__OnnxNode *n)
{
    struct hr_import_window w = { { 1, 1 }, { 1, 1 }, { 0 }, integer(n, "group", 1), false };
    if (!integers(n, "strides", w.stride, 2) || !integers(n, "dilations", w.dilation, 2) ||
        !integers(n, "pads", w.pad, 4))
        return hr_fail(HR_E_UNSUPPORTED, "a 2-D window is wanted");
    w.same = word_is(n, "auto_pad", "NOTSET", "SAME_UPPER") ||
             word_is(n, "auto_pad", "NOTSET", "SAME_LOWER");
    if (!w.same && !word_is(n, "auto_pad", "NOTSET", "NOTSET") &&
        !word_is(n, "auto_pad", "NOTSET", "VALID"))
        return bad_attribute("auto_pad");
    return hr_import_conv(r->im, output(n), input(n, 0), input(n, 1), input(n, 2), &w);
}

static enum hr_status read_norm(struct reader *r, const Hr__OnnxNode *n)
{
    const char *const names[] = { input(n, 1), input(n, 2), input(n, 3), input(n, 4) };
    if (integer(n, "training_mode", 0) != 0 || integer(n, "spatial", 1) != 1)
        return bad_attribute(integer(n, "spatial", 1) != 1 ? "spatial" : "training_mode");
    return hr_import_norm(r->im, output(n), input(n, 0), names, number(n, "epsilon", 1e-5f));
}

static enum hr_status read_relu(struct reader *r, const Hr__OnnxNode *n)
{
    return hr_import_relu(r->im, output(n), input(n, 0));
}

/* Clip(x, 0) is a ReLU. */
static enum hr_status read_clip(struct reader *r, const Hr__OnnxNode *n)
{
    float least = number(n, "min", -INFINITY);
    bool open = number(n, "max", INFINITY) >= 3.4e38f;
    const struct hr_tensor *t;
    if (has_input(n, 1)) {
        HR_TRY(hr_import_find_constant(r->im, input(n, 1), &t));
        if (t->shape.rank == 0)
            hr_tensor_to_f32(&least, t);
    }
    if (has_input(n, 2)) {
        float most = 0;
        HR_TRY(hr_import_find_constant(r->im, input(n, 2), &t));
        if (t->shape.rank == 0)
            hr_tensor_to_f32(&most, t);
        open = most >= 3.4e38f;
    }
    if (least != 0 || !open)
        return hr_fail(HR_E_UNSUPPORTED, "only clipping to 0 and above (a ReLU) is supported");
    return hr_import_relu(r->im, output(n), input(n, 0));
}

static enum hr_status read_sigmoid(struct reader *r, const Hr__OnnxNode *n)
{
    return hr_import_sigmoid(r->im, output(n), input(n, 0));
}

static enum hr_status read_softmax(struct reader *r, const Hr__OnnxNode *n)
{
    return hr_import_softmax(r->im, output(n), input(n, 0),
                             integer(n, "axis", r->opset < 13 ? 1 : -1));
}

static enum hr_status arithmetic(struct reader *r, const Hr__OnnxNode *n, char op)
{
    return hr_import_arithmetic(r->im, output(n), op, input(n, 0), input(n, 1));
}

static enum hr_status read_add(struct reader *r, const Hr__OnnxNode *n)
{
    return arithmetic(r, n, '+');
}

static enum hr_status read_sub(struct reader *r, const Hr__OnnxNode *n)
{
    return arithmetic(r, n, '-');
}

static enum hr_status read_mul(struct reader *r, const Hr__OnnxNode *n)
{
    return arithmetic(r, n, '*');
}

static enum hr_status read_div(struct reader *r, const Hr__OnnxNode *n)
{
    return arithmetic(r, n, '/');
}

/* Do these rules take the source pixel dst / factor, rounded down?  Half-pixel positions are
 * (dst + 1/2) / factor - 1/2, which no even factor puts on a tie. */
static bool floors(const struct reader *r, const Hr__OnnxNode *n, double factor)
{
    const char *rule = "coordinate_transformation_mode", *rounding = "nearest_mode";
    const char *usual = r->opset < 11 ? "asymmetric" : "half_pixel";
    const char *nearest = r->opset < 11 ? "floor" : "round_prefer_floor";
    const bool down = word_is(n, rounding, nearest, "floor");
    const bool near = word_is(n, rounding, nearest, "round_prefer_floor");
    if (word_is(n, rule, usual, "asymmetric"))
        return down || (near && factor <= 2);
    if (word_is(n, rule, usual, "half_pixel") || word_is(n, rule, usual, "pytorch_half_pixel"))
        return near || word_is(n, rounding, nearest, "round_prefer_ceil");
    return word_is(n, rule, usual, "tf_half_pixel_for_nn") && down;
}

/* Factors for [n,c,h,w] from a constant of floats; false if batch or channels change. */
static bool factors_of(const struct hr_tensor *t, double *h, double *w)
{
    float scale[4];
    if (t->shape.rank != 1 || t->shape.dim[0] != 4)
        return false;
    hr_tensor_to_f32(scale, t);
    *h = (double)scale[2];
    *w = (double)scale[3];
    return scale[0] == 1 && scale[1] == 1;
}

static enum hr_status upsample(struct reader *r, const Hr__OnnxNode *n, const char *scales,
                               const char *sizes)
{
    const struct hr_tensor *t;
    double h = 0, w = 0;
    struct hr_shape x;
    int64_t to[HR_MAX_RANK];
    int count = 0;
    bool right = true;
    HR_TRY(hr_import_shape(r->im, input(n, 0), &x));
    if (scales[0]) {
        HR_TRY(hr_import_find_constant(r->im, scales, &t));
        if (t->shape.rank == 1 && t->shape.dim[0] == 0)
            scales = ""; /* opset 11 has an empty constant where the sizes are given */
        else
            right = factors_of(t, &h, &w);
    }
    if (!scales[0]) {
        HR_TRY(hr_import_integers(r->im, sizes, to, 4, &count));
        right = count == 4 && x.rank == 4 && to[0] >= 0 && to[1] == x.dim[1];
        h = right ? (double)to[2] / (double)x.dim[2] : 0;
        w = right ? (double)to[3] / (double)x.dim[3] : 0;
    }
    if (!word_is(n, "mode", "nearest", "nearest") || !right || attribute(n, "axes"))
        return hr_fail(HR_E_UNSUPPORTED, "only enlarging the plane of [n,c,h,w], mode nearest, is "
                                         "supported");
    if (r->opset >= 10 && !floors(r, n, h > w ? h : w))
        return hr_fail(HR_E_UNSUPPORTED,
                       "its rounding is not supported: pixel dst / factor, rounded down, is");
    return hr_import_upsample(r->im, output(n), input(n, 0), h, w);
}

static enum hr_status read_resize(struct reader *r, const Hr__OnnxNode *n)
{
    if (r->opset < 11)
        return upsample(r, n, input(n, 1), "");
    return upsample(r, n, input(n, 2), input(n, 3));
}

static enum hr_status read_upsample(struct reader *r, const Hr__OnnxNode *n)
{
    const Hr__OnnxAttribute *a = attribute(n, "scales");
    if (r->opset >= 9)
        return upsample(r, n, input(n, 1), "");
    if (!a || a->n_floats != 4 || a->floats[0] != 1 || a->floats[1] != 1 ||
        !word_is(n, "mode", "nearest", "nearest"))
        return bad_attribute("scales");
    return hr_import_upsample(r->im, output(n), input(n, 0), (double)a->floats[2],
                              (double)a->floats[3]);
}

static enum hr_status read_global_pool(struct reader *r, const Hr__OnnxNode *n)
{
    return hr_import_pool(r->im, output(n), input(n, 0), true);
}

static enum hr_status read_average_pool(struct reader *r, const Hr__OnnxNode *n)
{
    int64_t kernel[2] = { 0 }, pads[4] = { 0 };
    struct hr_shape x;
    HR_TRY(hr_import_shape(r->im, input(n, 0), &x));
    if (!integers(n, "kernel_shape", kernel, 2) || !integers(n, "pads", pads, 4) || x.rank != 4 ||
        kernel[0] != x.dim[2] || kernel[1] != x.dim[3] || pads[0] || pads[1] || pads[2] || pads[3])
        return hr_fail(HR_E_UNSUPPORTED, "only the mean over the whole plane is supported");
    return hr_import_pool(r->im, output(n), input(n, 0), true);
}

static enum hr_status read_mean(struct reader *r, const Hr__OnnxNode *n)
{
    int64_t axes[HR_MAX_RANK];
    int count;
    HR_TRY(read_axes(r, n, axes, &count));
    if (!are_plane(axes, count))
        return hr_fail(HR_E_UNSUPPORTED, "only the mean over the whole plane is supported");
    return hr_import_pool(r->im, output(n), input(n, 0), integer(n, "keepdims", 1) != 0);
}

static enum hr_status read_gemm(struct reader *r, const Hr__OnnxNode *n)
{
    if (number(n, "alpha", 1) != 1 || number(n, "beta", 1) != 1 || integer(n, "transA", 0) != 0)
        return hr_fail(HR_E_UNSUPPORTED, "only x W + b is supported");
    return hr_import_linear(r->im, output(n), input(n, 0), input(n, 1),
                            integer(n, "transB", 0) != 0, input(n, 2));
}

static enum hr_status read_matmul(struct reader *r, const Hr__OnnxNode *n)
{
    return hr_import_linear(r->im, output(n), input(n, 0), input(n, 1), false, "");
}

static enum hr_status read_flatten(struct reader *r, const Hr__OnnxNode *n)
{
    const int64_t axis = integer(n, "axis", 1);
    if (axis != 1 && axis != -3)
        return bad_attribute("axis");
    return hr_import_reform(r->im, output(n), input(n, 0), 2);
}

/* Is the wanted shape that of one image's [c] or [c,1,1], with the batch left or free? */
static bool keeps_channels(const int64_t *want, int rank, const struct hr_shape *x)
{
    if (rank != 2 && rank != 4)
        return false;
    for (int d = 2; d < rank; d++)
        if (want[d] != 1)
            return false;
    return want[1] == -1 || want[1] == 0 || want[1] == x->dim[1];
}

static enum hr_status read_reshape(struct reader *r, const Hr__OnnxNode *n)
{
    int64_t want[HR_MAX_RANK];
    struct hr_shape x;
    int rank = 0;
    const struct hr_tensor *constant;
    HR_TRY(hr_import_integers(r->im, input(n, 1), want, HR_MAX_RANK, &rank));
    if (hr_import_find_constant(r->im, input(n, 0), &constant) == HR_OK)
        return hr_import_reshape(r->im, output(n), input(n, 0), want, rank);
    HR_TRY(hr_import_shape(r->im, input(n, 0), &x));
    if (!keeps_channels(want, rank, &x))
        return hr_fail(HR_E_UNSUPPORTED, "only [n,c,1,1] and [n,c] become one another");
    return hr_import_reform(r->im, output(n), input(n, 0), rank);
}

static enum hr_status squeeze(struct reader *r, const Hr__OnnxNode *n, int rank)
{
    int64_t axes[HR_MAX_RANK];
    int count;
    HR_TRY(read_axes(r, n, axes, &count));
    if (!are_plane(axes, count))
        return hr_fail(HR_E_UNSUPPORTED, "only axes 2 and 3 are supported");
    return hr_import_reform(r->im, output(n), input(n, 0), rank);
}

static enum hr_status read_squeeze(struct reader *r, const Hr__OnnxNode *n)
{
    return squeeze(r, n, 2);
}

static enum hr_status read_unsqueeze(struct reader *r, const Hr__OnnxNode *n)
{
    return squeeze(r, n, 4);
}

static enum hr_status read_identity(struct reader *r, const Hr__OnnxNode *n)
{
    return hr_import_alias(r->im, output(n), input(n, 0));
}

/* Numbers become floats anyway. */
static enum hr_status read_cast(struct reader *r, const Hr__OnnxNode *n)
{
    const int64_t to = integer(n, "to", 0);
    if (to != 1 && to != 10 && to != 11 && to != 16)
        return bad_attribute("to");
    return hr_import_alias(r->im, output(n), input(n, 0));
}

static enum hr_status read_transpose(struct reader *r, const Hr__OnnxNode *n)
{
    int64_t perm[4] = { 0 };
    if (!integers(n, "perm", perm, 4) || perm[0] != 0 || perm[1] != 3 || perm[2] != 1 ||
        perm[3] != 2)
        return hr_fail(HR_E_UNSUPPORTED,
                       "only the picture [n,h,w,c] may be transposed, to [n,c,h,w]");
    return hr_import_channels_first(r->im, output(n), input(n, 0));
}

static enum hr_status read_constant(struct reader *r, const Hr__OnnxNode *n)
{
    const Hr__OnnxAttribute *value = attribute(n, "value"), *one = attribute(n, "value_float");
    struct hr_tensor t = { .dtype = HR_DTYPE_F32 };
    if (value && value->t) {
        HR_TRY(hr_onnx_tensor(&t, &r->tensors, value->t));
    } else if (one && one->has_f) {
        t.data = &one->f;
    } else if ((one = attribute(n, "value_floats"))) {
        t.shape = (struct hr_shape){ 1, { (int64_t)one->n_floats } };
        t.data = one->floats;
    } else if ((one = attribute(n, "value_ints"))) {
        t.dtype = HR_DTYPE_I64;
        t.shape = (struct hr_shape){ 1, { (int64_t)one->n_ints } };
        t.data = one->ints;
    } else {
        return hr_fail(HR_E_UNSUPPORTED, "a constant of numbers is wanted");
    }
    hr_tensor_set_contiguous(&t);
    return hr_import_constant(r->im, output(n), &t);
}

/* Of short lists of numbers: how exporters that fold nothing make the factors of a Resize. */
static enum hr_status read_concat(struct reader *r, const Hr__OnnxNode *n)
{
    struct hr_tensor joined = { .shape = { 1, { 0 } } };
    const struct hr_tensor *t;
    uint8_t *to = hr_message_block(r->tensors.memory, HR_MAX_RANK * sizeof(int64_t));
    if (!to)
        return r->tensors.memory->status;
    joined.data = to;
    for (size_t i = 0; i < n->n_input; i++) {
        HR_TRY(hr_import_find_constant(r->im, n->input[i], &t));
        if (t->shape.rank != 1 || (i && t->dtype != joined.dtype) ||
            t->shape.dim[0] > HR_MAX_RANK - joined.shape.dim[0])
            return hr_fail(HR_E_UNSUPPORTED, "only short lists of numbers may be joined");
        joined.dtype = t->dtype;
        joined.shape.dim[0] += t->shape.dim[0];
        hr_tensor_gather(to, t);
        to += (size_t)t->shape.dim[0] * hr_dtype_bytes(t->dtype);
    }
    hr_tensor_set_contiguous(&joined);
    return hr_import_constant(r->im, output(n), &joined);
}

static const struct row {
    const char *op;
    enum hr_status (*read)(struct reader *r, const Hr__OnnxNode *n);
} rows[] = {
    { "Conv", read_conv },
    { "BatchNormalization", read_norm },
    { "Relu", read_relu },
    { "Clip", read_clip },
    { "Add", read_add },
    { "Sub", read_sub },
    { "Mul", read_mul },
    { "Div", read_div },
    { "Resize", read_resize },
    { "Upsample", read_upsample },
    { "GlobalAveragePool", read_global_pool },
    { "AveragePool", read_average_pool },
    { "ReduceMean", read_mean },
    { "Gemm", read_gemm },
    { "MatMul", read_matmul },
    { "Flatten", read_flatten },
    { "Reshape", read_reshape },
    { "Squeeze", read_squeeze },
    { "Unsqueeze", read_unsqueeze },
    { "Sigmoid", read_sigmoid },
    { "Softmax", read_softmax },
    { "Identity", read_identity },
    { "Dropout", read_identity },
    { "Cast", read_cast },
    { "Transpose", read_transpose },
    { "Constant", read_constant },
    { "Concat", read_concat },
};

/* ---- The graph ----------------------------------------------------------------------------- */

static enum hr_status unsupported(const Hr__OnnxNode *n)
{
    struct hr_text list = { 0 };
    const char *op = n->op_type ? n->op_type : "";
    if (strcmp(op, "QuantizeLinear") == 0 || strcmp(op, "DequantizeLinear") == 0 ||
        hr_text_starts(op, "QLinear"))
        return hr_fail(HR_E_UNSUPPORTED, "quantised networks are not supported yet: export the one "
                                         "in floating point");
    for (size_t i = 0; i < HR_COUNT(rows); i++)
        hr_text_printf(&list, "%s%s", i ? ", " : "", rows[i].op);
    const enum hr_status status = hr_fail(
        HR_E_UNSUPPORTED, "the operator %.60s%s%.60s is not supported; these are: %s", op,
        n->domain && n->domain[0] ? " of " : "", n->domain ? n->domain : "", hr_text_str(&list));
    hr_text_fini(&list);
    return status;
}

static enum hr_status read_node(struct reader *r, const Hr__OnnxNode *n)
{
    const bool standard = !n->domain || !n->domain[0] || strcmp(n->domain, "ai.onnx") == 0;
    r->im->node = n->name && n->name[0] ? n->name : n->n_output ? n->output[0] : "";
    for (size_t i = 0; i < HR_COUNT(rows) && n->op_type && standard; i++)
        if (strcmp(n->op_type, rows[i].op) == 0) {
            if (n->n_output < 1)
                return hr_fail(HR_E_FORMAT, "it makes nothing");
            return rows[i].read(r, n);
        }
    return unsupported(n);
}

static enum hr_status read_nodes(struct reader *r)
{
    for (size_t i = 0; i < r->graph->n_node; i++) {
        const Hr__OnnxNode *n = r->graph->node[i];
        const enum hr_status status = read_node(r, n);
        if (status == HR_E_MEMORY)
            return status;
        if (status != HR_OK)
            return hr_fail_context(status, "node %zu '%.100s' (%.60s)", i, r->im->node,
                                   n->op_type ? n->op_type : "no operator");
    }
    return HR_OK;
}

static enum hr_status read_initializers(struct reader *r)
{
    for (size_t i = 0; i < r->graph->n_initializer; i++) {
        const Hr__OnnxTensor *from = r->graph->initializer[i];
        struct hr_tensor t;
        enum hr_status status = hr_onnx_tensor(&t, &r->tensors, from);
        if (status == HR_OK)
            status = hr_import_constant(r->im, from->name ? from->name : "", &t);
        if (status != HR_OK)
            return hr_fail_context(status, "initializer %zu '%.100s'", i,
                                   from->name ? from->name : "");
    }
    return HR_OK;
}

/* Older files list the initializers among the inputs. */
static const Hr__OnnxValue *the_input(const struct reader *r, size_t *count)
{
    const Hr__OnnxValue *found = NULL;
    const struct hr_tensor *initializer;
    *count = 0;
    for (size_t i = 0; i < r->graph->n_input; i++) {
        const Hr__OnnxValue *x = r->graph->input[i];
        if (x->name && hr_import_find_constant(r->im, x->name, &initializer) != HR_OK) {
            found = x;
            ++*count;
        }
    }
    return found;
}

/* A fixed dimension, or 0 for one that is free. */
static enum hr_status side_of(const Hr__OnnxShape *shape, size_t d, int64_t *out)
{
    *out = shape->dim[d]->has_dim_value ? shape->dim[d]->dim_value : 0;
    if (*out < 0 || *out > MOST_SIDE)
        return hr_fail(HR_E_SHAPE, "its input's dimension %zu is %lld: 1 to %d is wanted", d,
                       (long long)*out, MOST_SIDE);
    return HR_OK;
}

static enum hr_status read_input(struct reader *r, struct hr_foreign *is)
{
    size_t count;
    const Hr__OnnxValue *x = the_input(r, &count);
    if (count != 1)
        return hr_fail(HR_E_UNSUPPORTED, "it has %s: a picture is wanted",
                       count ? "more than one input" : "no input");
    const Hr__OnnxTensorType *type = x->type ? x->type->tensor_type : NULL;
    const Hr__OnnxShape *shape = type ? type->shape : NULL;
    if (!shape || shape->n_dim != 4)
        return hr_fail(HR_E_UNSUPPORTED, "its input '%.100s' has no shape of 4 dimensions",
                       x->name);
    if (type->elem_type != 1 && type->elem_type != 2 && type->elem_type != 10)
        return hr_fail(HR_E_UNSUPPORTED,
                       "its input '%.100s' is of ONNX type %d: float, float16 or "
                       "uint8 is wanted",
                       x->name, (int)type->elem_type);
    int64_t dim[4];
    for (size_t d = 0; d < 4; d++)
        HR_TRY(side_of(shape, d, &dim[d]));
    const bool last = dim[1] != 3 && dim[3] == 3;
    if (!last && dim[1] != 3 && dim[1] != 0)
        return hr_fail(HR_E_UNSUPPORTED, "its input has %lld channels: 3 are wanted",
                       (long long)dim[1]);
    is->bytes = type->elem_type == 2;
    is->height = dim[last ? 1 : 2];
    is->width = dim[last ? 2 : 3];
    return hr_import_input(r->im, x->name, is->height ? is->height : FREE_SIDE,
                           is->width ? is->width : FREE_SIDE, last);
}

static enum hr_status read_opset(struct reader *r, const Hr__OnnxModel *model)
{
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Hr__OnnxOpset *o = model->opset_import[i];
        if (!o->domain || !o->domain[0] || strcmp(o->domain, "ai.onnx") == 0)
            r->opset = o->version;
    }
    if (r->opset < 7 || r->opset > 25)
        return hr_fail(HR_E_UNSUPPORTED, "its operators are those of opset %lld: 7 to 25 are known",
                       (long long)r->opset);
    return HR_OK;
}

static enum hr_status read_metadata(struct hr_store *weights, const Hr__OnnxModel *model)
{
    for (size_t i = 0; i < model->n_metadata_props; i++) {
        const Hr__OnnxEntry *e = model->metadata_props[i];
        if (e->key && e->value)
            HR_TRY(hr_store_set_meta(weights, e->key, e->value));
    }
    return HR_OK;
}

static enum hr_status read_graph(struct reader *r, struct hr_foreign *is, struct hr_graph **graph,
                                 struct hr_store **weights)
{
    HR_TRY(read_initializers(r));
    HR_TRY(read_input(r, is));
    HR_TRY(read_nodes(r));
    if (r->graph->n_output < 1 || !r->graph->output[0]->name)
        return hr_fail(HR_E_FORMAT, "the graph has no output");
    hr_import_tell(r->im, is);
    HR_TRY(hr_import_finish(r->im, r->graph->output[0]->name, graph, weights));
    is->result = r->im->result;
    return HR_OK;
}

static enum hr_status read_model(struct reader *r, const Hr__OnnxModel *model,
                                 struct hr_foreign *is, struct hr_graph **graph,
                                 struct hr_store **weights)
{
    if (!model->graph || model->graph->n_node == 0)
        return hr_fail(HR_E_FORMAT, "it holds no graph");
    r->graph = model->graph;
    if (model->producer_name && strcmp(model->producer_name, "pytorch") == 0)
        is->recipe = "pillow-bicubic"; /* timm's */
    HR_TRY(read_opset(r, model));
    HR_TRY(hr_import_init(r->im));
    HR_TRY(read_metadata(r->im->weights, model));
    return read_graph(r, is, graph, weights);
}

bool hr_onnx_sniff(const void *data, size_t size)
{
    /* ir_version, field 1, a varint below 32, and then another known field. */
    const uint8_t *b = data;
    return size > 3 && b[0] == 0x08 && b[1] > 0 && b[1] < 32 &&
           (b[2] == 0x12 || b[2] == 0x1a || b[2] == 0x22 || b[2] == 0x28 || b[2] == 0x32 ||
            b[2] == 0x3a || b[2] == 0x42 || b[2] == 0x72);
}

/* The weights are views of the message and of external data: that memory becomes the store's. */
static enum hr_status keep_memory(struct hr_store *weights, struct hr_message_memory *memory,
                                  struct hr_onnx_tensors *tensors)
{
    while (memory->count) {
        HR_TRY(hr_store_take_block(weights, memory->blocks[memory->count - 1]));
        memory->count--;
    }
    hr_store_take_map(weights, &tensors->external);
    return HR_OK;
}

enum hr_status hr_onnx_read(struct hr_graph **graph, struct hr_store **weights,
                            struct hr_foreign *is, const void *data, size_t size, const char *name,
                            const char *folder)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *message = NULL;
    struct hr_import im = { 0 };
    struct reader r = { .im = &im, .tensors = { .memory = &memory, .folder = folder } };
    struct hr_graph *made = NULL;
    struct hr_store *store = NULL;
    *is = (struct hr_foreign){ 0 };
    enum hr_status status =
        hr_message_read(&message, &memory, &hr__onnx_model__descriptor, data, size, name);
    if (status == HR_OK) {
        status = read_model(&r, (const Hr__OnnxModel *)(const void *)message, is, &made, &store);
        if (status != HR_OK && status != HR_E_MEMORY)
            status = hr_fail_context(status, "%s", name);
    }
    if (status == HR_OK)
        status = keep_memory(store, &memory, &r.tensors);
    if (status == HR_OK) {
        hr_store_set_format(store, HR_FORMAT_ONNX);
        *graph = made;
        *weights = store;
        made = NULL;
        store = NULL;
    }
    hr_import_fini(&im); /* views first, then what they look at */
    hr_graph_destroy(made);
    hr_store_destroy(store);
    hr_onnx_tensors_fini(&r.tensors);
    hr_message_memory_fini(&memory);
    return status;
}
