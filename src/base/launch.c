/* SPDX-License-Identifier: Apache-2.0
 * The names that launchers use.  The first that tells both rank and count is believed: where one
 * launcher runs inside another, the inner one stands first. */
#include "base/launch.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/cpu.h"
#include "base/text.h"

static const struct {
    const char *rank, *ranks, *local_ranks;
} launchers[] = {
    { "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE" },
    { "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS" }, /* MPICH's Hydra, Intel MPI, Slurm's PMI */
    { "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE" },
};

/* A whole number from `least` on, or -1. */
static int number_of(const char *name, int least)
{
    const char *const text = getenv(name);
    int64_t value;
    if (!text || hr_parse_i64(text, &value) != HR_OK || value < least || value > INT_MAX)
        return -1;
    return (int)value;
}

struct hr_launch hr_launch_get(void)
{
    for (size_t i = 0; i < HR_COUNT(launchers); i++) {
        const int rank = number_of(launchers[i].rank, 0), ranks = number_of(launchers[i].ranks, 1);
        const int local = number_of(launchers[i].local_ranks, 1);
        if (rank >= 0 && rank < ranks)
            return (struct hr_launch){ rank, ranks, local > 0 && local <= ranks ? local : 0 };
    }
    return (struct hr_launch){ 0, 1, 1 };
}

/* Is the process kept off some of the machine's CPUs? */
static bool is_bound(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 &&
           CPU_COUNT(&set) < sysconf(_SC_NPROCESSORS_ONLN);
}

unsigned hr_launch_threads(void)
{
    const unsigned count = hr_cpu_count(), ranks = (unsigned)hr_launch_get().local_ranks;
    if (ranks < 2 || is_bound())
        return count;
    return count > ranks ? count / ranks : 1;
}
