/* SPDX-License-Identifier: Apache-2.0
 * A connected socket, plain or under TLS, read and written without blocking; and what TLS needs to
 * be set up.  gRPC's server and client share it. */
#ifndef HR_SERVE_LINK_H
#define HR_SERVE_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"

/* Certificates, counted: a link holds its credentials until it is closed, so that a server may
 * change to new ones at any time. */
struct hr_credentials;

/* Of a server: certificate chain and private key as PEM; `client_authority` as PEM makes clients
 * show a certificate of it, NULL: they need none.  HR_E_FORMAT if they do not fit together. */
enum hr_status hr_credentials_of_server(struct hr_credentials **out, const struct hr_span *chain,
                                        const struct hr_span *key,
                                        const struct hr_span *client_authority) HR_WARN_UNUSED;
/* Of a client: the authorities it trusts, a PEM file; NULL: the system's. */
enum hr_status hr_credentials_of_client(struct hr_credentials **out,
                                        const char *authority_path) HR_WARN_UNUSED;
struct hr_credentials *hr_credentials_hold(struct hr_credentials *credentials);
void hr_credentials_release(struct hr_credentials *credentials); /* NULL is allowed */

struct hr_link {
    int fd; /* owned, not blocking */
    bool open_for_client;
    bool shaken;      /* TLS: the handshake is done; plain: true */
    bool wants_write; /* the last call waits for room to write, also when it was a read */
    void *session;    /* gnutls_session_t, or NULL */
    struct hr_credentials *credentials;
};

/* Takes the socket (on failure too).  credentials NULL: plain.  server_name: of a client, whom the
 * certificate must name; NULL on servers.  Only HTTP/2 is agreed on. */
enum hr_status hr_link_open(struct hr_link *link, int fd, struct hr_credentials *credentials,
                            const char *server_name) HR_WARN_UNUSED;
/* Bytes moved; 0: not now (link->wants_write tells what for); -1: closed, broken, or the handshake
 * failed (message set). */
ptrdiff_t hr_link_read(struct hr_link *link, void *data, size_t size);
ptrdiff_t hr_link_write(struct hr_link *link, const void *data, size_t size);
/* Zero-initialised and closed links may be closed again. */
void hr_link_close(struct hr_link *link);

#endif
