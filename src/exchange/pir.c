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
        slots[(*count)++] = (struct hr_program_slot){ name, number };
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
