/* SPDX-License-Identifier: Apache-2.0
 * The gRPC server and client against each other, and the server against clients that are slow,
 * rude, gone, or talk nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "hostile.h"
#include "serve/frame.h"
#include "serve/grpc.h"
#include "serve/grpc_client.h"

#define WAIT 20.0 /* seconds, for what comes at once */

static atomic_int gone_count, ended_code;

static void wait_ms(long ms)
{
    const struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

/* ---- Methods ---- */

static void echo(struct hr_grpc_call *call, struct hr_buffer *message)
{
    hr_grpc_send(call, message->data ? message->data : (const uint8_t *)"", message->size);
    hr_grpc_finish(call, HR_OK);
}

static void echo_more(struct hr_grpc_call *call, struct hr_buffer *message)
{
    hr_grpc_send(call, message->data, message->size);
    hr_grpc_send(call, "again", 5);
}

static void not_found(struct hr_grpc_call *call, struct hr_buffer *message)
{
    (void)message;
    hr_message_set("50%% of \303\274ber are not found");
    hr_grpc_finish(call, HR_E_NOT_FOUND);
}

static void keep(struct hr_grpc_call *call, struct hr_buffer *message)
{
    (void)call;
    (void)message;
}

static void keep_end(struct hr_grpc_call *call)
{
    (void)call;
}

static void gone(struct hr_grpc_call *call)
{
    (void)call;
    atomic_fetch_add(&gone_count, 1);
}

/* Answers from another thread, some time later. */
struct job {
    struct hr_grpc_post post;
    struct hr_grpc_call *call;
    struct hr_grpc *server;
};

static void finish_job(struct hr_grpc_post *post)
{
    struct job *job = (struct job *)(void *)post;
    hr_grpc_send(job->call, "late", 4);
    hr_grpc_finish(job->call, HR_OK);
    hr_grpc_call_release(job->call);
    hr_mem_free(job);
}

static void *work(void *argument)
{
    struct job *job = argument;
    wait_ms(200);
    hr_grpc_post(job->server, &job->post);
    return NULL;
}

static void later(struct hr_grpc_call *call, struct hr_buffer *message)
{
    pthread_t thread;
    struct job *job = hr_mem_alloc(1, sizeof *job);
    (void)message;
    assert_non_null(job);
    *job =
        (struct job){ { .run = finish_job }, hr_grpc_call_hold(call), hr_grpc_call_server(call) };
    hr_grpc_post_expect(job->server);
    assert_int_equal(hr_thread_start(&thread, work, job), 0);
    pthread_detach(thread);
}

static const struct hr_grpc_method methods[] = {
    { "/t.T/Echo", 0, echo, NULL, NULL, NULL },
    { "/t.T/More", HR_GRPC_STREAM, echo_more, NULL, NULL, NULL },
    { "/t.T/Fail", 0, not_found, NULL, NULL, NULL },
    { "/t.T/Never", 0, keep, NULL, gone, NULL },
    { "/t.T/NeverStream", HR_GRPC_STREAM, keep, keep_end, gone, NULL },
    { "/t.T/Later", 0, later, NULL, gone, NULL },
    { 0 },
};
static const struct hr_grpc_method *const tables[] = { methods, NULL };

static enum hr_status admit(struct hr_grpc_call *call)
{
    const char *secret = hr_grpc_call_header(call, "authorization");
    if (secret && strcmp(secret, "Bearer no") == 0) {
        hr_grpc_finish_code(call, HR_GRPC_UNAUTHENTICATED, "who are you?");
        return HR_OK;
    }
    return HR_OK;
}

static void ended(struct hr_grpc_call *call, int code)
{
    assert_true(hr_grpc_call_begin_ns(call) > 0 &&
                strcmp(hr_grpc_call_peer(call), "127.0.0.1") == 0);
    atomic_store(&ended_code, code);
}

/* ---- Server and client of a test ---- */

struct pair {
    struct hr_grpc *server;
    struct hr_grpc_client *client;
    struct hr_grpc_answer answer;
    uint16_t port;
};

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static struct hr_grpc_options small_options(void)
{
    struct hr_grpc_options options;
    hr_grpc_options_init(&options);
    options.tables = tables;
    options.admit = admit;
    options.ended = ended;
    options.message_bytes = 1 << 20;
    return options;
}

static struct hr_grpc_client *client_of(uint16_t port, struct hr_credentials *trust,
                                        const char *secret)
{
    char digits[8];
    struct hr_grpc_client *client = NULL;
    snprintf(digits, sizeof digits, "%u", port);
    const struct hr_grpc_client_options options = {
        "127.0.0.1", digits, trust, secret, (size_t)64 << 20,
    };
    assert_int_equal(hr_grpc_client_create(&client, &options), HR_OK);
    return client;
}

static struct pair start(const struct hr_grpc_options *options)
{
    struct pair pair = { 0 };
    const int fd = listen_somewhere(&pair.port);
    atomic_store(&gone_count, 0);
    atomic_store(&ended_code, -1);
    assert_int_equal(hr_grpc_start(&pair.server, fd, options), HR_OK);
    pair.client = client_of(pair.port, NULL, NULL);
    return pair;
}

static void stop(struct pair *pair)
{
    hr_buffer_fini(&pair->answer.message);
    hr_grpc_client_destroy(pair->client);
    hr_grpc_stop(pair->server);
}

static enum hr_status ask(struct pair *pair, const char *path, const void *data, size_t size,
                          double seconds)
{
    hr_buffer_fini(&pair->answer.message);
    return hr_grpc_client_call(pair->client, path, data, size, seconds, &pair->answer);
}

/* The server is told of the client's timeout: whoever notices first says so. */
static bool times_out(struct pair *pair, const char *path, double seconds)
{
    const enum hr_status status = ask(pair, path, "", 0, seconds);
    return status == HR_E_DEADLINE || (status == HR_OK && pair->answer.code == 4);
}

static bool soon(atomic_int *value, int wanted)
{
    for (int i = 0; i < 500 && atomic_load(value) != wanted; i++)
        wait_ms(10);
    return atomic_load(value) == wanted;
}

static bool no_calls(struct hr_grpc *server)
{
    for (int i = 0; i < 500 && hr_grpc_count(server).calls > 0; i++)
        wait_ms(10);
    return hr_grpc_count(server).calls == 0;
}

/* ---- Calls ---- */

static void answers(void **state)
{
    const struct hr_grpc_options options = small_options();
    struct pair p = start(&options);
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(&p, "/t.T/Echo", "hello", 5, WAIT), HR_OK);
        assert_int_equal(p.answer.code, 0);
        assert_int_equal(p.answer.messages, 1);
        assert_memory_equal(p.answer.message.data, "hello", 5);
    }
    assert_true(soon(&ended_code, 0));
    assert_int_equal(ask(&p, "/t.T/Echo", "", 0, WAIT), HR_OK);
    assert_true(p.answer.code == 0 && p.answer.messages == 1 && p.answer.message.size == 0);
    assert_int_equal(ask(&p, "/t.T/More", "one", 3, WAIT), HR_OK);
    assert_true(p.answer.code == 0 && p.answer.messages == 2);
    assert_int_equal(ask(&p, "/t.T/Later", "", 0, WAIT), HR_OK);
    assert_true(p.answer.code == 0 && p.answer.message.size == 4);
    assert_int_equal(hr_grpc_count(p.server).connections, 1);
    assert_true(no_calls(p.server));
    assert_int_equal(atomic_load(&gone_count), 0);
    stop(&p);
}

