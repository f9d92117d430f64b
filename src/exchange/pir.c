/* SPDX-License-Identifier: Apache-2.0
 * Paddle 3's inference.json (PIR) as a program: its operators have operands by position and values
 * by number; a row tells the older operator's name and slots.  Names come short ("1.conv2d") or, in
 * early versions, long ("pd_op.conv2d"). */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/text.h"
#include "exchange/program.h"

#define MOST_OPERANDS 5

static const struct row {
    const char *pir, *type;
    const char *in[MOST_OPERANDS];
    const char *out;
} rows[] = {
    { "conv2d", "conv2d", { "Input", "Filter" }, "Output" },
    { "batch_norm_", "batch_norm", { "X", "Mean", "Variance", "Scale", "Bias" }, "Y" },
    { "batch_norm", "batch_norm", { "X", "Mean", "Variance", "Scale", "Bias" }, "Y" },
    { "relu", "relu", { "X" }, "Out" },
    { "sigmoid", "sigmoid", { "X" }, "Out" },
    { "add", "elementwise_add", { "X", "Y" }, "Out" },
    { "subtract", "elementwise_sub", { "X", "Y" }, "Out" },
    { "multiply", "elementwise_mul", { "X", "Y" }, "Out" },
    { "divide", "elementwise_div", { "X", "Y" }, "Out" },
    { "nearest_interp", "nearest_interp_v2", { "X", "OutSize", "SizeTensor", "Scale" }, "Out" },
    { "pool2d", "pool2d", { "X", "Size" }, "Out" },
    { "flatten", "flatten_contiguous_range", { "X" }, "Out" },
    { "reshape", "reshape2", { "X", "Shape" }, "Out" },
    { "squeeze", "squeeze2", { "X", "Axes" }, "Out" },
    { "unsqueeze", "unsqueeze2", { "X", "Axes" }, "Out" },
    { "matmul", "matmul_v2", { "X", "Y" }, "Out" },
    { "softmax", "softmax", { "X" }, "Out" },
    { "scale", "scale", { "X", "Factor" }, "Out" },
    { "assign", "assign", { "X" }, "Out" },
    { "data", "feed", { NULL }, "Out" },
    { "fetch", "fetch", { "X" }, "Out" },
    { "full", "full", { NULL }, "Out" },
    { "full_int_array", "full_int_array", { NULL }, "Out" },
    { "shadow_output", "fetch", { "X" }, "Out" },
};

/* Behind the dialect: "1.conv2d", "pd_op.conv2d", "builtin.shadow_output". */
static const char *plain(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot ? dot + 1 : name;
}

static const char *copy(struct hr_program *p, const char *text)
{
    return hr_arena_printf(&p->arena, "%s", text ? text : "");
}

/* {"%": 12}, or {"#": 12} in early versions; 0 means that there is none. */
static const char *value_name(struct hr_program *p, const json_t *value)
{
    const json_t *number = json_object_get(value, "%");
    if (!number)
        number = json_object_get(value, "#");
    const json_int_t id = json_integer_value(number);
    return id ? hr_arena_printf(&p->arena, "%" PRIi64, (int64_t)id) : "";
}

/* ---- Attributes ---------------------------------------------------------------------------- */

/* A number, or "NaN" and the like, which no operator of ours has. */
static bool read_number(double *out, const json_t *value)
{
    if (json_is_boolean(value))
        *out = json_is_true(value);
    else if (json_is_number(value))
        *out = json_number_value(value);
    return json_is_boolean(value) || json_is_number(value);
}

/* The D of a list: plain numbers, or {"#": kind, "D": number} each. */
static bool read_list(struct hr_program_attribute *to, const json_t *list)
{
    size_t i;
    json_t *item;
    to->count = json_array_size(list);
    json_array_foreach(list, i, item)
    {
        const json_t *inner = json_is_object(item) ? json_object_get(item, "D") : item;
        if (i < HR_MOST_NUMBERS && !read_number(&to->number[i], inner))
            return false;
    }
    return true;
}

