/* SPDX-License-Identifier: Apache-2.0
 * Which handler answers which path: tables of the protocols, and the one search through them. */
#ifndef HR_SERVE_ROUTES_H
#define HR_SERVE_ROUTES_H

#include <stdbool.h>

#include "serve/call.h"

enum hr_route_flags {
    HR_ROUTE_OPEN = 1,    /* needs no token: health */
    HR_ROUTE_CONTROL = 2, /* loads and unloads: only where the server allows it */
    HR_ROUTE_EARLY = 4,   /* answers while models are loading */
};

struct hr_route {
    const char *method;  /* "GET" also answers HEAD */
    const char *pattern; /* "/v2/models/ * /infer" without blanks: a star is one segment */
    hr_call_handler *handler;
    unsigned flags;
};

/* Each ends with a row whose method is NULL. */
extern const struct hr_route hr_oip_routes[], hr_picture_routes[], hr_paddle_routes[],
    hr_foreign_routes[], hr_observe_routes[], hr_page_routes[];

/* The row of a method and path; `path` is cut into segments in place, which captures then point
 * into.  NULL: there is none; then *allowed is the methods that the path has ("GET, POST"), or ""
 * where it is unknown. */
const struct hr_route *hr_route_find(const char *method, char *path,
                                     const char *captures[HR_CALL_CAPTURES], char allowed[32]);

/* The tables, NULL-terminated. */
extern const struct hr_route *const hr_route_tables[];

#endif
