/* SPDX-License-Identifier: Apache-2.0
 * The order of steps.  A wave is run as one: the tasks of all its steps stand in one row, largest
 * first, and threads take the next one when they are free.  So branches of a module run side by
 * side without a thread being tied to a branch, and there is one barrier a wave. */
#include "plan/waves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Cycles that a task costs besides its work: claiming it, finding its place, weights read once
 * more.  Smaller splits finer. */
#define TASK_CYCLES 1000.0
/* More pieces than any step has. */
#define MAX_PIECES (1u << 20)
/* Share of a step that is prepared before its tasks start, if it prepares: transforms of the
 * inputs take 3 to 22 % of a Winograd convolution. */
#define PREPARE_SHARE 0.1

/* ---- Waves --------------------------------------------------------------------------------- */

static int by_wave_and_cost(const void *a, const void *b)
{
    const struct hr_step *x = a, *y = b;
    if (x->wave != y->wave)
        return x->wave < y->wave ? -1 : 1;
    if (x->cost != y->cost)
        return x->cost > y->cost ? -1 : 1;
    return (x->writes > y->writes) - (x->writes < y->writes);
}

/* wave_of[block]: 1 + the wave that writes it; 0 for the input. */
static void find_waves(struct hr_plan *p, size_t *wave_of)
{
    for (size_t s = 0; s < p->step_count; s++) {
        struct hr_step *step = &p->steps[s];
        step->wave = 0;
        for (int32_t i = 0; i < step->read_count; i++)
            if (step->wave < wave_of[step->reads[i]])
                step->wave = wave_of[step->reads[i]];
        wave_of[step->writes] = step->wave + 1;
    }
    qsort(p->steps, p->step_count, sizeof *p->steps, by_wave_and_cost);
}

/* Cuts waves longer than HR_MAX_WAVE; numbers them without gaps. */
static void number_waves(struct hr_plan *p)
{
    size_t old = SIZE_MAX, in_wave = 0;
    p->wave_count = 0;
    for (size_t s = 0; s < p->step_count; s++) {
        struct hr_step *step = &p->steps[s];
        if (step->wave != old || in_wave == HR_MAX_WAVE) {
            old = step->wave;
            in_wave = 0;
            p->wave_first[p->wave_count++] = s;
        }
        in_wave++;
        step->wave = p->wave_count - 1;
    }
    p->wave_first[p->wave_count] = p->step_count;
}

static void set_lifetimes(struct hr_plan *p)
{
    for (size_t s = 0; s < p->step_count; s++) {
        const struct hr_step *step = &p->steps[s];
        struct hr_block *written[] = { &p->blocks[step->writes],
                                       step->scratch >= 0 ? &p->blocks[step->scratch] : NULL };
        for (size_t i = 0; i < HR_COUNT(written); i++)
            if (written[i])
                written[i]->first = written[i]->last = step->wave;
        for (int32_t i = 0; i < step->read_count; i++)
            p->blocks[step->reads[i]].last = step->wave; /* waves only grow */
    }
}

enum hr_status hr_waves_order(struct hr_plan *p, bool side_by_side)
{
    p->wave_first = hr_mem_alloc(p->step_count + 1, sizeof *p->wave_first);
    if (!p->wave_first)
        return HR_E_MEMORY;
    for (size_t s = 0; s < p->step_count; s++)
        p->steps[s].wave = s;
    if (side_by_side) {
        size_t *wave_of = hr_mem_alloc(p->block_count, sizeof *wave_of);
        if (!wave_of)
            return HR_E_MEMORY;
        find_waves(p, wave_of);
        hr_mem_free(wave_of);
    }
    number_waves(p);
    set_lifetimes(p);
    return HR_OK;
}

void hr_waves_fini(struct hr_plan *p)
{
    hr_mem_free(p->wave_first);
    p->wave_first = NULL;
}

/* ---- Turns ---------------------------------------------------------------------------------- */

/* What a step reads and writes for one image, from where images go in turn, and for the whole batch
 * on each thread: 4 images of HRNet_W18_C are 4 % faster on one thread. */
#define TURN_IMAGE_BYTES  ((size_t)3 << 19)
#define TURN_THREAD_BYTES ((size_t)2 << 20)

static bool takes_turns(const struct hr_plan *p, size_t wave)
{
    size_t bytes = 0;
    for (size_t s = p->wave_first[wave]; s < p->wave_first[wave + 1]; s++)
        bytes += p->steps[s].activation_bytes;
    return p->wave_first[wave + 1] <= HR_MAX_TURN && bytes / p->images >= TURN_IMAGE_BYTES &&
           bytes / p->threads >= TURN_THREAD_BYTES;
}

