/* SPDX-License-Identifier: Apache-2.0
 * The Open Inference Protocol over gRPC, all but inference and the repository: health, metadata,
 * configuration, statistics.  The answers say what oip_rest.c says in JSON. */
#include "serve/oip_grpc.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "hrnet/hrnet.h"
#include "serve/grpc_message.h"
#include "serve/oip.h"
#include "serve/oip.pb-c.h"
#include "wire/message.h"

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text; /* protobuf-c packs what it does not write */
}

/* ---- Requests ---- */

/* The model that a request names; false: the call is finished. */
static bool find(struct hr_grpc_call *call, const char *name, const char *version,
                 struct hr_served **out)
{
    const struct hr_service *service = hr_grpc_call_context(call);
    const enum hr_status status = hr_registry_find(service->registry, out, name, version);
    if (status != HR_OK)
        hr_grpc_finish(call, status);
    return status == HR_OK;
}

/* ---- Health and server ---- */

static void server_live(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    Inference__ServerLiveResponse response = INFERENCE__SERVER_LIVE_RESPONSE__INIT;
    (void)bytes;
    response.live = 1;
    hr_grpc_answer(call, &response.base);
}

static void server_ready(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    Inference__ServerReadyResponse response = INFERENCE__SERVER_READY_RESPONSE__INIT;
    (void)bytes;
    response.ready = hr_service_ready(hr_grpc_call_context(call));
    hr_grpc_answer(call, &response.base);
}

static void server_metadata(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    Inference__ServerMetadataResponse response = INFERENCE__SERVER_METADATA_RESPONSE__INIT;
    (void)bytes;
    response.name = text_of("hrnet");
    response.version = text_of(hrnet_version());
    response.extensions = (char **)(uintptr_t)hr_oip_extensions;
    while (hr_oip_extensions[response.n_extensions])
        response.n_extensions++;
    hr_grpc_answer(call, &response.base);
}

/* ---- Models ---- */

static void model_ready(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    const struct hr_service *service = hr_grpc_call_context(call);
    Inference__ModelReadyResponse response = INFERENCE__MODEL_READY_RESPONSE__INIT;
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    struct hr_served *served = NULL;
    if (hr_grpc_read_request(call, bytes, &inference__model_ready_request__descriptor, &memory,
                             &base)) {
        const Inference__ModelReadyRequest *request = (Inference__ModelReadyRequest *)base;
        const enum hr_status status =
            hr_registry_find(service->registry, &served, request->name, request->version);
        response.ready = status == HR_OK;
        if (status == HR_OK || hr_registry_knows(service->registry, request->name))
            hr_grpc_answer(call, &response.base);
        else
            hr_grpc_finish(call, status);
    }
    hr_served_release(served);
    hr_message_memory_fini(&memory);
}

#define MOST_VERSIONS 64

struct versions {
    const char *name;
    struct hr_arena arena;
    char *list[MOST_VERSIONS];
    size_t count;
};

static void add_version(void *context, const struct hr_registry_entry *entry)
{
    struct versions *v = context;
    if (!entry->served || strcmp(entry->name, v->name) != 0 || v->count == MOST_VERSIONS)
        return;
    char *copy = hr_arena_printf(&v->arena, "%s", entry->version);
    if (copy)
        v->list[v->count++] = copy;
}

static void answer_metadata(struct hr_grpc_call *call, const struct hr_served *served)
{
    const struct hr_service *service = hr_grpc_call_context(call);
    struct versions versions = { .name = served->name };
    int64_t in_shape[4] = { -1, 3, served->recipe.crop_height, served->recipe.crop_width };
    int64_t out_shape[2] = { -1, served->info.classes };
    Inference__ModelMetadataResponse response = INFERENCE__MODEL_METADATA_RESPONSE__INIT;
    Inference__ModelMetadataResponse__TensorMetadata
        input = INFERENCE__MODEL_METADATA_RESPONSE__TENSOR_METADATA__INIT,
        output = INFERENCE__MODEL_METADATA_RESPONSE__TENSOR_METADATA__INIT, *inputs = &input,
        *outputs = &output;
    input.name = text_of(HR_OIP_INPUT);
    output.name = text_of(HR_OIP_OUTPUT);
    input.datatype = output.datatype = text_of("FP32");
    input.n_shape = HR_COUNT(in_shape);
    input.shape = in_shape;
    output.n_shape = HR_COUNT(out_shape);
    output.shape = out_shape;
    hr_registry_index(service->registry, add_version, &versions);
    response.name = served->name;
    response.platform = text_of(HR_OIP_PLATFORM);
    response.n_versions = versions.count;
    response.versions = versions.list;
    response.n_inputs = response.n_outputs = 1;
    response.inputs = &inputs;
    response.outputs = &outputs;
    hr_grpc_answer(call, &response.base);
    hr_arena_fini(&versions.arena);
}

