/* SPDX-License-Identifier: Apache-2.0
 * The public API: what this machine's arithmetic and memory can do, measured by short loops. */
#include "api/api.h"

#include "base/cpu.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "kernel/kernel.h"

struct peak_run {
    const struct hr_kernels *kernels;
    size_t iterations;
    double operations[HRNET_MAX_THREADS];
    float sink[HRNET_MAX_THREADS];
};

static void peak_task(void *context, size_t task, size_t task_count)
{
    struct peak_run *run = context;
    (void)task_count;
    run->operations[task] = run->kernels->fma_peak(run->iterations, &run->sink[task]);
}

/* Best of a few rounds of about 10 ms. */
static double measure_peak(struct peak_run *run, struct hr_pool *pool, unsigned threads)
{
    double best = 0;
    run->iterations = 20000;
    for (int round = 0; round < 6; round++) {
        const uint64_t start = hr_os_now_ns();
        hr_pool_run(pool, peak_task, run, threads);
        const double elapsed = (double)(hr_os_now_ns() - start);
        double operations = 0;
        for (unsigned t = 0; t < threads; t++)
            operations += run->operations[t];
        if (elapsed < 5e6) {
            run->iterations *= 4;
            round--;
            continue;
        }
        best = operations / elapsed > best ? operations / elapsed : best;
    }
    return best;
}

double hrnet_cpu_peak_gflops(const char *isa, unsigned threads)
{
    uint32_t flags;
    struct hr_pool *pool = NULL;
    struct hr_kernels kernels;
    double gflops = 0;
    if (threads < 1 || threads > HRNET_MAX_THREADS || hr_api_cpu_flags(isa, &flags) != HR_OK)
        return 0;
    struct peak_run *run = hr_mem_alloc(1, sizeof *run);
    if (!run)
        return 0;
    hr_kernels_init(&kernels, hr_cpu_get()->flags & flags);
    run->kernels = &kernels;
    if (hr_pool_create(&pool, threads) == HR_OK)
        gflops = measure_peak(run, pool, threads);
    hr_pool_destroy(pool);
    hr_mem_free(run);
    return gflops;
}

/* ---- Reading ---- */

#define GRAIN    128        /* floats: what hr_kernels.read_all goes by */
#define ROUND_NS 4000000    /* longer: more time; shorter: the barrier shows */
#define PASSES   (1u << 24) /* of a round at most, should a clock stand still */

struct read_run {
    const struct hr_kernels *kernels;
    const float *x;
    size_t grains, passes; /* of the block; how often each thread goes through its part */
    float sink[HRNET_MAX_THREADS];
};

/* Reads its part of the block, once a pass. */
static void read_task(void *context, size_t task, size_t task_count)
{
    struct read_run *run = context;
    const size_t first = run->grains * task / task_count;
    const size_t last = run->grains * (task + 1) / task_count;
    for (size_t pass = 0; pass < run->passes; pass++)
        run->sink[task] += run->kernels->read_all(run->x + first * GRAIN, (last - first) * GRAIN);
}

/* Best of a few rounds, in GB/s. */
static double measure_read(struct read_run *run, struct hr_pool *pool, unsigned threads)
{
    const double bytes = (double)(run->grains * GRAIN * sizeof *run->x);
    double best = 0;
    run->passes = 1;
    for (int round = 0; round < 5; round++) {
        const uint64_t start = hr_os_now_ns();
        hr_pool_run(pool, read_task, run, threads);
        const double elapsed = (double)(hr_os_now_ns() - start);
        if (elapsed < ROUND_NS && run->passes < PASSES) {
            run->passes *= 4;
            round--;
            continue;
        }
        const double rate = bytes * (double)run->passes / elapsed;
        best = rate > best ? rate : best;
    }
    return best;
}

double hrnet_cpu_read_gbytes(const char *isa, size_t bytes, unsigned threads)
{
    uint32_t flags;
    struct hr_pool *pool = NULL;
    struct hr_kernels kernels;
    double rate = 0;
    const size_t grains = bytes / (GRAIN * sizeof(float));
    if (threads < 1 || threads > HRNET_MAX_THREADS || grains < threads ||
        hr_api_cpu_flags(isa, &flags) != HR_OK)
        return 0;
    struct read_run *run = hr_mem_alloc(1, sizeof *run);
    float *x = hr_mem_alloc_raw(grains, GRAIN * sizeof *x);
    if (run && x && hr_pool_create(&pool, threads) == HR_OK) {
        hr_kernels_init(&kernels, hr_cpu_get()->flags & flags);
        hr_mem_prefer_huge(x, grains * GRAIN * sizeof *x);
        memset(x, 0, grains * GRAIN * sizeof *x);
        run->kernels = &kernels;
        run->x = x;
        run->grains = grains;
        rate = measure_read(run, pool, threads);
    }
    hr_pool_destroy(pool);
    hr_mem_free(x);
    hr_mem_free(run);
    return rate;
}
