/* SPDX-License-Identifier: Apache-2.0
 * From the batcher's threads back to the gRPC server's. */
#include "serve/grpc_job.h"

#include <stdio.h>

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void hr_grpc_note_add(struct hr_grpc_note *note, const struct hr_request *request)
{
    snprintf(note->model, sizeof note->model, "%s", request->served->name);
    note->items += request->count;
    for (size_t i = 0; i < request->count; i++) {
        const struct hr_item *item = &request->items[i];
        note->decode_ns = larger(note->decode_ns, item->decode_ns);
        note->queue_ns = larger(note->queue_ns, item->queue_ns);
        note->run_ns = larger(note->run_ns, item->run_ns);
        note->batch = (uint32_t)larger(note->batch, item->batch);
    }
}

static void run(struct hr_grpc_post *post)
{
    struct hr_grpc_job *job = (struct hr_grpc_job *)(void *)post;
    struct hr_grpc_call *call = job->call;
    job->finish(job);
    hr_grpc_call_release(call);
}

static void done(struct hr_request *request)
{
    struct hr_grpc_job *job = request->context;
    hr_grpc_post(job->server, &job->post);
}

enum hr_status hr_grpc_job_submit(struct hr_grpc_job *job, struct hr_grpc_call *call,
                                  struct hr_batcher *batcher, struct hr_request *request)
{
    job->post.run = run;
    job->call = hr_grpc_call_hold(call);
    job->server = hr_grpc_call_server(call);
    job->batcher = batcher;
    job->request = request;
    request->done = done;
    request->context = job;
    hr_request_limit(request, hr_grpc_call_deadline_ns(call));
    hr_request_limit_seconds(request, hr_grpc_call_seconds(call));
    hr_grpc_post_expect(job->server);
    const enum hr_status status = hr_batcher_submit(batcher, request);
    if (status != HR_OK) {
        hr_grpc_post_forget(job->server);
        hr_grpc_call_release(call);
    }
    return status;
}

void hr_grpc_job_cancel(struct hr_grpc_job *job)
{
    /* The request lives until finish(), which runs on this thread: it is not too late. */
    hr_batcher_cancel(job->batcher, job->request, HR_E_CANCELLED);
}
