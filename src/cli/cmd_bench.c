/* SPDX-License-Identifier: Apache-2.0
 * hrnet bench: how fast a network runs here, against what this CPU's arithmetic allows. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/bench_train.h"
#include "cli/commands.h"
#include "cli/layers.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "batch", 'b', HR_FLAG_COUNT, "N", "1", 1, 1024, "pictures computed at once" },
    { "warmup", 0, HR_FLAG_REAL, "SECONDS", "0.5", 0, 86400, "before timing" },
    { "duration", 'd', HR_FLAG_REAL, "SECONDS", "2", 0, 86400, "of timing; at least 5 runs" },
    { "layers", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "each step's time beside its bound" },
    { "csv", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "with --layers: the steps as CSV, nothing else" },
    { "svg", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "the steps as a bar chart" },
    { "json", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "print JSON; its last line has the times" },
    { "logits", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "JSON holds the first picture's logits" },
    { "train", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "time training steps of the network of that name, part by part" },
    { "recompute", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "with --train: convolutions are made again, not kept" },
    { "precision", 0, HR_FLAG_CHOICE, "fp32|bf16|fp16", "fp32", 0, 0,
      "with --train: how activations wait for the backward half" },
    { "pictures", 0, HR_FLAG_FILE, "PATH", NULL, 0, 0,
      "with --train: a folder or list, for the loader's time" },
    { 0 },
};

#define MOST_RUNS 100000

struct bench {
    const struct hr_args *args;
    hrnet_model *model;
    hrnet_session *session;
    struct hrnet_session_info info;
    float *x, *logits;
    double *times_ms; /* [runs], sorted at the end */
    size_t runs;
    struct hr_layers layers;   /* if asked for */
    double peak_gflops, gflop; /* of the threads together; of one run */
};