static void failures_have_codes_and_words(void **state)
{
    const struct hr_grpc_options options = small_options();
    struct pair p = start(&options);
    (void)state;
    assert_int_equal(ask(&p, "/t.T/Fail", "", 0, WAIT), HR_OK);
    assert_int_equal(p.answer.code, 5);
    assert_string_equal(p.answer.text, "50% of \303\274ber are not found");
    assert_true(soon(&ended_code, 5));
    assert_int_equal(ask(&p, "/t.T/Nothing", "", 0, WAIT), HR_OK);
    assert_int_equal(p.answer.code, HR_GRPC_UNIMPLEMENTED);
    assert_non_null(strstr(p.answer.text, "/t.T/Nothing"));
    struct hr_grpc_client *other = client_of(p.port, NULL, "Bearer no");
    struct hr_grpc_answer answer;
    assert_int_equal(hr_grpc_client_call(other, "/t.T/Echo", "x", 1, WAIT, &answer), HR_OK);
    assert_int_equal(answer.code, HR_GRPC_UNAUTHENTICATED);
    hr_grpc_client_destroy(other);
    stop(&p);
}

static void large_messages(void **state)
{
    struct hr_grpc_options options = small_options();
    const size_t size = (size_t)9 << 20;
    uint8_t *data = hr_mem_alloc(size, 1);
    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 12));
    struct pair p = start(&options);
    assert_int_equal(ask(&p, "/t.T/Echo", data, size, WAIT), HR_OK);
    assert_int_equal(p.answer.code, 8); /* longer than options.message_bytes */
    assert_int_equal(ask(&p, "/t.T/Echo", data, 1 << 20, WAIT), HR_OK);
    assert_int_equal(p.answer.code, 0);
    stop(&p);
    options.message_bytes = size;
    p = start(&options);
    assert_int_equal(ask(&p, "/t.T/Echo", data, size, WAIT), HR_OK);
    assert_int_equal(p.answer.code, 0);
    assert_int_equal(p.answer.message.size, size);
    assert_memory_equal(p.answer.message.data, data, size);
    stop(&p);
    options.all_bytes = 100000; /* of all unfinished messages: the server is full */
    p = start(&options);
    assert_int_equal(ask(&p, "/t.T/Echo", data, size, WAIT), HR_OK);
    assert_int_equal(p.answer.code, hr_status_info(HR_E_BUSY)->grpc);
    assert_int_equal(ask(&p, "/t.T/Echo", data, 50000, WAIT), HR_OK);
    assert_int_equal(p.answer.code, 0);
    stop(&p);
    hr_mem_free(data);
}

