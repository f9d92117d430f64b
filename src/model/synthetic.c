/* SPDX-License-Identifier: Apache-2.0
 * Deterministic weights and inputs: every value is a pure function of a name and an element index,
 * so that any implementation can rebuild the same network without a weight file.  The same recipe
 * made the golden answers of tests/golden.  For tests and benchmarks only.
 *
 *   h = FNV-1a-64(name),  z = splitmix64 at h + (i + 1) * golden,  u = (z >> 40) / 2^24,
 *   r = 2u - 1; values are computed in double and rounded once to float.
 * Both are in base/hash.h. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "graph/graph.h"
#include "model/hrnet.h"
#include "model/model.h"

/* u of element i, exact in float: 24 bits. */
HR_INLINE double unit(uint64_t h, uint64_t i)
{
    return (double)(int64_t)(hr_hash_mix(h + (i + 1) * HR_HASH_STEP) >> 40) / 16777216.0;
}

void hr_synthetic_fill(float *x, size_t count, const char *name)
{
    const uint64_t h = hr_hash_text(name);

    for (size_t i = 0; i < count; i++)
        x[i] = (float)(4.0 * unit(h, i) - 2.0);
}

/* x = r * amplitude */
static void fill_signed(float *x, size_t count, uint64_t h, double amplitude)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((2.0 * unit(h, i) - 1.0) * amplitude);
}

/* x = gain * (0.8 + 0.4 u) */
static void fill_positive(float *x, size_t count, uint64_t h, double gain)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(gain * (0.8 + 0.4 * unit(h, i)));
}

/* A norm that feeds a sum is small, so that sums of many terms keep the size of activations. */
static bool feeds_a_sum(const char *name)
{
    return strstr(name, "residual_func_list") || hr_text_ends(name, "conv3.bn.weight") ||
           hr_text_ends(name, "conv_down.bn.weight") ||
           (strstr(name, "basic_block_list") && hr_text_ends(name, "conv2.bn.weight"));
}

static void fill_parameter(float *x, size_t count, const char *name, const struct hr_shape *shape)
{
    const uint64_t h = hr_hash_text(name);

    if (hr_text_ends(name, "conv.weight")) {
        double fan_in = (double)(shape->dim[1] * shape->dim[2] * shape->dim[3]);

        fill_signed(x, count, h, sqrt(6.0 / fan_in));
    } else if (hr_text_ends(name, "bn.weight")) {
        fill_positive(x, count, h, feeds_a_sum(name) ? 0.3 : 1.0);
    } else if (hr_text_ends(name, "bn.bias") || hr_text_ends(name, "_mean")) {
        fill_signed(x, count, h, 0.2);
    } else if (hr_text_ends(name, "_variance")) {
        fill_positive(x, count, h, 1.0);
    } else if (hr_text_ends(name, "weight")) {
        fill_signed(x, count, h, sqrt(3.0 / (double)shape->dim[0]));
    } else {
        fill_signed(x, count, h, 0.1);
    }
}

static enum hr_status add_parameter(struct hr_store *store, const struct hr_graph_param *param)
{
    size_t count;
    void *data;

    HR_TRY(hr_shape_elements(&param->shape, &count));
    HR_TRY(hr_store_add_owned(store, param->name, HR_DTYPE_F32, &param->shape, &data));
    fill_parameter(data, count, param->name, &param->shape);
    return HR_OK;
}

enum hr_status hr_synthetic_weights(struct hr_store **out, const struct hr_zoo_row *row,
                                    int classes)
{
    const struct hr_hrnet_options options = {
        .n = 1, .height = 32, .width = 32, .classes = classes
    };
    struct hr_graph *graph = NULL;
    struct hr_store *store = NULL;
    enum hr_status status;

    status = hr_hrnet_build(&graph, row, &options);
    if (status == HR_OK)
        status = hr_store_create(&store);
    for (size_t i = 0; status == HR_OK && i < graph->param_count; i++)
        status = add_parameter(store, &graph->params[i]);
    if (status == HR_OK) {
        *out = store;
        store = NULL;
    }
    hr_store_destroy(store);
    hr_graph_destroy(graph);
    return status;
}
