/* SPDX-License-Identifier: Apache-2.0
 * Graph -> steps, once; then a run is a loop over steps with nothing left to decide.  Knows the
 * order of planning; how an operator becomes steps is lower.c, where values live is memory.c. */
#include "plan/plan.h"

#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "plan/lower.h"
#include "plan/waves.h"

#if HR_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* ---- Making -------------------------------------------------------------------------------- */

/* Does a step read this block, but for the ways that `onto` lets its output replace? */
static bool reads(const struct hr_step *step, int32_t block, uint32_t onto)
{
    for (int32_t i = 0; i < step->read_count; i++)
        if (step->reads[i] == block && !(onto >> i & 1))
            return true;
    return false;
}

/* May the output of a step take over the memory of reads[i]?  Only if the value dies in its wave
 * and is read in no other way there. */
static bool dies_into(const struct hr_plan *p, size_t index, int32_t i)
{
    const struct hr_step *step = &p->steps[index];
    const int32_t block = step->reads[i];
    const struct hr_block *from = &p->blocks[block], *to = &p->blocks[step->writes];
    if (block == 0 || from->last != step->wave || from->bytes != to->bytes ||
        from->image_bytes != to->image_bytes)
        return false;
    for (size_t s = p->wave_first[step->wave]; s < p->wave_first[step->wave + 1]; s++)
        if (reads(&p->steps[s], block, s == index ? step->onto : 0))
            return false;
    return true;
}

static void reuse_dying_inputs(struct hr_plan *p)
{
    for (size_t s = 0; s < p->step_count; s++)
        for (int32_t i = 0; i < p->steps[s].read_count; i++)
            if (p->steps[s].onto >> i & 1 && dies_into(p, s, i)) {
                p->blocks[p->steps[s].writes].onto = p->steps[s].reads[i];
                break;
            }
}

/* Views of what outlives the run, the output and the wanted features, in NHWC. */
static enum hr_status result(struct hr_lowering *l, hr_value value, struct hr_view *out)
{
    if (value == l->graph->input)
        return hr_fail(HR_E_ARGUMENT, "the input of a network is no result of it");
    const struct hr_node maker = { .name = "result" };
    return hr_lower_in(l, &maker, value, HR_LAYOUT_NHWC, out);
}

static enum hr_status lower_results(struct hr_lowering *l, const struct hr_plan_options *options)
{
    struct hr_plan *p = l->plan;
    HR_TRY(result(l, l->graph->output, &p->output));
    p->features = hr_arena_alloc(&p->arena, options->feature_count + 1, sizeof *p->features);
    if (!p->features)
        return HR_E_MEMORY;
    for (size_t i = 0; i < options->feature_count; i++) {
        const hr_value value = hr_graph_feature(l->graph, options->features[i]);
        if (value == HR_NONE)
            return hr_fail(HR_E_NOT_FOUND, "the network has no feature map named '%s'",
                           options->features[i]);
        HR_TRY(result(l, value, &p->features[i]));
    }
    p->feature_count = options->feature_count;
    return HR_OK;
}

/* Nothing takes over the memory of results. */
static void keep_results(struct hr_plan *p)
{
    p->blocks[p->output.block].last = p->wave_count;
    for (size_t i = 0; i < p->feature_count; i++)
        p->blocks[p->features[i].block].last = p->wave_count;
}

static void sum_up(struct hr_plan *p)
{
    struct hr_plan_memory *m = &p->memory;
    for (size_t w = 0; w < p->wave_count; w++) {
        const size_t alive = hr_memory_alive(p->blocks, p->block_count, w);
        if (alive > m->peak_bytes) {
            m->peak_bytes = alive;
            m->peak_step = p->wave_first[w];
        }
    }
    for (size_t s = 0; s < p->step_count; s++)
        m->weight_bytes += p->steps[s].weight_bytes;
    m->table_bytes =
        sizeof *p + p->step_capacity * sizeof *p->steps + p->block_capacity * sizeof *p->blocks;
}

