/* SPDX-License-Identifier: Apache-2.0
 * Graphs: the builder, the check, the printed form.  The one idea: the first error sticks to the
 * builder, so that the definition of a network can be prose.  Knows nothing of weights or kernels.
 */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void hr_graph_destroy(struct hr_graph *graph)
{
    if (graph) {
        hr_arena_fini(&graph->arena);
        hr_mem_free(graph->values);
        hr_mem_free(graph->nodes);
        hr_mem_free(graph->params);
        hr_mem_free(graph);
    }
}

enum hr_status hr_builder_start(struct hr_builder *b)
{
    *b = (struct hr_builder){ .graph = hr_mem_alloc(1, sizeof *b->graph) };
    if (!b->graph) {
        return b->status = HR_E_MEMORY;
    }
    b->graph->input = b->graph->output = HR_NONE;
    return HR_OK;
}

static bool failed(const struct hr_builder *b)
{
    return b->status != HR_OK;
}

/* Makes the first error stick, naming the layer. */
static void stick(struct hr_builder *b, enum hr_status status)
{
    if (!failed(b) && status != HR_OK) {
        b->status = b->name[0] ? hr_fail_context(status, "layer %s", b->name) : status;
    }
}

/* A value that a caller hands in must be one of this graph's. */
static bool known(struct hr_builder *b, hr_value x)
{
    if (failed(b)) {
        return false;
    }
    if (x < 0 || (size_t)x >= b->graph->value_count) {
        stick(b, hr_fail(HR_E_INTERNAL, "value %d is not in the graph", x));
        return false;
    }
    return true;
}

static hr_value add_value(struct hr_builder *b, const struct hr_shape *shape, int32_t producer)
{
    struct hr_graph *g = b->graph;
    void *block = g->values;
    stick(b, hr_mem_grow(&block, &g->value_capacity, g->value_count + 1, sizeof *g->values));
    g->values = block;
    if (failed(b)) {
        return HR_NONE;
    }
    g->values[g->value_count] = (struct hr_graph_value){ .shape = *shape, .producer = producer };
    return (hr_value)g->value_count++;
}

static struct hr_node *add_node(struct hr_builder *b, enum hr_op op)
{
    struct hr_graph *g = b->graph;
    void *block = g->nodes;
    stick(b, hr_mem_grow(&block, &g->node_capacity, g->node_count + 1, sizeof *g->nodes));
    g->nodes = block;
    const char *name = failed(b) ? NULL : hr_arena_printf(&g->arena, "%s", b->name);
    if (!name) {
        stick(b, HR_E_MEMORY);
        return NULL;
    }
    struct hr_node *node = &g->nodes[g->node_count++];
    *node = (struct hr_node){ .op = op, .name = name, .out = HR_NONE };
    for (int role = 0; role < HR_ROLE_COUNT; role++) {
        node->param[role] = HR_NONE;
    }
    return node;
}

/* Appends a node over in[count] and returns its result. */
static hr_value append(struct hr_builder *b, enum hr_op op, const struct hr_attr *attr,
                       const hr_value *in, int count)
{
    const struct hr_shape *shapes[HR_MAX_INPUTS];
    for (int i = 0; i < count; i++) {
        if (!known(b, in[i])) {
            return HR_NONE;
        }
        shapes[i] = &b->graph->values[in[i]].shape;
    }
    struct hr_shape shape = { 0 };
    stick(b, hr_op_infer(&shape, op, attr, shapes, count));
    if (failed(b)) {
        return HR_NONE;
    }
    struct hr_node *node = add_node(b, op);
    const hr_value out = node ? add_value(b, &shape, (int32_t)b->graph->node_count - 1) : HR_NONE;
    if (out != HR_NONE) {
        node->attr = *attr;
        memcpy(node->in, in, (size_t)count * sizeof *in);
        node->input_count = count;
        node->out = out;
    }
    return out;
}

