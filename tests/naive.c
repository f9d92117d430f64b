/* SPDX-License-Identifier: Apache-2.0
 * The obvious loops.  Letters as in kernel/conv.h. */
#include "naive.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "naive: %s\n", what);
    abort();
}

static size_t elements(const struct hr_shape *shape)
{
    size_t count = 0;
    must(hr_shape_elements(shape, &count) == HR_OK, "shape");
    return count;
}

struct evaluation {
    const struct hr_graph *graph;
    const struct hr_store *weights;
    double **values;
};

static const float *param(const struct evaluation *e, const struct hr_node *node, enum hr_role role)
{
    if (node->param[role] == HR_NONE)
        return NULL;
    const struct hr_tensor *t = hr_store_find(e->weights, e->graph->params[node->param[role]].name);
    must(t && t->dtype == HR_DTYPE_F32, "parameter");
    return t->data;
}

static const struct hr_shape *shape_of(const struct evaluation *e, hr_value value)
{
    return &e->graph->values[value].shape;
}

static double conv_at(const struct hr_node *node, const struct hr_shape *xs, const double *x,
                      const float *w, int64_t oy, int64_t ox)
{
    const int64_t kernel = node->attr.kernel, h = xs->dim[2], width = xs->dim[3];
    double sum = 0;
    for (int64_t c = 0; c < xs->dim[1]; c++)
        for (int64_t r = 0; r < kernel; r++)
            for (int64_t s = 0; s < kernel; s++) {
                const int64_t y = oy * node->attr.stride + r - node->attr.pad;
                const int64_t z = ox * node->attr.stride + s - node->attr.pad;
                if (y >= 0 && y < h && z >= 0 && z < width)
                    sum += x[(c * h + y) * width + z] * (double)w[(c * kernel + r) * kernel + s];
            }
    return sum;
}

static void conv(const struct evaluation *e, const struct hr_node *node, double *y)
{
    const struct hr_shape *xs = shape_of(e, node->in[0]), *ys = shape_of(e, node->out);
    const float *w = param(e, node, HR_ROLE_WEIGHT);
    const int64_t taps = xs->dim[1] * node->attr.kernel * node->attr.kernel;
    for (int64_t n = 0; n < ys->dim[0]; n++)
        for (int64_t k = 0; k < ys->dim[1]; k++)
            for (int64_t oy = 0; oy < ys->dim[2]; oy++)
                for (int64_t ox = 0; ox < ys->dim[3]; ox++)
                    *y++ = conv_at(
                        node, xs, e->values[node->in[0]] + n * xs->dim[1] * xs->dim[2] * xs->dim[3],
                        w + k * taps, oy, ox);
}

static void batch_norm(const struct evaluation *e, const struct hr_node *node, double *y)
{
    const struct hr_shape *s = shape_of(e, node->out);
    const size_t plane = (size_t)(s->dim[2] * s->dim[3]), c = (size_t)s->dim[1];
    const float *gamma = param(e, node, HR_ROLE_GAMMA), *beta = param(e, node, HR_ROLE_BETA);
    const float *mean = param(e, node, HR_ROLE_MEAN), *variance = param(e, node, HR_ROLE_VARIANCE);
    for (size_t i = 0; i < elements(s); i++) {
        const size_t k = i / plane % c;
        y[i] = (e->values[node->in[0]][i] - (double)mean[k]) /
                   sqrt((double)variance[k] + (double)node->attr.epsilon) * (double)gamma[k] +
               (double)beta[k];
    }
}

static void upsample(const struct evaluation *e, const struct hr_node *node, double *y)
{
    const struct hr_shape *s = shape_of(e, node->out), *xs = shape_of(e, node->in[0]);
    const int64_t h = s->dim[2], w = s->dim[3];
    for (int64_t i = 0; i < (int64_t)elements(s); i++) {
        const int64_t column = i % w, row = i / w % h, plane = i / w / h;
        y[i] = e->values[node->in[0]][(plane * xs->dim[2] + row / node->attr.factor) * xs->dim[3] +
                                      column / node->attr.factor];
    }
}