static enum hr_status fill(struct hr_plan *p, const struct hr_graph *graph, struct hr_packs *packs,
                           const struct hr_plan_options *options, struct hr_pool *pool)
{
    struct hr_lowering l = { .plan = p, .graph = graph, .tuning = options->tuning };
    p->kernels = options->kernels;
    p->threads = options->threads;
    p->exact = options->exact;
    p->lean_memory = options->lean_memory;
    p->bits_of_batch = options->bits_of_batch;
    p->input_shape = graph->values[graph->input].shape;
    p->images = (size_t)p->input_shape.dim[0];
    l.block = hr_mem_alloc(graph->value_count, sizeof *l.block);
    enum hr_status status = l.block ? hr_lower_graph(&l) : HR_E_MEMORY;
    if (status == HR_OK)
        status = lower_results(&l, options);
    if (status == HR_OK)
        status = hr_waves_order(p, options->side_by_side);
    if (status == HR_OK)
        status = hr_waves_split(p);
    if (status == HR_OK)
        status = hr_packs_make(packs, graph, l.jobs, l.job_count, pool);
    hr_mem_free(l.jobs);
    hr_mem_free(l.block);
    HR_TRY(status);
    keep_results(p);
    hr_waves_take_turns(p);
    reuse_dying_inputs(p);
    HR_TRY(hr_memory_place(p->blocks, p->block_count, &p->memory.arena_bytes));
    sum_up(p);
    return HR_OK;
}

enum hr_status hr_plan_create(struct hr_plan **out, const struct hr_graph *graph,
                              struct hr_packs *packs, const struct hr_plan_options *options,
                              struct hr_pool *pool)
{
    struct hr_plan *plan = hr_mem_alloc(1, sizeof *plan);
    if (!plan)
        return HR_E_MEMORY;
    if (pool)
        hr_pool_begin(pool);
    const enum hr_status status = fill(plan, graph, packs, options, pool);
    if (pool)
        hr_pool_end(pool);
    if (status == HR_OK)
        *out = plan;
    else
        hr_plan_destroy(plan);
    return status;
}

void hr_plan_destroy(struct hr_plan *plan)
{
    if (!plan)
        return;
    hr_waves_fini(plan);
    hr_mem_free(plan->steps);
    hr_mem_free(plan->blocks);
    hr_arena_fini(&plan->arena);
    hr_mem_free(plan);
}

/* ---- Asking -------------------------------------------------------------------------------- */

size_t hr_plan_arena_bytes(const struct hr_plan *plan)
{
    return plan->memory.arena_bytes;
}

size_t hr_plan_step_count(const struct hr_plan *plan)
{
    return plan->step_count;
}

const struct hr_step *hr_plan_step(const struct hr_plan *plan, size_t index)
{
    return &plan->steps[index];
}

const struct hr_shape *hr_plan_input_shape(const struct hr_plan *plan)
{
    return &plan->input_shape;
}

const struct hr_shape *hr_plan_output_shape(const struct hr_plan *plan)
{
    return &plan->output.shape;
}

const struct hr_shape *hr_plan_feature_shape(const struct hr_plan *plan, size_t index)
{
    return &plan->features[index].shape;
}

struct hr_plan_memory hr_plan_memory(const struct hr_plan *plan)
{
    return plan->memory;
}

static double kib(size_t bytes)
{
    return (double)bytes / 1024.0;
}

