/* SPDX-License-Identifier: Apache-2.0
 * HTTP on a real socket: heads, codings, and everything that is refused, with the codes and headers
 * that tell a client what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/os.h"
#include "serve/coding.h"
#include "serve/http.h"
#include "small_pictures.h"
#include "small_service.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"

static const uint32_t blocks[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030 };

struct fixture {
    struct hr_service_options options;
    struct hr_service *service;
    struct hr_http *http;
};

static void start(struct fixture *f)
{
    const struct hr_http_options options = { .host = "127.0.0.1" };
    f->service = small_service_start(&f->options);
    if (hr_http_start(&f->http, f->service, &options) != HR_OK)
        fail_msg("%s", hr_last_message());
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ 0 };
    small_service_options(&f.options);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    hr_http_stop(f->http);
    small_service_stop(f->service);
    return 0;
}

/* ---- A client ---- */

static int try_connect(const struct fixture *f)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(hr_http_port(f->http)),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_to(const struct fixture *f)
{
    const int fd = try_connect(f);
    assert_true(fd >= 0);
    return fd;
}

static void put(int fd, const void *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        const ssize_t sent = send(fd, (const char *)data + at, size - at, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the server need not read what it refuses */
        at += (size_t)sent;
    }
}

struct reply {
    char head[2048];
    struct hr_buffer body;
    int code;
};

static const char *header(const struct reply *r, const char *name)
{
    static char value[256];
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *at = strcasestr(r->head, wanted);
    if (!at)
        return NULL;
    at += strlen(wanted);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

/* Reads one answer; code 0: the connection ended before one. */
static struct reply read_reply(int fd)
{
    struct reply r = { .head = "" };
    size_t size = 0;
    char byte;
    while (!strstr(r.head, "\r\n\r\n")) {
        if (size + 1 >= sizeof r.head || recv(fd, &byte, 1, 0) != 1)
            return r;
        r.head[size++] = byte;
        r.head[size] = '\0';
    }
    assert_int_equal(sscanf(r.head, "HTTP/1.1 %d", &r.code), 1);
    const char *length = header(&r, "Content-Length");
    size_t left = length ? (size_t)atol(length) : 0;
    while (left > 0) {
        char piece[4096];
        const ssize_t got = recv(fd, piece, left < sizeof piece ? left : sizeof piece, 0);
        if (got <= 0)
            break;
        hr_buffer_put(&r.body, piece, (size_t)got);
        left -= (size_t)got;
    }
    hr_buffer_put(&r.body, "", 1);
    return r;
}

static struct reply ask_with(const struct fixture *f, const char *head, const void *body,
                             size_t size)
{
    const int fd = connect_to(f);
    put(fd, head, strlen(head));
    put(fd, "\r\n\r\n", 4);
    put(fd, body, size);
    struct reply r = read_reply(fd);
    close(fd);
    return r;
}

static struct reply ask(const struct fixture *f, const char *head)
{
    return ask_with(f, head, "", 0);
}

static void is(struct reply r, int code, const char *name, const char *value)
{
    const char *got = name ? header(&r, name) : NULL;
    if (r.code != code || (name && (!got || strcmp(got, value) != 0)))
        fail_msg("%d, not %d; %s: %s\n%s", r.code, code, name ? name : "", got ? got : "", r.head);
    hr_buffer_fini(&r.body);
}

/* ---- Answers ---- */

static void a_connection_stays_and_carries_a_trace(void **state)
{
    struct fixture *f = *state;
    start(f);
    const int fd = connect_to(f);
    static const char get[] = "GET /v2/health/live HTTP/1.1\r\nHost: h\r\ntraceparent: 00-" TRACE
                              "-b7ad6b7169203331-01\r\n\r\n";
    for (int i = 0; i < 2; i++) {
        put(fd, get, sizeof get - 1);
        struct reply r = read_reply(fd);
        assert_int_equal(r.code, 200);
        assert_string_equal((const char *)r.body.data, "{\"live\":true}");
        assert_memory_equal(header(&r, "traceparent"), "00-" TRACE "-", 36);
        assert_string_equal(header(&r, "X-Content-Type-Options"), "nosniff");
        assert_string_equal(header(&r, "Content-Type"), "application/json");
        assert_null(header(&r, "Access-Control-Allow-Origin"));
        hr_buffer_fini(&r.body);
    }
    close(fd);
    is(ask(f, "HEAD /v2/health/live HTTP/1.1\r\nHost: h\r\nConnection: close"), 200,
       "Content-Length", "13");
}

static void paths_and_methods_are_told(void **state)
{
    struct fixture *f = *state;
    start(f);
    is(ask(f, "GET /nothing HTTP/1.1\r\nHost: h"), 404, NULL, NULL);
    is(ask(f, "DELETE /v1/classify HTTP/1.1\r\nHost: h"), 405, "Allow", "POST");
    is(ask(f, "OPTIONS /metrics HTTP/1.1\r\nHost: h"), 204, "Allow", "GET");
    is(ask(f, "GET /v2/models/%6d HTTP/1.1\r\nHost: h"), 200, NULL, NULL);
    is(ask(f, "GET /v2/models/m%00x HTTP/1.1\r\nHost: h"), 404, NULL, NULL);
    is(ask(f, "GET metrics HTTP/1.1\r\nHost: h"), 404, NULL, NULL);
}

static void bodies_and_answers_may_be_packed(void **state)
{
    struct fixture *f = *state;
    struct hr_buffer png = { 0 }, packed = { 0 }, plain = { 0 };
    char head[256];
    start(f);
    make_block_png(&png, blocks, 1);
    assert_int_equal(hr_coding_gzip(&packed, png.data, png.size), HR_OK);
    snprintf(
        head, sizeof head,
        "POST /v1/classify HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: %zu",
        packed.size);
    is(ask_with(f, head, packed.data, packed.size), 200, NULL, NULL);
    snprintf(head, sizeof head,
             "POST /v1/classify HTTP/1.1\r\nHost: h\r\nContent-Encoding: br\r\nContent-Length: %zu",
             packed.size);
    is(ask_with(f, head, packed.data, packed.size), 415, NULL, NULL);
    struct reply r = ask(f, "GET /metrics HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip");
    assert_string_equal(header(&r, "Content-Encoding"), "gzip");
    assert_string_equal(header(&r, "Vary"), "Accept-Encoding");
    assert_int_equal(hr_coding_decode(&plain, "gzip", r.body.data, r.body.size - 1, 1 << 20),
                     HR_OK);
    assert_memory_equal(plain.data, "# HELP ", 7);
    hr_buffer_fini(&r.body);
    r = ask(f, "GET /v2/health/live HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip"); /* short */
    assert_null(header(&r, "Content-Encoding"));
    hr_buffer_fini(&r.body);
    hr_buffer_fini(&png);
    hr_buffer_fini(&packed);
    hr_buffer_fini(&plain);
}

/* ---- Refusals ---- */

/* A request is over a little later than its client has the answer. */
static void nothing_is_left(struct hr_service *service)
{
    for (int i = 0; i < 60000 && atomic_load(&service->requests_now) > 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&service->requests_now), 0);
    assert_int_equal(atomic_load(&service->body_bytes_now), 0);
}

