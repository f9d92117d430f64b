/* SPDX-License-Identifier: Apache-2.0
 * hrnet plan: every step of a network as it would run here, and the memory it will need. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "cli/commands.h"
#include "cli/diagram.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "batch", 'b', HR_FLAG_COUNT, "N", "1", 1, 1024, "pictures computed at once" },
    { "json", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "print JSON" },
    { "svg", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "times the steps and draws the network: branches in parallel, coloured by time" },
    { "simulate-threads", 0, HR_FLAG_TEXT, "N,...", NULL, 0, 0,
      "times the steps on one thread and foretells what N would take" },
    { 0 },
};

static void print_shape(const int64_t shape[4])
{
    char text[64];
    if (shape[2])
        snprintf(text, sizeof text, "%lldx%lldx%lld", (long long)shape[1], (long long)shape[2],
                 (long long)shape[3]);
    else
        snprintf(text, sizeof text, "%lld", (long long)shape[1]);
    printf(" %-12s", text);
}

static void print_steps(const hrnet_session *session, const struct hrnet_session_info *info)
{
    struct hrnet_step_info step, peak = { 0 };
    uint64_t multiply_adds = 0;
    printf("%4s  %-50s %-28s %-12s %-12s %9s %9s %9s\n", "step", "layer", "kernel", "in", "out",
           "MMACs", "weights K", "data K");
    for (size_t i = 0; i < info->step_count; i++) {
        if (hrnet_session_step(session, i, &step) != HRNET_OK)
            return;
        printf("%4zu  %-50s %-28s", i, step.name, step.kernel);
        print_shape(step.in);
        print_shape(step.out);
        printf(" %9.2f %9.1f %9.1f%s\n", (double)step.multiply_adds / 1e6,
               (double)step.weight_bytes / 1024, (double)step.activation_bytes / 1024,
               step.at_peak ? "  <- peak" : "");
        multiply_adds += step.multiply_adds;
        peak = step.at_peak ? step : peak;
    }
    printf("\n%zu steps, %.3f G multiply-adds, %s, %u threads, batch %zu at %dx%d\n",
           info->step_count, (double)multiply_adds / 1e9, info->isa, info->threads, info->batch,
           info->height, info->width);
    printf("memory: %.1f MB of packed weights, %.1f MB of activations; most is in use at %s (%s)\n",
           (double)info->packed_bytes / 1e6, (double)info->arena_bytes / 1e6, peak.name,
           peak.kernel);
}

static int json_steps(const hrnet_session *session, const struct hrnet_session_info *info)
{
    json_t *steps = json_array();
    struct hrnet_step_info s;
    for (size_t i = 0; i < info->step_count; i++)
        if (hrnet_session_step(session, i, &s) == HRNET_OK)
            json_array_append_new(
                steps,
                json_pack("{s:s, s:s, s:s, s:[I,I,I,I], s:[I,I,I,I], s:I, s:I, s:I, s:b}", "name",
                          s.name, "op", s.op, "kernel", s.kernel, "in", (json_int_t)s.in[0],
                          (json_int_t)s.in[1], (json_int_t)s.in[2], (json_int_t)s.in[3], "out",
                          (json_int_t)s.out[0], (json_int_t)s.out[1], (json_int_t)s.out[2],
                          (json_int_t)s.out[3], "multiply_adds", (json_int_t)s.multiply_adds,
                          "weight_bytes", (json_int_t)s.weight_bytes, "activation_bytes",
                          (json_int_t)s.activation_bytes, "at_peak", s.at_peak));
    json_t *all =
        json_pack("{s:i, s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:o}", "schema", 1, "isa", info->isa,
                  "threads", (int)info->threads, "batch", (int)info->batch, "height", info->height,
                  "width", info->width, "packed_bytes", (json_int_t)info->packed_bytes,
                  "arena_bytes", (json_int_t)info->arena_bytes, "steps", steps);
    char *text = json_dumps(all, JSON_INDENT(1));
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(all);
    return 0;
}

/* ---- More threads than there are CPUs ---- */

#define SIMULATE_ROUNDS 15
#define MOST_COUNTS     32

/* The thread counts of "4,8,16"; returns how many, 0 if the text is no such list. */
static size_t parse_counts(unsigned *counts, const char *text)
{
    size_t count = 0;
    for (const char *at = text;; at++) {
        char *end;
        const long value = strtol(at, &end, 10);
        if (end == at || value < 1 || value > 1024 || count == MOST_COUNTS || (*end && *end != ','))
            return 0;
        counts[count++] = (unsigned)value;
        if (!*end)
            return count;
        at = end;
    }
}