void hr_plan_print(const struct hr_plan *plan, struct hr_text *out)
{
    const struct hr_plan_memory *m = &plan->memory;
    hr_text_printf(out, "%4s  %-44s %-28s %-18s %-18s %9s %9s %9s\n", "step", "layer", "kernel",
                   "in", "out", "MMAC", "w KiB", "act KiB");
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct hr_step *s = &plan->steps[i];
        hr_text_printf(out, "%4zu  %-44s %-28s %-18s %-18s %9.2f %9.1f %9.1f\n", i, s->name,
                       s->kernel, hr_shape_str(&s->in).s, hr_shape_str(&s->out).s,
                       (double)s->multiply_adds / 1e6, kib(s->weight_bytes),
                       kib(s->activation_bytes));
    }
    hr_text_printf(out, "arena %.1f KiB, packed weights %.1f KiB\n", kib(m->arena_bytes),
                   kib(m->weight_bytes));
    if (plan->step_count == 0)
        return;
    hr_text_printf(out, "peak %.1f KiB at step %zu (%s):", kib(m->peak_bytes), m->peak_step,
                   plan->steps[m->peak_step].name);
    const char *separator = " ";
    for (size_t i = 0; i < plan->block_count; i++) {
        const struct hr_block *b = &plan->blocks[i];
        const size_t wave = plan->steps[m->peak_step].wave;
        if (!hr_block_alive(b, wave) || (b->onto >= 0 && b->first == wave))
            continue;
        hr_text_printf(out, "%s%s %.1f KiB", separator, b->name, kib(b->bytes));
        separator = ", ";
    }
    hr_text_add(out, "\n");
}

/* ---- Running ------------------------------------------------------------------------------- */

#if HR_ASAN
static void guard_step(const struct hr_run *run, const struct hr_step *step)
{
    const struct hr_plan *p = run->plan;
    for (int32_t i = -2; i < step->read_count; i++) {
        const int32_t block = i == -2 ? step->writes : i == -1 ? step->scratch : step->reads[i];
        if (block <= 0)
            continue;
        const struct hr_block *b = &p->blocks[block];
        ASAN_UNPOISON_MEMORY_REGION(run->arena + b->offset, b->bytes + HR_PAD_BYTES);
    }
}
/* In sanitizer builds a wave may touch its own blocks (and over-read their padding) only. */
static void guard(const struct hr_run *run, size_t wave)
{
    const struct hr_plan *p = run->plan;
    ASAN_POISON_MEMORY_REGION(run->arena, p->memory.arena_bytes);
    for (size_t s = p->wave_first[wave]; s < p->wave_first[wave + 1]; s++)
        guard_step(run, &p->steps[s]);
}
static void unguard(const struct hr_run *run)
{
    ASAN_UNPOISON_MEMORY_REGION(run->arena, run->plan->memory.arena_bytes);
}
#else
static void guard(const struct hr_run *run, size_t wave)
{
    (void)run;
    (void)wave;
}
static void unguard(const struct hr_run *run)
{
    (void)run;
}
#endif

/* One half of a wave: the tasks of its steps stand in one row. */
struct wave_job {
    const struct hr_run *run;
    const struct hr_step *step;
    bool prepare;
    size_t first[HR_MAX_WAVE + 1]; /* task of each step */
    uint64_t *busy_ns;             /* [step], added up by tasks; NULL: nobody asks */
};

static void wave_task(void *context, size_t task, size_t task_count)
{
    const struct wave_job *job = context;
    const uint64_t start = job->busy_ns ? hr_os_now_ns() : 0;
    size_t i = 0;
    (void)task_count;
    while (task >= job->first[i + 1])
        i++;
    const struct hr_step *step = &job->step[i];
    (job->prepare ? step->prepare : step->task)(step, job->run, task - job->first[i],
                                                job->first[i + 1] - job->first[i]);
    if (job->busy_ns)
        __atomic_add_fetch(&job->busy_ns[i], hr_os_now_ns() - start, __ATOMIC_RELAXED);
}

static size_t tasks_of(const struct hr_step *step, const struct hr_run *run, bool prepare)
{
    if (run->n == run->plan->images)
        return prepare ? step->full_prepare_tasks : step->full_tasks;
    if (prepare)
        return step->prepare ? step->prepare_tasks(step, run) : 0;
    return step->tasks(step, run);
}