static void long_bodies_are_refused(void **state)
{
    struct fixture *f = *state;
    static char body[3000];
    f->options.limits.body_bytes = 2000;
    start(f);
    memset(body, 'x', sizeof body);
    is(ask(f, "POST /v1/classify HTTP/1.1\r\nHost: h\r\nContent-Length: 2001"), 413, "Connection",
       "close"); /* by its head alone */
    is(ask_with(f, "POST /v1/classify HTTP/1.1\r\nHost: h\r\nContent-Length: 2000", body, 2000),
       415, NULL, NULL); /* taken: no picture */
    struct hr_buffer chunks = { 0 };
    hr_buffer_put(&chunks, "bb8\r\n", 5);
    hr_buffer_put(&chunks, body, sizeof body);
    hr_buffer_put(&chunks, "\r\n0\r\n\r\n", 7);
    is(ask_with(f, "POST /v1/classify HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked",
                chunks.data, chunks.size),
       413, NULL, NULL);
    hr_buffer_fini(&chunks);
    is(ask(f, "POST /v1/classify HTTP/1.1\r\nHost: h\r\nContent-Length: 1e3"), 400, NULL, NULL);
    is(ask(f, "POST /v1/classify HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999"),
       413, NULL, NULL);
    nothing_is_left(f->service);
}

static void all_bodies_together_are_bounded(void **state)
{
    struct fixture *f = *state;
    f->options.limits.body_bytes = 2000;
    f->options.limits.all_body_bytes = 3000;
    start(f);
    static const char head[] =
        "POST /v1/classify HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n";
    const int first = connect_to(f);
    put(first, head, sizeof head - 1); /* and sends nothing of it */
    for (int i = 0; i < 60000 && atomic_load(&f->service->body_bytes_now) < 2000; i++)
        usleep(1000);
    const int second = connect_to(f);
    static char body[2000];
    put(second, head, sizeof head - 1);
    put(second, body, sizeof body);
    struct reply r = read_reply(second);
    assert_string_equal(header(&r, "Retry-After"), "1");
    is(r, 503, NULL, NULL);
    close(second);
    close(first);
    nothing_is_left(f->service);
}

