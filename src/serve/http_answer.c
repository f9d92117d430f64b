/* SPDX-License-Identifier: Apache-2.0
 * An answer's headers and bytes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/coding.h"
#include "serve/http_inner.h"

#define GZIP_LEAST_BYTES 1024 /* shorter answers gain nothing */

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

static void add_headers(struct hr_http_exchange *e, struct MHD_Response *response)
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

static bool takes_gzip(const struct hr_http_exchange *e)
{
    const char *accepted = e->call.find_header(&e->call, "Accept-Encoding");
    return accepted && strstr(accepted, "gzip") && e->call.answer.size >= GZIP_LEAST_BYTES;
}

enum MHD_Result hr_http_send(struct hr_http_exchange *e)
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
