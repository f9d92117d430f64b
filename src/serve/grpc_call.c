/* SPDX-License-Identifier: Apache-2.0
 * One call: its headers, its messages in, its messages out, and the one status that it ends with.
 * A call outlives its stream while somebody holds it; its answers then go nowhere. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/grpc_inner.h"

struct hr_grpc_call *hr_grpc_call_create(struct hr_grpc_connection *c, int32_t stream)
{
    struct hr_grpc_call *call = hr_mem_alloc(1, sizeof *call);
    if (!call)
        return NULL;
    *call = (struct hr_grpc_call){ .server = c->server,
                                   .connection = c,
                                   .stream = stream,
                                   .references = 1,
                                   .begin_ns = hr_os_now_ns(),
                                   .next = c->calls };
    call->message_ns = call->begin_ns;
    call->frames.limit = c->server->options.message_bytes;
    call->frames.name = "the request";
    if (c->calls)
        c->calls->previous = call;
    c->calls = call;
    c->call_count++;
    atomic_fetch_add(&c->server->call_count, 1);
    return call;
}

struct hr_grpc_call *hr_grpc_call_hold(struct hr_grpc_call *call)
{
    call->references++;
    return call;
}

void hr_grpc_call_release(struct hr_grpc_call *call)
{
    if (--call->references > 0)
        return;
    hr_text_fini(&call->headers);
    hr_frames_fini(&call->frames);
    hr_buffer_fini(&call->message);
    hr_buffer_fini(&call->out);
    hr_mem_free(call);
}

/* ---- What is known of it ---- */

struct hr_grpc *hr_grpc_call_server(struct hr_grpc_call *call)
{
    return call->server;
}

void *hr_grpc_call_context(const struct hr_grpc_call *call)
{
    return call->server->options.context;
}

void **hr_grpc_call_state(struct hr_grpc_call *call)
{
    return &call->state;
}

