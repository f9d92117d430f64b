/* SPDX-License-Identifier: Apache-2.0
 * hrnet tune: times the kernels of a network's layers on this CPU and remembers the fastest. */
#include "base/os.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "file", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "where winners are kept, instead of the cache" },
    { 0 },
};

struct sums {
    double chosen_us, winner_us;
    size_t shapes, changed;
};

static void print_row(void *context, const struct hrnet_tuned *t)
{
    struct sums *sums = context;
    const bool changed = t->winner != t->chosen;
    char shape[64];
    snprintf(shape, sizeof shape, "%dx%d/%d %lld -> %lld, %lldx%lld", t->kernel, t->kernel,
             t->stride, (long long)t->channels, (long long)t->out_channels, (long long)t->height,
             (long long)t->width);
    printf("%-34s %4zu  %-30s %9.1f", shape, t->count, t->chosen, t->chosen_us);
    if (changed)
        printf("  %-30s %9.1f", t->winner, t->winner_us);
    printf("\n");
    fflush(stdout);
    sums->chosen_us += t->chosen_us * (double)t->count;
    sums->winner_us += t->winner_us * (double)t->count;
    sums->shapes++;
    sums->changed += changed;
}

static enum hr_status choose_file(struct hr_text *path, const char *given)
{
    if (given) {
        hr_text_add(path, given);
        return path->status;
    }
    struct hr_text folder = { 0 };
    enum hr_status status = hr_cache_folder(&folder);
    if (status == HR_OK)
        status = hr_os_make_folders(folder.data);
    hr_text_fini(&folder);
    return status == HR_OK ? hr_setup_tuning(path) : status;
}

static int tune_into(const hrnet_session *session, const char *path)
{
    struct sums sums = { 0 };
    printf("%-34s %4s  %-30s %9s  %-30s %9s\n", "layer", "", "kernel", "us", "faster", "us");
    const hrnet_status status = hrnet_session_tune(session, path, print_row, &sums);
    if (status != HRNET_OK)
        return hr_report((int)status);
    printf("%zu of %zu shapes changed; their layers together %.2f -> %.2f ms on one thread (%.1f "
           "%%)\n%s\n",
           sums.changed, sums.shapes, sums.chosen_us / 1e3, sums.winner_us / 1e3,
           sums.chosen_us > 0 ? 100 * (1 - sums.winner_us / sums.chosen_us) : 0, path);
    return 0;
}

static int tune(const struct hr_args *args)
{
    struct hrnet_recipe recipe;
    struct hr_text path = { 0 };
    hrnet_model *model = NULL;
    hrnet_session *session = NULL;
    int code = hr_setup_model(&model, args, args->operands[0], true);
    if (code < 0) {
        const enum hr_status status = choose_file(&path, hr_arg_text(args, "file"));
        code = status == HR_OK ? -1 : hr_report((int)status);
    }
    if (code < 0) {
        hrnet_model_recipe(model, &recipe);
        code = hr_setup_recipe(&recipe, args, &recipe);
    }
    if (code < 0) {
        struct hrnet_session_options options = hr_setup_session_options(args);
        options.threads = 1;
        options.height = recipe.crop_height;
        options.width = recipe.crop_width;
        options.tuning_file = NULL; /* beside what is foreseen, not beside older winners */
        const hrnet_status made = hrnet_session_create(&session, model, &options);
        code = made == HRNET_OK ? tune_into(session, path.data) : hr_report((int)made);
    }
    hrnet_session_destroy(session);
    hrnet_model_release(model);
    hr_text_fini(&path);
    return code;
}

static const struct hr_flag *const groups[] = { flags, hr_model_flags, hr_recipe_flags,
                                                hr_session_flags, NULL };

const struct hr_command hr_command_tune = {
    .name = "tune",
    .operands = "MODEL",
    .takes = HR_FLAG_MODEL,
    .summary = "time the kernels of a network's layers here and remember the fastest",
    .examples = "hrnet tune HRNet_W18_C                      # about ten seconds\n"
                "hrnet tune w48.safetensors --cpu avx2\n"
                "HRNET_TUNING=none hrnet predict cat.jpg     # as if nothing had been tuned",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .untrained_head = true,
    .run = tune,
};
