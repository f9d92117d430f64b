/* SPDX-License-Identifier: Apache-2.0
 * The shared cache of packed weights.  Weights of any element type and stride are read where they
 * lie if they are plain floats, else through one scratch block of the largest tensor; batch norm is
 * folded into scale and bias on the way.  Once packed, a mapped tensor's pages are let go, so that
 * file and packed form are not resident together. */
#include "plan/pack.h"

#include <math.h>
#include <pthread.h>

#include "base/cpu.h"
#include "base/mem.h"

/* Below this a tensor is packed by the caller alone: waking others costs more. */
#define PARALLEL_BYTES ((size_t)128 << 10)
/* Tensors smaller than this stay mapped: their pages are shared with neighbours. */
#define FORGET_BYTES ((size_t)8 << 10)

/* What a packed form depends on.  `weight` is the store's own tensor, one a name. */
struct pack_key {
    const struct hr_tensor *weight;
    const void *kernel;
    size_t bytes, c, k;
};

struct pack_entry {
    struct pack_key key;
    void *block;
};

struct hr_packs {
    const struct hr_store *weights;
    pthread_mutex_t lock; /* held while packing: a second session waits and then finds it */
    struct pack_entry *entries;
    size_t count, capacity, bytes;
    float *scratch; /* weights as floats */
    size_t scratch_floats;
    float *vectors; /* scale, bias and what they are made of */
    size_t vector_floats;
};

enum hr_status hr_packs_create(struct hr_packs **out, const struct hr_store *weights)
{
    struct hr_packs *packs = hr_mem_alloc(1, sizeof *packs);
    if (!packs)
        return HR_E_MEMORY;
    packs->weights = weights;
    if (pthread_mutex_init(&packs->lock, NULL) != 0) {
        hr_mem_free(packs);
        return hr_fail(HR_E_MEMORY, "no lock for the packed weights could be made");
    }
    *out = packs;
    return HR_OK;
}

void hr_packs_destroy(struct hr_packs *packs)
{
    if (!packs)
        return;
    hr_packs_trim(packs);
    for (size_t i = 0; i < packs->count; i++)
        hr_mem_free(packs->entries[i].block);
    hr_mem_free(packs->entries);
    pthread_mutex_destroy(&packs->lock);
    hr_mem_free(packs);
}

void hr_packs_trim(struct hr_packs *packs)
{
    pthread_mutex_lock(&packs->lock);
    hr_mem_free(packs->scratch);
    hr_mem_free(packs->vectors);
    packs->scratch = packs->vectors = NULL;
    packs->scratch_floats = packs->vector_floats = 0;
    pthread_mutex_unlock(&packs->lock);
}

size_t hr_packs_bytes(struct hr_packs *packs)
{
    pthread_mutex_lock(&packs->lock);
    const size_t bytes = packs->bytes;
    pthread_mutex_unlock(&packs->lock);
    return bytes;
}

static void *find(const struct hr_packs *packs, const struct pack_key *key)
{
    for (size_t i = 0; i < packs->count; i++) {
        const struct pack_key *k = &packs->entries[i].key;
        if (k->weight == key->weight && k->kernel == key->kernel && k->bytes == key->bytes &&
            k->c == key->c && k->k == key->k)
            return packs->entries[i].block;
    }
    return NULL;
}

/* A block of key->bytes in the cache for the caller to fill, or NULL. */
static void *add(struct hr_packs *packs, const struct pack_key *key)
{
    if (hr_mem_grow((void **)&packs->entries, &packs->capacity, packs->count + 1,
                    sizeof *packs->entries) != HR_OK)
        return NULL;
    void *block = hr_mem_alloc_raw(key->bytes, 1);
    if (!block)
        return NULL;
    packs->entries[packs->count++] = (struct pack_entry){ *key, block };
    packs->bytes += key->bytes;
    return block;
}

