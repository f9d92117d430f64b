/* SPDX-License-Identifier: Apache-2.0
 * Sessions of one size, and the choice of the batch from measured times. */
#include "serve/lane.h"

#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "serve/batch_choice.h"

static size_t input_floats(const struct hr_lane *lane)
{
    return (size_t)3 * (size_t)lane->height * (size_t)lane->width;
}

/* ---- Sessions ---- */

static void drop_worker(struct hr_lane_worker *w)
{
    hrnet_session_destroy(w->session);
    hr_mem_free(w->x);
    hr_mem_free(w->logits);
    *w = (struct hr_lane_worker){ 0 };
}

static unsigned threads_of(const struct hr_lane_options *options)
{
    const unsigned share = hrnet_cpu_count() / (options->workers ? options->workers : 1);
    return options->session.threads ? options->session.threads : share ? share : 1;
}

static enum hr_status plan_worker(struct hr_lane_worker *w, const struct hr_lane *lane,
                                  const struct hr_lane_options *options, size_t batch)
{
    struct hr_lane_worker made = { 0 };
    struct hrnet_session_options session = options->session;
    session.batch = batch;
    session.height = lane->height;
    session.width = lane->width;
    session.threads = threads_of(options);
    enum hr_status status =
        (enum hr_status)hrnet_session_create(&made.session, lane->model, &session);
    if (status == HR_OK) {
        made.x = hr_mem_alloc(batch, input_floats(lane) * sizeof *made.x);
        made.logits = hr_mem_alloc(batch, (size_t)lane->classes * sizeof *made.logits);
        if (!made.x || !made.logits)
            status = HR_E_MEMORY;
    }
    if (status == HR_OK) {
        *w = made;
        made = (struct hr_lane_worker){ 0 };
    }
    drop_worker(&made);
    return status;
}

enum hr_status hr_lane_plan(struct hr_lane *lane, const struct hr_lane_options *options,
                            unsigned worker)
{
    struct hr_lane_worker *w = &lane->of[worker];
    return w->session ? HR_OK : plan_worker(w, lane, options, lane->batch);
}

/* ---- Times ---- */

void hr_lane_learn(struct hr_lane *lane, size_t n, uint64_t ns)
{
    const uint64_t old = atomic_load_explicit(&lane->batch_ns[n], memory_order_relaxed);
    const uint64_t mean = old ? old - old / 8 + ns / 8 : ns;
    atomic_store_explicit(&lane->batch_ns[n], mean ? mean : 1, memory_order_relaxed);
}

/* One batch: its own time, or in proportion to the nearest larger or smaller known one. */
static uint64_t expect_batch(const struct hr_lane *lane, size_t n)
{
    for (size_t step = 0; step <= lane->batch; step++) {
        const size_t near[2] = { n + step, n > step ? n - step : 0 };
        for (size_t i = 0; i < 2; i++) {
            if (near[i] < 1 || near[i] > lane->batch)
                continue;
            const uint64_t ns =
                atomic_load_explicit(&lane->batch_ns[near[i]], memory_order_relaxed);
            if (ns)
                return ns * n / near[i];
        }
    }
    return 0;
}

uint64_t hr_lane_expect_ns(const struct hr_lane *lane, size_t n)
{
    const size_t full = n / lane->batch, rest = n % lane->batch;
    return full * expect_batch(lane, lane->batch) + (rest ? expect_batch(lane, rest) : 0);
}

/* Workers of every size that may be chosen, for as long as they are measured. */
struct candidates {
    struct hr_lane_worker of[HR_BATCH_SIZES]; /* of batches of 1, 2, 4, ... */
};

static uint64_t time_batch(void *context, size_t n)
{
    struct candidates *c = context;
    const struct hr_lane_worker *w = c->of;
    for (size_t batch = 1; batch < n; batch *= 2)
        w++;
    const uint64_t start = hr_os_now_ns();
    (void)!hrnet_session_run(w->session, w->x, n, w->logits);
    return hr_os_now_ns() - start;
}

static enum hr_status measure(struct hr_batch_times *times, struct candidates *c,
                              const struct hr_lane *lane, const struct hr_lane_options *options)
{
    const uint64_t budget_ns = (uint64_t)(1e9 * options->budget_seconds);
    HR_TRY(plan_worker(&c->of[0], lane, options, 1));
    hr_batch_times_measure(times, 1, time_batch, c);
    const size_t most = hr_batch_most(times->least_ns[0], budget_ns);
    for (size_t i = 1; (size_t)1 << i <= most; i++)
        HR_TRY(plan_worker(&c->of[i], lane, options, (size_t)1 << i));
    if (most > 1)
        hr_batch_times_measure(times, most, time_batch, c);
    return HR_OK;
}

