/* SPDX-License-Identifier: Apache-2.0
 * Graphs to ONNX: one row an operator.  Attributes are spelled out and shapes never computed by
 * nodes, because importers differ in what they take for granted.  Pooled values stay [n,c,1,1],
 * where a linear layer is a 1x1 convolution; only the classifier gets a Flatten.
 * Source: ONNX operator specifications, opset 11 to 21. */
#include "exchange/onnx_write.h"

#include <stdarg.h>
#include <string.h>

#include "base/float16.h"
#include "base/mem.h"
#include "exchange/folded.h"
#include "hrnet/hrnet.h"
#include "wire/message.h"
#include "wire/onnx.pb-c.h"

#define PROBE      32 /* px: a size for a graph whose size is free */
#define MOST_EXTRA 64 /* nodes and initializers that belong to no node of ours */
#define FLOAT      1  /* TensorProto.DataType */
#define UINT8      2
#define FLOAT16    10

struct writer {
    struct hr_arena arena; /* owns all that the message points to */
    enum hr_status status; /* the first failure sticks */
    const struct hr_graph *graph;
    const struct hr_store *weights;
    const struct hr_onnx_options *options;
    Hr__OnnxGraph message;
    size_t node_room, initializer_room;
    char **value; /* names by hr_value */
    bool has[16]; /* factors whose constant is written, by log2; [0]: the empty roi */
};

/* ---- Pieces of the message ----------------------------------------------------------------- */

static void stick(struct writer *w, enum hr_status status)
{
    if (w->status == HR_OK)
        w->status = status;
}

static void *take(struct writer *w, size_t count, size_t bytes)
{
    void *block = w->status == HR_OK ? hr_arena_alloc(&w->arena, count, bytes) : NULL;
    if (!block)
        stick(w, HR_E_MEMORY);
    return block;
}

HR_PRINTF(2, 3) static char *text(struct writer *w, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    char *copy = w->status == HR_OK ? hr_arena_printf(&w->arena, "%s", line) : NULL;
    if (!copy)
        stick(w, HR_E_MEMORY);
    return copy;
}

/* A node with one output of the same name; inputs end with NULL. */
static Hr__OnnxNode *add_node(struct writer *w, const char *op, char *out, char *const *in,
                              size_t count)
{
    Hr__OnnxNode *n = take(w, 1, sizeof *n);
    char **names = take(w, count + 1, sizeof *names);
    if (w->message.n_node == w->node_room)
        stick(w, hr_fail(HR_E_INTERNAL, "more nodes than were planned"));
    if (!n || !names || w->status != HR_OK)
        return NULL;
    hr__onnx_node__init(n);
    memcpy(names, in, count * sizeof *names);
    names[count] = out;
    n->input = names;
    n->n_input = count;
    n->output = &names[count];
    n->n_output = 1;
    n->name = out;
    n->op_type = text(w, "%s", op);
    w->message.node[w->message.n_node++] = n;
    return n;
}

#define MOST_ATTRIBUTES 4

static Hr__OnnxAttribute *add_attribute(struct writer *w, Hr__OnnxNode *n, const char *name,
                                        int type)
{
    Hr__OnnxAttribute *a = take(w, 1, sizeof *a);
    if (!n || !a)
        return NULL;
    if (!n->attribute)
        n->attribute = take(w, MOST_ATTRIBUTES, sizeof *n->attribute);
    if (!n->attribute || n->n_attribute == MOST_ATTRIBUTES)
        return NULL;
    hr__onnx_attribute__init(a);
    a->name = text(w, "%s", name);
    a->has_type = 1;
    a->type = type;
    n->attribute[n->n_attribute++] = a;
    return a;
}

static void set_integer(struct writer *w, Hr__OnnxNode *n, const char *name, int64_t value)
{
    Hr__OnnxAttribute *a = add_attribute(w, n, name, 2);
    if (a) {
        a->has_i = 1;
        a->i = value;
    }
}

static void set_number(struct writer *w, Hr__OnnxNode *n, const char *name, float value)
{
    Hr__OnnxAttribute *a = add_attribute(w, n, name, 1);
    if (a) {
        a->has_f = 1;
        a->f = value;
    }
}

