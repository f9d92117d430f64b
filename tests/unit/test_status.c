/* SPDX-License-Identifier: Apache-2.0
 * The status table, one message a thread, context in front. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/status.h"

static void table(void **state)
{
    (void)state;
    assert_int_equal(hr_status_info(HR_OK)->exit, 0);
    assert_int_equal(hr_status_info(HR_E_ARGUMENT)->exit, 2);
    assert_int_equal(hr_status_info(HR_E_MISMATCH)->exit, 3);
    assert_int_equal(hr_status_info(HR_E_IO)->exit, 4);
    assert_int_equal(hr_status_info(HR_E_LIMIT)->http, 413);
    assert_int_equal(hr_status_info(HR_E_NOT_FOUND)->grpc, 5);
    assert_string_equal(hr_status_info((enum hr_status)999)->id, "E_INTERNAL");
}

static void *other_thread(void *unused)
{
    (void)unused;
    assert_string_equal(hr_last_message(), "");
    assert_int_equal(hr_fail(HR_E_IO, "theirs"), HR_E_IO);
    return NULL;
}

static enum hr_status outer(void)
{
    HR_TRY(hr_fail(HR_E_FORMAT, "byte %d", 7));
    return HR_OK;
}

static void messages(void **state)
{
    pthread_t thread;
    char longest[3000];
    (void)state;
    assert_int_equal(outer(), HR_E_FORMAT);
    assert_string_equal(hr_last_message(), "byte 7");
    assert_int_equal(hr_fail_context(HR_E_FORMAT, "file %s", "a.b"), HR_E_FORMAT);
    assert_string_equal(hr_last_message(), "file a.b: byte 7");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(hr_last_message(), "file a.b: byte 7");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(hr_fail(HR_E_IO, "%s", longest), HR_E_IO);
    assert_in_range(strlen(hr_last_message()), 500, 1024);
    assert_int_equal(hr_fail(HR_E_IO, "two\nlines"), HR_E_IO);
    assert_null(strchr(hr_last_message(), '\n'));
}

static void keep(void *context, enum hr_log_level level, const char *message)
{
    assert_int_equal(level, HR_LOG_WARNING);
    strcpy(context, message);
}

static void log_goes_to_the_callback(void **state)
{
    char text[64] = "";
    (void)state;
    hr_log(HR_LOG_WARNING, "dropped");
    hr_log_set(keep, text);
    hr_log(HR_LOG_WARNING, "%d threads", 3);
    hr_log_set(NULL, NULL);
    hr_log(HR_LOG_WARNING, "dropped");
    assert_string_equal(text, "3 threads");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(table), cmocka_unit_test(messages),
                                        cmocka_unit_test(log_goes_to_the_callback) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
