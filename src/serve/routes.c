/* SPDX-License-Identifier: Apache-2.0
 * Patterns of whole segments; the tables are short, so they are searched in order. */
#include "serve/routes.h"

#include <string.h>

const struct hr_route *const hr_route_tables[] = { hr_oip_routes,
                                                   hr_picture_routes,
                                                   hr_paddle_routes,
                                                   hr_foreign_routes,
                                                   hr_observe_routes,
                                                   hr_page_routes,
                                                   NULL };

#define MOST_SEGMENTS 8

/* Splits "/a/b" at its slashes; the count, or MOST_SEGMENTS + 1 when there are more or it does not
 * begin with one.  A trailing slash is nothing. */
static size_t split(char *path, char *segments[MOST_SEGMENTS])
{
    size_t count = 0;
    char *at = path;
    if (*at != '/')
        return MOST_SEGMENTS + 1;
    while (*at == '/') {
        *at++ = '\0';
        if (!*at)
            break;
        if (count == MOST_SEGMENTS)
            return MOST_SEGMENTS + 1;
        segments[count++] = at;
        at += strcspn(at, "/");
    }
    return count;
}

static bool matches(const char *pattern, char *const segments[], size_t count,
                    const char *captures[HR_CALL_CAPTURES])
{
    size_t captured = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t length = *pattern == '/' ? strcspn(pattern + 1, "/") : 0;
        if (length == 0)
            return false;
        if (length == 1 && pattern[1] == '*' && *segments[i])
            captures[captured++] = segments[i];
        else if (strlen(segments[i]) != length || memcmp(segments[i], pattern + 1, length) != 0)
            return false;
        pattern += 1 + length;
    }
    return *pattern == '\0' || strcmp(pattern, "/") == 0;
}

static void add_allowed(char allowed[32], const char *method)
{
    if (strstr(allowed, method))
        return;
    if (allowed[0])
        strcat(allowed, ", ");
    strcat(allowed, method);
}

const struct hr_route *hr_route_find(const char *method, char *path,
                                     const char *captures[HR_CALL_CAPTURES], char allowed[32])
{
    char *segments[MOST_SEGMENTS];
    const size_t count = split(path, segments);
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    allowed[0] = '\0';
    if (count > MOST_SEGMENTS)
        return NULL;
    for (size_t table = 0; hr_route_tables[table]; table++)
        for (const struct hr_route *route = hr_route_tables[table]; route->method; route++) {
            if (!matches(route->pattern, segments, count, captures))
                continue;
            if (strcmp(route->method, wanted) == 0)
                return route;
            add_allowed(allowed, route->method);
        }
    return NULL;
}
