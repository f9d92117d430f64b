/* SPDX-License-Identifier: Apache-2.0
 * From a connection's bytes to a call and back.  What can be refused before the body is, so that
 * nobody sends megabytes to be told no; a short body is read and dropped first, since a client that
 * is still sending when the connection closes loses the answer. */
#include "serve/http.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/coding.h"
#include "serve/gate.h"
#include "serve/json_memory.h"
#include "serve/listen.h"
#include "serve/observe.h"
#include "serve/routes.h"
#include "serve/watch.h"

#define THREAD_STACK_BYTES (512 << 10)
#define GZIP_LEAST_BYTES   1024      /* shorter answers gain nothing */
#define DROPPED_BYTES      (4 << 20) /* of a refused body that are read for politeness */

struct hr_http {
    struct hr_service *service;
    struct hr_http_options options;
    struct MHD_Daemon *daemon, *old[8]; /* old: of earlier certificates, finishing */
    size_t old_count;
    struct hr_watch *watch;
    int socket;
    uint16_t port;
};

/* One request of a connection. */
struct exchange {
    struct hr_http *http;
    struct MHD_Connection *connection;
    struct hr_call call;
    const struct hr_route *route;
    char *path;     /* as it came, for the log */
    char *segments; /* the copy that captures point into */
    uint8_t *body;
    size_t body_size, body_capacity;
    uint64_t reserved; /* of the server's budget for bodies */
    bool refused, begun, counted;
    struct hr_log_line line;
    struct hr_watched *watched; /* the connection's */
};

/* ---- What the call asks for ---- */

static const char *find_value(const struct hr_call *call, enum MHD_ValueKind kind, const char *name)
{
    const struct exchange *e = call->transport;
    return MHD_lookup_connection_value(e->connection, kind, name);
}

static const char *find_header(const struct hr_call *call, const char *name)
{
    return find_value(call, MHD_HEADER_KIND, name);
}

static const char *find_query(const struct hr_call *call, const char *name)
{
    return find_value(call, MHD_GET_ARGUMENT_KIND, name);
}

static void attend(const struct hr_call *call, void (*left)(void *context), void *context)
{
    const struct exchange *e = call->transport;
    hr_watch_attend(e->http->watch, e->watched, left, context);
}

/* ---- Answers ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    (void)MHD_add_response_header(response, name, value);
}

static void add_number(struct MHD_Response *response, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    add_header(response, name, text);
}

static void add_headers(struct exchange *e, struct MHD_Response *response)
{
    const struct hr_call *call = &e->call;
    const struct hr_service *service = e->http->service;
    if (call->answer.size > 0)
        add_header(response, "Content-Type",
                   call->content_type ? call->content_type : "application/json");
    add_header(response, "X-Content-Type-Options", "nosniff");
    add_header(response, "traceparent", e->line.traceparent);
    if (call->json_bytes)
        add_number(response, "Inference-Header-Content-Length", call->json_bytes);
    if (call->retry_seconds)
        add_number(response, "Retry-After", call->retry_seconds);
    if (call->code == MHD_HTTP_UNAUTHORIZED)
        add_header(response, "WWW-Authenticate", "Bearer");
    if (call->allowed[0])
        add_header(response, "Allow", call->allowed);
    if (call->security_policy)
        add_header(response, "Content-Security-Policy", call->security_policy);
    if (service->cors_origin) {
        add_header(response, "Access-Control-Allow-Origin", service->cors_origin);
        add_header(response, "Access-Control-Allow-Headers", "authorization, content-type");
        add_header(response, "Access-Control-Allow-Methods", "GET, POST");
    }
    if (atomic_load(&service->state) == HR_SERVICE_DRAINING || e->refused)
        add_header(response, "Connection", "close");
}

static bool takes_gzip(const struct exchange *e)
{
    const char *accepted = find_header(&e->call, "Accept-Encoding");
    return accepted && strstr(accepted, "gzip") && e->call.answer.size >= GZIP_LEAST_BYTES;
}

static enum MHD_Result send_answer(struct exchange *e)
{
    struct hr_call *call = &e->call;
    struct hr_buffer packed = { 0 };
    const bool gzip =
        takes_gzip(e) && hr_coding_gzip(&packed, call->answer.data, call->answer.size) == HR_OK;
    if (gzip) {
        hr_buffer_fini(&call->answer);
        call->answer = packed;
    } else {
        hr_buffer_fini(&packed);
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        call->answer.size, call->answer.data, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    add_headers(e, response);
    if (gzip) {
        add_header(response, "Content-Encoding", "gzip");
        add_header(response, "Vary", "Accept-Encoding");
    }
    hr_watch_phase(e->http->watch, e->watched, HR_WATCH_SEND);
    const enum MHD_Result queued =
        MHD_queue_response(e->connection, (unsigned)(call->code ? call->code : 200), response);
    MHD_destroy_response(response);
    return queued;
}

/* ---- Before the body ---- */

