/* SPDX-License-Identifier: Apache-2.0
 * Files are mapped, read with a limit; folders are walked in natural order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
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

static void maps_and_reads(void **state)
{
    struct hr_map map = { 0 };
    uint8_t *data = NULL;
    size_t size = 0;
    (void)state;
    put("a", "hello");
    put("empty", "");
    assert_int_equal(hr_map_open(&map, path_of("a")), HR_OK);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "hello", 5);
    hr_map_forget(map.data, map.size);
    assert_memory_equal(map.data, "hello", 5);
    hr_map_close(&map);
    hr_map_close(&map);
    assert_int_equal(hr_map_open(&map, path_of("empty")), HR_OK);
    assert_non_null(map.data);
    hr_map_close(&map);
    assert_int_equal(hr_map_open(&map, path_of("missing")), HR_E_NOT_FOUND);
    assert_int_equal(hr_map_open(&map, folder), HR_E_IO);
    assert_non_null(strstr(hr_last_message(), "folder"));
    assert_int_equal(hr_map_open(&map, "/dev/null"), HR_E_IO);
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    assert_int_equal(hr_map_open(&map, path_of("pipe")), HR_E_IO); /* and does not wait */
    assert_int_equal(hr_file_read(path_of("a"), 4, &data, &size), HR_E_LIMIT);
    assert_int_equal(hr_file_read(path_of("a"), 5, &data, &size), HR_OK);
    assert_int_equal(size, 5);
    hr_mem_free(data);
}

static void walks(void **state)
{
    struct hr_names names = { 0 };
    (void)state;
    assert_int_equal(hr_os_make_folders(path_of("w/deep/er")), HR_OK);
    assert_int_equal(hr_os_make_folders(path_of("w/deep/er")), HR_OK);
    put("w/x10", "");
    put("w/x9", "");
    put("w/.hidden", "");
    put("w/deep/er/y", "");
    assert_int_equal(symlink("..", path_of("w/deep/cycle")), 0);
    assert_int_equal(symlink("nowhere", path_of("w/broken")), 0);
    assert_int_equal(hr_os_walk(&names, path_of("w"), true), HR_OK);
    assert_int_equal(names.count, 3);
    assert_string_equal(hr_os_base_name(names.items[0]), "y");
    assert_string_equal(hr_os_base_name(names.items[1]), "x9");
    assert_string_equal(hr_os_base_name(names.items[2]), "x10");
    hr_names_fini(&names);
    assert_int_equal(hr_os_walk(&names, path_of("w"), false), HR_OK);
    assert_int_equal(names.count, 2);
    hr_names_fini(&names);
    assert_int_equal(hr_os_walk(&names, path_of("missing"), true), HR_E_NOT_FOUND);
    assert_int_equal(hr_os_kind(path_of("w")), HR_OS_FOLDER);
    assert_int_equal(hr_os_kind(path_of("w/x9")), HR_OS_FILE);
    assert_int_equal(hr_os_kind(path_of("w/x8")), HR_OS_NONE);
    assert_true(hr_os_now_ns() <= hr_os_now_ns());
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(maps_and_reads), cmocka_unit_test(walks) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