static void set_word(struct writer *w, Hr__OnnxNode *n, const char *name, const char *value)
{
    Hr__OnnxAttribute *a = add_attribute(w, n, name, 3);
    char *copy = text(w, "%s", value);
    if (a && copy) {
        a->has_s = 1;
        a->s = (ProtobufCBinaryData){ strlen(copy), (uint8_t *)copy };
    }
}

static void set_integers(struct writer *w, Hr__OnnxNode *n, const char *name, const int64_t *values,
                         size_t count)
{
    Hr__OnnxAttribute *a = add_attribute(w, n, name, 7);
    int64_t *copy = take(w, count, sizeof *copy);
    if (a && copy) {
        memcpy(copy, values, count * sizeof *copy);
        a->ints = copy;
        a->n_ints = count;
    }
}

/* data: little-endian bytes that live as long as the writer. */
static void add_initializer(struct writer *w, char *name, int type, const struct hr_shape *shape,
                            const void *data, size_t bytes)
{
    Hr__OnnxTensor *t = take(w, 1, sizeof *t);
    int64_t *dims = take(w, HR_MAX_RANK, sizeof *dims);
    if (w->message.n_initializer == w->initializer_room)
        stick(w, hr_fail(HR_E_INTERNAL, "more constants than were planned"));
    if (!t || !dims || w->status != HR_OK)
        return;
    hr__onnx_tensor__init(t);
    memcpy(dims, shape->dim, sizeof shape->dim);
    t->dims = dims;
    t->n_dims = (size_t)shape->rank;
    t->has_data_type = t->has_raw_data = 1;
    t->data_type = type;
    t->name = name;
    t->raw_data = (ProtobufCBinaryData){ bytes, (uint8_t *)(uintptr_t)data };
    w->message.initializer[w->message.n_initializer++] = t;
}

static void add_floats(struct writer *w, char *name, const struct hr_shape *shape,
                       const float *values)
{
    size_t count = 1;
    for (int d = 0; d < shape->rank; d++)
        count *= (size_t)shape->dim[d];
    add_initializer(w, name, FLOAT, shape, values, count * sizeof *values);
}

/* A large weight: as float16 with a Cast behind it if so asked.  Gives the name to read. */
static char *add_weight(struct writer *w, char *name, const struct hr_shape *shape,
                        const float *values)
{
    size_t count;
    stick(w, hr_shape_elements(shape, &count));
    if (w->status != HR_OK || !w->options->half) {
        if (w->status == HR_OK)
            add_floats(w, name, shape, values);
        return name;
    }
    uint16_t *half = take(w, count, sizeof *half);
    char *stored = text(w, "%s.half", name);
    for (size_t i = 0; half && i < count; i++)
        half[i] = hr_f32_to_f16(values[i]);
    add_initializer(w, stored, FLOAT16, shape, half, count * sizeof *half);
    set_integer(w, add_node(w, "Cast", name, &stored, 1), "to", FLOAT);
    return name;
}

/* ---- Weights ------------------------------------------------------------------------------- */

static const struct hr_graph_param *param_of(const struct writer *w, const struct hr_node *node,
                                             enum hr_role role)
{
    return node->param[role] == HR_NONE ? NULL : &w->graph->params[node->param[role]];
}

/* The parameter's values as floats, row-major, where they lie if they are so. */
static const float *values_of(struct writer *w, const struct hr_graph_param *param, bool turned)
{
    const struct hr_tensor *found = hr_store_find(w->weights, param->name);
    size_t count;
    if (!found) {
        stick(w, hr_fail(HR_E_INTERNAL, "the weights have no %s", param->name));
        return NULL;
    }
    struct hr_tensor t = *found;
    if (turned)
        hr_tensor_transpose(&t);
    if (hr_tensor_plain(&t))
        return hr_tensor_plain(&t);
    stick(w, hr_shape_elements(&t.shape, &count));
    float *values = w->status == HR_OK ? take(w, count, sizeof *values) : NULL;
    if (values)
        hr_tensor_to_f32(values, &t);
    return values;
}

