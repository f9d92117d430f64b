/* SPDX-License-Identifier: Apache-2.0
 * The Open Inference Protocol over REST, all but inference: health, metadata, configuration, model
 * repository, statistics. */
#include <inttypes.h>
#include <string.h>

#include "serve/json.h"
#include "serve/oip.h"
#include "serve/oip_infer.h"
#include "serve/routes.h"

/* ---- Health and server ---- */

static void live(struct hr_call *call)
{
    hr_call_text(call, "application/json", "{\"live\":true}");
}

static void ready(struct hr_call *call)
{
    const bool is_ready = hr_service_ready(call->service);
    if (is_ready)
        hr_call_text(call, "application/json", "{\"live\":true,\"ready\":true}");
    else
        hr_call_fail_code(call, 503, "the server is not ready");
}

static void server_metadata(struct hr_call *call)
{
    json_t *extensions = json_array();
    for (const char *const *name = hr_oip_extensions; *name; name++)
        json_array_append_new(extensions, json_string(*name));
    hr_json_answer(call, json_pack("{s:s, s:s, s:o}", "name", "hrnet", "version", hrnet_version(),
                                   "extensions", extensions));
}

/* ---- Models ---- */

/* The model of the path, /v2/models/NAME[/versions/VERSION]/...; NULL: an answer was left. */
static struct hr_served *find(struct hr_call *call)
{
    struct hr_served *served = NULL;
    const enum hr_status status =
        hr_registry_find(call->service->registry, &served, call->captures[0], call->captures[1]);
    if (status != HR_OK)
        hr_call_fail(call, status);
    return served;
}

static void model_ready(struct hr_call *call)
{
    struct hr_served *served = NULL;
    const enum hr_status status =
        hr_registry_find(call->service->registry, &served, call->captures[0], call->captures[1]);
    if (status == HR_OK)
        hr_json_answer(call, json_pack("{s:s, s:b}", "name", served->name, "ready", 1));
    else if (hr_registry_knows(call->service->registry, call->captures[0]))
        hr_call_fail_code(call, 503, "%s", hr_last_message());
    else
        hr_call_fail(call, status);
    hr_served_release(served);
}

struct versions {
    const char *name;
    json_t *list;
};

static void add_version(void *context, const struct hr_registry_entry *entry)
{
    struct versions *v = context;
    if (entry->served && strcmp(entry->name, v->name) == 0)
        json_array_append_new(v->list, json_string(entry->version));
}

static void model_metadata(struct hr_call *call)
{
    struct hr_served *served = find(call);
    if (!served)
        return;
    struct versions v = { served->name, json_array() };
    hr_registry_index(call->service->registry, add_version, &v);
    hr_json_answer(call, json_pack("{s:s, s:o, s:s, s:[{s:s, s:s, s:[i,i,i,i]}], "
                                   "s:[{s:s, s:s, s:[i,i]}]}",
                                   "name", served->name, "versions", v.list, "platform",
                                   HR_OIP_PLATFORM, "inputs", "name", HR_OIP_INPUT, "datatype",
                                   "FP32", "shape", -1, 3, served->recipe.crop_height,
                                   served->recipe.crop_width, "outputs", "name", HR_OIP_OUTPUT,
                                   "datatype", "FP32", "shape", -1, served->info.classes));
    hr_served_release(served);
}

static void model_config(struct hr_call *call)
{
    struct hr_served *served = find(call);
    if (!served)
        return;
    const struct hr_lane *lane = served->lanes[0];
    hr_json_answer(
        call,
        json_pack("{s:s, s:s, s:s, s:i, s:[{s:s, s:s, s:s, s:[i,i,i]}], s:[{s:s, s:s, s:[i]}], "
                  "s:{s:[i], s:I}}",
                  "name", served->name, "platform", HR_OIP_PLATFORM, "backend", "hrnet",
                  "max_batch_size", (int)call->service->limits.items, "input", "name", HR_OIP_INPUT,
                  "data_type", "TYPE_FP32", "format", "FORMAT_NCHW", "dims", 3, lane->height,
                  lane->width, "output", "name", HR_OIP_OUTPUT, "data_type", "TYPE_FP32", "dims",
                  served->info.classes, "dynamic_batching", "preferred_batch_size",
                  (int)lane->batch, "max_queue_delay_microseconds",
                  (json_int_t)(lane->delay_ns / 1000)));
    hr_served_release(served);
}

/* ---- Repository ---- */

static void add_name(void *context, const struct hr_registry_entry *entry)
{
    if (entry->served)
        json_array_append_new(context, json_string(entry->name));
}

static void model_list(struct hr_call *call)
{
    json_t *names = json_array();
    hr_registry_index(call->service->registry, add_name, names);
    hr_json_answer(call, json_pack("{s:o}", "models", names));
}

struct index_answer {
    json_t *list;
    bool ready_only;
};

static void add_entry(void *context, const struct hr_registry_entry *entry)
{
    struct index_answer *index = context;
    if (entry->served || !index->ready_only)
        json_array_append_new(index->list, json_pack("{s:s, s:s, s:s, s:s}", "name", entry->name,
                                                     "version", entry->version, "state",
                                                     entry->state, "reason", entry->reason));
}

static void repository_index(struct hr_call *call)
{
    json_t *body = NULL;
    struct index_answer index = { 0 };
    if (call->body_size > 0) {
        const enum hr_status status =
            hr_json_object(&body, (const char *)call->body, call->body_size);
        if (status != HR_OK) {
            hr_call_fail(call, status);
            return;
        }
    }
    index.ready_only = json_is_true(json_object_get(body, "ready"));
    index.list = json_array();
    hr_registry_index(call->service->registry, add_entry, &index);
    hr_json_answer(call, index.list);
    json_decref(body);
}

