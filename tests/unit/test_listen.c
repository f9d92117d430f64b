/* SPDX-License-Identifier: Apache-2.0
 * Listening sockets: at free ports and named ones, of both families, and addresses that cannot be
 * had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/listen.h"

static void a_port_is_had_once(void **state)
{
    int first, second;
    (void)state;
    assert_int_equal(hr_listen(&first, "127.0.0.1", 0), HR_OK);
    const uint16_t port = hr_listen_port(first);
    assert_true(port > 0);
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(hr_listen(&second, "127.0.0.1", port), HR_E_IO);
    assert_non_null(strstr(hr_last_message(), "127.0.0.1, port"));
    close(accept(first, NULL, NULL)); /* its end lingers for a minute */
    close(client);
    close(first);
    assert_int_equal(hr_listen(&second, "127.0.0.1", port), HR_OK); /* at once again */
    close(second);
}

static void both_families_are_listened_at(void **state)
{
    int fd;
    (void)state;
    const enum hr_status status = hr_listen(&fd, "::1", 0);
    assert_true(status == HR_OK || status == HR_E_IO); /* a machine may have no IPv6 */
    if (status == HR_OK) {
        assert_true(hr_listen_port(fd) > 0);
        close(fd);
    }
}

static void names_are_no_addresses(void **state)
{
    static const char *const bad[] = { "localhost",    "",      "1.2.3",
                                       "127.0.0.1:80", "[::1]", "256.0.0.1" };
    int fd;
    (void)state;
    for (size_t i = 0; i < HR_COUNT(bad); i++) {
        const enum hr_status status = hr_listen(&fd, bad[i], 0);
        if (status == HR_OK) /* "1.2.3" is one by old rules, of no machine of ours */
            close(fd);
        assert_true(status == HR_E_ARGUMENT || status == HR_E_IO);
        assert_true(strlen(bad[i]) == 0 || strstr(hr_last_message(), bad[i]));
    }
    assert_int_equal(hr_listen_port(-1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_port_is_had_once),
                                        cmocka_unit_test(both_families_are_listened_at),
                                        cmocka_unit_test(names_are_no_addresses) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