static char *add_param(struct writer *w, const struct hr_node *node, enum hr_role role)
{
    const struct hr_graph_param *p = param_of(w, node, role);
    char *name = text(w, "%s", p->name);
    const float *values = values_of(w, p, false);
    if (role == HR_ROLE_WEIGHT)
        return add_weight(w, name, &p->shape, values);
    if (values)
        add_floats(w, name, &p->shape, values);
    return name;
}

/* ---- Operators ----------------------------------------------------------------------------- */

static char *in_name(const struct writer *w, const struct hr_node *node, int i)
{
    return w->value[node->in[i]];
}

static char *out_name(const struct writer *w, const struct hr_node *node)
{
    return w->value[node->out];
}

static void emit_conv(struct writer *w, const struct hr_node *node)
{
    const struct hr_attr *attr = &node->attr;
    char *in[3] = { in_name(w, node, 0), add_param(w, node, HR_ROLE_WEIGHT), NULL };
    size_t count = 2;
    if (node->param[HR_ROLE_BIAS] != HR_NONE)
        in[count++] = add_param(w, node, HR_ROLE_BIAS);
    Hr__OnnxNode *n = add_node(w, "Conv", out_name(w, node), in, count);
    set_integers(w, n, "kernel_shape", (int64_t[]){ attr->kernel, attr->kernel }, 2);
    set_integers(w, n, "strides", (int64_t[]){ attr->stride, attr->stride }, 2);
    set_integers(w, n, "pads", (int64_t[]){ attr->pad, attr->pad, attr->pad, attr->pad }, 4);
}

static void emit_norm(struct writer *w, const struct hr_node *node)
{
    char *in[5] = { in_name(w, node, 0) };
    for (int role = HR_ROLE_GAMMA; role < HR_ROLE_COUNT; role++)
        in[1 + role - HR_ROLE_GAMMA] = add_param(w, node, (enum hr_role)role);
    Hr__OnnxNode *n = add_node(w, "BatchNormalization", out_name(w, node), in, 5);
    set_number(w, n, "epsilon", node->attr.epsilon);
}

/* Pixel dst / factor, rounded down: said in full, since the defaults differ between opsets. */
static void emit_upsample(struct writer *w, const struct hr_node *node)
{
    const int factor = node->attr.factor;
    size_t log2 = 1;
    while (factor > 1 << log2)
        log2++;
    char *in[3] = { in_name(w, node, 0), text(w, "%s", ""), text(w, "upsample_%d", factor) };
    const bool needs_roi = w->options->opset < 13;
    if (needs_roi)
        in[1] = text(w, "roi");
    if (log2 >= HR_COUNT(w->has)) {
        stick(w, hr_fail(HR_E_UNSUPPORTED, "%s: upsampling by %d", node->name, factor));
        return;
    }
    if (!w->has[log2]) {
        float *scales = take(w, 4, sizeof *scales);
        if (scales) {
            memcpy(scales, (const float[]){ 1, 1, (float)factor, (float)factor },
                   4 * sizeof *scales);
            add_floats(w, in[2], &(struct hr_shape){ 1, { 4 } }, scales);
        }
        w->has[log2] = true;
    }
    if (needs_roi && !w->has[0]) {
        add_initializer(w, in[1], FLOAT, &(struct hr_shape){ 1, { 0 } }, "", 0);
        w->has[0] = true;
    }
    Hr__OnnxNode *n = add_node(w, "Resize", out_name(w, node), in, 3);
    set_word(w, n, "mode", "nearest");
    set_word(w, n, "coordinate_transformation_mode", "asymmetric");
    set_word(w, n, "nearest_mode", "floor");
}