/* Loading takes what the server was given: contents or settings from a client are not taken. */
static enum hr_status check_load_parameters(const struct hr_call *call)
{
    json_t *body = NULL;
    if (call->body_size == 0)
        return HR_OK;
    HR_TRY(hr_json_object(&body, (const char *)call->body, call->body_size));
    const size_t count = json_object_size(json_object_get(body, "parameters"));
    json_decref(body);
    return count == 0 ? HR_OK
                      : hr_fail(HR_E_UNSUPPORTED,
                                "load parameters are not taken: models come from the server's own "
                                "folder");
}

static void repository_load(struct hr_call *call)
{
    enum hr_status status = check_load_parameters(call);
    if (status == HR_OK) {
        status = hr_registry_load(call->service->registry, call->captures[0]);
        if (status != HR_OK && status != HR_E_NOT_FOUND) {
            hr_log(HR_LOG_WARNING, "%s", hr_last_message()); /* paths are for the log only */
            status = hr_fail(status, "model %.60s cannot be loaded: %s", call->captures[0],
                             hr_status_info(status)->text);
        }
    }
    if (status != HR_OK)
        hr_call_fail(call, status);
}

static void repository_unload(struct hr_call *call)
{
    const enum hr_status status = hr_registry_unload(call->service->registry, call->captures[0]);
    if (status != HR_OK)
        hr_call_fail(call, status);
}

/* ---- Statistics ---- */

static json_t *duration(uint64_t count, uint64_t ns)
{
    return json_pack("{s:I, s:I}", "count", (json_int_t)count, "ns", (json_int_t)ns);
}

static json_t *batch_list(const struct hr_model_stats *stats, uint64_t *batches, uint64_t *run_ns)
{
    json_t *list = json_array();
    for (size_t n = 1; n <= HR_STATS_BATCHES; n++) {
        const uint64_t count = stats->batches[n], ns = stats->batches_ns[n];
        if (count == 0)
            continue;
        *batches += count;
        *run_ns += ns;
        json_array_append_new(list,
                              json_pack("{s:i, s:o, s:o, s:o}", "batch_size", (int)n,
                                        "compute_input", duration(count, 0), "compute_infer",
                                        duration(count, ns), "compute_output", duration(count, 0)));
    }
    return list;
}

static json_t *model_stats(const struct hr_served *served)
{
    const struct hr_model_stats *stats = &served->stats;
    const uint64_t answered = stats->success_count;
    uint64_t batches = 0, run_ns = 0;
    json_t *list = batch_list(stats, &batches, &run_ns);
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}, s:o}", "name",
        served->name, "version", served->version, "last_inference", (json_int_t)stats->last_ms,
        "inference_count", (json_int_t)answered, "execution_count", (json_int_t)batches,
        "inference_stats", "success", duration(answered, stats->success_ns), "fail",
        duration(stats->fail_count, stats->fail_ns), "queue",
        duration(answered, stats->queue.sum_ns), "compute_input",
        duration(answered, stats->decode.sum_ns), "compute_infer", duration(answered, run_ns),
        "compute_output", duration(answered, 0), "cache_hit", duration(0, 0), "cache_miss",
        duration(0, 0), "batch_stats", list);
}

static void add_stats(void *context, const struct hr_registry_entry *entry)
{
    if (entry->served)
        json_array_append_new(context, model_stats(entry->served));
}

static void all_stats(struct hr_call *call)
{
    json_t *list = json_array();
    hr_registry_index(call->service->registry, add_stats, list);
    hr_json_answer(call, json_pack("{s:o}", "model_stats", list));
}

static void one_stats(struct hr_call *call)
{
    struct hr_served *served = find(call);
    if (!served)
        return;
    hr_json_answer(call, json_pack("{s:[o]}", "model_stats", model_stats(served)));
    hr_served_release(served);
}

const struct hr_route hr_oip_routes[] = {
    { "GET", "/v2/health/live", live, HR_ROUTE_OPEN | HR_ROUTE_EARLY },
    { "GET", "/v2/health/ready", ready, HR_ROUTE_OPEN | HR_ROUTE_EARLY },
    { "GET", "/v2", server_metadata, HR_ROUTE_EARLY },
    { "GET", "/v2/models", model_list, 0 },
    { "GET", "/v2/models/stats", all_stats, 0 },
    { "GET", "/v2/models/*/stats", one_stats, 0 },
    { "GET", "/v2/models/*/versions/*/stats", one_stats, 0 },
    { "GET", "/v2/models/*/ready", model_ready, HR_ROUTE_EARLY },
    { "GET", "/v2/models/*/versions/*/ready", model_ready, HR_ROUTE_EARLY },
    { "GET", "/v2/models/*/config", model_config, 0 },
    { "GET", "/v2/models/*/versions/*/config", model_config, 0 },
    { "POST", "/v2/models/*/infer", hr_oip_infer_rest, 0 },
    { "POST", "/v2/models/*/versions/*/infer", hr_oip_infer_rest, 0 },
    { "GET", "/v2/models/*", model_metadata, 0 },
    { "GET", "/v2/models/*/versions/*", model_metadata, 0 },
    { "POST", "/v2/repository/index", repository_index, 0 },
    { "POST", "/v2/repository/models/*/load", repository_load, HR_ROUTE_CONTROL },
    { "POST", "/v2/repository/models/*/unload", repository_unload, HR_ROUTE_CONTROL },
    { 0 },
};
