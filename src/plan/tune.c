/* SPDX-License-Identifier: Apache-2.0
 * Timing of candidates.  Each runs with weights that no cache holds, as in a network, whose other
 * layers have passed in between; rounds in which candidates take turns even out what the machine
 * does besides. */
#include "plan/tune.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "plan/lower.h"

#define COLD_BYTES ((size_t)96 << 20) /* copies of the weights: more than most last caches */
#define MOST_RUNS  64
#define ROUNDS     3
#define ROUND_NS   8000000 /* of a candidate; shorter: noise decides, longer: takes minutes */
#define LEAST_GAIN 0.03    /* smaller is noise, and not worth other bits */
#define CANDIDATES 8

/* Memory that all shapes use in turn. */
struct bench {
    uint8_t *weights; /* COLD_BYTES */
    float *x, *y, *residual, *w;
    void *scratch;
};

static void bench_fini(struct bench *b)
{
    void *const all[] = { b->weights, b->x, b->y, b->residual, b->w, b->scratch };
    for (size_t i = 0; i < HR_COUNT(all); i++)
        hr_mem_free(all[i]);
}

struct candidate {
    const struct hr_conv_kernel *kernel;
    double us; /* the least of the rounds' medians */
};

static bool plain(const struct hr_conv_kernel *kernel)
{
    return kernel->x_layout == HR_LAYOUT_NHWC && kernel->y_layout == HR_LAYOUT_NHWC;
}

/* Kernels that may take the place of `chosen`, it first; none for other layouts than NHWC, which
 * neighbours choose together. */
static size_t candidates_of(struct candidate *out, const struct hr_plan *plan,
                            const struct hr_conv_kernel *chosen, const struct hr_conv_shape *shape)
{
    const struct hr_kernels *k = plan->kernels;
    size_t count = 0;
    out[count++] = (struct candidate){ chosen, 0 };
    for (size_t i = 0; i < k->conv_count && count < CANDIDATES; i++) {
        const struct hr_conv_kernel *c = k->conv[i];
        if (c != chosen && hr_text_ends(c->name, k->isa) && c->applies(shape) && plain(c) &&
            plain(chosen) && c->packed_bytes(shape) <= COLD_BYTES / 2)
            out[count++] = (struct candidate){ c, 0 };
    }
    return count;
}

static void run_once(const struct hr_conv_kernel *kernel, const struct hr_conv_call *call)
{
    const size_t prepare = kernel->prepare ? kernel->prepare_tasks(call->shape, 1, 1) : 0;
    const size_t tasks = kernel->tasks(call->shape, 1, 1);
    for (size_t t = 0; t < prepare; t++)
        kernel->prepare(call, t, prepare);
    for (size_t t = 0; t < tasks; t++)
        kernel->run(call, t, tasks);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Median microseconds of one candidate in one round. */
static double time_round(const struct bench *b, const struct hr_conv_kernel *kernel,
                         const struct hr_conv_shape *shape)
{
    const size_t bytes = kernel->packed_bytes(shape), copies = COLD_BYTES / bytes;
    struct hr_conv_call call = {
        .shape = shape, .n = 1, .x = b->x, .y = b->y, .scratch = b->scratch
    };
    uint64_t ns[MOST_RUNS];
    size_t runs = 0;
    call.residual = shape->residual ? b->residual : NULL;
    kernel->pack(b->weights, shape, b->w, NULL, NULL, 0, 1);
    for (size_t i = 1; i < copies; i++)
        memcpy(b->weights + i * bytes, b->weights, bytes);
    const uint64_t start = hr_os_now_ns();
    while (runs < MOST_RUNS && (runs < 5 || hr_os_now_ns() - start < ROUND_NS)) {
        call.packed = b->weights + runs % copies * bytes;
        const uint64_t before = hr_os_now_ns();
        run_once(kernel, &call);
        ns[runs++] = hr_os_now_ns() - before;
    }
    qsort(ns, runs, sizeof *ns, compare);
    return (double)ns[runs / 2] / 1e3;
}

/* Memory for one shape: small positive activations, weights of both signs. */
static enum hr_status prepare(struct bench *b, const struct hr_conv_shape *s,
                              const struct candidate *candidate, size_t count)
{
    const size_t x_floats = s->h * s->w * (s->x_stride > s->c ? s->x_stride : s->c);
    const size_t y_floats = s->oh * s->ow * (s->y_stride > s->k ? s->y_stride : s->k);
    const size_t w_floats = s->c * s->k * (size_t)(s->kernel * s->kernel);
    size_t scratch = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t need = candidate[i].kernel->scratch_bytes(s, 1, 1);
        scratch = need > scratch ? need : scratch;
    }
    b->x = hr_mem_alloc(x_floats, sizeof *b->x);
    b->y = hr_mem_alloc(y_floats, sizeof *b->y);
    b->residual = hr_mem_alloc(y_floats, sizeof *b->residual);
    b->w = hr_mem_alloc(w_floats, sizeof *b->w);
    b->scratch = hr_mem_alloc(scratch, 1);
    if (!b->x || !b->y || !b->residual || !b->w || !b->scratch)
        return HR_E_MEMORY;
    for (size_t i = 0; i < x_floats; i++)
        b->x[i] = i % (x_floats / (s->h * s->w)) < s->c ? (float)(i % 17) / 16 : 0;
    for (size_t i = 0; i < w_floats; i++)
        b->w[i] = ((float)(i % 13) - 6) / 64;
    return HR_OK;
}