/* The classifier is a product of [n,c]; other linear layers are 1x1 convolutions of [n,c,1,1]. */
static void emit_linear(struct writer *w, const struct hr_node *node)
{
    const struct hr_graph_param *p = param_of(w, node, HR_ROLE_WEIGHT);
    const bool last = node->out == w->graph->output;
    const struct hr_shape shape = { last ? 2 : 4, { p->shape.dim[1], p->shape.dim[0], 1, 1 } };
    const float *values = values_of(w, p, true);
    char *in[3] = { in_name(w, node, 0), text(w, "%s", p->name), NULL };
    if (last) {
        char *flat = text(w, "%s/flatten", node->name);
        set_integer(w, add_node(w, "Flatten", flat, in, 1), "axis", 1);
        in[0] = flat;
    }
    if (values)
        in[1] = add_weight(w, in[1], &shape, values);
    in[2] = add_param(w, node, HR_ROLE_BIAS);
    Hr__OnnxNode *n = add_node(w, last ? "Gemm" : "Conv", out_name(w, node), in, 3);
    if (last)
        set_integer(w, n, "transB", 1);
    else
        set_integers(w, n, "kernel_shape", (int64_t[]){ 1, 1 }, 2);
}

/* An operator has a function, or is said by its type and its inputs. */
static const struct row {
    void (*emit)(struct writer *w, const struct hr_node *node);
    const char *type;
} rows[HR_OP_COUNT] = {
    [HR_OP_CONV] = { .emit = emit_conv },
    [HR_OP_BATCH_NORM] = { .emit = emit_norm },
    [HR_OP_RELU] = { .type = "Relu" },
    [HR_OP_ADD] = { .type = "Add" },
    [HR_OP_UPSAMPLE] = { .emit = emit_upsample },
    [HR_OP_SUM] = { 0 }, /* made by rewrites, of operators above */
    [HR_OP_GLOBAL_POOL] = { .type = "GlobalAveragePool" },
    [HR_OP_LINEAR] = { .emit = emit_linear },
    [HR_OP_SIGMOID] = { .type = "Sigmoid" },
    [HR_OP_SCALE] = { .type = "Mul" }, /* [n,c,h,w] * [n,c,1,1] */
};

bool hr_onnx_can_write(enum hr_op op)
{
    return rows[op].emit || rows[op].type;
}

static void emit(struct writer *w, const struct hr_node *node)
{
    const struct row *row = &rows[node->op];
    char *in[HR_MAX_INPUTS];
    for (int i = 0; i < node->input_count; i++)
        in[i] = in_name(w, node, i);
    if (row->emit)
        row->emit(w, node);
    else if (row->type)
        (void)add_node(w, row->type, out_name(w, node), in, (size_t)node->input_count);
    else
        stick(w, hr_fail(HR_E_INTERNAL, "%s: %s is not written", node->name, hr_op_name(node->op)));
}

/* ---- The graph ----------------------------------------------------------------------------- */

static Hr__OnnxValue *value_info(struct writer *w, char *name, int type, const int64_t *dims,
                                 char *const *params, size_t rank)
{
    struct all {
        Hr__OnnxValue value;
        Hr__OnnxType type;
        Hr__OnnxTensorType tensor;
        Hr__OnnxShape shape;
        Hr__OnnxDimension dim[4], *list[4];
    } *all = take(w, 1, sizeof *all);
    if (!all)
        return NULL;
    hr__onnx_value__init(&all->value);
    hr__onnx_type__init(&all->type);
    hr__onnx_tensor_type__init(&all->tensor);
    hr__onnx_shape__init(&all->shape);
    all->value.name = name;
    all->value.type = &all->type;
    all->type.tensor_type = &all->tensor;
    all->tensor.has_elem_type = 1;
    all->tensor.elem_type = type;
    all->tensor.shape = &all->shape;
    all->shape.n_dim = rank;
    all->shape.dim = all->list;
    for (size_t d = 0; d < rank; d++) {
        hr__onnx_dimension__init(&all->dim[d]);
        all->list[d] = &all->dim[d];
        all->dim[d].has_dim_value = dims[d] != 0;
        all->dim[d].dim_value = dims[d];
        all->dim[d].dim_param = dims[d] ? NULL : params[d];
    }
    return &all->value;
}

static void add_input(struct writer *w)
{
    const struct hr_onnx_options *o = w->options;
    char *n = text(w, "N"), *h = text(w, "H"), *c = text(w, "C"), *width = text(w, "W");
    const int64_t planar[] = { o->batch, 3, o->height, o->width };
    const int64_t packed[] = { o->batch, o->height, o->width, 3 };
    char *const planar_names[] = { n, c, h, width }, *const packed_names[] = { n, h, width, c };
    Hr__OnnxValue **list = take(w, 1, sizeof *list);
    char *name = text(w, o->preprocess ? "picture" : "x");
    if (!list)
        return;
    list[0] = o->preprocess ? value_info(w, name, UINT8, packed, packed_names, 4)
                            : value_info(w, name, FLOAT, planar, planar_names, 4);
    w->message.input = list;
    w->message.n_input = 1;
    w->value[w->graph->input] = name;
}

