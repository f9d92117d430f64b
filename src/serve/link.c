/* SPDX-License-Identifier: Apache-2.0
 * Sockets under GnuTLS, or bare.  The handshake happens inside the first reads and writes. */
#include "serve/link.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

struct hr_credentials {
    gnutls_certificate_credentials_t certificate;
    gnutls_priority_t priority;
    atomic_uint references;
    bool ask_client;
};

/* TLS 1.2 and 1.3 with the library's sound ciphers (RFC 9113, section 9.2, forbids older). */
static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

static enum hr_status make(struct hr_credentials **out)
{
    struct hr_credentials *c = hr_mem_alloc(1, sizeof *c);
    if (!c)
        return HR_E_MEMORY;
    atomic_init(&c->references, 1);
    if (gnutls_certificate_allocate_credentials(&c->certificate) < 0 ||
        gnutls_priority_init(&c->priority, priorities, NULL) < 0) {
        hr_credentials_release(c);
        return hr_fail(HR_E_MEMORY, "TLS does not start");
    }
    *out = c;
    return HR_OK;
}

static gnutls_datum_t datum(const struct hr_span *span)
{
    return (gnutls_datum_t){ (unsigned char *)(uintptr_t)span->data, (unsigned)span->size };
}

enum hr_status hr_credentials_of_server(struct hr_credentials **out, const struct hr_span *chain,
                                        const struct hr_span *key,
                                        const struct hr_span *client_authority)
{
    struct hr_credentials *c = NULL;
    HR_TRY(make(&c));
    const gnutls_datum_t chain_datum = datum(chain), key_datum = datum(key);
    enum hr_status status = HR_OK;
    int code = gnutls_certificate_set_x509_key_mem(c->certificate, &chain_datum, &key_datum,
                                                   GNUTLS_X509_FMT_PEM);
    if (code < 0)
        status = hr_fail(HR_E_FORMAT, "the TLS certificate and key cannot be used: %s",
                         gnutls_strerror(code));
    if (status == HR_OK && client_authority) {
        const gnutls_datum_t authority = datum(client_authority);
        c->ask_client = true;
        code =
            gnutls_certificate_set_x509_trust_mem(c->certificate, &authority, GNUTLS_X509_FMT_PEM);
        if (code <= 0)
            status = hr_fail(HR_E_FORMAT, "the clients' authority holds no certificate");
    }
    if (status == HR_OK)
        *out = c;
    else
        hr_credentials_release(c);
    return status;
}

enum hr_status hr_credentials_of_client(struct hr_credentials **out, const char *authority_path)
{
    struct hr_credentials *c = NULL;
    HR_TRY(make(&c));
    const int count = authority_path ? gnutls_certificate_set_x509_trust_file(
                                           c->certificate, authority_path, GNUTLS_X509_FMT_PEM)
                                     : gnutls_certificate_set_x509_system_trust(c->certificate);
    if (count <= 0) {
        hr_credentials_release(c);
        return hr_fail(HR_E_NOT_FOUND, "%s: no certificate of an authority is there",
                       authority_path ? authority_path : "the system's trust store");
    }
    *out = c;
    return HR_OK;
}

struct hr_credentials *hr_credentials_hold(struct hr_credentials *credentials)
{
    if (credentials)
        atomic_fetch_add(&credentials->references, 1);
    return credentials;
}

void hr_credentials_release(struct hr_credentials *c)
{
    if (!c || atomic_fetch_sub(&c->references, 1) != 1)
        return;
    if (c->priority)
        gnutls_priority_deinit(c->priority);
    if (c->certificate)
        gnutls_certificate_free_credentials(c->certificate);
    hr_mem_free(c);
}

/* ---- Links ---- */

