/* SPDX-License-Identifier: Apache-2.0
 * CPUs that a process may use: the affinity mask, and control groups of both versions, nested and
 * absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/os.h"

static char folder[] = "/tmp/hrnet_test_cpu_count_XXXXXX";
static char groups[512];

/* Writes folder/name, making the folders before it. */
static void put(const char *name, const char *content)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *((char *)(uintptr_t)hr_os_base_name(path) - 1) = '\0';
    assert_int_equal(hr_os_make_folders(path), HR_OK);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static unsigned quota(void)
{
    return hr_cpu_quota(groups, folder);
}

static void version_two(void **state)
{
    (void)state;
    put("groups", "0::/a/b\n");
    assert_int_equal(quota(), 0);
    put("a/b/cpu.max", "max 100000\n");
    assert_int_equal(quota(), 0);
    put("a/b/cpu.max", "150000 100000\n");
    assert_int_equal(quota(), 2);
    put("a/b/cpu.max", "100000 100000\n");
    assert_int_equal(quota(), 1);
    put("a/b/cpu.max", "100001 100000\n");
    assert_int_equal(quota(), 2);
    put("a/b/cpu.max", "junk\n");
    assert_int_equal(quota(), 0);
    put("a/b/cpu.max", "99999999999999999999999999 1\n");
    assert_int_equal(quota(), 0);
    put("a/b/cpu.max", "100000 0\n");
    assert_int_equal(quota(), 0);
    put("a/b/cpu.max", "100000\n");
    assert_int_equal(quota(), 0);
}

static void the_tightest_group_around_counts(void **state)
{
    (void)state;
    put("groups", "0::/slice/service\n");
    put("slice/service/cpu.max", "800000 100000\n");
    put("slice/cpu.max", "300000 100000\n");
    assert_int_equal(quota(), 3);
    put("cpu.max", "200000 100000\n"); /* the mount of a container is its own group */
    assert_int_equal(quota(), 2);
    put("groups", "0::/../elsewhere\n"); /* a group outside the container's view */
    assert_int_equal(quota(), 2);
    put("slice/service/cpu.max", "50000 100000\n");
    put("groups", "0::/slice/service\n");
    assert_int_equal(quota(), 1);
    put("cpu.max", "max 100000\n");
}

static void version_one(void **state)
{
    (void)state;
    put("groups", "7:memory:/m\n4:cpu,cpuacct:/job\n1:cpuset:/s\n");
    put("cpu/job/cpu.cfs_quota_us", "-1\n");
    put("cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 0);
    put("cpu/job/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(quota(), 3);
    put("cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
    put("cpu,cpuacct/cpu.cfs_period_us", "50000\n");
    assert_int_equal(quota(), 1);
    put("groups", "4:cpuset,cpuacct:/job\n");
    assert_int_equal(quota(), 0);
    put("groups", "junk\n::\n4:cpu\n\n");
    assert_int_equal(quota(), 0);
}

static void without_a_list_the_mount_speaks(void **state)
{
    (void)state;
    put("cpu.max", "200000 100000\n");
    assert_int_equal(hr_cpu_quota("/nonexistent", folder), 1); /* cpu,cpuacct of version_one */
    put("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(hr_cpu_quota("/nonexistent", folder), 2);
    assert_int_equal(hr_cpu_quota("/nonexistent", "/nonexistent"), 0);
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

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(groups, sizeof groups, "%s/groups", folder);
    return 0;
}

static int teardown(void **state)
{
    char command[600];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(version_two),
                                        cmocka_unit_test(the_tightest_group_around_counts),
                                        cmocka_unit_test(version_one),
                                        cmocka_unit_test(without_a_list_the_mount_speaks),
                                        cmocka_unit_test(affinity_counts) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
