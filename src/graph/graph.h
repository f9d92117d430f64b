/* SPDX-License-Identifier: Apache-2.0
 * A network as pure description: values with shapes, nodes in topological order, and parameters
 * by name.  No weights, no memory plans, no threads. */
#ifndef HR_GRAPH_GRAPH_H
#define HR_GRAPH_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "graph/op.h"

typedef int32_t hr_value; /* index into graph->values */
typedef int32_t hr_param; /* index into graph->params */
#define HR_NONE (-1)

struct hr_graph_param {
    const char *name; /* canonical (PaddleClas 2.1+): "st3.stage_func_list.0...conv1.conv.weight" */
    struct hr_shape shape; /* as stored in a Paddle file: LINEAR weights are [in, out] */
};

struct hr_graph_value {
    struct hr_shape shape;
    int32_t producer;    /* node, or HR_NONE for the input */
    const char *feature; /* name under which it can be asked for, or NULL */
};

struct hr_node {
    enum hr_op op;
    const char *name; /* of its layer: "conv_layer1_1", "layer1.0.conv2", ... never NULL */
    struct hr_attr attr;
    hr_value in[HR_MAX_INPUTS], out;
    int32_t input_count;
    hr_param param[HR_ROLE_COUNT]; /* HR_NONE where it has none */
};

struct hr_graph {
    struct hr_arena arena; /* owns names */
    struct hr_graph_value *values;
    struct hr_node *nodes; /* every input is produced before it is used */
    struct hr_graph_param *params;
    size_t value_count, node_count, param_count;
    hr_value input, output; /* float32 [n,3,h,w] -> logits [n,classes] */
    size_t value_capacity, node_capacity, param_capacity;
};

void hr_graph_destroy(struct hr_graph *graph); /* NULL is allowed */

/* A builder whose first error sticks: afterwards every call returns HR_NONE and does nothing, and
 * hr_builder_finish reports it.  Names are formatted; parameters are named NAME.conv.weight,
 * NAME.bn.weight, NAME.bn.bias, NAME.bn._mean, NAME.bn._variance, NAME.weight, NAME.bias. */
struct hr_builder {
    struct hr_graph *graph;
    enum hr_status status;
    char name[192]; /* of the layer being built: hr_layer() sets it */
};
enum hr_status hr_builder_start(struct hr_builder *b) HR_WARN_UNUSED;
hr_value hr_input(struct hr_builder *b, int64_t n, int64_t c, int64_t h, int64_t w);
/* Name of the next layers: hr_layer(b, "st%d.stage_func_list.%d", s, m). */
void hr_layer(struct hr_builder *b, const char *format, ...) HR_PRINTF(2, 3);
/* Convolution without bias, pad (kernel - 1) / 2, followed by batch norm, as two nodes. */
hr_value hr_conv_bn(struct hr_builder *b, hr_value x, int kernel, int stride, int channels);
/* The two alone, for networks that come from files: parameters NAME.weight, NAME.bias (a
 * convolution's only if `bias`), NAME._mean and NAME._variance.  attr: kernel, stride, pad,
 * channels. */
hr_value hr_conv(struct hr_builder *b, hr_value x, const struct hr_attr *attr, bool bias);
hr_value hr_batch_norm(struct hr_builder *b, hr_value x, float epsilon);
hr_value hr_relu(struct hr_builder *b, hr_value x);
hr_value hr_add(struct hr_builder *b, hr_value x, hr_value y);
hr_value hr_upsample(struct hr_builder *b, hr_value x, int factor);
hr_value hr_global_pool(struct hr_builder *b, hr_value x);
hr_value hr_linear(struct hr_builder *b, hr_value x, int channels); /* with bias */
hr_value hr_sigmoid(struct hr_builder *b, hr_value x);
hr_value hr_scale(struct hr_builder *b, hr_value x, hr_value scale);
/* Names a value as a feature map that sessions may return. */
void hr_feature(struct hr_builder *b, hr_value x, const char *format, ...) HR_PRINTF(3, 4);
/* Moves the graph out, or fails with the sticky error; frees the rest either way. */
enum hr_status hr_builder_finish(struct hr_builder *b, hr_value output,
                                 struct hr_graph **out) HR_WARN_UNUSED;

/* A copy of a graph for inputs [n,c,height,width]; HR_E_SHAPE naming the layer that does
 * not fit such a picture. */
enum hr_status hr_graph_resize(struct hr_graph **out, const struct hr_graph *graph, int64_t n,
                               int64_t height, int64_t width) HR_WARN_UNUSED;

/* Consistency: order, shapes, single producer; HR_E_INTERNAL naming the node. */
enum hr_status hr_graph_check(const struct hr_graph *graph) HR_WARN_UNUSED;

/* Channels of a value at dim 1, multiply-adds of one node and of all (whole batch). */
uint64_t hr_node_multiply_adds(const struct hr_graph *graph, const struct hr_node *node);
uint64_t hr_graph_multiply_adds(const struct hr_graph *graph);

/* The value named as a feature, or HR_NONE. */
hr_value hr_graph_feature(const struct hr_graph *graph, const char *name);

/* One line a node, for people and for tests. */
void hr_graph_print(const struct hr_graph *graph, struct hr_text *out);

#endif