/* Measures, chooses, and keeps the first worker of the size that is chosen. */
static enum hr_status choose_batch(struct hr_lane *lane, const struct hr_lane_options *options)
{
    struct hr_batch_times times;
    struct candidates c = { 0 };
    const enum hr_status status = measure(&times, &c, lane, options);
    if (status == HR_OK) {
        lane->batch = hr_batch_best(&times, (uint64_t)(1e9 * options->budget_seconds));
        for (size_t i = 0; i < times.count && (size_t)1 << i <= lane->batch; i++)
            hr_lane_learn(lane, (size_t)1 << i, times.least_ns[i]);
    }
    for (size_t i = 0; i < HR_BATCH_SIZES; i++) {
        if (status == HR_OK && (size_t)1 << i == lane->batch) {
            lane->of[0] = c.of[i];
            c.of[i] = (struct hr_lane_worker){ 0 };
        }
        drop_worker(&c.of[i]);
    }
    return status;
}

/* The batch that the options tell, and how long a full one takes. */
static enum hr_status take_batch(struct hr_lane *lane, const struct hr_lane_options *options)
{
    const struct hr_lane_worker *w = &lane->of[0];
    lane->batch = options->batch;
    HR_TRY(hr_lane_plan(lane, options, 0));
    for (int run = 0; run < 2; run++) { /* the first touches all memory */
        const uint64_t start = hr_os_now_ns();
        HR_TRY((enum hr_status)hrnet_session_run(w->session, w->x, lane->batch, w->logits));
        if (run > 0)
            hr_lane_learn(lane, lane->batch, hr_os_now_ns() - start);
    }
    return HR_OK;
}

/* Waiting for company pays what a full batch saves on a picture; a quarter of that is spent. */
static uint64_t choose_delay(const struct hr_lane *lane)
{
    const uint64_t alone = lane->batch_ns[1];
    const uint64_t shared = lane->batch_ns[lane->batch] / lane->batch;
    return lane->batch > 1 && alone > shared ? (alone - shared) / 4 : 0;
}

/* ---- Lanes ---- */

static enum hr_status make(struct hr_lane **out, hrnet_model *model, int classes, int height,
                           int width, unsigned workers)
{
    struct hr_lane *lane = hr_mem_alloc(1, sizeof *lane);
    if (!lane)
        return HR_E_MEMORY;
    *lane = (struct hr_lane){ .model = model,
                              .height = height,
                              .width = width,
                              .classes = classes,
                              .workers = workers,
                              .batch = 1 };
    lane->of = hr_mem_alloc(workers, sizeof *lane->of);
    if (!lane->of) {
        hr_mem_free(lane);
        return HR_E_MEMORY;
    }
    *out = lane;
    return HR_OK;
}

static enum hr_status make_slots(struct hr_lane *lane, size_t count)
{
    lane->slot_memory = hr_mem_alloc(count, input_floats(lane) * sizeof *lane->slot_memory);
    lane->slots = hr_mem_alloc(count, sizeof *lane->slots);
    if (!lane->slot_memory || !lane->slots)
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++)
        lane->slots[i] = lane->slot_memory + i * input_floats(lane);
    lane->free_slots = count;
    return HR_OK;
}

enum hr_status hr_lane_create_planned(struct hr_lane **out, hrnet_model *model,
                                      const struct hrnet_recipe *recipe,
                                      const struct hr_lane_options *options)
{
    struct hr_lane *lane = NULL;
    struct hrnet_model_info info;
    HR_TRY((enum hr_status)hrnet_model_describe(model, &info));
    HR_TRY(make(&lane, model, info.classes, recipe->crop_height, recipe->crop_width,
                options->workers));
    enum hr_status status =
        options->batch ? take_batch(lane, options) : choose_batch(lane, options);
    for (unsigned i = 1; i < options->workers && status == HR_OK; i++)
        status = hr_lane_plan(lane, options, i);
    if (status == HR_OK)
        status = make_slots(lane, 2 * lane->batch * options->workers + options->decoders);
    if (status == HR_OK) {
        lane->delay_ns = options->delay_seconds < 0 ? choose_delay(lane)
                                                    : (uint64_t)(1e9 * options->delay_seconds);
        *out = lane;
        lane = NULL;
    }
    hr_lane_destroy(lane);
    return status;
}

enum hr_status hr_lane_create_beside(struct hr_lane **out, const struct hr_lane *own, int height,
                                     int width)
{
    const double share = (double)own->height * own->width / ((double)height * width);
    const double batch = share * (double)own->batch;
    HR_TRY(make(out, own->model, own->classes, height, width, own->workers));
    (*out)->batch = batch < 1 ? 1 : batch > (double)own->batch ? own->batch : (size_t)batch;
    (*out)->delay_ns = own->delay_ns;
    return HR_OK;
}

void hr_lane_destroy(struct hr_lane *lane)
{
    if (!lane)
        return;
    for (unsigned i = 0; i < lane->workers; i++)
        drop_worker(&lane->of[i]);
    hr_mem_free(lane->of);
    hr_mem_free(lane->slot_memory);
    hr_mem_free(lane->slots);
    hr_mem_free(lane);
}