/* The tensor of a node's parameter, or NULL in *out if the node has none in this role. */
static enum hr_status param_tensor(const struct hr_packs *packs, const struct hr_graph *graph,
                                   const struct hr_node *node, enum hr_role role,
                                   const struct hr_tensor **out)
{
    *out = NULL;
    if (node->param[role] == HR_NONE)
        return HR_OK;
    const struct hr_graph_param *param = &graph->params[node->param[role]];
    const struct hr_tensor *t = hr_store_find(packs->weights, param->name);
    if (!t)
        return hr_fail(HR_E_MISMATCH, "%s: the weights have no such tensor", param->name);
    if (!hr_shape_equal(&t->shape, &param->shape))
        return hr_fail(HR_E_MISMATCH, "%s has shape %s, but the network needs %s", param->name,
                       hr_shape_str(&t->shape).s, hr_shape_str(&param->shape).s);
    *out = t;
    return HR_OK;
}

static enum hr_status reserve(float **block, size_t *have, size_t floats)
{
    if (*have >= floats)
        return HR_OK;
    hr_mem_free(*block);
    *have = 0;
    *block = hr_mem_alloc_raw(floats, sizeof **block);
    if (!*block)
        return HR_E_MEMORY;
    *have = floats;
    return HR_OK;
}

/* ---- Weights as floats --------------------------------------------------------------------- */

struct convert_job {
    const struct hr_tensor *tensor;
    float *dst;
    size_t inner; /* elements a row of dimension 0 */
};

static void convert_task(void *context, size_t task, size_t task_count)
{
    const struct convert_job *job = context;
    const int64_t rows = job->tensor->shape.dim[0];
    const int64_t first = rows * (int64_t)task / (int64_t)task_count;
    const int64_t last = rows * (int64_t)(task + 1) / (int64_t)task_count;
    if (first == last)
        return;
    struct hr_tensor slice = *job->tensor;
    slice.shape.dim[0] = last - first;
    slice.data = (const uint8_t *)slice.data +
                 (size_t)(first * slice.stride[0]) * hr_dtype_bytes(slice.dtype);
    hr_tensor_to_f32(job->dst + (size_t)first * job->inner, &slice);
}

static void spread(struct hr_pool *pool, hr_task_fn *fn, void *job, size_t bytes)
{
    const size_t parts = pool && bytes >= PARALLEL_BYTES ? 4 * (size_t)hr_pool_threads(pool) : 1;
    if (parts == 1)
        fn(job, 0, 1);
    else
        hr_pool_run(pool, fn, job, parts);
}

static bool plain_floats(const struct hr_tensor *t)
{
    return t->dtype == HR_DTYPE_F32 && (uintptr_t)t->data % sizeof(float) == 0 &&
           hr_tensor_contiguous(t);
}

/* Row-major floats of `t`: its own bytes, or packs->scratch. */
static enum hr_status as_floats(struct hr_packs *packs, const struct hr_tensor *t,
                                struct hr_pool *pool, const float **out)
{
    if (plain_floats(t)) {
        *out = t->data;
        return HR_OK;
    }
    size_t elements;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    HR_TRY(reserve(&packs->scratch, &packs->scratch_floats, elements));
    struct convert_job job = { t, packs->scratch, elements / (size_t)t->shape.dim[0] };
    spread(pool, convert_task, &job, elements * sizeof(float));
    *out = packs->scratch;
    return HR_OK;
}

/* ---- Batch norm ---------------------------------------------------------------------------- */

/* y = scale * conv + bias, with NULL for what the node has not. */
struct folded {
    const float *scale, *bias;
};

