/* SPDX-License-Identifier: Apache-2.0
 * The other end of grpc.c: a session of nghttp2 driven by poll() until the one call has ended. */
#include "serve/grpc_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/frame.h"

#define PIECE  ((size_t)64 << 10)
#define WINDOW (16 << 20)

struct hr_grpc_client {
    char *host, *port, *authorization;
    struct hr_credentials *credentials;
    size_t message_bytes;
    nghttp2_session_callbacks *callbacks;
    uint8_t *piece;

    struct hr_link link;
    nghttp2_session *session; /* NULL: not connected */
    const uint8_t *pending;   /* of nghttp2's memory, the socket did not take it yet */
    size_t pending_size;

    /* The call. */
    int32_t stream;
    bool ended;
    uint32_t error; /* HTTP/2 code that the stream ended with */
    enum hr_status status;
    uint8_t prefix[HR_FRAME_PREFIX];
    const uint8_t *data;
    size_t size, sent; /* sent counts the prefix too */
    struct hr_frames frames;
    struct hr_grpc_answer *answer;
};

/* ---- nghttp2's callbacks ---- */

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                            uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct hr_grpc_client *c = context;
    size_t count = 0;
    (void)session;
    (void)stream;
    (void)source;
    while (c->sent < HR_FRAME_PREFIX && count < room)
        to[count++] = c->prefix[c->sent++];
    const size_t left = HR_FRAME_PREFIX + c->size - c->sent;
    const size_t take = left < room - count ? left : room - count;
    if (take > 0)
        memcpy(to + count, c->data + (c->sent - HR_FRAME_PREFIX), take);
    c->sent += take;
    if (c->sent == HR_FRAME_PREFIX + c->size)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)(count + take);
}

static bool is(const uint8_t *name, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(name, wanted, size) == 0;
}

static int header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                  size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                  void *context)
{
    struct hr_grpc_client *c = context;
    const char *text = (const char *)value; /* nghttp2 ends it with a zero */
    (void)session;
    (void)value_size;
    (void)flags;
    if (frame->hd.stream_id != c->stream)
        return 0;
    if (is(name, name_size, ":status"))
        c->answer->http = atoi(text);
    else if (is(name, name_size, "grpc-status"))
        c->answer->code = atoi(text);
    else if (is(name, name_size, "grpc-message"))
        hr_percent_decode(c->answer->text, sizeof c->answer->text, text);
    else if (is(name, name_size, "grpc-encoding"))
        c->frames.coding = hr_frame_coding_named(text);
    return 0;
}

static int data_received(nghttp2_session *session, uint8_t flags, int32_t stream,
                         const uint8_t *data, size_t size, void *context)
{
    struct hr_grpc_client *c = context;
    (void)session;
    (void)flags;
    while (stream == c->stream && size > 0 && c->status == HR_OK && c->answer->http == 200) {
        size_t used = 0;
        bool complete = false;
        c->status = hr_frames_feed(&c->frames, data, size, &used, &complete);
        data += used;
        size -= used;
        if (c->status == HR_OK && complete) {
            if (c->answer->messages++ == 0) {
                c->answer->message = c->frames.whole;
                c->frames.whole = (struct hr_buffer){ 0 };
            }
            hr_frames_next(&c->frames);
        }
    }
    return 0;
}

static int stream_closed(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
    struct hr_grpc_client *c = context;
    (void)session;
    if (stream == c->stream) {
        c->ended = true;
        c->error = error;
    }
    return 0;
}

/* ---- Connection ---- */

static void disconnect(struct hr_grpc_client *c)
{
    nghttp2_session_del(c->session);
    c->session = NULL;
    c->pending = NULL;
    c->pending_size = 0;
    hr_link_close(&c->link);
}

