/* SPDX-License-Identifier: Apache-2.0
 * Paths and their limits; the list is short, so it is searched from the front. */
#include "serve/time_limits.h"

#include <string.h>

#include "base/text.h"

#define MOST_SECONDS 86400

static enum hr_status take(struct hr_time_limits *limits, const char *word, size_t length)
{
    char text[32] = "";
    const char *const equals = memchr(word, '=', length);
    const size_t path = equals ? (size_t)(equals - word) : 0, rest = equals ? length - path - 1 : 0;
    double seconds;
    if (path == 0 || word[0] != '/')
        return hr_fail(HR_E_ARGUMENT, "'%.*s': a path, '=' and seconds are wanted, as /v1=5",
                       (int)length, word);
    if (rest < sizeof text)
        memcpy(text, equals + 1, rest);
    if (hr_parse_f64(text, &seconds) != HR_OK || !(seconds >= 0 && seconds <= MOST_SECONDS))
        return hr_fail(HR_E_ARGUMENT, "'%.*s': seconds from 0 to %d are wanted, 0 for no limit",
                       (int)length, word, MOST_SECONDS);
    if (limits->count == HR_MOST_TIME_LIMITS || path >= sizeof limits->of[0].path)
        return hr_fail(HR_E_ARGUMENT, "'%.*s': at most %d paths of less than %zu bytes are taken",
                       (int)length, word, HR_MOST_TIME_LIMITS, sizeof limits->of[0].path);
    struct hr_time_limit *const limit = &limits->of[limits->count++];
    memcpy(limit->path, word, path);
    limit->path[path > 1 && word[path - 1] == '/' ? path - 1 : path] = '\0';
    limit->seconds = seconds;
    return HR_OK;
}

enum hr_status hr_time_limits_parse(struct hr_time_limits *limits, const char *text)
{
    while (text && *text) {
        const size_t length = strcspn(text, ",");
        HR_TRY(take(limits, text, length));
        text += length + (text[length] == ',');
    }
    return HR_OK;
}

/* Whole segments: "/v1" fits "/v1" and "/v1/classify", not "/v10". */
static bool fits(const char *beginning, const char *path)
{
    const size_t length = strlen(beginning);
    return strncmp(beginning, path, length) == 0 &&
           (path[length] == '\0' || path[length] == '/' || strcmp(beginning, "/") == 0);
}

double hr_time_limit(const struct hr_time_limits *limits, const char *path)
{
    const struct hr_time_limit *best = NULL;
    for (size_t i = 0; i < limits->count; i++)
        if (fits(limits->of[i].path, path) &&
            (!best || strlen(limits->of[i].path) > strlen(best->path)))
            best = &limits->of[i];
    return best ? best->seconds : limits->seconds;
}
