/* SPDX-License-Identifier: Apache-2.0
 * What can be seen of a running server: a line of JSON for each request, trace ids that go on, and
 * counters. */
#ifndef HR_SERVE_OBSERVE_H
#define HR_SERVE_OBSERVE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/text.h"
#include "serve/stats.h"

/* "00-<32 hex>-<16 hex>-<2 hex>" (W3C Trace Context, level 1). */
#define HR_TRACEPARENT 56

/* Keeps the trace of a valid incoming header, else begins one; the span is new either way. */
void hr_trace_begin(char out[HR_TRACEPARENT], const char *incoming);

struct hr_log_line {
    const char *protocol;              /* "http", "grpc" */
    const char *method, *path, *model; /* model: "" for none */
    int code;                          /* of HTTP or gRPC */
    char client[64];
    char traceparent[HR_TRACEPARENT];
    uint64_t start_ns, bytes_in, bytes_out, items, decode_ns, queue_ns, run_ns;
    uint32_t batch;
};

struct hr_observe;
/* log_path: NULL no log, "-" standard error, or a file to append to. */
enum hr_status hr_observe_create(struct hr_observe **out, const char *log_path) HR_WARN_UNUSED;
void hr_observe_destroy(struct hr_observe *observe); /* NULL is allowed */
/* Opens the log file anew, as after it was moved away. */
void hr_observe_reopen(struct hr_observe *observe);

/* Counts an answered request and logs it. */
void hr_observe_request(struct hr_observe *observe, const struct hr_log_line *line);

struct hr_service;
/* Everything in the Prometheus text format. */
void hr_observe_print(struct hr_observe *observe, struct hr_service *service, struct hr_text *out);

#endif
