/* SPDX-License-Identifier: Apache-2.0
 * The model repository over gRPC: which models there are, and changing that where it is allowed. */
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/pool.h"
#include "serve/grpc_message.h"
#include "serve/oip.pb-c.h"
#include "serve/oip_grpc.h"
#include "serve/service.h"
#include "wire/message.h"

/* ---- Index ---- */

typedef Inference__RepositoryIndexResponse__ModelIndex model_index;

struct index_answer {
    struct hr_arena arena; /* dies with the answer */
    model_index **list;
    size_t count, capacity;
    bool ready_only;
    enum hr_status status;
};

static void add_entry(void *context, const struct hr_registry_entry *entry)
{
    struct index_answer *answer = context;
    if ((!entry->served && answer->ready_only) || answer->status != HR_OK)
        return;
    answer->status = hr_mem_grow((void **)&answer->list, &answer->capacity, answer->count + 1,
                                 sizeof(model_index *));
    if (answer->status != HR_OK)
        return;
    model_index *index = hr_arena_alloc(&answer->arena, 1, sizeof *index);
    if (!index) {
        answer->status = HR_E_MEMORY;
        return;
    }
    inference__repository_index_response__model_index__init(index);
    index->name = hr_arena_printf(&answer->arena, "%s", entry->name);
    index->version = hr_arena_printf(&answer->arena, "%s", entry->version);
    index->state = hr_arena_printf(&answer->arena, "%s", entry->state);
    index->reason = hr_arena_printf(&answer->arena, "%s", entry->reason);
    if (!index->name || !index->version || !index->state || !index->reason)
        answer->status = HR_E_MEMORY;
    answer->list[answer->count++] = index;
}

void hr_oip_grpc_index(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    const struct hr_service *service = hr_grpc_call_context(call);
    Inference__RepositoryIndexResponse response = INFERENCE__REPOSITORY_INDEX_RESPONSE__INIT;
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    struct index_answer answer = { 0 };
    if (hr_grpc_read_request(call, bytes, &inference__repository_index_request__descriptor, &memory,
                             &base)) {
        answer.ready_only = ((Inference__RepositoryIndexRequest *)base)->ready;
        hr_registry_index(service->registry, add_entry, &answer);
        response.n_models = answer.count;
        response.models = answer.list;
        if (answer.status == HR_OK)
            hr_grpc_answer(call, &response.base);
        else
            hr_grpc_finish(call, answer.status);
    }
    hr_mem_free(answer.list);
    hr_arena_fini(&answer.arena);
    hr_message_memory_fini(&memory);
}

/* ---- Load and unload ---- */

/* Loading takes seconds: a thread of its own does it, then the server's thread answers. */
struct change {
    struct hr_grpc_post post;
    struct hr_grpc_call *call;
    struct hr_grpc *server;
    struct hr_service *service;
    char *model;
    bool load;
    enum hr_status status;
    char message[512];
};

static void answer_change(struct hr_grpc_post *post)
{
    struct change *c = (struct change *)(void *)post;
    Inference__RepositoryModelLoadResponse response =
        INFERENCE__REPOSITORY_MODEL_LOAD_RESPONSE__INIT; /* the other has the same form */
    response.model_name = c->model;
    response.isloaded = 1;
    if (c->status == HR_OK)
        hr_grpc_answer(c->call, &response.base);
    else
        hr_grpc_finish(c->call, hr_fail(c->status, "%s", c->message));
    hr_grpc_call_release(c->call);
    hr_mem_free(c->model);
    hr_mem_free(c);
}

static void *make_change(void *argument)
{
    struct change *c = argument;
    c->status = c->load ? hr_registry_load(c->service->registry, c->model)
                        : hr_registry_unload(c->service->registry, c->model);
    if (c->status != HR_OK) {
        snprintf(c->message, sizeof c->message, "%s", hr_last_message());
        if (c->load && c->status != HR_E_NOT_FOUND) {
            hr_log(HR_LOG_WARNING, "%s", hr_last_message()); /* paths are for the log only */
            snprintf(c->message, sizeof c->message, "model %.60s cannot be loaded: %s", c->model,
                     hr_status_info(c->status)->text);
        }
    }
    hr_grpc_post(c->server, &c->post);
    return NULL;
}

static enum hr_status begin_change(struct hr_grpc_call *call, const char *model, bool load)
{
    pthread_t thread;
    struct change *c = hr_mem_alloc(1, sizeof *c);
    if (!c)
        return HR_E_MEMORY;
    *c = (struct change){ .post.run = answer_change,
                          .call = hr_grpc_call_hold(call),
                          .server = hr_grpc_call_server(call),
                          .service = hr_grpc_call_context(call),
                          .model = hr_mem_strdup(model),
                          .load = load };
    hr_grpc_post_expect(c->server);
    if (c->model && hr_thread_start(&thread, make_change, c) == 0) {
        pthread_detach(thread);
        return HR_OK;
    }
    hr_grpc_post_forget(c->server);
    hr_grpc_call_release(call);
    hr_mem_free(c->model);
    hr_mem_free(c);
    return hr_fail(HR_E_MEMORY, "no thread can be started");
}

static bool may_change(struct hr_grpc_call *call, size_t parameters)
{
    const struct hr_service *service = hr_grpc_call_context(call);
    if (!service->may_load) {
        hr_grpc_finish_code(call, HR_GRPC_PERMISSION_DENIED,
                            "this server does not let clients load and unload models");
        return false;
    }
    if (parameters > 0) {
        hr_message_set("load parameters are not taken: models come from the server's own folder");
        hr_grpc_finish(call, HR_E_UNSUPPORTED);
        return false;
    }
    return true;
}

void hr_oip_grpc_load(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    if (hr_grpc_read_request(call, bytes, &inference__repository_model_load_request__descriptor,
                             &memory, &base)) {
        const Inference__RepositoryModelLoadRequest *request =
            (Inference__RepositoryModelLoadRequest *)base;
        if (may_change(call, request->n_parameters)) {
            const enum hr_status status = begin_change(call, request->model_name, true);
            if (status != HR_OK)
                hr_grpc_finish(call, status);
        }
    }
    hr_message_memory_fini(&memory);
}

/* Its parameters (unload_dependents) mean nothing here. */
void hr_oip_grpc_unload(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    if (hr_grpc_read_request(call, bytes, &inference__repository_model_unload_request__descriptor,
                             &memory, &base) &&
        may_change(call, 0)) {
        const enum hr_status status = begin_change(
            call, ((Inference__RepositoryModelUnloadRequest *)base)->model_name, false);
        if (status != HR_OK)
            hr_grpc_finish(call, status);
    }
    hr_message_memory_fini(&memory);
}
