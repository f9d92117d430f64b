/* SPDX-License-Identifier: Apache-2.0
 * Connections of `hrnet client`: HTTP by libcurl, gRPC by serve/grpc_client. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/client.h"
#include "serve/grpc_client.h"

#if HRNET_CURL
#include <curl/curl.h>
#else
typedef void CURL;
#endif

#define MOST_ANSWER ((size_t)1 << 30)

struct hr_client_connection {
    const struct hr_client_target *target;
    CURL *curl;
    struct hr_grpc_client *grpc;
    struct hr_client_answer *answer; /* that is coming */
};

void hr_client_request_fini(struct hr_client_request *request)
{
    hr_mem_free(request->path);
    hr_buffer_fini(&request->body);
    *request = (struct hr_client_request){ 0 };
}

void hr_client_answer_fini(struct hr_client_answer *answer)
{
    hr_buffer_fini(&answer->body);
}

static void fail_answer(struct hr_client_answer *answer, const char *text)
{
    answer->good = false;
    snprintf(answer->message, sizeof answer->message, "%s", text);
}

/* ---- HTTP ---- */

#if HRNET_CURL
static size_t keep(char *bytes, size_t one, size_t count, void *context)
{
    struct hr_client_connection *c = context;
    (void)one;
    if (count > MOST_ANSWER - c->answer->body.size)
        return 0;
    hr_buffer_put(&c->answer->body, bytes, count);
    return c->answer->body.status == HR_OK ? count : 0;
}

static size_t header(char *bytes, size_t one, size_t count, void *context)
{
    static const char name[] = "Inference-Header-Content-Length:";
    struct hr_client_connection *c = context;
    (void)one;
    if (count > sizeof name && strncasecmp(bytes, name, sizeof name - 1) == 0)
        c->answer->json_bytes = strtoul(bytes + sizeof name - 1, NULL, 10);
    return count;
}

static enum hr_status open_http(struct hr_client_connection *c)
{
    const struct hr_client_target *t = c->target;
    c->curl = curl_easy_init();
    if (!c->curl)
        return hr_fail(HR_E_IO, "libcurl does not start");
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "hrnet");
    curl_easy_setopt(c->curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)(1e3 * t->timeout_seconds) + 1);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    if (t->authority)
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, t->authority);
    return HR_OK;
}

/* The list of headers, or NULL when one of them did not find memory. */
static struct curl_slist *headers_of(const struct hr_client_connection *c,
                                     const struct hr_client_request *request)
{
    char lines[4][600];
    size_t count = 0;
    struct curl_slist *list = NULL;
    snprintf(lines[count++], sizeof lines[0], "Expect:"); /* no waiting for 100 Continue */
    if (request->content_type)
        snprintf(lines[count++], sizeof lines[0], "Content-Type: %s", request->content_type);
    else
        snprintf(lines[count++], sizeof lines[0], "Content-Type:");
    if (request->has_json_bytes)
        snprintf(lines[count++], sizeof lines[0], "Inference-Header-Content-Length: %zu",
                 request->json_bytes);
    if (c->target->authorization)
        snprintf(lines[count++], sizeof lines[0], "Authorization: %s", c->target->authorization);
    for (size_t i = 0; i < count; i++) {
        struct curl_slist *more = curl_slist_append(list, lines[i]);
        if (!more) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = more;
    }
    return list;
}

/* What a body without a better word says: its first line, if it is short text. */
static void name_failure(struct hr_client_answer *answer)
{
    const struct hr_buffer *b = &answer->body;
    const size_t most = sizeof answer->message - 40;
    size_t length = 0;
    while (length < b->size && length < most && b->data[length] >= 0x20 && b->data[length] != 0x7f)
        length++;
    snprintf(answer->message, sizeof answer->message, "HTTP %d: %.*s", answer->code, (int)length,
             b->data ? (const char *)b->data : "");
}