/* The bytes that a request says it will send; false when it says nonsense. */
static bool content_length(const struct exchange *e, uint64_t *out)
{
    const char *text = find_header(&e->call, "Content-Length");
    int64_t value = 0;
    *out = 0;
    if (text && (hr_parse_i64(text, &value) != HR_OK || value < 0))
        return false;
    *out = (uint64_t)value;
    return true;
}

/* Takes room for a body out of the server's budget. */
static bool reserve(struct exchange *e, uint64_t bytes)
{
    struct hr_service *service = e->http->service;
    const uint64_t before = atomic_fetch_add(&service->body_bytes_now, bytes);
    if (before + bytes > service->limits.all_body_bytes) {
        atomic_fetch_sub(&service->body_bytes_now, bytes);
        return false;
    }
    e->reserved += bytes;
    return true;
}

static void check_body(struct exchange *e)
{
    const struct hr_limits *limits = &e->http->service->limits;
    uint64_t length;
    if (!content_length(e, &length)) {
        hr_call_fail_code(&e->call, 400, "Content-Length is no number");
    } else if (length > limits->body_bytes) {
        hr_call_fail_code(&e->call, 413,
                          "the body has %" PRIu64 " bytes, over the limit of %" PRIu64, length,
                          limits->body_bytes);
    } else if (!reserve(e, length)) {
        hr_call_fail_code(&e->call, 503, "the server holds as many bodies as it may");
        e->call.retry_seconds = 1;
    } else if (length > 0) {
        if (hr_mem_grow((void **)&e->body, &e->body_capacity, (size_t)length, 1) != HR_OK)
            hr_call_fail(&e->call, HR_E_MEMORY);
    }
}

static void check_route(struct exchange *e)
{
    struct hr_call *call = &e->call;
    e->route = hr_route_find(call->method, e->segments, call->captures, call->allowed);
    if (e->route) {
        call->allowed[0] = '\0';
    } else if (call->allowed[0] && strcmp(call->method, "OPTIONS") == 0) {
        call->code = MHD_HTTP_NO_CONTENT;
    } else if (call->allowed[0]) {
        hr_call_fail_code(call, 405, "%.20s is not answered here, only %s", call->method,
                          call->allowed);
    } else {
        hr_call_fail_code(call, 404, "there is nothing at this path: GET / and docs tell what is");
    }
}

static const struct sockaddr *client_address(const struct exchange *e)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

static void check_gate(struct exchange *e)
{
    struct hr_service *service = e->http->service;
    const int state = atomic_load(&service->state);
    if (e->route->flags & HR_ROUTE_OPEN)
        return;
    const unsigned wait = hr_gate_rate(service->gate, client_address(e));
    if (wait) {
        hr_call_fail_code(&e->call, 429, "too many requests from this address");
        e->call.retry_seconds = wait;
    } else if (!hr_gate_may_enter(service->gate, find_header(&e->call, "Authorization"))) {
        hr_call_fail_code(&e->call, 401, "a token is wanted: Authorization: Bearer TOKEN");
    } else if ((e->route->flags & HR_ROUTE_CONTROL) && !service->may_load) {
        hr_call_fail_code(&e->call, 403, "this server does not let clients load and unload models");
    } else if (state == HR_SERVICE_LOADING && !(e->route->flags & HR_ROUTE_EARLY)) {
        hr_call_fail_code(&e->call, 503, "the models are being loaded");
        e->call.retry_seconds = 2;
    }
}

/* Refuses what can be refused by the head alone: then an answer is there. */
static void check_head(struct exchange *e)
{
    check_route(e);
    if (!e->call.code)
        check_gate(e);
    if (!e->call.code)
        check_body(e);
}

/* Whether a refusal must not wait for the body: the client holds it back until it is told to go
 * on, or it is long or over the limit. */
static bool refuse_at_once(const struct exchange *e)
{
    const uint64_t limit = e->http->service->limits.body_bytes;
    uint64_t length;
    return find_header(&e->call, "Expect") || !content_length(e, &length) || length > limit ||
           length > DROPPED_BYTES;
}

/* ---- One request ---- */

static void name_client(const struct exchange *e, char out[64])
{
    const struct sockaddr *address = client_address(e);
    const socklen_t size = address && address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                     : sizeof(struct sockaddr_in);
    if (!address || getnameinfo(address, size, out, 64, NULL, 0, NI_NUMERICHOST) != 0)
        strcpy(out, "?");
}

