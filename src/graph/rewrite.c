/* SPDX-License-Identifier: Apache-2.0
 * The passes.  Each edits nodes in place and marks those it has absorbed by taking their result
 * away; a sweep then drops what nothing needs.  A value with a feature name is pinned: it must stay
 * as it is. */
#include "graph/rewrite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

struct pass {
    struct hr_graph *g;
    int32_t *uses; /* by value: node inputs, plus one if it is the output */
};

static enum hr_status pass_start(struct pass *p, struct hr_graph *graph)
{
    p->g = graph;
    p->uses = hr_mem_alloc(graph->value_count, sizeof *p->uses);
    if (!p->uses)
        return HR_E_MEMORY;
    for (size_t i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i].input_count; k++)
            p->uses[graph->nodes[i].in[k]]++;
    p->uses[graph->output]++;
    return HR_OK;
}

/* The node that makes x, if x has one reader and no name: it may be absorbed. */
static struct hr_node *sole_producer(const struct pass *p, hr_value x)
{
    const struct hr_graph_value *value = &p->g->values[x];
    if (value->producer < 0 || value->feature || p->uses[x] != 1)
        return NULL;
    return &p->g->nodes[value->producer];
}

/* `node` takes over the result of `absorbed`, which disappears. */
static void take_result(const struct pass *p, struct hr_node *node, struct hr_node *absorbed)
{
    node->out = absorbed->out;
    p->g->values[node->out].producer = (int32_t)(node - p->g->nodes);
    absorbed->out = HR_NONE;
}

/* ---- The sweep ---- */

struct live {
    int32_t *value, *param; /* 0 dead, else new index + 1 */
};

static void mark_live(const struct hr_graph *g, struct live *live)
{
    live->value[g->input] = live->value[g->output] = 1;
    for (size_t v = 0; v < g->value_count; v++)
        live->value[v] |= g->values[v].feature != NULL;
    for (size_t i = g->node_count; i-- > 0;) {
        const struct hr_node *node = &g->nodes[i];
        if (node->out == HR_NONE || !live->value[node->out])
            continue;
        for (int k = 0; k < node->input_count; k++)
            live->value[node->in[k]] = 1;
        for (int role = 0; role < HR_ROLE_COUNT; role++)
            if (node->param[role] != HR_NONE)
                live->param[node->param[role]] = 1;
    }
}

static void move_values(struct hr_graph *g, struct live *live)
{
    size_t values = 0, params = 0;
    for (size_t v = 0; v < g->value_count; v++)
        if (live->value[v]) {
            g->values[values] = g->values[v];
            live->value[v] = (int32_t)++values;
        }
    for (size_t q = 0; q < g->param_count; q++)
        if (live->param[q]) {
            g->params[params] = g->params[q];
            live->param[q] = (int32_t)++params;
        }
    g->value_count = values;
    g->param_count = params;
    g->input = live->value[g->input] - 1;
    g->output = live->value[g->output] - 1;
}

static void move_nodes(struct hr_graph *g, const struct live *live)
{
    size_t nodes = 0;
    for (size_t i = 0; i < g->node_count; i++) {
        struct hr_node node = g->nodes[i];
        if (node.out == HR_NONE || !live->value[node.out])
            continue;
        node.out = live->value[node.out] - 1;
        for (int k = 0; k < node.input_count; k++)
            node.in[k] = live->value[node.in[k]] - 1;
        for (int role = 0; role < HR_ROLE_COUNT; role++)
            if (node.param[role] != HR_NONE)
                node.param[role] = live->param[node.param[role]] - 1;
        g->values[node.out].producer = (int32_t)nodes;
        g->nodes[nodes++] = node;
    }
    g->node_count = nodes;
}

enum hr_status hr_rewrite_drop_dead(struct hr_graph *graph)
{
    struct live live = { hr_mem_alloc(graph->value_count, sizeof(int32_t)),
                         hr_mem_alloc(graph->param_count, sizeof(int32_t)) };
    enum hr_status status = HR_E_MEMORY;
    if (live.value && live.param) {
        mark_live(graph, &live);
        move_values(graph, &live);
        move_nodes(graph, &live);
        status = HR_OK;
    }
    hr_mem_free(live.value);
    hr_mem_free(live.param);
    return status;
}

static enum hr_status pass_end(struct pass *p)
{
    hr_mem_free(p->uses);
    return hr_rewrite_drop_dead(p->g);
}

/* ---- Folding batch norm ---- */