static bool read_value(struct hr_program *p, struct hr_program_attribute *to, const json_t *type)
{
    const json_t *data = json_object_get(type, "D");
    to->count = 1;
    if (json_is_string(data)) {
        to->kind = HR_ATTRIBUTE_TEXT;
        return (to->text = copy(p, json_string_value(data))) != NULL;
    }
    if (json_is_array(data)) {
        to->kind = HR_ATTRIBUTE_FLOATS;
        return read_list(to, data);
    }
    to->kind = json_is_integer(data) ? HR_ATTRIBUTE_LONG : HR_ATTRIBUTE_FLOAT;
    return read_number(&to->number[0], data);
}

static enum hr_status read_attributes(struct hr_program *p, struct hr_program_op *op,
                                      const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        struct hr_program_attribute *to = &op->attributes[op->attribute_count];
        const json_t *name = json_object_get(item, "N");
        if (!json_is_string(name) || !read_value(p, to, json_object_get(item, "AT")))
            continue;
        if (!(to->name = copy(p, json_string_value(name))))
            return HR_E_MEMORY;
        op->attribute_count++;
    }
    return HR_OK;
}

/* ---- Operators ----------------------------------------------------------------------------- */

/* {"#": "p", "A": [is_distributed, is_parameter, need_clip, name], "O": {"%": value, ...}} */
static enum hr_status read_param(struct hr_program *p, const json_t *op)
{
    const json_t *result = json_object_get(op, "O");
    const json_t *name = json_array_get(json_object_get(op, "A"), 3);
    if (json_is_array(result))
        result = json_array_get(result, 0);
    const char *value = value_name(p, result);
    if (!json_is_string(name) || !value || !value[0])
        return value ? hr_fail(HR_E_FORMAT, "a parameter has no name or value") : HR_E_MEMORY;
    return hr_program_add_param(p, json_string_value(name), value);
}

static enum hr_status add_slot(struct hr_program *p, struct hr_program_slot *slots, size_t *count,
                               const char *name, const json_t *value)
{
    const char *number = value_name(p, value);
    if (!number)
        return HR_E_MEMORY;
    if (number[0])
        slots[(*count)++] = (struct hr_program_slot){ .name = name, .value = number };
    return HR_OK;
}

static enum hr_status read_op(struct hr_program *p, const json_t *from, const char *name)
{
    const json_t *in = json_object_get(from, "I"), *out = json_object_get(from, "O");
    const json_t *attributes = json_object_get(from, "A");
    const struct row *row = NULL;
    struct hr_program_op *op;
    for (size_t i = 0; i < HR_COUNT(rows) && !row; i++)
        if (strcmp(plain(name), rows[i].pir) == 0)
            row = &rows[i];
    HR_TRY(hr_program_add(p, row ? row->type : plain(name), MOST_OPERANDS, 1,
                          json_array_size(attributes), &op));
    for (size_t i = 0; row && i < json_array_size(in) && i < MOST_OPERANDS && row->in[i]; i++)
        HR_TRY(add_slot(p, op->in, &op->in_count, row->in[i], json_array_get(in, i)));
    if (json_array_size(out))
        HR_TRY(
            add_slot(p, op->out, &op->out_count, row ? row->out : "Out", json_array_get(out, 0)));
    return read_attributes(p, op, attributes);
}

static enum hr_status read_input(struct hr_program *p)
{
    for (size_t i = 0; i < p->op_count; i++) {
        const struct hr_program_attribute *shape = hr_program_attribute(&p->ops[i], "shape");
        if (strcmp(p->ops[i].type, "feed") != 0)
            continue;
        if (!shape || shape->count != 4)
            return hr_fail(HR_E_UNSUPPORTED, "its input has no shape of 4 dimensions");
        for (int d = 0; d < 4; d++)
            p->input[d] = shape->number[d] >= 1 && shape->number[d] <= INT32_MAX
                              ? (int64_t)shape->number[d]
                              : -1;
        return HR_OK;
    }
    return hr_fail(HR_E_FORMAT, "the program has no input");
}

/* program.regions[0].blocks[0].ops */
static const json_t *ops_of(const json_t *root)
{
    const json_t *regions = json_object_get(json_object_get(root, "program"), "regions");
    const json_t *blocks = json_object_get(json_array_get(regions, 0), "blocks");
    return json_array_size(regions) == 1 && json_array_size(blocks) == 1
               ? json_object_get(json_array_get(blocks, 0), "ops")
               : NULL;
}

