/* SPDX-License-Identifier: Apache-2.0
 * Graphs to Paddle programs: one row an operator, as PaddlePaddle 3.3.1 writes them.  PIR counts
 * its values and has lists as operands where the older format has attributes; all else is one.
 * Pooled values are [n,c,1,1], what linear layers make is [n,c]. */
#include <stdio.h>
#include <string.h>

#include "exchange/folded.h"
#include "exchange/program.h"
#include "tensor/lod.h"

#define PROBE 32 /* px: a size for a graph whose size is free */

struct value {
    const char *name;
    struct hr_shape shape; /* as the program sees it; -1: free */
};

struct writer {
    struct hr_program *program;
    const struct hr_graph *graph;
    const struct hr_program_options *options;
    struct value *values; /* by hr_value */
    enum hr_status status;
    size_t counter;               /* of PIR's values */
    size_t convs, norms, linears; /* layers so far: Paddle's names count them */
    const char *lists[2];         /* values of [1,1] and [2,3], once made */
};

static void stick(struct writer *w, enum hr_status status)
{
    if (w->status == HR_OK)
        w->status = status;
}

/* A new value's name: its number in PIR, else its operator's. */
static const char *new_name(struct writer *w, const char *type)
{
    struct hr_arena *arena = &w->program->arena;
    const char *name = w->options->pir
                           ? hr_arena_printf(arena, "%zu", ++w->counter)
                           : hr_arena_printf(arena, "%s_%zu.tmp_0", type, w->program->op_count);
    if (!name)
        stick(w, HR_E_MEMORY);
    return name;
}

/* ---- Operators of the program -------------------------------------------------------------- */

#define MOST_SLOTS      5
#define MOST_ATTRIBUTES 12

static struct hr_program_op *add(struct writer *w, const char *type)
{
    struct hr_program_op *op = NULL;
    if (w->status == HR_OK)
        stick(w, hr_program_add(w->program, type, MOST_SLOTS, MOST_SLOTS, MOST_ATTRIBUTES, &op));
    return w->status == HR_OK ? op : NULL;
}

static void take(struct hr_program_op *op, const char *slot, const char *value)
{
    if (op)
        op->in[op->in_count++] = (struct hr_program_slot){ .name = slot, .value = value };
}

static void give(struct hr_program_op *op, const char *slot, const struct value *value)
{
    if (op)
        op->out[op->out_count++] =
            (struct hr_program_slot){ .name = slot, .value = value->name, .shape = value->shape };
}

static void set(struct hr_program_op *op, const char *name, enum hr_attribute_kind kind,
                double value)
{
    if (op)
        op->attributes[op->attribute_count++] = (struct hr_program_attribute){
            .name = name, .kind = kind, .count = 1, .number = { value }
        };
}

static void set_text(struct hr_program_op *op, const char *name, const char *text)
{
    if (op)
        op->attributes[op->attribute_count++] = (struct hr_program_attribute){
            .name = name, .kind = HR_ATTRIBUTE_TEXT, .text = text, .count = 1
        };
}

static void set_list(struct hr_program_op *op, const char *name, enum hr_attribute_kind kind,
                     size_t count, const double *numbers)
{
    if (!op)
        return;
    struct hr_program_attribute *to = &op->attributes[op->attribute_count++];
    *to = (struct hr_program_attribute){ .name = name, .kind = kind, .count = count };
    memcpy(to->number, numbers, count * sizeof *numbers);
}

static void set_two(struct hr_program_op *op, const char *name, enum hr_attribute_kind kind,
                    double a, double b)
{
    set_list(op, name, kind, 2, (const double[]){ a, b });
}

/* PIR: a list as a value of its own. */
static const char *add_list(struct writer *w, size_t count, const double *numbers)
{
    const struct value value = { new_name(w, "full_int_array"), { 1, { (int64_t)count } } };
    struct hr_program_op *op = add(w, "full_int_array");
    set_list(op, "value", HR_ATTRIBUTE_LONGS, count, numbers);
    give(op, "Out", &value);
    return value.name;
}

