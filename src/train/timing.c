/* SPDX-License-Identifier: Apache-2.0
 * Times training steps.  Knows what a step consists of; data and learning do not matter here. */
#include "train/timing.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/os.h"
#include "model/hrnet.h"
#include "model/model.h"
#include "train/gradient.h"
#include "train/optim.h"

#define MOST_STEPS 1000
#define RATE       1e-3 /* small: the weights stay finite whatever the pictures are */

struct timing {
    const struct hr_timing_options *options;
    struct hr_timing *out;
    struct hr_kernels kernels;
    struct hr_pool *pool;
    struct hr_tape *tape;
    struct hr_optim *optim;
    struct hr_loss loss;
    struct hr_gradient gradient;
    float *params, *x;
    int32_t *labels;
    double times_ms[MOST_STEPS];
    uint64_t tape_ns; /* of all steps of the tape */
};

static void observe(void *context, enum hr_tape_kind kind, const char *layer, const char *kernel,
                    uint64_t nanoseconds)
{
    struct timing *t = context;
    (void)layer, (void)kernel;
    t->out->parts_ms[kind] += (double)nanoseconds / 1e6;
    t->tape_ns += nanoseconds;
}

static enum hr_status fill(struct timing *t, const struct hr_zoo_row *row)
{
    const struct hr_timing_options *o = t->options;
    const size_t floats = o->batch * 3 * (size_t)o->size * (size_t)o->size;
    struct hr_store *weights = NULL;
    t->params = hr_mem_alloc(hr_tape_floats(t->tape), sizeof *t->params);
    t->x = hr_mem_alloc(floats, sizeof *t->x);
    t->labels = hr_mem_alloc(o->batch, sizeof *t->labels);
    if (!t->params || !t->x || !t->labels)
        return HR_E_MEMORY;
    hr_synthetic_fill(t->x, floats, "training");
    for (size_t i = 0; i < o->batch; i++)
        t->labels[i] = (int32_t)(i % (size_t)o->classes);
    HR_TRY(hr_synthetic_weights(&weights, row, o->classes));
    const enum hr_status status = hr_tape_load(t->tape, weights, t->params);
    hr_store_destroy(weights);
    return status;
}

static enum hr_status set_up(struct timing *t)
{
    const struct hr_timing_options *o = t->options;
    const struct hr_hrnet_options net = { (int64_t)o->batch, o->size, o->size, o->classes,
                                          HR_FUSE_PADDLE };
    struct hr_optim_options optim = hr_optim_defaults(HR_OPTIM_MOMENTUM);
    const struct hr_zoo_row *row;
    struct hr_graph *graph = NULL;
    HR_TRY(hr_zoo_find(&row, o->architecture));
    HR_TRY(hr_size_check(o->size, o->size));
    hr_kernels_init(&t->kernels, hr_cpu_get()->flags & o->cpu_flags);
    HR_TRY(hr_pool_create(&t->pool, o->threads ? o->threads : hr_cpu_count()));
    HR_TRY(hr_hrnet_build(&graph, row, &net));
    const struct hr_tape_options tape = { .kernels = &t->kernels,
                                          .pool = t->pool,
                                          .exact = o->exact,
                                          .recompute = o->recompute,
                                          .half = o->half,
                                          .momentum = 0.9f };
    const enum hr_status status = hr_tape_create(&t->tape, graph, &tape);
    hr_graph_destroy(graph);
    HR_TRY(status);
    optim.l2 = 1e-4;
    HR_TRY(hr_optim_create(&t->optim, t->tape, &optim));
    t->loss = (struct hr_loss){ .kind = HR_LOSS_CROSS_ENTROPY };
    t->gradient.tape = t->tape;
    t->gradient.pool = t->pool;
    t->gradient.loss = &t->loss;
    HR_TRY(hr_gradient_init(&t->gradient, false));
    return fill(t, row);
}

static void tear_down(struct timing *t)
{
    hr_gradient_fini(&t->gradient);
    hr_optim_destroy(t->optim);
    hr_tape_destroy(t->tape);
    hr_pool_destroy(t->pool);
    hr_mem_free(t->params);
    hr_mem_free(t->x);
    hr_mem_free(t->labels);
}

