/* SPDX-License-Identifier: Apache-2.0
 * A frozen tape is run forward and back, and its features are summed over their channels. */
#include "train/explain.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "session/session.h"
#include "train/tape.h"

struct hr_explainer {
    struct hr_kernels kernels;
    struct hr_pool *pool;
    struct hr_tape *tape;
    float *params, *dlogits;
    float *value, *gradient; /* of one feature */
    double *sums;            /* of one map */
};

/* Names what the head pools, where nothing else has. */
static void name_last(struct hr_graph *graph)
{
    const struct hr_graph_value *y = &graph->values[graph->output];
    const struct hr_node *linear = y->producer >= 0 ? &graph->nodes[y->producer] : NULL;
    if (!linear || linear->op != HR_OP_LINEAR)
        return;
    const int32_t before = graph->values[linear->in[0]].producer;
    if (before < 0 || graph->nodes[before].op != HR_OP_GLOBAL_POOL)
        return;
    struct hr_graph_value *last = &graph->values[graph->nodes[before].in[0]];
    if (!last->feature)
        last->feature = "last";
}

static enum hr_status make_tape(struct hr_explainer *e, const struct hr_model *model,
                                const struct hr_explainer_options *o)
{
    struct hr_graph *graph = NULL;
    hr_kernels_init(&e->kernels, hr_cpu_get()->flags & o->cpu_flags);
    if (o->threads > 1)
        HR_TRY(hr_pool_create(&e->pool, o->threads));
    HR_TRY(hr_model_graph(model, 1, o->height, o->width, &graph));
    name_last(graph);
    const struct hr_tape_options tape = { .kernels = &e->kernels,
                                          .pool = e->pool,
                                          .frozen = true,
                                          .features = o->features,
                                          .feature_count = o->feature_count };
    const enum hr_status status = hr_tape_create(&e->tape, graph, &tape);
    hr_graph_destroy(graph);
    return status;
}

static enum hr_status make_buffers(struct hr_explainer *e, size_t feature_count)
{
    size_t most = 0, sums = 0;
    for (size_t i = 0; i < feature_count; i++) {
        const struct hr_shape s = hr_tape_feature_shape(e->tape, i);
        const size_t channels = (size_t)s.dim[1], pixels = (size_t)(s.dim[2] * s.dim[3]);
        most = channels * pixels > most ? channels * pixels : most;
        sums = pixels > sums ? pixels : sums;
    }
    e->params = hr_mem_alloc(hr_tape_floats(e->tape), sizeof *e->params);
    e->dlogits = hr_mem_alloc(hr_tape_classes(e->tape), sizeof *e->dlogits);
    e->value = hr_mem_alloc(most, sizeof *e->value);
    e->gradient = hr_mem_alloc(most, sizeof *e->gradient);
    e->sums = hr_mem_alloc(sums, sizeof *e->sums);
    return e->params && e->dlogits && e->value && e->gradient && e->sums ? HR_OK : HR_E_MEMORY;
}

enum hr_status hr_explainer_create(struct hr_explainer **out, const struct hr_model *model,
                                   const struct hr_explainer_options *options)
{
    struct hr_explainer *e = hr_mem_alloc(1, sizeof *e);
    if (!e)
        return HR_E_MEMORY;
    enum hr_status status = make_tape(e, model, options);
    if (status == HR_OK)
        status = make_buffers(e, options->feature_count);
    if (status == HR_OK)
        status = hr_tape_load(e->tape, hr_model_weights(model), e->params);
    if (status == HR_OK) {
        *out = e;
        e = NULL;
    }
    hr_explainer_destroy(e);
    return status;
}

void hr_explainer_destroy(struct hr_explainer *e)
{
    if (!e)
        return;
    hr_tape_destroy(e->tape);
    hr_pool_destroy(e->pool);
    hr_mem_free(e->params);
    hr_mem_free(e->dlogits);
    hr_mem_free(e->value);
    hr_mem_free(e->gradient);
    hr_mem_free(e->sums);
    hr_mem_free(e);
}

size_t hr_explainer_run(struct hr_explainer *e, const float *x, int class_index, float *logits)
{
    const size_t classes = hr_tape_classes(e->tape);
    size_t class = (size_t)class_index;
    hr_tape_forward(e->tape, e->params, 1, x, logits);
    if (class_index < 0)
        (void)hr_top_k(&class, 1, logits, classes);
    memset(e->dlogits, 0, classes * sizeof *e->dlogits);
    e->dlogits[class] = 1;
    hr_tape_backward(e->tape, e->params, e->dlogits, NULL, NULL);
    return class;
}

struct hr_shape hr_explainer_shape(const struct hr_explainer *e, size_t index)
{
    return hr_tape_feature_shape(e->tape, index);
}

static double mean(const float *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i];
    return sum / (double)count;
}

/* What a channel adds to the map. */
static void add_channel(double *map, enum hr_explain_method method, const float *value,
                        const float *gradient, size_t pixels)
{
    const double weight = method == HR_EXPLAIN_GRAD_CAM ? mean(gradient, pixels) : 0;
    for (size_t p = 0; p < pixels; p++) {
        const double g = (double)gradient[p];
        const double factor = method == HR_EXPLAIN_CAM         ? g * (double)pixels
                              : method == HR_EXPLAIN_LAYER_CAM ? fmax(g, 0)
                                                               : weight;
        map[p] += factor * (double)value[p];
    }
}

void hr_explainer_map(struct hr_explainer *e, enum hr_explain_method method, size_t index,
                      float *map)
{
    const struct hr_shape s = hr_tape_feature_shape(e->tape, index);
    const size_t channels = (size_t)s.dim[1], pixels = (size_t)(s.dim[2] * s.dim[3]);
    hr_tape_feature(e->tape, index, e->value, e->gradient);
    memset(e->sums, 0, pixels * sizeof *e->sums);
    for (size_t k = 0; k < channels; k++)
        add_channel(e->sums, method, e->value + k * pixels, e->gradient + k * pixels, pixels);
    for (size_t p = 0; p < pixels; p++)
        map[p] = (float)(method == HR_EXPLAIN_CAM ? e->sums[p] : fmax(e->sums[p], 0));
}