/* Of two numbers, made once. */
static const char *list_of(struct writer *w, int which, double a, double b)
{
    if (!w->lists[which])
        w->lists[which] = add_list(w, 2, (const double[]){ a, b });
    return w->lists[which];
}

/* ---- Parameters ---------------------------------------------------------------------------- */

static const char *add_param(struct writer *w, const struct hr_node *node, enum hr_role role,
                             const char *layer, size_t number, const char *ending)
{
    const struct hr_graph_param *from = &w->graph->params[node->param[role]];
    const char *name = hr_arena_printf(&w->program->arena, "%s_%zu.%s", layer, number, ending);
    const char *value = name;
    if (name && w->options->pir)
        value = hr_arena_printf(&w->program->arena, "%zu", ++w->counter);
    stick(w, name && value ? hr_program_add_param(w->program, name, value) : HR_E_MEMORY);
    if (w->status != HR_OK)
        return "";
    struct hr_program_param *param = &w->program->params[w->program->param_count - 1];
    param->source = hr_arena_printf(&w->program->arena, "%s", from->name);
    param->shape = from->shape;
    stick(w, param->source ? HR_OK : HR_E_MEMORY);
    return param->value;
}

/* ---- Our operators ------------------------------------------------------------------------- */

/* Our shape as the program's: the batch, and a plane whose size is free, are -1. */
static struct hr_shape shape_of(const struct writer *w, hr_value x)
{
    struct hr_shape shape = w->graph->values[x].shape;
    shape.dim[0] = w->options->batch < 1 ? -1 : w->options->batch;
    for (int d = 2; d < shape.rank && w->options->height < 1; d++)
        shape.dim[d] = -1;
    return shape;
}

static struct value *define(struct writer *w, const struct hr_node *node, const char *type)
{
    struct value *y = &w->values[node->out];
    y->shape = shape_of(w, node->out);
    y->name = new_name(w, type);
    return y;
}

static void binary(struct writer *w, const char *type, const char *x, const char *y,
                   const struct value *out, int axis)
{
    struct hr_program_op *op = add(w, type);
    take(op, "X", x);
    take(op, "Y", y);
    give(op, "Out", out);
    set(op, "axis", HR_ATTRIBUTE_INT, axis);
}

/* bias [k] as [1,k,1,1]: PIR's additions have no axis. */
static const char *spread(struct writer *w, const char *bias, int64_t k)
{
    const char *list = add_list(w, 4, (const double[]){ 1, (double)k, 1, 1 });
    const struct value y = { new_name(w, "reshape2"), { 4, { 1, k, 1, 1 } } };
    struct hr_program_op *op = add(w, "reshape2");
    take(op, "X", bias);
    take(op, "Shape", list);
    give(op, "Out", &y);
    return y.name;
}

static void emit_conv(struct writer *w, const struct hr_node *node)
{
    const struct hr_attr *attr = &node->attr;
    const size_t number = w->convs++;
    const bool biased = node->param[HR_ROLE_BIAS] != HR_NONE;
    const char *filter = add_param(w, node, HR_ROLE_WEIGHT, "conv2d", number, "w_0");
    const char *bias = biased ? add_param(w, node, HR_ROLE_BIAS, "conv2d", number, "b_0") : NULL;
    const struct value product = *define(w, node, "conv2d");
    struct hr_program_op *op = add(w, "conv2d");
    take(op, "Input", w->values[node->in[0]].name);
    take(op, "Filter", filter);
    give(op, "Output", &product);
    set_two(op, "strides", HR_ATTRIBUTE_INTS, attr->stride, attr->stride);
    set_two(op, "paddings", HR_ATTRIBUTE_INTS, attr->pad, attr->pad);
    set_text(op, "padding_algorithm", "EXPLICIT");
    set_two(op, "dilations", HR_ATTRIBUTE_INTS, 1, 1);
    set(op, "groups", HR_ATTRIBUTE_INT, 1);
    set_text(op, "data_format", "NCHW");
    if (!biased)
        return;
    if (w->options->pir)
        bias = spread(w, bias, attr->channels);
    binary(w, "elementwise_add", product.name, bias, define(w, node, "elementwise_add"),
           w->options->pir ? -1 : 1);
}