static void model_metadata(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    struct hr_served *served = NULL;
    if (hr_grpc_read_request(call, bytes, &inference__model_metadata_request__descriptor, &memory,
                             &base)) {
        const Inference__ModelMetadataRequest *request = (Inference__ModelMetadataRequest *)base;
        if (find(call, request->name, request->version, &served))
            answer_metadata(call, served);
    }
    hr_served_release(served);
    hr_message_memory_fini(&memory);
}

static void answer_config(struct hr_grpc_call *call, const struct hr_served *served)
{
    const struct hr_service *service = hr_grpc_call_context(call);
    const struct hr_lane *lane = served->lanes[0];
    int64_t in_dims[3] = { 3, lane->height, lane->width }, out_dims[1] = { served->info.classes };
    int32_t batch = (int32_t)lane->batch;
    Inference__ModelConfigResponse response = INFERENCE__MODEL_CONFIG_RESPONSE__INIT;
    Inference__ModelConfig config = INFERENCE__MODEL_CONFIG__INIT;
    Inference__ModelInput input = INFERENCE__MODEL_INPUT__INIT, *inputs = &input;
    Inference__ModelOutput output = INFERENCE__MODEL_OUTPUT__INIT, *outputs = &output;
    Inference__ModelDynamicBatching batching = INFERENCE__MODEL_DYNAMIC_BATCHING__INIT;
    input.name = text_of(HR_OIP_INPUT);
    input.data_type = output.data_type = INFERENCE__DATA_TYPE__TYPE_FP32;
    input.format = INFERENCE__MODEL_INPUT__FORMAT__FORMAT_NCHW;
    input.n_dims = HR_COUNT(in_dims);
    input.dims = in_dims;
    output.name = text_of(HR_OIP_OUTPUT);
    output.n_dims = HR_COUNT(out_dims);
    output.dims = out_dims;
    batching.n_preferred_batch_size = 1;
    batching.preferred_batch_size = &batch;
    batching.max_queue_delay_microseconds = lane->delay_ns / 1000;
    config.name = served->name;
    config.platform = text_of(HR_OIP_PLATFORM);
    config.backend = text_of("hrnet");
    config.max_batch_size = (int32_t)service->limits.items;
    config.n_input = config.n_output = 1;
    config.input = &inputs;
    config.output = &outputs;
    config.dynamic_batching = &batching;
    response.config = &config;
    hr_grpc_answer(call, &response.base);
}

static void model_config(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    struct hr_served *served = NULL;
    if (hr_grpc_read_request(call, bytes, &inference__model_config_request__descriptor, &memory,
                             &base)) {
        const Inference__ModelConfigRequest *request = (Inference__ModelConfigRequest *)base;
        if (find(call, request->name, request->version, &served))
            answer_config(call, served);
    }
    hr_served_release(served);
    hr_message_memory_fini(&memory);
}

/* ---- Statistics ---- */

struct statistics {
    Inference__ModelStatistics base;
    Inference__InferStatistics infer;
    Inference__StatisticDuration durations[8];
    Inference__InferBatchStatistics batches[HR_STATS_BATCHES], *pointers[HR_STATS_BATCHES];
    Inference__StatisticDuration of_batches[HR_STATS_BATCHES][3];
};

static Inference__StatisticDuration *duration(Inference__StatisticDuration *at, uint64_t count,
                                              uint64_t ns)
{
    inference__statistic_duration__init(at);
    at->count = count;
    at->ns = ns;
    return at;
}

static void fill_batches(struct statistics *s, const struct hr_model_stats *stats, uint64_t *run_ns)
{
    *run_ns = 0;
    s->base.batch_stats = s->pointers;
    for (size_t n = 1; n <= HR_STATS_BATCHES; n++) {
        const uint64_t count = stats->batches[n], ns = stats->batches_ns[n];
        const size_t i = s->base.n_batch_stats;
        if (count == 0)
            continue;
        inference__infer_batch_statistics__init(&s->batches[i]);
        s->batches[i].batch_size = n;
        s->batches[i].compute_input = duration(&s->of_batches[i][0], count, 0);
        s->batches[i].compute_infer = duration(&s->of_batches[i][1], count, ns);
        s->batches[i].compute_output = duration(&s->of_batches[i][2], count, 0);
        s->pointers[i] = &s->batches[i];
        s->base.n_batch_stats++;
        s->base.execution_count += count;
        *run_ns += ns;
    }
}

static void fill_statistics(struct statistics *s, struct hr_served *served)
{
    const struct hr_model_stats *stats = &served->stats;
    const uint64_t answered = stats->success_count;
    uint64_t run_ns;
    inference__model_statistics__init(&s->base);
    inference__infer_statistics__init(&s->infer);
    fill_batches(s, stats, &run_ns);
    s->base.name = served->name;
    s->base.version = served->version;
    s->base.last_inference = stats->last_ms;
    s->base.inference_count = answered;
    s->base.inference_stats = &s->infer;
    Inference__StatisticDuration *d = s->durations;
    s->infer.success = duration(&d[0], answered, stats->success_ns);
    s->infer.fail = duration(&d[1], stats->fail_count, stats->fail_ns);
    s->infer.queue = duration(&d[2], answered, stats->queue.sum_ns);
    s->infer.compute_input = duration(&d[3], answered, stats->decode.sum_ns);
    s->infer.compute_infer = duration(&d[4], answered, run_ns);
    s->infer.compute_output = duration(&d[5], answered, 0);
    s->infer.cache_hit = duration(&d[6], 0, 0);
    s->infer.cache_miss = duration(&d[7], 0, 0);
}

