/* SPDX-License-Identifier: Apache-2.0
 * CPUs that a process may use (affinity, cgroup files of both versions), and the denormal switch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cpu.h"

static void write_file(const char *folder, const char *name, const char *content)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void quotas(void **state)
{
    char folder[] = "/tmp/hrnet_test_cpu_XXXXXX", path[512];
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_true(hr_cpu_quota(folder) == 0);
    snprintf(path, sizeof path, "%s/cpu", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(folder, "cpu/cpu.cfs_quota_us", "-1\n");
    write_file(folder, "cpu/cpu.cfs_period_us", "100000\n");
    assert_true(hr_cpu_quota(folder) == 0);
    write_file(folder, "cpu/cpu.cfs_quota_us", "250000\n");
    assert_true(hr_cpu_quota(folder) == 2.5);
    write_file(folder, "cpu.max", "150000 100000\n");
    assert_true(hr_cpu_quota(folder) == 1.5);
    write_file(folder, "cpu.max", "max 100000\n");
    assert_true(hr_cpu_quota(folder) == 0);
    write_file(folder, "cpu.max", "junk\n");
    assert_true(hr_cpu_quota(folder) == 0);
    snprintf(path, sizeof path, "rm -rf '%s'", folder);
    assert_int_equal(system(path), 0);
}

static void affinity_counts(void **state)
{
    cpu_set_t all, one;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_true(hr_cpu_count() >= 1 && hr_cpu_count() <= (unsigned)CPU_COUNT(&all));
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(hr_cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void denormals_flush_and_come_back(void **state)
{
    volatile float tiny = 1e-40f, result;
    (void)state;
    result = tiny * 2.0f;
    assert_true(result > 0);
    const uint32_t saved = hr_fp_enter();
#if defined(__x86_64__)
    result = tiny * 2.0f;
    assert_true(result == 0);
#endif
    hr_fp_leave(saved);
    result = tiny * 2.0f;
    assert_true(result > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(quotas), cmocka_unit_test(affinity_counts),
                                        cmocka_unit_test(denormals_flush_and_come_back) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