static void emit_norm(struct writer *w, const struct hr_node *node)
{
    const size_t number = w->norms++;
    const char *scale = add_param(w, node, HR_ROLE_GAMMA, "batch_norm", number, "w_0");
    const char *bias = add_param(w, node, HR_ROLE_BETA, "batch_norm", number, "b_0");
    const char *mean = add_param(w, node, HR_ROLE_MEAN, "batch_norm", number, "w_1");
    const char *variance = add_param(w, node, HR_ROLE_VARIANCE, "batch_norm", number, "w_2");
    const struct value *y = define(w, node, "batch_norm");
    struct value more[4] = { { mean, { 1, { y->shape.dim[1] } } },
                             { variance, { 1, { y->shape.dim[1] } } } };
    for (int i = 0; i < 4; i++) {
        more[i].shape = (struct hr_shape){ 1, { y->shape.dim[1] } };
        if (w->options->pir || i >= 2)
            more[i].name = new_name(w, i == 2 ? "saved_mean" : "saved_variance");
    }
    struct hr_program_op *op = add(w, "batch_norm");
    take(op, "X", w->values[node->in[0]].name);
    take(op, "Mean", mean);
    take(op, "Variance", variance);
    take(op, "Scale", scale);
    take(op, "Bias", bias);
    give(op, "Y", y);
    give(op, "MeanOut", &more[0]);
    give(op, "VarianceOut", &more[1]);
    give(op, "SavedMean", &more[2]);
    give(op, "SavedVariance", &more[3]);
    set(op, "is_test", HR_ATTRIBUTE_BOOL, 1);
    set(op, "momentum", HR_ATTRIBUTE_FLOAT, (double)0.9f);
    set(op, "epsilon", HR_ATTRIBUTE_FLOAT, (double)node->attr.epsilon);
    set_text(op, "data_layout", "NCHW");
    set(op, "use_global_stats", HR_ATTRIBUTE_BOOL, 0);
    set(op, "trainable_statistics", HR_ATTRIBUTE_BOOL, 0);
    w->counter += w->options->pir; /* and the sixth result, that nobody reads */
}

static void same_form(struct writer *w, const struct hr_node *node, const char *type)
{
    struct value *y = define(w, node, type);
    y->shape = w->values[node->in[0]].shape;
    struct hr_program_op *op = add(w, type);
    take(op, "X", w->values[node->in[0]].name);
    give(op, "Out", y);
}

static void emit_relu(struct writer *w, const struct hr_node *node)
{
    same_form(w, node, "relu");
}

static void emit_sigmoid(struct writer *w, const struct hr_node *node)
{
    same_form(w, node, "sigmoid");
}

static void emit_add(struct writer *w, const struct hr_node *node)
{
    const char *x = w->values[node->in[0]].name, *y = w->values[node->in[1]].name;
    binary(w, "elementwise_add", x, y, define(w, node, "elementwise_add"), -1);
}

static void emit_upsample(struct writer *w, const struct hr_node *node)
{
    const struct value *y = define(w, node, "nearest_interp_v2");
    struct hr_program_op *op = add(w, "nearest_interp_v2");
    take(op, "X", w->values[node->in[0]].name);
    give(op, "Out", y);
    set_text(op, "data_layout", "NCHW");
    set(op, "out_d", HR_ATTRIBUTE_INT, -1);
    set(op, "out_h", HR_ATTRIBUTE_INT, -1);
    set(op, "out_w", HR_ATTRIBUTE_INT, -1);
    set_two(op, "scale", HR_ATTRIBUTE_FLOATS, node->attr.factor, node->attr.factor);
    set_text(op, "interp_method", "nearest");
    set(op, "align_corners", HR_ATTRIBUTE_BOOL, 0);
    set(op, "align_mode", HR_ATTRIBUTE_INT, 0);
}

