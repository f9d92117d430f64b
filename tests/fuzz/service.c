/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/gate.h"
#include "serve/heat.h"
#include "serve/json_memory.h"
#include "serve/lane.h"
#include "serve/observe.h"

#define SIDE 32

static char name[] = "m", version[] = "1";
static struct hr_lane_worker worker;
static struct hr_lane lane = {
    .height = SIDE, .width = SIDE, .classes = 5, .batch = 4, .of = &worker
};
static struct hr_served served = {
    .name = name, .version = version, .lanes = { &lane }, .lane_count = 1
};

/* ---- serve/registry.h ---- */

enum hr_status hr_registry_find(struct hr_registry *registry, struct hr_served **out,
                                const char *model, const char *wanted)
{
    (void)registry;
    if ((model && *model && strcmp(model, name) != 0) ||
        (wanted && *wanted && strcmp(wanted, version) != 0))
        return hr_fail(HR_E_NOT_FOUND, "there is no model '%.60s': there is %s", model, name);
    atomic_fetch_add(&served.references, 1);
    *out = &served;
    return HR_OK;
}

void hr_served_release(struct hr_served *mine)
{
    if (mine)
        atomic_fetch_sub(&mine->references, 1);
}

void hr_registry_index(struct hr_registry *registry, hr_registry_each *each, void *context)
{
    const struct hr_registry_entry entry = { name, version, "READY", "", &served };
    (void)registry;
    each(context, &entry);
}

bool hr_registry_knows(struct hr_registry *registry, const char *model)
{
    (void)registry;
    return strcmp(model, name) == 0;
}

bool hr_registry_ready(struct hr_registry *registry)
{
    (void)registry;
    return true;
}

static enum hr_status change(const char *model)
{
    return strcmp(model, name) == 0 ? HR_OK : hr_fail(HR_E_NOT_FOUND, "there is no such model");
}

enum hr_status hr_registry_load(struct hr_registry *registry, const char *model)
{
    (void)registry;
    return change(model);
}

enum hr_status hr_registry_unload(struct hr_registry *registry, const char *model)
{
    (void)registry;
    return change(model);
}

bool hr_service_ready(const struct hr_service *service)
{
    (void)service;
    return true;
}

/* ---- serve/batcher.h ---- */

static unsigned sum(const void *data, size_t size)
{
    unsigned total = 0;
    for (size_t i = 0; i < size; i++)
        total += ((const uint8_t *)data)[i];
    return total;
}

/* Looks at all bytes; an odd sum of a picture's is a picture that cannot be read. */
static void answer(struct hr_item *item)
{
    unsigned total = 0;
    if (item->x)
        total =
            sum(item->x, (size_t)3 * (size_t)item->height * (size_t)item->width * sizeof(float));
    else if (item->pixels)
        total = sum(item->pixels, (size_t)(3 * item->pixels_height * item->pixels_width));
    else
        total = sum(item->picture, item->picture_bytes);
    for (int i = 0; i < lane.classes; i++)
        item->logits[i] = (float)(total % (unsigned)(i + 7));
    item->batch = 1;
    if (!item->picture || total % 2 == 0)
        return;
    item->status = total % 4 == 1 ? HR_E_FORMAT : HR_E_BUSY;
    snprintf(item->message, sizeof item->message, "%s: cannot be read", item->name);
}

enum hr_status hr_batcher_submit(struct hr_batcher *batcher, struct hr_request *request)
{
    (void)batcher;
    if (request->count == 63)
        return hr_fail(HR_E_BUSY, "the queue is full");
    for (size_t i = 0; i < request->count; i++)
        answer(&request->items[i]);
    if (request->done)
        request->done(request);
    return HR_OK;
}

enum hr_status hr_batcher_run(struct hr_batcher *batcher, struct hr_request *request)
{
    request->done = NULL;
    return hr_batcher_submit(batcher, request);
}

void hr_batcher_cancel(struct hr_batcher *batcher, struct hr_request *request, enum hr_status why)
{
    (void)batcher;
    (void)request;
    (void)why;
}

size_t hr_batcher_load(struct hr_batcher *batcher)
{
    (void)batcher;
    return 0;
}

double hr_batcher_wait_seconds(struct hr_batcher *batcher, const struct hr_served *mine)
{
    (void)batcher;
    (void)mine;
    return 0.1;
}

const struct hrnet_decode_options *hr_batcher_decode_options(const struct hr_batcher *batcher)
{
    static const struct hrnet_decode_options options = { .max_pixels = 1 << 20 };
    (void)batcher;
    return &options;
}

/* ---- serve/heat.h ---- */

enum hr_status hr_heat_draw(struct hr_heat *heat, hrnet_model *model, const void *picture,
                            size_t size, const struct hrnet_decode_options *decode,
                            uint64_t deadline_ns, struct hr_text *out)
{
    (void)heat;
    (void)model;
    (void)picture;
    (void)size;
    (void)decode;
    (void)deadline_ns;
    (void)out;
    return hr_fail(HR_E_UNSUPPORTED, "no map is drawn here");
}

/* ---- The service ---- */

static enum hr_status make(struct hr_service *service)
{
    struct hrnet_model_options model;
    struct hrnet_session_options session;
    const struct hr_gate_options gate = { 0 };
    hr_json_memory_install();
    hrnet_model_options_init(&model, sizeof model);
    model.classes = lane.classes;
    HR_TRY((enum hr_status)hrnet_model_synthetic(&served.model, "hrnet_w18_small", &model));
    HR_TRY((enum hr_status)hrnet_model_describe(served.model, &served.info));
    HR_TRY((enum hr_status)hrnet_model_recipe(served.model, &served.recipe));
    hrnet_session_options_init(&session, sizeof session);
    session.threads = 1;
    session.height = session.width = SIDE;
    HR_TRY((enum hr_status)hrnet_session_create(&worker.session, served.model, &session));
    HR_TRY(hr_gate_create(&service->gate, &gate));
    return hr_observe_create(&service->observe, NULL);
}

struct hr_service *fuzz_service(void)
{
    static struct hr_service service = {
        .limits = { .body_bytes = 1 << 20, .items = 64, .most_side = 64, .time = { .seconds = 1 } },
        .may_load = true,
        .triton_metrics = true,
        .state = HR_SERVICE_READY
    };
    if (!service.observe && make(&service) != HR_OK)
        abort();
    return &service;
}

bool fuzz_service_is_free(void)
{
    return atomic_load(&served.references) == 0;
}