static void ask_http(struct hr_client_connection *c, const struct hr_client_request *request,
                     struct hr_client_answer *answer)
{
    char error[CURL_ERROR_SIZE] = "";
    struct hr_text url = { 0 };
    struct curl_slist *headers = headers_of(c, request);
    long http = 0;
    hr_text_printf(&url, "%s%s", c->target->base, request->path);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (headers && url.status == HR_OK) {
        curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, error);
        curl_easy_setopt(c->curl, CURLOPT_URL, url.data);
        curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
        if (request->get) {
            curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
        } else {
            curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
            curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, request->body.data);
            curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        }
        code = curl_easy_perform(c->curl);
        curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
        curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    }
    if (code != CURLE_OK) {
        fail_answer(answer, error[0] ? error : curl_easy_strerror(code));
    } else {
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &http);
        answer->code = (int)http;
        answer->good = http >= 200 && http < 300;
        if (!answer->good)
            name_failure(answer);
    }
    curl_slist_free_all(headers);
    hr_text_fini(&url);
}

static void close_http(struct hr_client_connection *c)
{
    if (c->curl)
        curl_easy_cleanup(c->curl);
}
#else
static enum hr_status open_http(struct hr_client_connection *c)
{
    return hr_fail(HR_E_UNSUPPORTED, "%s: this build has no libcurl and asks over gRPC only",
                   c->target->base);
}

static void ask_http(struct hr_client_connection *c, const struct hr_client_request *request,
                     struct hr_client_answer *answer)
{
    (void)c;
    (void)request;
    fail_answer(answer, "this build has no libcurl");
}

static void close_http(struct hr_client_connection *c)
{
    (void)c;
}
#endif

/* ---- gRPC ---- */

static enum hr_status open_grpc(struct hr_client_connection *c)
{
    const struct hr_client_target *t = c->target;
    struct hr_credentials *credentials = NULL;
    if (t->tls)
        HR_TRY(hr_credentials_of_client(&credentials, t->authority));
    const struct hr_grpc_client_options options = { .host = t->host,
                                                    .port = t->port,
                                                    .credentials = credentials,
                                                    .authorization = t->authorization,
                                                    .message_bytes = MOST_ANSWER };
    const enum hr_status status = hr_grpc_client_create(&c->grpc, &options);
    hr_credentials_release(credentials);
    return status;
}

static void ask_grpc(struct hr_client_connection *c, const struct hr_client_request *request,
                     struct hr_client_answer *answer)
{
    struct hr_grpc_answer got;
    const enum hr_status status =
        hr_grpc_client_call(c->grpc, request->path, request->body.data, request->body.size,
                            c->target->timeout_seconds, &got);
    if (status != HR_OK) {
        fail_answer(answer, hr_last_message());
        return;
    }
    answer->code = got.code;
    answer->body = got.message;
    answer->good = got.code == 0 && got.messages > 0;
    if (got.code < 0)
        snprintf(answer->message, sizeof answer->message, "no gRPC answer, but HTTP %d", got.http);
    else if (!answer->good)
        snprintf(answer->message, sizeof answer->message, "gRPC status %d: %.400s", got.code,
                 got.text);
}

/* ---- Both ---- */

enum hr_status hr_client_connect(struct hr_client_connection **out,
                                 const struct hr_client_target *target)
{
    struct hr_client_connection *c = hr_mem_alloc(1, sizeof *c);
    if (!c)
        return HR_E_MEMORY;
    c->target = target;
    const enum hr_status status = target->grpc ? open_grpc(c) : open_http(c);
    if (status == HR_OK)
        *out = c;
    else
        hr_client_disconnect(c);
    return status;
}

void hr_client_disconnect(struct hr_client_connection *connection)
{
    if (!connection)
        return;
    close_http(connection);
    hr_grpc_client_destroy(connection->grpc);
    hr_mem_free(connection);
}

void hr_client_ask(struct hr_client_connection *connection, const struct hr_client_request *request,
                   const struct hr_client_protocol *protocol, struct hr_client_answer *answer)
{
    *answer = (struct hr_client_answer){ .code = -1 };
    connection->answer = answer;
    if (connection->target->grpc)
        ask_grpc(connection, request, answer);
    else
        ask_http(connection, request, answer);
    if (answer->good && protocol && protocol->check)
        protocol->check(answer);
}