static void who_is_gone_is_told(void **state)
{
    struct hr_grpc_options options = small_options();
    struct pair p = start(&options);
    (void)state;
    assert_true(times_out(&p, "/t.T/Never", 0.2));
    assert_true(soon(&gone_count, 1));
    assert_true(times_out(&p, "/t.T/NeverStream", 0.2));
    assert_true(soon(&gone_count, 2));
    assert_int_equal(ask(&p, "/t.T/Echo", "x", 1, WAIT), HR_OK); /* the connection lives on */
    stop(&p);
    options.time.seconds = 60;
    options.time.count = 1; /* the server's own limit, at that path */
    options.time.of[0] = (struct hr_time_limit){ "/t.T/Never", 0.3 };
    p = start(&options);
    assert_int_equal(ask(&p, "/t.T/Never", "", 0, WAIT), HR_OK);
    assert_int_equal(p.answer.code, 4);
    assert_int_equal(atomic_load(&gone_count), 1);
    assert_true(no_calls(p.server));
    stop(&p);
    options = small_options();
    p = start(&options); /* a stop of the server waits for the job's post */
    assert_true(times_out(&p, "/t.T/Later", 0.1));
    assert_true(soon(&gone_count, 1));
    stop(&p);
}

/* ---- Drain ---- */

static void *ask_later(void *argument)
{
    struct pair *p = argument;
    const enum hr_status status = ask(p, "/t.T/Later", "", 0, WAIT);
    return status == HR_OK && p->answer.code == 0 ? p : NULL;
}

static void drain_finishes_what_was_accepted(void **state)
{
    const struct hr_grpc_options options = small_options();
    struct pair p = start(&options);
    pthread_t thread;
    void *result;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, ask_later, &p), 0);
    for (int i = 0; i < 500 && hr_grpc_count(p.server).calls == 0; i++)
        wait_ms(2);
    hr_grpc_drain(p.server);
    assert_false(hr_grpc_wait(p.server, 0.01));
    assert_true(hr_grpc_wait(p.server, WAIT));
    pthread_join(thread, &result);
    assert_non_null(result);
    assert_int_equal(ask(&p, "/t.T/Echo", "x", 1, WAIT), HR_E_IO); /* nobody listens */
    stop(&p);
}

/* ---- Rude clients ---- */

static int raw(uint16_t port)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Does the server end the connection within `seconds`? */
static bool is_closed(int fd, double seconds)
{
    const uint64_t end = hr_os_now_ns() + (uint64_t)(1e9 * seconds);
    char bytes[4096];
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    while (hr_os_now_ns() < end)
        if (poll(&wait, 1, 50) > 0 && recv(fd, bytes, sizeof bytes, 0) <= 0)
            return true;
    return false;
}

#define PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\4\0\0\0\0\0"
/* Stream 1, no END_HEADERS: more must follow. */
#define OPEN_HEADERS "\0\0\1\1\0\0\0\0\1\203"