static void emit_pool(struct writer *w, const struct hr_node *node)
{
    const char *size = w->options->pir ? list_of(w, 0, 1, 1) : NULL;
    struct value *y = define(w, node, "pool2d");
    y->shape = (struct hr_shape){ 4, { y->shape.dim[0], y->shape.dim[1], 1, 1 } };
    struct hr_program_op *op = add(w, "pool2d");
    take(op, "X", w->values[node->in[0]].name);
    if (size)
        take(op, "Size", size);
    give(op, "Out", y);
    set_two(op, "ksize", HR_ATTRIBUTE_INTS, 1, 1);
    set_two(op, "strides", HR_ATTRIBUTE_INTS, 1, 1);
    set_two(op, "paddings", HR_ATTRIBUTE_INTS, 0, 0);
    set(op, "ceil_mode", HR_ATTRIBUTE_BOOL, 0);
    set(op, "exclusive", HR_ATTRIBUTE_BOOL, 1);
    set_text(op, "data_format", "NCHW");
    set_text(op, "pooling_type", "avg");
    set(op, "global_pooling", HR_ATTRIBUTE_BOOL, 0);
    set(op, "adaptive", HR_ATTRIBUTE_BOOL, 1);
    set_text(op, "padding_algorithm", "EXPLICIT");
}

/* [n,c,1,1] as [n,c]. */
static const char *flattened(struct writer *w, hr_value x)
{
    const struct value *in = &w->values[x];
    if (in->shape.rank == 2)
        return in->name;
    const struct value y = { new_name(w, "flatten"),
                             { 2, { in->shape.dim[0], in->shape.dim[1] } } };
    struct hr_program_op *op = add(w, "flatten_contiguous_range");
    take(op, "X", in->name);
    give(op, "Out", &y);
    set(op, "start_axis", HR_ATTRIBUTE_INT, 1);
    set(op, "stop_axis", HR_ATTRIBUTE_INT, 3);
    return y.name;
}

static void emit_linear(struct writer *w, const struct hr_node *node)
{
    const size_t number = w->linears++;
    const char *weight = add_param(w, node, HR_ROLE_WEIGHT, "linear", number, "w_0");
    const char *bias = add_param(w, node, HR_ROLE_BIAS, "linear", number, "b_0");
    const char *x = flattened(w, node->in[0]);
    const struct value product = { new_name(w, "matmul_v2"), shape_of(w, node->out) };
    struct hr_program_op *op = add(w, "matmul_v2");
    take(op, "X", x);
    take(op, "Y", weight);
    give(op, "Out", &product);
    set(op, "trans_x", HR_ATTRIBUTE_BOOL, 0);
    set(op, "trans_y", HR_ATTRIBUTE_BOOL, 0);
    binary(w, "elementwise_add", product.name, bias, define(w, node, "elementwise_add"), -1);
}

/* [n,c,h,w] times [n,c], seen as [n,c,1,1]. */
static void emit_scale(struct writer *w, const struct hr_node *node)
{
    const struct value *s = &w->values[node->in[1]];
    struct value pixel = *s;
    if (s->shape.rank == 2) {
        const char *axes = w->options->pir ? list_of(w, 1, 2, 3) : NULL;
        pixel.name = new_name(w, "unsqueeze2");
        pixel.shape = (struct hr_shape){ 4, { s->shape.dim[0], s->shape.dim[1], 1, 1 } };
        struct hr_program_op *op = add(w, "unsqueeze2");
        take(op, "X", s->name);
        if (axes)
            take(op, "Axes", axes);
        give(op, "Out", &pixel);
        set_two(op, "axes", HR_ATTRIBUTE_INTS, 2, 3);
    }
    const char *x = w->values[node->in[0]].name;
    binary(w, "elementwise_mul", x, pixel.name, define(w, node, "elementwise_mul"), -1);
}

