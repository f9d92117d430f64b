/* SPDX-License-Identifier: Apache-2.0
 * The plain interpreter: one loop an operator.  Letters as in kernel/conv.h. */
#include "scalar_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct map {
    size_t n, c, h, w; /* h = w = 1 for [n,c] */
    float *v;
};
struct step {
    const struct hr_graph *graph;
    const struct hr_node *node;
    const struct hr_store *weights;
    struct map in[HR_MAX_INPUTS], out;
};

static void must(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "scalar_graph: %s\n", what);
    abort();
}

static const float *param(const struct step *s, enum hr_role role)
{
    if (s->node->param[role] == HR_NONE)
        return NULL;
    const char *name = s->graph->params[s->node->param[role]].name;
    const struct hr_tensor *t = hr_store_find(s->weights, name);
    must(t && t->dtype == HR_DTYPE_F32 && hr_tensor_contiguous(t), name);
    return t->data;
}

static size_t count_of(const struct map *m)
{
    return m->n * m->c * m->h * m->w;
}

/* What ends CONV, LINEAR, SUM and SCALE: + residual, then ReLU. */
static float finish(const struct step *s, float v, const float *residual)
{
    if (residual)
        v = *residual + v;
    return s->node->attr.relu && !(v > 0.0f) ? 0.0f : v;
}

/* scale[k] and bias[k] of a convolution with its folded norm, as plan/pack.h says. */
static void fold(const struct step *s, size_t k, float *scale, float *bias)
{
    const float *gamma = param(s, HR_ROLE_GAMMA), *b = param(s, HR_ROLE_BIAS);
    *scale = 1.0f;
    *bias = b ? b[k] : 0.0f;
    if (!gamma)
        return;
    const double variance = (double)param(s, HR_ROLE_VARIANCE)[k];
    const double exact = (double)gamma[k] / sqrt(variance + (double)s->node->attr.epsilon);
    const double beta = (double)param(s, HR_ROLE_BETA)[k];
    *scale = (float)exact;
    *bias = (float)(beta + ((double)*bias - (double)param(s, HR_ROLE_MEAN)[k]) * exact);
}

/* acc = bias; for r, s, c: fma; taps outside the plane left out; + 0 so that a zero has one sign.
 * w is [c][r][s]; the window of the image x [c][h][w] begins at y0, x0. */
static float conv_at(const struct map *in, const float *x, const float *w, float bias,
                     ptrdiff_t kernel, ptrdiff_t y0, ptrdiff_t x0)
{
    float acc = bias;
    for (ptrdiff_t r = 0; r < kernel; r++)
        for (ptrdiff_t s = 0; s < kernel; s++) {
            const ptrdiff_t y = y0 + r, z = x0 + s;
            if (y < 0 || z < 0 || y >= (ptrdiff_t)in->h || z >= (ptrdiff_t)in->w)
                continue;
            for (size_t c = 0; c < in->c; c++)
                acc = fmaf(x[(c * in->h + (size_t)y) * in->w + (size_t)z],
                           w[((ptrdiff_t)c * kernel + r) * kernel + s], acc);
        }
    return acc + 0.0f;
}

static void run_conv(const struct step *s)
{
    const struct hr_attr *attr = &s->node->attr;
    const struct map *x = &s->in[0], *y = &s->out;
    const size_t taps = x->c * (size_t)attr->kernel * (size_t)attr->kernel;
    const float *w = param(s, HR_ROLE_WEIGHT);
    float *folded = calloc(taps, sizeof *folded);
    must(folded && w, "memory and weights");
    for (size_t k = 0; k < y->c; k++) {
        float scale, bias;
        fold(s, k, &scale, &bias);
        for (size_t i = 0; i < taps; i++)
            folded[i] = w[k * taps + i] * scale;
        for (size_t i = 0; i < y->n * y->h * y->w; i++) {
            const size_t n = i / (y->h * y->w), oh = i / y->w % y->h, ow = i % y->w;
            const size_t at = ((n * y->c + k) * y->h + oh) * y->w + ow;
            const float v = conv_at(x, x->v + n * x->c * x->h * x->w, folded, bias, attr->kernel,
                                    (ptrdiff_t)oh * attr->stride - attr->pad,
                                    (ptrdiff_t)ow * attr->stride - attr->pad);
            y->v[at] = finish(s, v, attr->residual ? &s->in[1].v[at] : NULL);
        }
    }
    free(folded);
}

static void run_batch_norm(const struct step *s)
{
    const size_t pixels = s->out.h * s->out.w;
    for (size_t i = 0; i < count_of(&s->out); i++) {
        const size_t k = i / pixels % s->out.c;
        const double centred = (double)s->in[0].v[i] - (double)param(s, HR_ROLE_MEAN)[k];
        const double variance = (double)param(s, HR_ROLE_VARIANCE)[k];
        s->out.v[i] = (float)(centred / sqrt(variance + (double)s->node->attr.epsilon) *
                                  (double)param(s, HR_ROLE_GAMMA)[k] +
                              (double)param(s, HR_ROLE_BETA)[k]);
    }
}

static void run_relu(const struct step *s)
{
    for (size_t i = 0; i < count_of(&s->out); i++)
        s->out.v[i] = s->in[0].v[i] > 0.0f ? s->in[0].v[i] : 0.0f;
}

