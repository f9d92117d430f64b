/* SPDX-License-Identifier: Apache-2.0
 * Tokens of a file, taken anew, and the buckets of client addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve/gate.h"

static char path[] = "/tmp/hrnet-gate-XXXXXX";

static void write_tokens(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    const int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static struct hr_gate *gate_of(const struct hr_gate_options *options)
{
    struct hr_gate *gate = NULL;
    if (hr_gate_create(&gate, options) != HR_OK)
        fail_msg("%s", hr_last_message());
    return gate;
}

/* ---- Tokens ---- */

static void only_a_token_of_the_file_opens(void **state)
{
    static const char *const good[] = { "Bearer one", "Bearer t w o", "Bearer three", "Bearer ##" };
    static const char *const bad[] = { NULL,          "",          "one",          "Bearer",
                                       "Bearer ",     "Bearer on", "Bearer one ",  "bearer one",
                                       "Bearer one2", "Basic one", "Bearer #none", "Bearer  one" };
    (void)state;
    write_tokens("# none\n\none\n  t w o \t\r\n\t#none\nthree\n ##\n");
    struct hr_gate *gate = gate_of(&(struct hr_gate_options){ .token_file = path });
    for (size_t i = 0; i < HR_COUNT(bad); i++)
        if (hr_gate_may_enter(gate, bad[i]))
            fail_msg("'%s' came in", bad[i]);
    for (size_t i = 0; i < 3; i++)
        if (!hr_gate_may_enter(gate, good[i]))
            fail_msg("'%s' did not", good[i]);
    assert_false(hr_gate_may_enter(gate, good[3])); /* a comment is no token */
    hr_gate_destroy(gate);
}

static void without_a_file_all_may_enter(void **state)
{
    (void)state;
    struct hr_gate *gate = gate_of(&(struct hr_gate_options){ 0 });
    assert_true(hr_gate_may_enter(gate, NULL));
    assert_int_equal(hr_gate_reload(gate), HR_OK);
    hr_gate_destroy(gate);
}

static void tokens_are_taken_anew_or_stay(void **state)
{
    (void)state;
    write_tokens("old\n");
    struct hr_gate *gate = gate_of(&(struct hr_gate_options){ .token_file = path });
    write_tokens("new"); /* without a line's end */
    assert_true(hr_gate_may_enter(gate, "Bearer old"));
    assert_int_equal(hr_gate_reload(gate), HR_OK);
    assert_false(hr_gate_may_enter(gate, "Bearer old"));
    assert_true(hr_gate_may_enter(gate, "Bearer new"));
    write_tokens("# nothing\n");
    assert_int_equal(hr_gate_reload(gate), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), path));
    assert_true(hr_gate_may_enter(gate, "Bearer new"));
    hr_gate_destroy(gate);
}

static void files_without_use_are_refused(void **state)
{
    char many[65 * 4 + 1] = "";
    struct hr_gate *gate = NULL;
    (void)state;
    const struct hr_gate_options options = { .token_file = path };
    for (int i = 0; i < 65; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "t%02d\n", i);
    write_tokens(many);
    assert_int_equal(hr_gate_create(&gate, &options), HR_E_LIMIT);
    many[64 * 4] = '\0';
    write_tokens(many);
    assert_int_equal(hr_gate_create(&gate, &options), HR_OK);
    assert_true(hr_gate_may_enter(gate, "Bearer t63"));
    hr_gate_destroy(gate);
    assert_int_equal(
        hr_gate_create(&gate, &(struct hr_gate_options){ .token_file = "/nonexistent/tokens" }),
        HR_E_NOT_FOUND);
}

/* ---- Rates ---- */

static const struct sockaddr *v4(const char *text)
{
    static struct sockaddr_in address;
    address.sin_family = AF_INET;
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return (const struct sockaddr *)&address;
}

static const struct sockaddr *v6(const char *text)
{
    static struct sockaddr_in6 address;
    address.sin6_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
    return (const struct sockaddr *)&address;
}

