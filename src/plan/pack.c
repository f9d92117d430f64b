/* SPDX-License-Identifier: Apache-2.0
 * The shared cache of packed weights.  Weights of any element type and stride are read where they
 * lie if they are plain floats, else through one scratch block of the largest tensor; batch norm is
 * folded into scale and bias on the way.  Once packed, a mapped tensor's pages are let go, so that
 * file and packed form are not resident together. */
#include "plan/pack.h"

#include <pthread.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "graph/rewrite.h"

/* Below this a tensor is packed by the caller alone: waking others costs more. */
#define PARALLEL_BYTES ((size_t)128 << 10)
/* A large tensor is packed this much at a time, and let go in between: its two forms are never
 * resident as a whole.  Smaller pays for more rounds, larger shows in the peak of memory. */
#define ROUND_BYTES ((size_t)2 << 20)
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
    const void *packed;
};

/* Packed forms made together lie in one block: large pages can hold it. */
struct pack_slab {
    struct pack_slab *next;
    uint8_t *data;
    size_t used;
};

struct hr_packs {
    const struct hr_store *weights;
    pthread_mutex_t lock; /* held while packing: a second session waits and then finds it */
    struct pack_entry *entries;
    size_t count, capacity, bytes;
    struct pack_slab *slabs; /* newest first */
    float *scratch;          /* weights as floats */
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
    while (packs->slabs) {
        struct pack_slab *slab = packs->slabs;
        packs->slabs = slab->next;
        hr_mem_free(slab->data);
        hr_mem_free(slab);
    }
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

static const void *find(const struct hr_packs *packs, const struct pack_key *key)
{
    for (size_t i = 0; i < packs->count; i++) {
        const struct pack_key *k = &packs->entries[i].key;
        if (k->weight == key->weight && k->kernel == key->kernel && k->bytes == key->bytes &&
            k->c == key->c && k->k == key->k)
            return packs->entries[i].packed;
    }
    return NULL;
}

/* Room for `count` entries of `bytes` in all. */
static enum hr_status add_slab(struct hr_packs *packs, size_t count, size_t bytes)
{
    HR_TRY(hr_mem_grow((void **)&packs->entries, &packs->capacity, packs->count + count,
                       sizeof *packs->entries));
    struct pack_slab *slab = hr_mem_alloc(1, sizeof *slab);
    uint8_t *data = slab ? hr_mem_alloc_raw(bytes, 1) : NULL;
    if (!data) {
        hr_mem_free(slab);
        return HR_E_MEMORY;
    }
    hr_mem_prefer_huge(data, bytes);
    *slab = (struct pack_slab){ packs->slabs, data, 0 };
    packs->slabs = slab;
    return HR_OK;
}

/* Room for one packed form in the newest slab. */
static void *take(struct hr_packs *packs, size_t bytes)
{
    struct pack_slab *slab = packs->slabs;
    void *block = slab->data + slab->used;
    slab->used += bytes;
    return block;
}

static void remember(struct hr_packs *packs, const struct pack_key *key, const void *packed)
{
    packs->entries[packs->count++] = (struct pack_entry){ *key, packed };
    packs->bytes += key->bytes;
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

static size_t parts_of(const struct hr_pool *pool, size_t bytes)
{
    return pool && bytes >= PARALLEL_BYTES ? hr_pool_threads(pool) : 1;
}

static void spread(struct hr_pool *pool, hr_task_fn *fn, void *job, size_t parts)
{
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
    spread(pool, convert_task, &job, parts_of(pool, elements * sizeof(float)));
    *out = packs->scratch;
    return HR_OK;
}

/* ---- Batch norm ---------------------------------------------------------------------------- */

/* y = scale * conv + bias, with NULL for what the node has not. */
struct folded {
    const float *scale, *bias;
};

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
    HR_TRY(hr_fold_factors(scale, bias, of, node->attr.epsilon, count,
                           graph->params[node->param[HR_ROLE_VARIANCE]].name));
    *out = (struct folded){ scale, bias };
    return HR_OK;
}

/* ---- Packing ------------------------------------------------------------------------------- */

/* What the tasks of one job share. */
struct packing {
    const struct hr_pack_job *job;
    const float *w;
    struct folded f;
    bool transposed; /* LINEAR: w is [k][c] */
    void *packed;
    size_t round, rounds; /* tasks of this round, of all */
};

static void conv_task(void *context, size_t task, size_t task_count)
{
    const struct packing *p = context;
    p->job->conv->pack(p->packed, p->job->conv_shape, p->w, p->f.scale, p->f.bias,
                       p->round * task_count + task, p->rounds * task_count);
}

static void linear_task(void *context, size_t task, size_t task_count)
{
    const struct packing *p = context;
    p->job->linear->pack(p->packed, p->job->linear_shape, p->w, p->transposed, p->f.bias,
                         p->round * task_count + task, p->rounds * task_count);
}

static enum hr_status key_of(const struct hr_packs *packs, const struct hr_graph *graph,
                             const struct hr_pack_job *job, struct pack_key *out)
{
    const struct hr_tensor *weight;
    HR_TRY(param_tensor(packs, graph, job->node, HR_ROLE_WEIGHT, &weight));
    if (!weight)
        return hr_fail(HR_E_INTERNAL, "%s: a layer without weights", job->node->name);
    if (job->conv)
        *out = (struct pack_key){ weight, job->conv, job->conv->packed_bytes(job->conv_shape),
                                  job->conv_shape->c, job->conv_shape->k };
    else
        *out = (struct pack_key){ weight, job->linear, job->linear->packed_bytes(job->linear_shape),
                                  job->linear_shape->c, job->linear_shape->k };
    out->bytes = hr_round_up(out->bytes, HR_ALIGN_BYTES);
    return HR_OK;
}

/* PyTorch's linear weights [out,in] arrive as a view of [in,out] with swapped strides: they are
 * read as they lie. */
static bool lies_transposed(const struct hr_tensor *weight)
{
    struct hr_tensor turned = *weight;
    turned.shape.dim[0] = weight->shape.dim[1];
    turned.shape.dim[1] = weight->shape.dim[0];
    turned.stride[0] = weight->stride[1];
    turned.stride[1] = weight->stride[0];
    return !plain_floats(weight) && plain_floats(&turned);
}

/* Lets go of the rows that round `round` has packed, if parts are ranges of rows; if a kernel cuts
 * otherwise, pages come back when they are read. */
static void forget_round(const struct hr_packs *packs, const struct hr_tensor *t, size_t round,
                         size_t rounds)
{
    struct hr_tensor rows = *t;
    const int64_t count = t->shape.dim[0];
    const int64_t first = count * (int64_t)round / (int64_t)rounds;
    rows.shape.dim[0] = count * (int64_t)(round + 1) / (int64_t)rounds - first;
    rows.data =
        (const uint8_t *)t->data + (size_t)(first * t->stride[0]) * hr_dtype_bytes(t->dtype);
    hr_store_forget(packs->weights, &rows);
}

static enum hr_status pack_one(struct hr_packs *packs, const struct hr_graph *graph,
                               const struct hr_pack_job *job, const struct pack_key *key,
                               struct hr_pool *pool)
{
    struct packing p = { .job = job };
    HR_TRY(fold_vectors(packs, graph, job->node, key->k, &p.f));
    p.transposed = job->linear && lies_transposed(key->weight);
    if (p.transposed)
        p.w = key->weight->data;
    else
        HR_TRY(as_floats(packs, key->weight, pool, &p.w));
    p.packed = take(packs, key->bytes);
    p.rounds = 1 + key->bytes / ROUND_BYTES;
    for (; p.round < p.rounds; p.round++) {
        spread(pool, job->conv ? conv_task : linear_task, &p, parts_of(pool, key->bytes));
        if (p.rounds > 1)
            forget_round(packs, key->weight, p.round, p.rounds);
    }
    if (key->bytes >= FORGET_BYTES)
        hr_store_forget(packs->weights, key->weight);
    remember(packs, key, p.packed);
    return HR_OK;
}

static enum hr_status make(struct hr_packs *packs, const struct hr_graph *graph,
                           const struct hr_pack_job *jobs, size_t count, struct hr_pool *pool)
{
    struct pack_key key;
    size_t new_count = 0, new_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        HR_TRY(key_of(packs, graph, &jobs[i], &key));
        if (find(packs, &key))
            continue;
        new_count++;
        if (!hr_size_add(&new_bytes, new_bytes, key.bytes))
            return hr_fail(HR_E_LIMIT, "packed weights are larger than can be addressed");
    }
    if (new_count > 0)
        HR_TRY(add_slab(packs, new_count, new_bytes));
    for (size_t i = 0; i < count; i++) {
        HR_TRY(key_of(packs, graph, &jobs[i], &key));
        if (!find(packs, &key))
            HR_TRY(pack_one(packs, graph, &jobs[i], &key, pool));
        *jobs[i].out = find(packs, &key);
    }
    return HR_OK;
}

enum hr_status hr_packs_make(struct hr_packs *packs, const struct hr_graph *graph,
                             const struct hr_pack_job *jobs, size_t count, struct hr_pool *pool)
{
    pthread_mutex_lock(&packs->lock);
    /* Workers flush denormals; so must this thread, or bits would depend on who packs. */
    const uint32_t fp = hr_fp_enter();
    const enum hr_status status = make(packs, graph, jobs, count, pool);
    hr_fp_leave(fp);
    pthread_mutex_unlock(&packs->lock);
    return status;
}
