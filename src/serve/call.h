/* SPDX-License-Identifier: Apache-2.0
 * One HTTP request as a handler sees it, and the answer that it leaves.  Handlers know nothing of
 * sockets; they may block. */
#ifndef HR_SERVE_CALL_H
#define HR_SERVE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/text.h"
#include "serve/service.h"

#define HR_CALL_CAPTURES 3

struct hr_call {
    struct hr_service *service;
    const char *method, *path;              /* "GET", percent-decoded path without the query */
    const char *captures[HR_CALL_CAPTURES]; /* what the pattern's stars stand for */
    const uint8_t *body;                    /* whole, decompressed */
    size_t body_size;
    double seconds; /* it may take, from submit to answer; 0: no limit */
    /* NULL where there is none; of several, the first.  Valid until the handler returns. */
    const char *(*find_header)(const struct hr_call *call, const char *name);
    const char *(*find_query)(const struct hr_call *call, const char *name);
    /* From now on `left` is called, from a thread of the transport, and more than once, when nobody
     * waits for the answer any more; NULL ends that. */
    void (*attend)(const struct hr_call *call, void (*left)(void *context), void *context);
    void *transport;

    /* The answer. */
    int code;                 /* 200 unless set */
    const char *content_type; /* "application/json" unless set; static */
    struct hr_buffer answer;
    size_t json_bytes;           /* of an answer in two parts: Inference-Header-Content-Length */
    unsigned retry_seconds;      /* Retry-After, 0: none */
    char allowed[32];            /* Allow, "": none */
    const char *security_policy; /* Content-Security-Policy of a page, or NULL; static */

    /* For log and statistics. */
    char model_name[64];
    uint64_t items, decode_ns, queue_ns, run_ns;
    uint32_t batch;
};

typedef void hr_call_handler(struct hr_call *call);

/* After the handler: where memory did not suffice for a whole answer, the answer is that. */
void hr_call_end(struct hr_call *call);

/* Answers {"error": "..."} with the HTTP code of the status and this thread's message. */
void hr_call_fail(struct hr_call *call, enum hr_status status);
/* The same with a code and text of one's own. */
void hr_call_fail_code(struct hr_call *call, int code, const char *format, ...) HR_PRINTF(3, 4);
/* Answers with text; the type is static. */
void hr_call_text(struct hr_call *call, const char *content_type, const char *text);
/* With one that was put together, which is the call's then. */
void hr_call_take_text(struct hr_call *call, const char *content_type, struct hr_text *text);
/* Runs a request to its end for the call; notes its times.  On failure of submitting, an answer is
 * left and false returned. */
bool hr_call_run(struct hr_call *call, struct hr_request *request);

/* Query value as a whole number within bounds; absent: *out stays.  False: an answer was left. */
bool hr_call_query_count(struct hr_call *call, const char *name, int64_t least, int64_t most,
                         int64_t *out);

#endif
