/* SPDX-License-Identifier: Apache-2.0
 * The daemons of libmicrohttpd: one at a time accepts, those of earlier certificates finish. */
#include "serve/http.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/http_inner.h"
#include "serve/listen.h"

#define THREAD_STACK_BYTES (512 << 10)

static void connected(void *context, struct MHD_Connection *connection, void **socket_context,
                      enum MHD_ConnectionNotificationCode code)
{
    struct hr_http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = info ? hr_watch_add(http->watch, info->connect_fd) : NULL;
    } else {
        hr_watch_remove(http->watch, *socket_context);
        *socket_context = NULL;
    }
}

/* libmicrohttpd's own words, as of damaged requests, are no news: the access log has them. */
static void drop_log(void *context, const char *format, va_list args)
{
    (void)context;
    (void)format;
    (void)args;
}

/* Percent-decodes in place.  What holds a zero byte stays as it is: it would end the text. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static enum hr_status start_daemon(struct hr_http *http, const char *certificate, const char *key)
{
    const struct hr_limits *limits = &http->service->limits;
    struct MHD_OptionItem more[3] = { { MHD_OPTION_END, 0, NULL } };
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    if (certificate) {
        flags |= MHD_USE_TLS;
        more[0] =
            (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate };
        more[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key };
        more[2] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    }
    const int socket = dup(http->socket); /* the daemon's: it closes it whatever happens */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, hr_http_answer, http, MHD_OPTION_EXTERNAL_LOGGER, drop_log, NULL,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_LISTEN_SOCKET, socket,
        MHD_OPTION_NOTIFY_COMPLETED, hr_http_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        connected, http, MHD_OPTION_CONNECTION_LIMIT, limits->connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, limits->connections_of_one,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)limits->head_seconds + 1,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)limits->header_bytes,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES, MHD_OPTION_ARRAY, more,
        MHD_OPTION_END);
    if (!daemon)
        return hr_fail(HR_E_IO, "the HTTP server cannot start%s",
                       certificate ? ": are certificate and key right?" : "");
    http->daemon = daemon;
    return HR_OK;
}

/* Starts with what certificate and key files hold now. */
static enum hr_status start_with_files(struct hr_http *http)
{
    uint8_t *certificate = NULL, *key = NULL;
    size_t size;
    enum hr_status status = HR_OK;
    if (http->options.certificate_file) {
        status = hr_file_read(http->options.certificate_file, 1 << 20, &certificate, &size);
        if (status == HR_OK)
            status = hr_file_read(http->options.key_file, 1 << 20, &key, &size);
    }
    if (status == HR_OK)
        status = start_daemon(http, (const char *)certificate, (const char *)key);
    hr_mem_free(certificate);
    hr_mem_free(key);
    return status;
}

enum hr_status hr_http_start(struct hr_http **out, struct hr_service *service,
                             const struct hr_http_options *options)
{
    const struct hr_limits *limits = &service->limits;
    struct hr_http *http = hr_mem_alloc(1, sizeof *http);
    if (!http)
        return HR_E_MEMORY;
    *http = (struct hr_http){ .service = service, .options = *options, .socket = -1 };
    enum hr_status status =
        hr_watch_create(&http->watch, limits->head_seconds, limits->body_seconds);
    if (status == HR_OK)
        status = hr_listen(&http->socket, options->host, options->port);
    if (status == HR_OK)
        status = start_with_files(http);
    if (status != HR_OK) {
        hr_http_stop(http);
        return status;
    }
    http->port = hr_listen_port(http->socket);
    *out = http;
    return HR_OK;
}

uint16_t hr_http_port(const struct hr_http *http)
{
    return http->port;
}

static void stop_accepting(struct MHD_Daemon *daemon)
{
    const int socket = MHD_quiesce_daemon(daemon);
    if (socket != MHD_INVALID_SOCKET)
        close(socket);
}

enum hr_status hr_http_reload(struct hr_http *http)
{
    struct MHD_Daemon *old = http->daemon;
    if (!http->options.certificate_file)
        return HR_OK;
    if (http->old_count == HR_COUNT(http->old))
        MHD_stop_daemon(http->old[--http->old_count]);
    HR_TRY(start_with_files(http));
    stop_accepting(old);
    http->old[http->old_count++] = old;
    return HR_OK;
}

void hr_http_quiesce(struct hr_http *http)
{
    stop_accepting(http->daemon);
    if (http->socket >= 0)
        close(http->socket);
    http->socket = -1;
}

void hr_http_stop(struct hr_http *http)
{
    if (!http)
        return;
    for (size_t i = 0; i < http->old_count; i++)
        MHD_stop_daemon(http->old[i]);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    if (http->socket >= 0)
        close(http->socket);
    hr_watch_destroy(http->watch);
    hr_mem_free(http);
}
