/* SPDX-License-Identifier: Apache-2.0
 * Two graphs are compared twice.  First by one number: each value is hashed from its operator and
 * the hashes of what it is made of (Weisfeiler and Lehman's refinement, one pass, as the graph has
 * no cycle); sums do not mind the order of their terms, norms are looked through.  Then, if the
 * results' numbers agree, node by node from the result back, which pairs the layers: hashes alone
 * cannot tell layers that only their readers distinguish. */
#include "model/topology.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define MOST_TERMS   8 /* of a sum; a fuse layer has 4 */
#define MOST_CLASSES (1 << 24)
#define PROBE        32 /* px of the zoo's networks; layers do not depend on it */

struct side {
    const struct hr_graph *graph;
    uint64_t *hash; /* by value */
    uint64_t *sum;  /* by value: of an ADD the plain sum of its terms' hashes */
};

struct pairing {
    struct side file, zoo;
    int32_t *node; /* by node of the zoo's network: the file's, or HR_NONE */
    bool other_order;
};

static uint64_t mix(uint64_t h, uint64_t value)
{
    return hr_hash_mix(h + (value + 1) * HR_HASH_STEP);
}

static void hash_node(struct side *s, const struct hr_node *node)
{
    const struct hr_attr *attr = &node->attr;
    uint64_t h = mix(1, node->op);
    if (node->op == HR_OP_BATCH_NORM) {
        s->hash[node->out] = s->hash[node->in[0]];
        s->sum[node->out] = s->hash[node->out];
        return;
    }
    if (node->op == HR_OP_ADD) {
        s->sum[node->out] = s->sum[node->in[0]] + s->sum[node->in[1]];
        s->hash[node->out] = mix(h, s->sum[node->out]);
        return;
    }
    h = mix(mix(mix(h, (uint64_t)attr->kernel), (uint64_t)attr->stride), (uint64_t)attr->pad);
    h = mix(mix(h, (uint64_t)attr->channels), (uint64_t)attr->factor);
    for (int i = 0; i < node->input_count; i++)
        h = mix(h, s->hash[node->in[i]]);
    s->hash[node->out] = s->sum[node->out] = h;
}

static enum hr_status side_init(struct side *s, const struct hr_graph *graph)
{
    s->graph = graph;
    s->hash = hr_mem_alloc(graph->value_count, sizeof *s->hash);
    s->sum = hr_mem_alloc(graph->value_count, sizeof *s->sum);
    if (!s->hash || !s->sum)
        return HR_E_MEMORY;
    s->hash[graph->input] = s->sum[graph->input] = mix(0, 0);
    for (size_t i = 0; i < graph->node_count; i++)
        hash_node(s, &graph->nodes[i]);
    return HR_OK;
}

static void side_fini(struct side *s)
{
    hr_mem_free(s->hash);
    hr_mem_free(s->sum);
}

/* ---- Pairing ---- */

static const struct hr_node *producer(const struct side *s, hr_value x)
{
    const int32_t index = s->graph->values[x].producer;
    return index < 0 ? NULL : &s->graph->nodes[index];
}

/* The terms of a sum, from the left; false if there are too many. */
static bool terms_of(const struct side *s, hr_value x, int depth, hr_value *terms, int *count)
{
    const struct hr_node *node = producer(s, x);
    if (depth == MOST_TERMS || *count == MOST_TERMS)
        return false;
    if (node && node->op == HR_OP_ADD)
        return terms_of(s, node->in[0], depth + 1, terms, count) &&
               terms_of(s, node->in[1], depth + 1, terms, count);
    terms[(*count)++] = x;
    return true;
}

static bool pair(struct pairing *p, hr_value file, hr_value zoo);

/* The zoo's sum is in Paddle's order; the first two of any sum may be swapped without a trace. */
static bool pair_sums(struct pairing *p, hr_value file, hr_value zoo)
{
    hr_value a[MOST_TERMS], b[MOST_TERMS];
    int a_count = 0, b_count = 0;
    bool used[MOST_TERMS] = { false };
    if (!terms_of(&p->file, file, 0, a, &a_count) || !terms_of(&p->zoo, zoo, 0, b, &b_count) ||
        a_count != b_count)
        return false;
    for (int i = 0; i < b_count; i++) {
        int j = 0;
        while (j < a_count && (used[j] || p->file.hash[a[j]] != p->zoo.hash[b[i]]))
            j++;
        if (j == a_count || !pair(p, a[j], b[i]))
            return false;
        used[j] = true;
        p->other_order |= i > 1 && i != j;
    }
    return true;
}

/* Norms are looked through here and collected later. */
static const struct hr_node *layer_of(const struct side *s, hr_value x)
{
    const struct hr_node *node = producer(s, x);
    if (node && node->op == HR_OP_BATCH_NORM)
        node = producer(s, node->in[0]);
    return node;
}

static bool same_operator(const struct hr_node *a, const struct hr_node *b)
{
    return a->op == b->op && a->attr.kernel == b->attr.kernel && a->attr.stride == b->attr.stride &&
           a->attr.pad == b->attr.pad && a->attr.channels == b->attr.channels &&
           a->attr.factor == b->attr.factor && a->input_count == b->input_count;
}