typedef void emit_fn(struct writer *w, const struct hr_node *node);
static emit_fn *const emit_of[HR_OP_COUNT] = {
    [HR_OP_CONV] = emit_conv,         [HR_OP_BATCH_NORM] = emit_norm,
    [HR_OP_RELU] = emit_relu,         [HR_OP_ADD] = emit_add,
    [HR_OP_UPSAMPLE] = emit_upsample, [HR_OP_SUM] = NULL, /* made by rewrites, of operators above */
    [HR_OP_GLOBAL_POOL] = emit_pool,  [HR_OP_LINEAR] = emit_linear,
    [HR_OP_SIGMOID] = emit_sigmoid,   [HR_OP_SCALE] = emit_scale,
};

/* ---- The program --------------------------------------------------------------------------- */

static void emit_feed(struct writer *w)
{
    struct value *x = &w->values[w->graph->input];
    x->shape = shape_of(w, w->graph->input);
    x->name = w->options->pir ? new_name(w, "x") : "x";
    memcpy(w->program->input, x->shape.dim, sizeof w->program->input);
    struct hr_program_op *op = add(w, "feed");
    give(op, "Out", x);
    set(op, "col", HR_ATTRIBUTE_INT, 0);
}

static void emit_result(struct writer *w)
{
    struct value y = w->values[w->graph->output];
    if (w->options->result != HR_RESULT_LOGITS) {
        const bool softmax = w->options->result == HR_RESULT_SOFTMAX;
        const char *x = y.name;
        y.name = new_name(w, softmax ? "softmax" : "sigmoid");
        struct hr_program_op *op = add(w, softmax ? "softmax" : "sigmoid");
        take(op, "X", x);
        give(op, "Out", &y);
        if (softmax)
            set(op, "axis", HR_ATTRIBUTE_INT, -1);
    }
    const char *fetched = y.name;
    if (w->options->pir)
        y.name = new_name(w, "fetch");
    struct hr_program_op *op = add(w, "fetch");
    take(op, "X", fetched);
    give(op, "Out", &y);
    set_text(op, "name", "fetch_name_0");
    set(op, "col", HR_ATTRIBUTE_INT, 0);
}

static enum hr_status emit_all(struct writer *w)
{
    emit_feed(w);
    for (size_t i = 0; i < w->graph->node_count && w->status == HR_OK; i++) {
        const struct hr_node *node = &w->graph->nodes[i];
        if (!emit_of[node->op])
            return hr_fail(HR_E_INTERNAL, "%s: %s is not written", node->name,
                           hr_op_name(node->op));
        emit_of[node->op](w, node);
    }
    emit_result(w);
    hr_program_sort_params(w->program);
    return w->status;
}

enum hr_status hr_program_of(struct hr_program *program, const struct hr_model *model,
                             const struct hr_program_options *options)
{
    struct writer w = { .program = program, .options = options };
    struct hr_graph *graph = NULL;
    HR_TRY(hr_model_graph(model, 1, options->height > 0 ? options->height : PROBE,
                          options->width > 0 ? options->width : PROBE, &graph));
    w.graph = graph;
    if (options->fold)
        w.status = hr_exchange_fold(&program->folded, graph, hr_model_weights(model));
    w.values = hr_mem_alloc(graph->value_count, sizeof *w.values);
    if (!w.values)
        stick(&w, HR_E_MEMORY);
    const enum hr_status status = w.status == HR_OK ? emit_all(&w) : w.status;
    hr_mem_free(w.values);
    hr_graph_destroy(graph);
    return status;
}

enum hr_status hr_program_write_params(const struct hr_program *program,
                                       const struct hr_store *weights, FILE *file)
{
    if (program->folded)
        weights = program->folded;
    for (size_t i = 0; i < program->param_count; i++) {
        const struct hr_tensor *from = hr_store_find(weights, program->params[i].source);
        struct hr_tensor t = { .dtype = HR_DTYPE_F32 };
        const float *values;
        float *made;
        if (!from)
            return hr_fail(HR_E_INTERNAL, "the weights have no %s", program->params[i].source);
        HR_TRY(hr_tensor_floats(&values, &made, from));
        t.shape = from->shape;
        t.data = values;
        hr_tensor_set_contiguous(&t);
        const enum hr_status status = hr_lod_write(&t, file);
        hr_mem_free(made);
        HR_TRY(status);
    }
    return HR_OK;
}
