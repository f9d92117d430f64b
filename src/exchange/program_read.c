/* SPDX-License-Identifier: Apache-2.0
 * Paddle programs to graphs: one row an operator.  Source: Paddle's operator definitions, and the
 * programs that its optimiser saves. */
#include <string.h>

#include "exchange/program.h"
#include "tensor/lod.h"

#define FREE_SIDE 224 /* px of an input whose size is free: what it is built for first */
#define MOST_SIDE 65536

struct reader {
    struct hr_import *im;
    struct hr_program *program;
    const char *result; /* what is fetched */
};

/* ---- Attributes and operands --------------------------------------------------------------- */

static double number(const struct hr_program_op *op, const char *name, double otherwise)
{
    const struct hr_program_attribute *a = hr_program_attribute(op, name);
    return a && a->kind != HR_ATTRIBUTE_TEXT && a->count == 1 ? a->number[0] : otherwise;
}

static bool text_is(const struct hr_program_op *op, const char *name, const char *otherwise,
                    const char *text)
{
    const struct hr_program_attribute *a = hr_program_attribute(op, name);
    return strcmp(a && a->text ? a->text : otherwise, text) == 0;
}

/* Fills out[0..most) from a list; *count is -1 if it is not there. */
static void numbers(const struct hr_program_op *op, const char *name, double *out, int most,
                    int *count)
{
    const struct hr_program_attribute *a = hr_program_attribute(op, name);
    *count = a && a->kind != HR_ATTRIBUTE_TEXT && a->count <= (size_t)most ? (int)a->count : -1;
    for (int i = 0; i < *count; i++)
        out[i] = a->number[i];
}

static int64_t whole(double value)
{
    return value >= -1e15 && value <= 1e15 ? (int64_t)value : -1;
}

static const char *in(const struct hr_program_op *op, const char *slot)
{
    return hr_program_in(op, slot);
}

static const char *out(const struct hr_program_op *op)
{
    return op->out_count ? op->out[0].value : "";
}

static enum hr_status bad_attribute(const char *name)
{
    return hr_fail(HR_E_UNSUPPORTED, "its attribute %s has a value that is not supported", name);
}

static bool is_nchw(const struct hr_program_op *op)
{
    return (text_is(op, "data_format", "NCHW", "NCHW") ||
            text_is(op, "data_format", "NCHW", "AnyLayout")) &&
           text_is(op, "data_layout", "NCHW", "NCHW");
}

/* ---- Operators ----------------------------------------------------------------------------- */

static enum hr_status read_feed(struct reader *r, const struct hr_program_op *op)
{
    const int64_t *dim = r->program->input;
    if (dim[1] != 3 && dim[1] > 0)
        return hr_fail(HR_E_UNSUPPORTED, "its input has %lld channels: 3 are wanted",
                       (long long)dim[1]);
    if (dim[2] > MOST_SIDE || dim[3] > MOST_SIDE)
        return hr_fail(HR_E_SHAPE, "its input is %lldx%lld: %d at most is wanted",
                       (long long)dim[2], (long long)dim[3], MOST_SIDE);
    return hr_import_input(r->im, out(op), dim[2] > 0 ? dim[2] : FREE_SIDE,
                           dim[3] > 0 ? dim[3] : FREE_SIDE, false);
}

static enum hr_status read_fetch(struct reader *r, const struct hr_program_op *op)
{
    if (!r->result)
        r->result = in(op, "X");
    return HR_OK;
}

/* A name for what a fused operator makes on its way. */
static const char *inner(struct reader *r, const struct hr_program_op *op, const char *what)
{
    return hr_arena_printf(&r->program->arena, "%s of %s", what, out(op));
}

