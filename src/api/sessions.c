/* SPDX-License-Identifier: Apache-2.0
 * The public API, part three: sessions and answers. */
#include "api/api.h"

#include <stdio.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "plan/tune.h"
#include "plan/waves.h"

#define HRNET_MAX_BATCH 1024

void hrnet_session_options_init(struct hrnet_session_options *options, size_t struct_size)
{
    HR_API_OPTIONS_INIT(struct hrnet_session_options, { .batch = 1 });
}

static const char *const feature_names[] = { "stem",     "layer1",   "stage2.0", "stage2.1",
                                             "stage3.0", "stage3.1", "stage3.2", "stage4.0",
                                             "stage4.1", "stage4.2", "stage4.3", "incre.0",
                                             "incre.1",  "incre.2",  "incre.3",  "last",
                                             "pool",     "logits",   NULL };

const char *const *hrnet_feature_names(void)
{
    return feature_names;
}

static enum hr_status order_check(hrnet_order order)
{
    _Static_assert((int)HRNET_ORDER_WAVES == (int)HR_ORDER_WAVES, "the enums must agree");
    if (order < HRNET_ORDER_AUTO || order > HRNET_ORDER_WAVES)
        return hr_fail(HR_E_ARGUMENT, "order %d is not known: it must be 0 (auto) to %d",
                       (int)order, (int)HRNET_ORDER_WAVES);
    return HR_OK;
}

static enum hr_status session_options_check(const struct hrnet_session_options *o)
{
    if (o->batch < 1 || o->batch > HRNET_MAX_BATCH)
        return hr_fail(HR_E_ARGUMENT, "batch is %zu: it must be 1 to %d", o->batch,
                       HRNET_MAX_BATCH);
    if (o->threads > HRNET_MAX_THREADS)
        return hr_fail(HR_E_ARGUMENT, "threads is %u: it must be 0 (all) to %d", o->threads,
                       HRNET_MAX_THREADS);
    if (o->height < 0 || o->width < 0)
        return hr_fail(HR_E_ARGUMENT, "input size %dx%d is negative", o->height, o->width);
    return order_check(o->order);
}

enum hr_status hr_api_head_check(const struct hr_model *model)
{
    if (hr_model_head_untrained(model))
        return hr_fail(HR_E_MISMATCH,
                       "the head of %d classes is untrained: every class would get the same score; "
                       "train it first",
                       hr_model_classes(model));
    return HR_OK;
}

/* Copies the list of wanted features; names are kept by the inner plan. */
static enum hr_status copy_features(hrnet_session *session, const char *const *features)
{
    size_t count = 0;
    while (features && features[count])
        count++;
    session->features = hr_mem_alloc(count, sizeof *session->features);
    if (!session->features)
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++) {
        char *name = hr_mem_strdup(features[i]);
        if (!name)
            return HR_E_MEMORY;
        session->features[i] = name;
        session->feature_count = i + 1;
    }
    return HR_OK;
}

#define MACHINE_BYTES 256

/* What measured times are good for: this CPU, this build. */
static const char *machine_line(char line[MACHINE_BYTES])
{
    snprintf(line, MACHINE_BYTES, "%s; %s", hrnet_cpu_name(), hrnet_build_info());
    return line;
}

hrnet_status hrnet_session_create(hrnet_session **out, hrnet_model *model,
                                  const struct hrnet_session_options *options)
{
    struct hrnet_session_options o = { .batch = 1 };
    struct hr_session_options inner = { 0 };
    struct hr_tuning tuning = { 0 };
    char machine[MACHINE_BYTES];
    hrnet_session *session = NULL;
    if (!out || !model)
        return hr_api_missing_argument(__func__);
    enum hr_status status = HR_OK;
    if (options)
        status = hr_api_options_copy(&o, sizeof o, options, "hrnet_session_options");
    if (status == HR_OK)
        status = session_options_check(&o);
    if (status == HR_OK && !o.untrained_head)
        status = hr_api_head_check(model->model);
    if (status == HR_OK)
        status = hr_api_cpu_flags(o.cpu, &inner.cpu_flags);
    if (status != HR_OK)
        return PUBLIC(status);
    session = hr_mem_alloc(1, sizeof *session);
    if (!session)
        return HRNET_E_MEMORY;
    status = copy_features(session, o.features);
    if (status == HR_OK && o.tuning_file)
        status = hr_tuning_read(&tuning, o.tuning_file, machine_line(machine));
    if (status == HR_OK) {
        inner.tuning = &tuning;
        inner.threads = o.threads;
        inner.batch = o.batch;
        inner.height = o.height;
        inner.width = o.width;
        inner.exact = o.exact != 0;
        inner.lean_memory = o.lean_memory != 0;
        inner.bits_of_batch = o.bits_of_batch != 0;
        inner.order = (enum hr_order)o.order;
        inner.features = session->features;
        inner.feature_count = session->feature_count;
        status = hr_session_create(&session->session, model->model, model->packs, &inner);
    }
    if (status == HR_OK) {
        __atomic_add_fetch(&model->references, 1, __ATOMIC_RELAXED);
        session->model = model;
        session->batch = o.batch;
        *out = session;
        session = NULL;
    }
    hr_tuning_fini(&tuning);
    hrnet_session_destroy(session);
    return PUBLIC(status);
}