static enum hr_status fold(float *scale, float *bias, const float *const of[HR_ROLE_COUNT],
                           double epsilon, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        const double spread_of = sqrt((double)of[HR_ROLE_VARIANCE][i] + epsilon);
        const double s = (double)of[HR_ROLE_GAMMA][i] / spread_of;
        const double b = of[HR_ROLE_BIAS] ? (double)of[HR_ROLE_BIAS][i] : 0.0;
        scale[i] = (float)s;
        bias[i] = (float)((double)of[HR_ROLE_BETA][i] + (b - (double)of[HR_ROLE_MEAN][i]) * s);
        if (!isfinite(scale[i]) || !isfinite(bias[i]))
            return hr_fail(HR_E_MISMATCH,
                           "%s: the batch norm of channel %zu is not finite (variance %g, weight "
                           "%g, epsilon %g); the weights are damaged",
                           name, i, (double)of[HR_ROLE_VARIANCE][i], (double)of[HR_ROLE_GAMMA][i],
                           epsilon);
    }
    return HR_OK;
}

/* Reads bias and norm of a node of `count` outputs into packs->vectors. */
static enum hr_status fold_vectors(struct hr_packs *packs, const struct hr_graph *graph,
                                   const struct hr_node *node, size_t count, struct folded *out)
{
    size_t floats;
    if (!hr_size_mul(&floats, count, HR_ROLE_COUNT + 2))
        return hr_fail(HR_E_LIMIT, "%s: %zu outputs are too many", node->name, count);
    HR_TRY(reserve(&packs->vectors, &packs->vector_floats, floats));

    const float *of[HR_ROLE_COUNT] = { NULL };
    for (int role = HR_ROLE_BIAS; role < HR_ROLE_COUNT; role++) {
        const struct hr_tensor *t;
        HR_TRY(param_tensor(packs, graph, node, (enum hr_role)role, &t));
        if (!t)
            continue;
        size_t elements;
        HR_TRY(hr_shape_elements(&t->shape, &elements));
        if (elements != count)
            return hr_fail(HR_E_MISMATCH, "%s has %zu elements, but its layer has %zu outputs",
                           graph->params[node->param[role]].name, elements, count);
        float *dst = packs->vectors + (size_t)role * count;
        hr_tensor_to_f32(dst, t);
        of[role] = dst;
    }
    *out = (struct folded){ NULL, of[HR_ROLE_BIAS] };
    if (!of[HR_ROLE_VARIANCE])
        return HR_OK;
    if (!of[HR_ROLE_GAMMA] || !of[HR_ROLE_BETA] || !of[HR_ROLE_MEAN])
        return hr_fail(HR_E_INTERNAL, "%s: a batch norm without all of its parameters", node->name);
    float *scale = packs->vectors + (size_t)HR_ROLE_COUNT * count, *bias = scale + count;
    HR_TRY(fold(scale, bias, of, (double)node->attr.epsilon, count,
                graph->params[node->param[HR_ROLE_VARIANCE]].name));
    *out = (struct folded){ scale, bias };
    return HR_OK;
}

/* ---- Packing ------------------------------------------------------------------------------- */

struct conv_job {
    const struct hr_conv_kernel *kernel;
    const struct hr_conv_shape *shape;
    const float *w;
    struct folded f;
    void *packed;
};

static void conv_task(void *context, size_t task, size_t task_count)
{
    const struct conv_job *job = context;
    job->kernel->pack(job->packed, job->shape, job->w, job->f.scale, job->f.bias, task, task_count);
}

static enum hr_status pack_conv(struct hr_packs *packs, const struct hr_graph *graph,
                                const struct hr_node *node, const struct hr_conv_kernel *kernel,
                                const struct hr_conv_shape *shape, struct hr_pool *pool,
                                const void **out)
{
    const struct hr_tensor *weight;
    HR_TRY(param_tensor(packs, graph, node, HR_ROLE_WEIGHT, &weight));
    if (!weight)
        return hr_fail(HR_E_INTERNAL, "%s: a convolution without weights", node->name);
    const struct pack_key key = { weight, kernel, kernel->packed_bytes(shape), shape->c, shape->k };
    const void *known = find(packs, &key);
    if (known) {
        *out = known;
        return HR_OK;
    }

    struct conv_job job = { .kernel = kernel, .shape = shape };
    HR_TRY(fold_vectors(packs, graph, node, shape->k, &job.f));
    HR_TRY(as_floats(packs, weight, pool, &job.w));
    job.packed = add(packs, &key);
    if (!job.packed)
        return HR_E_MEMORY;
    spread(pool, conv_task, &job, key.bytes);
    if (key.bytes >= FORGET_BYTES)
        hr_store_forget(packs->weights, weight);
    *out = job.packed;
    return HR_OK;
}