static struct exchange *begin(struct hr_http *http, struct MHD_Connection *connection,
                              const char *path, const char *method)
{
    struct exchange *e = hr_mem_alloc(1, sizeof *e);
    if (!e)
        return NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    *e = (struct exchange){ .http = http,
                            .connection = connection,
                            .path = hr_mem_strdup(path),
                            .segments = hr_mem_strdup(path),
                            .watched = info ? info->socket_context : NULL };
    if (!e->path || !e->segments) {
        hr_mem_free(e->path);
        hr_mem_free(e->segments);
        hr_mem_free(e);
        return NULL;
    }
    e->call = (struct hr_call){ .service = http->service,
                                .method = method,
                                .path = e->path,
                                .find_header = find_header,
                                .find_query = find_query,
                                .attend = attend,
                                .transport = e };
    e->line = (struct hr_log_line){ .protocol = "http", .method = method, .path = e->path };
    e->line.start_ns = hr_os_now_ns();
    name_client(e, e->line.client);
    hr_trace_begin(e->line.traceparent, find_header(&e->call, "traceparent"));
    atomic_fetch_add(&http->service->requests_now, 1);
    return e;
}

/* More of the body.  What is over a limit is read and dropped: an answer can only follow it. */
static void take_body(struct exchange *e, const char *data, size_t size)
{
    const struct hr_limits *limits = &e->http->service->limits;
    e->line.bytes_in += size;
    if (e->call.code)
        return;
    if (e->body_size + size > limits->body_bytes) {
        hr_call_fail_code(&e->call, 413, "the body is over the limit of %" PRIu64 " bytes",
                          limits->body_bytes);
    } else if (e->body_size + size > e->reserved &&
               !reserve(e, e->body_size + size - e->reserved)) {
        hr_call_fail_code(&e->call, 503, "the server holds as many bodies as it may");
        e->call.retry_seconds = 1;
    } else if (hr_mem_grow((void **)&e->body, &e->body_capacity, e->body_size + size, 1) != HR_OK) {
        hr_call_fail(&e->call, HR_E_MEMORY);
    } else {
        memcpy(e->body + e->body_size, data, size);
        e->body_size += size;
    }
    if (e->call.code)
        e->refused = true;
}

static void decompress(struct exchange *e)
{
    const char *encoding = find_header(&e->call, "Content-Encoding");
    struct hr_buffer out = { 0 };
    if (!encoding || !*encoding || strcmp(encoding, "identity") == 0 || e->body_size == 0)
        return;
    const enum hr_status status = hr_coding_decode(&out, encoding, e->body, e->body_size,
                                                   e->http->service->limits.body_bytes);
    if (status == HR_E_UNSUPPORTED)
        hr_call_fail_code(&e->call, 415, "%s", hr_last_message());
    else if (status != HR_OK)
        hr_call_fail(&e->call, status);
    hr_mem_free(e->body);
    e->body = out.data;
    e->body_size = out.size;
    e->body_capacity = out.capacity;
}

