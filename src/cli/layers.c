/* SPDX-License-Identifier: Apache-2.0
 * Steps beside their bounds.  Whole runs and runs step by step take turns, so that the sum of the
 * steps can be held against the whole. */
#include "cli/layers.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/flags.h"
#include "cli/svg.h"

#define LEAST_ROUNDS 7
#define MOST_ROUNDS  101
/* Read over and over: far larger than the last cache of most machines, and within a core's second.
 */
#define MEMORY_BYTES ((size_t)256 << 20)
#define CACHE_BYTES  ((size_t)256 << 10)

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* ---- Measuring ---- */

/* What the rounds fill. */
struct rounds {
    double *us; /* [step][MOST_ROUNDS], then the whole as one more step */
    uint64_t *ns;
    size_t steps, count;
};

static void time_rounds(struct rounds *r, hrnet_session *session, size_t batch, const float *x,
                        float *logits, double seconds)
{
    const uint64_t start = hr_os_now_ns();
    for (; r->count < MOST_ROUNDS &&
           (r->count < LEAST_ROUNDS || (double)(hr_os_now_ns() - start) < seconds * 1e9);
         r->count++) {
        const uint64_t before = hr_os_now_ns();
        (void)!hrnet_session_run(session, x, batch, logits);
        r->us[r->steps * MOST_ROUNDS + r->count] = (double)(hr_os_now_ns() - before) / 1e3;
        (void)!hrnet_session_profile(session, x, batch, logits, r->ns);
        for (size_t i = 0; i < r->steps; i++)
            r->us[i * MOST_ROUNDS + r->count] = (double)r->ns[i] / 1e3;
    }
}

static void find_bound(const struct hr_layers *all, struct hr_layer *layer)
{
    const double arithmetic = 2 * (double)layer->step.work / all->peak_gflops / 1e3;
    const double weights = (double)layer->step.weight_bytes / all->memory_gbytes / 1e3;
    layer->bound_us = arithmetic > weights ? arithmetic : weights;
    layer->bound_by = arithmetic > weights ? "arithmetic" : "weights";
    if (layer->bound_us == 0) {
        layer->bound_us = (double)layer->step.activation_bytes / all->cache_gbytes / 1e3;
        layer->bound_by = "data";
    }
}

static hrnet_status sum_up(struct hr_layers *all, struct rounds *r, const hrnet_session *session)
{
    for (size_t i = 0; i < all->count; i++) {
        struct hr_layer *layer = &all->layer[i];
        const hrnet_status status = hrnet_session_step(session, i, &layer->step);
        if (status != HRNET_OK)
            return status;
        layer->us = median(r->us + i * MOST_ROUNDS, r->count);
        find_bound(all, layer);
        all->sum_ms += layer->us / 1e3;
        all->bound_ms += layer->bound_us / 1e3;
    }
    all->whole_ms = median(r->us + r->steps * MOST_ROUNDS, r->count) / 1e3;
    all->rounds = r->count;
    return HRNET_OK;
}

int hr_layers_measure(struct hr_layers *out, hrnet_session *session,
                      const struct hrnet_session_info *info, double peak_gflops, const float *x,
                      float *logits, double seconds)
{
    struct rounds r = { .steps = info->step_count };
    hrnet_status status = HRNET_E_MEMORY;
    *out = (struct hr_layers){ .count = info->step_count, .peak_gflops = peak_gflops };
    out->layer = hr_mem_alloc(out->count, sizeof *out->layer);
    r.us = hr_mem_alloc(r.steps + 1, MOST_ROUNDS * sizeof *r.us);
    r.ns = hr_mem_alloc(r.steps, sizeof *r.ns);
    if (out->layer && r.us && r.ns) {
        out->memory_gbytes = hrnet_cpu_read_gbytes(info->isa, MEMORY_BYTES, info->threads);
        out->cache_gbytes =
            hrnet_cpu_read_gbytes(info->isa, CACHE_BYTES * info->threads, info->threads);
        time_rounds(&r, session, info->batch, x, logits, seconds);
        const double again = hrnet_cpu_peak_gflops(info->isa, info->threads);
        out->peak_gflops = again > peak_gflops ? again : peak_gflops;
        status = sum_up(out, &r, session);
    }
    hr_mem_free(r.us);
    hr_mem_free(r.ns);
    return status == HRNET_OK ? -1 : hr_report((int)status);
}

void hr_layers_fini(struct hr_layers *layers)
{
    hr_mem_free(layers->layer);
}

/* ---- Reports ---- */

double hr_layer_reached(const struct hr_layer *layer)
{
    return layer->us > 0 ? layer->bound_us / layer->us : 0;
}

static double gflops(const struct hr_layer *layer)
{
    return layer->us > 0 ? 2 * (double)layer->step.multiply_adds / layer->us / 1e3 : 0;
}

