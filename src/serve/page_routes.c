/* SPDX-License-Identifier: Apache-2.0
 * The web page, the status page and the OpenAPI document, out of the program itself. */
#include <string.h>

#include "serve/page.h"
#include "serve/routes.h"

/* Only this server's own files run and are shown, and nothing is sent elsewhere. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' " \
    "blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void page(struct hr_call *call)
{
    for (const struct hr_page_file *file = hr_page_files; file->path; file++) {
        if (strcmp(file->path, call->path) != 0)
            continue;
        call->content_type = file->content_type;
        call->security_policy = POLICY;
        hr_buffer_put(&call->answer, file->data, file->size);
        return;
    }
    hr_call_fail_code(call, 404, "there is no such page");
}

#define OPEN HR_ROUTE_OPEN | HR_ROUTE_EARLY
const struct hr_route hr_page_routes[] = {
    { "GET", "/", page, OPEN },
    { "GET", "/status", page, OPEN },
    { "GET", "/page.css", page, OPEN },
    { "GET", "/classify.js", page, OPEN },
    { "GET", "/status.js", page, OPEN },
    { "GET", "/openapi.json", page, OPEN },
    { 0 },
};
