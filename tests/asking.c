/* SPDX-License-Identifier: Apache-2.0 */
#include "asking.h"

#include <string.h>

#include "serve/json_memory.h"
#include "serve/routes.h"

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
    const struct asking *a = call->transport;
    return find(a->headers, a->end, name, ':');
}

static const char *find_query(const struct hr_call *call, const char *name)
{
    const struct asking *a = call->transport;
    return find(a->query, a->headers, name, '=');
}

static void attend(const struct hr_call *call, void (*left)(void *context), void *context)
{
    struct asking *a = call->transport;
    a->attended = left != NULL;
    if (left && a->leaves)
        left(context);
}

bool asking_read(struct asking *a, const uint8_t *text, size_t size, size_t *used)
{
    const uint8_t *end = memmem(text, size, "\n\n", 2);
    if (!end || end - text > ASKING_HEAD || memchr(text, 0, (size_t)(end - text)))
        return false;
    *used = (size_t)(end - text) + 2;
    memcpy(a->head, text, (size_t)(end - text));
    a->end = a->head + (end - text);
    *a->end = '\0';
    a->path = memchr(a->head, ' ', (size_t)(a->end - a->head));
    if (!a->path)
        return false;
    *a->path++ = '\0';
    a->headers = strchr(a->path, '\n');
    if (!a->headers)
        a->headers = a->end;
    for (char *at = a->headers; at < a->end; at++)
        *at = *at == '\n' ? '\0' : *at;
    a->query = strchr(a->path, '?');
    for (char *at = a->query; at && *at; at++)
        *at = *at == '?' || *at == '&' ? '\0' : *at;
    return true;
}

bool asking_route(struct asking *a, struct hr_call *call, struct hr_service *service,
                  const uint8_t *body, size_t size)
{
    *call = (struct hr_call){ .service = service,
                              .method = a->head,
                              .path = a->path,
                              .body = body,
                              .body_size = size,
                              .find_header = find_header,
                              .find_query = find_query,
                              .attend = attend,
                              .transport = a };
    strcpy(a->segments, a->path);
    const struct hr_route *route =
        hr_route_find(call->method, a->segments, call->captures, call->allowed);
    if (!route)
        return false;
    call->allowed[0] = '\0';
    call->seconds = service ? hr_time_limit(&service->limits.time, call->path) : 0;
    hr_json_memory_forget();
    route->handler(call);
    hr_call_end(call);
    return true;
}
