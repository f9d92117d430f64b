/* SPDX-License-Identifier: Apache-2.0
 * Was this process started as one of several that belong together?  By mpirun, srun and their like,
 * which tell it in the environment, before any library of theirs is asked. */
#ifndef HR_BASE_LAUNCH_H
#define HR_BASE_LAUNCH_H

struct hr_launch {
    int rank, ranks; /* 0 of 1 where nothing is told */
    int local_ranks; /* of them on this machine; 0 where that is not told */
};
struct hr_launch hr_launch_get(void);

/* Threads that suit this process: the CPUs it may use, divided among the processes of this machine
 * unless the launcher bound each to CPUs of its own; >= 1. */
unsigned hr_launch_threads(void);

#endif
