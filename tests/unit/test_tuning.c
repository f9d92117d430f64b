/* SPDX-License-Identifier: Apache-2.0
 * The file of winners: what was put is found again; absent, cut, changed or foreign files are empty
 * and harm nothing; two writers lose nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "hostile.h"
#include "plan/tuning.h"

static char path[] = "/tmp/hrnet_tuning_XXXXXX";
static unsigned warnings;

static void count_warning(void *context, enum hr_log_level level, const char *message)
{
    (void)context;
    (void)message;
    warnings += level == HR_LOG_WARNING;
}

static struct hr_conv_shape shape(size_t c)
{
    return (struct hr_conv_shape){
        .h = 14, .w = 7, .c = c, .k = 2 * c, .kernel = 3, .stride = 1, .pad = 1
    };
}

static struct hr_tuning two(void)
{
    struct hr_tuning t = { 0 };
    const struct hr_conv_shape a = shape(18), b = shape(36);
    const struct hr_tuning_row rows[] = { hr_tuning_row(&a, "conv_x_avx2"),
                                          hr_tuning_row(&b, "conv_y_avx2") };
    assert_int_equal(hr_tuning_put(&t, &rows[0]), HR_OK);
    assert_int_equal(hr_tuning_put(&t, &rows[1]), HR_OK);
    return t;
}

static const char *kept(size_t c, const char *isa, const char *machine)
{
    static char name[48];
    struct hr_tuning t = { 0 };
    const struct hr_conv_shape s = shape(c);
    assert_int_equal(hr_tuning_read(&t, path, machine), HR_OK);
    const char *found = hr_tuning_find(&t, &s, isa);
    strcpy(name, found ? found : "");
    hr_tuning_fini(&t);
    return name;
}

static int set_up(void **state)
{
    (void)state;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    warnings = 0;
    hr_log_set(count_warning, NULL);
    return 0;
}

static int tear_down(void **state)
{
    char lock[64];
    (void)state;
    hr_log_set(NULL, NULL);
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(lock);
    unlink(path);
    memset(path + strlen(path) - 6, 'X', 6);
    return 0;
}

static void what_was_put_is_found(void **state)
{
    (void)state;
    struct hr_tuning t = two();
    assert_string_equal(kept(18, "avx2", "a; b"), ""); /* no file */
    assert_int_equal(hr_tuning_add(path, "a; b", &t), HR_OK);
    assert_string_equal(kept(18, "avx2", "a; b"), "conv_x_avx2");
    assert_string_equal(kept(36, "avx2", "a; b"), "conv_y_avx2");
    assert_string_equal(kept(36, "avx512", "a; b"), ""); /* each instruction set has its own */
    assert_string_equal(kept(37, "avx2", "a; b"), "");
    assert_string_equal(kept(18, "avx2", "a; c"), ""); /* another build */
    assert_int_equal(warnings, 0);
    hr_tuning_fini(&t);
}

static void new_winners_replace_and_join_old_ones(void **state)
{
    (void)state;
    struct hr_tuning t = two(), more = { 0 };
    const struct hr_conv_shape a = shape(18);
    const struct hr_tuning_row rows[] = { hr_tuning_row(&a, "conv_z_avx2"),
                                          hr_tuning_row(&a, "conv_z_avx512") };
    assert_int_equal(hr_tuning_add(path, "m", &t), HR_OK);
    for (size_t i = 0; i < HR_COUNT(rows); i++)
        assert_int_equal(hr_tuning_put(&more, &rows[i]), HR_OK);
    assert_int_equal(hr_tuning_add(path, "m", &more), HR_OK);
    assert_string_equal(kept(18, "avx2", "m"), "conv_z_avx2");
    assert_string_equal(kept(18, "avx512", "m"), "conv_z_avx512");
    assert_string_equal(kept(36, "avx2", "m"), "conv_y_avx2");
    hr_tuning_fini(&more);
    hr_tuning_fini(&t);
}

/* Anything may lie at the path: reading succeeds, and what is found is what was written or nothing.
 */