void hrnet_session_destroy(hrnet_session *session)
{
    if (!session)
        return;
    hr_session_destroy(session->session);
    hrnet_model_release(session->model);
    for (size_t i = 0; i < session->feature_count; i++)
        hr_mem_free((void *)(uintptr_t)session->features[i]);
    hr_mem_free(session->features);
    hr_mem_free(session);
}

static enum hr_status run_check(const char *function, const hrnet_session *session, const float *x,
                                size_t n, const float *logits)
{
    if (!session || !x || !logits)
        return (enum hr_status)hr_api_missing_argument(function);
    if (n < 1 || n > session->batch)
        return hr_fail(HR_E_ARGUMENT, "a run of %zu images does not fit the session's batch of %zu",
                       n, session->batch);
    return HR_OK;
}

hrnet_status hrnet_session_run(hrnet_session *session, const float *x, size_t n, float *logits)
{
    const enum hr_status status = run_check(__func__, session, x, n, logits);
    if (status == HR_OK) {
        hr_session_run(session->session, x, n, logits);
        session->last_batch = n;
    }
    return PUBLIC(status);
}

static void keep_time(void *context, size_t step, uint64_t nanoseconds)
{
    ((uint64_t *)context)[step] = nanoseconds;
}

hrnet_status hrnet_session_profile(hrnet_session *session, const float *x, size_t n, float *logits,
                                   uint64_t *nanoseconds)
{
    if (!nanoseconds)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = run_check(__func__, session, x, n, logits);
    if (status == HR_OK) {
        hr_session_profile(session->session, x, n, logits, keep_time, nanoseconds);
        session->last_batch = n;
    }
    return PUBLIC(status);
}

static enum hr_status feature_index(const hrnet_session *session, const char *name, size_t *out)
{
    for (size_t i = 0; i < session->feature_count; i++) {
        if (strcmp(session->features[i], name) == 0) {
            *out = i;
            return HR_OK;
        }
    }
    return hr_fail(HR_E_NOT_FOUND, "feature '%s' was not kept: name it in the session's options",
                   name);
}

hrnet_status hrnet_session_feature_shape(const hrnet_session *session, const char *name,
                                         int64_t shape[4])
{
    size_t index = 0;
    if (!session || !name || !shape)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = feature_index(session, name, &index);
    if (status != HR_OK)
        return PUBLIC(status);
    const struct hr_shape *s = hr_plan_feature_shape(hr_session_plan(session->session), index);
    for (int d = 0; d < 4; d++)
        shape[d] = d < s->rank ? s->dim[d] : 0;
    return HRNET_OK;
}

hrnet_status hrnet_session_feature(const hrnet_session *session, const char *name, float *out)
{
    size_t index = 0;
    if (!session || !name || !out)
        return hr_api_missing_argument(__func__);
    const enum hr_status status = feature_index(session, name, &index);
    if (status != HR_OK)
        return PUBLIC(status);
    if (session->last_batch == 0)
        return PUBLIC(hr_fail(HR_E_ARGUMENT, "feature '%s': nothing was run yet", name));
    hr_session_feature(session->session, session->last_batch, index, out);
    return HRNET_OK;
}

hrnet_status hrnet_session_describe(const hrnet_session *session, struct hrnet_session_info *out)
{
    if (!session || !out)
        return hr_api_missing_argument(__func__);
    const struct hr_plan *plan = hr_session_plan(session->session);
    const struct hr_plan_memory memory = hr_plan_memory(plan);
    const struct hr_shape *in = hr_plan_input_shape(plan);
    *out = (struct hrnet_session_info){ .threads = hr_session_threads(session->session),
                                        .batch = session->batch,
                                        .height = (int)in->dim[2],
                                        .width = (int)in->dim[3],
                                        .classes = hr_model_classes(session->model->model),
                                        .isa = hr_session_isa(session->session),
                                        .arena_bytes = memory.arena_bytes,
                                        .packed_bytes = memory.weight_bytes,
                                        .step_count = hr_plan_step_count(plan) };
    return HRNET_OK;
}

hrnet_status hrnet_session_step(const hrnet_session *session, size_t index,
                                struct hrnet_step_info *out)
{
    if (!session || !out)
        return hr_api_missing_argument(__func__);
    const struct hr_plan *plan = hr_session_plan(session->session);
    if (index >= hr_plan_step_count(plan))
        return hr_api_out_of_range("step", index, hr_plan_step_count(plan));
    const struct hr_step *step = hr_plan_step(plan, index);
    struct hrnet_step_info info = { .name = step->name,
                                    .op = hr_op_name(step->op),
                                    .kernel = step->kernel,
                                    .multiply_adds = step->multiply_adds,
                                    .weight_bytes = step->weight_bytes,
                                    .activation_bytes = step->activation_bytes,
                                    .at_peak = hr_plan_memory(plan).peak_step == index,
                                    .work = step->work };
    for (int d = 0; d < 4; d++) {
        info.in[d] = d < step->in.rank ? step->in.dim[d] : 0;
        info.out[d] = d < step->out.rank ? step->out.dim[d] : 0;
    }
    *out = info;
    return HRNET_OK;
}

