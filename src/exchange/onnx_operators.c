/* SPDX-License-Identifier: Apache-2.0
 * One row an operator: its attributes and operands in the words of import.h.  Operators are known
 * by their type, values by who makes them, never by their names.
 * Source: ONNX operator specifications, opset 7 to 25. */
#include "exchange/onnx_operators.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "wire/message.h"
#include "wire/onnx.pb-c.h"

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
static enum hr_status read_axes(struct hr_onnx_reader *r, const Hr__OnnxNode *n,
                                int64_t axes[HR_MAX_RANK], int *count)
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

static enum hr_status read_conv(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
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

static enum hr_status read_norm(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    const char *const names[] = { input(n, 1), input(n, 2), input(n, 3), input(n, 4) };
    if (integer(n, "training_mode", 0) != 0 || integer(n, "spatial", 1) != 1)
        return bad_attribute(integer(n, "spatial", 1) != 1 ? "spatial" : "training_mode");
    return hr_import_norm(r->im, output(n), input(n, 0), names, number(n, "epsilon", 1e-5f));
}

static enum hr_status read_relu(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return hr_import_relu(r->im, output(n), input(n, 0));
}

/* Clip(x, 0) is a ReLU. */
static enum hr_status read_clip(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
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

static enum hr_status read_sigmoid(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return hr_import_sigmoid(r->im, output(n), input(n, 0));
}

static enum hr_status read_softmax(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return hr_import_softmax(r->im, output(n), input(n, 0),
                             integer(n, "axis", r->opset < 13 ? 1 : -1));
}

static enum hr_status arithmetic(struct hr_onnx_reader *r, const Hr__OnnxNode *n, char op)
{
    return hr_import_arithmetic(r->im, output(n), op, input(n, 0), input(n, 1));
}

static enum hr_status read_add(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return arithmetic(r, n, '+');
}

static enum hr_status read_sub(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return arithmetic(r, n, '-');
}

static enum hr_status read_mul(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return arithmetic(r, n, '*');
}

static enum hr_status read_div(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return arithmetic(r, n, '/');
}

/* Do these rules take the source pixel dst / factor, rounded down?  Half-pixel positions are
 * (dst + 1/2) / factor - 1/2, which no even factor puts on a tie. */
static bool floors(const struct hr_onnx_reader *r, const Hr__OnnxNode *n, double factor)
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

static enum hr_status upsample(struct hr_onnx_reader *r, const Hr__OnnxNode *n, const char *scales,
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

static enum hr_status read_resize(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    if (r->opset < 11)
        return upsample(r, n, input(n, 1), "");
    return upsample(r, n, input(n, 2), input(n, 3));
}

static enum hr_status read_upsample(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
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

static enum hr_status read_global_pool(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return hr_import_pool(r->im, output(n), input(n, 0), true);
}

static enum hr_status read_average_pool(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    int64_t kernel[2] = { 0 }, pads[4] = { 0 };
    struct hr_shape x;
    HR_TRY(hr_import_shape(r->im, input(n, 0), &x));
    if (!integers(n, "kernel_shape", kernel, 2) || !integers(n, "pads", pads, 4) || x.rank != 4 ||
        kernel[0] != x.dim[2] || kernel[1] != x.dim[3] || pads[0] || pads[1] || pads[2] || pads[3])
        return hr_fail(HR_E_UNSUPPORTED, "only the mean over the whole plane is supported");
    return hr_import_pool(r->im, output(n), input(n, 0), true);
}

static enum hr_status read_mean(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    int64_t axes[HR_MAX_RANK];
    int count;
    HR_TRY(read_axes(r, n, axes, &count));
    if (!are_plane(axes, count))
        return hr_fail(HR_E_UNSUPPORTED, "only the mean over the whole plane is supported");
    return hr_import_pool(r->im, output(n), input(n, 0), integer(n, "keepdims", 1) != 0);
}

static enum hr_status read_gemm(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    if (number(n, "alpha", 1) != 1 || number(n, "beta", 1) != 1 || integer(n, "transA", 0) != 0)
        return hr_fail(HR_E_UNSUPPORTED, "only x W + b is supported");
    return hr_import_linear(r->im, output(n), input(n, 0), input(n, 1),
                            integer(n, "transB", 0) != 0, input(n, 2));
}

static enum hr_status read_matmul(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return hr_import_linear(r->im, output(n), input(n, 0), input(n, 1), false, "");
}

static enum hr_status read_flatten(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
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

static enum hr_status read_reshape(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
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

/* rank: of the result, an activation's; a number becomes a list of one, or such a list a number. */
static enum hr_status squeeze(struct hr_onnx_reader *r, const Hr__OnnxNode *n, int rank)
{
    int64_t axes[HR_MAX_RANK];
    int count;
    const struct hr_tensor *t;
    const bool shrinks = rank == 2;
    HR_TRY(read_axes(r, n, axes, &count));
    if (hr_import_find_constant(r->im, input(n, 0), &t) == HR_OK && t->shape.rank == shrinks)
        return hr_import_reshape(r->im, output(n), input(n, 0), (const int64_t[]){ 1 }, !shrinks);
    if (!are_plane(axes, count))
        return hr_fail(HR_E_UNSUPPORTED, "only axes 2 and 3 are supported");
    return hr_import_reform(r->im, output(n), input(n, 0), rank);
}

static enum hr_status read_squeeze(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return squeeze(r, n, 2);
}

static enum hr_status read_unsqueeze(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return squeeze(r, n, 4);
}

static enum hr_status read_identity(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    return hr_import_alias(r->im, output(n), input(n, 0));
}

/* Numbers become floats anyway; whole ones of a list may stay so. */
static enum hr_status read_cast(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    const int64_t to = integer(n, "to", 0);
    const struct hr_tensor *t;
    const bool whole = to == 7 && hr_import_find_constant(r->im, input(n, 0), &t) == HR_OK &&
                       t->dtype == HR_DTYPE_I64;
    if (to != 1 && to != 10 && to != 11 && to != 16 && !whole)
        return bad_attribute("to");
    return hr_import_alias(r->im, output(n), input(n, 0));
}

/* Exporters put one without effect before a pooling. */
static enum hr_status read_pad(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    const Hr__OnnxAttribute *a = attribute(n, "pads");
    int64_t pads[HR_MAX_RANK];
    int count = a && a->n_ints <= HR_MAX_RANK ? (int)a->n_ints : -1;
    if (count > 0)
        memcpy(pads, a->ints, (size_t)count * sizeof *pads);
    if (has_input(n, 1))
        HR_TRY(hr_import_integers(r->im, input(n, 1), pads, HR_MAX_RANK, &count));
    bool nothing = count >= 0;
    for (int i = 0; i < count; i++)
        nothing = nothing && pads[i] == 0;
    return nothing ? hr_import_alias(r->im, output(n), input(n, 0)) : bad_attribute("pads");
}

static enum hr_status read_transpose(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    int64_t perm[4] = { 0 };
    if (!integers(n, "perm", perm, 4) || perm[0] != 0 || perm[1] != 3 || perm[2] != 1 ||
        perm[3] != 2)
        return hr_fail(HR_E_UNSUPPORTED,
                       "only the picture [n,h,w,c] may be transposed, to [n,c,h,w]");
    return hr_import_channels_first(r->im, output(n), input(n, 0));
}

static enum hr_status read_constant(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    const Hr__OnnxAttribute *value = attribute(n, "value"), *one = attribute(n, "value_float");
    struct hr_tensor t = { .dtype = HR_DTYPE_F32 };
    if (value && value->t) {
        HR_TRY(hr_onnx_tensor(&t, &r->tensors, value->t));
    } else if (one && one->has_f) {
        t.data = &one->f;
    } else if ((one = attribute(n, "value_int")) && one->has_i) {
        t.dtype = HR_DTYPE_I64;
        t.data = &one->i;
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
static enum hr_status read_concat(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
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

/* Whole numbers that the graph computes and that are known: a list, or one (rank 0). */
static enum hr_status known_integers(struct hr_onnx_reader *r, const Hr__OnnxNode *n,
                                     const int64_t *values, int count, int rank)
{
    struct hr_tensor t = { .dtype = HR_DTYPE_I64, .shape = { rank, { count } } };
    int64_t *kept = hr_message_block(r->tensors.memory, HR_MAX_RANK * sizeof *kept);
    if (!kept)
        return r->tensors.memory->status;
    memcpy(kept, values, (size_t)count * sizeof *kept);
    t.data = kept;
    hr_tensor_set_contiguous(&t);
    return hr_import_constant(r->im, output(n), &t);
}

/* A place in a list, from its end if negative. */
static int64_t place(int64_t at, int count)
{
    at = at < 0 ? at + count : at;
    return at < 0 ? 0 : at > count ? count : at;
}

/* For one picture of the size that the graph is read for.  What is made of it are factors and flat
 * forms, which other sizes share. */
static enum hr_status read_shape(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    const struct hr_import_value *x;
    struct hr_shape shape;
    HR_TRY(hr_import_find(r->im, input(n, 0), &x));
    if (x->constant)
        return hr_fail(HR_E_UNSUPPORTED, "the shape of a constant is not supported");
    HR_TRY(hr_import_shape(r->im, input(n, 0), &shape));
    const int64_t first = place(integer(n, "start", 0), shape.rank);
    const int64_t last = place(integer(n, "end", shape.rank), shape.rank);
    return known_integers(r, n, shape.dim + first, last > first ? (int)(last - first) : 0, 1);
}

static enum hr_status read_gather(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    int64_t all[HR_MAX_RANK], at[HR_MAX_RANK];
    int count, picked;
    const struct hr_tensor *t;
    HR_TRY(hr_import_integers(r->im, input(n, 0), all, HR_MAX_RANK, &count));
    HR_TRY(hr_import_integers(r->im, input(n, 1), at, HR_MAX_RANK, &picked));
    HR_TRY(hr_import_find_constant(r->im, input(n, 1), &t));
    if (integer(n, "axis", 0) != 0 || t->shape.rank > 1)
        return bad_attribute("axis");
    for (int i = 0; i < picked; i++) {
        const int64_t from = at[i] < 0 ? at[i] + count : at[i];
        if (from < 0 || from >= count)
            return hr_fail(HR_E_FORMAT, "number %lld of a list of %d is asked for",
                           (long long)at[i], count);
        at[i] = all[from];
    }
    return known_integers(r, n, at, picked, t->shape.rank);
}

/* The one number of input i, or of the attribute that older files have. */
static enum hr_status one_integer(struct hr_onnx_reader *r, const Hr__OnnxNode *n, size_t i,
                                  const char *name, int64_t *out)
{
    int64_t all[HR_MAX_RANK];
    int count = 1;
    if (has_input(n, i)) {
        HR_TRY(hr_import_integers(r->im, input(n, i), all, HR_MAX_RANK, &count));
        *out = count == 1 ? all[0] : *out;
    } else if (!integers(n, name, out, 1)) {
        count = 0;
    }
    return count == 1 ? HR_OK : bad_attribute(name);
}

static enum hr_status read_slice(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
{
    int64_t all[HR_MAX_RANK], first = 0, last = 0, axis = 0, step = 1;
    int count;
    HR_TRY(hr_import_integers(r->im, input(n, 0), all, HR_MAX_RANK, &count));
    HR_TRY(one_integer(r, n, 1, "starts", &first));
    HR_TRY(one_integer(r, n, 2, "ends", &last));
    HR_TRY(one_integer(r, n, 3, "axes", &axis));
    HR_TRY(one_integer(r, n, 4, "steps", &step));
    first = place(first, count);
    last = place(last, count);
    if (axis != 0 || step != 1 || last <= first)
        return hr_fail(HR_E_UNSUPPORTED, "only a piece of a list of numbers may be cut out");
    return known_integers(r, n, all + first, (int)(last - first), 1);
}

static const struct row {
    const char *op;
    enum hr_status (*read)(struct hr_onnx_reader *r, const Hr__OnnxNode *n);
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
    { "Shape", read_shape },
    { "Slice", read_slice },
    { "Gather", read_gather },
    { "Pad", read_pad },
};

static enum hr_status unsupported(const Hr__OnnxNode *n)
{
    struct hr_text list = { 0 };
    const char *op = n->op_type ? n->op_type : "";
    if (strstr(op, "uantizeLinear") || strstr(op, "Integer") || hr_text_starts(op, "QLinear"))
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

enum hr_status hr_onnx_read_node(struct hr_onnx_reader *r, const Hr__OnnxNode *n)
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