/* conv + Bias, and in optimised programs + ResidualData. */
static enum hr_status read_conv(struct reader *r, const struct hr_program_op *op)
{
    struct hr_import_window w = { .group = whole(number(op, "groups", 1)) };
    double stride[2] = { 1, 1 }, dilation[2] = { 1, 1 }, pad[4] = { 0 };
    int count;
    if (!is_nchw(op))
        return bad_attribute("data_format");
    numbers(op, "strides", stride, 2, &count);
    numbers(op, "dilations", dilation, 2, &count);
    numbers(op, "paddings", pad, 4, &count);
    for (int i = 0; i < 2; i++) {
        w.stride[i] = whole(stride[i]);
        w.dilation[i] = whole(dilation[i]);
    }
    /* [h,w], or [top,bottom,left,right] */
    static const int of_two[] = { 0, 1, 0, 1 }, of_four[] = { 0, 2, 1, 3 };
    for (int side = 0; side < 4; side++)
        w.pad[side] = whole(pad[count == 4 ? of_four[side] : of_two[side]]);
    w.same = text_is(op, "padding_algorithm", "EXPLICIT", "SAME");
    if (text_is(op, "padding_algorithm", "EXPLICIT", "VALID"))
        memset(w.pad, 0, sizeof w.pad);
    const char *residual = in(op, "ResidualData");
    const char *product = residual ? inner(r, op, "product") : out(op);
    if (!product)
        return HR_E_MEMORY;
    HR_TRY(hr_import_conv(r->im, product, in(op, "Input"), in(op, "Filter"), in(op, "Bias"), &w));
    return residual ? hr_import_arithmetic(r->im, out(op), '+', product, residual) : HR_OK;
}

static enum hr_status read_norm(struct reader *r, const struct hr_program_op *op)
{
    const char *const names[] = { in(op, "Scale"), in(op, "Bias"), in(op, "Mean"),
                                  in(op, "Variance") };
    const char *y = hr_program_out(op, "Y");
    if (!is_nchw(op))
        return bad_attribute("data_layout");
    return hr_import_norm(r->im, y ? y : "", in(op, "X"), names,
                          (float)number(op, "epsilon", 1e-5));
}

static enum hr_status read_relu(struct reader *r, const struct hr_program_op *op)
{
    return hr_import_relu(r->im, out(op), in(op, "X"));
}

static enum hr_status read_sigmoid(struct reader *r, const struct hr_program_op *op)
{
    return hr_import_sigmoid(r->im, out(op), in(op, "X"));
}

static enum hr_status read_softmax(struct reader *r, const struct hr_program_op *op)
{
    return hr_import_softmax(r->im, out(op), in(op, "X"), whole(number(op, "axis", -1)));
}

/* With axis 1 a list of c numbers lies along the channels: [c,1,1]. */
static enum hr_status along_channels(struct reader *r, const struct hr_program_op *op,
                                     const char **y)
{
    const struct hr_tensor *t;
    struct hr_shape x;
    if (number(op, "axis", -1) != 1 || hr_import_find_constant(r->im, *y, &t) != HR_OK ||
        t->shape.rank != 1 || hr_import_shape(r->im, in(op, "X"), &x) != HR_OK || x.rank != 4)
        return HR_OK;
    struct hr_tensor turned = *t;
    turned.shape = (struct hr_shape){ 3, { t->shape.dim[0], 1, 1 } };
    hr_tensor_set_contiguous(&turned);
    const char *name = hr_arena_printf(&r->program->arena, "%s along %s", *y, out(op));
    if (!name)
        return HR_E_MEMORY;
    *y = name;
    return hr_import_constant(r->im, name, &turned);
}

static enum hr_status arithmetic(struct reader *r, const struct hr_program_op *op, char sign)
{
    const char *y = in(op, "Y");
    if (y)
        HR_TRY(along_channels(r, op, &y));
    return hr_import_arithmetic(r->im, out(op), sign, in(op, "X"), y);
}

static enum hr_status read_add(struct reader *r, const struct hr_program_op *op)
{
    return arithmetic(r, op, '+');
}

static enum hr_status read_sub(struct reader *r, const struct hr_program_op *op)
{
    return arithmetic(r, op, '-');
}

static enum hr_status read_mul(struct reader *r, const struct hr_program_op *op)
{
    return arithmetic(r, op, '*');
}