static int remaining_ms(uint64_t deadline_ns)
{
    const uint64_t now_ns = hr_os_now_ns();
    if (now_ns >= deadline_ns)
        return 0;
    const uint64_t ms = (deadline_ns - now_ns) / 1000000 + 1;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static int connect_to(const struct addrinfo *a, uint64_t deadline_ns)
{
    const int one = 1;
    int error = 0;
    socklen_t size = sizeof error;
    const int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    if (errno == EINPROGRESS && poll(&wait, 1, remaining_ms(deadline_ns)) > 0 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
        return fd;
    if (error != 0)
        errno = error;
    else if (errno == EINPROGRESS)
        errno = ETIMEDOUT;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static enum hr_status open_socket(const struct hr_grpc_client *c, uint64_t deadline_ns, int *fd)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    const int code = getaddrinfo(c->host, c->port, &hints, &list);
    if (code != 0)
        return hr_fail(HR_E_IO, "%s: %s", c->host, gai_strerror(code));
    *fd = -1;
    for (const struct addrinfo *a = list; a && *fd < 0; a = a->ai_next)
        *fd = connect_to(a, deadline_ns);
    freeaddrinfo(list);
    return *fd >= 0
               ? HR_OK
               : hr_fail(HR_E_IO, "%s:%s: cannot connect: %s", c->host, c->port, strerror(errno));
}

static enum hr_status open_connection(struct hr_grpc_client *c, uint64_t deadline_ns)
{
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW },
    };
    int fd;
    HR_TRY(open_socket(c, deadline_ns, &fd));
    HR_TRY(hr_link_open(&c->link, fd, c->credentials, c->credentials ? c->host : NULL));
    if (nghttp2_session_client_new(&c->session, c->callbacks, c) != 0 ||
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, HR_COUNT(settings)) != 0 ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW) != 0) {
        disconnect(c);
        return hr_fail(HR_E_MEMORY, "out of memory: HTTP/2 does not start");
    }
    return HR_OK;
}

static enum hr_status lost(const struct hr_grpc_client *c)
{
    return hr_fail(HR_E_IO, "%s:%s: %s", c->host, c->port, hr_last_message());
}

/* Writes until the socket takes no more or nothing is left. */
static enum hr_status write_some(struct hr_grpc_client *c)
{
    for (;;) {
        if (c->pending_size == 0) {
            const ssize_t size = nghttp2_session_mem_send(c->session, &c->pending);
            if (size < 0)
                return hr_fail(HR_E_IO, "%s:%s: %s", c->host, c->port, nghttp2_strerror((int)size));
            if (size == 0)
                return HR_OK;
            c->pending_size = (size_t)size;
        }
        const ptrdiff_t sent = hr_link_write(&c->link, c->pending, c->pending_size);
        if (sent < 0)
            return lost(c);
        if (sent == 0)
            return HR_OK;
        c->pending += sent;
        c->pending_size -= (size_t)sent;
    }
}

static enum hr_status read_some(struct hr_grpc_client *c)
{
    for (;;) {
        const ptrdiff_t got = hr_link_read(&c->link, c->piece, PIECE);
        if (got < 0)
            return lost(c);
        if (got == 0)
            return HR_OK;
        const ssize_t code = nghttp2_session_mem_recv(c->session, c->piece, (size_t)got);
        if (code < 0)
            return hr_fail(HR_E_IO, "%s:%s: %s", c->host, c->port, nghttp2_strerror((int)code));
        if (c->ended)
            return HR_OK;
    }
}

/* One turn: writes, waits until the deadline at most, reads. */
static enum hr_status turn(struct hr_grpc_client *c, uint64_t deadline_ns)
{
    HR_TRY(write_some(c));
    const bool write = c->pending_size > 0 || c->link.wants_write;
    struct pollfd wait = { .fd = c->link.fd, .events = (short)(POLLIN | (write ? POLLOUT : 0)) };
    const int left = remaining_ms(deadline_ns);
    if (left == 0)
        return hr_fail(HR_E_DEADLINE, "%s:%s: no answer in time", c->host, c->port);
    if (poll(&wait, 1, left) > 0 && (wait.revents & ~POLLOUT))
        return read_some(c);
    return HR_OK;
}

/* What came while nobody called: a GOAWAY or the end makes a new connection necessary. */
static bool alive(struct hr_grpc_client *c)
{
    return c->session && read_some(c) == HR_OK && write_some(c) == HR_OK &&
           nghttp2_session_check_request_allowed(c->session);
}

/* ---- Calls ---- */

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                         strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static enum hr_status submit(struct hr_grpc_client *c, const char *path, double seconds)
{
    char timeout[16], authority[300];
    nghttp2_data_provider body = { .read_callback = read_request };
    hr_grpc_timeout_print(timeout, (uint64_t)(1e9 * seconds));
    snprintf(authority, sizeof authority, strchr(c->host, ':') ? "[%s]:%s" : "%s:%s", c->host,
             c->port);
    nghttp2_nv fields[10] = {
        field(":method", "POST"),       field(":scheme", c->credentials ? "https" : "http"),
        field(":path", path),           field(":authority", authority),
        field("te", "trailers"),        field("content-type", "application/grpc"),
        field("user-agent", "hrnet"),   field("grpc-accept-encoding", "identity,gzip,deflate"),
        field("grpc-timeout", timeout),
    };
    size_t count = 9;
    if (c->authorization)
        fields[count++] = field("authorization", c->authorization);
    c->stream = nghttp2_submit_request(c->session, NULL, fields, count, &body, NULL);
    return c->stream >= 0
               ? HR_OK
               : hr_fail(HR_E_IO, "%s:%s: %s", c->host, c->port, nghttp2_strerror(c->stream));
}

