/* SPDX-License-Identifier: Apache-2.0
 * A team of threads.  A step is one atomic word: its round, how many tasks it has, and the next one
 * that nobody has claimed.  Threads claim by adding 1, so a thread that sleeps, or that the system
 * has given to another program, holds up nothing: the others take its tasks.  Waiting spins for a
 * moment and then sleeps on a condition variable, so that idle workers cost nothing. */
#include "base/pool.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/compiler.h"
#include "base/cpu.h"
#include "base/mem.h"

/* Looks before sleeping: the first HOT_LOOKS are a pause apart (about 5 us in all, longer than
 * nearly every wait between steps), later ones give the CPU away, so that a waiting thread never
 * holds up the one it waits for.  More hot looks waste the time of others; fewer pay a system call
 * where a step was about to end.  Outside a bracket the next step may be long in coming. */
#define HOT_LOOKS     400
#define BRACKET_LOOKS 1000
#define IDLE_LOOKS    200

/* The word of a step: round (16 bits), task count (24), next task (24).  It says all that a claim
 * needs: a claim of a step that has ended is seen by its own count, whatever has begun since.  A
 * thread claims only when it sees a task left, so `next` passes the count by at most the number of
 * threads. */
#define TASK_BITS 24
#define MAX_TASKS (((size_t)1 << TASK_BITS) - (1 << 12))

static size_t word_next(uint64_t word)
{
    return word & (((uint64_t)1 << TASK_BITS) - 1);
}

static size_t word_count(uint64_t word)
{
    return word >> TASK_BITS & (((uint64_t)1 << TASK_BITS) - 1);
}

static bool word_has_task(uint64_t word)
{
    return word_next(word) < word_count(word);
}

struct worker {
    struct hr_pool *pool;
    pthread_t thread;
};

struct hr_pool {
    /* The step's work: written by the caller before `word` is, read by those with a claim. */
    hr_task_fn *fn;
    void *context;
    unsigned threads, started;
    HR_ALIGNED(64) _Atomic uint64_t word;
    HR_ALIGNED(64) atomic_size_t left; /* tasks that have not ended */
    atomic_bool bracket, stop;
    atomic_uint sleepers;
    atomic_bool caller_sleeps;
    bool oversubscribed; /* more threads than CPUs: spinning would keep others from working */
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    struct worker workers[];
};

/* Passes the time before look number `look`. */
static void relax(unsigned look)
{
#if defined(__x86_64__)
    if (look < HOT_LOOKS) {
        __builtin_ia32_pause();
        return;
    }
#endif
    (void)look;
    sched_yield();
}

static unsigned look_limit(struct hr_pool *pool)
{
    if (pool->oversubscribed)
        return 1;
    return atomic_load_explicit(&pool->bracket, memory_order_relaxed) ? BRACKET_LOOKS : IDLE_LOOKS;
}

/* Waits until there is a task to claim, or the pool stops. */
static void await_task(struct hr_pool *pool)
{
    for (unsigned i = 0; i < look_limit(pool); i++) {
        if (word_has_task(atomic_load_explicit(&pool->word, memory_order_relaxed)) ||
            atomic_load_explicit(&pool->stop, memory_order_relaxed))
            return;
        relax(i);
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!word_has_task(atomic_load(&pool->word)) && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void wake_sleepers(struct hr_pool *pool)
{
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

/* Claims and does tasks until none is left. */
static void do_tasks(struct hr_pool *pool)
{
    while (word_has_task(atomic_load_explicit(&pool->word, memory_order_relaxed))) {
        const uint64_t claim = atomic_fetch_add(&pool->word, 1);
        if (!word_has_task(claim))
            return;
        pool->fn(pool->context, word_next(claim), word_count(claim));
        if (atomic_fetch_sub(&pool->left, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

static void *work(void *argument)
{
    struct hr_pool *pool = ((struct worker *)argument)->pool;
    (void)hr_fp_enter();
    while (!atomic_load(&pool->stop)) {
        await_task(pool);
        do_tasks(pool);
    }
    return NULL;
}

int hr_thread_start(pthread_t *thread, void *(*fn)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const int error = pthread_create(thread, NULL, fn, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

void hr_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool hr_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t until_ns)
{
    const struct timespec until = { (time_t)(until_ns / 1000000000),
                                    (long)(until_ns % 1000000000) };
    if (until_ns == UINT64_MAX)
        return pthread_cond_wait(condition, mutex) == 0;
    return pthread_cond_timedwait(condition, mutex, &until) == 0;
}

static void await_workers(struct hr_pool *pool)
{
    const unsigned limit = pool->oversubscribed ? 1 : BRACKET_LOOKS;
    for (unsigned i = 0; i < limit; i++) {
        if (atomic_load_explicit(&pool->left, memory_order_acquire) == 0)
            return;
        relax(i);
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->left) != 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

void hr_pool_run(struct hr_pool *pool, hr_task_fn *fn, void *context, size_t task_count)
{
    const uint32_t saved = hr_fp_enter();
    if (pool->threads == 1 || task_count <= 1 || task_count > MAX_TASKS) {
        for (size_t task = 0; task < task_count; task++)
            fn(context, task, task_count);
    } else {
        const uint64_t round = (atomic_load(&pool->word) >> (2 * TASK_BITS)) + 1;
        pool->fn = fn;
        pool->context = context;
        atomic_store(&pool->left, task_count);
        atomic_store(&pool->word, round << (2 * TASK_BITS) | (uint64_t)task_count << TASK_BITS);
        wake_sleepers(pool);
        do_tasks(pool);
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
        worker->pool = pool;
        if (hr_thread_start(&worker->thread, work, worker) != 0) {
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
    wake_sleepers(pool);
    for (unsigned i = 1; i <= pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    hr_mem_free(pool);
}
