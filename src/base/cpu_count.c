/* SPDX-License-Identifier: Apache-2.0
 * How many CPUs this process may really use (declared in cpu.h).
 * The one idea: the smallest of what the affinity mask and every enclosing control group allow;
 * a container with a quota of 1.5 CPUs on a machine of 64 must start 2 threads, not 64. */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/cpu.h"
#include "base/text.h"

#define TEXT_BYTES 4096 /* a groups file is a dozen short lines; the rest would be cut */

/* The file's text, zero-terminated; false when it cannot be read.  Fails without a message: a
 * missing file is the normal case here. */
static bool read_text(const char *path, char text[TEXT_BYTES])
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t got = read(fd, text, TEXT_BYTES - 1);
    (void)close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* The number of text's first line; false for "max", "-1" and everything else. */
static bool leading_number(const char *text, int64_t *out)
{
    char digits[24];
    const size_t size = strspn(text, "0123456789");
    if (size == 0 || size >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, size);
    digits[size] = '\0';
    return hr_parse_i64(digits, out) == HR_OK;
}

/* quota / period in CPUs, rounded up; 0 when it is no limit. */
static unsigned cpus_of(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0) {
        return 0;
    }
    const int64_t cpus = quota / period + (quota % period != 0);
    return cpus < INT_MAX ? (unsigned)cpus : 0;
}

/* Version 2: cpu.max holds "150000 100000" or "max 100000" (kernel, cgroup-v2.rst). */
static unsigned quota_v2(const char *folder)
{
    char path[PATH_MAX], text[TEXT_BYTES];
    int64_t quota = 0, period = 0;
    const int size = snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (size < 0 || (size_t)size >= sizeof path || !read_text(path, text) ||
        !leading_number(text, &quota)) {
        return 0;
    }
    const char *second = strchr(text, ' ');
    return second && leading_number(second + 1, &period) ? cpus_of(quota, period) : 0;
}

/* Version 1: two files, the quota -1 without limit (kernel, sched-bwc.rst). */
static unsigned quota_v1(const char *folder)
{
    static const char *const names[] = { "cpu.cfs_quota_us", "cpu.cfs_period_us" };
    int64_t values[2];
    for (size_t i = 0; i < HR_COUNT(names); i++) {
        char path[PATH_MAX], text[TEXT_BYTES];
        const int size = snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (size < 0 || (size_t)size >= sizeof path || !read_text(path, text) ||
            !leading_number(text, &values[i])) {
            return 0;
        }
    }
    return cpus_of(values[0], values[1]);
}

static unsigned smaller_limit(unsigned a, unsigned b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The tightest quota of the group and of the groups around it, up to the mount. */
static unsigned quota_upwards(const char *mount, const char *group,
                              unsigned (*quota)(const char *folder))
{
    char folder[PATH_MAX];
    const int size = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (size < 0 || (size_t)size >= sizeof folder) {
        return 0;
    }
    const size_t stop = strlen(mount);
    unsigned limit = 0;
    for (;;) {
        limit = smaller_limit(limit, quota(folder));
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < stop) {
            return limit;
        }
        *slash = '\0';
    }
}

/* True if `word` is one of the comma-separated words. */
static bool has_word(const char *words, const char *word)
{
    const size_t size = strlen(word);
    for (const char *p = words; *p; p += strcspn(p, ",")) {
        p += *p == ',';
        if (strncmp(p, word, size) == 0 && (p[size] == ',' || p[size] == '\0')) {
            return true;
        }
    }
    return false;
}

/* One line "ID:controllers:/group"; version 2 has no controllers. */
static unsigned quota_of_line(char *line, const char *mount)
{
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) {
        return 0;
    }
    *group++ = '\0';
    controllers++;
    const bool v2 = *controllers == '\0';
    if (!v2 && !has_word(controllers, "cpu")) {
        return 0;
    }
    const char *const below_v2[] = { "", "/unified" };
    const char *const below_v1[] = { "/cpu", "/cpu,cpuacct", "/cpuacct,cpu" };
    unsigned limit = 0;
    for (size_t i = 0; i < (v2 ? HR_COUNT(below_v2) : HR_COUNT(below_v1)); i++) {
        char root[PATH_MAX];
        const int size = snprintf(root, sizeof root, "%s%s", mount, v2 ? below_v2[i] : below_v1[i]);
        if (size >= 0 && (size_t)size < sizeof root) {
            limit = smaller_limit(limit, quota_upwards(root, group, v2 ? quota_v2 : quota_v1));
        }
    }
    return limit;
}

unsigned hr_cpu_quota(const char *groups_file, const char *mount)
{
    char text[TEXT_BYTES];
    if (!read_text(groups_file, text)) {
        strcpy(text, "0::/\n1:cpu:/\n"); /* without /proc: what the mount itself says */
    }
    unsigned limit = 0;
    char *line = text;
    while (line) {
        char *end = strchr(line, '\n');
        if (end) {
            *end++ = '\0';
        }
        limit = smaller_limit(limit, quota_of_line(line, mount));
        line = end;
    }
    return limit;
}

/* CPUs of the affinity mask; the call refuses a mask smaller than the kernel's own. */
static unsigned affinity_count(void)
{
    enum { MOST_CPUS = 65536 };
    cpu_set_t sets[MOST_CPUS / CPU_SETSIZE];
    memset(sets, 0, sizeof sets);
    if (sched_getaffinity(0, sizeof sets, sets) == 0) {
        const int count = CPU_COUNT_S(sizeof sets, sets);
        if (count > 0) {
            return (unsigned)count;
        }
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

unsigned hr_cpu_count(void)
{
    const unsigned quota = hr_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    return smaller_limit(affinity_count(), quota);
}