static bool open_session(struct hr_link *link, const char *server_name)
{
    static const gnutls_datum_t h2 = { (unsigned char *)(uintptr_t) "h2", 2 };
    const struct hr_credentials *c = link->credentials;
    gnutls_session_t session = NULL;
    const unsigned side = link->open_for_client ? GNUTLS_CLIENT : GNUTLS_SERVER;
    if (gnutls_init(&session, side | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
        return false;
    link->session = session;
    if (gnutls_priority_set(session, c->priority) < 0 ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->certificate) < 0 ||
        gnutls_alpn_set_protocols(session, &h2, 1, GNUTLS_ALPN_MANDATORY) < 0)
        return false;
    if (link->open_for_client) {
        if (gnutls_server_name_set(session, GNUTLS_NAME_DNS, server_name, strlen(server_name)) < 0)
            return false;
        gnutls_session_set_verify_cert(session, server_name, 0);
    } else if (c->ask_client) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(session, NULL, 0);
    }
    gnutls_transport_set_int(session, link->fd);
    return true;
}

enum hr_status hr_link_open(struct hr_link *link, int fd, struct hr_credentials *credentials,
                            const char *server_name)
{
    *link = (struct hr_link){ .fd = fd,
                              .open_for_client = server_name != NULL,
                              .shaken = !credentials,
                              .credentials = hr_credentials_hold(credentials) };
    if (credentials && !open_session(link, server_name)) {
        hr_link_close(link);
        return hr_fail(HR_E_MEMORY, "TLS does not start on a connection");
    }
    return HR_OK;
}

/* What a GnuTLS call left: bytes, "not now", or the end. */
static ptrdiff_t outcome(struct hr_link *link, ptrdiff_t code)
{
    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED) {
        link->wants_write = gnutls_record_get_direction(link->session) == 1;
        return 0;
    }
    if (code > 0)
        return code;
    if (code == 0 || code == GNUTLS_E_PREMATURE_TERMINATION)
        hr_message_set("the other side closed the connection");
    else
        hr_message_set("TLS: %s", gnutls_strerror((int)code));
    return -1;
}

static bool shake(struct hr_link *link, ptrdiff_t *result)
{
    if (link->shaken)
        return true;
    const int code = gnutls_handshake(link->session);
    if (code < 0 && code != GNUTLS_E_AGAIN && code != GNUTLS_E_INTERRUPTED &&
        gnutls_error_is_fatal(code) == 0) {
        *result = 0; /* a warning: go on at the next call */
        return false;
    }
    link->shaken = code == GNUTLS_E_SUCCESS;
    if (!link->shaken)
        *result = outcome(link, code);
    return link->shaken;
}

static ptrdiff_t plain_outcome(struct hr_link *link, ptrdiff_t count, bool writing)
{
    link->wants_write = false;
    if (count > 0)
        return count;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        link->wants_write = writing;
        return 0;
    }
    if (count < 0)
        hr_message_set("%s", strerror(errno));
    else
        hr_message_set("the other side closed the connection");
    return -1;
}

ptrdiff_t hr_link_read(struct hr_link *link, void *data, size_t size)
{
    ptrdiff_t result;
    if (!link->session)
        return plain_outcome(link, recv(link->fd, data, size, 0), false);
    link->wants_write = false;
    return shake(link, &result) ? outcome(link, gnutls_record_recv(link->session, data, size))
                                : result;
}

ptrdiff_t hr_link_write(struct hr_link *link, const void *data, size_t size)
{
    ptrdiff_t result;
    if (!link->session)
        return plain_outcome(link, send(link->fd, data, size, MSG_NOSIGNAL), true);
    link->wants_write = false;
    return shake(link, &result) ? outcome(link, gnutls_record_send(link->session, data, size))
                                : result;
}

void hr_link_close(struct hr_link *link)
{
    if (link->session) {
        if (link->shaken)
            gnutls_bye(link->session, GNUTLS_SHUT_WR);
        gnutls_deinit(link->session);
    }
    if (link->fd > 0)
        close(link->fd);
    hr_credentials_release(link->credentials);
    *link = (struct hr_link){ .fd = -1 };
}