/* Pixel i of a map of out's size, in a term that is `shift` octaves smaller. */
static float pixel(const struct map *out, const struct map *term, size_t i, unsigned shift)
{
    const size_t plane = i / (out->h * out->w), y = i / out->w % out->h, x = i % out->w;
    return term->v[(plane * term->h + (y >> shift)) * term->w + (x >> shift)];
}

static void run_add(const struct step *s)
{
    for (size_t i = 0; i < count_of(&s->out); i++)
        s->out.v[i] = s->in[0].v[i] + s->in[1].v[i];
}

static void run_upsample(const struct step *s)
{
    unsigned shift = 0;
    while (s->node->attr.factor > 1 << shift)
        shift++;
    for (size_t i = 0; i < count_of(&s->out); i++)
        s->out.v[i] = pixel(&s->out, &s->in[0], i, shift);
}

static void run_sum(const struct step *s)
{
    const struct hr_node *node = s->node;
    for (size_t i = 0; i < count_of(&s->out); i++) {
        float v = pixel(&s->out, &s->in[0], i, node->attr.shift[0]);
        for (int k = 1; k < node->input_count; k++)
            v = v + pixel(&s->out, &s->in[k], i, node->attr.shift[k]);
        s->out.v[i] = finish(s, v, NULL);
    }
}

static void run_global_pool(const struct step *s)
{
    const size_t pixels = s->in[0].h * s->in[0].w;
    for (size_t i = 0; i < count_of(&s->out); i++) {
        const float *x = s->in[0].v + i * pixels;
        float p[8] = { 0 };
        for (size_t e = 0; e < 8; e++)
            for (size_t j = e * pixels / 8; j < (e + 1) * pixels / 8; j++)
                p[e] += x[j];
        s->out.v[i] = (((p[0] + p[1]) + (p[2] + p[3])) + ((p[4] + p[5]) + (p[6] + p[7]))) *
                      (1.0f / (float)pixels);
    }
}

static void run_linear(const struct step *s)
{
    const size_t c = s->in[0].c, k = s->out.c;
    const float *w = param(s, HR_ROLE_WEIGHT), *bias = param(s, HR_ROLE_BIAS);
    for (size_t i = 0; i < s->out.n * k; i++) {
        float acc = bias[i % k];
        for (size_t j = 0; j < c; j++)
            acc = fmaf(s->in[0].v[i / k * c + j], w[j * k + i % k], acc);
        s->out.v[i] = finish(s, acc + 0.0f, NULL);
    }
}

static void run_sigmoid(const struct step *s)
{
    for (size_t i = 0; i < count_of(&s->out); i++)
        s->out.v[i] = (float)(1.0 / (1.0 + exp(-(double)s->in[0].v[i])));
}

static void run_scale(const struct step *s)
{
    const size_t pixels = s->out.h * s->out.w;
    for (size_t i = 0; i < count_of(&s->out); i++) {
        const float v = s->in[0].v[i] * s->in[1].v[i / pixels];
        s->out.v[i] = finish(s, v, s->node->attr.residual ? &s->in[2].v[i] : NULL);
    }
}

typedef void run_fn(const struct step *step);
static run_fn *const run_of[HR_OP_COUNT] = {
    [HR_OP_CONV] = run_conv,
    [HR_OP_BATCH_NORM] = run_batch_norm,
    [HR_OP_RELU] = run_relu,
    [HR_OP_ADD] = run_add,
    [HR_OP_UPSAMPLE] = run_upsample,
    [HR_OP_SUM] = run_sum,
    [HR_OP_GLOBAL_POOL] = run_global_pool,
    [HR_OP_LINEAR] = run_linear,
    [HR_OP_SIGMOID] = run_sigmoid,
    [HR_OP_SCALE] = run_scale,
};

bool scalar_graph_knows(enum hr_op op)
{
    return run_of[op] != NULL;
}

static struct map map_of(const struct scalar_graph *run, const struct hr_graph *graph, hr_value x)
{
    const struct hr_shape *shape = &graph->values[x].shape;
    const bool plane = shape->rank == 4;
    return (struct map){ (size_t)shape->dim[0], (size_t)shape->dim[1],
                         plane ? (size_t)shape->dim[2] : 1, plane ? (size_t)shape->dim[3] : 1,
                         run->values[x] };
}

void scalar_graph_run(struct scalar_graph *run, const struct hr_graph *graph,
                      const struct hr_store *weights, const float *x)
{
    *run = (struct scalar_graph){ calloc(graph->value_count, sizeof *run->values),
                                  calloc(graph->value_count, sizeof *run->counts),
                                  graph->value_count };
    must(run->values && run->counts, "memory");
    for (size_t v = 0; v < graph->value_count; v++) {
        must(hr_shape_elements(&graph->values[v].shape, &run->counts[v]) == HR_OK, "a shape");
        run->values[v] = calloc(run->counts[v], sizeof(float));
        must(run->values[v], "memory");
    }
    memcpy(run->values[graph->input], x, run->counts[graph->input] * sizeof *x);
    for (size_t i = 0; i < graph->node_count; i++) {
        struct step step = { .graph = graph, .node = &graph->nodes[i], .weights = weights };
        for (int k = 0; k < step.node->input_count; k++)
            step.in[k] = map_of(run, graph, step.node->in[k]);
        step.out = map_of(run, graph, step.node->out);
        run_of[step.node->op](&step);
    }
}

void scalar_graph_fini(struct scalar_graph *run)
{
    for (size_t v = 0; v < run->value_count; v++)
        free(run->values[v]);
    free(run->values);
    free(run->counts);
    *run = (struct scalar_graph){ 0 };
}