static void look(void *context, const uint8_t *data, size_t size)
{
    struct hr_tuning t = { 0 };
    FILE *file = fopen(path, "wb");
    (void)context;
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(hr_tuning_read(&t, path, "m"), HR_OK);
    assert_true(t.count == 0);
    hr_tuning_fini(&t);
}

static void damaged_files_are_empty(void **state)
{
    (void)state;
    struct hr_tuning t = two();
    uint8_t *data;
    size_t size;
    assert_int_equal(hr_tuning_add(path, "m", &t), HR_OK);
    assert_int_equal(hr_file_read(path, 4096, &data, &size), HR_OK);
    hostile_cuts(data, size, look, NULL);
    hostile_flips(data, size, look, NULL);
    look(NULL, (const uint8_t *)"hrnet-tuning 1\n\0\0\0\0\0\0\0\0\0\0\0\0", 27);
    assert_true(warnings > size * 8);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0); /* a folder */
    assert_string_equal(kept(18, "avx2", "m"), "");
    assert_int_equal(hr_tuning_add(path, "m", &t), HR_E_IO);
    rmdir(path);
    assert_int_equal(hr_tuning_add("/nonexistent/x", "m", &t), HR_E_IO);
    hr_mem_free(data);
    hr_tuning_fini(&t);
}

static void mutate(void *context, const uint8_t *data, size_t size)
{
    struct hr_tuning t = { 0 };
    FILE *file = fopen(path, "wb");
    (void)context;
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(hr_tuning_read(&t, path, "m"), HR_OK);
    assert_true(t.count == 0 || t.count == 2); /* 2: nothing was changed after all */
    hr_tuning_fini(&t);
}

static void mutated_files_harm_nothing(void **state)
{
    (void)state;
    struct hr_tuning t = two();
    uint8_t *data;
    size_t size;
    assert_int_equal(hr_tuning_add(path, "m", &t), HR_OK);
    assert_int_equal(hr_file_read(path, 4096, &data, &size), HR_OK);
    hostile_mutations(data, size, 1, 500, mutate, NULL);
    assert_int_equal(hr_tuning_add(path, "m", &t), HR_OK); /* and are made anew */
    assert_string_equal(kept(18, "avx2", "m"), "conv_x_avx2");
    hr_mem_free(data);
    hr_tuning_fini(&t);
}

static void *add_many(void *argument)
{
    for (size_t i = 0; i < 8; i++) {
        struct hr_tuning t = { 0 };
        const struct hr_conv_shape s = shape(*(const size_t *)argument + i);
        const struct hr_tuning_row row = hr_tuning_row(&s, "conv_w_avx2");
        if (hr_tuning_put(&t, &row) != HR_OK || hr_tuning_add(path, "m", &t) != HR_OK)
            abort();
        hr_tuning_fini(&t);
    }
    return NULL;
}

static void writers_at_once_lose_nothing(void **state)
{
    (void)state;
    pthread_t threads[4];
    const size_t first[4] = { 100, 200, 300, 400 };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, (void *)(uintptr_t)&first[i]),
                         0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 8; j++)
            assert_string_equal(kept(first[i] + j, "avx2", "m"), "conv_w_avx2");
}

static void the_nth_allocation_may_fail(void **state)
{
    (void)state;
    struct hr_tuning t = two(), read = { 0 };
    enum hr_status status;
    size_t n = 0;
    do {
        hostile_memory_limit(n++);
        status = hr_tuning_add(path, "m", &t);
        if (status == HR_OK)
            status = hr_tuning_read(&read, path, "m");
        assert_true(status == HR_OK || status == HR_E_MEMORY);
    } while (status != HR_OK && n < 1000);
    (void)hostile_memory_restore();
    assert_true(n > 4 && read.count == 2);
    hr_tuning_fini(&read);
    hr_tuning_fini(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_found),        TEST(new_winners_replace_and_join_old_ones),
        TEST(damaged_files_are_empty),      TEST(mutated_files_harm_nothing),
        TEST(writers_at_once_lose_nothing), TEST(the_nth_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