static void a_burst_then_the_rate(void **state)
{
    (void)state;
    /* One in 10000 s: whatever this machine does meanwhile, nothing comes back. */
    struct hr_gate *gate = gate_of(&(struct hr_gate_options){ .rate = 0.0001, .burst = 3 });
    for (int i = 0; i < 3; i++)
        assert_int_equal(hr_gate_rate(gate, v4("192.0.2.1")), 0);
    const unsigned wait = hr_gate_rate(gate, v4("192.0.2.1"));
    assert_true(wait > 5000 && wait <= 10001);
    assert_int_equal(hr_gate_rate(gate, v4("192.0.2.2")), 0); /* another address */
    assert_int_equal(hr_gate_rate(gate, NULL), 0);
    hr_gate_destroy(gate);
}

static void tokens_come_back_with_time(void **state)
{
    (void)state;
    struct hr_gate *gate = gate_of(&(struct hr_gate_options){ .rate = 50, .burst = 1 });
    assert_int_equal(hr_gate_rate(gate, v4("192.0.2.1")), 0);
    usleep(40000); /* two would be there, were the bucket larger */
    assert_int_equal(hr_gate_rate(gate, v4("192.0.2.1")), 0);
    hr_gate_destroy(gate);
}

static void a_network_of_ipv6_is_one_client(void **state)
{
    (void)state;
    struct hr_gate *gate = gate_of(&(struct hr_gate_options){ .rate = 0.0001, .burst = 1 });
    assert_int_equal(hr_gate_rate(gate, v6("2001:db8:1:2::1")), 0);
    assert_true(hr_gate_rate(gate, v6("2001:db8:1:2:ffff::9")) > 0);
    assert_int_equal(hr_gate_rate(gate, v6("2001:db8:1:3::1")), 0);
    hr_gate_destroy(gate);
}

static void a_burst_that_is_not_named_is_the_rate(void **state)
{
    (void)state;
    struct hr_gate *gate = gate_of(&(struct hr_gate_options){ .rate = 0.0001 });
    assert_int_equal(hr_gate_rate(gate, v4("192.0.2.1")), 0); /* at least one */
    assert_true(hr_gate_rate(gate, v4("192.0.2.1")) > 0);
    hr_gate_destroy(gate);
    gate = gate_of(&(struct hr_gate_options){ 0 });
    for (int i = 0; i < 1000; i++)
        assert_int_equal(hr_gate_rate(gate, v4("192.0.2.1")), 0);
    hr_gate_destroy(gate);
}

/* Many addresses push old ones out of the table; none of them is let in twice for that, but those
 * whose place was taken. */
static void many_addresses_share_a_table_of_fixed_size(void **state)
{
    enum { ADDRESSES = 20000 };
    char text[32];
    size_t again = 0;
    (void)state;
    struct hr_gate *gate = gate_of(&(struct hr_gate_options){ .rate = 0.0001, .burst = 1 });
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < ADDRESSES; i++) {
            snprintf(text, sizeof text, "10.%d.%d.1", i / 256, i % 256);
            const unsigned wait = hr_gate_rate(gate, v4(text));
            assert_true(round > 0 || wait == 0);
            again += round > 0 && wait > 0;
        }
    assert_true(again < 4096); /* more are not remembered */
    again = 0;
    for (int i = ADDRESSES - 2000; i < ADDRESSES;
         i++) { /* the last ones are: two in a row of four */
        snprintf(text, sizeof text, "10.%d.%d.1", i / 256, i % 256);
        again += hr_gate_rate(gate, v4(text)) > 0;
    }
    assert_true(again > 1600);
    assert_int_equal(hr_gate_rate(gate, v4("192.0.2.7")), 0);
    assert_true(hr_gate_rate(gate, v4("192.0.2.7")) > 0);
    hr_gate_destroy(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_a_token_of_the_file_opens, set_up, tear_down),
        cmocka_unit_test(without_a_file_all_may_enter),
        cmocka_unit_test_setup_teardown(tokens_are_taken_anew_or_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_without_use_are_refused, set_up, tear_down),
        cmocka_unit_test(a_burst_then_the_rate),
        cmocka_unit_test(tokens_come_back_with_time),
        cmocka_unit_test(a_network_of_ipv6_is_one_client),
        cmocka_unit_test(a_burst_that_is_not_named_is_the_rate),
        cmocka_unit_test(many_addresses_share_a_table_of_fixed_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
