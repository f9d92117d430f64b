/* SPDX-License-Identifier: Apache-2.0
 * hrnet eval: how good a model is on labelled pictures. */
#include <string.h>

#include "base/os.h"
#include "cli/commands.h"
#include "cli/configure.h"
#include "cli/eval_page.h"
#include "cli/progress.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "root", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0,
      "of the paths in a list (else the list's folder)" },
    { "batch", 'b', HR_FLAG_COUNT, "N", "16", 1, 4096, "pictures computed at once" },
    { "loaders", 0, HR_FLAG_COUNT, "N", "0", 0, 1024, "threads that load pictures; 0: all CPUs" },
    { "threads", 't', HR_FLAG_COUNT, "N", "0", 0, 1024, "of the computation; 0: all CPUs" },
    { "cpu", 0, HR_FLAG_CHOICE, "baseline|avx2|avx512", NULL, 0, 0, "use at most this" },
    { "format", 'f', HR_FLAG_CHOICE, "text|json|csv", "text", 0, 0,
      "of the report; csv: a line a class" },
    { "html", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "write the report as a page, with charts and the worst mistakes" },
    { "mistakes", 0, HR_FLAG_COUNT, "N", "0", 0, 100000,
      "tell the N surest wrong answers (on a page 24 if none are asked for)" },
    { "test-size", 0, HR_FLAG_TEXT, "N|HxW", NULL, 0, 0, "another name of --size" },
    { "progress", 0, HR_FLAG_CHOICE, "bar|plain|json|none", NULL, 0, 0, "progress on stderr" },
    { 0 },
};

static int show(void *context, uint64_t done, uint64_t all)
{
    hr_progress_show(context, done, all);
    return hr_interrupted();
}

#define PAGE_MISTAKES 24 /* on the page, where no other number is asked for */

/* --test-size is another name of --size, as training has it. */
static struct hr_args with_size(const struct hr_args *args)
{
    struct hr_args with = *args;
    const char *const size = hr_arg_text(args, "test-size");
    for (size_t i = 0; size && i < with.flag_count; i++)
        if (strcmp(with.flags[i]->name, "size") == 0)
            with.values[i] = size;
    return with;
}

static int write_page(const char *path, const struct hr_eval_report *report)
{
    struct hr_replace file = { 0 };
    enum hr_status status = hr_replace_begin(&file, path);
    if (status == HR_OK) {
        hr_eval_page(file.file, report); /* commit sees the stream's errors */
        status = hr_replace_commit(&file);
    }
    return status == HR_OK ? 0 : hr_report((int)status);
}

static int report(const struct hr_args *args, const hrnet_model *model,
                  const struct hrnet_recipe *recipe, const struct hrnet_evaluation *e)
{
    const char *const page = hr_arg_text(args, "html");
    const char *const model_name = hr_arg_text(args, "model");
    const struct hr_eval_report r = { e, model, recipe, args->operands[0],
                                      model_name ? model_name : "" };
    struct hrnet_evaluation asked = *e; /* the page's own mistakes are not listed elsewhere */
    asked.mistake_count = hr_arg_count(args, "mistakes") ? e->mistake_count : 0;
    const struct hr_eval_report listed = { &asked, model, recipe, r.data, r.file };
    switch (hr_arg_text(args, "format")[0]) {
    case 'j':
        hr_eval_json(stdout, &listed);
        break;
    case 'c':
        hr_eval_csv(stdout, &listed);
        break;
    default:
        hr_eval_text(stdout, &listed);
    }
    return page ? write_page(page, &r) : 0;
}

static int eval(const struct hr_args *given)
{
    const struct hr_args with = with_size(given), *const args = &with;
    struct hrnet_evaluate_options o;
    struct hrnet_evaluation e = { 0 };
    struct hrnet_recipe recipe;
    struct hr_progress progress;
    hrnet_model *model = NULL;
    if (hr_arg_switch(args, "print-config")) {
        hr_args_print(args, stdout);
        return 0;
    }
    int code = hr_setup_model(&model, args, NULL, false);
    if (code < 0) {
        hrnet_model_recipe(model, &recipe);
        code = hr_setup_recipe(&recipe, args, &recipe);
    }
    if (code < 0) {
        hrnet_evaluate_options_init(&o, sizeof o);
        o.data = args->operands[0];
        o.root = hr_arg_text(args, "root");
        o.recipe = &recipe;
        o.batch = (int)hr_arg_count(args, "batch");
        o.threads = (unsigned)hr_arg_count(args, "threads");
        o.loader_threads = (unsigned)hr_arg_count(args, "loaders");
        o.cpu = hr_arg_text(args, "cpu");
        o.mistakes = (int)hr_arg_count(args, "mistakes");
        if (o.mistakes == 0 && hr_arg_text(args, "html"))
            o.mistakes = PAGE_MISTAKES;
        o.progress = show;
        o.context = &progress;
        hr_interrupt_watch();
        hr_progress_start(&progress, hr_arg_text(args, "progress"), "eval", "pictures");
        const hrnet_status status = hrnet_evaluate(model, &o, &e);
        hr_progress_end(&progress);
        code = status == HRNET_OK ? report(args, model, &recipe, &e) : hr_report_input((int)status);
    }
    hrnet_free(e.confusion);
    hrnet_free(e.mistakes);
    hrnet_free(e.labels);
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const groups[] = { hr_config_flags, hr_model_flag,   flags,
                                                hr_model_flags,  hr_recipe_flags, NULL };

const struct hr_command hr_command_eval = {
    .name = "eval",
    .operands = "PICTURES",
    .takes = HR_FLAG_FOLDER,
    .summary = "measure a model on a folder of class folders, or a list",
    .examples = "hrnet eval flowers/val -m run/best.safetensors\n"
                "hrnet eval val_list.txt --root val -m w18.pdparams -f json > report.json\n"
                "hrnet eval flowers/val -m run/best.safetensors --html report.html",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = eval,
};