static void global_pool(const struct evaluation *e, const struct hr_node *node, double *y)
{
    const struct hr_shape *xs = shape_of(e, node->in[0]);
    const size_t plane = (size_t)(xs->dim[2] * xs->dim[3]);
    for (size_t i = 0; i < elements(shape_of(e, node->out)); i++) {
        y[i] = 0;
        for (size_t j = 0; j < plane; j++)
            y[i] += e->values[node->in[0]][i * plane + j] / (double)plane;
    }
}

static void linear(const struct evaluation *e, const struct hr_node *node, double *y)
{
    const size_t c = (size_t)shape_of(e, node->in[0])->dim[1];
    const size_t k = (size_t)shape_of(e, node->out)->dim[1];
    const float *w = param(e, node, HR_ROLE_WEIGHT), *bias = param(e, node, HR_ROLE_BIAS);
    for (size_t i = 0; i < elements(shape_of(e, node->out)); i++) {
        y[i] = (double)bias[i % k];
        for (size_t j = 0; j < c; j++)
            y[i] += e->values[node->in[0]][i / k * c + j] * (double)w[j * k + i % k];
    }
}

static void pointwise(const struct evaluation *e, const struct hr_node *node, double *y)
{
    const double *a = e->values[node->in[0]];
    const double *b = node->input_count > 1 ? e->values[node->in[1]] : NULL;
    const struct hr_shape *s = shape_of(e, node->out);
    const size_t plane = s->rank == 4 ? (size_t)(s->dim[2] * s->dim[3]) : 1;
    for (size_t i = 0; i < elements(s); i++) {
        if (node->op == HR_OP_RELU)
            y[i] = a[i] > 0 ? a[i] : 0;
        else if (node->op == HR_OP_SIGMOID)
            y[i] = 1 / (1 + exp(-a[i]));
        else
            y[i] = node->op == HR_OP_ADD ? a[i] + b[i] : a[i] * b[i / plane];
    }
}

typedef void naive_fn(const struct evaluation *e, const struct hr_node *node, double *y);
static naive_fn *const naive_of[HR_OP_COUNT] = {
    [HR_OP_CONV] = conv,     [HR_OP_BATCH_NORM] = batch_norm, [HR_OP_RELU] = pointwise,
    [HR_OP_ADD] = pointwise, [HR_OP_UPSAMPLE] = upsample,     [HR_OP_GLOBAL_POOL] = global_pool,
    [HR_OP_LINEAR] = linear, [HR_OP_SIGMOID] = pointwise,     [HR_OP_SCALE] = pointwise,
};

double **naive_run(const struct hr_graph *graph, const struct hr_store *weights, const float *x)
{
    struct evaluation e = { graph, weights, calloc(graph->value_count, sizeof *e.values) };
    must(e.values, "memory");
    for (size_t i = 0; i < graph->value_count; i++) {
        e.values[i] = calloc(elements(&graph->values[i].shape), sizeof **e.values);
        must(e.values[i], "memory");
    }
    for (size_t i = 0; i < elements(&graph->values[graph->input].shape); i++)
        e.values[graph->input][i] = (double)x[i];
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct hr_node *node = &graph->nodes[i];
        must(naive_of[node->op], "a graph that was rewritten");
        naive_of[node->op](&e, node, e.values[node->out]);
    }
    return e.values;
}

void naive_free(const struct hr_graph *graph, double **values)
{
    for (size_t i = 0; i < graph->value_count; i++)
        free(values[i]);
    free(values);
}

struct hr_store *naive_weights(const struct hr_graph *graph)
{
    struct hr_store *store = NULL;
    uint32_t random = 12345;
    must(hr_store_create(&store) == HR_OK, "memory");
    for (size_t i = 0; i < graph->param_count; i++) {
        const struct hr_graph_param *p = &graph->params[i];
        const size_t count = elements(&p->shape);
        void *data = NULL;
        must(hr_store_add_owned(store, p->name, HR_DTYPE_F32, &p->shape, &data) == HR_OK, "memory");
        for (size_t j = 0; j < count; j++) {
            random = random * 1664525u + 1013904223u;
            const float unit = (float)(random >> 8) / 16777216.0f;
            const bool variance = strstr(p->name, "_variance") != NULL;
            ((float *)data)[j] = variance ? 0.5f + unit : unit - 0.5f;
        }
    }
    return store;
}
