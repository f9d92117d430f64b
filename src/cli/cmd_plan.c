/* SPDX-License-Identifier: Apache-2.0
 * hrnet plan: every step of a network as it would run here, and the memory it will need. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "batch", 'b', HR_FLAG_COUNT, "N", "1", 1, 1024, "pictures computed at once" },
    { "json", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "print JSON" },
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

static int plan(const struct hr_args *args)
{
    struct hrnet_session_info info;
    struct hrnet_recipe recipe;
    hrnet_model *model = NULL;
    hrnet_session *session = NULL;
    int code = hr_setup_model(&model, args, args->operands[0], true);
    if (code < 0) {
        hrnet_model_recipe(model, &recipe);
        code = hr_setup_recipe(&recipe, args, &recipe);
    }
    if (code < 0)
        code = hr_setup_session(&session, model, args, (size_t)hr_arg_count(args, "batch"),
                                recipe.crop_height, recipe.crop_width, NULL);
    if (code < 0) {
        code = 0;
        hrnet_session_describe(session, &info);
        if (hr_arg_switch(args, "json"))
            code = json_steps(session, &info);
        else
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
    .examples = "hrnet plan HRNet_W18_C --threads 1\nhrnet plan w48.safetensors --batch 4 --json",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .untrained_head = true,
    .run = plan,
};
