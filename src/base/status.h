/* SPDX-License-Identifier: Apache-2.0
 * What can go wrong, once: a code, one sentence, and how each outer world (exit status, HTTP,
 * gRPC) counts it.  The sentence is thread-local and is set where the fault is seen. */
#ifndef HR_BASE_STATUS_H
#define HR_BASE_STATUS_H

#include "base/compiler.h"

/* Values are pinned: they are the public hrnet_status values.
 *   id             value http grpc exit text                                          */
#define HR_STATUS_LIST(X)                                         \
    X(OK, 0, 200, 0, 0, "ok")                                     \
    X(E_ARGUMENT, 1, 400, 3, 2, "bad argument")                   \
    X(E_SHAPE, 2, 400, 3, 3, "shapes do not fit")                 \
    X(E_FORMAT, 3, 400, 3, 3, "file or message is malformed")     \
    X(E_NOT_FOUND, 4, 404, 5, 3, "no such model, tensor or file") \
    X(E_IO, 5, 500, 13, 4, "input, output or network failed")     \
    X(E_LIMIT, 6, 413, 8, 3, "a limit is exceeded")               \
    X(E_UNSUPPORTED, 7, 501, 12, 3, "not supported")              \
    X(E_MISMATCH, 8, 422, 9, 3, "weights do not fit the model")   \
    X(E_MEMORY, 9, 503, 8, 1, "out of memory")                    \
    X(E_DEADLINE, 10, 504, 4, 1, "deadline passed")               \
    X(E_BUSY, 11, 503, 14, 1, "queue is full")                    \
    X(E_CANCELLED, 12, 499, 1, 130, "cancelled")                  \
    X(E_INTERNAL, 13, 500, 13, 1, "bug in hrnet")

enum hr_status {
#define HR_STATUS_ENUM(id, value, http, grpc, exit, text) HR_##id = (value),
    HR_STATUS_LIST(HR_STATUS_ENUM)
#undef HR_STATUS_ENUM
};

struct hr_status_info {
    const char *id; /* "E_FORMAT" */
    const char *text;
    int http, grpc, exit;
};

/* The row of a status; an unknown value gives the row of HR_E_INTERNAL.  Thread-safe. */
const struct hr_status_info *hr_status_info(enum hr_status status);

/* Sets this thread's message: one sentence, no newline; cut at 1 KiB. */
void hr_message_set(const char *format, ...) HR_PRINTF(1, 2);

/* Sets the message and gives `status`, so that the detecting line reads
 * `return hr_fail(HR_E_SHAPE, "...")`.  A macro, so that the compiler sees that a failure is never
 * HR_OK and does not warn of values unset after one. */
#define hr_fail(status, ...) (hr_message_set(__VA_ARGS__), (status))

/* Puts "context: " before this thread's message; returns `status` unchanged. */
enum hr_status hr_fail_context(enum hr_status status, const char *format, ...)
    HR_PRINTF(2, 3) HR_WARN_UNUSED;

/* This thread's last message; "" before the first failure.  Valid until the next hr_fail of this
 * thread. */
const char *hr_last_message(void);

/* Passes a failure up.  Only where nothing is owned yet. */
#define HR_TRY(expr)                                 \
    do {                                             \
        const enum hr_status hr_try_status = (expr); \
        if (hr_try_status != HR_OK)                  \
            return hr_try_status;                    \
    } while (0)

/* Warnings that are not failures go to one process-wide callback; without one they are dropped
 * (the library never prints).  hr_log_set is not thread-safe: call it before other threads run. */
enum hr_log_level { HR_LOG_INFO, HR_LOG_WARNING };
typedef void hr_log_fn(void *context, enum hr_log_level level, const char *message);
void hr_log_set(hr_log_fn *fn, void *context);
void hr_log(enum hr_log_level level, const char *format, ...) HR_PRINTF(2, 3);

#endif