static enum hr_status wait_for_end(struct hr_grpc_client *c, uint64_t deadline_ns)
{
    while (!c->ended && c->status == HR_OK)
        HR_TRY(turn(c, deadline_ns));
    HR_TRY(c->status);
    if (c->answer->code < 0 && c->error != NGHTTP2_NO_ERROR)
        return hr_fail(HR_E_IO, "%s:%s: the call was ended: %s", c->host, c->port,
                       nghttp2_http2_strerror(c->error));
    return HR_OK;
}

static enum hr_status call(struct hr_grpc_client *c, const char *path, double seconds)
{
    const uint64_t deadline_ns = hr_os_now_ns() + (uint64_t)(1e9 * seconds);
    if (!alive(c)) {
        disconnect(c);
        HR_TRY(open_connection(c, deadline_ns));
    }
    HR_TRY(submit(c, path, seconds));
    const enum hr_status status = wait_for_end(c, deadline_ns);
    if (status == HR_E_DEADLINE) {
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, c->stream, NGHTTP2_CANCEL);
        const enum hr_status sent = write_some(c);
        if (sent == HR_OK && c->pending_size == 0)
            return hr_fail(HR_E_DEADLINE, "%s:%s: no answer within %g seconds", c->host, c->port,
                           seconds);
    }
    if (status != HR_OK)
        disconnect(c);
    return status;
}

enum hr_status hr_grpc_client_call(struct hr_grpc_client *client, const char *path,
                                   const void *data, size_t size, double seconds,
                                   struct hr_grpc_answer *answer)
{
    if (size > UINT32_MAX)
        return hr_fail(HR_E_LIMIT, "a message of %zu bytes is too long for gRPC", size);
    *answer = (struct hr_grpc_answer){ .code = -1 };
    hr_frame_prefix(client->prefix, size);
    client->data = data;
    client->size = size;
    client->sent = 0;
    client->ended = false;
    client->error = NGHTTP2_NO_ERROR;
    client->status = HR_OK;
    client->answer = answer;
    client->frames = (struct hr_frames){ .limit = client->message_bytes, .name = "the answer" };
    const enum hr_status status = call(client, path, seconds);
    hr_frames_fini(&client->frames);
    client->stream = 0; /* what still comes of it is not looked at */
    if (status != HR_OK)
        hr_buffer_fini(&answer->message);
    return status;
}

/* ---- Life ---- */

static enum hr_status make_callbacks(struct hr_grpc_client *c)
{
    if (nghttp2_session_callbacks_new(&c->callbacks) != 0)
        return hr_fail(HR_E_MEMORY, "out of memory: HTTP/2 does not start");
    nghttp2_session_callbacks_set_on_header_callback(c->callbacks, header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c->callbacks, data_received);
    nghttp2_session_callbacks_set_on_stream_close_callback(c->callbacks, stream_closed);
    return HR_OK;
}

enum hr_status hr_grpc_client_create(struct hr_grpc_client **out,
                                     const struct hr_grpc_client_options *options)
{
    struct hr_grpc_client *c = hr_mem_alloc(1, sizeof *c);
    if (!c)
        return HR_E_MEMORY;
    c->credentials = hr_credentials_hold(options->credentials);
    c->message_bytes = options->message_bytes;
    c->link.fd = -1;
    c->host = hr_mem_strdup(options->host);
    c->port = hr_mem_strdup(options->port);
    c->piece = hr_mem_alloc_raw(PIECE, 1);
    enum hr_status status = c->host && c->port && c->piece ? HR_OK : HR_E_MEMORY;
    if (status == HR_OK && options->authorization &&
        !(c->authorization = hr_mem_strdup(options->authorization)))
        status = HR_E_MEMORY;
    if (status == HR_OK)
        status = make_callbacks(c);
    if (status == HR_OK) {
        *out = c;
        c = NULL;
    }
    hr_grpc_client_destroy(c);
    return status;
}

void hr_grpc_client_destroy(struct hr_grpc_client *client)
{
    if (!client)
        return;
    disconnect(client);
    nghttp2_session_callbacks_del(client->callbacks);
    hr_credentials_release(client->credentials);
    hr_mem_free(client->host);
    hr_mem_free(client->port);
    hr_mem_free(client->authorization);
    hr_mem_free(client->piece);
    hr_mem_free(client);
}
