/* SPDX-License-Identifier: Apache-2.0
 * HTTP/1.1 by libmicrohttpd: one thread a connection, since handlers block while models compute.
 * Bodies, heads, connections and times are bounded here. */
#ifndef HR_SERVE_HTTP_H
#define HR_SERVE_HTTP_H

#include "serve/service.h"

struct hr_http;

struct hr_http_options {
    const char *host;                        /* a numeric address */
    uint16_t port;                           /* 0: any free one */
    const char *certificate_file, *key_file; /* PEM; both or neither NULL */
};

/* Listens and answers.  HR_E_IO when the address cannot be had, naming it. */
enum hr_status hr_http_start(struct hr_http **out, struct hr_service *service,
                             const struct hr_http_options *options) HR_WARN_UNUSED;
uint16_t hr_http_port(const struct hr_http *http);
/* Takes certificate and key from their files again for new connections; on failure the old stay. */
enum hr_status hr_http_reload(struct hr_http *http) HR_WARN_UNUSED;
/* Accepts no more connections; those that there are go on. */
void hr_http_quiesce(struct hr_http *http);
/* Ends all connections.  NULL is allowed. */
void hr_http_stop(struct hr_http *http);

#endif