static char *normalise(struct writer *w, const char *op, char *x, const char *what,
                       const float *values, int rank)
{
    const struct hr_shape shape = { rank, { 1, 3, 1, 1 } };
    float *copy = take(w, 3, sizeof *copy);
    char *in[2] = { x, text(w, "recipe.%s", what) };
    char *out = text(w, "recipe/%s", what);
    if (copy) {
        memcpy(copy, values, (rank ? 3 : 1) * sizeof *copy);
        add_floats(w, in[1], &shape, copy);
    }
    (void)add_node(w, op, out, in, 2);
    return out;
}

/* uint8 [n,h,w,3] to what the recipe makes of it, in its own order of steps. */
static void add_preprocessing(struct writer *w, const struct hr_recipe *recipe)
{
    char *x = w->value[w->graph->input], *number = text(w, "recipe/float");
    char *planes = text(w, "recipe/planes");
    set_integer(w, add_node(w, "Cast", number, &x, 1), "to", FLOAT);
    set_integers(w, add_node(w, "Transpose", planes, &number, 1), "perm", (int64_t[]){ 0, 3, 1, 2 },
                 4);
    x = normalise(w, "Mul", planes, "scale", &recipe->scale, 0);
    x = normalise(w, "Sub", x, "mean", recipe->mean, 4);
    w->value[w->graph->input] = normalise(w, "Div", x, "deviation", recipe->deviation, 4);
}

static void add_output(struct writer *w)
{
    const enum hr_result result = w->options->result;
    const int64_t dims[] = { w->options->batch, w->graph->values[w->graph->output].shape.dim[1] };
    char *const names[] = { text(w, "N"), NULL };
    char *logits = w->value[w->graph->output], *name = logits;
    Hr__OnnxValue **list = take(w, 1, sizeof *list);
    if (result != HR_RESULT_LOGITS) {
        name = text(w, "probabilities");
        Hr__OnnxNode *n =
            add_node(w, result == HR_RESULT_SOFTMAX ? "Softmax" : "Sigmoid", name, &logits, 1);
        if (result == HR_RESULT_SOFTMAX)
            set_integer(w, n, "axis", 1);
    }
    if (!list)
        return;
    list[0] = value_info(w, name, FLOAT, dims, names, 2);
    w->message.output = list;
    w->message.n_output = 1;
}

/* "layer1.0.conv1/batch_norm", with a number where a layer does the same twice. */
static void name_values(struct writer *w)
{
    const struct hr_graph *g = w->graph;
    w->value = take(w, g->value_count, sizeof *w->value);
    for (size_t i = 0; i < g->node_count && w->status == HR_OK; i++) {
        const struct hr_node *node = &g->nodes[i];
        int same = 0;
        for (size_t j = 0; j < i; j++)
            same += g->nodes[j].op == node->op && strcmp(g->nodes[j].name, node->name) == 0;
        w->value[node->out] = same ? text(w, "%s/%s.%d", node->name, hr_op_name(node->op), same)
                                   : text(w, "%s/%s", node->name, hr_op_name(node->op));
    }
    if (w->status == HR_OK)
        w->value[g->output] = text(w, "logits");
}

static void add_graph(struct writer *w, const struct hr_recipe *recipe)
{
    hr__onnx_graph__init(&w->message);
    w->node_room = w->graph->node_count * 3 + MOST_EXTRA;
    w->initializer_room = w->graph->param_count + w->graph->node_count + MOST_EXTRA;
    w->message.node = take(w, w->node_room, sizeof *w->message.node);
    w->message.initializer = take(w, w->initializer_room, sizeof *w->message.initializer);
    name_values(w);
    if (w->status != HR_OK)
        return;
    add_input(w);
    if (w->options->preprocess)
        add_preprocessing(w, recipe);
    for (size_t i = 0; i < w->graph->node_count && w->status == HR_OK; i++)
        emit(w, &w->graph->nodes[i]);
    add_output(w);
}

