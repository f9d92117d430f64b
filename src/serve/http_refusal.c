/* SPDX-License-Identifier: Apache-2.0
 * What can be refused before the body is, so that nobody sends megabytes to be told no; a short
 * body is read and dropped first, since a client that is still sending when the connection closes
 * loses the answer. */
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "serve/gate.h"
#include "serve/http_inner.h"

#define DROPPED_BYTES (4 << 20) /* of a refused body that are read for politeness */

/* The bytes that a request says it will send; false when it says nonsense. */
static bool content_length(const struct hr_http_exchange *e, uint64_t *out)
{
    const char *text = e->call.find_header(&e->call, "Content-Length");
    int64_t value = 0;
    *out = 0;
    if (text && (hr_parse_i64(text, &value) != HR_OK || value < 0))
        return false;
    *out = (uint64_t)value;
    return true;
}

bool hr_http_reserve(struct hr_http_exchange *e, uint64_t bytes)
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

static void check_body(struct hr_http_exchange *e)
{
    const struct hr_limits *limits = &e->http->service->limits;
    uint64_t length;
    if (!content_length(e, &length)) {
        hr_call_fail_code(&e->call, 400, "Content-Length is no number");
    } else if (length > limits->body_bytes) {
        hr_call_fail_code(&e->call, 413,
                          "the body has %" PRIu64 " bytes, over the limit of %" PRIu64, length,
                          limits->body_bytes);
    } else if (!hr_http_reserve(e, length)) {
        hr_call_fail_code(&e->call, 503, "the server holds as many bodies as it may");
        e->call.retry_seconds = 1;
    } else if (length > 0) {
        if (hr_mem_grow((void **)&e->body, &e->body_capacity, (size_t)length, 1) != HR_OK)
            hr_call_fail(&e->call, HR_E_MEMORY);
    }
}

static void check_route(struct hr_http_exchange *e)
{
    struct hr_call *call = &e->call;
    e->route = hr_route_find(call->method, e->segments, call->captures, call->allowed);
    if (e->route) {
        call->allowed[0] = '\0';
        call->seconds = hr_time_limit(&call->service->limits.time, call->path);
    } else if (call->allowed[0] && strcmp(call->method, "OPTIONS") == 0) {
        call->code = MHD_HTTP_NO_CONTENT;
    } else if (call->allowed[0]) {
        hr_call_fail_code(call, 405, "%.20s is not answered here, only %s", call->method,
                          call->allowed);
    } else {
        hr_call_fail_code(call, 404, "there is nothing at this path: GET / and docs tell what is");
    }
}

const struct sockaddr *hr_http_client_address(const struct hr_http_exchange *e)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

static void check_gate(struct hr_http_exchange *e)
{
    struct hr_service *service = e->http->service;
    const int state = atomic_load(&service->state);
    if (e->route->flags & HR_ROUTE_OPEN)
        return;
    const unsigned wait = hr_gate_rate(service->gate, hr_http_client_address(e));
    if (wait) {
        hr_call_fail_code(&e->call, 429, "too many requests from this address");
        e->call.retry_seconds = wait;
    } else if (!hr_gate_may_enter(service->gate, e->call.find_header(&e->call, "Authorization"))) {
        hr_call_fail_code(&e->call, 401, "a token is wanted: Authorization: Bearer TOKEN");
    } else if ((e->route->flags & HR_ROUTE_CONTROL) && !service->may_load) {
        hr_call_fail_code(&e->call, 403, "this server does not let clients load and unload models");
    } else if (state == HR_SERVICE_LOADING && !(e->route->flags & HR_ROUTE_EARLY)) {
        hr_call_fail_code(&e->call, 503, "the models are being loaded");
        e->call.retry_seconds = 2;
    }
}

void hr_http_check_head(struct hr_http_exchange *e)
{
    check_route(e);
    if (!e->call.code)
        check_gate(e);
    if (!e->call.code)
        check_body(e);
}

bool hr_http_refuse_at_once(const struct hr_http_exchange *e)
{
    const uint64_t limit = e->http->service->limits.body_bytes;
    uint64_t length;
    return e->call.find_header(&e->call, "Expect") || !content_length(e, &length) ||
           length > limit || length > DROPPED_BYTES;
}
