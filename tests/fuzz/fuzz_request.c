/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a request over HTTP: "METHOD /path?query", a line for each header, an empty line,
 * the body.  Whatever route it meets answers once with a code that HTTP has; JSON is JSON, a
 * failure says what is wrong; and the model is given back. */
#include <stdlib.h>
#include <string.h>

#include "serve/json_memory.h"
#include "serve/routes.h"
#include "service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_HEAD 1024
#define MOST_CHECKED                                                            \
    16384 /* bytes of an answer: the OpenAPI document is no answer to a request \
           */

struct request {
    char head[MOST_HEAD + 1]; /* lines and query become strings: "name" zero "value" zero */
    char *path, *query, *headers, *end;
    bool attended;
};

/* The value behind "NAME<separator>" among strings that end with zeros. */
static const char *find(const char *at, const char *end, const char *name, char separator)
{
    const size_t length = strlen(name);
    for (; at && at < end; at += strlen(at) + 1)
        if (strncasecmp(at, name, length) == 0 && at[length] == separator)
            return at + length + 1;
    return NULL;
}

static const char *find_header(const struct hr_call *call, const char *name)
{
    const struct request *r = call->transport;
    return find(r->headers, r->end, name, ':');
}

static const char *find_query(const struct hr_call *call, const char *name)
{
    const struct request *r = call->transport;
    return find(r->query, r->headers, name, '=');
}

static void attend(const struct hr_call *call, void (*left)(void *context), void *context)
{
    struct request *r = call->transport;
    r->attended = left != NULL;
    if (left)
        left(context);
}

/* False: there is no head. */
static bool read_head(struct request *r, const uint8_t *data, size_t size, size_t *used)
{
    const uint8_t *end = memmem(data, size, "\n\n", 2);
    if (!end || end - data > MOST_HEAD || memchr(data, 0, (size_t)(end - data)))
        return false;
    *used = (size_t)(end - data) + 2;
    memcpy(r->head, data, (size_t)(end - data));
    r->end = r->head + (end - data);
    r->path = memchr(r->head, ' ', (size_t)(r->end - r->head));
    if (!r->path)
        return false;
    *r->path++ = '\0';
    r->headers = strchr(r->path, '\n');
    if (!r->headers)
        r->headers = r->end;
    for (char *at = r->headers; at < r->end; at++)
        *at = *at == '\n' ? '\0' : *at;
    r->query = strchr(r->path, '?');
    for (char *at = r->query; at && *at; at++)
        *at = *at == '?' || *at == '&' ? '\0' : *at;
    return true;
}

static void check_answer(const struct hr_call *call)
{
    const bool json = !call->content_type || strcmp(call->content_type, "application/json") == 0;
    if (call->answer.status != HR_OK || (call->code != 0 && (call->code < 200 || call->code > 599)))
        abort();
    if (!json || call->answer.size == 0 || call->answer.size > MOST_CHECKED)
        return;
    const size_t size = call->json_bytes ? call->json_bytes : call->answer.size;
    json_t *value = NULL;
    const enum hr_status status = hr_json_parse(&value, (const char *)call->answer.data, size);
    if (status == HR_E_MEMORY)
        return; /* a target's own memory may fail, too */
    if (status != HR_OK || (call->code >= 400 && !json_is_object(value)))
        abort();
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request = { .attended = false };
    size_t used = 0;
    if (!read_head(&request, data, size, &used))
        return 0;
    struct hr_call call = { .service = fuzz_service(),
                            .method = request.head,
                            .body = data + used,
                            .body_size = size - used,
                            .find_header = find_header,
                            .find_query = find_query,
                            .attend = attend,
                            .transport = &request };
    char segments[MOST_HEAD + 1];
    strcpy(segments, request.path);
    call.path = request.path;
    const struct hr_route *route =
        hr_route_find(call.method, segments, call.captures, call.allowed);
    if (route) {
        call.allowed[0] = '\0';
        hr_json_memory_forget();
        route->handler(&call);
        hr_call_end(&call);
        check_answer(&call);
    }
    if (request.attended || !fuzz_service_is_free())
        abort();
    hr_buffer_fini(&call.answer);
    return 0;
}
