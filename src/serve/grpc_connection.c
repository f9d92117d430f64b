/* SPDX-License-Identifier: Apache-2.0
 * One connection: bytes of a socket through nghttp2 to calls, and back; and the time limits of a
 * client that is slow, silent or gone.  nghttp2 keeps the rules of HTTP/2, and limits floods of
 * settings, pings, resets and continuations itself. */
#include <stdio.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/grpc_inner.h"

#define MOST_IN       ((size_t)1 << 20)   /* read of one connection before the others have a turn */
#define MOST_OUT      ((size_t)256 << 10) /* written at once */
#define STREAM_WINDOW (8 << 20)  /* a batch of tensors fits: no waiting for the client's turn */
#define WINDOW        (32 << 20) /* of the connection */
#define FRAME         (256 << 10)
#define PING_SECONDS  20.0 /* for the answer to a ping */

/* ---- nghttp2's callbacks ---- */

static struct hr_grpc_call *call_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    if (!is_request(frame))
        return 0;
    struct hr_grpc_call *call = hr_grpc_call_create(context, frame->hd.stream_id);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

static int header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                  size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                  void *context)
{
    struct hr_grpc_call *call = call_of(session, frame->hd.stream_id);
    (void)flags;
    (void)context;
    if (call && is_request(frame))
        hr_grpc_call_add_header(call, (const char *)name, name_size, (const char *)value,
                                value_size);
    return 0;
}

static int frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct hr_grpc_connection *c = context;
    struct hr_grpc_call *call = NULL;
    if (frame->hd.type == NGHTTP2_SETTINGS)
        c->greeted = true;
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)
        call = call_of(session, frame->hd.stream_id);
    if (call && is_request(frame))
        hr_grpc_call_begin(call);
    if (call && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        hr_grpc_call_remote_end(call);
    return 0;
}

static int data_received(nghttp2_session *session, uint8_t flags, int32_t stream,
                         const uint8_t *data, size_t size, void *context)
{
    struct hr_grpc_call *call = call_of(session, stream);
    (void)flags;
    hr_grpc_connection_check(context, nghttp2_session_consume_connection(session, size));
    if (call)
        hr_grpc_call_data(call, data, size);
    if (call && call->paused)
        call->held_back += size;
    else
        hr_grpc_connection_check(context, nghttp2_session_consume_stream(session, stream, size));
    return 0;
}

/* The answer is whole: what the client still wants to send is not wanted (RFC 9113, 8.1). */
static int frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    if (frame->hd.type != NGHTTP2_HEADERS || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    const struct hr_grpc_call *call = call_of(session, frame->hd.stream_id);
    if (call && !call->remote_end)
        hr_grpc_connection_check(context,
                                 nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
                                                           frame->hd.stream_id, NGHTTP2_NO_ERROR));
    return 0;
}

static int stream_closed(nghttp2_session *session, int32_t stream, uint32_t code, void *context)
{
    struct hr_grpc_call *call = call_of(session, stream);
    (void)code;
    (void)context;
    if (call) {
        nghttp2_session_set_stream_user_data(session, stream, NULL);
        hr_grpc_call_close(call);
    }
    return 0;
}

enum hr_status hr_grpc_callbacks_create(struct hr_grpc *server)
{
    if (nghttp2_session_callbacks_new(&server->callbacks) != 0 ||
        nghttp2_option_new(&server->http) != 0)
        return hr_fail(HR_E_MEMORY, "out of memory: HTTP/2 does not start");
    nghttp2_session_callbacks *callbacks = server->callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data_received);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
    nghttp2_option_set_no_auto_window_update(server->http, 1);
    nghttp2_option_set_no_closed_streams(server->http, 1);
    return HR_OK;
}

/* ---- Life ---- */