static bool flagged(const struct hr_layer *layer)
{
    return hr_layer_reached(layer) < HR_LAYER_FLAG;
}

void hr_layers_print(const struct hr_layers *all)
{
    size_t flags = 0;
    double flagged_us = 0;
    printf("%4s  %-50s %-28s %9s %7s %8s %9s %-10s %8s\n", "step", "layer", "kernel", "us", "share",
           "GFLOP/s", "bound us", "set by", "reached");
    for (size_t i = 0; i < all->count; i++) {
        const struct hr_layer *l = &all->layer[i];
        printf("%4zu  %-50s %-28s %9.1f %6.2f%% %8.1f %9.1f %-10s %7.1f%%%s\n", i, l->step.name,
               l->step.kernel, l->us, 0.1 * l->us / all->sum_ms, gflops(l), l->bound_us,
               l->bound_by, 100 * hr_layer_reached(l), flagged(l) ? "  *" : "");
        flags += flagged(l);
        flagged_us += flagged(l) ? l->us : 0;
    }
    printf("measured: %.1f GFLOP/s of fused multiply-adds, %.1f GB/s from memory, %.1f GB/s from a "
           "core's own cache\n",
           all->peak_gflops, all->memory_gbytes, all->cache_gbytes);
    printf("* %zu steps (%.1f %% of the time) reach less than %.0f %% of their bound: the kernel's "
           "multiply-adds and transforms at the peak, or the weights from memory; of sums, "
           "the data from the cache\n",
           flags, 0.1 * flagged_us / all->sum_ms, 100 * HR_LAYER_FLAG);
    printf("sum of the steps %.3f ms, whole %.3f ms (%+.1f %%), bound %.3f ms (%.0f %% reached); "
           "medians of %zu rounds in turn\n\n",
           all->sum_ms, all->whole_ms, 100 * (all->sum_ms / all->whole_ms - 1), all->bound_ms,
           100 * all->bound_ms / all->whole_ms, all->rounds);
}

void hr_layers_csv(const struct hr_layers *all)
{
    printf("step,layer,kernel,us,gflops,multiply_adds,work,weight_bytes,activation_bytes,bound_us,"
           "bound_by,reached,flag\n");
    for (size_t i = 0; i < all->count; i++) {
        const struct hr_layer *l = &all->layer[i];
        printf("%zu,%s,%s,%.3f,%.2f,%llu,%llu,%llu,%llu,%.3f,%s,%.4f,%d\n", i, l->step.name,
               l->step.kernel, l->us, gflops(l), (unsigned long long)l->step.multiply_adds,
               (unsigned long long)l->step.work, (unsigned long long)l->step.weight_bytes,
               (unsigned long long)l->step.activation_bytes, l->bound_us, l->bound_by,
               hr_layer_reached(l), flagged(l));
    }
}

json_t *hr_layers_json(const struct hr_layers *all)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < all->count; i++) {
        const struct hr_layer *l = &all->layer[i];
        json_t *one = json_pack(
            "{s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:f, s:s, s:f, s:b}", "name", l->step.name,
            "op", l->step.op, "kernel", l->step.kernel, "us", l->us, "multiply_adds",
            (json_int_t)l->step.multiply_adds, "work", (json_int_t)l->step.work, "weight_bytes",
            (json_int_t)l->step.weight_bytes, "activation_bytes",
            (json_int_t)l->step.activation_bytes, "bound_us", l->bound_us, "bound_by", l->bound_by,
            "reached", hr_layer_reached(l), "flag", flagged(l));
        json_array_append_new(array, one);
    }
    return array;
}

/* One bar a step; notes[i] is its text. */
static enum hr_status draw(const struct hr_layers *all, struct hr_bar *bars, char (*notes)[64],
                           const char *title, const char *path)
{
    struct hr_replace replace = { 0 };
    for (size_t i = 0; i < all->count; i++) {
        const struct hr_layer *l = &all->layer[i];
        const double part = hr_layer_reached(l);
        snprintf(notes[i], sizeof notes[i], "%.0f us, %.0f %% of its bound", l->us, 100 * part);
        bars[i] = (struct hr_bar){ l->step.name, notes[i], l->us, part < 1 ? part : 1 };
    }
    HR_TRY(hr_replace_begin(&replace, path));
    hr_svg_bars(replace.file, title, bars, all->count);
    return hr_replace_commit(&replace);
}

int hr_layers_svg(const struct hr_layers *all, const char *title, const char *path)
{
    struct hr_bar *bars = hr_mem_alloc(all->count, sizeof *bars);
    char(*notes)[64] = hr_mem_alloc(all->count, sizeof *notes);
    const enum hr_status status = bars && notes ? draw(all, bars, notes, title, path) : HR_E_MEMORY;
    hr_mem_free(bars);
    hr_mem_free(notes);
    return status == HR_OK ? 0 : hr_report((int)status);
}