/* Gives the newest node its parameter `role`, named LAYER.part and suffix. */
static void own(struct hr_builder *b, enum hr_role role, const char *part, const char *suffix)
{
    if (failed(b)) {
        return;
    }
    struct hr_graph *g = b->graph;
    struct hr_node *node = &g->nodes[g->node_count - 1];
    void *block = g->params;
    stick(b, hr_mem_grow(&block, &g->param_capacity, g->param_count + 1, sizeof *g->params));
    g->params = block;
    const char *name =
        failed(b) ? NULL : hr_arena_printf(&g->arena, "%s.%s%s", b->name, part, suffix);
    if (!name) {
        stick(b, HR_E_MEMORY);
        return;
    }
    struct hr_graph_param *param = &g->params[g->param_count];
    param->name = name;
    if (!hr_op_param_shape(&param->shape, node->op, &node->attr, &g->values[node->in[0]].shape,
                           role)) {
        stick(b, hr_fail(HR_E_INTERNAL, "%s has no %s", hr_op_name(node->op), hr_role_name(role)));
        return;
    }
    node->param[role] = (hr_param)g->param_count++;
}

hr_value hr_input(struct hr_builder *b, int64_t n, int64_t c, int64_t h, int64_t w)
{
    if (failed(b)) {
        return HR_NONE;
    }
    const struct hr_shape shape = { .rank = 4, .dim = { n, c, h, w } };
    const struct hr_shape *const in = &shape;
    struct hr_shape same;
    stick(b, hr_op_infer(&same, HR_OP_RELU, &(struct hr_attr){ 0 }, &in, 1));
    if (b->graph->input != HR_NONE) {
        stick(b, hr_fail(HR_E_INTERNAL, "a second input %s", hr_shape_str(&shape).s));
    }
    if (failed(b)) {
        return HR_NONE;
    }
    return b->graph->input = add_value(b, &shape, HR_NONE);
}

void hr_layer(struct hr_builder *b, const char *format, ...)
{
    if (failed(b)) {
        return;
    }
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(b->name, sizeof b->name, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof b->name) {
        stick(b,
              hr_fail(HR_E_INTERNAL, "a layer name has more than %zu bytes", sizeof b->name - 1));
    }
}

static hr_value add_conv(struct hr_builder *b, hr_value x, const struct hr_attr *attr, bool bias,
                         const char *part)
{
    const hr_value y = append(b, HR_OP_CONV, attr, &x, 1);
    own(b, HR_ROLE_WEIGHT, part, "weight");
    if (bias) {
        own(b, HR_ROLE_BIAS, part, "bias");
    }
    return failed(b) ? HR_NONE : y;
}

static hr_value add_norm(struct hr_builder *b, hr_value x, float epsilon, const char *part)
{
    const hr_value y = append(b, HR_OP_BATCH_NORM, &(struct hr_attr){ .epsilon = epsilon }, &x, 1);
    own(b, HR_ROLE_GAMMA, part, "weight");
    own(b, HR_ROLE_BETA, part, "bias");
    own(b, HR_ROLE_MEAN, part, "_mean");
    own(b, HR_ROLE_VARIANCE, part, "_variance");
    return failed(b) ? HR_NONE : y;
}

hr_value hr_conv_bn(struct hr_builder *b, hr_value x, int kernel, int stride, int channels)
{
    const struct hr_attr attr = {
        .kernel = kernel, .stride = stride, .pad = (kernel - 1) / 2, .channels = channels
    };
    return add_norm(b, add_conv(b, x, &attr, false, "conv."), 1e-5f, "bn.");
}

hr_value hr_conv(struct hr_builder *b, hr_value x, const struct hr_attr *attr, bool bias)
{
    return add_conv(b, x, attr, bias, "");
}

hr_value hr_batch_norm(struct hr_builder *b, hr_value x, float epsilon)
{
    return add_norm(b, x, epsilon, "");
}

hr_value hr_relu(struct hr_builder *b, hr_value x)
{
    return append(b, HR_OP_RELU, &(struct hr_attr){ 0 }, &x, 1);
}

hr_value hr_add(struct hr_builder *b, hr_value x, hr_value y)
{
    return append(b, HR_OP_ADD, &(struct hr_attr){ 0 }, (const hr_value[]){ x, y }, 2);
}