static enum hr_status read_div(struct reader *r, const struct hr_program_op *op)
{
    return arithmetic(r, op, '/');
}

static enum hr_status read_upsample(struct reader *r, const struct hr_program_op *op)
{
    double scale[2] = { 0, 0 };
    struct hr_shape x;
    int count;
    numbers(op, "scale", scale, 2, &count);
    if (count == 1)
        scale[1] = scale[0];
    if (number(op, "align_corners", 0) != 0 || !is_nchw(op))
        return bad_attribute("align_corners");
    HR_TRY(hr_import_shape(r->im, in(op, "X"), &x));
    if (count < 1 || scale[0] <= 0) {
        if (x.rank != 4 || in(op, "OutSize") || in(op, "SizeTensor") || in(op, "Scale"))
            return hr_fail(HR_E_UNSUPPORTED, "a computed size is not supported: factors are");
        scale[0] = number(op, "out_h", 0) / (double)x.dim[2];
        scale[1] = number(op, "out_w", 0) / (double)x.dim[3];
    }
    return hr_import_upsample(r->im, out(op), in(op, "X"), scale[0], scale[1]);
}

static enum hr_status read_pool(struct reader *r, const struct hr_program_op *op)
{
    double size[2] = { 0, 0 };
    int64_t given[HR_MAX_RANK];
    int count;
    numbers(op, "ksize", size, 2, &count);
    if (in(op, "Size")) {
        HR_TRY(hr_import_integers(r->im, in(op, "Size"), given, 2, &count));
        for (int i = 0; i < count; i++)
            size[i] = (double)given[i];
    }
    const bool whole_plane =
        number(op, "global_pooling", 0) != 0 ||
        (number(op, "adaptive", 0) != 0 && size[0] == 1 && (count == 1 || size[1] == 1));
    if (!text_is(op, "pooling_type", "max", "avg") || !whole_plane)
        return hr_fail(HR_E_UNSUPPORTED, "only the mean over the whole plane is supported");
    return hr_import_pool(r->im, out(op), in(op, "X"), true);
}

static enum hr_status read_flatten(struct reader *r, const struct hr_program_op *op)
{
    const double last = number(op, "stop_axis", 3);
    if (number(op, "start_axis", 1) != 1 || (last != 3 && last != -1))
        return bad_attribute("start_axis");
    return hr_import_reform(r->im, out(op), in(op, "X"), 2);
}

/* flatten and flatten2: axis 1. */
static enum hr_status read_old_flatten(struct reader *r, const struct hr_program_op *op)
{
    if (number(op, "axis", 1) != 1)
        return bad_attribute("axis");
    return hr_import_reform(r->im, out(op), in(op, "X"), 2);
}

/* A list of whole numbers: an operand (PIR) or an attribute. */
static enum hr_status list_of(struct reader *r, const struct hr_program_op *op, const char *slot,
                              const char *attribute, double *list, int *count)
{
    int64_t given[HR_MAX_RANK];
    if (!in(op, slot)) {
        numbers(op, attribute, list, HR_MAX_RANK, count);
        return HR_OK;
    }
    HR_TRY(hr_import_integers(r->im, in(op, slot), given, HR_MAX_RANK, count));
    for (int i = 0; i < *count; i++)
        list[i] = (double)given[i];
    return HR_OK;
}

static enum hr_status read_reshape(struct reader *r, const struct hr_program_op *op)
{
    double want[HR_MAX_RANK];
    struct hr_shape x;
    int rank;
    const struct hr_tensor *constant;
    HR_TRY(list_of(r, op, "Shape", "shape", want, &rank));
    if (rank >= 0 && hr_import_find_constant(r->im, in(op, "X"), &constant) == HR_OK) {
        int64_t dims[HR_MAX_RANK];
        for (int d = 0; d < rank; d++)
            dims[d] = whole(want[d]);
        return hr_import_reshape(r->im, out(op), in(op, "X"), dims, rank);
    }
    HR_TRY(hr_import_shape(r->im, in(op, "X"), &x));
    bool right = rank == 2 || (rank == 4 && want[2] == 1 && want[3] == 1);
    right = right && (want[1] == -1 || want[1] == 0 || want[1] == (double)x.dim[1]);
    if (!right)
        return hr_fail(HR_E_UNSUPPORTED, "only [n,c,1,1] and [n,c] become one another");
    return hr_import_reform(r->im, out(op), in(op, "X"), rank);
}