static enum hr_status greet(struct hr_grpc_connection *c)
{
    const struct hr_grpc_options *o = &c->server->options;
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
        { NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)o->header_bytes },
    };
    if (nghttp2_session_server_new2(&c->session, c->server->callbacks, c, c->server->http) != 0 ||
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, HR_COUNT(settings)) != 0 ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW) != 0)
        return hr_fail(HR_E_MEMORY, "out of memory: a connection does not start");
    return HR_OK;
}

enum hr_status hr_grpc_connection_open(struct hr_grpc *server, int fd, const char *peer,
                                       const struct sockaddr_storage *address)
{
    struct hr_grpc_connection *c = hr_mem_alloc(1, sizeof *c);
    struct hr_link link;
    pthread_mutex_lock(&server->mutex);
    struct hr_credentials *credentials = hr_credentials_hold(server->credentials);
    pthread_mutex_unlock(&server->mutex);
    enum hr_status status = hr_link_open(&link, fd, credentials, NULL);
    hr_credentials_release(credentials);
    if (status != HR_OK || !c) {
        if (status == HR_OK)
            hr_link_close(&link);
        hr_mem_free(c);
        return status == HR_OK ? HR_E_MEMORY : status;
    }
    *c = (struct hr_grpc_connection){
        .server = server, .link = link, .events = EPOLLIN, .address = *address
    };
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    c->begin_ns = c->read_ns = c->write_ns = c->calls_ns = hr_os_now_ns();
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    status = greet(c);
    if (status == HR_OK && epoll_ctl(server->poll, EPOLL_CTL_ADD, fd, &event) != 0)
        status = hr_fail(HR_E_IO, "a connection cannot be waited for");
    c->next = server->connections;
    if (c->next)
        c->next->previous = c;
    server->connections = c;
    if (server->sweep_ns > c->begin_ns + HR_GRPC_SWEEP_NS)
        server->sweep_ns = c->begin_ns + HR_GRPC_SWEEP_NS;
    atomic_fetch_add(&server->connection_count, 1);
    if (status == HR_OK)
        hr_grpc_connection_touch(c);
    else
        hr_grpc_connection_kill(c);
    return status;
}

void hr_grpc_connection_touch(struct hr_grpc_connection *c)
{
    if (c->dirty || c->dead)
        return;
    c->dirty = true;
    c->next_dirty = c->server->dirty;
    c->server->dirty = c;
}

void hr_grpc_connection_leave(struct hr_grpc_connection *c)
{
    if (c->leaving || c->dead)
        return;
    c->leaving = true;
    const int32_t last = nghttp2_session_get_last_proc_stream_id(c->session);
    hr_grpc_connection_check(
        c, nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0));
    hr_grpc_connection_touch(c);
}

void hr_grpc_connection_kill(struct hr_grpc_connection *c)
{
    if (c->dead)
        return;
    c->dead = true;
    c->next_dead = c->server->dead;
    c->server->dead = c;
}

void hr_grpc_connection_check(struct hr_grpc_connection *c, int code)
{
    if (nghttp2_is_fatal(code))
        hr_grpc_connection_kill(c);
}

void hr_grpc_connection_free(struct hr_grpc_connection *c)
{
    struct hr_grpc *server = c->server;
    while (c->calls)
        hr_grpc_call_close(c->calls);
    if (c->previous)
        c->previous->next = c->next;
    else
        server->connections = c->next;
    if (c->next)
        c->next->previous = c->previous;
    nghttp2_session_del(c->session);
    hr_link_close(&c->link);
    hr_buffer_fini(&c->out);
    hr_mem_free(c);
    atomic_fetch_sub(&server->connection_count, 1);
}

/* ---- Bytes ---- */

