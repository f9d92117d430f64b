/* SPDX-License-Identifier: Apache-2.0
 * A file is replaced whole or not at all; links, permissions and devices stay what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

static char folder[] = "/tmp/hrnet_test_os_XXXXXX";

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *content)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

static void expect(const char *name, const char *content)
{
    uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(hr_file_read(path_of(name), 100, &data, &size), HR_OK);
    assert_int_equal(size, strlen(content));
    assert_memory_equal(data, content, size);
    hr_mem_free(data);
}

static void write_through(const char *path, const char *content)
{
    struct hr_replace r = { 0 };
    assert_int_equal(hr_replace_begin(&r, path), HR_OK);
    fputs(content, r.file);
    assert_int_equal(hr_replace_commit(&r), HR_OK);
    hr_replace_abort(&r);
}

static unsigned mode_of(const char *name)
{
    struct stat info;
    assert_int_equal(stat(path_of(name), &info), 0);
    return info.st_mode & 07777;
}

static void old_or_new(void **state)
{
    struct hr_replace r = { 0 };
    (void)state;
    put("b", "old");
    assert_int_equal(hr_replace_begin(&r, path_of("b")), HR_OK);
    fputs("half", r.file);
    fflush(r.file);
    expect("b", "old");
    hr_replace_abort(&r);
    hr_replace_abort(&r);
    expect("b", "old");
    write_through(path_of("b"), "new content");
    expect("b", "new content");
    write_through(path_of("fresh"), "");
    expect("fresh", "");
}

static void permissions_stay(void **state)
{
    const mode_t mask = umask(027);
    (void)state;
    write_through(path_of("made"), "x");
    assert_int_equal(mode_of("made"), 0640);
    assert_int_equal(chmod(path_of("made"), 04604), 0); /* set-user-ID must go */
    write_through(path_of("made"), "y");
    assert_int_equal(mode_of("made"), 0604);
    umask(mask);
}

static void links_stay_links(void **state)
{
    struct stat info;
    (void)state;
    put("target", "old");
    assert_int_equal(symlink("target", path_of("link")), 0);
    write_through(path_of("link"), "new");
    expect("target", "new");
    assert_int_equal(lstat(path_of("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

/* Replacing /dev/null by a file would break the machine of whoever runs as root. */
static void devices_stay_devices(void **state)
{
    struct stat info;
    char got[8] = "";
    (void)state;
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    const int reader = open(path_of("pipe"), O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    write_through(path_of("pipe"), "hello");
    assert_int_equal(read(reader, got, sizeof got), 5);
    assert_string_equal(got, "hello");
    close(reader);
    assert_int_equal(stat(path_of("pipe"), &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
}

static void refusals(void **state)
{
    struct hr_replace r = { 0 };
    (void)state;
    assert_int_equal(hr_replace_begin(&r, "/nonexistent/x"), HR_E_IO);
    assert_non_null(strstr(hr_last_message(), "no such folder"));
    assert_non_null(strstr(hr_last_message(), "/nonexistent/x"));
    assert_int_equal(hr_replace_begin(&r, folder), HR_E_IO);
    assert_non_null(strstr(hr_last_message(), "folder"));
    assert_int_equal(hr_replace_begin(&r, ""), HR_E_IO);
    assert_null(r.file);
    if (access("/dev/full", W_OK) == 0) { /* a full disk is told, and is no success */
        assert_int_equal(hr_replace_begin(&r, "/dev/full"), HR_OK);
        fputs("x", r.file);
        assert_int_equal(hr_replace_commit(&r), HR_E_IO);
    }
}

static void no_leftovers(void **state)
{
    char command[600];
    (void)state;
    snprintf(command, sizeof command, "! ls -A '%s' | grep -q tmp", folder);
    assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_or_new),       cmocka_unit_test(permissions_stay),
        cmocka_unit_test(links_stay_links), cmocka_unit_test(devices_stay_devices),
        cmocka_unit_test(refusals),         cmocka_unit_test(no_leftovers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
