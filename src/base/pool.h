/* SPDX-License-Identifier: Apache-2.0
 * A team of threads that runs one parallel step after another: tasks are claimed in order,
 * spin-then-sleep barrier, no queue, no allocation after create. */
#ifndef HR_BASE_POOL_H
#define HR_BASE_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Starts a thread that takes no signals: handlers of the program run on its own threads.  0, or an
 * errno. */
int hr_thread_start(pthread_t *thread, void *(*fn)(void *), void *argument) HR_WARN_UNUSED;

/* A condition whose waits end by the clock of hr_os_now_ns(), which nobody sets. */
void hr_condition_init(pthread_cond_t *condition);
/* Waits with the mutex held until signalled, in vain now and then as all waits, or until that time
 * (UINT64_MAX: never); false when it has passed. */
bool hr_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t until_ns);

struct hr_pool;

/* One piece of a step.  Pieces are independent and may run in any order on any thread; denormals
 * are flushed while they run. */
typedef void hr_task_fn(void *context, size_t task, size_t task_count);

/* `threads` >= 1 counts the calling thread: threads - 1 workers start, asleep. */
enum hr_status hr_pool_create(struct hr_pool **out, unsigned threads) HR_WARN_UNUSED;
unsigned hr_pool_threads(const struct hr_pool *pool);

/* Runs tasks 0..task_count-1; free threads claim them in order, so which thread does which is open.
 * Returns when all are done.
 * One caller at a time.  Cannot fail. */
void hr_pool_run(struct hr_pool *pool, hr_task_fn *fn, void *context, size_t task_count);

/* Between these two, workers spin instead of sleeping when idle: bracket a run of many steps.
 * Idle workers outside a bracket sleep. */
void hr_pool_begin(struct hr_pool *pool);
void hr_pool_end(struct hr_pool *pool);

/* NULL is allowed. */
void hr_pool_destroy(struct hr_pool *pool);

#endif