enum hr_status hr_rewrite_fold_batch_norm(struct hr_graph *graph)
{
    struct pass p;
    HR_TRY(pass_start(&p, graph));
    for (size_t i = 0; i < graph->node_count; i++) {
        struct hr_node *norm = &graph->nodes[i];
        if (norm->op != HR_OP_BATCH_NORM)
            continue;
        struct hr_node *conv = sole_producer(&p, norm->in[0]);
        if (!conv || conv->op != HR_OP_CONV || conv->param[HR_ROLE_GAMMA] != HR_NONE ||
            conv->attr.relu || conv->attr.residual)
            continue;
        for (int role = HR_ROLE_GAMMA; role < HR_ROLE_COUNT; role++)
            conv->param[role] = norm->param[role];
        conv->attr.epsilon = norm->attr.epsilon;
        take_result(&p, conv, norm);
    }
    return pass_end(&p);
}

enum hr_status hr_fold_factors(float *scale, float *bias, const float *const of[HR_ROLE_COUNT],
                               float epsilon, size_t count, const char *variance_name)
{
    for (size_t i = 0; i < count; i++) {
        const double spread_of = sqrt((double)of[HR_ROLE_VARIANCE][i] + (double)epsilon);
        const double s = (double)of[HR_ROLE_GAMMA][i] / spread_of;
        const double b = of[HR_ROLE_BIAS] ? (double)of[HR_ROLE_BIAS][i] : 0.0;
        scale[i] = (float)s;
        bias[i] = (float)((double)of[HR_ROLE_BETA][i] + (b - (double)of[HR_ROLE_MEAN][i]) * s);
        if (!isfinite(scale[i]) || !isfinite(bias[i]))
            return hr_fail(HR_E_MISMATCH,
                           "%s: the batch norm of channel %zu is not finite (variance %g, weight "
                           "%g, epsilon %g); the weights are damaged",
                           variance_name, i, (double)of[HR_ROLE_VARIANCE][i],
                           (double)of[HR_ROLE_GAMMA][i], (double)epsilon);
    }
    return HR_OK;
}

/* ---- Sums ---- */

static uint8_t log2_of(int32_t factor)
{
    uint8_t shift = 0;
    while (factor > 1 << shift)
        shift++;
    return shift;
}

/* Appends x to the terms of a sum, seeing through an upsampling that only it reads. */
static void add_term(const struct pass *p, struct hr_node *sum, hr_value x)
{
    struct hr_node *up = sole_producer(p, x);
    const bool absorb = up && up->op == HR_OP_UPSAMPLE;
    sum->attr.shift[sum->input_count] = absorb ? log2_of(up->attr.factor) : 0;
    sum->in[sum->input_count++] = absorb ? up->in[0] : x;
    if (absorb)
        up->out = HR_NONE;
}

/* ADD becomes SUM; a sum on its left goes on growing, as additions are made from the left. */
static void add_to_sum(const struct pass *p, struct hr_node *add)
{
    const hr_value left = add->in[0], right = add->in[1];
    struct hr_node *before = sole_producer(p, left);
    const bool grow = before && before->op == HR_OP_SUM && !before->attr.relu &&
                      before->input_count < HR_MAX_INPUTS;
    add->op = HR_OP_SUM;
    add->attr = (struct hr_attr){ 0 };
    add->input_count = 0;
    if (grow) {
        memcpy(add->in, before->in, sizeof add->in);
        memcpy(add->attr.shift, before->attr.shift, sizeof add->attr.shift);
        add->input_count = before->input_count;
        before->out = HR_NONE;
    } else {
        add_term(p, add, left);
    }
    add_term(p, add, right);
}

enum hr_status hr_rewrite_fuse_sums(struct hr_graph *graph)
{
    struct pass p;
    HR_TRY(pass_start(&p, graph));
    for (size_t i = 0; i < graph->node_count; i++) {
        struct hr_node *node = &graph->nodes[i];
        if (node->op == HR_OP_ADD) {
            add_to_sum(&p, node);
        } else if (node->op == HR_OP_RELU) {
            struct hr_node *sum = sole_producer(&p, node->in[0]);
            if (sum && sum->op == HR_OP_SUM && !sum->attr.relu) {
                sum->attr.relu = true;
                take_result(&p, sum, node);
            }
        }
    }
    return pass_end(&p);
}

/* ---- Epilogues ---- */

