/* SPDX-License-Identifier: Apache-2.0
 * From a connection's bytes to a call, and to its end in log and counters. */
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/coding.h"
#include "serve/http_inner.h"
#include "serve/json_memory.h"

/* ---- What the call asks for ---- */

static const char *find_value(const struct hr_call *call, enum MHD_ValueKind kind, const char *name)
{
    const struct hr_http_exchange *e = call->transport;
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
    const struct hr_http_exchange *e = call->transport;
    hr_watch_attend(e->http->watch, e->watched, left, context);
}

/* ---- Its life ---- */

static void name_client(const struct hr_http_exchange *e, char out[64])
{
    const struct sockaddr *address = hr_http_client_address(e);
    const socklen_t size = address && address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                     : sizeof(struct sockaddr_in);
    if (!address || getnameinfo(address, size, out, 64, NULL, 0, NI_NUMERICHOST) != 0)
        strcpy(out, "?");
}

static struct hr_http_exchange *begin(struct hr_http *http, struct MHD_Connection *connection,
                                      const char *path, const char *method)
{
    struct hr_http_exchange *e = hr_mem_alloc(1, sizeof *e);
    if (!e)
        return NULL;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    *e = (struct hr_http_exchange){ .http = http,
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
static void take_body(struct hr_http_exchange *e, const char *data, size_t size)
{
    const struct hr_limits *limits = &e->http->service->limits;
    e->line.bytes_in += size;
    if (e->call.code)
        return;
    if (e->body_size + size > limits->body_bytes) {
        hr_call_fail_code(&e->call, 413, "the body is over the limit of %" PRIu64 " bytes",
                          limits->body_bytes);
    } else if (e->body_size + size > e->reserved &&
               !hr_http_reserve(e, e->body_size + size - e->reserved)) {
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

static void decompress(struct hr_http_exchange *e)
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

static void run_handler(struct hr_http_exchange *e)
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

enum MHD_Result hr_http_answer(void *context, struct MHD_Connection *connection, const char *path,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **state)
{
    struct hr_http_exchange *e = *state;
    (void)version;
    if (!e) {
        e = begin(context, connection, path, method);
        *state = e;
        if (!e)
            return MHD_NO;
        hr_http_check_head(e);
        e->refused = e->call.code != 0 && hr_http_refuse_at_once(e);
        hr_watch_phase(e->http->watch, e->watched, HR_WATCH_BODY);
        return e->refused ? hr_http_send(e) : MHD_YES;
    }
    if (*size > 0) {
        take_body(e, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (!e->call.code)
        run_handler(e);
    return hr_http_send(e);
}

void hr_http_completed(void *context, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode code)
{
    struct hr_http *http = context;
    struct hr_http_exchange *e = *state;
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
