/* SPDX-License-Identifier: Apache-2.0
 * What the gRPC server asks the service before it lets a call in, and tells it afterwards: the same
 * as HTTP, in gRPC's codes. */
#include "serve/grpc_service.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/gate.h"
#include "serve/grpc_job.h"
#include "serve/health.h"
#include "serve/listen.h"
#include "serve/observe.h"
#include "serve/oip_grpc.h"
#include "serve/paddle_grpc.h"
#include "serve/reflect.h"

#define MOST_PEM ((size_t)1 << 20)

const struct hr_grpc_method *const hr_grpc_oip_tables[] = { hr_oip_grpc_methods, hr_health_methods,
                                                            hr_reflection_methods, NULL };

const struct hr_grpc_method *const hr_grpc_paddle_tables[] = { hr_paddle_grpc_methods,
                                                               hr_health_methods,
                                                               hr_reflection_methods, NULL };

/* ---- Calls ---- */

static enum hr_status admit(struct hr_grpc_call *call)
{
    struct hr_service *service = hr_grpc_call_context(call);
    const unsigned flags = hr_grpc_call_flags(call);
    if (flags & HR_GRPC_OPEN)
        return HR_OK;
    if (hr_gate_rate(service->gate, hr_grpc_call_address(call)))
        hr_grpc_finish_code(call, HR_GRPC_EXHAUSTED, "too many requests from this address");
    else if (!hr_gate_may_enter(service->gate, hr_grpc_call_header(call, "authorization")))
        hr_grpc_finish_code(call, HR_GRPC_UNAUTHENTICATED,
                            "a token is wanted: metadata authorization: Bearer TOKEN");
    else if (atomic_load(&service->state) == HR_SERVICE_LOADING && !(flags & HR_GRPC_EARLY))
        hr_grpc_finish_code(call, HR_GRPC_UNAVAILABLE, "the models are being loaded");
    return HR_OK;
}

static void ended(struct hr_grpc_call *call, int grpc_status)
{
    const struct hr_service *service = hr_grpc_call_context(call);
    const struct hr_grpc_note none = { 0 }, *note = *hr_grpc_call_state(call);
    if (!note)
        note = &none;
    struct hr_log_line line = { .protocol = "grpc",
                                .method = "POST",
                                .path = hr_grpc_call_path(call),
                                .model = note->model,
                                .code = grpc_status,
                                .start_ns = hr_grpc_call_begin_ns(call),
                                .bytes_in = hr_grpc_call_bytes_in(call),
                                .bytes_out = hr_grpc_call_bytes_out(call),
                                .items = note->items,
                                .decode_ns = note->decode_ns,
                                .queue_ns = note->queue_ns,
                                .run_ns = note->run_ns,
                                .batch = note->batch };
    snprintf(line.client, sizeof line.client, "%s", hr_grpc_call_peer(call));
    hr_trace_begin(line.traceparent, hr_grpc_call_header(call, "traceparent"));
    hr_observe_request(service->observe, &line);
}

/* ---- Start ---- */

static enum hr_status read_credentials(struct hr_credentials **out,
                                       const struct hr_grpc_service_options *options)
{
    uint8_t *chain = NULL, *key = NULL;
    struct hr_span chain_span = { 0 }, key_span = { 0 };
    *out = NULL;
    if (!options->certificate_file)
        return HR_OK;
    enum hr_status status =
        hr_file_read(options->certificate_file, MOST_PEM, &chain, &chain_span.size);
    if (status == HR_OK)
        status = hr_file_read(options->key_file, MOST_PEM, &key, &key_span.size);
    chain_span.data = chain;
    key_span.data = key;
    if (status == HR_OK)
        status = hr_credentials_of_server(out, &chain_span, &key_span, NULL);
    hr_mem_free(chain);
    hr_mem_free(key);
    return status;
}

static struct hr_grpc_options options_of(struct hr_service *service,
                                         const struct hr_grpc_service_options *options)
{
    const struct hr_limits *limits = &service->limits;
    struct hr_grpc_options o;
    hr_grpc_options_init(&o);
    o.tables = options->tables;
    o.context = service;
    o.admit = admit;
    o.ended = ended;
    o.message_bytes = limits->body_bytes;
    o.all_bytes = limits->all_body_bytes;
    o.header_bytes = limits->header_bytes;
    o.connections = limits->connections;
    o.connections_of_one = limits->connections_of_one;
    o.idle_seconds = limits->head_seconds;
    o.send_seconds = limits->body_seconds;
    o.time = limits->time;
    return o;
}

enum hr_status hr_grpc_service_start(struct hr_grpc **out, uint16_t *port,
                                     struct hr_service *service,
                                     const struct hr_grpc_service_options *options)
{
    struct hr_grpc_options o = options_of(service, options);
    int fd;
    HR_TRY(read_credentials(&o.credentials, options));
    enum hr_status status = hr_listen(&fd, options->host, options->port);
    if (status == HR_OK) {
        *port = hr_listen_port(fd);
        status = hr_grpc_start(out, fd, &o);
    }
    hr_credentials_release(o.credentials);
    return status;
}

enum hr_status hr_grpc_service_reload(struct hr_grpc *server,
                                      const struct hr_grpc_service_options *options)
{
    struct hr_credentials *credentials;
    HR_TRY(read_credentials(&credentials, options));
    hr_grpc_set_credentials(server, credentials);
    hr_credentials_release(credentials);
    return HR_OK;
}
