/* SPDX-License-Identifier: Apache-2.0
 * Parts lie between lines of two dashes and the boundary; each has header lines and an empty one.
 */
#include "serve/multipart.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MOST_BOUNDARY 70 /* RFC 2046, 5.1.1 */

/* The value of `name=...` in a header value, quoted or not; false where there is none. */
static bool parameter(const char *text, size_t size, const char *name, char *out, size_t room)
{
    const size_t length = strlen(name);
    for (size_t at = 0; at + length + 1 <= size; at++) {
        const bool starts = at == 0 || strchr("; \t", text[at - 1]);
        if (!starts || strncasecmp(text + at, name, length) != 0 || text[at + length] != '=')
            continue;
        at += length + 1;
        const bool quoted = at < size && text[at] == '"';
        size_t count = 0;
        for (at += quoted; at < size && count + 1 < room; at++) {
            if (quoted ? text[at] == '"' : strchr("; \t\r\n", text[at]) != NULL)
                break;
            out[count++] = text[at];
        }
        out[count] = '\0';
        return true;
    }
    return false;
}

/* The header lines of a part: name and file name of its Content-Disposition. */
static void read_headers(struct hr_part *part, const char *text, size_t size)
{
    static const char wanted[] = "content-disposition:";
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        const size_t length = end ? (size_t)(end - text) : size;
        if (length > sizeof wanted && strncasecmp(text, wanted, sizeof wanted - 1) == 0) {
            (void)parameter(text, length, "name", part->name, sizeof part->name);
            (void)parameter(text, length, "filename", part->file_name, sizeof part->file_name);
        }
        text += length + (end != NULL);
        size -= length + (end != NULL);
    }
}

static enum hr_status fail_damaged(void)
{
    return hr_fail(HR_E_FORMAT, "the multipart body is damaged or cut off");
}

/* From behind a boundary line: one part, up to the next boundary, at which *at ends. */
static enum hr_status read_part(struct hr_part *part, const char **at, const char *end,
                                const char *delimiter, size_t delimiter_size)
{
    *part = (struct hr_part){ 0 };
    const char *headers = *at;
    /* A part without headers begins with the empty line at once. */
    const char *blank = end - headers >= 2 && memcmp(headers, "\r\n", 2) == 0
                            ? headers - 2
                            : memmem(headers, (size_t)(end - headers), "\r\n\r\n", 4);
    if (!blank)
        return fail_damaged();
    const char *content = blank + 4;
    const char *next = memmem(content - 2, (size_t)(end - content) + 2, delimiter, delimiter_size);
    if (!next)
        return fail_damaged();
    if (blank > headers)
        read_headers(part, headers, (size_t)(blank - headers));
    part->content.data = (const uint8_t *)content;
    part->content.size = next > content ? (size_t)(next - content) : 0;
    *at = next;
    return HR_OK;
}

enum hr_status hr_multipart_parse(const char *content_type, const void *body, size_t size,
                                  struct hr_part *parts, size_t most, size_t *count)
{
    char boundary[MOST_BOUNDARY + 2] = "", delimiter[MOST_BOUNDARY + 8];
    const char *at = body, *end = at + size;
    *count = 0;
    if (!parameter(content_type, strlen(content_type), "boundary", boundary, sizeof boundary) ||
        !boundary[0] || strlen(boundary) > MOST_BOUNDARY)
        return hr_fail(HR_E_FORMAT, "Content-Type names no multipart boundary");
    const size_t length = (size_t)snprintf(delimiter, sizeof delimiter, "\r\n--%s", boundary);
    if (size < length - 2) /* not even the first boundary; an empty body may be NULL */
        return fail_damaged();
    /* It may be at the very beginning, without a line end before it. */
    if (memcmp(at, delimiter + 2, length - 2) == 0)
        at += length - 2;
    else if ((at = memmem(at, size, delimiter, length)) != NULL)
        at += length;
    else
        return fail_damaged();
    while (end - at >= 2 && memcmp(at, "--", 2) != 0) {
        if (memcmp(at, "\r\n", 2) != 0)
            return fail_damaged();
        at += 2;
        if (*count == most)
            return hr_fail(HR_E_LIMIT, "the multipart body has more than %zu parts", most);
        HR_TRY(read_part(&parts[*count], &at, end, delimiter, length));
        ++*count;
        at += length;
    }
    return end - at >= 2 ? HR_OK : fail_damaged();
}
