/* SPDX-License-Identifier: Apache-2.0
 * A request over HTTP as text, "METHOD /path?query", a line for each header, an empty line, the
 * body; and its way to a handler without a socket. */
#ifndef TESTS_ASKING_H
#define TESTS_ASKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/call.h"

#define ASKING_HEAD 1024 /* most bytes of a head */

struct asking {
    char head[ASKING_HEAD + 1]; /* lines and query become strings: "name" zero "value" zero */
    char segments[ASKING_HEAD + 1];
    char *path, *query, *headers, *end;
    bool attended; /* somebody wants to know when the client leaves */
    bool leaves;   /* the client leaves as soon as that is so */
};

/* Reads the head; the body begins at *used.  False: there is none. */
bool asking_read(struct asking *asking, const uint8_t *text, size_t size, size_t *used);

/* Asks: true when there is a route, whose answer is in *call then, to be freed by
 * hr_buffer_fini(&call->answer).  False: call->allowed has the methods of the path.  Neither gate
 * nor state of the service are looked at. */
bool asking_route(struct asking *asking, struct hr_call *call, struct hr_service *service,
                  const uint8_t *body, size_t size);

#endif