void hr_grpc_connection_read(struct hr_grpc_connection *c)
{
    for (size_t all = 0; all < MOST_IN && !c->dead;) {
        const ptrdiff_t got = hr_link_read(&c->link, c->server->piece, HR_GRPC_PIECE);
        if (got == 0)
            break;
        all += got > 0 ? (size_t)got : 0;
        c->read_ns = hr_os_now_ns();
        c->ping_ns = 0;
        if (got < 0 || nghttp2_session_mem_recv(c->session, c->server->piece, (size_t)got) < 0)
            hr_grpc_connection_kill(c);
        else if ((size_t)got < HR_GRPC_PIECE && !c->link.session)
            break;
    }
    hr_grpc_connection_touch(c);
}

/* Frames that nghttp2 has, as far as there is room. */
static bool fill(struct hr_grpc_connection *c)
{
    const uint8_t *data;
    while (c->out.size - c->out_sent < MOST_OUT) {
        const ssize_t size = nghttp2_session_mem_send(c->session, &data);
        if (size <= 0)
            return size == 0;
        hr_buffer_put(&c->out, data, (size_t)size);
        if (c->out.status != HR_OK)
            return false;
    }
    return true;
}

static bool flush(struct hr_grpc_connection *c)
{
    while (c->out_sent < c->out.size) {
        const ptrdiff_t sent =
            hr_link_write(&c->link, c->out.data + c->out_sent, c->out.size - c->out_sent);
        if (sent <= 0)
            return sent == 0;
        c->out_sent += (size_t)sent;
        c->write_ns = hr_os_now_ns();
    }
    c->out.size = c->out_sent = 0;
    return true;
}

static void wait_for(struct hr_grpc_connection *c)
{
    const bool pending = c->out.size > 0 || c->link.wants_write;
    const uint32_t events = EPOLLIN | (pending ? (uint32_t)EPOLLOUT : 0);
    struct epoll_event event = { .events = events, .data.ptr = c };
    if (events == c->events)
        return;
    c->events = events;
    if (epoll_ctl(c->server->poll, EPOLL_CTL_MOD, c->link.fd, &event) != 0)
        hr_grpc_connection_kill(c);
}

void hr_grpc_connection_write(struct hr_grpc_connection *c)
{
    if (c->dead)
        return;
    if (c->out.size == 0)
        c->write_ns = hr_os_now_ns();
    do {
        if (!fill(c) || !flush(c)) {
            hr_grpc_connection_kill(c);
            return;
        }
    } while (c->out.size == 0 && nghttp2_session_want_write(c->session) && c->link.shaken);
    if (c->out.size == 0 && !nghttp2_session_want_read(c->session) &&
        !nghttp2_session_want_write(c->session))
        hr_grpc_connection_kill(c);
    else
        wait_for(c);
}

/* ---- Time ---- */

uint64_t hr_grpc_connection_sweep(struct hr_grpc_connection *c, uint64_t now_ns)
{
    const struct hr_grpc_options *o = &c->server->options;
    uint64_t next = UINT64_MAX;
    for (struct hr_grpc_call *call = c->calls; call; call = call->next) {
        const uint64_t at = hr_grpc_call_sweep(call, now_ns);
        next = at < next ? at : next;
    }
    const bool mute = !c->greeted && hr_grpc_passed(c->begin_ns, o->send_seconds, now_ns, &next);
    const bool stuck =
        c->out.size > 0 && hr_grpc_passed(c->write_ns, o->send_seconds, now_ns, &next);
    const bool lost = c->ping_ns && hr_grpc_passed(c->ping_ns, PING_SECONDS, now_ns, &next);
    if (mute || stuck || lost) {
        hr_grpc_connection_kill(c);
        return next;
    }
    if (!c->calls && hr_grpc_passed(c->calls_ns, o->idle_seconds, now_ns, &next))
        hr_grpc_connection_leave(c);
    if (c->greeted && !c->ping_ns &&
        hr_grpc_passed(c->read_ns, o->keepalive_seconds, now_ns, &next)) {
        hr_grpc_connection_check(c, nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL));
        c->ping_ns = now_ns;
    }
    if (nghttp2_session_want_write(c->session))
        hr_grpc_connection_touch(c);
    return next;
}