static bool pair(struct pairing *p, hr_value file, hr_value zoo)
{
    const struct hr_node *a = layer_of(&p->file, file), *b = layer_of(&p->zoo, zoo);
    if (!a || !b)
        return !a && !b;
    const ptrdiff_t at = b - p->zoo.graph->nodes;
    if (p->node[at] != HR_NONE)
        return &p->file.graph->nodes[p->node[at]] == a;
    if (!same_operator(a, b))
        return false;
    p->node[at] = (int32_t)(a - p->file.graph->nodes);
    if (a->op == HR_OP_ADD)
        return pair_sums(p, a->out, b->out);
    for (int i = 0; i < a->input_count; i++)
        if (!pair(p, a->in[i], b->in[i]))
            return false;
    return true;
}

/* ---- Weights ---- */

struct weights {
    const struct pairing *p;
    const struct hr_store *from;
    struct hr_store *to;
};

static const struct hr_tensor *own_tensor(const struct weights *w, const struct hr_node *node,
                                          enum hr_role role)
{
    const hr_param param = node ? node->param[role] : HR_NONE;
    return param == HR_NONE ? NULL : hr_store_find(w->from, w->p->file.graph->params[param].name);
}

static enum hr_status add_as_it_is(const struct weights *w, const struct hr_graph_param *param,
                                   const struct hr_tensor *tensor)
{
    if (!tensor || !hr_shape_equal(&tensor->shape, &param->shape))
        return hr_fail(HR_E_MISMATCH, "%s is %s in the file; %s is wanted", param->name,
                       tensor ? hr_shape_str(&tensor->shape).s : "missing",
                       hr_shape_str(&param->shape).s);
    return hr_store_add(w->to, param->name, tensor);
}

/* Values [k] that the caller fills. */
static enum hr_status add_vector(const struct weights *w, const struct hr_graph_param *param,
                                 float value, float **out)
{
    void *data;
    HR_TRY(hr_store_add_owned(w->to, param->name, HR_DTYPE_F32, &param->shape, &data));
    *out = data;
    for (int64_t i = 0; i < param->shape.dim[0]; i++)
        (*out)[i] = value;
    return HR_OK;
}

/* tensor + sign * other + shift, element by element; both [k]. */
static enum hr_status add_moved(const struct weights *w, const struct hr_graph_param *param,
                                const struct hr_tensor *tensor, const struct hr_tensor *less,
                                float shift)
{
    float *values, *taken;
    HR_TRY(add_vector(w, param, 0, &values));
    if (!hr_shape_equal(&tensor->shape, &param->shape) ||
        (less && !hr_shape_equal(&less->shape, &param->shape)))
        return hr_fail(HR_E_MISMATCH, "%s is %s in the file; %s is wanted", param->name,
                       hr_shape_str(&tensor->shape).s, hr_shape_str(&param->shape).s);
    hr_tensor_to_f32(values, tensor);
    if (less) {
        if (!(taken = hr_mem_alloc((size_t)param->shape.dim[0], sizeof *taken)))
            return HR_E_MEMORY;
        hr_tensor_to_f32(taken, less);
        for (int64_t i = 0; i < param->shape.dim[0]; i++)
            values[i] -= taken[i];
        hr_mem_free(taken);
    }
    for (int64_t i = 0; i < param->shape.dim[0]; i++)
        values[i] += shift;
    return HR_OK;
}

/* A norm that does nothing: gamma 1 over sqrt((1 - epsilon) + epsilon), which rounds to 1. */
static enum hr_status add_no_norm(const struct weights *w, const struct hr_node *norm,
                                  const struct hr_tensor *bias)
{
    const struct hr_graph_param *params = w->p->zoo.graph->params;
    float *values;
    HR_TRY(add_vector(w, &params[norm->param[HR_ROLE_GAMMA]], 1, &values));
    if (bias)
        HR_TRY(add_as_it_is(w, &params[norm->param[HR_ROLE_BETA]], bias));
    else
        HR_TRY(add_vector(w, &params[norm->param[HR_ROLE_BETA]], 0, &values));
    HR_TRY(add_vector(w, &params[norm->param[HR_ROLE_MEAN]], 0, &values));
    return add_vector(w, &params[norm->param[HR_ROLE_VARIANCE]], 1 - norm->attr.epsilon, &values);
}