static enum hr_status squeeze(struct reader *r, const struct hr_program_op *op, int rank)
{
    double axes[HR_MAX_RANK];
    int count;
    HR_TRY(list_of(r, op, "Axes", "axes", axes, &count));
    for (int i = 0; i < count; i++)
        axes[i] += axes[i] < 0 ? 4 : 0;
    if (count != 2 || axes[0] + axes[1] != 5 || axes[0] < 2 || axes[1] < 2)
        return hr_fail(HR_E_UNSUPPORTED, "only axes 2 and 3 are supported");
    return hr_import_reform(r->im, out(op), in(op, "X"), rank);
}

static enum hr_status read_squeeze(struct reader *r, const struct hr_program_op *op)
{
    return squeeze(r, op, 2);
}

static enum hr_status read_unsqueeze(struct reader *r, const struct hr_program_op *op)
{
    return squeeze(r, op, 4);
}

static enum hr_status read_matmul(struct reader *r, const struct hr_program_op *op)
{
    if (number(op, "trans_x", 0) != 0 || number(op, "transpose_x", 0) != 0 ||
        number(op, "transpose_X", 0) != 0 || number(op, "alpha", 1) != 1)
        return bad_attribute("trans_x");
    const bool turned = number(op, "trans_y", 0) != 0 || number(op, "transpose_y", 0) != 0 ||
                        number(op, "transpose_Y", 0) != 0;
    return hr_import_linear(r->im, out(op), in(op, "X"), in(op, "Y"), turned, "");
}

/* [n,c,1,1] as [n,c], for operators that flatten what they multiply. */
static enum hr_status flattened(struct reader *r, const struct hr_program_op *op, const char **name)
{
    const struct hr_import_value *x;
    HR_TRY(hr_import_find(r->im, *name, &x));
    if (x->form != HR_FORM_PIXEL)
        return HR_OK;
    const char *flat = inner(r, op, *name);
    if (!flat)
        return HR_E_MEMORY;
    HR_TRY(hr_import_reform(r->im, flat, *name, 2));
    *name = flat;
    return HR_OK;
}

/* Of optimised programs: mul and bias. */
static enum hr_status read_fc(struct reader *r, const struct hr_program_op *op)
{
    const char *flat = in(op, "Input");
    if (number(op, "in_num_col_dims", 1) != 1 || number(op, "padding_weights", 0) != 0)
        return bad_attribute("in_num_col_dims");
    HR_TRY(flattened(r, op, &flat));
    return hr_import_linear(r->im, out(op), flat, in(op, "W"), false, in(op, "Bias"));
}

/* The first classifiers were `mul`s that flatten their input behind x_num_col_dims. */
static enum hr_status read_mul_op(struct reader *r, const struct hr_program_op *op)
{
    const char *flat = in(op, "X");
    if (number(op, "x_num_col_dims", 1) != 1 || number(op, "y_num_col_dims", 1) != 1)
        return bad_attribute("x_num_col_dims");
    HR_TRY(flattened(r, op, &flat));
    return hr_import_linear(r->im, out(op), flat, in(op, "Y"), false, "");
}

/* Exporters put a scale by 1 behind the result. */
static enum hr_status read_scale(struct reader *r, const struct hr_program_op *op)
{
    if (number(op, "scale", 1) != 1 || number(op, "bias", 0) != 0)
        return bad_attribute("scale");
    return hr_import_alias(r->im, out(op), in(op, "X"));
}

static enum hr_status read_alias(struct reader *r, const struct hr_program_op *op)
{
    return hr_import_alias(r->im, out(op), in(op, "X"));
}