hr_value hr_upsample(struct hr_builder *b, hr_value x, int factor)
{
    return append(b, HR_OP_UPSAMPLE, &(struct hr_attr){ .factor = factor }, &x, 1);
}

hr_value hr_global_pool(struct hr_builder *b, hr_value x)
{
    return append(b, HR_OP_GLOBAL_POOL, &(struct hr_attr){ 0 }, &x, 1);
}

hr_value hr_linear(struct hr_builder *b, hr_value x, int channels)
{
    const hr_value y = append(b, HR_OP_LINEAR, &(struct hr_attr){ .channels = channels }, &x, 1);
    own(b, HR_ROLE_WEIGHT, "", "weight");
    own(b, HR_ROLE_BIAS, "", "bias");
    return failed(b) ? HR_NONE : y;
}

hr_value hr_sigmoid(struct hr_builder *b, hr_value x)
{
    return append(b, HR_OP_SIGMOID, &(struct hr_attr){ 0 }, &x, 1);
}

hr_value hr_scale(struct hr_builder *b, hr_value x, hr_value scale)
{
    return append(b, HR_OP_SCALE, &(struct hr_attr){ 0 }, (const hr_value[]){ x, scale }, 2);
}

void hr_feature(struct hr_builder *b, hr_value x, const char *format, ...)
{
    if (!known(b, x)) {
        return;
    }
    char name[64];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const char *copy = hr_arena_printf(&b->graph->arena, "%s", name);
    if (!copy) {
        stick(b, HR_E_MEMORY);
    } else if (hr_graph_feature(b->graph, name) != HR_NONE || b->graph->values[x].feature) {
        stick(b, hr_fail(HR_E_INTERNAL, "feature %s is named twice", name));
    } else {
        b->graph->values[x].feature = copy;
    }
}

enum hr_status hr_builder_finish(struct hr_builder *b, hr_value output, struct hr_graph **out)
{
    if (known(b, output)) {
        b->graph->output = output;
        stick(b, hr_graph_check(b->graph));
    }
    const enum hr_status status = b->status;
    if (status == HR_OK) {
        *out = b->graph;
    } else {
        hr_graph_destroy(b->graph);
    }
    *b = (struct hr_builder){ .status = HR_E_INTERNAL }; /* a finished builder builds no more */
    return status;
}

hr_value hr_graph_feature(const struct hr_graph *graph, const char *name)
{
    for (size_t v = 0; v < graph->value_count; v++) {
        const char *feature = graph->values[v].feature;
        if (feature && strcmp(feature, name) == 0) {
            return (hr_value)v;
        }
    }
    return HR_NONE;
}

/* The shapes of a node's inputs, for the tables of op.c. */
static void gather_inputs(const struct hr_graph *graph, const struct hr_node *node,
                          const struct hr_shape *in[HR_MAX_INPUTS])
{
    for (int i = 0; i < node->input_count; i++) {
        in[i] = &graph->values[node->in[i]].shape;
    }
}

uint64_t hr_node_multiply_adds(const struct hr_graph *graph, const struct hr_node *node)
{
    const struct hr_shape *in[HR_MAX_INPUTS];
    gather_inputs(graph, node, in);
    return hr_op_multiply_adds(node->op, &node->attr, in, node->input_count,
                               &graph->values[node->out].shape);
}

uint64_t hr_graph_multiply_adds(const struct hr_graph *graph)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        sum += hr_node_multiply_adds(graph, &graph->nodes[i]);
    }
    return sum;
}

/* ---- Another size ---- */

