/* SPDX-License-Identifier: Apache-2.0
 * Requests to models on behalf of gRPC calls: submitted on the server's thread, finished there. */
#ifndef HR_SERVE_GRPC_JOB_H
#define HR_SERVE_GRPC_JOB_H

#include <stdatomic.h>

#include "serve/grpc.h"
#include "serve/service.h"

/* What a call's log line tells.  Where a method keeps a state with its calls, the state begins with
 * one of these. */
struct hr_grpc_note {
    char model[64];
    uint64_t items, decode_ns, queue_ns, run_ns;
    uint32_t batch;
};
/* Adds what a finished request took. */
void hr_grpc_note_add(struct hr_grpc_note *note, const struct hr_request *request);

struct hr_grpc_job {
    struct hr_grpc_post post;
    struct hr_grpc_call *call; /* held until finish() has returned */
    struct hr_grpc *server;
    struct hr_batcher *batcher;
    struct hr_request *request;
    void (*finish)(struct hr_grpc_job *job); /* on the server's thread; may free the job */
};

/* Submits job->request with the call's deadline; job->finish is the caller's, all else is set here.
 * HR_OK: finish() will be called, once; otherwise it will not. */
enum hr_status hr_grpc_job_submit(struct hr_grpc_job *job, struct hr_grpc_call *call,
                                  struct hr_batcher *batcher,
                                  struct hr_request *request) HR_WARN_UNUSED;
/* Nobody waits for it any more; finish() follows all the same. */
void hr_grpc_job_cancel(struct hr_grpc_job *job);

#endif
