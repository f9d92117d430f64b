/* SPDX-License-Identifier: Apache-2.0
 * The obvious loops over dense [n][c][h][w].  Letters as in kernel/conv.h. */
#include "double_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct map {
    size_t n, c, h, w;
    double *v;
};

static size_t count(const struct map *m)
{
    return m->n * m->c * m->h * m->w;
}

static void conv(const struct hr_node *node, const struct map *x, struct map *y, const double *w)
{
    const int64_t kernel = node->attr.kernel, stride = node->attr.stride, pad = node->attr.pad;
    const int64_t h = (int64_t)x->h, width = (int64_t)x->w, plane = h * width;
    double *out = y->v;
    for (size_t n = 0; n < y->n; n++)
        for (size_t k = 0; k < y->c; k++)
            for (int64_t oy = 0; oy < (int64_t)y->h; oy++)
                for (int64_t ox = 0; ox < (int64_t)y->w; ox++, out++)
                    for (size_t c = 0; c < x->c; c++)
                        for (int64_t r = 0; r < kernel; r++)
                            for (int64_t s = 0; s < kernel; s++) {
                                const int64_t iy = oy * stride + r - pad,
                                              ix = ox * stride + s - pad;
                                if (iy < 0 || iy >= h || ix < 0 || ix >= width)
                                    continue;
                                *out += x->v[(int64_t)(n * x->c + c) * plane + iy * width + ix] *
                                        w[((int64_t)(k * x->c + c) * kernel + r) * kernel + s];
                            }
}

static void norm(const struct hr_node *node, const struct map *x, struct map *y,
                 const double *gamma, const double *beta)
{
    const size_t plane = x->h * x->w;
    for (size_t c = 0; c < x->c; c++) {
        double mean = 0, variance = 0;
        for (int pass = 0; pass < 3; pass++)
            for (size_t n = 0; n < x->n; n++)
                for (size_t p = 0; p < plane; p++) {
                    const size_t at = (n * x->c + c) * plane + p;
                    const double share = 1.0 / (double)(x->n * plane), d = x->v[at] - mean;
                    if (pass == 0)
                        y->v[at] = x->v[at] * share;
                    else if (pass == 1)
                        variance += d * d * share;
                    else
                        y->v[at] =
                            d / sqrt(variance + (double)node->attr.epsilon) * gamma[c] + beta[c];
                    if (pass == 0 && n + 1 == x->n && p + 1 == plane)
                        for (size_t i = 0; i < x->n * plane; i++)
                            mean += y->v[(i / plane * x->c + c) * plane + i % plane];
                }
    }
}

static void pointwise(const struct hr_node *node, const struct map *x, const struct map *s,
                      struct map *y)
{
    const size_t factor = node->op == HR_OP_UPSAMPLE ? (size_t)node->attr.factor : 1;
    for (size_t i = 0; i < count(y); i++) {
        const size_t plane = i / (y->h * y->w), oy = i / y->w % y->h, ox = i % y->w;
        const double v = x->v[(plane * x->h + oy / factor) * x->w + ox / factor];
        y->v[i] = node->op == HR_OP_RELU      ? (v > 0 ? v : 0)
                  : node->op == HR_OP_ADD     ? v + s->v[i]
                  : node->op == HR_OP_SIGMOID ? 1 / (1 + exp(-v))
                  : node->op == HR_OP_SCALE   ? v * s->v[plane]
                                              : v;
    }
}

static void vectors(const struct hr_node *node, const struct map *x, struct map *y, const double *w,
                    const double *bias)
{
    const size_t plane = x->h * x->w;
    for (size_t n = 0; n < y->n; n++)
        for (size_t k = 0; k < y->c; k++) {
            double sum = bias ? bias[k] : 0;
            if (node->op == HR_OP_LINEAR)
                for (size_t c = 0; c < x->c; c++)
                    sum += x->v[n * x->c + c] * w[c * y->c + k];
            else
                for (size_t p = 0; p < plane; p++)
                    sum += x->v[(n * x->c + k) * plane + p] / (double)plane;
            y->v[n * y->c + k] = sum;
        }
}

static struct map map_of(const struct hr_shape *s)
{
    struct map m = { (size_t)s->dim[0], (size_t)s->dim[1], 1, 1, NULL };
    if (s->rank == 4) {
        m.h = (size_t)s->dim[2];
        m.w = (size_t)s->dim[3];
    }
    m.v = calloc(count(&m), sizeof *m.v);
    if (!m.v)
        abort();
    return m;
}

static const double *role(const struct hr_node *node, double *const *params, enum hr_role r)
{
    return node->param[r] == HR_NONE ? NULL : params[node->param[r]];
}

void double_graph_run(const struct hr_graph *graph, double *const *params, const double *x,
                      double *y)
{
    struct map *maps = calloc(graph->value_count, sizeof *maps);
    if (!maps)
        abort();
    for (size_t v = 0; v < graph->value_count; v++)
        maps[v] = map_of(&graph->values[v].shape);
    memcpy(maps[graph->input].v, x, count(&maps[graph->input]) * sizeof *x);
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct hr_node *node = &graph->nodes[i];
        const struct map *a = &maps[node->in[0]], *b = &maps[node->in[node->input_count - 1]];
        struct map *out = &maps[node->out];
        if (node->op == HR_OP_CONV)
            conv(node, a, out, role(node, params, HR_ROLE_WEIGHT));
        else if (node->op == HR_OP_BATCH_NORM)
            norm(node, a, out, role(node, params, HR_ROLE_GAMMA), role(node, params, HR_ROLE_BETA));
        else if (node->op == HR_OP_LINEAR || node->op == HR_OP_GLOBAL_POOL)
            vectors(node, a, out, role(node, params, HR_ROLE_WEIGHT),
                    role(node, params, HR_ROLE_BIAS));
        else if (node->op != HR_OP_SUM)
            pointwise(node, a, b, out);
        else
            abort();
    }
    memcpy(y, maps[graph->output].v, count(&maps[graph->output]) * sizeof *y);
    for (size_t v = 0; v < graph->value_count; v++)
        free(maps[v].v);
    free(maps);
}
