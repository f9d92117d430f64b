/* SPDX-License-Identifier: Apache-2.0
 * A plan, its arena and its threads, made ready once.  All that can go wrong goes wrong in create;
 * a run is hr_plan_run.  Answers (top-k, softmax) work on plain arrays. */
#include "session/session.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "graph/rewrite.h"

struct hr_session {
    struct hr_kernels kernels; /* the plan points here */
    struct hr_model *model;    /* referenced */
    struct hr_pool *pool;      /* NULL for one thread */
    struct hr_plan *plan;
    uint8_t *arena;
    unsigned threads;
};

/* Fewer threads keep a step's data in their caches if steps run one after the other, and so do
 * pictures enough for all threads: waves then lose up to 2 %.  Figures: bench/RESULTS.md. */
#define WAVES_FROM 3

bool hr_session_side_by_side(enum hr_order wanted, unsigned threads, size_t batch)
{
    if (wanted == HR_ORDER_AUTO)
        return threads >= WAVES_FROM && batch < threads;
    return wanted == HR_ORDER_WAVES;
}

static unsigned choose_threads(unsigned wanted)
{
    const unsigned have = hr_cpu_count();
    if (wanted == 0)
        return have;
    if (wanted > have) {
        hr_log(HR_LOG_WARNING,
               "%u threads were asked for, but this process may use %u CPUs: using %u threads",
               wanted, have, have);
        return have;
    }
    return wanted;
}

/* The rewritten network for the options' batch and size. */
static enum hr_status make_graph(struct hr_graph **out, const struct hr_model *model,
                                 const struct hr_session_options *options)
{
    const struct hr_recipe *recipe = hr_model_recipe(model);
    const int64_t height = options->height ? options->height : recipe->crop_height;
    const int64_t width = options->width ? options->width : recipe->crop_width;
    struct hr_graph *graph = NULL;
    HR_TRY(hr_model_graph(model, (int64_t)options->batch, height, width, &graph));
    const enum hr_status status = hr_rewrite_all(graph, options->features, options->feature_count);
    if (status == HR_OK)
        *out = graph;
    else
        hr_graph_destroy(graph);
    return status;
}

enum hr_status hr_session_create(struct hr_session **out, struct hr_model *model,
                                 struct hr_packs *packs, const struct hr_session_options *options)
{
    enum hr_status status = HR_E_MEMORY;
    struct hr_graph *graph = NULL;
    struct hr_session *s = hr_mem_alloc(1, sizeof *s);
    if (!s)
        goto out;
    if (options->batch < 1) {
        status = hr_fail(HR_E_ARGUMENT, "batch is 0: a session needs at least 1");
        goto out;
    }
    status = make_graph(&graph, model, options);
    if (status != HR_OK)
        goto out;
    hr_kernels_init(&s->kernels, hr_cpu_get()->flags & options->cpu_flags);
    s->model = hr_model_ref(model);
    s->threads = choose_threads(options->threads);
    if (s->threads > 1) {
        status = hr_pool_create(&s->pool, s->threads);
        if (status != HR_OK)
            goto out;
    }
    const struct hr_plan_options plan = {
        .kernels = &s->kernels,
        .threads = s->threads,
        .exact = options->exact,
        .lean_memory = options->lean_memory,
        .bits_of_batch = options->bits_of_batch,
        .tuning = options->tuning,
        .side_by_side = hr_session_side_by_side(options->order, s->threads, options->batch),
        .features = options->features,
        .feature_count = options->feature_count,
    };
    status = hr_plan_create(&s->plan, graph, packs, &plan, s->pool);
    if (status != HR_OK)
        goto out;
    const size_t arena_bytes = hr_plan_arena_bytes(s->plan);
    s->arena = hr_mem_alloc_raw(arena_bytes, 1);
    if (!s->arena) {
        status = HR_E_MEMORY;
        goto out;
    }
    hr_mem_prefer_huge(s->arena, arena_bytes);
    memset(s->arena, 0, arena_bytes);
    *out = s;
    s = NULL;
out:
    hr_session_destroy(s);
    hr_graph_destroy(graph);
    return status;
}

void hr_session_destroy(struct hr_session *session)
{
    if (!session)
        return;
    hr_mem_free(session->arena);
    hr_plan_destroy(session->plan);
    hr_pool_destroy(session->pool);
    hr_model_unref(session->model);
    hr_mem_free(session);
}

const struct hr_plan *hr_session_plan(const struct hr_session *session)
{
    return session->plan;
}

struct hr_model *hr_session_model(const struct hr_session *session)
{
    return session->model;
}

unsigned hr_session_threads(const struct hr_session *session)
{
    return session->threads;
}

const char *hr_session_isa(const struct hr_session *session)
{
    return session->kernels.isa;
}

size_t hr_session_bytes(const struct hr_session *session)
{
    const struct hr_plan_memory m = hr_plan_memory(session->plan);
    return sizeof *session + m.arena_bytes + m.weight_bytes + m.table_bytes;
}

void hr_session_run(struct hr_session *session, const float *x, size_t n, float *logits)
{
    hr_plan_run(session->plan, session->arena, session->pool, n, x, logits, NULL, NULL);
}

void hr_session_profile(struct hr_session *session, const float *x, size_t n, float *logits,
                        hr_step_observer *observer, void *context)
{
    hr_plan_run(session->plan, session->arena, session->pool, n, x, logits, observer, context);
}

void hr_session_feature(const struct hr_session *session, size_t n, size_t index, float *out)
{
    hr_plan_feature(session->plan, session->arena, n, index, out);
}

/* Does value i come before value j?  A total order: larger first, NaN last, lower index first. */
static bool ranks_before(const float *values, size_t i, size_t j)
{
    const float a = values[i], b = values[j];
    if (isnan(a) || isnan(b))
        return isnan(a) == isnan(b) ? i < j : isnan(b);
    return a > b || (a == b && i < j);
}

/* Restores the heap below `at`: the worst of index[0..k) is on top. */
static void sift_down(size_t *index, size_t k, size_t at, const float *values)
{
    for (size_t child = 2 * at + 1; child < k; child = 2 * at + 1) {
        if (child + 1 < k && ranks_before(values, index[child], index[child + 1]))
            child++;
        if (!ranks_before(values, index[at], index[child]))
            return;
        const size_t swap = index[at];
        index[at] = index[child];
        index[child] = swap;
        at = child;
    }
}

size_t hr_top_k(size_t *index, size_t k, const float *values, size_t count)
{
    if (k > count)
        k = count;
    if (k == 0)
        return 0;
    for (size_t i = 0; i < k; i++)
        index[i] = i;
    for (size_t i = k / 2; i-- > 0;)
        sift_down(index, k, i, values);
    for (size_t i = k; i < count; i++)
        if (ranks_before(values, i, index[0])) {
            index[0] = i;
            sift_down(index, k, 0, values);
        }
    for (size_t end = k; end-- > 1;) {
        const size_t worst = index[0];
        index[0] = index[end];
        index[end] = worst;
        sift_down(index, end, 0, values);
    }
    return k;
}

void hr_softmax(float *p, const float *logits, size_t count)
{
    float largest = -INFINITY;
    for (size_t i = 0; i < count; i++)
        if (logits[i] > largest)
            largest = logits[i];
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        p[i] = expf(logits[i] - largest);
        sum += (double)p[i];
    }
    for (size_t i = 0; i < count; i++)
        p[i] = (float)((double)p[i] / sum);
}

void hr_sigmoid_scores(float *p, const float *logits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        p[i] = (float)(1.0 / (1.0 + exp(-(double)logits[i])));
}