/* Every loaded version, each held until the answer is packed. */
struct all_statistics {
    struct hr_served **served;
    size_t count, capacity;
    enum hr_status status;
};

static void add_served(void *context, const struct hr_registry_entry *entry)
{
    struct all_statistics *all = context;
    if (!entry->served || all->status != HR_OK)
        return;
    all->status = hr_mem_grow((void **)&all->served, &all->capacity, all->count + 1,
                              sizeof(struct hr_served *));
    if (all->status == HR_OK) {
        atomic_fetch_add(&entry->served->references, 1);
        all->served[all->count++] = entry->served;
    }
}

static void answer_statistics(struct hr_grpc_call *call, struct hr_served *const *served,
                              size_t count)
{
    Inference__ModelStatisticsResponse response = INFERENCE__MODEL_STATISTICS_RESPONSE__INIT;
    struct statistics *s = hr_mem_alloc(count, sizeof *s);
    Inference__ModelStatistics **pointers =
        hr_mem_alloc(count, sizeof(Inference__ModelStatistics *));
    if (s && pointers) {
        for (size_t i = 0; i < count; i++) {
            fill_statistics(&s[i], served[i]);
            pointers[i] = &s[i].base;
        }
        response.n_model_stats = count;
        response.model_stats = pointers;
        hr_grpc_answer(call, &response.base);
    } else {
        hr_grpc_finish(call, HR_E_MEMORY);
    }
    hr_mem_free(pointers);
    hr_mem_free(s);
}

static void model_statistics(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    const struct hr_service *service = hr_grpc_call_context(call);
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    struct all_statistics all = { 0 };
    struct hr_served *one = NULL;
    if (hr_grpc_read_request(call, bytes, &inference__model_statistics_request__descriptor, &memory,
                             &base)) {
        const Inference__ModelStatisticsRequest *request =
            (Inference__ModelStatisticsRequest *)base;
        if (!*request->name) {
            hr_registry_index(service->registry, add_served, &all);
            if (all.status == HR_OK)
                answer_statistics(call, all.served, all.count);
            else
                hr_grpc_finish(call, all.status);
        } else if (find(call, request->name, request->version, &one)) {
            answer_statistics(call, &one, 1);
        }
    }
    for (size_t i = 0; i < all.count; i++)
        hr_served_release(all.served[i]);
    hr_mem_free(all.served);
    hr_served_release(one);
    hr_message_memory_fini(&memory);
}

/* ---- What there is none of ---- */

/* No region of shared memory is registered, no setting of traces or logs can be changed: the answer
 * to each is an empty message. */
static void nothing(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    Inference__TraceSettingResponse response = INFERENCE__TRACE_SETTING_RESPONSE__INIT;
    (void)bytes;
    hr_grpc_answer(call, &response.base);
}

#define OIP "/inference.GRPCInferenceService/"

const struct hr_grpc_method hr_oip_grpc_methods[] = {
    { OIP "ServerLive", HR_GRPC_OPEN | HR_GRPC_EARLY, server_live, NULL, NULL, NULL },
    { OIP "ServerReady", HR_GRPC_OPEN | HR_GRPC_EARLY, server_ready, NULL, NULL, NULL },
    { OIP "ModelReady", HR_GRPC_EARLY, model_ready, NULL, NULL, NULL },
    { OIP "ServerMetadata", HR_GRPC_EARLY, server_metadata, NULL, NULL, NULL },
    { OIP "ModelMetadata", 0, model_metadata, NULL, NULL, NULL },
    { OIP "ModelInfer", 0, hr_oip_grpc_infer, NULL, hr_oip_grpc_infer_gone, NULL },
    { OIP "ModelStreamInfer", HR_GRPC_STREAM, hr_oip_grpc_stream, hr_oip_grpc_stream_end,
      hr_oip_grpc_stream_gone, NULL },
    { OIP "ModelConfig", 0, model_config, NULL, NULL, NULL },
    { OIP "ModelStatistics", 0, model_statistics, NULL, NULL, NULL },
    { OIP "RepositoryIndex", 0, hr_oip_grpc_index, NULL, NULL, NULL },
    { OIP "RepositoryModelLoad", 0, hr_oip_grpc_load, NULL, NULL, NULL },
    { OIP "RepositoryModelUnload", 0, hr_oip_grpc_unload, NULL, NULL, NULL },
    { OIP "SystemSharedMemoryStatus", 0, nothing, NULL, NULL, NULL },
    { OIP "CudaSharedMemoryStatus", 0, nothing, NULL, NULL, NULL },
    { OIP "TraceSetting", 0, nothing, NULL, NULL, NULL },
    { OIP "LogSettings", 0, nothing, NULL, NULL, NULL },
    { 0 },
};