static int compare_ns(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Median nanoseconds of each step, in ns[step_count]. */
static hrnet_status time_steps(hrnet_session *session, const struct hrnet_session_info *info,
                               uint64_t *ns)
{
    const size_t steps = info->step_count;
    const size_t floats = info->batch * (size_t)(3 * info->height * info->width);
    float *x = hr_mem_alloc(floats, sizeof *x);
    float *logits = hr_mem_alloc(info->batch, (size_t)info->classes * sizeof *logits);
    uint64_t *all = hr_mem_alloc(SIMULATE_ROUNDS, steps * sizeof *all);
    uint64_t one[SIMULATE_ROUNDS];
    hrnet_status status = x && logits && all ? HRNET_OK : HRNET_E_MEMORY;
    if (status == HRNET_OK)
        hrnet_synthetic_input("plan", floats, x);
    for (size_t round = 0; status == HRNET_OK && round < SIMULATE_ROUNDS; round++)
        status = hrnet_session_profile(session, x, info->batch, logits, all + round * steps);
    for (size_t s = 0; status == HRNET_OK && s < steps; s++) {
        for (size_t round = 0; round < SIMULATE_ROUNDS; round++)
            one[round] = all[round * steps + s];
        qsort(one, SIMULATE_ROUNDS, sizeof *one, compare_ns);
        ns[s] = one[SIMULATE_ROUNDS / 2];
    }
    hr_mem_free(all);
    hr_mem_free(logits);
    hr_mem_free(x);
    return status;
}

struct foretold {
    unsigned threads;
    struct hrnet_foretold steps, waves;
};

static void print_foretold(const struct foretold *f, size_t count, double one_ms,
                           const struct hrnet_session_info *info)
{
    printf("%s, batch %zu at %dx%d: %.2f ms on one thread (sum of the medians of its steps)\n",
           info->isa, info->batch, info->height, info->width, one_ms);
    printf("%7s  %30s  %30s  %13s\n", "", "steps one after the other", "branches side by side",
           "longest chain");
    printf("%7s  %10s %9s %9s  %10s %9s %9s  %13s\n", "threads", "ms", "speed-up", "idle", "ms",
           "speed-up", "idle", "ms");
    for (size_t i = 0; i < count; i++)
        printf("%7u  %10.2f %9.2f %8.1f%%  %10.2f %9.2f %8.1f%%  %13.2f\n", f[i].threads,
               f[i].steps.ms, one_ms / f[i].steps.ms, 100 * f[i].steps.idle, f[i].waves.ms,
               one_ms / f[i].waves.ms, 100 * f[i].waves.idle, f[i].waves.chain_ms);
}

static json_t *json_of(const struct hrnet_foretold *f)
{
    return json_pack("{s:f, s:f, s:f, s:i}", "ms", f->ms, "idle", f->idle, "chain_ms", f->chain_ms,
                     "waves", (int)f->waves);
}

static void json_foretold(const struct foretold *f, size_t count, double one_ms,
                          const struct hrnet_session_info *info)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows,
                              json_pack("{s:i, s:o, s:o}", "threads", (int)f[i].threads, "steps",
                                        json_of(&f[i].steps), "waves", json_of(&f[i].waves)));
    json_t *all = json_pack("{s:i, s:s, s:i, s:f, s:o}", "schema", 1, "isa", info->isa, "batch",
                            (int)info->batch, "one_thread_ms", one_ms, "simulated", rows);
    char *text = json_dumps(all, JSON_INDENT(1));
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(all);
}

/* `session` has one thread. */
static int simulate(const struct hr_args *args, hrnet_session *session, const unsigned *counts,
                    size_t count)
{
    struct hrnet_session_info info;
    struct foretold f[MOST_COUNTS];
    double one_ms = 0;
    hrnet_session_describe(session, &info);
    uint64_t *ns = hr_mem_alloc(info.step_count, sizeof *ns);
    hrnet_status status = ns ? time_steps(session, &info, ns) : HRNET_E_MEMORY;
    for (size_t i = 0; status == HRNET_OK && i < count; i++) {
        f[i].threads = counts[i];
        status = hrnet_session_foretell(session, ns, counts[i], HRNET_ORDER_STEPS, &f[i].steps);
        if (status == HRNET_OK)
            status = hrnet_session_foretell(session, ns, counts[i], HRNET_ORDER_WAVES, &f[i].waves);
    }
    for (size_t s = 0; status == HRNET_OK && s < info.step_count; s++)
        one_ms += (double)ns[s] / 1e6;
    if (status == HRNET_OK) {
        if (hr_arg_switch(args, "json"))
            json_foretold(f, count, one_ms, &info);
        else
            print_foretold(f, count, one_ms, &info);
    }
    hr_mem_free(ns);
    return status == HRNET_OK ? 0 : hr_report((int)status);
}

