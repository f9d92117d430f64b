/* SPDX-License-Identifier: Apache-2.0
 * What this CPU can do, and how many of them this process may use. */
#ifndef HR_BASE_CPU_H
#define HR_BASE_CPU_H

#include <stddef.h>
#include <stdint.h>

/* Abilities, confirmed by CPUID and by the operating system (XCR0). */
enum hr_cpu_flag {
    HR_CPU_AVX2 = 1u << 0,   /* AVX2 + FMA + F16C + BMI2 */
    HR_CPU_AVX512 = 1u << 1, /* AVX-512 F, CD, BW, DQ, VL */
    HR_CPU_VNNI = 1u << 2,   /* AVX-512 VNNI */
    HR_CPU_FP16 = 1u << 3,   /* AVX512-FP16 */
};

struct hr_cpu {
    uint32_t flags;
    char name[64];                        /* brand string, "" where unknown */
    size_t l1d_bytes, l2_bytes, l3_bytes; /* of one core; L3 shared; 0 where unknown */
};

/* Detected once; thread-safe. */
const struct hr_cpu *hr_cpu_get(void);

/* CPUs this process may really use: affinity mask, then cgroup v2 and v1 quota, rounded up; >= 1.
 */
unsigned hr_cpu_count(void);

/* The cgroup part of hr_cpu_count: CPUs, rounded up, that the groups listed in `groups_file`
 * (/proc/self/cgroup) and the groups around them grant by the files below `mount`
 * (/sys/fs/cgroup); 0 where nothing limits them. */
unsigned hr_cpu_quota(const char *groups_file, const char *mount);

/* Saves the caller's floating-point control state and flushes denormals to zero until leave, so
 * that denormal weights cost nothing; no-ops where the architecture has no such switch. */
uint32_t hr_fp_enter(void);
void hr_fp_leave(uint32_t saved);

#endif
