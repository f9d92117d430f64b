/* SPDX-License-Identifier: Apache-2.0
 * A gRPC client of one connection that does one call at a time and waits for its answer.  It
 * connects when it must, and again after the connection was lost.  One thread at a time. */
#ifndef HR_SERVE_GRPC_CLIENT_H
#define HR_SERVE_GRPC_CLIENT_H

#include <stddef.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "serve/link.h"

struct hr_grpc_client;

struct hr_grpc_client_options {
    const char *host, *port;            /* "localhost", "8001" */
    struct hr_credentials *credentials; /* held; NULL: cleartext */
    const char *authorization;          /* value of that header, or NULL */
    size_t message_bytes;               /* largest answer that is taken */
};

struct hr_grpc_answer {
    struct hr_buffer message; /* the first; hr_buffer_fini() */
    size_t messages;
    int code;       /* grpc-status; -1: none came */
    int http;       /* HTTP status */
    char text[512]; /* grpc-message */
};

/* Copies the options; connects later. */
enum hr_status hr_grpc_client_create(struct hr_grpc_client **out,
                                     const struct hr_grpc_client_options *options) HR_WARN_UNUSED;
/* NULL is allowed. */
void hr_grpc_client_destroy(struct hr_grpc_client *client);

/* Sends one message and waits for the end of the answer.  HR_OK when an answer came, whatever its
 * code.  HR_E_DEADLINE: none within `seconds`, the call is cancelled; HR_E_IO: the connection could
 * not be made or broke; HR_E_LIMIT, HR_E_FORMAT: an answer that cannot be taken. */
enum hr_status hr_grpc_client_call(struct hr_grpc_client *client, const char *path,
                                   const void *data, size_t size, double seconds,
                                   struct hr_grpc_answer *answer) HR_WARN_UNUSED;

#endif