static void run_half(const struct hr_run *run, size_t wave, bool prepare, uint64_t *busy_ns)
{
    const struct hr_plan *p = run->plan;
    const size_t count = p->wave_first[wave + 1] - p->wave_first[wave];
    struct wave_job job = { .run = run, .prepare = prepare, .busy_ns = busy_ns };
    job.step = &p->steps[p->wave_first[wave]];
    for (size_t i = 0; i < count; i++)
        job.first[i + 1] = job.first[i] + tasks_of(&job.step[i], run, prepare);
    const size_t tasks = job.first[count];
    if (run->pool && tasks > 1)
        hr_pool_run(run->pool, wave_task, &job, tasks);
    else
        for (size_t t = 0; t < tasks; t++)
            wave_task(&job, t, tasks);
}

static void run_wave(const struct hr_run *run, size_t wave, uint64_t *busy_ns)
{
    guard(run, wave);
    run_half(run, wave, true, busy_ns);
    run_half(run, wave, false, busy_ns);
}

/* A run of image i alone. */
static struct hr_run turn_of(const struct hr_run *run, size_t i)
{
    struct hr_run one = *run;
    one.image = i;
    one.n = 1;
    return one;
}

/* Runs a wave, and adds the time of its steps to ns unless that is NULL: it is shared out by how
 * long threads were busy with each. */
static void time_wave(const struct hr_run *run, size_t wave, uint64_t *ns)
{
    const size_t *first = &run->plan->wave_first[wave], count = first[1] - first[0];
    uint64_t busy_ns[HR_MAX_WAVE] = { 0 }, all = 0;
    const uint64_t before = ns ? hr_os_now_ns() : 0;
    run_wave(run, wave, ns && count > 1 ? busy_ns : NULL);
    if (!ns)
        return;
    const uint64_t took = hr_os_now_ns() - before;
    for (size_t i = 0; i < count; i++)
        all += busy_ns[i];
    for (size_t i = 0; i < count; i++)
        ns[i] += all ? (uint64_t)((double)took * (double)busy_ns[i] / (double)all) : took;
}

/* Images in turn through the first waves, then the whole batch; the observer, if any, hears of each
 * step once. */
static void run_all(const struct hr_run *run, hr_step_observer *observer, void *context)
{
    const struct hr_plan *p = run->plan;
    uint64_t turns_ns[HR_MAX_TURN] = { 0 };
    for (size_t i = 0; p->turn_count > 0 && i < run->n; i++) {
        const struct hr_run one = turn_of(run, i);
        for (size_t w = 0; w < p->turn_count; w++)
            time_wave(&one, w, observer ? turns_ns + p->wave_first[w] : NULL);
    }
    for (size_t s = 0; observer && s < p->wave_first[p->turn_count]; s++)
        observer(context, s, turns_ns[s]);
    for (size_t w = p->turn_count; w < p->wave_count; w++) {
        uint64_t ns[HR_MAX_WAVE] = { 0 };
        time_wave(run, w, observer ? ns : NULL);
        for (size_t s = p->wave_first[w]; observer && s < p->wave_first[w + 1]; s++)
            observer(context, s, ns[s - p->wave_first[w]]);
    }
}

static void copy_out(const struct hr_plan *plan, const struct hr_view *view, const uint8_t *arena,
                     size_t n, float *out)
{
    const void *x = arena + plan->blocks[view->block].offset;
    hr_view_copy(view, plan->kernels, n, x, out);
}

void hr_plan_run(const struct hr_plan *plan, uint8_t *arena, struct hr_pool *pool, size_t n,
                 const float *x, float *logits, hr_step_observer *observer, void *context)
{
    const struct hr_run run = { .plan = plan, .pool = pool, .arena = arena, .n = n, .x = x };
    const uint32_t fp = hr_fp_enter(); /* as the pool's workers, so that bits do not depend on it */
    if (pool)
        hr_pool_begin(pool);
    run_all(&run, observer, context);
    unguard(&run);
    if (pool)
        hr_pool_end(pool);
    copy_out(plan, &plan->output, arena, n, logits);
    hr_fp_leave(fp);
}

void hr_plan_feature(const struct hr_plan *plan, const uint8_t *arena, size_t n, size_t index,
                     float *out)
{
    copy_out(plan, &plan->features[index], arena, n, out);
}