static void who_may_not_is_told_why(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/hrnet-http-XXXXXX";
    const int fd = mkstemp(path);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    close(fd);
    f->options.gate.token_file = path;
    f->options.gate.rate = 0.0001;
    f->options.gate.burst = 3;
    start(f);
    is(ask(f, "GET /v2/models HTTP/1.1\r\nHost: h"), 401, "WWW-Authenticate", "Bearer");
    is(ask(f, "POST /v2/repository/models/m/load HTTP/1.1\r\nHost: h\r\nContent-Length: "
              "0\r\nAuthorization: Bearer secret"),
       403, NULL, NULL);
    is(ask(f, "GET /v2/models HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer secret"), 200, NULL,
       NULL);
    struct reply r = ask(f, "GET /v2/models HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer secret");
    assert_true(atoi(header(&r, "Retry-After")) > 5000);
    is(r, 429, NULL, NULL);
    is(ask(f, "GET /v2/health/live HTTP/1.1\r\nHost: h"), 200, NULL, NULL); /* open */
    unlink(path);
}

static void a_server_says_that_it_loads_or_goes(void **state)
{
    struct fixture *f = *state;
    start(f);
    atomic_store(&f->service->state, HR_SERVICE_LOADING);
    is(ask(f, "GET /v2/models HTTP/1.1\r\nHost: h"), 503, "Retry-After", "2");
    is(ask(f, "GET /v2 HTTP/1.1\r\nHost: h"), 200, NULL, NULL);
    is(ask(f, "GET /v2/health/ready HTTP/1.1\r\nHost: h"), 503, NULL, NULL);
    atomic_store(&f->service->state, HR_SERVICE_DRAINING);
    is(ask(f, "GET /v2/models HTTP/1.1\r\nHost: h"), 200, "Connection", "close");
    const int fd = connect_to(f);
    put(fd, "GET /v2 HTTP/1.1\r\nHost: h\r\n", 27);
    usleep(50000); /* the server has it */
    hr_http_quiesce(f->http);
    for (int i = 0, other; i < 60000 && (other = try_connect(f)) >= 0; i++) {
        close(other); /* the daemon's thread may still be waking up */
        usleep(1000);
    }
    assert_int_equal(try_connect(f), -1);
    put(fd, "\r\n", 2); /* what there is goes on */
    is(read_reply(fd), 200, NULL, NULL);
    close(fd);
}

static void other_origins_are_named(void **state)
{
    struct fixture *f = *state;
    f->options.cors_origin = "https://a.example";
    start(f);
    is(ask(f, "GET /v2 HTTP/1.1\r\nHost: h"), 200, "Access-Control-Allow-Origin",
       "https://a.example");
    is(ask(f, "OPTIONS /v1/classify HTTP/1.1\r\nHost: h"), 204, "Access-Control-Allow-Methods",
       "GET, POST");
}

static void the_slow_are_let_go(void **state)
{
    struct fixture *f = *state;
    char byte;
    f->options.limits.head_seconds = 0.2;
    start(f);
    const int fd = connect_to(f);
    put(fd, "GET /v2", 7);
    assert_int_equal(recv(fd, &byte, 1, 0), 0); /* without an answer */
    close(fd);
}

static void what_cannot_be_started_is_told(void **state)
{
    struct fixture *f = *state;
    struct hr_http *other = NULL;
    start(f);
    struct hr_http_options options = { .host = "127.0.0.1", .port = hr_http_port(f->http) };
    assert_int_equal(hr_http_start(&other, f->service, &options), HR_E_IO);
    assert_non_null(strstr(hr_last_message(), "127.0.0.1"));
    options = (struct hr_http_options){ .host = "127.0.0.1",
                                        .certificate_file = "/nonexistent/certificate",
                                        .key_file = "/nonexistent/key" };
    assert_int_equal(hr_http_start(&other, f->service, &options), HR_E_NOT_FOUND);
    assert_int_equal(hr_http_reload(f->http), HR_OK); /* no certificate: nothing to do */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_stays_and_carries_a_trace),
        TEST(paths_and_methods_are_told),
        TEST(bodies_and_answers_may_be_packed),
        TEST(long_bodies_are_refused),
        TEST(all_bodies_together_are_bounded),
        TEST(who_may_not_is_told_why),
        TEST(a_server_says_that_it_loads_or_goes),
        TEST(other_origins_are_named),
        TEST(the_slow_are_let_go),
        TEST(what_cannot_be_started_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