static enum hr_status read_program(struct hr_program *p, const json_t *root)
{
    const json_t *magic = json_object_get(json_object_get(root, "base_code"), "magic");
    const json_t *ops = ops_of(root);
    size_t i;
    json_t *op;
    if (!json_is_string(magic) || strcmp(json_string_value(magic), "pir") != 0 ||
        !json_is_array(ops))
        return hr_fail(HR_E_FORMAT, "it is no PIR program of one block");
    json_array_foreach(ops, i, op)
    {
        const char *name = json_string_value(json_object_get(op, "#"));
        if (!name)
            return hr_fail(HR_E_FORMAT, "operator %zu has no name", i);
        HR_TRY(strcmp(plain(name), "p") == 0 || strcmp(plain(name), "parameter") == 0
                   ? read_param(p, op)
                   : read_op(p, op, name));
    }
    hr_program_sort_params(p);
    return read_input(p);
}

enum hr_status hr_pir_read(struct hr_program *program, const void *data, size_t size,
                           const char *name)
{
    json_error_t error;
    json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return hr_fail(HR_E_FORMAT, "%s: no JSON: %s in line %d", name, error.text, error.line);
    const enum hr_status status = read_program(program, root);
    json_decref(root);
    return status;
}

/* ---- Writing ------------------------------------------------------------------------------- */

#define PIR_VERSION 4 /* what PaddlePaddle 3.3.1 writes */

/* Attributes of an operator, in its order: their PIR name, the older name, and how they are kept:
 * b bool, i int32, f float32, s text, I list of int32, L of int64, D of float64. */
static const struct written {
    const char *type, *pir;
    struct {
        const char *pir, *old;
        char kind;
    } attributes[12];
} written[] = {
    { "conv2d",
      "1.conv2d",
      { { "strides", "strides", 'I' },
        { "paddings", "paddings", 'I' },
        { "padding_algorithm", "padding_algorithm", 's' },
        { "dilations", "dilations", 'I' },
        { "groups", "groups", 'i' },
        { "data_format", "data_format", 's' } } },
    { "batch_norm",
      "1.batch_norm_",
      { { "is_test", "is_test", 'b' },
        { "momentum", "momentum", 'f' },
        { "epsilon", "epsilon", 'f' },
        { "data_format", "data_layout", 's' },
        { "use_global_stats", "use_global_stats", 'b' },
        { "trainable_statistics", "trainable_statistics", 'b' } } },
    { "relu", "1.relu", { { NULL, NULL, 0 } } },
    { "sigmoid", "1.sigmoid", { { NULL, NULL, 0 } } },
    { "elementwise_add", "1.add", { { NULL, NULL, 0 } } },
    { "elementwise_mul", "1.multiply", { { NULL, NULL, 0 } } },
    { "nearest_interp_v2",
      "1.nearest_interp",
      { { "data_format", "data_layout", 's' },
        { "out_d", "out_d", 'i' },
        { "out_h", "out_h", 'i' },
        { "out_w", "out_w", 'i' },
        { "scale", "scale", 'D' },
        { "interp_method", "interp_method", 's' },
        { "align_corners", "align_corners", 'b' },
        { "align_mode", "align_mode", 'i' } } },
    { "pool2d",
      "1.pool2d",
      { { "strides", "strides", 'L' },
        { "paddings", "paddings", 'L' },
        { "ceil_mode", "ceil_mode", 'b' },
        { "exclusive", "exclusive", 'b' },
        { "data_format", "data_format", 's' },
        { "pooling_type", "pooling_type", 's' },
        { "global_pooling", "global_pooling", 'b' },
        { "adaptive", "adaptive", 'b' },
        { "padding_algorithm", "padding_algorithm", 's' } } },
    { "flatten_contiguous_range",
      "1.flatten",
      { { "start_axis", "start_axis", 'i' }, { "stop_axis", "stop_axis", 'i' } } },
    { "unsqueeze2", "1.unsqueeze", { { NULL, NULL, 0 } } },
    { "reshape2", "1.reshape", { { NULL, NULL, 0 } } },
    { "matmul_v2",
      "1.matmul",
      { { "transpose_x", "trans_x", 'b' }, { "transpose_y", "trans_y", 'b' } } },
    { "softmax", "1.softmax", { { "axis", "axis", 'i' } } },
    { "fetch", "1.fetch", { { "name", "name", 's' }, { "col", "col", 'i' } } },
    { "full_int_array", "1.full_int_array", { { "value", "value", 'L' } } },
};

