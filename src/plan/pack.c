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

/* Threads pack pieces of about this size, several small tensors or parts of a large one side by
 * side.  A round is PIECES_A_THREAD of them a thread; in between, what is packed is let go, so that
 * the two forms of the weights are never resident as a whole.  Smaller pays for more rounds, larger
 * shows in the peak of memory. */
#define PIECE_BYTES     ((size_t)128 << 10)
#define PIECES_A_THREAD 8
#define ROUND_PIECES    64 /* at most */
/* Tensors smaller than this stay mapped: their pages are shared with neighbours. */
#define FORGET_BYTES ((size_t)128 << 10)

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

/* Row-major floats of `t`: its own bytes, or a block that *owned receives. */
static enum hr_status as_floats(const float **out, float **owned, const struct hr_tensor *t,
                                struct hr_pool *pool)
{
    size_t elements;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    if (!pool || elements * sizeof(float) < PIECE_BYTES || hr_tensor_plain(t))
        return hr_tensor_floats(out, owned, t);
    *out = *owned = hr_mem_alloc_raw(elements, sizeof **owned);
    if (!*owned)
        return HR_E_MEMORY;
    struct convert_job job = { t, *owned, elements / (size_t)t->shape.dim[0] };
    hr_pool_run(pool, convert_task, &job, hr_pool_threads(pool));
    return HR_OK;
}

/* ---- Batch norm ---------------------------------------------------------------------------- */

/* y = scale * conv + bias, with NULL for what the node has not. */
struct folded {
    const float *scale, *bias;
};

/* Reads bias and norm of a node of `count` outputs into a block that *owned receives. */
static enum hr_status fold_vectors(struct folded *out, float **owned, const struct hr_packs *packs,
                                   const struct hr_graph *graph, const struct hr_node *node,
                                   size_t count)
{
    size_t floats;
    if (!hr_size_mul(&floats, count, HR_ROLE_COUNT + 2))
        return hr_fail(HR_E_LIMIT, "%s: %zu outputs are too many", node->name, count);
    if (!(*owned = hr_mem_alloc_raw(floats, sizeof **owned)))
        return HR_E_MEMORY;

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
        float *dst = *owned + (size_t)role * count;
        hr_tensor_to_f32(dst, t);
        of[role] = dst;
    }
    *out = (struct folded){ NULL, of[HR_ROLE_BIAS] };
    if (!of[HR_ROLE_VARIANCE])
        return HR_OK;
    if (!of[HR_ROLE_GAMMA] || !of[HR_ROLE_BETA] || !of[HR_ROLE_MEAN])
        return hr_fail(HR_E_INTERNAL, "%s: a batch norm without all of its parameters", node->name);
    float *scale = *owned + (size_t)HR_ROLE_COUNT * count, *bias = scale + count;
    HR_TRY(hr_fold_factors(scale, bias, of, node->attr.epsilon, count,
                           graph->params[node->param[HR_ROLE_VARIANCE]].name));
    *out = (struct folded){ scale, bias };
    return HR_OK;
}

/* ---- Packing ------------------------------------------------------------------------------- */

/* One tensor on its way. */
struct packing {
    const struct hr_pack_job *job;
    struct pack_key key;
    const float *w;
    struct folded f;
    float *converted, *vectors; /* what w and f point into, or NULL */
    bool transposed;            /* LINEAR: w is [k][c] */
    void *packed;
    size_t begun, parts; /* pieces that rounds have taken, of all */
    size_t forgotten;    /* pieces whose rows are let go */
};

/* Pieces that threads pack side by side; of a tensor that is not done, more follow in the next. */
struct round {
    struct packing packings[ROUND_PIECES];
    struct {
        size_t packing, part;
    } pieces[ROUND_PIECES];
    size_t packing_count, piece_count, piece_limit;
};

static void piece_task(void *context, size_t task, size_t task_count)
{
    const struct round *round = context;
    const struct packing *p = &round->packings[round->pieces[task].packing];
    const struct hr_pack_job *job = p->job;
    const size_t part = round->pieces[task].part;
    (void)task_count;
    if (job->conv)
        job->conv->pack(p->packed, job->conv_shape, p->w, p->f.scale, p->f.bias, part, p->parts);
    else
        job->linear->pack(p->packed, job->linear_shape, p->w, p->transposed, p->f.bias, part,
                          p->parts);
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
    return !hr_tensor_plain(weight) && hr_tensor_plain(&turned);
}

