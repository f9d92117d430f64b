/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the HTTP server share: the daemon (http.c), one request from its head to its
 * end (http_exchange.c), what is refused before the body (http_refusal.c), the answer
 * (http_answer.c). */
#ifndef HR_SERVE_HTTP_INNER_H
#define HR_SERVE_HTTP_INNER_H

#include <microhttpd.h>

#include "serve/http.h"
#include "serve/observe.h"
#include "serve/routes.h"
#include "serve/watch.h"

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
struct hr_http_exchange {
    struct hr_http *http;
    struct MHD_Connection *connection;
    struct hr_call call;
    const struct hr_route *route;
    char *path;     /* as it came, for the log */
    char *segments; /* the copy that captures point into */
    uint8_t *body;
    size_t body_size, body_capacity;
    uint64_t reserved; /* of the server's budget for bodies */
    bool refused;
    struct hr_log_line line;
    struct hr_watched *watched; /* the connection's */
};

/* For MHD_start_daemon(), whose context is the struct hr_http. */
enum MHD_Result hr_http_answer(void *http, struct MHD_Connection *connection, const char *path,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **state);
void hr_http_completed(void *http, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode code);

/* Refuses what can be refused by the head alone: then an answer is in the call. */
void hr_http_check_head(struct hr_http_exchange *e);
/* Whether a refusal must not wait for the body: the client holds it back until it is told to go
 * on, or it is long or over the limit. */
bool hr_http_refuse_at_once(const struct hr_http_exchange *e);
/* Takes room for a body out of the server's budget; false: there is none. */
bool hr_http_reserve(struct hr_http_exchange *e, uint64_t bytes);
const struct sockaddr *hr_http_client_address(const struct hr_http_exchange *e); /* or NULL */

/* Sends what the call answers. */
enum MHD_Result hr_http_send(struct hr_http_exchange *e);

#endif