enum hr_status hr_packs_conv(struct hr_packs *packs, const struct hr_graph *graph,
                             const struct hr_node *node, const struct hr_conv_kernel *kernel,
                             const struct hr_conv_shape *shape, struct hr_pool *pool,
                             const void **out)
{
    /* Workers flush denormals; so must this thread, or bits would depend on who packs. */
    pthread_mutex_lock(&packs->lock);
    const uint32_t fp = hr_fp_enter();
    const enum hr_status status = pack_conv(packs, graph, node, kernel, shape, pool, out);
    hr_fp_leave(fp);
    pthread_mutex_unlock(&packs->lock);
    return status;
}

struct linear_job {
    const struct hr_linear_kernel *kernel;
    const struct hr_linear_shape *shape;
    const float *w, *bias;
    bool transposed;
    void *packed;
};

static void linear_task(void *context, size_t task, size_t task_count)
{
    const struct linear_job *job = context;
    job->kernel->pack(job->packed, job->shape, job->w, job->transposed, job->bias, task,
                      task_count);
}

static enum hr_status pack_linear(struct hr_packs *packs, const struct hr_graph *graph,
                                  const struct hr_node *node, const struct hr_linear_kernel *kernel,
                                  const struct hr_linear_shape *shape, struct hr_pool *pool,
                                  const void **out)
{
    const struct hr_tensor *weight;
    HR_TRY(param_tensor(packs, graph, node, HR_ROLE_WEIGHT, &weight));
    if (!weight)
        return hr_fail(HR_E_INTERNAL, "%s: a linear layer without weights", node->name);
    const struct pack_key key = { weight, kernel, kernel->packed_bytes(shape), shape->c, shape->k };
    const void *known = find(packs, &key);
    if (known) {
        *out = known;
        return HR_OK;
    }

    struct linear_job job = { .kernel = kernel, .shape = shape };
    struct folded f;
    HR_TRY(fold_vectors(packs, graph, node, shape->k, &f));
    job.bias = f.bias;
    /* PyTorch's [out,in] arrives as a view of [in,out] with swapped strides: read it as it lies. */
    struct hr_tensor turned = *weight;
    turned.shape.dim[0] = weight->shape.dim[1];
    turned.shape.dim[1] = weight->shape.dim[0];
    turned.stride[0] = weight->stride[1];
    turned.stride[1] = weight->stride[0];
    job.transposed = !plain_floats(weight) && plain_floats(&turned);
    if (job.transposed)
        job.w = turned.data;
    else
        HR_TRY(as_floats(packs, weight, pool, &job.w));
    job.packed = add(packs, &key);
    if (!job.packed)
        return HR_E_MEMORY;
    spread(pool, linear_task, &job, key.bytes);
    if (key.bytes >= FORGET_BYTES)
        hr_store_forget(packs->weights, weight);
    *out = job.packed;
    return HR_OK;
}

enum hr_status hr_packs_linear(struct hr_packs *packs, const struct hr_graph *graph,
                               const struct hr_node *node, const struct hr_linear_kernel *kernel,
                               const struct hr_linear_shape *shape, struct hr_pool *pool,
                               const void **out)
{
    pthread_mutex_lock(&packs->lock);
    const uint32_t fp = hr_fp_enter();
    const enum hr_status status = pack_linear(packs, graph, node, kernel, shape, pool, out);
    hr_fp_leave(fp);
    pthread_mutex_unlock(&packs->lock);
    return status;
}