static enum hr_status read_list(struct reader *r, const struct hr_program_op *op)
{
    double list[HR_MOST_NUMBERS];
    int count;
    numbers(op, "value", list, HR_MOST_NUMBERS, &count);
    int64_t *data = hr_arena_alloc(&r->program->arena, HR_MOST_NUMBERS, sizeof *data);
    if (!data)
        return HR_E_MEMORY;
    if (count < 0)
        return bad_attribute("value");
    struct hr_tensor t = { .dtype = HR_DTYPE_I64, .shape = { 1, { count } }, .data = data };
    for (int i = 0; i < count; i++)
        data[i] = whole(list[i]);
    hr_tensor_set_contiguous(&t);
    return hr_import_constant(r->im, out(op), &t);
}

static const struct row {
    const char *type;
    enum hr_status (*read)(struct reader *r, const struct hr_program_op *op);
} rows[] = {
    { "feed", read_feed },
    { "fetch", read_fetch },
    { "conv2d", read_conv },
    { "fused_conv2d", read_conv },
    { "batch_norm", read_norm },
    { "relu", read_relu },
    { "sigmoid", read_sigmoid },
    { "softmax", read_softmax },
    { "elementwise_add", read_add },
    { "fused_elementwise_add", read_add },
    { "elementwise_sub", read_sub },
    { "elementwise_mul", read_mul },
    { "elementwise_div", read_div },
    { "nearest_interp", read_upsample },
    { "nearest_interp_v2", read_upsample },
    { "pool2d", read_pool },
    { "flatten_contiguous_range", read_flatten },
    { "flatten2", read_old_flatten },
    { "reshape2", read_reshape },
    { "squeeze2", read_squeeze },
    { "unsqueeze2", read_unsqueeze },
    { "matmul_v2", read_matmul },
    { "matmul", read_matmul },
    { "mul", read_mul_op },
    { "fc", read_fc },
    { "scale", read_scale },
    { "assign", read_alias },
    { "full_int_array", read_list },
};

/* ---- The graph ----------------------------------------------------------------------------- */

static enum hr_status unsupported(const char *type)
{
    struct hr_text list = { 0 };
    for (size_t i = 0; i < HR_COUNT(rows); i++)
        hr_text_printf(&list, "%s%s", i ? ", " : "", rows[i].type);
    const enum hr_status status =
        hr_fail(HR_E_UNSUPPORTED, "the operator %.60s is not supported; these are: %s", type,
                hr_text_str(&list));
    hr_text_fini(&list);
    return status;
}

/* What an optimiser merged into an operator: "relu", "sigmoid", or "" for nothing. */
static const char *activation_of(const struct hr_program_op *op)
{
    static const char *const texts[] = { "fuse_activation", "activation_type" };
    static const char *const flags[] = { "fuse_relu", "fuse_with_relu" };
    for (size_t i = 0; i < HR_COUNT(texts); i++) {
        const struct hr_program_attribute *a = hr_program_attribute(op, texts[i]);
        if (a && a->text && a->text[0])
            return a->text;
    }
    for (size_t i = 0; i < HR_COUNT(flags); i++)
        if (number(op, flags[i], 0) != 0)
            return "relu";
    return "";
}

/* Anything else that it merged is refused, not overlooked. */
static enum hr_status check_merged(const struct hr_program_op *op)
{
    for (size_t i = 0; i < op->attribute_count; i++) {
        const struct hr_program_attribute *a = &op->attributes[i];
        const bool scale = strcmp(a->name, "fused_output_scale") == 0;
        const bool list = a->kind == HR_ATTRIBUTE_INTS || a->kind == HR_ATTRIBUTE_LONGS ||
                          a->kind == HR_ATTRIBUTE_FLOATS;
        if (strncmp(a->name, "fused_", 6) == 0 &&
            ((list && a->count) || (a->text && a->text[0]) || (scale && a->number[0] != 1)))
            return bad_attribute(a->name);
    }
    if (number(op, "fuse_residual_connection", 0) != 0 && !in(op, "ResidualData"))
        return bad_attribute("fuse_residual_connection");
    return HR_OK;
}