struct telling {
    hrnet_tuned_fn *told;
    void *context;
};

static void tell(void *context, const struct hr_tune_result *r)
{
    const struct telling *t = context;
    const struct hr_conv_shape *s = r->shape;
    const struct hrnet_tuned row = { .kernel = s->kernel,
                                     .stride = s->stride,
                                     .channels = (int64_t)s->c,
                                     .out_channels = (int64_t)s->k,
                                     .height = (int64_t)s->h,
                                     .width = (int64_t)s->w,
                                     .count = r->count,
                                     .chosen = r->chosen,
                                     .winner = r->winner,
                                     .chosen_us = r->chosen_us,
                                     .winner_us = r->winner_us };
    t->told(t->context, &row);
}

hrnet_status hrnet_session_tune(const hrnet_session *session, const char *file,
                                hrnet_tuned_fn *told, void *context)
{
    struct hr_tuning tuning = { 0 };
    struct telling telling = { told, context };
    char machine[MACHINE_BYTES];
    if (!session || !file)
        return hr_api_missing_argument(__func__);
    enum hr_status status =
        hr_tune_plan(&tuning, hr_session_plan(session->session), told ? tell : NULL, &telling);
    if (status == HR_OK)
        status = hr_tuning_add(file, machine_line(machine), &tuning);
    hr_tuning_fini(&tuning);
    return PUBLIC(status);
}

static void no_task(void *context, size_t task, size_t task_count)
{
    (void)context;
    (void)task;
    (void)task_count;
}

/* Least nanoseconds of a step without work on `threads` threads, or, where there are fewer CPUs, in
 * proportion: all threads pass through the same words of memory in turn. */
static enum hr_status measure_sync(double *out, unsigned threads)
{
    const unsigned have = hr_cpu_count(), used = threads < have ? threads : have;
    struct hr_pool *pool = NULL;
    double least = 1000; /* with one CPU there is nothing to measure */
    *out = 0;
    if (threads == 1)
        return HR_OK;
    HR_TRY(hr_pool_create(&pool, used));
    hr_pool_begin(pool);
    for (int round = 0; used > 1 && round < 2000; round++) {
        const uint64_t before = hr_os_now_ns();
        hr_pool_run(pool, no_task, NULL, used);
        const double took = (double)(hr_os_now_ns() - before);
        least = round == 0 || took < least ? took : least;
    }
    hr_pool_end(pool);
    hr_pool_destroy(pool);
    *out = least * (double)threads / (double)used;
    return HR_OK;
}

hrnet_status hrnet_session_foretell(const hrnet_session *session, const uint64_t *nanoseconds,
                                    unsigned threads, hrnet_order order, struct hrnet_foretold *out)
{
    struct hr_foretold f;
    double sync_ns;
    if (!session || !nanoseconds || !out)
        return hr_api_missing_argument(__func__);
    if (threads < 1 || threads > HRNET_MAX_THREADS)
        return PUBLIC(hr_fail(HR_E_ARGUMENT, "threads is %u: it must be 1 to %d", threads,
                              HRNET_MAX_THREADS));
    if (hr_session_threads(session->session) != 1)
        return PUBLIC(hr_fail(HR_E_ARGUMENT, "times of a session of %u threads: one of 1 is wanted",
                              hr_session_threads(session->session)));
    enum hr_status status = order_check(order);
    if (status == HR_OK)
        status = measure_sync(&sync_ns, threads);
    if (status == HR_OK)
        status = hr_waves_foretell(
            &f, hr_session_plan(session->session), nanoseconds, threads, sync_ns,
            hr_session_side_by_side((enum hr_order)order, threads, session->batch));
    if (status == HR_OK)
        *out = (struct hrnet_foretold){
            .ms = f.ns / 1e6, .idle = f.idle, .chain_ms = f.chain_ns / 1e6, .waves = f.waves
        };
    return PUBLIC(status);
}

/* ---- Answers ---- */

void hrnet_softmax(const float *logits, size_t count, float *p)
{
    if (logits && p)
        hr_softmax(p, logits, count);
}

void hrnet_model_scores(const hrnet_model *model, const float *logits, float *scores)
{
    if (!model || !logits || !scores)
        return;
    const size_t classes = (size_t)hr_model_classes(model->model);
    if (hr_model_activation(model->model) == HR_ACTIVATION_SIGMOID)
        hr_sigmoid_scores(scores, logits, classes);
    else
        hr_softmax(scores, logits, classes);
}

size_t hrnet_top_k(const float *values, size_t count, size_t k, size_t *index)
{
    return values && index ? hr_top_k(index, k, values, count) : 0;
}

void hrnet_synthetic_input(const char *name, size_t count, float *x)
{
    if (name && x)
        hr_synthetic_fill(x, count, name);
}
