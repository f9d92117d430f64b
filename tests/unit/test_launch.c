/* SPDX-License-Identifier: Apache-2.0
 * Ranks as launchers tell them in the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/launch.h"

static void forget(void)
{
    static const char *const names[] = {
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "PMI_RANK",
        "PMI_SIZE",
        "MPI_LOCALNRANKS",
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_STEP_TASKS_PER_NODE",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
}

static void expect(int rank, int ranks, int local_ranks)
{
    const struct hr_launch l = hr_launch_get();
    assert_int_equal(l.rank, rank);
    assert_int_equal(l.ranks, ranks);
    assert_int_equal(l.local_ranks, local_ranks);
}

static void alone(void **state)
{
    (void)state;
    forget();
    expect(0, 1, 1);
    setenv("SLURM_PROCID", "0", 1); /* a batch script, which is no step */
    expect(0, 1, 1);
}

static void told(void **state)
{
    (void)state;
    forget();
    setenv("PMI_RANK", "1", 1);
    setenv("PMI_SIZE", "3", 1);
    expect(1, 3, 0);
    setenv("MPI_LOCALNRANKS", "2", 1);
    expect(1, 3, 2);
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "4", 1);
    expect(3, 4, 4);
}

static void nonsense(void **state)
{
    (void)state;
    forget();
    setenv("PMI_RANK", "2", 1);
    setenv("PMI_SIZE", "2", 1);
    expect(0, 1, 1);
    setenv("PMI_RANK", "-1", 1);
    expect(0, 1, 1);
    setenv("PMI_RANK", "1x", 1);
    expect(0, 1, 1);
    setenv("PMI_RANK", "1", 1);
    setenv("MPI_LOCALNRANKS", "2(x2)", 1);
    expect(1, 2, 0);
    setenv("PMI_SIZE", "99999999999", 1);
    expect(0, 1, 1);
}

/* On one CPU of several a process is bound. */
static void threads(void **state)
{
    (void)state;
    cpu_set_t all, one;
    forget();
    const unsigned count = hr_cpu_count();
    assert_int_equal(hr_launch_threads(), count);
    setenv("PMI_RANK", "0", 1);
    setenv("PMI_SIZE", "2", 1);
    assert_int_equal(hr_launch_threads(), count);
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    setenv("MPI_LOCALNRANKS", "2", 1);
    if (CPU_COUNT(&all) == sysconf(_SC_NPROCESSORS_ONLN))
        assert_int_equal(hr_launch_threads(), count > 1 ? count / 2 : 1);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(hr_launch_threads(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(told),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