/* Arrays of their own, names in an arena of their own. */
static enum hr_status copy_graph(struct hr_graph *to, const struct hr_graph *from)
{
    to->values = hr_mem_alloc(from->value_count, sizeof *to->values);
    to->nodes = hr_mem_alloc(from->node_count, sizeof *to->nodes);
    to->params = hr_mem_alloc(from->param_count, sizeof *to->params);
    if (!to->values || !to->nodes || !to->params) {
        return HR_E_MEMORY;
    }
    memcpy(to->values, from->values, from->value_count * sizeof *to->values);
    memcpy(to->nodes, from->nodes, from->node_count * sizeof *to->nodes);
    memcpy(to->params, from->params, from->param_count * sizeof *to->params);
    to->value_count = to->value_capacity = from->value_count;
    to->node_count = to->node_capacity = from->node_count;
    to->param_count = to->param_capacity = from->param_count;
    to->input = from->input;
    to->output = from->output;
    bool copied = true;
    for (size_t v = 0; v < to->value_count && copied; v++) {
        const char **name = &to->values[v].feature;
        copied = !*name || (*name = hr_arena_printf(&to->arena, "%s", *name)) != NULL;
    }
    for (size_t i = 0; i < to->node_count && copied; i++) {
        const char **name = &to->nodes[i].name;
        copied = (*name = hr_arena_printf(&to->arena, "%s", *name)) != NULL;
    }
    for (size_t p = 0; p < to->param_count && copied; p++) {
        const char **name = &to->params[p].name;
        copied = (*name = hr_arena_printf(&to->arena, "%s", *name)) != NULL;
    }
    return copied ? HR_OK : HR_E_MEMORY;
}

static enum hr_status infer_again(struct hr_graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct hr_node *node = &graph->nodes[i];
        const struct hr_shape *in[HR_MAX_INPUTS];
        struct hr_shape shape;
        gather_inputs(graph, node, in);
        const enum hr_status status =
            hr_op_infer(&shape, node->op, &node->attr, in, node->input_count);
        if (status != HR_OK) {
            return hr_fail_context(status, "layer %s", node->name);
        }
        graph->values[node->out].shape = shape;
    }
    return HR_OK;
}

enum hr_status hr_graph_resize(struct hr_graph **out, const struct hr_graph *graph, int64_t n,
                               int64_t height, int64_t width)
{
    struct hr_graph *copy = hr_mem_alloc(1, sizeof *copy);
    if (!copy) {
        return HR_E_MEMORY;
    }
    enum hr_status status = copy_graph(copy, graph);
    if (status == HR_OK) {
        struct hr_shape *shape = &copy->values[copy->input].shape;
        *shape = (struct hr_shape){ .rank = 4, .dim = { n, shape->dim[1], height, width } };
        status = infer_again(copy);
    }
    if (status == HR_OK) {
        *out = copy;
    } else {
        hr_graph_destroy(copy);
    }
    return status;
}

/* ---- The check ---- */

/* Inputs exist and were produced by an earlier node; the result is this node's own. */
static enum hr_status check_order(const struct hr_graph *graph, int32_t index)
{
    const struct hr_node *node = &graph->nodes[index];
    if (node->input_count < 1 || node->input_count > HR_MAX_INPUTS) {
        return hr_fail(HR_E_INTERNAL, "%d inputs", node->input_count);
    }
    for (int i = 0; i < node->input_count; i++) {
        const hr_value x = node->in[i];
        if (x < 0 || (size_t)x >= graph->value_count) {
            return hr_fail(HR_E_INTERNAL, "input %d is no value of the graph", i);
        }
        if (x != graph->input &&
            (graph->values[x].producer < 0 || graph->values[x].producer >= index)) {
            return hr_fail(HR_E_INTERNAL, "input %d is used before it is produced", i);
        }
    }
    const hr_value y = node->out;
    if (y < 0 || (size_t)y >= graph->value_count || graph->values[y].producer != index) {
        return hr_fail(HR_E_INTERNAL, "its result is produced elsewhere");
    }
    return HR_OK;
}

static enum hr_status check_params(const struct hr_graph *graph, const struct hr_node *node)
{
    for (enum hr_role role = 0; role < HR_ROLE_COUNT; role++) {
        const hr_param p = node->param[role];
        if (p == HR_NONE) {
            continue;
        }
        struct hr_shape want;
        if (p < 0 || (size_t)p >= graph->param_count ||
            !hr_op_param_shape(&want, node->op, &node->attr, &graph->values[node->in[0]].shape,
                               role)) {
            return hr_fail(HR_E_INTERNAL, "%s may not be parameter %d", hr_role_name(role), p);
        }
        if (!hr_shape_equal(&want, &graph->params[p].shape)) {
            return hr_fail(HR_E_INTERNAL, "%s %s is %s; %s is needed", hr_role_name(role),
                           graph->params[p].name, hr_shape_str(&graph->params[p].shape).s,
                           hr_shape_str(&want).s);
        }
    }
    return HR_OK;
}