static json_t *named(const char *name, json_t *value)
{
    return json_pack("{s:o, s:s}", "AT", value, "N", name);
}

static json_t *kept_number(char kind, double value)
{
    switch (kind) {
    case 'b':
        return json_pack("{s:s, s:b}", "#", "0.a_bool", "D", value != 0);
    case 'f':
        return json_pack("{s:s, s:f}", "#", "0.a_f32", "D", value);
    case 'D':
        return json_pack("{s:s, s:f}", "#", "0.a_f64", "D", value);
    case 'L':
        return json_pack("{s:s, s:I}", "#", "0.a_i64", "D", (json_int_t)value);
    default:
        return json_pack("{s:s, s:I}", "#", "0.a_i32", "D", (json_int_t)value);
    }
}

static json_t *kept(char kind, const struct hr_program_attribute *a)
{
    if (kind == 's')
        return json_pack("{s:s, s:s}", "#", "0.a_str", "D", a->text);
    if (kind != 'I' && kind != 'L' && kind != 'D')
        return kept_number(kind, a->number[0]);
    json_t *list = json_array();
    for (size_t i = 0; i < a->count; i++)
        json_array_append_new(list, kept_number(kind, a->number[i]));
    return json_pack("{s:s, s:o}", "#", "0.a_array", "D", list);
}

static json_t *value_of(const char *name)
{
    int64_t id = 0;
    return hr_parse_i64(name, &id) == HR_OK ? json_pack("{s:I}", "%", (json_int_t)id) : NULL;
}

/* A value with its type, a dense tensor. */
static json_t *typed(const char *name, const struct hr_shape *shape, const char *element)
{
    json_t *dims = json_array(), *value = value_of(name);
    for (int d = 0; d < shape->rank; d++)
        json_array_append_new(dims, json_integer(shape->dim[d]));
    json_object_set_new(value, "TT",
                        json_pack("{s:s, s:[{s:s}, o, s, [], i]}", "#", "0.t_dtensor", "D", "#",
                                  element, dims, "NCHW", 0));
    return value;
}

/* "stop_gradient" and "persistable" of each result. */
static json_t *of_results(const char *name, size_t count, bool value)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, kept_number('b', value));
    return named(name, json_pack("{s:s, s:o}", "#", "0.a_array", "D", list));
}

static json_t *place(int kind)
{
    return named("place", json_pack("{s:s, s:[i, i, s]}", "#", "1.a_place", "D", kind, 0, ""));
}

static json_t *data_type(const char *name)
{
    return named("dtype", json_pack("{s:s, s:s}", "#", "1.a_dtype", "D", name));
}

static json_t *input_attributes(const struct hr_program *p)
{
    return json_pack("[o, o, o, o]",
                     named("name", json_pack("{s:s, s:s}", "#", "0.a_str", "D", "x")),
                     named("shape", json_pack("{s:s, s:[I, I, I, I]}", "#", "1.a_intarray", "D",
                                              (json_int_t)p->input[0], (json_int_t)p->input[1],
                                              (json_int_t)p->input[2], (json_int_t)p->input[3])),
                     data_type("float32"), place(0));
}

static json_t *attributes_of(const struct written *row, const struct hr_program_op *op)
{
    json_t *list = json_array();
    for (size_t i = 0; i < HR_COUNT(row->attributes) && row->attributes[i].pir; i++) {
        const struct hr_program_attribute *a = hr_program_attribute(op, row->attributes[i].old);
        json_array_append_new(
            list, a ? named(row->attributes[i].pir, kept(row->attributes[i].kind, a)) : NULL);
    }
    if (strcmp(op->type, "full_int_array") == 0) {
        json_array_append_new(list, data_type("int64"));
        json_array_append_new(list, place(1));
    }
    return list;
}