static int compare_times(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double quantile(const struct bench *b, double q)
{
    const double at = q * (double)(b->runs - 1);
    const size_t low = (size_t)at;
    const size_t high = low + 1 < b->runs ? low + 1 : low;
    return b->times_ms[low] + (at - (double)low) * (b->times_ms[high] - b->times_ms[low]);
}

static double run_once(struct bench *b)
{
    const uint64_t start = hr_os_now_ns();
    (void)!hrnet_session_run(b->session, b->x, b->info.batch, b->logits);
    return (double)(hr_os_now_ns() - start) / 1e6;
}

static void time_runs(struct bench *b)
{
    const double warmup = hr_arg_real(b->args, "warmup") * 1e9;
    const double duration = hr_arg_real(b->args, "duration") * 1e9;
    uint64_t start = hr_os_now_ns();
    do
        run_once(b);
    while ((double)(hr_os_now_ns() - start) < warmup);
    start = hr_os_now_ns();
    while (b->runs < MOST_RUNS && (b->runs < 5 || (double)(hr_os_now_ns() - start) < duration))
        b->times_ms[b->runs++] = run_once(b);
    qsort(b->times_ms, b->runs, sizeof *b->times_ms, compare_times);
}

/* ---- Reports ---- */

static int write_svg(const struct bench *b, const char *path)
{
    char title[200];
    snprintf(title, sizeof title,
             "%s, %s, %u threads, batch %zu: time of each step (dark: what its bound allows)",
             b->args->operands[0], b->info.isa, b->info.threads, b->info.batch);
    return hr_layers_svg(&b->layers, title, path);
}

static void print_text(const struct bench *b)
{
    const double median = quantile(b, 0.5), batch = (double)b->info.batch;
    printf("%s on %s (%s), %u thread%s, batch %zu at %dx%d, fp32\n", b->args->operands[0],
           hrnet_cpu_name(), b->info.isa, b->info.threads, b->info.threads == 1 ? "" : "s",
           b->info.batch, b->info.height, b->info.width);
    printf(
        "  median %.3f ms, min %.3f, 95 %% %.3f (%zu runs); %.3f ms a picture, %.1f pictures/s\n",
        median, b->times_ms[0], quantile(b, 0.95), b->runs, median / batch, 1e3 * batch / median);
    printf("  %.1f GFLOP/s at the median (two for each multiply-add of the direct algorithm), "
           "%.0f %% of the %.1f measured as peak\n",
           b->gflop / median * 1e3, 100 * b->gflop / median * 1e3 / b->peak_gflops, b->peak_gflops);
}

static void print_json(const struct bench *b)
{
    json_t *line = json_pack(
        "{s:i, s:s, s:s, s:s, s:i, s:i, s:s, s:f, s:f, s:f, s:i, s:f, s:f}", "schema", 1, "model",
        b->args->operands[0], "cpu", hrnet_cpu_name(), "isa", b->info.isa, "threads",
        (int)b->info.threads, "batch", (int)b->info.batch, "precision", "fp32", "median_ms",
        quantile(b, 0.5), "min_ms", b->times_ms[0], "p95_ms", quantile(b, 0.95), "runs",
        (int)b->runs, "gflops", b->gflop / quantile(b, 0.5) * 1e3, "peak_gflops", b->peak_gflops);
    if (hr_arg_switch(b->args, "layers")) {
        const struct hr_layers *l = &b->layers;
        json_object_set_new(line, "memory_gbytes", json_real(l->memory_gbytes));
        json_object_set_new(line, "cache_gbytes", json_real(l->cache_gbytes));
        json_object_set_new(line, "sum_ms", json_real(l->sum_ms));
        json_object_set_new(line, "whole_ms", json_real(l->whole_ms));
        json_object_set_new(line, "bound_ms", json_real(l->bound_ms));
        json_object_set_new(line, "layers", hr_layers_json(l));
    }
    if (hr_arg_switch(b->args, "logits")) {
        json_t *logits = json_array();
        for (int i = 0; i < b->info.classes; i++)
            json_array_append_new(logits, json_real((double)b->logits[i]));
        json_object_set_new(line, "logits", logits);
    }
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(line);
}

/* ---- Setting up ---- */

/* The first picture is the golden recipe's single one, the others those of its whole batch. */
static void fill_input(struct bench *b)
{
    const size_t floats = (size_t)(3 * b->info.height * b->info.width);
    char name[64];
    snprintf(name, sizeof name, "input:%zux%dx%d", b->info.batch, b->info.height, b->info.width);
    hrnet_synthetic_input(name, b->info.batch * floats, b->x);
    snprintf(name, sizeof name, "input:1x%dx%d", b->info.height, b->info.width);
    hrnet_synthetic_input(name, floats, b->x);
}

static int prepare(struct bench *b)
{
    struct hrnet_recipe recipe;
    struct hrnet_step_info step;
    int code = hr_setup_model(&b->model, b->args, b->args->operands[0], true);
    if (code >= 0)
        return code;
    hrnet_model_recipe(b->model, &recipe);
    code = hr_setup_recipe(&recipe, b->args, &recipe);
    if (code < 0)
        code =
            hr_setup_session(&b->session, b->model, b->args, (size_t)hr_arg_count(b->args, "batch"),
                             recipe.crop_height, recipe.crop_width, NULL);
    if (code >= 0)
        return code;
    hrnet_session_describe(b->session, &b->info);
    for (size_t i = 0; i < b->info.step_count; i++)
        if (hrnet_session_step(b->session, i, &step) == HRNET_OK)
            b->gflop += 2 * (double)step.multiply_adds / 1e9;
    b->x = hr_mem_alloc(b->info.batch, (size_t)(3 * b->info.height * b->info.width) * sizeof *b->x);
    b->logits = hr_mem_alloc(b->info.batch, (size_t)b->info.classes * sizeof *b->logits);
    b->times_ms = hr_mem_alloc(MOST_RUNS, sizeof *b->times_ms);
    if (!b->x || !b->logits || !b->times_ms)
        return hr_report(HRNET_E_MEMORY);
    b->peak_gflops = hrnet_cpu_peak_gflops(b->info.isa, b->info.threads);
    fill_input(b);
    return -1;
}

/* Times, then the reports that were asked for. */
static int measure(struct bench *b)
{
    const char *svg = hr_arg_text(b->args, "svg");
    const bool layers = hr_arg_switch(b->args, "layers"), json = hr_arg_switch(b->args, "json");
    const bool csv = hr_arg_switch(b->args, "csv");
    int code = -1;
    time_runs(b);
    if (svg || layers)
        code = hr_layers_measure(&b->layers, b->session, &b->info, b->peak_gflops, b->x, b->logits,
                                 hr_arg_real(b->args, "duration"));
    if (b->layers.peak_gflops > b->peak_gflops)
        b->peak_gflops = b->layers.peak_gflops;
    if (code < 0 && svg)
        code = write_svg(b, svg);
    if (code > 0)
        return code;
    if (csv)
        hr_layers_csv(&b->layers);
    else if (json)
        print_json(b);
    else if (layers)
        hr_layers_print(&b->layers);
    if (!csv && !json)
        print_text(b);
    return 0;
}

static int bench(const struct hr_args *args)
{
    struct bench b = { .args = args };
    if (hr_arg_switch(args, "train"))
        return hr_bench_train(args);
    if (hr_arg_switch(args, "csv") &&
        (hr_arg_switch(args, "json") || !hr_arg_switch(args, "layers")))
        return hr_usage_error("bench", "--csv goes with --layers, and without --json");
    int code = prepare(&b);
    if (code < 0)
        code = measure(&b);
    hr_layers_fini(&b.layers);
    hrnet_session_destroy(b.session);
    hrnet_model_release(b.model);
    hr_mem_free(b.x);
    hr_mem_free(b.logits);
    hr_mem_free(b.times_ms);
    return code;
}

static const struct hr_flag *const groups[] = { flags, hr_model_flags, hr_recipe_flags,
                                                hr_session_flags, NULL };

const struct hr_command hr_command_bench = {
    .name = "bench",
    .operands = "MODEL",
    .takes = HR_FLAG_MODEL,
    .summary = "time a network",
    .examples = "hrnet bench HRNet_W18_C                       # synthetic weights\n"
                "hrnet bench w48.safetensors -b 4 -t 2 --layers --svg steps.svg\n"
                "hrnet bench HRNet_W18_C --weights w.pdparams --json\n"
                "hrnet bench HRNet_W18_C --train -b 16 -t 2    # a training step",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .untrained_head = true,
    .run = bench,
};
