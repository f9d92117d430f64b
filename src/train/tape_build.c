/* SPDX-License-Identifier: Apache-2.0
 * What the operators share: blocks and steps while a tape is made, floats and threads while it
 * runs. */
#include "train/tape_build.h"

#include <string.h>

/* ---- While it is made ---- */

int32_t hr_tape_block(struct hr_tape_build *b, size_t floats)
{
    struct hr_tape *t = b->tape;
    size_t bytes;
    if (!hr_size_mul(&bytes, floats, sizeof(float)) ||
        hr_mem_grow((void **)&t->blocks, &t->block_capacity, t->block_count + 1,
                    sizeof *t->blocks) != HR_OK) {
        b->failed = true;
        return -1;
    }
    t->blocks[t->block_count] = (struct hr_block){
        .bytes = bytes, .first = t->step_count, .last = t->step_count, .onto = -1
    };
    return (int32_t)t->block_count++;
}

int32_t hr_tape_use(struct hr_tape_build *b, int32_t block)
{
    if (block >= 0)
        b->tape->blocks[block].last = b->tape->step_count;
    return block;
}

size_t hr_tape_value_floats(const struct hr_tape *tape, const struct hr_tape_value *value)
{
    return tape->batch * value->h * value->w * value->stride * (tape->options.wide ? 2 : 1);
}

int32_t hr_tape_result(struct hr_tape_build *b, hr_value value)
{
    struct hr_tape_value *v = &b->values[value];
    v->block = hr_tape_block(b, hr_tape_value_floats(b->tape, v));
    return v->block;
}

int32_t hr_tape_gradient(struct hr_tape_build *b, hr_value value, bool *add)
{
    struct hr_tape_value *v = &b->values[value];
    *add = v->gradient >= 0;
    if (!v->wants_gradient)
        return -1;
    if (!*add)
        v->gradient = hr_tape_block(b, hr_tape_value_floats(b->tape, v));
    return hr_tape_use(b, v->gradient);
}

enum hr_status hr_tape_saved(struct hr_tape_build *b, hr_value value, int32_t *block)
{
    struct hr_tape_value *v = &b->values[value];
    if (v->saved < 0 && v->again)
        HR_TRY(v->again(b, value, v->again_detail));
    else if (v->saved < 0 && v->packed >= 0)
        HR_TRY(hr_tape_unpack(b, value));
    else if (v->saved < 0)
        v->saved = v->block;
    *block = v->saved;
    return HR_OK;
}

void *hr_tape_detail(struct hr_tape_build *b, const void *detail, size_t bytes)
{
    void *copy = hr_arena_alloc(&b->tape->names, 1, bytes);
    if (copy)
        memcpy(copy, detail, bytes);
    return copy;
}

enum hr_status hr_tape_step(struct hr_tape_build *b, const struct hr_tape_step *step)
{
    struct hr_tape *t = b->tape;
    const char *const name = hr_arena_printf(&t->names, "%s", step->name);
    if (b->failed || !step->detail || !name || !step->kernel)
        return HR_E_MEMORY;
    HR_TRY(hr_mem_grow((void **)&t->steps, &t->step_capacity, t->step_count + 1, sizeof *t->steps));
    t->steps[t->step_count] = *step;
    t->steps[t->step_count].ready = t->floats;
    t->steps[t->step_count++].name = name; /* the graph does not stay */
    return HR_OK;
}

enum hr_status hr_tape_record(struct hr_tape_build *b, const struct hr_node *node,
                              hr_tape_back_fn *back, void *detail)
{
    if (!detail)
        return HR_E_MEMORY;
    b->records[b->record_count++] = (struct hr_tape_record){ node, back, detail };
    return HR_OK;
}

const char *hr_tape_kernel_name(struct hr_tape_build *b, const char *job)
{
    return hr_arena_printf(&b->tape->names, "%s_%s", job,
                           b->tape->options.wide ? "wide" : b->tape->options.kernels->isa);
}

/* ---- While it runs ---- */

float *hr_tape_at(const struct hr_tape_run *run, int32_t block)
{
    if (block < 0)
        return NULL;
    return (float *)(void *)(run->tape->arena + run->tape->blocks[block].offset);
}

double *hr_tape_wide(const struct hr_tape_run *run, int32_t block)
{
    return (double *)(void *)hr_tape_at(run, block);
}

double hr_tape_get(const struct hr_tape_run *run, int32_t block, size_t i)
{
    return run->tape->options.wide ? hr_tape_wide(run, block)[i]
                                   : (double)hr_tape_at(run, block)[i];
}

void hr_tape_put(const struct hr_tape_run *run, int32_t block, size_t i, double value)
{
    if (run->tape->options.wide)
        hr_tape_wide(run, block)[i] = value;
    else
        hr_tape_at(run, block)[i] = (float)value;
}

unsigned hr_tape_threads(const struct hr_tape_run *run)
{
    return run->tape->options.pool ? hr_pool_threads(run->tape->options.pool) : 1;
}

void hr_tape_tasks(const struct hr_tape_run *run, hr_task_fn *fn, void *context, size_t tasks)
{
    if (run->tape->options.pool && tasks > 1)
        hr_pool_run(run->tape->options.pool, fn, context, tasks);
    else
        for (size_t i = 0; i < tasks; i++)
            fn(context, i, tasks);
}

struct ranges {
    hr_range_fn *fn;
    const void *context;
    size_t count;
};

static void range_task(void *context, size_t task, size_t task_count)
{
    const struct ranges *r = context;
    r->fn(r->context, r->count * task / task_count, r->count * (task + 1) / task_count);
}

/* Floats that one thread should have before another is worth waking, about 2 us. */
#define TASK_FLOATS 16384

void hr_tape_ranges(const struct hr_tape_run *run, hr_range_fn *fn, const void *context,
                    size_t count, size_t floats_each)
{
    struct ranges r = { fn, context, count };
    const size_t worth = count * floats_each / TASK_FLOATS + 1;
    size_t tasks = 2 * hr_tape_threads(run); /* two each: the last thread waits less */
    tasks = tasks < worth ? tasks : worth;
    hr_tape_tasks(run, range_task, &r, tasks < count ? tasks : count);
}
