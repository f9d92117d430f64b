/* SPDX-License-Identifier: Apache-2.0
 * The whole server: starts listeners, loads models, obeys signals, drains. */
#ifndef HR_SERVE_SERVER_H
#define HR_SERVE_SERVER_H

#include <stdbool.h>

#include "serve/grpc_service.h"
#include "serve/http.h"
#include "serve/service.h"

struct hr_server_options {
    struct hr_http_options http;
    /* gRPC's ports, 0: any free one, < 0: none; address and certificates are http's. */
    int grpc_port, paddle_port;
    struct hr_service_options service;
    double drain_seconds;  /* after SIGTERM: not ready, but still answering */
    double finish_seconds; /* then: what is left may take so long */
    /* Called when the models are loaded and requests are answered.  Port 0: there is none. */
    void (*ready)(void *context, uint16_t http_port, uint16_t grpc_port, uint16_t paddle_port);
    void *context;
};

/* Runs until SIGTERM or SIGINT, which must be the only threads' business: call it before others
 * start.  SIGHUP reloads certificates, tokens and models.  HR_OK after a drain. */
enum hr_status hr_server_run(const struct hr_server_options *options) HR_WARN_UNUSED;

#endif
