/* SPDX-License-Identifier: Apache-2.0
 * Element by element, in pieces that any thread may do. */
#include "train/vector.h"

#define PIECE ((size_t)1 << 16) /* floats: larger leaves threads idle, smaller costs calls */

struct job {
    float *to;
    const float *from;
    size_t count;
    float keep, add;
};

static void average_piece(void *context, size_t task, size_t task_count)
{
    const struct job *j = context;
    const size_t end = (task + 1) * PIECE < j->count ? (task + 1) * PIECE : j->count;
    (void)task_count;
    for (size_t i = task * PIECE; i < end; i++)
        j->to[i] = j->keep * j->to[i] + j->add * j->from[i];
}

static void add_piece(void *context, size_t task, size_t task_count)
{
    const struct job *j = context;
    const size_t end = (task + 1) * PIECE < j->count ? (task + 1) * PIECE : j->count;
    (void)task_count;
    for (size_t i = task * PIECE; i < end; i++)
        j->to[i] += j->from[i];
}

static void scale_piece(void *context, size_t task, size_t task_count)
{
    const struct job *j = context;
    const size_t end = (task + 1) * PIECE < j->count ? (task + 1) * PIECE : j->count;
    (void)task_count;
    for (size_t i = task * PIECE; i < end; i++)
        j->to[i] *= j->keep;
}

static void run(struct hr_pool *pool, hr_task_fn *fn, struct job *job)
{
    const size_t tasks = (job->count + PIECE - 1) / PIECE;
    if (pool) /* of one thread too: denormals count as zero in all of them or in none */
        hr_pool_run(pool, fn, job, tasks);
    else
        for (size_t i = 0; i < tasks; i++)
            fn(job, i, tasks);
}

void hr_vector_average(float *average, const float *x, size_t count, double keep,
                       struct hr_pool *pool)
{
    struct job job = { average, x, count, (float)keep, (float)(1.0 - keep) };
    run(pool, average_piece, &job);
}

void hr_vector_add(float *sum, const float *x, size_t count, struct hr_pool *pool)
{
    struct job job = { .to = sum, .from = x, .count = count };
    run(pool, add_piece, &job);
}

void hr_vector_scale(float *x, size_t count, double factor, struct hr_pool *pool)
{
    struct job job = { .to = x, .count = count, .keep = (float)factor };
    run(pool, scale_piece, &job);
}