/* One step; returns its nanoseconds. */
static uint64_t step(struct timing *t)
{
    const struct hr_batch batch = { .n = t->options->batch, .x = t->x, .labels = t->labels };
    const uint64_t begin = hr_os_now_ns(), tape = t->tape_ns;
    hr_gradient_begin(&t->gradient, 1);
    (void)hr_gradient_add(&t->gradient, t->params, &batch, hr_gradient_mass(&t->gradient, &batch));
    hr_gradient_end(&t->gradient, t->params);
    const uint64_t middle = hr_os_now_ns();
    const double norm = hr_optim_norm(t->optim, t->gradient.values, t->pool);
    hr_optim_step(t->optim, t->params, t->gradient.values, norm, RATE, t->pool);
    const uint64_t end = hr_os_now_ns();
    t->out->loss_ms += (double)(middle - begin - (t->tape_ns - tape)) / 1e6;
    t->out->optimizer_ms += (double)(end - middle) / 1e6;
    return end - begin;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void time_steps(struct timing *t)
{
    struct hr_timing *out = t->out;
    hr_tape_observe(t->tape, observe, t);
    (void)step(t); /* touches all memory */
    *out = (struct hr_timing){ .isa = t->kernels.isa, .threads = hr_pool_threads(t->pool) };
    const uint64_t begin = hr_os_now_ns();
    while (out->steps < MOST_STEPS &&
           (out->steps < 3 || (double)(hr_os_now_ns() - begin) < t->options->seconds * 1e9))
        t->times_ms[out->steps++] = (double)step(t) / 1e6;
    qsort(t->times_ms, out->steps, sizeof *t->times_ms, ascending);
    out->median_ms = t->times_ms[out->steps / 2];
    out->least_ms = t->times_ms[0];
    for (size_t i = 0; i < HR_TAPE_KIND_COUNT; i++)
        out->parts_ms[i] /= (double)out->steps;
    out->loss_ms /= (double)out->steps;
    out->optimizer_ms /= (double)out->steps;
    out->activation_bytes = hr_tape_arena_bytes(t->tape);
    out->state_bytes =
        (2 + hr_optim_slot_count(t->optim)) * hr_tape_floats(t->tape) * sizeof(float);
}

/* Batches of the pictures as training takes them, for as long as asked. */
static enum hr_status time_loader(const struct timing *t, const struct hr_dataset *set)
{
    const struct hr_timing_options *o = t->options;
    struct hr_loader_options options = {
        .set = set,
        .sample = { .crop = true, .least_area = 0.08, .flip = 0.5 },
        .batch = o->batch,
        .threads = t->out->threads,
        .shuffle = true,
    };
    struct hr_loader *loader = NULL;
    struct hr_batch batch = { .n = 1 };
    size_t pictures = 0;
    HR_TRY(hr_recipe_named(&options.sample.recipe, "opencv"));
    options.sample.recipe.crop_width = options.sample.recipe.crop_height = o->size;
    enum hr_status status = hr_loader_create(&loader, &options);
    const uint64_t begin = hr_os_now_ns();
    if (status == HR_OK)
        hr_loader_start(loader, 0, 0);
    while (status == HR_OK && batch.n > 0 && (double)(hr_os_now_ns() - begin) < o->seconds * 1e9) {
        status = hr_loader_next(loader, &batch);
        pictures += batch.n;
    }
    if (status == HR_OK && pictures > 0)
        t->out->loader_ms =
            (double)(hr_os_now_ns() - begin) / 1e6 * (double)o->batch / (double)pictures;
    hr_loader_destroy(loader);
    return status;
}

enum hr_status hr_time_training(struct hr_timing *out, const struct hr_timing_options *options)
{
    struct timing *t = hr_mem_alloc(1, sizeof *t);
    struct hr_dataset set = { 0 };
    if (!t)
        return HR_E_MEMORY;
    t->options = options;
    t->out = out;
    *out = (struct hr_timing){ 0 };
    enum hr_status status =
        options->pictures ? hr_dataset_open(&set, options->pictures, NULL) : HR_OK;
    if (status == HR_OK)
        status = set_up(t);
    if (status == HR_OK)
        time_steps(t);
    if (status == HR_OK && options->pictures)
        status = time_loader(t, &set);
    tear_down(t);
    hr_dataset_fini(&set);
    hr_mem_free(t);
    return status;
}