/* Operands by position, as the row of reading has them; 0 where there is none. */
static json_t *operands_of(const struct hr_program_op *op)
{
    json_t *list = json_array();
    const struct row *row = NULL;
    for (size_t i = 0; i < HR_COUNT(rows) && !row; i++)
        if (strcmp(rows[i].type, op->type) == 0)
            row = &rows[i];
    for (size_t i = 0; row && i < MOST_OPERANDS && row->in[i]; i++) {
        const char *value = hr_program_in(op, row->in[i]);
        json_array_append_new(list, value ? value_of(value) : json_pack("{s:i}", "%", 0));
    }
    return list;
}

/* All results; a batch norm has a sixth, numbered behind its fifth. */
static json_t *results_of(const struct hr_program_op *op, size_t *count)
{
    const bool list_op = strcmp(op->type, "full_int_array") == 0;
    json_t *list = json_array();
    *count = op->out_count;
    for (size_t i = 0; i < op->out_count; i++)
        json_array_append_new(
            list, typed(op->out[i].value, &op->out[i].shape, list_op ? "0.t_i64" : "0.t_f32"));
    if (strcmp(op->type, "batch_norm") == 0) {
        const struct hr_shape reserve = { 1, { -1 } };
        char sixth[24];
        int64_t id = 0;
        if (hr_parse_i64(op->out[op->out_count - 1].value, &id) == HR_OK) {
            snprintf(sixth, sizeof sixth, "%" PRIi64, id + 1);
            json_array_append_new(list, typed(sixth, &reserve, "0.t_ui8"));
            ++*count;
        }
    }
    return list;
}

static json_t *written_op(const struct hr_program *p, const struct hr_program_op *op)
{
    const bool feed = strcmp(op->type, "feed") == 0, fetch = strcmp(op->type, "fetch") == 0;
    const struct written *row = NULL;
    size_t count;
    for (size_t i = 0; i < HR_COUNT(written) && !row; i++)
        if (strcmp(written[i].type, op->type) == 0)
            row = &written[i];
    if (!row && !feed)
        return NULL;
    json_t *results = results_of(op, &count), *more = json_array();
    if (fetch)
        json_array_append_new(more, of_results("persistable", count, true));
    json_array_append_new(
        more, of_results("stop_gradient", count, strcmp(op->type, "full_int_array") == 0));
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "#", feed ? "1.data" : row->pir, "A",
                     feed ? input_attributes(p) : attributes_of(row, op), "I", operands_of(op), "O",
                     results, "OA", more);
}

static json_t *written_param(const struct hr_program_param *param)
{
    const bool statistic = hr_text_ends(param->name, ".w_1") || hr_text_ends(param->name, ".w_2");
    return json_pack("{s:s, s:[i, i, i, s], s:[], s:o, s:[i, i, i], s:[]}", "#", "p", "A", 0, 1, 1,
                     param->name, "DA", "O", typed(param->value, &param->shape, "0.t_f32"), "OA", 1,
                     statistic, !statistic, "QA");
}

enum hr_status hr_pir_write(const struct hr_program *program, FILE *file, const char *name)
{
    json_t *ops = json_array();
    bool whole = ops != NULL;
    for (size_t i = 0; i < program->param_count && whole; i++)
        whole = json_array_append_new(ops, written_param(&program->params[i])) == 0;
    for (size_t i = 0; i < program->op_count && whole; i++)
        whole = json_array_append_new(ops, written_op(program, &program->ops[i])) == 0;
    json_t *root =
        json_pack("{s:{s:s, s:b, s:i}, s:{s:[{s:s, s:[{s:s, s:[], s:o}]}]}}", "base_code", "magic",
                  "pir", "trainable", 1, "version", PIR_VERSION, "program", "regions", "#",
                  "region_0", "blocks", "#", "block_0", "args", "ops", ops);
    if (root && whole)
        (void)!json_dumpf(root, file, JSON_COMPACT | JSON_REAL_PRECISION(17));
    const bool made = root && whole;
    json_decref(root);
    return made ? HR_OK : hr_fail(HR_E_MEMORY, "%s: the program could not be made", name);
}