static void slow_clients_are_let_go(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        { "", 0 },
        { PREFACE, 10 },
        { PREFACE SETTINGS OPEN_HEADERS, 24 + 9 + 10 },
    };
    struct hr_grpc_options options = small_options();
    options.send_seconds = 0.4;
    options.idle_seconds = 1;
    struct pair p = start(&options);
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        const int fd = raw(p.port);
        assert_int_equal(send(fd, cases[i].bytes, cases[i].size, MSG_NOSIGNAL), cases[i].size);
        assert_true(is_closed(fd, 5));
        close(fd);
    }
    const int idle = raw(p.port);
    assert_int_equal(send(idle, PREFACE SETTINGS, 33, MSG_NOSIGNAL), 33);
    assert_false(is_closed(idle, 0.5));
    assert_true(is_closed(idle, 5));
    close(idle);
    stop(&p);
}

static void connections_are_counted(void **state)
{
    struct hr_grpc_options options = small_options();
    options.connections_of_one = 2;
    struct pair p = start(&options);
    (void)state;
    const int one = raw(p.port), two = raw(p.port), three = raw(p.port);
    assert_true(is_closed(three, 5));
    assert_false(is_closed(one, 0.1));
    close(one);
    close(two);
    close(three);
    for (int i = 0; i < 100 && hr_grpc_count(p.server).connections > 0; i++)
        wait_ms(10);
    assert_int_equal(ask(&p, "/t.T/Echo", "x", 1, WAIT), HR_OK);
    stop(&p);
}

/* A request with literal headers (HPACK, RFC 7541, 6.2.2), then its data. */
static size_t request(uint8_t *out, const char *const (*fields)[2], size_t count, const char *data,
                      size_t size)
{
    uint8_t *at = out + 9;
    for (size_t i = 0; i < count; i++) {
        *at++ = 0;
        for (int k = 0; k < 2; k++) {
            const size_t length = strlen(fields[i][k]);
            *at++ = (uint8_t)length;
            memcpy(at, fields[i][k], length);
            at += length;
        }
    }
    const size_t block = (size_t)(at - out) - 9;
    const uint8_t head[9] = { 0, (uint8_t)(block >> 8), (uint8_t)block, 1, 4, 0, 0, 0, 1 };
    const uint8_t body[9] = { 0, 0, (uint8_t)size, 0, 1, 0, 0, 0, 1 };
    memcpy(out, head, 9);
    memcpy(at, body, 9);
    memcpy(at + 9, data, size);
    return (size_t)(at - out) + 9 + size;
}

static const char *const fields[][2] = {
    { ":method", "POST" },    { ":scheme", "http" }, { ":path", "/t.T/Echo" },
    { ":authority", "here" }, { "te", "trailers" },  { "content-type", "application/grpc" },
};

/* Is `wanted` among the bytes that come back? */
static bool answered(int fd, const void *wanted, size_t size)
{
    static uint8_t bytes[65536];
    size_t have = 0;
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    while (have < sizeof bytes && poll(&wait, 1, 2000) > 0) {
        const ssize_t got = recv(fd, bytes + have, sizeof bytes - have, 0);
        if (got <= 0)
            return false;
        have += (size_t)got;
        if (memmem(bytes, have, wanted, size))
            return true;
    }
    return false;
}

static void other_http_is_refused(void **state)
{
    const struct hr_grpc_options options = small_options();
    struct pair p = start(&options);
    (void)state;
    for (int wrong = 0; wrong < 2; wrong++) {
        const char *changed[HR_COUNT(fields)][2];
        uint8_t bytes[1024] = PREFACE SETTINGS;
        memcpy(changed, fields, sizeof changed);
        if (wrong)
            changed[5][1] = "text/html";
        const int fd = raw(p.port);
        const size_t size = 33 + request(bytes + 33, (const char *const(*)[2])changed,
                                         HR_COUNT(fields), "\0\0\0\0\5hello", 10);
        assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
        /* HPACK: the name is entry 8 of the static table, the value is literal. */
        if (wrong)
            assert_true(answered(fd,
                                 "\x48\x03"
                                 "415",
                                 5));
        else
            assert_true(answered(fd, "hello", 5));
        close(fd);
    }
    stop(&p);
}

