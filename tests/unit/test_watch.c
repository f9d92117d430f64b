/* SPDX-License-Identifier: Apache-2.0
 * Connections that take too long are ended, those that compute are not, and who has left is told
 * of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/watch.h"

/* Whether the other end is told of an end within so many milliseconds. */
static bool ends(int socket, int ms)
{
    struct pollfd wait = { .fd = socket, .events = POLLIN };
    char byte;
    return poll(&wait, 1, ms) == 1 && read(socket, &byte, 1) == 0;
}

static void each_phase_has_its_limit(void **state)
{
    static const struct {
        enum hr_watch_phase phase;
        bool ends;
    } cases[] = { { HR_WATCH_HEAD, true },
                  { HR_WATCH_BODY, false },
                  { HR_WATCH_COMPUTE, false },
                  { HR_WATCH_SEND, false } };
    struct hr_watch *watch = NULL;
    int pair[HR_COUNT(cases)][2];
    struct hr_watched *watched[HR_COUNT(cases)];
    (void)state;
    assert_int_equal(hr_watch_create(&watch, 0.1, 3600), HR_OK);
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        watched[i] = hr_watch_add(watch, pair[i][0]);
        hr_watch_phase(watch, watched[i], cases[i].phase);
    }
    assert_int_equal(hr_watch_count(watch), HR_COUNT(cases));
    assert_true(ends(pair[0][1], 60000));
    for (size_t i = 1; i < HR_COUNT(cases); i++)
        assert_int_equal(ends(pair[i][1], 1), cases[i].ends);
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        hr_watch_remove(watch, watched[i]);
        close(pair[i][0]);
        close(pair[i][1]);
    }
    assert_int_equal(hr_watch_count(watch), 0);
    hr_watch_destroy(watch);

    assert_int_equal(hr_watch_create(&watch, 3600, 0.1), HR_OK); /* and the others' */
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        watched[i] = hr_watch_add(watch, pair[i][0]);
        hr_watch_phase(watch, watched[i], cases[i].phase);
    }
    assert_true(ends(pair[1][1], 60000) && ends(pair[3][1], 60000));
    assert_false(ends(pair[0][1], 1) || ends(pair[2][1], 1));
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        hr_watch_remove(watch, watched[i]);
        close(pair[i][0]);
        close(pair[i][1]);
    }
    hr_watch_destroy(watch);
}

static void note(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void wait_for(atomic_int *count)
{
    for (int i = 0; i < 60000 && atomic_load(count) == 0; i++)
        usleep(1000);
    assert_true(atomic_load(count) > 0);
}

static void who_leaves_is_told_of(void **state)
{
    struct hr_watch *watch = NULL;
    (void)state;
    assert_int_equal(hr_watch_create(&watch, 3600, 3600), HR_OK);
    for (int half = 0; half < 2; half++) {
        int pair[2];
        atomic_int left = 0, other = 0;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        struct hr_watched *watched = hr_watch_add(watch, pair[0]);
        hr_watch_attend(watch, watched, note, &other);
        usleep(50000);
        assert_int_equal(atomic_load(&other), 0); /* it is there */
        if (half)
            shutdown(pair[1], SHUT_WR);
        else
            close(pair[1]);
        wait_for(&other);
        hr_watch_attend(watch, watched, note, &left); /* another request of the connection */
        wait_for(&left);
        hr_watch_attend(watch, watched, NULL, NULL);
        const int told = atomic_load(&left); /* none is under way any more */
        usleep(50000);
        assert_int_equal(atomic_load(&left), told);
        hr_watch_remove(watch, watched);
        close(pair[0]);
        if (half)
            close(pair[1]);
    }
    hr_watch_destroy(watch);
}

/* More than one call looks at: each that has left is told of, and no other. */
static void of_many_each_is_seen(void **state)
{
    enum { MANY = 150 };
    struct hr_watch *watch = NULL;
    int pair[MANY][2];
    struct hr_watched *watched[MANY];
    atomic_int left[MANY] = { 0 };
    (void)state;
    assert_int_equal(hr_watch_create(&watch, 3600, 3600), HR_OK);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        watched[i] = hr_watch_add(watch, pair[i][0]);
        if (i % 3) /* the others wait for nothing */
            hr_watch_attend(watch, watched[i], note, &left[i]);
        if (i % 2)
            close(pair[i][1]);
    }
    for (size_t i = 0; i < MANY; i++)
        if (i % 2 && i % 3)
            wait_for(&left[i]);
    for (size_t i = 0; i < MANY; i++) {
        hr_watch_attend(watch, watched[i], NULL, NULL);
        assert_int_equal(atomic_load(&left[i]) > 0, i % 2 && i % 3);
        hr_watch_remove(watch, watched[i]);
        close(pair[i][0]);
        if (i % 2 == 0)
            close(pair[i][1]);
    }
    hr_watch_destroy(watch);
}

static void without_memory_nothing_is_watched(void **state)
{
    struct hr_watch *watch = NULL;
    (void)state;
    assert_int_equal(hr_watch_create(&watch, 1, 1), HR_OK);
    hr_watch_phase(watch, NULL, HR_WATCH_SEND);
    hr_watch_attend(watch, NULL, note, NULL);
    hr_watch_remove(watch, NULL);
    assert_int_equal(hr_watch_count(watch), 0);
    hr_watch_destroy(watch);
    hr_watch_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_phase_has_its_limit),
                                        cmocka_unit_test(who_leaves_is_told_of),
                                        cmocka_unit_test(of_many_each_is_seen),
                                        cmocka_unit_test(without_memory_nothing_is_watched) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