/* ---- The file ------------------------------------------------------------------------------ */

/* IR versions that came with the opsets (ONNX, docs/Versioning.md). */
static int ir_version(int opset)
{
    return opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 15 ? 8 : opset >= 12 ? 7 : 6;
}

static void add_metadata(struct writer *w, Hr__OnnxModel *model, const struct hr_store *meta)
{
    const size_t count = hr_store_meta_count(meta);
    model->metadata_props = take(w, count, sizeof *model->metadata_props);
    for (size_t i = 0; i < count && w->status == HR_OK; i++) {
        Hr__OnnxEntry *e = take(w, 1, sizeof *e);
        if (!e)
            return;
        hr__onnx_entry__init(e);
        /* Borrowed from the store: a list of labels is long. */
        e->key = (char *)(uintptr_t)hr_store_meta_key(meta, i);
        e->value = (char *)(uintptr_t)hr_store_meta(meta, e->key);
        model->metadata_props[model->n_metadata_props++] = e;
    }
}

static void write_message(struct writer *w, const struct hr_model *model,
                          const struct hr_store *meta, FILE *file, const char *name)
{
    Hr__OnnxModel message = HR__ONNX_MODEL__INIT;
    Hr__OnnxOpset opset = HR__ONNX_OPSET__INIT, *opsets[] = { &opset };
    add_graph(w, hr_model_recipe(model));
    add_metadata(w, &message, meta);
    message.has_ir_version = opset.has_version = 1;
    message.ir_version = ir_version(w->options->opset);
    opset.domain = text(w, "%s", "");
    opset.version = w->options->opset;
    message.n_opset_import = 1;
    message.opset_import = opsets;
    message.producer_name = text(w, "hrnet");
    message.producer_version =
        text(w, "%d.%d.%d", HRNET_VERSION_MAJOR, HRNET_VERSION_MINOR, HRNET_VERSION_PATCH);
    message.graph = &w->message;
    w->message.name = text(w, "%s", hr_model_architecture(model));
    if (w->status == HR_OK)
        w->status = hr_message_write(&message.base, file, name);
}

static enum hr_status check_options(const struct hr_onnx_options *o)
{
    if (o->opset < HR_ONNX_OPSET_LEAST || o->opset > HR_ONNX_OPSET_MOST)
        return hr_fail(HR_E_ARGUMENT, "opset %d is not written: %d to %d are", o->opset,
                       HR_ONNX_OPSET_LEAST, HR_ONNX_OPSET_MOST);
    if ((o->height == 0) != (o->width == 0) || o->height < 0 || o->width < 0 || o->batch < 0)
        return hr_fail(HR_E_ARGUMENT,
                       "input size %lldx%lld, batch %lld: sizes above 0 are wanted, "
                       "or 0 for free ones",
                       (long long)o->height, (long long)o->width, (long long)o->batch);
    return HR_OK;
}

enum hr_status hr_onnx_write(const struct hr_model *model, const struct hr_onnx_options *options,
                             FILE *file, const char *name)
{
    struct writer w = { .weights = hr_model_weights(model), .options = options };
    struct hr_graph *graph = NULL;
    struct hr_store *meta = NULL, *folded = NULL;
    HR_TRY(check_options(options));
    w.status = hr_store_create(&meta);
    if (w.status == HR_OK)
        w.status = hr_model_metadata(model, meta);
    if (w.status == HR_OK)
        w.status = hr_model_graph(model, 1, options->height ? options->height : PROBE,
                                  options->width ? options->width : PROBE, &graph);
    if (w.status == HR_OK && options->fold) {
        w.status = hr_exchange_fold(&folded, graph, w.weights);
        w.weights = folded;
    }
    if (w.status == HR_OK) {
        w.graph = graph;
        write_message(&w, model, meta, file, name);
    }
    hr_graph_destroy(graph);
    hr_store_destroy(meta);
    hr_store_destroy(folded);
    hr_arena_fini(&w.arena);
    return w.status;
}