static void run_handler(struct exchange *e)
{
    struct hr_call *call = &e->call;
    decompress(e);
    if (call->code)
        return;
    call->body = e->body;
    call->body_size = e->body_size;
    hr_watch_phase(e->http->watch, e->watched, HR_WATCH_COMPUTE);
    hr_json_memory_forget();
    e->route->handler(call);
    hr_call_end(call);
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    struct exchange *e = *state;
    (void)version;
    if (!e) {
        e = begin(context, connection, path, method);
        *state = e;
        if (!e)
            return MHD_NO;
        check_head(e);
        e->refused = e->call.code != 0 && refuse_at_once(e);
        hr_watch_phase(e->http->watch, e->watched, HR_WATCH_BODY);
        return e->refused ? send_answer(e) : MHD_YES;
    }
    if (*size > 0) {
        take_body(e, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (!e->call.code)
        run_handler(e);
    return send_answer(e);
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
    struct hr_http *http = context;
    struct exchange *e = *state;
    (void)connection;
    if (!e)
        return;
    e->line.code = code == MHD_REQUEST_TERMINATED_COMPLETED_OK && e->call.code == 0 ? 200
                   : e->call.code                                                   ? e->call.code
                                  : 499; /* the client went away */
    e->line.model = e->call.model_name;
    e->line.bytes_out = e->call.answer.size;
    e->line.items = e->call.items;
    e->line.decode_ns = e->call.decode_ns;
    e->line.queue_ns = e->call.queue_ns;
    e->line.run_ns = e->call.run_ns;
    e->line.batch = e->call.batch;
    hr_observe_request(http->service->observe, &e->line);
    hr_watch_phase(http->watch, e->watched, HR_WATCH_HEAD);
    atomic_fetch_sub(&http->service->body_bytes_now, e->reserved);
    atomic_fetch_sub(&http->service->requests_now, 1);
    hr_buffer_fini(&e->call.answer);
    hr_mem_free(e->body);
    hr_mem_free(e->path);
    hr_mem_free(e->segments);
    hr_mem_free(e);
    *state = NULL;
}

static void connected(void *context, struct MHD_Connection *connection, void **socket_context,
                      enum MHD_ConnectionNotificationCode code)
{
    struct hr_http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = info ? hr_watch_add(http->watch, info->connect_fd) : NULL;
    } else {
        hr_watch_remove(http->watch, *socket_context);
        *socket_context = NULL;
    }
}

/* ---- The daemon ---- */

/* libmicrohttpd's own words, as of damaged requests, are no news: the access log has them. */
static void drop_log(void *context, const char *format, va_list args)
{
    (void)context;
    (void)format;
    (void)args;
}

/* Percent-decodes in place.  What holds a zero byte stays as it is: it would end the text. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static enum hr_status start_daemon(struct hr_http *http, const char *certificate, const char *key)
{
    const struct hr_limits *limits = &http->service->limits;
    struct MHD_OptionItem more[3] = { { MHD_OPTION_END, 0, NULL } };
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    if (certificate) {
        flags |= MHD_USE_TLS;
        more[0] =
            (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate };
        more[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key };
        more[2] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    }
    const int socket = dup(http->socket); /* the daemon's: it closes it whatever happens */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, answer, http, MHD_OPTION_EXTERNAL_LOGGER, drop_log, NULL,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_LISTEN_SOCKET, socket,
        MHD_OPTION_NOTIFY_COMPLETED, completed, http, MHD_OPTION_NOTIFY_CONNECTION, connected, http,
        MHD_OPTION_CONNECTION_LIMIT, limits->connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        limits->connections_of_one, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)limits->head_seconds + 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)limits->header_bytes, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES,
        MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    if (!daemon)
        return hr_fail(HR_E_IO, "the HTTP server cannot start%s",
                       certificate ? ": are certificate and key right?" : "");
    http->daemon = daemon;
    return HR_OK;
}

/* Starts with what certificate and key files hold now. */
static enum hr_status start_with_files(struct hr_http *http)
{
    uint8_t *certificate = NULL, *key = NULL;
    size_t size;
    enum hr_status status = HR_OK;
    if (http->options.certificate_file) {
        status = hr_file_read(http->options.certificate_file, 1 << 20, &certificate, &size);
        if (status == HR_OK)
            status = hr_file_read(http->options.key_file, 1 << 20, &key, &size);
    }
    if (status == HR_OK)
        status = start_daemon(http, (const char *)certificate, (const char *)key);
    hr_mem_free(certificate);
    hr_mem_free(key);
    return status;
}

enum hr_status hr_http_start(struct hr_http **out, struct hr_service *service,
                             const struct hr_http_options *options)
{
    const struct hr_limits *limits = &service->limits;
    struct hr_http *http = hr_mem_alloc(1, sizeof *http);
    if (!http)
        return HR_E_MEMORY;
    *http = (struct hr_http){ .service = service, .options = *options, .socket = -1 };
    enum hr_status status =
        hr_watch_create(&http->watch, limits->head_seconds, limits->body_seconds);
    if (status == HR_OK)
        status = hr_listen(&http->socket, options->host, options->port);
    if (status == HR_OK)
        status = start_with_files(http);
    if (status != HR_OK) {
        hr_http_stop(http);
        return status;
    }
    http->port = hr_listen_port(http->socket);
    *out = http;
    return HR_OK;
}

uint16_t hr_http_port(const struct hr_http *http)
{
    return http->port;
}

static void stop_accepting(struct MHD_Daemon *daemon)
{
    const int socket = MHD_quiesce_daemon(daemon);
    if (socket != MHD_INVALID_SOCKET)
        close(socket);
}

enum hr_status hr_http_reload(struct hr_http *http)
{
    struct MHD_Daemon *old = http->daemon;
    if (!http->options.certificate_file)
        return HR_OK;
    if (http->old_count == HR_COUNT(http->old))
        MHD_stop_daemon(http->old[--http->old_count]);
    HR_TRY(start_with_files(http));
    stop_accepting(old);
    http->old[http->old_count++] = old;
    return HR_OK;
}

void hr_http_quiesce(struct hr_http *http)
{
    stop_accepting(http->daemon);
    if (http->socket >= 0)
        close(http->socket);
    http->socket = -1;
}

void hr_http_stop(struct hr_http *http)
{
    if (!http)
        return;
    for (size_t i = 0; i < http->old_count; i++)
        MHD_stop_daemon(http->old[i]);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    if (http->socket >= 0)
        close(http->socket);
    hr_watch_destroy(http->watch);
    hr_mem_free(http);
}
