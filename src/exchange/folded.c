/* SPDX-License-Identifier: Apache-2.0
 * Batch norms multiplied into their convolutions.  The graph's own rewrite gives a convolution the
 * norm's parameters; here they become two tensors of a store. */
#include "exchange/folded.h"

#include "base/mem.h"
#include "graph/rewrite.h"

struct folding {
    struct hr_graph *graph;
    const struct hr_store *weights;
    struct hr_store *out;
};

static struct hr_graph_param *param_of(const struct folding *f, const struct hr_node *node,
                                       int role)
{
    return node->param[role] == HR_NONE ? NULL : &f->graph->params[node->param[role]];
}

static enum hr_status find(const struct folding *f, const struct hr_graph_param *param,
                           const struct hr_tensor **out)
{
    *out = hr_store_find(f->weights, param->name);
    return *out ? HR_OK : hr_fail(HR_E_INTERNAL, "the weights have no %s", param->name);
}

/* All parameters of a node as they are. */
static enum hr_status keep(const struct folding *f, const struct hr_node *node)
{
    for (int role = 0; role < HR_ROLE_COUNT; role++) {
        const struct hr_graph_param *param = param_of(f, node, role);
        const struct hr_tensor *t;
        if (!param)
            continue;
        HR_TRY(find(f, param, &t));
        HR_TRY(hr_store_add(f->out, param->name, t));
    }
    return HR_OK;
}

/* weight [k][taps], multiplied by scale [k]; bias [k].  part: the parameters by role. */
static enum hr_status multiply(const struct folding *f, const struct hr_node *node,
                               const float *const part[HR_ROLE_COUNT], float *weight, float *bias)
{
    const struct hr_shape *shape = &param_of(f, node, HR_ROLE_WEIGHT)->shape;
    const size_t k = (size_t)shape->dim[0];
    const size_t taps = (size_t)(shape->dim[1] * shape->dim[2] * shape->dim[3]);
    float *scale = hr_mem_alloc(k, sizeof *scale);
    if (!scale)
        return HR_E_MEMORY;
    const enum hr_status status = hr_fold_factors(scale, bias, part, node->attr.epsilon, k,
                                                  param_of(f, node, HR_ROLE_VARIANCE)->name);
    for (size_t i = 0; i < k * taps && status == HR_OK; i++)
        weight[i] = part[HR_ROLE_WEIGHT][i] * scale[i / taps];
    hr_mem_free(scale);
    return status;
}

/* The norm's parameters go, beta's place is the bias's. */
static enum hr_status rename_params(const struct folding *f, struct hr_node *node)
{
    if (node->param[HR_ROLE_BIAS] == HR_NONE) {
        const char *name = hr_arena_printf(&f->graph->arena, "%s.bias", node->name);
        if (!name)
            return HR_E_MEMORY;
        node->param[HR_ROLE_BIAS] = node->param[HR_ROLE_BETA];
        param_of(f, node, HR_ROLE_BIAS)->name = name;
    }
    for (int role = HR_ROLE_GAMMA; role < HR_ROLE_COUNT; role++)
        node->param[role] = HR_NONE;
    return HR_OK;
}

/* The parameters as floats where they lie, or made; the caller frees made[]. */
static enum hr_status floats_of(const struct folding *f, const struct hr_node *node,
                                const float *part[HR_ROLE_COUNT], float *made[HR_ROLE_COUNT])
{
    for (int role = 0; role < HR_ROLE_COUNT; role++) {
        const struct hr_tensor *t;
        if (!param_of(f, node, role))
            continue;
        HR_TRY(find(f, param_of(f, node, role), &t));
        HR_TRY(hr_tensor_floats(&part[role], &made[role], t));
    }
    return HR_OK;
}

static enum hr_status add_owned(const struct folding *f, const struct hr_graph_param *param,
                                float **out)
{
    void *data;
    HR_TRY(hr_store_add_owned(f->out, param->name, HR_DTYPE_F32, &param->shape, &data));
    *out = data;
    return HR_OK;
}

static enum hr_status fold(const struct folding *f, struct hr_node *node)
{
    const struct hr_node before = *node;
    const float *part[HR_ROLE_COUNT] = { NULL };
    float *made[HR_ROLE_COUNT] = { NULL }, *weight = NULL, *bias = NULL;
    enum hr_status status = floats_of(f, node, part, made);
    if (status == HR_OK)
        status = rename_params(f, node);
    if (status == HR_OK)
        status = add_owned(f, param_of(f, node, HR_ROLE_WEIGHT), &weight);
    if (status == HR_OK)
        status = add_owned(f, param_of(f, node, HR_ROLE_BIAS), &bias);
    if (status == HR_OK)
        status = multiply(f, &before, part, weight, bias);
    for (int role = 0; role < HR_ROLE_COUNT; role++)
        hr_mem_free(made[role]);
    return status;
}

enum hr_status hr_exchange_fold(struct hr_store **out, struct hr_graph *graph,
                                const struct hr_store *weights)
{
    struct folding f = { graph, weights, NULL };
    HR_TRY(hr_rewrite_fold_batch_norm(graph));
    HR_TRY(hr_store_create(&f.out));
    enum hr_status status = HR_OK;
    for (size_t i = 0; i < graph->node_count && status == HR_OK; i++) {
        struct hr_node *node = &graph->nodes[i];
        const bool folded = node->op == HR_OP_CONV && node->param[HR_ROLE_GAMMA] != HR_NONE;
        status = folded ? fold(&f, node) : keep(&f, node);
    }
    if (status == HR_OK)
        status = hr_rewrite_drop_dead(graph);
    if (status == HR_OK)
        *out = f.out;
    else
        hr_store_destroy(f.out);
    return status;
}
