/* SPDX-License-Identifier: Apache-2.0
 * Metrics for a collector, and the plan for a person. */
#include <inttypes.h>

#include "serve/observe.h"
#include "serve/routes.h"

static void metrics(struct hr_call *call)
{
    struct hr_text text = { 0 };
    hr_observe_print(call->service->observe, call->service, &text);
    hr_call_take_text(call, "text/plain; version=0.0.4; charset=utf-8", &text);
}

static void print_steps(struct hr_text *out, const hrnet_session *session)
{
    struct hrnet_session_info info;
    struct hrnet_step_info step;
    if (hrnet_session_describe(session, &info) != HRNET_OK)
        return;
    hr_text_printf(out, "%u threads, %s, arena %zu bytes, packed weights %zu bytes, %zu steps\n",
                   info.threads, info.isa, info.arena_bytes, info.packed_bytes, info.step_count);
    for (size_t i = 0; i < info.step_count; i++)
        if (hrnet_session_step(session, i, &step) == HRNET_OK)
            hr_text_printf(out, "%4zu  %-50s %-28s %" PRIu64 "\n", i, step.name, step.kernel,
                           step.multiply_adds);
}

static void print_plan(void *context, const struct hr_registry_entry *entry)
{
    struct hr_text *out = context;
    if (!entry->served)
        return;
    const struct hr_lane *lane = entry->served->lanes[0];
    hr_text_printf(out, "model %s, version %s: %s, %dx%d, batch %zu, delay %.3f ms\n", entry->name,
                   entry->version, entry->served->info.architecture, lane->height, lane->width,
                   lane->batch, 1e-6 * (double)lane->delay_ns);
    for (size_t n = 1; n <= lane->batch; n++)
        if (lane->batch_ns[n])
            hr_text_printf(out, "  a batch of %zu takes %.3f ms\n", n,
                           1e-6 * (double)lane->batch_ns[n]);
    print_steps(out, lane->of[0].session);
}

static void plan(struct hr_call *call)
{
    struct hr_text text = { 0 };
    hr_registry_index(call->service->registry, print_plan, &text);
    hr_call_take_text(call, "text/plain; charset=utf-8", &text);
}

const struct hr_route hr_observe_routes[] = {
    { "GET", "/metrics", metrics, HR_ROUTE_EARLY },
    { "GET", "/debug/plan", plan, 0 },
    { 0 },
};