static bool has_epilogue(enum hr_op op)
{
    return op == HR_OP_CONV || op == HR_OP_LINEAR || op == HR_OP_SCALE;
}

/* The node of x that could add `other` to its result: it comes after other's producer. */
static struct hr_node *residual_taker(const struct pass *p, hr_value x, hr_value other)
{
    struct hr_node *node = sole_producer(p, x);
    if (!node || (node->op != HR_OP_CONV && node->op != HR_OP_SCALE) || node->attr.relu ||
        node->attr.residual || p->g->values[other].producer >= p->g->values[x].producer)
        return NULL;
    return node;
}

static void give_residual(struct hr_node *node, hr_value other)
{
    node->attr.residual = true;
    node->in[node->input_count++] = other;
}

static void drop_first_terms(struct hr_node *sum, hr_value joined)
{
    for (int k = 1; k + 1 < sum->input_count; k++) {
        sum->in[k] = sum->in[k + 1];
        sum->attr.shift[k] = sum->attr.shift[k + 1];
    }
    sum->in[0] = joined;
    sum->input_count--;
}

/* The first two terms, added, are what comes first in the sum: a convolution among them can do that
 * addition, and when nothing is left of the sum, its ReLU too. */
static void absorb_terms(const struct pass *p, struct hr_node *sum)
{
    while (sum->attr.shift[0] == 0 && sum->attr.shift[1] == 0) {
        const hr_value x = sum->in[0], y = sum->in[1];
        struct hr_node *taker = residual_taker(p, y, x);
        const bool second = taker != NULL;
        if (!taker && !(taker = residual_taker(p, x, y)))
            return;
        give_residual(taker, second ? x : y);
        if (sum->input_count == 2) {
            taker->attr.relu = sum->attr.relu;
            take_result(p, taker, sum);
            return;
        }
        drop_first_terms(sum, second ? y : x);
    }
}

enum hr_status hr_rewrite_fuse_epilogues(struct hr_graph *graph)
{
    struct pass p;
    HR_TRY(pass_start(&p, graph));
    for (size_t i = 0; i < graph->node_count; i++) {
        struct hr_node *relu = &graph->nodes[i];
        struct hr_node *before = relu->op == HR_OP_RELU ? sole_producer(&p, relu->in[0]) : NULL;
        if (before && has_epilogue(before->op) && !before->attr.relu) {
            before->attr.relu = true;
            take_result(&p, before, relu);
        }
    }
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == HR_OP_SUM && graph->nodes[i].out != HR_NONE)
            absorb_terms(&p, &graph->nodes[i]);
    return pass_end(&p);
}

/* ---- All ---- */

static enum hr_status unknown_feature(const struct hr_graph *graph, const char *name)
{
    const char *names[64] = { NULL };
    char all[400] = "it names none of its values";
    size_t count = 0, length = 0;
    for (size_t v = 0; v < graph->value_count && count < HR_COUNT(names); v++)
        if (graph->values[v].feature)
            names[count++] = graph->values[v].feature;
    const char *near = hr_nearest_name(name, names, count);
    for (size_t i = 0; i < count && length < sizeof all; i++)
        length += (size_t)snprintf(all + length, sizeof all - length, "%s%s",
                                   i ? ", " : "there are ", names[i]);
    return hr_fail(HR_E_NOT_FOUND, "feature '%.60s' is not in this model: %s%s", name,
                   near ? "did you mean " : all, near ? near : "");
}

enum hr_status hr_rewrite_pin_features(struct hr_graph *graph, const char *const *features,
                                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (hr_graph_feature(graph, features[i]) == HR_NONE)
            return unknown_feature(graph, features[i]);
    for (size_t v = 0; v < graph->value_count; v++) {
        const char *name = graph->values[v].feature;
        bool wanted = false;
        for (size_t i = 0; name && i < count; i++)
            wanted = wanted || strcmp(name, features[i]) == 0;
        if (!wanted)
            graph->values[v].feature = NULL;
    }
    return HR_OK;
}

enum hr_status hr_rewrite_all(struct hr_graph *graph, const char *const *features, size_t count)
{
    HR_TRY(hr_rewrite_pin_features(graph, features, count));
    HR_TRY(hr_rewrite_fold_batch_norm(graph));
    HR_TRY(hr_rewrite_fuse_sums(graph));
    HR_TRY(hr_rewrite_fuse_epilogues(graph));
    HR_TRY(hr_rewrite_drop_dead(graph));
    return hr_graph_check(graph);
}
