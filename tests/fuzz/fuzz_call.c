/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as calls over gRPC: a byte that chooses the method, then messages with a length of two
 * bytes before each.  Every call is finished once; one without a failure was answered, by exactly
 * one message if it is no stream; nothing is held afterwards.  serve/grpc.h is stood in for: a call
 * here has no connection, and posts run when the method has returned. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "serve/grpc.h"
#include "serve/health.h"
#include "serve/oip_grpc.h"
#include "serve/paddle_grpc.h"
#include "serve/reflect.h"
#include "service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct hr_grpc {
    pthread_mutex_t mutex;
    pthread_cond_t posted;
    struct hr_grpc_post *first, **end;
    size_t expected;
};

struct hr_grpc_call {
    void *state;
    unsigned held, sent;
    bool finished;
    int code;
};

static const struct hr_grpc_method *const tables[] = { hr_oip_grpc_methods, hr_paddle_grpc_methods,
                                                       hr_health_methods, hr_reflection_methods,
                                                       NULL };

static struct hr_grpc server = { .mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .posted = PTHREAD_COND_INITIALIZER,
                                 .end = &server.first };

/* ---- serve/grpc.h ---- */

void hr_grpc_post_expect(struct hr_grpc *mine)
{
    mine->expected++;
}

void hr_grpc_post_forget(struct hr_grpc *mine)
{
    mine->expected--;
}

void hr_grpc_post(struct hr_grpc *mine, struct hr_grpc_post *post)
{
    post->next = NULL;
    pthread_mutex_lock(&mine->mutex);
    *mine->end = post;
    mine->end = &post->next;
    pthread_cond_signal(&mine->posted);
    pthread_mutex_unlock(&mine->mutex);
}

struct hr_grpc_call *hr_grpc_call_hold(struct hr_grpc_call *call)
{
    call->held++;
    return call;
}

void hr_grpc_call_release(struct hr_grpc_call *call)
{
    call->held--;
}

struct hr_grpc *hr_grpc_call_server(struct hr_grpc_call *call)
{
    (void)call;
    return &server;
}

const struct hr_grpc_method *const *hr_grpc_tables(const struct hr_grpc *mine)
{
    (void)mine;
    return tables;
}

bool hr_grpc_is_draining(const struct hr_grpc *mine)
{
    (void)mine;
    return true;
}

void *hr_grpc_call_context(const struct hr_grpc_call *call)
{
    (void)call;
    return fuzz_service();
}

void **hr_grpc_call_state(struct hr_grpc_call *call)
{
    return &call->state;
}

double hr_grpc_call_seconds(const struct hr_grpc_call *call)
{
    (void)call;
    return 0;
}

uint64_t hr_grpc_call_deadline_ns(const struct hr_grpc_call *call)
{
    (void)call;
    return 0;
}

bool hr_grpc_call_over(const struct hr_grpc_call *call)
{
    return call->finished;
}

void hr_grpc_call_pause(struct hr_grpc_call *call, bool on)
{
    (void)call;
    (void)on;
}

void hr_grpc_send(struct hr_grpc_call *call, const void *data, size_t size)
{
    (void)data;
    (void)size;
    call->sent++;
}

void hr_grpc_finish(struct hr_grpc_call *call, enum hr_status status)
{
    hr_grpc_finish_code(call, hr_status_info(status)->grpc, "");
}

void hr_grpc_finish_code(struct hr_grpc_call *call, int code, const char *message)
{
    (void)message;
    if (call->finished)
        return; /* as there */
    call->finished = 1;
    call->code = code;
}

/* ---- A call ---- */

static void run_posts(void)
{
    while (server.expected > 0) { /* models are loaded by a thread */
        pthread_mutex_lock(&server.mutex);
        while (!server.first)
            pthread_cond_wait(&server.posted, &server.mutex);
        struct hr_grpc_post *post = server.first;
        server.first = post->next;
        if (!server.first)
            server.end = &server.first;
        pthread_mutex_unlock(&server.mutex);
        server.expected--;
        post->run(post);
    }
}

/* The next message; false: there is none. */
static bool next_message(const uint8_t **data, size_t *size, struct hr_buffer *message)
{
    if (*size < 2)
        return false;
    const size_t wanted = (size_t)(*data)[0] << 8 | (*data)[1];
    const size_t length = wanted < *size - 2 ? wanted : *size - 2;
    hr_buffer_put(message, *data + 2, length);
    *data += 2 + length;
    *size -= 2 + length;
    return true;
}

static void check_call(const struct hr_grpc_call *call, bool stream)
{
    if (!call->finished || call->state || call->held || server.expected || !fuzz_service_is_free())
        abort();
    if (!stream && call->sent != (call->code == 0))
        abort();
}

static void make_call(const struct hr_grpc_method *method, const uint8_t *data, size_t size)
{
    struct hr_grpc_call call = { 0 };
    const bool stream = method->flags & HR_GRPC_STREAM;
    struct hr_buffer message = { 0 };
    while (!call.finished && next_message(&data, &size, &message)) {
        method->message(&call, &message);
        hr_buffer_fini(&message);
        run_posts();
        if (!stream && !call.finished)
            abort();
    }
    if (stream && !call.finished && method->end)
        method->end(&call);
    else if (!call.finished)
        hr_grpc_finish(&call, HR_OK);
    if (!call.finished && method->look)
        method->look(&call);
    if (stream || call.sent > 0 || call.code != 0)
        check_call(&call, stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t wanted = size ? data[0] : 0;
    for (size_t i = 0; size > 0; i = tables[i + 1] ? i + 1 : 0)
        for (const struct hr_grpc_method *m = tables[i]; m->path; m++)
            if (wanted-- == 0) {
                make_call(m, data + 1, size - 1);
                return 0;
            }
    return 0;
}