void hr_waves_take_turns(struct hr_plan *p)
{
    while (p->images > 1 && p->turn_count < p->wave_count && takes_turns(p, p->turn_count))
        p->turn_count++;
    for (size_t i = 1; i < p->block_count; i++) {
        struct hr_block *b = &p->blocks[i];
        if (b->first >= p->turn_count || b->image_bytes == 0)
            continue;
        if (b->last >= p->turn_count) {
            b->first = 0; /* while later images go through, this one's value waits */
        } else {
            b->bytes = b->image_bytes;
            b->image_bytes = 0;
        }
    }
}

/* ---- Splits -------------------------------------------------------------------------------- */

/* Threads that take the next task when they are free: when each will be. */
struct team {
    double *until; /* [threads] */
    size_t threads;
};

static void team_take(struct team *team, double length)
{
    size_t first = 0;
    for (size_t i = 1; i < team->threads; i++)
        if (team->until[i] < team->until[first])
            first = i;
    team->until[first] += length;
}

/* All wait for the last, and `sync` longer; returns when that is. */
static double team_wait(struct team *team, double sync)
{
    double end = 0;
    for (size_t i = 0; i < team->threads; i++)
        end = team->until[i] > end ? team->until[i] : end;
    end += sync;
    for (size_t i = 0; i < team->threads; i++)
        team->until[i] = end;
    return end;
}

enum half { PREPARE, COMPUTE };

static size_t half_tasks(const struct hr_plan *p, const struct hr_step *step, unsigned split,
                         enum half half)
{
    const struct hr_run run = { .plan = p, .n = p->images };
    struct hr_step as = *step;
    as.split = split;
    if (half == COMPUTE)
        return as.tasks(&as, &run);
    return as.prepare ? as.prepare_tasks(&as, &run) : 0;
}

/* One half of a step whose `length` is known, as tasks of whole pieces of equal length. */
struct pieces {
    size_t tasks, count; /* of pieces */
    double each;
};

static struct pieces pieces_of(const struct hr_plan *p, const struct hr_step *step, unsigned split,
                               enum half half, double length)
{
    struct pieces out = { half_tasks(p, step, split, half), half_tasks(p, step, MAX_PIECES, half),
                          0 };
    if (half_tasks(p, step, split, PREPARE) > 0)
        length *= half == PREPARE ? PREPARE_SHARE : 1 - PREPARE_SHARE;
    if (out.count > 0)
        out.each = length / (double)out.count;
    return out;
}

/* Tasks of one half of a wave, each `more` longer; returns how many. */
static size_t team_run_half(struct team *team, const struct hr_plan *p, size_t wave, enum half half,
                            const double *length, double more)
{
    size_t all = 0;
    for (size_t s = p->wave_first[wave]; s < p->wave_first[wave + 1]; s++) {
        const struct pieces is = pieces_of(p, &p->steps[s], p->steps[s].split, half, length[s]);
        for (size_t t = 0; t < is.tasks; t++)
            team_take(team, more + is.each * (double)(hr_part(is.count, t + 1, is.tasks) -
                                                      hr_part(is.count, t, is.tasks)));
        all += is.tasks;
    }
    return all;
}

/* Both halves of a wave; returns when it has ended.  length[step] is on one thread. */
static double team_run(struct team *team, const struct hr_plan *p, size_t wave,
                       const double *length, double more, double sync)
{
    for (enum half half = PREPARE; half <= COMPUTE; half++)
        if (team_run_half(team, p, wave, half, length, more) > 1 && team->threads > 1)
            (void)team_wait(team, sync);
    return team_wait(team, 0);
}

/* Splits the steps of a wave into about `parts` tasks in all. */
static void split_into(struct hr_plan *p, size_t wave, double parts)
{
    double all = 0;
    for (size_t s = p->wave_first[wave]; s < p->wave_first[wave + 1]; s++)
        all += p->steps[s].cost;
    for (size_t s = p->wave_first[wave]; s < p->wave_first[wave + 1]; s++) {
        const double share = ceil(parts * p->steps[s].cost / all);
        p->steps[s].split = share < 1                    ? 1
                            : share > (double)p->threads ? p->threads
                                                         : (unsigned)share;
    }
}

/* The number of tasks that ends first, by the estimated costs. */
static void split_wave(struct hr_plan *p, size_t wave, struct team *team, const double *cost)
{
    static const double tries[] = { 2, 3, 4, 6 };
    double best = 0, best_end = INFINITY;
    for (size_t i = 0; i < HR_COUNT(tries); i++) {
        memset(team->until, 0, team->threads * sizeof *team->until);
        split_into(p, wave, tries[i] * (double)p->threads);
        const double end = team_run(team, p, wave, cost, TASK_CYCLES, 0);
        if (end < best_end) {
            best_end = end;
            best = tries[i];
        }
    }
    split_into(p, wave, best * (double)p->threads);
}