/* Lets go of the rows of the pieces that are packed, if parts are ranges of rows; if a kernel cuts
 * otherwise, pages come back when they are read. */
static void forget_rows(const struct hr_packs *packs, struct packing *p)
{
    const struct hr_tensor *t = p->key.weight;
    struct hr_tensor rows = *t;
    const size_t count = (size_t)t->shape.dim[0];
    const size_t first = count * p->forgotten / p->parts, end = count * p->begun / p->parts;
    rows.shape.dim[0] = (int64_t)(end - first);
    rows.data = (const uint8_t *)t->data + first * (size_t)t->stride[0] * hr_dtype_bytes(t->dtype);
    hr_store_forget(packs->weights, &rows);
    p->forgotten = p->begun;
}

static void release(struct packing *p)
{
    hr_mem_free(p->converted);
    hr_mem_free(p->vectors);
}

/* Packs the pieces of a round and lets go of what they were made of. */
static void run_round(struct hr_packs *packs, struct round *round, struct hr_pool *pool)
{
    size_t kept = 0;
    if (pool)
        hr_pool_run(pool, piece_task, round, round->piece_count);
    else
        for (size_t i = 0; i < round->piece_count; i++)
            piece_task(round, i, round->piece_count);
    for (size_t i = 0; i < round->packing_count; i++) {
        struct packing *p = &round->packings[i];
        if (p->begun < p->parts) {
            forget_rows(packs, p);
            round->packings[kept++] = *p;
            continue;
        }
        if (p->key.bytes >= FORGET_BYTES)
            hr_store_forget(packs->weights, p->key.weight);
        release(p);
    }
    round->packing_count = kept;
    round->piece_count = 0;
}

static enum hr_status begin_packing(struct packing *p, struct hr_packs *packs,
                                    const struct hr_graph *graph, struct hr_pool *pool)
{
    const struct hr_pack_job *job = p->job;
    HR_TRY(fold_vectors(&p->f, &p->vectors, packs, graph, job->node, p->key.k));
    p->transposed = job->linear && lies_transposed(p->key.weight);
    if (p->transposed)
        p->w = p->key.weight->data;
    else
        HR_TRY(as_floats(&p->w, &p->converted, p->key.weight, pool));
    p->packed = take(packs, p->key.bytes);
    p->parts = 1 + p->key.bytes / PIECE_BYTES;
    return HR_OK;
}

/* Puts the pieces of one tensor into rounds, and runs each round that is full. */
static enum hr_status pack_one(struct round *round, struct hr_packs *packs,
                               const struct hr_graph *graph, const struct hr_pack_job *job,
                               const struct pack_key *key, struct hr_pool *pool)
{
    struct packing *p = &round->packings[round->packing_count++];
    *p = (struct packing){ .job = job, .key = *key };
    HR_TRY(begin_packing(p, packs, graph, pool));
    remember(packs, key, p->packed);
    while (p->begun < p->parts) {
        round->pieces[round->piece_count].packing = (size_t)(p - round->packings);
        round->pieces[round->piece_count++].part = p->begun++;
        if (round->piece_count < round->piece_limit)
            continue;
        const bool more = p->begun < p->parts;
        run_round(packs, round, pool);
        p = round->packings; /* where a tensor that is not done has gone */
        if (!more)
            break;
    }
    return HR_OK;
}

static enum hr_status pack_all(struct hr_packs *packs, const struct hr_graph *graph,
                               const struct hr_pack_job *jobs, size_t count, struct hr_pool *pool)
{
    struct pack_key key;
    struct round round;
    enum hr_status status = HR_OK;
    const size_t wanted = PIECES_A_THREAD * (size_t)(pool ? hr_pool_threads(pool) : 1);
    round.packing_count = round.piece_count = 0;
    round.piece_limit = wanted < ROUND_PIECES ? wanted : ROUND_PIECES;
    for (size_t i = 0; i < count && status == HR_OK; i++) {
        status = key_of(packs, graph, &jobs[i], &key);
        if (status == HR_OK && !find(packs, &key))
            status = pack_one(&round, packs, graph, &jobs[i], &key, pool);
        if (status == HR_OK)
            *jobs[i].out = find(packs, &key);
    }
    run_round(packs, &round, pool); /* after a fault too: what is remembered is packed */
    return status;
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
    return pack_all(packs, graph, jobs, count, pool);
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