static void send_hostile(void *context, const uint8_t *data, size_t size)
{
    struct pair *p = context;
    const int fd = raw(p->port);
    (void)!send(fd, data, size, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    (void)is_closed(fd, 2);
    close(fd);
}

static void survives_any_bytes(void **state)
{
    const struct hr_grpc_options options = small_options();
    struct pair p = start(&options);
    uint8_t bytes[1024] = PREFACE SETTINGS;
    const size_t size = 33 + request(bytes + 33, fields, HR_COUNT(fields), "\0\0\0\0\5hello", 10);
    (void)state;
    for (size_t cut = 0; cut <= size; cut += 3)
        send_hostile(&p, bytes, cut);
    hostile_mutations(bytes, size, 7, 300, send_hostile, &p);
    assert_int_equal(ask(&p, "/t.T/Echo", "hello", 5, WAIT), HR_OK);
    assert_int_equal(p.answer.code, 0);
    stop(&p);
}

/* ---- TLS ---- */

struct identity {
    gnutls_datum_t chain, key;
};

static struct identity make_identity(void)
{
    struct identity identity;
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    const uint8_t serial = 1, address[4] = { 127, 0, 0, 1 };
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(
                         key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                     0);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, &serial, 1);
    gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
    gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
    gnutls_x509_crt_set_dn(crt, "CN=127.0.0.1", NULL);
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, 4, 0);
    gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
    gnutls_x509_crt_set_key(crt, key);
    assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &identity.chain), 0);
    assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &identity.key), 0);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    return identity;
}

static struct hr_credentials *trust_in(const struct identity *identity)
{
    char path[] = "/tmp/test_grpc_XXXXXX";
    struct hr_credentials *trust = NULL;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, identity->chain.data, identity->chain.size), identity->chain.size);
    close(fd);
    assert_int_equal(hr_credentials_of_client(&trust, path), HR_OK);
    unlink(path);
    return trust;
}

static void under_tls(void **state)
{
    struct hr_grpc_options options = small_options();
    struct identity identity = make_identity(), other = make_identity();
    const struct hr_span chain = { identity.chain.data, identity.chain.size };
    const struct hr_span key = { identity.key.data, identity.key.size };
    const struct hr_span wrong = { other.key.data, other.key.size };
    struct hr_grpc_answer answer;
    (void)state;
    assert_int_equal(hr_credentials_of_server(&options.credentials, &chain, &wrong, NULL),
                     HR_E_FORMAT);
    assert_int_equal(hr_credentials_of_client(&options.credentials, "/nowhere"), HR_E_NOT_FOUND);
    assert_int_equal(hr_credentials_of_server(&options.credentials, &chain, &key, NULL), HR_OK);
    struct pair p = start(&options);
    struct hr_credentials *trust = trust_in(&identity), *distrust = trust_in(&other);
    struct hr_grpc_client *safe = client_of(p.port, trust, NULL);
    struct hr_grpc_client *deceived = client_of(p.port, distrust, NULL);
    uint8_t *data = hr_mem_alloc(1 << 20, 1);
    assert_int_equal(hr_grpc_client_call(safe, "/t.T/Echo", data, 1 << 20, WAIT, &answer), HR_OK);
    assert_int_equal(answer.code, 0);
    assert_int_equal(answer.message.size, 1 << 20);
    hr_buffer_fini(&answer.message);
    assert_int_equal(hr_grpc_client_call(deceived, "/t.T/Echo", "x", 1, WAIT, &answer), HR_E_IO);
    assert_int_equal(ask(&p, "/t.T/Echo", "x", 1, WAIT), HR_E_IO); /* cleartext */
    hr_mem_free(data);
    hr_grpc_client_destroy(safe);
    hr_grpc_client_destroy(deceived);
    hr_credentials_release(trust);
    hr_credentials_release(distrust);
    hr_credentials_release(options.credentials);
    gnutls_free(identity.chain.data);
    gnutls_free(identity.key.data);
    gnutls_free(other.chain.data);
    gnutls_free(other.key.data);
    stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(failures_have_codes_and_words),
        cmocka_unit_test(large_messages),
        cmocka_unit_test(who_is_gone_is_told),
        cmocka_unit_test(drain_finishes_what_was_accepted),
        cmocka_unit_test(slow_clients_are_let_go),
        cmocka_unit_test(connections_are_counted),
        cmocka_unit_test(other_http_is_refused),
        cmocka_unit_test(survives_any_bytes),
        cmocka_unit_test(under_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
