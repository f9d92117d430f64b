/* SPDX-License-Identifier: Apache-2.0
 * Every task runs once, for any thread count, in and out of brackets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "base/cpu.h"
#include "base/os.h"
#include "base/pool.h"

#define MOST_TASKS 1000

static atomic_uint counts[MOST_TASKS];

static void count_task(void *context, size_t task, size_t task_count)
{
    assert_int_equal(*(size_t *)context, task_count);
    atomic_fetch_add(&counts[task], 1);
}

static void run_and_check(struct hr_pool *pool, size_t tasks)
{
    for (size_t i = 0; i < MOST_TASKS; i++)
        atomic_store(&counts[i], 0);
    hr_pool_run(pool, count_task, &tasks, tasks);
    for (size_t i = 0; i < MOST_TASKS; i++)
        assert_int_equal(atomic_load(&counts[i]), i < tasks ? 1 : 0);
}

static void every_task_once(void **state)
{
    static const size_t tasks[] = { 0, 1, 2, 3, 7, 8, 9, 100, MOST_TASKS };
    (void)state;
    for (unsigned threads = 1; threads <= 8; threads++) {
        struct hr_pool *pool = NULL;
        assert_int_equal(hr_pool_create(&pool, threads), HR_OK);
        assert_int_equal(hr_pool_threads(pool), threads);
        for (int round = 0; round < 20; round++) {
            if (round == 10)
                hr_pool_begin(pool);
            for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
                run_and_check(pool, tasks[i]);
        }
        hr_pool_end(pool);
        hr_pool_destroy(pool);
    }
    hr_pool_destroy(NULL);
}

static void sleepers_wake(void **state)
{
    struct hr_pool *pool = NULL;
    const struct timespec pause = { 0, 20 * 1000 * 1000 };
    (void)state;
    assert_int_equal(hr_pool_create(&pool, 3), HR_OK);
    for (int i = 0; i < 5; i++) {
        nanosleep(&pause, NULL);
        run_and_check(pool, 17);
    }
    hr_pool_destroy(pool);
}

static void add_task(void *context, size_t task, size_t task_count)
{
    (void)task_count;
    atomic_fetch_add((atomic_size_t *)context, task + 1);
}

/* Steps so short that claims of one race with the start of the next. */
static void short_steps_do_not_mix(void **state)
{
    struct hr_pool *pool = NULL;
    (void)state;
    assert_int_equal(hr_pool_create(&pool, 3), HR_OK);
    hr_pool_begin(pool);
    for (size_t i = 0; i < 20000; i++) {
        const size_t tasks = 2 + i % 5;
        atomic_size_t sum = 0;
        hr_pool_run(pool, add_task, &sum, tasks);
        assert_int_equal(atomic_load(&sum), tasks * (tasks + 1) / 2);
    }
    hr_pool_end(pool);
    hr_pool_destroy(pool);
}

struct signal_count {
    pthread_t caller;
    atomic_uint open_workers, workers;
};

/* Slow enough that workers get a share. */
static void look_at_signals(void *context, size_t task, size_t task_count)
{
    struct signal_count *count = context;
    const struct timespec pause = { 0, 1000 * 1000 };
    sigset_t blocked;
    (void)task, (void)task_count;
    nanosleep(&pause, NULL);
    if (pthread_equal(pthread_self(), count->caller))
        return;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    atomic_fetch_add(&count->workers, 1);
    if (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM))
        atomic_fetch_add(&count->open_workers, 1);
}

static void workers_take_no_signals(void **state)
{
    struct hr_pool *pool = NULL;
    struct signal_count count = { .caller = pthread_self() };
    sigset_t blocked;
    (void)state;
    assert_int_equal(hr_pool_create(&pool, 3), HR_OK);
    hr_pool_run(pool, look_at_signals, &count, 60);
    hr_pool_destroy(pool);
    assert_true(atomic_load(&count.workers) > 0);
    assert_int_equal(atomic_load(&count.open_workers), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    assert_false(sigismember(&blocked, SIGINT)); /* the caller keeps its own */
}

static void no_threads_is_refused(void **state)
{
    struct hr_pool *pool = NULL;
    (void)state;
    assert_int_equal(hr_pool_create(&pool, 0), HR_E_ARGUMENT);
    assert_null(pool);
}

/* A wait ends by itself at its time, not before, and one whose time has passed at once. */
static void waits_end_at_their_time(void **state)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    (void)state;
    hr_condition_init(&condition);
    pthread_mutex_lock(&mutex);
    const uint64_t start = hr_os_now_ns(), until = start + 20000000;
    while (hr_condition_wait(&condition, &mutex, until))
        assert_true(hr_os_now_ns() < until);
    assert_true(hr_os_now_ns() >= until);
    assert_false(hr_condition_wait(&condition, &mutex, start));
    pthread_mutex_unlock(&mutex);
    pthread_cond_destroy(&condition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_end_at_their_time), cmocka_unit_test(every_task_once),
        cmocka_unit_test(sleepers_wake),           cmocka_unit_test(short_steps_do_not_mix),
        cmocka_unit_test(workers_take_no_signals), cmocka_unit_test(no_threads_is_refused)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