const char *hr_grpc_call_header(const struct hr_grpc_call *call, const char *name)
{
    const char *at = hr_text_str(&call->headers), *end = at + call->headers.size;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

const char *hr_grpc_call_path(const struct hr_grpc_call *call)
{
    const char *path = hr_grpc_call_header(call, ":path");
    return path ? path : "";
}

const char *hr_grpc_call_peer(const struct hr_grpc_call *call)
{
    return call->connection ? call->connection->peer : "";
}

const struct sockaddr *hr_grpc_call_address(const struct hr_grpc_call *call)
{
    return call->connection ? (const struct sockaddr *)&call->connection->address : NULL;
}

unsigned hr_grpc_call_flags(const struct hr_grpc_call *call)
{
    return call->method ? call->method->flags : 0;
}

uint64_t hr_grpc_call_bytes_in(const struct hr_grpc_call *call)
{
    return call->bytes_in;
}

uint64_t hr_grpc_call_bytes_out(const struct hr_grpc_call *call)
{
    return call->bytes_out;
}

uint64_t hr_grpc_call_deadline_ns(const struct hr_grpc_call *call)
{
    return call->deadline_ns;
}

double hr_grpc_call_seconds(const struct hr_grpc_call *call)
{
    return hr_time_limit(&call->server->options.time, call->method->path);
}

uint64_t hr_grpc_call_begin_ns(const struct hr_grpc_call *call)
{
    return call->begin_ns;
}

bool hr_grpc_call_over(const struct hr_grpc_call *call)
{
    return !call->connection || call->finished;
}

/* ---- Answers ---- */

static void add(nghttp2_nv *list, size_t *count, const char *name, const char *value)
{
    list[(*count)++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
                                     strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

#define MOST_FIELDS 6

static void add_status(const struct hr_grpc_call *call, nghttp2_nv *list, size_t *count,
                       char digits[16])
{
    snprintf(digits, 16, "%d", call->code);
    add(list, count, "grpc-status", digits);
    if (call->text[0])
        add(list, count, "grpc-message", call->text);
    if (call->frames.coding == HR_FRAME_UNKNOWN)
        add(list, count, "grpc-accept-encoding", "identity,gzip,deflate");
}

ssize_t hr_grpc_call_read(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                          uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct hr_grpc_call *call = source->ptr;
    const size_t left = call->out.size - call->out_sent;
    const size_t take = left < room ? left : room;
    if (take == 0 && !call->finished)
        return NGHTTP2_ERR_DEFERRED;
    if (take > 0) {
        memcpy(to, call->out.data + call->out_sent, take);
        call->out_sent += take;
        call->out_ns = hr_os_now_ns();
    }
    if (call->out_sent == call->out.size) {
        hr_buffer_fini(&call->out);
        call->out_sent = 0;
        if (call->finished) {
            nghttp2_nv list[MOST_FIELDS];
            size_t count = 0;
            char digits[16];
            add_status(call, list, &count, digits);
            *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
            hr_grpc_connection_check(context, nghttp2_submit_trailer(session, stream, list, count));
        }
    }
    return (ssize_t)take;
}

/* Headers of a response; without a body they end it. */
static void respond(struct hr_grpc_call *call, const char *http_status, bool body)
{
    nghttp2_session *session = call->connection->session;
    nghttp2_nv list[MOST_FIELDS];
    nghttp2_data_provider provider = { .source.ptr = call, .read_callback = hr_grpc_call_read };
    size_t count = 0;
    char digits[16];
    call->answered = true;
    call->out_ns = hr_os_now_ns();
    add(list, &count, ":status", http_status);
    add(list, &count, "content-type", "application/grpc");
    if (!body)
        add_status(call, list, &count, digits);
    hr_grpc_connection_check(
        call->connection,
        nghttp2_submit_response(session, call->stream, list, count, body ? &provider : NULL));
    hr_grpc_connection_touch(call->connection);
}

static void resume(struct hr_grpc_call *call)
{
    struct hr_grpc_connection *c = call->connection;
    hr_grpc_connection_check(c, nghttp2_session_resume_data(c->session, call->stream));
}

static void reset(struct hr_grpc_call *call, uint32_t code)
{
    struct hr_grpc_connection *c = call->connection;
    hr_grpc_connection_check(
        c, nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, call->stream, code));
}

void hr_grpc_send(struct hr_grpc_call *call, const void *data, size_t size)
{
    uint8_t prefix[HR_FRAME_PREFIX];
    if (hr_grpc_call_over(call))
        return;
    if (size > UINT32_MAX) {
        hr_message_set("the answer is longer than a message may be");
        hr_grpc_finish(call, HR_E_LIMIT);
        return;
    }
    if (call->out.size == 0)
        call->out_ns = hr_os_now_ns();
    hr_frame_prefix(prefix, size);
    hr_buffer_put(&call->out, prefix, sizeof prefix);
    hr_buffer_put(&call->out, data, size);
    call->bytes_out += sizeof prefix + size;
    if (call->out.status != HR_OK) {
        reset(call, NGHTTP2_INTERNAL_ERROR);
    } else if (!call->answered) {
        respond(call, "200", true);
    } else {
        resume(call);
    }
    hr_grpc_connection_touch(call->connection);
}

static void uncount(struct hr_grpc_call *call)
{
    call->server->message_bytes -= call->counted;
    call->counted = 0;
}

static void end_call(struct hr_grpc_call *call, const char *http_status, int code, const char *text)
{
    if (hr_grpc_call_over(call))
        return;
    call->finished = true;
    call->code = code;
    hr_percent_encode(call->text, sizeof call->text, text);
    hr_frames_next(&call->frames);
    uncount(call);
    if (call->server->options.ended && call->headers_whole)
        call->server->options.ended(call, code);
    if (!call->answered)
        respond(call, http_status, false);
    else
        resume(call);
    hr_grpc_call_pause(call, false);
    hr_grpc_connection_touch(call->connection);
}

void hr_grpc_finish_code(struct hr_grpc_call *call, int code, const char *message)
{
    end_call(call, "200", code, message);
}

void hr_grpc_finish(struct hr_grpc_call *call, enum hr_status status)
{
    hr_grpc_finish_code(call, hr_status_info(status)->grpc,
                        status == HR_OK ? "" : hr_last_message());
}

/* Ends a call from the server's side while its method may be at work. */
static void abandon(struct hr_grpc_call *call, enum hr_status status)
{
    if (hr_grpc_call_over(call))
        return;
    const struct hr_grpc_method *method = call->method;
    hr_grpc_finish(call, status);
    if (method && method->gone)
        method->gone(call);
}

/* ---- Headers ---- */

void hr_grpc_call_add_header(struct hr_grpc_call *call, const char *name, size_t name_size,
                             const char *value, size_t value_size)
{
    /* RFC 9113, section 6.5.2, counts 32 bytes a field. */
    call->header_bytes += name_size + value_size + 32;
    if (call->header_bytes > call->server->options.header_bytes || memchr(value, 0, value_size)) {
        call->too_long = true;
        return;
    }
    hr_text_add_bytes(&call->headers, name, name_size);
    hr_text_add_bytes(&call->headers, "", 1);
    hr_text_add_bytes(&call->headers, value, value_size);
    hr_text_add_bytes(&call->headers, "", 1);
}

static const struct hr_grpc_method *find_method(const struct hr_grpc *server, const char *path)
{
    for (size_t i = 0; server->options.tables[i]; i++)
        for (const struct hr_grpc_method *m = server->options.tables[i]; m->path; m++)
            if (strcmp(m->path, path) == 0)
                return m;
    return NULL;
}

static enum hr_status read_deadline(struct hr_grpc_call *call)
{
    const char *timeout = hr_grpc_call_header(call, "grpc-timeout");
    const double longest = hr_grpc_call_seconds(call);
    uint64_t ns = UINT64_MAX;
    if (timeout)
        HR_TRY(hr_grpc_timeout_parse(timeout, &ns));
    if (longest > 0 && !(call->method->flags & HR_GRPC_STREAM) && (double)ns > 1e9 * longest)
        ns = (uint64_t)(1e9 * longest);
    if (ns < UINT64_MAX - call->begin_ns)
        call->deadline_ns = call->begin_ns + ns;
    if (call->deadline_ns && call->deadline_ns < call->server->sweep_ns)
        call->server->sweep_ns = call->deadline_ns;
    return HR_OK;
}

static bool refuse(struct hr_grpc_call *call, const char *http_status, int code, const char *text)
{
    end_call(call, http_status, code, text);
    return false;
}

/* What is wrong with a request that could be any HTTP/2. */
static bool check_request(struct hr_grpc_call *call)
{
    const char *method = hr_grpc_call_header(call, ":method");
    const char *type = hr_grpc_call_header(call, "content-type");
    char text[HR_GRPC_MESSAGE];
    if (call->too_long || call->headers.status != HR_OK)
        return refuse(call, "431", hr_status_info(HR_E_LIMIT)->grpc, "the headers are too long");
    if (!method || strcmp(method, "POST") != 0)
        return refuse(call, "405", HR_GRPC_UNIMPLEMENTED, "gRPC calls are POST requests");
    if (!type || !hr_text_starts(type, "application/grpc"))
        return refuse(call, "415", HR_GRPC_UNKNOWN, "only content-type application/grpc is taken");
    call->method = find_method(call->server, hr_grpc_call_path(call));
    if (!call->method) {
        snprintf(text, sizeof text, "there is no method %.300s", hr_grpc_call_path(call));
        return refuse(call, "200", HR_GRPC_UNIMPLEMENTED, text);
    }
    return true;
}

void hr_grpc_call_begin(struct hr_grpc_call *call)
{
    call->headers_whole = true;
    if (!check_request(call))
        return;
    call->frames.coding = hr_frame_coding_named(hr_grpc_call_header(call, "grpc-encoding"));
    enum hr_status status = read_deadline(call);
    if (status == HR_OK && call->server->options.admit)
        status = call->server->options.admit(call);
    if (status != HR_OK)
        hr_grpc_finish(call, status);
}

/* ---- Messages ---- */

/* Bytes of unfinished messages are counted over all calls: many large ones at a time are refused
 * before memory is. */
static enum hr_status count(struct hr_grpc_call *call, size_t size)
{
    struct hr_grpc *server = call->server;
    if (size > server->options.all_bytes - server->message_bytes)
        return hr_fail(HR_E_BUSY, "the server holds as many unfinished requests as it may");
    call->counted += size;
    server->message_bytes += size;
    return HR_OK;
}

static enum hr_status deliver(struct hr_grpc_call *call)
{
    struct hr_buffer message = call->frames.whole;
    call->frames.whole = (struct hr_buffer){ 0 };
    hr_frames_next(&call->frames);
    call->message_ns = 0;
    uncount(call);
    if ((call->method->flags & HR_GRPC_STREAM)) {
        call->method->message(call, &message);
    } else if (call->has_message) {
        hr_buffer_fini(&message);
        return hr_fail(HR_E_FORMAT, "the request has more than one message");
    } else {
        call->has_message = true;
        call->message = message;
        return count(call, message.size);
    }
    hr_buffer_fini(&message);
    return HR_OK;
}

void hr_grpc_call_data(struct hr_grpc_call *call, const uint8_t *data, size_t size)
{
    enum hr_status status = HR_OK;
    call->bytes_in += size;
    while (size > 0 && status == HR_OK && !hr_grpc_call_over(call)) {
        size_t used = 0;
        bool complete = false;
        if (!call->message_ns)
            call->message_ns = hr_os_now_ns();
        status = count(call, size);
        if (status == HR_OK)
            status = hr_frames_feed(&call->frames, data, size, &used, &complete);
        data += used;
        size -= used;
        if (status == HR_OK && complete) {
            uncount(call);
            status = deliver(call);
        }
    }
    if (status != HR_OK)
        abandon(call, status);
}

void hr_grpc_call_remote_end(struct hr_grpc_call *call)
{
    call->remote_end = true;
    call->message_ns = 0;
    if (hr_grpc_call_over(call))
        return;
    if (hr_frames_open(&call->frames)) {
        hr_message_set("the request ends inside a message");
        abandon(call, HR_E_FORMAT);
    } else if ((call->method->flags & HR_GRPC_STREAM)) {
        if (call->method->end)
            call->method->end(call);
        else
            hr_grpc_finish(call, HR_OK);
    } else if (call->has_message) {
        struct hr_buffer message = call->message;
        call->message = (struct hr_buffer){ 0 };
        uncount(call);
        call->method->message(call, &message);
        hr_buffer_fini(&message);
    } else {
        hr_message_set("the request has no message");
        hr_grpc_finish(call, HR_E_FORMAT);
    }
}

void hr_grpc_call_pause(struct hr_grpc_call *call, bool on)
{
    call->paused = on;
    if (on || !call->connection || call->held_back == 0)
        return;
    hr_grpc_connection_check(
        call->connection,
        nghttp2_session_consume_stream(call->connection->session, call->stream, call->held_back));
    call->held_back = 0;
    hr_grpc_connection_touch(call->connection);
}

/* ---- Ends ---- */

void hr_grpc_call_close(struct hr_grpc_call *call)
{
    struct hr_grpc_connection *c = call->connection;
    const bool unfinished = !call->finished;
    uncount(call);
    if (unfinished && call->headers_whole && call->server->options.ended)
        call->server->options.ended(call, hr_status_info(HR_E_CANCELLED)->grpc);
    if (call->previous)
        call->previous->next = call->next;
    else
        c->calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
    c->call_count--;
    c->calls_ns = hr_os_now_ns();
    atomic_fetch_sub(&call->server->call_count, 1);
    call->connection = NULL;
    if (unfinished && call->method && call->method->gone)
        call->method->gone(call);
    hr_grpc_call_release(call);
}

uint64_t hr_grpc_call_sweep(struct hr_grpc_call *call, uint64_t now_ns)
{
    const double limit = call->server->options.send_seconds;
    uint64_t next = UINT64_MAX;
    if (!call->finished && call->deadline_ns) {
        if (hr_grpc_passed(call->deadline_ns, 0, now_ns, &next)) {
            hr_message_set("the deadline of the call passed");
            abandon(call, HR_E_DEADLINE);
        }
    }
    if (!call->finished && call->message_ns && !call->paused &&
        (!call->method || !(call->method->flags & HR_GRPC_STREAM) ||
         hr_frames_open(&call->frames)) &&
        hr_grpc_passed(call->message_ns, limit, now_ns, &next)) {
        hr_message_set("the request did not come within %.0f seconds", limit);
        abandon(call, HR_E_DEADLINE);
    }
    if (!call->finished && call->method && call->method->look)
        call->method->look(call);
    if (call->connection && call->out.size > 0 &&
        hr_grpc_passed(call->out_ns, limit, now_ns, &next))
        reset(call, NGHTTP2_CANCEL);
    return next;
}