static enum hr_status check_shape(const struct hr_graph *graph, const struct hr_node *node)
{
    const struct hr_shape *in[HR_MAX_INPUTS];
    gather_inputs(graph, node, in);
    const struct hr_shape *is = &graph->values[node->out].shape;
    struct hr_shape want;
    HR_TRY(hr_op_infer(&want, node->op, &node->attr, in, node->input_count));
    if (!hr_shape_equal(&want, is)) {
        return hr_fail(HR_E_INTERNAL, "its result is %s; %s is expected", hr_shape_str(is).s,
                       hr_shape_str(&want).s);
    }
    return HR_OK;
}

static enum hr_status check_node(const struct hr_graph *graph, int32_t index)
{
    HR_TRY(check_order(graph, index));
    HR_TRY(check_params(graph, &graph->nodes[index]));
    return check_shape(graph, &graph->nodes[index]);
}

enum hr_status hr_graph_check(const struct hr_graph *graph)
{
    if (graph->input == HR_NONE || graph->output == HR_NONE) {
        return hr_fail(HR_E_INTERNAL, "the graph has no %s",
                       graph->input == HR_NONE ? "input" : "output");
    }
    for (size_t v = 0; v < graph->value_count; v++) {
        const int32_t producer = graph->values[v].producer;
        const bool produced = producer >= 0 && (size_t)producer < graph->node_count &&
                              graph->nodes[producer].out == (hr_value)v;
        if (produced == ((hr_value)v == graph->input)) {
            return hr_fail(HR_E_INTERNAL, "value %zu of the graph has no producer", v);
        }
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        if (check_node(graph, (int32_t)i) != HR_OK) {
            return hr_fail_context(HR_E_INTERNAL, "node %zu (%s %s)", i,
                                   hr_op_name(graph->nodes[i].op), graph->nodes[i].name);
        }
    }
    return HR_OK;
}

/* "3x3/2 residual relu": what the attributes say beyond the shapes. */
static void print_attr(const struct hr_node *node, struct hr_text *out)
{
    const struct hr_attr *attr = &node->attr;
    if (attr->kernel) {
        hr_text_printf(out, " %dx%d/%d", attr->kernel, attr->kernel, attr->stride);
    }
    if (attr->factor) {
        hr_text_printf(out, " x%d", attr->factor);
    }
    if (node->op == HR_OP_CONV && node->param[HR_ROLE_GAMMA] != HR_NONE) {
        hr_text_add(out, " norm");
    }
    if (attr->residual) {
        hr_text_add(out, " residual");
    }
    if (attr->relu) {
        hr_text_add(out, " relu");
    }
}

/* %7 = sum(%3, %6<<1) stage name [1,18,56,56] relu -> stage2.0 */
static void print_node(const struct hr_graph *graph, const struct hr_node *node,
                       struct hr_text *out)
{
    hr_text_printf(out, "%%%d = %s(", node->out, hr_op_name(node->op));
    for (int i = 0; i < node->input_count; i++) {
        hr_text_printf(out, "%s%%%d", i ? ", " : "", node->in[i]);
        if (node->attr.shift[i]) {
            hr_text_printf(out, "<<%d", node->attr.shift[i]);
        }
    }
    const struct hr_graph_value *y = &graph->values[node->out];
    hr_text_printf(out, ") %s %s", node->name, hr_shape_str(&y->shape).s);
    print_attr(node, out);
    if (y->feature) {
        hr_text_printf(out, " -> %s", y->feature);
    }
    hr_text_add(out, "\n");
}

void hr_graph_print(const struct hr_graph *graph, struct hr_text *out)
{
    hr_text_printf(out, "%%%d = input %s\n", graph->input,
                   hr_shape_str(&graph->values[graph->input].shape).s);
    for (size_t i = 0; i < graph->node_count; i++) {
        print_node(graph, &graph->nodes[i], out);
    }
    hr_text_printf(out, "output %%%d\n", graph->output);
}