/* ---- A picture ---- */

static hrnet_status draw_steps(const struct hr_args *args, const hrnet_session *session,
                               const struct hrnet_session_info *info, const uint64_t *ns,
                               struct hrnet_step_info *steps)
{
    struct hr_replace file = { 0 };
    char title[256];
    double ms = 0;
    hrnet_status status = HRNET_OK;
    for (size_t i = 0; i < info->step_count && status == HRNET_OK; i++) {
        status = hrnet_session_step(session, i, &steps[i]);
        ms += (double)ns[i] / 1e6;
    }
    snprintf(title, sizeof title,
             "%.120s: %zu steps, %.2f ms in all; batch %zu at %dx%d, %s, %u thread%s",
             args->operands[0], info->step_count, ms, info->batch, info->height, info->width,
             info->isa, info->threads, info->threads == 1 ? "" : "s");
    const struct hr_diagram diagram = { title, steps, ns, info->step_count, info->height };
    if (status == HRNET_OK)
        status = (hrnet_status)hr_replace_begin(&file, hr_arg_text(args, "svg"));
    if (status == HRNET_OK)
        status = hr_diagram_svg(file.file, &diagram);
    if (status == HRNET_OK)
        status = (hrnet_status)hr_replace_commit(&file);
    hr_replace_abort(&file);
    return status;
}

static int draw(const struct hr_args *args, hrnet_session *session,
                const struct hrnet_session_info *info)
{
    uint64_t *ns = hr_mem_alloc(info->step_count, sizeof *ns);
    struct hrnet_step_info *steps = hr_mem_alloc(info->step_count, sizeof *steps);
    hrnet_status status = ns && steps ? time_steps(session, info, ns) : HRNET_E_MEMORY;
    if (status == HRNET_OK)
        status = draw_steps(args, session, info, ns, steps);
    hr_mem_free(ns);
    hr_mem_free(steps);
    return status == HRNET_OK ? 0 : hr_report((int)status);
}

static int plan(const struct hr_args *args)
{
    unsigned counts[MOST_COUNTS];
    const char *list = hr_arg_text(args, "simulate-threads");
    const size_t count = list ? parse_counts(counts, list) : 0;
    if (list && count == 0)
        return hr_usage_error("plan",
                              "--simulate-threads is '%s': numbers from 1 to 1024 with commas "
                              "between are wanted",
                              list);
    struct hrnet_session_info info;
    struct hrnet_recipe recipe;
    hrnet_model *model = NULL;
    hrnet_session *session = NULL;
    int code = hr_setup_model(&model, args, args->operands[0], true);
    if (code < 0) {
        hrnet_model_recipe(model, &recipe);
        code = hr_setup_recipe(&recipe, args, &recipe);
    }
    if (code < 0) {
        struct hrnet_session_options options = hr_setup_session_options(args);
        options.batch = (size_t)hr_arg_count(args, "batch");
        options.height = recipe.crop_height;
        options.width = recipe.crop_width;
        if (list)
            options.threads = 1;
        code = hr_setup_create(&session, model, args, &options);
    }
    if (code < 0 && list) {
        code = simulate(args, session, counts, count);
    } else if (code < 0) {
        code = 0;
        hrnet_session_describe(session, &info);
        if (hr_arg_text(args, "svg"))
            code = draw(args, session, &info);
        if (code == 0 && hr_arg_switch(args, "json"))
            code = json_steps(session, &info);
        else if (code == 0)
            print_steps(session, &info);
    }
    hrnet_session_destroy(session);
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const groups[] = { flags, hr_model_flags, hr_recipe_flags,
                                                hr_session_flags, NULL };

const struct hr_command hr_command_plan = {
    .name = "plan",
    .operands = "MODEL",
    .takes = HR_FLAG_MODEL,
    .summary = "print the steps of a network and the memory it needs",
    .examples = "hrnet plan HRNet_W18_C --threads 1\nhrnet plan w48.safetensors --batch 4 --json\n"
                "hrnet plan HRNet_W18_C -t 1 --svg w18.svg    # the network as a picture\n"
                "hrnet plan HRNet_W48_C --simulate-threads 4,8,16",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .untrained_head = true,
    .run = plan,
};