static void forget(struct bench *b)
{
    uint8_t *weights = b->weights;
    b->weights = NULL;
    bench_fini(b);
    *b = (struct bench){ .weights = weights };
}

static enum hr_status tune_shape(struct hr_tuning *out, struct bench *b, const struct hr_plan *plan,
                                 struct hr_tune_result *result, const struct hr_conv_kernel *chosen)
{
    struct candidate c[CANDIDATES];
    const size_t count = candidates_of(c, plan, chosen, result->shape);
    size_t best = 0;
    HR_TRY(prepare(b, result->shape, c, count));
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++) {
            const double us = time_round(b, c[i].kernel, result->shape);
            c[i].us = round == 0 || us < c[i].us ? us : c[i].us;
        }
    for (size_t i = 1; i < count; i++)
        if (c[i].us < c[best].us)
            best = i;
    if (c[best].us > c[0].us * (1 - LEAST_GAIN))
        best = 0;
    result->chosen = chosen->name;
    result->winner = c[best].kernel->name;
    result->chosen_us = c[0].us;
    result->winner_us = c[best].us;
    if (best == 0)
        return HR_OK;
    const struct hr_tuning_row row = hr_tuning_row(result->shape, result->winner);
    return hr_tuning_put(out, &row);
}

static bool same_shape(const struct hr_conv_shape *a, const struct hr_conv_shape *b)
{
    const struct hr_tuning_row x = hr_tuning_row(a, ""), y = hr_tuning_row(b, "");
    return memcmp(x.shape, y.shape, sizeof x.shape) == 0;
}

/* Steps of the plan from `from` on with the shape of step `index`. */
static size_t alike(const struct hr_plan *plan, size_t index, size_t from, size_t end)
{
    const struct hr_conv_kernel *kernel;
    const struct hr_conv_shape *like = hr_step_conv(&plan->steps[index], &kernel);
    size_t count = 0;
    for (size_t s = from; s < end; s++) {
        const struct hr_conv_shape *shape = hr_step_conv(&plan->steps[s], &kernel);
        count += shape && same_shape(shape, like);
    }
    return count;
}

enum hr_status hr_tune_plan(struct hr_tuning *out, const struct hr_plan *plan,
                            hr_tune_report *report, void *context)
{
    struct bench b = { .weights = hr_mem_alloc_raw(COLD_BYTES, 1) };
    enum hr_status status = b.weights ? HR_OK : HR_E_MEMORY;
    for (size_t s = 0; status == HR_OK && s < plan->step_count; s++) {
        const struct hr_conv_kernel *chosen;
        struct candidate unused[CANDIDATES];
        struct hr_tune_result result = { .shape = hr_step_conv(&plan->steps[s], &chosen) };
        if (!result.shape || alike(plan, s, 0, s) > 0 ||
            chosen->packed_bytes(result.shape) > COLD_BYTES / 2 ||
            candidates_of(unused, plan, chosen, result.shape) < 2)
            continue;
        result.count = alike(plan, s, s, plan->step_count);
        status = tune_shape(out, &b, plan, &result, chosen);
        if (status == HR_OK && report)
            report(context, &result);
        forget(&b);
    }
    bench_fini(&b);
    return status;
}
