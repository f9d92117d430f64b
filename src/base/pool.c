/* SPDX-License-Identifier: Apache-2.0
 * A team of threads.  A step is announced by raising `round`; each thread does its share and the
 * last to finish is seen through `working`.  Waiting spins for a moment and then sleeps on a
 * condition variable, so that idle workers cost nothing. */
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/cpu.h"
#include "base/mem.h"

/* Looks before sleeping: about 2 us outside a bracket, 100 us inside one, where the next step is
 * near.  Larger burns CPU that others could use; smaller pays for a wake-up each step. */
#define SPIN_IDLE    200
#define SPIN_BRACKET 10000

struct worker {
    struct hr_pool *pool;
    pthread_t thread;
    size_t index;
};

struct hr_pool {
    /* The step: written by the caller before `round` rises, read by workers after. */
    hr_task_fn *fn;
    void *context;
    size_t task_count;
    unsigned threads, started;
    HR_ALIGNED(64) atomic_uint round;
    HR_ALIGNED(64) atomic_uint working; /* workers that have not finished the step */
    atomic_bool bracket, stop;
    atomic_uint sleepers;
    atomic_bool caller_sleeps;
    bool oversubscribed; /* more threads than CPUs: spinning would keep others from working */
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    struct worker workers[];
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static unsigned spin_limit(struct hr_pool *pool)
{
    if (pool->oversubscribed)
        return 1;
    return atomic_load_explicit(&pool->bracket, memory_order_relaxed) ? SPIN_BRACKET : SPIN_IDLE;
}

/* Waits until `round` is no longer `seen`; returns the new one. */
static unsigned await_round(struct hr_pool *pool, unsigned seen)
{
    unsigned round;
    for (unsigned i = 0; i < spin_limit(pool); i++) {
        if ((round = atomic_load_explicit(&pool->round, memory_order_acquire)) != seen)
            return round;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while ((round = atomic_load(&pool->round)) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return round;
}

static void raise_round(struct hr_pool *pool)
{
    atomic_fetch_add(&pool->round, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static void do_share(struct hr_pool *pool, size_t index)
{
    for (size_t task = index; task < pool->task_count; task += pool->threads)
        pool->fn(pool->context, task, pool->task_count);
}

static void finish_share(struct hr_pool *pool)
{
    if (atomic_fetch_sub(&pool->working, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct hr_pool *pool = worker->pool;
    unsigned seen = 0;
    (void)hr_fp_enter();
    for (;;) {
        seen = await_round(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        do_share(pool, worker->index);
        finish_share(pool);
    }
}

static void await_workers(struct hr_pool *pool)
{
    const unsigned limit = pool->oversubscribed ? 1 : SPIN_BRACKET;
    for (unsigned i = 0; i < limit; i++) {
        if (atomic_load_explicit(&pool->working, memory_order_acquire) == 0)
            return;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->working) != 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

void hr_pool_run(struct hr_pool *pool, hr_task_fn *fn, void *context, size_t task_count)
{
    const uint32_t saved = hr_fp_enter();
    if (pool->threads == 1 || task_count <= 1) {
        for (size_t task = 0; task < task_count; task++)
            fn(context, task, task_count);
    } else {
        pool->fn = fn;
        pool->context = context;
        pool->task_count = task_count;
        atomic_store(&pool->working, pool->threads - 1);
        raise_round(pool);
        do_share(pool, 0);
        await_workers(pool);
    }
    hr_fp_leave(saved);
}

void hr_pool_begin(struct hr_pool *pool)
{
    atomic_store_explicit(&pool->bracket, true, memory_order_relaxed);
}

void hr_pool_end(struct hr_pool *pool)
{
    atomic_store_explicit(&pool->bracket, false, memory_order_relaxed);
}

unsigned hr_pool_threads(const struct hr_pool *pool)
{
    return pool->threads;
}

enum hr_status hr_pool_create(struct hr_pool **out, unsigned threads)
{
    size_t bytes = 0;
    if (threads < 1)
        return hr_fail(HR_E_ARGUMENT, "a pool needs at least one thread");
    if (!hr_size_mul(&bytes, threads, sizeof(struct worker)))
        return hr_fail(HR_E_MEMORY, "a pool of %u threads is too large", threads);
    struct hr_pool *pool = hr_mem_alloc(1, sizeof *pool + bytes);
    if (!pool)
        return HR_E_MEMORY;
    pool->threads = threads;
    pool->oversubscribed = threads > hr_cpu_count();
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (unsigned i = 1; i < threads; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){ .pool = pool, .index = i };
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            hr_pool_destroy(pool);
            return hr_fail(HR_E_MEMORY, "thread %u of %u could not be started", i + 1, threads);
        }
        pool->started = i;
    }
    *out = pool;
    return HR_OK;
}

void hr_pool_destroy(struct hr_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    raise_round(pool);
    for (unsigned i = 1; i <= pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    hr_mem_free(pool);
}