enum hr_status hr_waves_split(struct hr_plan *p)
{
    struct team team = { hr_mem_alloc(p->threads, sizeof *team.until), p->threads };
    double *cost = hr_mem_alloc(p->step_count, sizeof *cost);
    const enum hr_status status = team.until && cost ? HR_OK : HR_E_MEMORY;
    for (size_t s = 0; status == HR_OK && s < p->step_count; s++)
        cost[s] = p->steps[s].cost;
    for (size_t w = 0; status == HR_OK && w < p->wave_count; w++)
        if (p->wave_first[w + 1] - p->wave_first[w] > 1)
            split_wave(p, w, &team, cost);
        else
            p->steps[p->wave_first[w]].split = p->threads;
    for (size_t s = 0; status == HR_OK && s < p->step_count; s++) {
        struct hr_step *step = &p->steps[s];
        step->full_tasks = half_tasks(p, step, step->split, COMPUTE);
        step->full_prepare_tasks = half_tasks(p, step, step->split, PREPARE);
    }
    hr_mem_free(cost);
    hr_mem_free(team.until);
    return status;
}

/* ---- Foretelling --------------------------------------------------------------------------- */

/* The longest chain: end[block] is when its value is there if every step starts at once. */
static double longest_chain(const struct hr_plan *p, const double *ns, unsigned threads,
                            double *end)
{
    double longest = 0;
    for (size_t s = 0; s < p->step_count; s++) {
        const struct hr_step *step = &p->steps[s];
        double start = 0;
        for (int32_t i = 0; i < step->read_count; i++)
            start = end[step->reads[i]] > start ? end[step->reads[i]] : start;
        for (enum half half = PREPARE; half <= COMPUTE; half++) {
            const struct pieces is = pieces_of(p, step, threads, half, ns[s]);
            if (is.tasks > 0)
                start += is.each * (double)((is.count + is.tasks - 1) / is.tasks);
        }
        end[step->writes] = start;
        longest = end[step->writes] > longest ? end[step->writes] : longest;
    }
    return longest;
}

/* A copy of the plan's steps and blocks that can be ordered anew; its owner frees it with drop. */
static enum hr_status copy_for(struct hr_plan *copy, const struct hr_plan *plan, unsigned threads)
{
    *copy = *plan;
    copy->threads = threads;
    copy->wave_first = NULL;
    copy->steps = hr_mem_alloc(plan->step_count, sizeof *copy->steps);
    copy->blocks = hr_mem_alloc(plan->block_count, sizeof *copy->blocks);
    if (!copy->steps || !copy->blocks)
        return HR_E_MEMORY;
    memcpy(copy->steps, plan->steps, plan->step_count * sizeof *copy->steps);
    memcpy(copy->blocks, plan->blocks, plan->block_count * sizeof *copy->blocks);
    return HR_OK;
}

static void drop(struct hr_plan *copy)
{
    hr_waves_fini(copy);
    hr_mem_free(copy->steps);
    hr_mem_free(copy->blocks);
}

/* ns[s] of the copy's steps: a step is known by the block it writes. */
static void times_of(double *ns, double *of_block, const struct hr_plan *copy,
                     const struct hr_plan *plan, const uint64_t *nanoseconds)
{
    for (size_t s = 0; s < plan->step_count; s++)
        of_block[plan->steps[s].writes] = (double)nanoseconds[s];
    for (size_t s = 0; s < copy->step_count; s++)
        ns[s] = of_block[copy->steps[s].writes];
}

enum hr_status hr_waves_foretell(struct hr_foretold *out, const struct hr_plan *plan,
                                 const uint64_t *nanoseconds, unsigned threads, double sync_ns,
                                 bool side_by_side)
{
    struct hr_plan copy = { 0 };
    struct team team = { hr_mem_alloc(threads, sizeof *team.until), threads };
    double *ns = hr_mem_alloc(plan->step_count, sizeof *ns);
    double *of_block = hr_mem_alloc(plan->block_count, sizeof *of_block);
    enum hr_status status =
        team.until && ns && of_block ? copy_for(&copy, plan, threads) : HR_E_MEMORY;
    if (status == HR_OK)
        status = hr_waves_order(&copy, side_by_side);
    if (status == HR_OK)
        status = hr_waves_split(&copy);
    if (status == HR_OK) {
        double work = 0;
        struct hr_foretold f = { .waves = copy.wave_count };
        times_of(ns, of_block, &copy, plan, nanoseconds);
        for (size_t s = 0; s < copy.step_count; s++)
            work += ns[s];
        for (size_t w = 0; w < copy.wave_count; w++)
            f.ns = team_run(&team, &copy, w, ns, 0, sync_ns);
        f.idle = f.ns > 0 ? 1 - work / (f.ns * (double)threads) : 0;
        memset(of_block, 0, plan->block_count * sizeof *of_block);
        f.chain_ns = longest_chain(&copy, ns, threads, of_block);
        *out = f;
    }
    drop(&copy);
    hr_mem_free(of_block);
    hr_mem_free(ns);
    hr_mem_free(team.until);
    return status;
}