static enum hr_status add_norm(const struct weights *w, const struct hr_node *norm,
                               const struct hr_node *file_norm, const struct hr_tensor *bias)
{
    const struct hr_graph_param *params = w->p->zoo.graph->params;
    const struct hr_tensor *mean = own_tensor(w, file_norm, HR_ROLE_MEAN);
    const struct hr_tensor *variance = own_tensor(w, file_norm, HR_ROLE_VARIANCE);
    const float shift = file_norm->attr.epsilon - norm->attr.epsilon;
    if (!mean || !variance)
        return hr_fail(HR_E_MISMATCH, "%s: the norm has no statistics", norm->name);
    HR_TRY(add_as_it_is(w, &params[norm->param[HR_ROLE_GAMMA]],
                        own_tensor(w, file_norm, HR_ROLE_GAMMA)));
    HR_TRY(add_as_it_is(w, &params[norm->param[HR_ROLE_BETA]],
                        own_tensor(w, file_norm, HR_ROLE_BETA)));
    if (bias)
        HR_TRY(add_moved(w, &params[norm->param[HR_ROLE_MEAN]], mean, bias, 0));
    else
        HR_TRY(add_as_it_is(w, &params[norm->param[HR_ROLE_MEAN]], mean));
    if (shift != 0)
        return add_moved(w, &params[norm->param[HR_ROLE_VARIANCE]], variance, NULL, shift);
    return add_as_it_is(w, &params[norm->param[HR_ROLE_VARIANCE]], variance);
}

/* The norm that reads a convolution's result, or NULL. */
static const struct hr_node *norm_behind(const struct hr_graph *graph, const struct hr_node *conv)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == HR_OP_BATCH_NORM && graph->nodes[i].in[0] == conv->out)
            return &graph->nodes[i];
    return NULL;
}

static enum hr_status add_layer(const struct weights *w, const struct hr_node *node)
{
    const struct hr_graph *zoo = w->p->zoo.graph, *file = w->p->file.graph;
    const int32_t at = w->p->node[node - zoo->nodes];
    const struct hr_node *own = at == HR_NONE ? NULL : &file->nodes[at];
    const struct hr_tensor *bias = own_tensor(w, own, HR_ROLE_BIAS);
    HR_TRY(add_as_it_is(w, &zoo->params[node->param[HR_ROLE_WEIGHT]],
                        own_tensor(w, own, HR_ROLE_WEIGHT)));
    if (node->op == HR_OP_LINEAR)
        return add_as_it_is(w, &zoo->params[node->param[HR_ROLE_BIAS]], bias);
    const struct hr_node *norm = &node[1], *file_norm = norm_behind(file, own);
    return file_norm ? add_norm(w, norm, file_norm, bias) : add_no_norm(w, norm, bias);
}

static enum hr_status collect(struct hr_store **out, const struct pairing *p,
                              const struct hr_store *from)
{
    struct weights w = { p, from, NULL };
    const struct hr_graph *zoo = p->zoo.graph;
    HR_TRY(hr_store_create(&w.to));
    enum hr_status status = HR_OK;
    for (size_t i = 0; i < zoo->node_count && status == HR_OK; i++)
        if (zoo->nodes[i].op == HR_OP_CONV || zoo->nodes[i].op == HR_OP_LINEAR)
            status = add_layer(&w, &zoo->nodes[i]);
    if (status == HR_OK)
        *out = w.to;
    else
        hr_store_destroy(w.to);
    return status;
}

/* ---- The zoo, one after the other ---- */

/* HR_E_NOT_FOUND if the graph is not this network. */
static enum hr_status try_row(struct hr_store **out, struct hr_topology *is, struct pairing *p,
                              const struct hr_store *weights, const struct hr_graph *zoo)
{
    const struct hr_graph *file = p->file.graph;
    HR_TRY(side_init(&p->zoo, zoo));
    p->node = hr_mem_alloc(zoo->node_count, sizeof *p->node);
    if (!p->node)
        return HR_E_MEMORY;
    for (size_t i = 0; i < zoo->node_count; i++)
        p->node[i] = HR_NONE;
    if (p->file.hash[file->output] != p->zoo.hash[zoo->output] ||
        !pair(p, file->output, zoo->output))
        return HR_E_NOT_FOUND;
    is->fuse_order = p->other_order ? HR_FUSE_MICROSOFT : HR_FUSE_PADDLE;
    return collect(out, p, weights);
}

enum hr_status hr_topology_match(struct hr_store **out, struct hr_topology *is,
                                 const struct hr_graph *graph, const struct hr_store *weights)
{
    const struct hr_shape *logits = &graph->values[graph->output].shape;
    struct hr_hrnet_options options = { 1, PROBE, PROBE, 0, HR_FUSE_PADDLE };
    struct side file = { 0 };
    enum hr_status status = side_init(&file, graph);
    bool found = false;
    options.classes = logits->rank == 2 && logits->dim[1] <= MOST_CLASSES ? (int)logits->dim[1] : 1;
    for (size_t i = 0; i < hr_zoo_count() && status == HR_OK && !found; i++) {
        struct pairing p = { .file = file };
        struct hr_graph *zoo = NULL;
        status = hr_hrnet_build(&zoo, hr_zoo_row(i), &options);
        if (status == HR_OK)
            status = try_row(out, is, &p, weights, zoo);
        found = status == HR_OK;
        is->row = hr_zoo_row(i);
        if (status == HR_E_NOT_FOUND)
            status = HR_OK;
        side_fini(&p.zoo);
        hr_mem_free(p.node);
        hr_graph_destroy(zoo);
    }
    side_fini(&file);
    if (status == HR_OK && !found)
        return hr_fail(HR_E_NOT_FOUND, "its graph is that of no network that `hrnet models` lists");
    return status;
}