static enum hr_status read_activated(struct reader *r, const struct row *row,
                                     const struct hr_program_op *op, const char *activation)
{
    const bool sigmoid = strcmp(activation, "sigmoid") == 0;
    struct hr_program_op plain = *op;
    struct hr_program_slot result = op->out_count ? op->out[0] : (struct hr_program_slot){ 0 };
    if (!sigmoid && strcmp(activation, "relu") != 0)
        return hr_fail(HR_E_UNSUPPORTED,
                       "its activation '%.60s' is not supported: relu and sigmoid are", activation);
    if (hr_program_out(op, "Y"))
        result = (struct hr_program_slot){ .name = "Y", .value = hr_program_out(op, "Y") };
    const char *y = result.value ? result.value : "";
    result.value = inner(r, op, "input of the activation");
    if (!result.value)
        return HR_E_MEMORY;
    plain.out = &result;
    plain.out_count = 1;
    HR_TRY(row->read(r, &plain));
    return (sigmoid ? hr_import_sigmoid : hr_import_relu)(r->im, y, result.value);
}

static enum hr_status read_op(struct reader *r, const struct hr_program_op *op)
{
    const char *activation = activation_of(op);
    for (size_t i = 0; i < HR_COUNT(rows); i++)
        if (strcmp(op->type, rows[i].type) == 0) {
            HR_TRY(check_merged(op));
            return activation[0] ? read_activated(r, &rows[i], op, activation)
                                 : rows[i].read(r, op);
        }
    return unsupported(op->type);
}

static enum hr_status read_ops(struct reader *r)
{
    for (size_t i = 0; i < r->program->op_count; i++) {
        const struct hr_program_op *op = &r->program->ops[i];
        r->im->node = out(op);
        const enum hr_status status = read_op(r, op);
        if (status == HR_E_MEMORY)
            return status;
        if (status != HR_OK)
            return hr_fail_context(status, "operator %zu (%.60s)", i, op->type);
    }
    return HR_OK;
}

/* Views of the parameters' file, which the caller gives to the store. */
static enum hr_status read_params(struct reader *r, const void *data, size_t size, const char *name)
{
    const struct hr_program *p = r->program;
    struct hr_store *params = NULL;
    const char **names = hr_mem_alloc(p->param_count, sizeof *names);
    enum hr_status status = names ? hr_store_create(&params) : HR_E_MEMORY;
    for (size_t i = 0; i < p->param_count && names; i++)
        names[i] = p->params[i].name;
    if (status == HR_OK)
        status = hr_lod_read(params, data, size, names, p->param_count, name);
    for (size_t i = 0; i < p->param_count && status == HR_OK; i++)
        status = hr_import_constant(r->im, p->params[i].value, hr_store_tensor(params, i));
    hr_store_destroy(params);
    hr_mem_free(names);
    return status;
}

static enum hr_status make_graph(struct reader *r, struct hr_graph **graph,
                                 struct hr_store **weights, struct hr_foreign *is,
                                 const void *params, size_t size, const char *params_name)
{
    HR_TRY(hr_import_init(r->im));
    HR_TRY(read_params(r, params, size, params_name));
    HR_TRY(read_ops(r));
    if (!r->result)
        return hr_fail(HR_E_FORMAT, "the program fetches nothing");
    is->height = r->program->input[2] > 0 ? r->program->input[2] : 0;
    is->width = r->program->input[3] > 0 ? r->program->input[3] : 0;
    hr_import_tell(r->im, is);
    HR_TRY(hr_import_finish(r->im, r->result, graph, weights));
    is->result = r->im->result;
    return HR_OK;
}

enum hr_status hr_program_graph(struct hr_graph **graph, struct hr_store **weights,
                                struct hr_foreign *is, struct hr_program *program,
                                const void *params, size_t size, const char *params_name)
{
    struct hr_import im = { 0 };
    struct reader r = { &im, program, NULL };
    *is = (struct hr_foreign){ 0 };
    const enum hr_status status = make_graph(&r, graph, weights, is, params, size, params_name);
    hr_import_fini(&im);
    return status;
}
