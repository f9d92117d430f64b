/* SPDX-License-Identifier: Apache-2.0
 * hrnet eval: how good a model is on labelled pictures. */
#include <jansson.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/configure.h"
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
    { "progress", 0, HR_FLAG_CHOICE, "bar|plain|json|none", NULL, 0, 0, "progress on stderr" },
    { 0 },
};

static int show(void *context, uint64_t done, uint64_t all)
{
    hr_progress_show(context, done, all);
    return hr_interrupted();
}

/* Of one class: how many there are, were answered, were right; and the shares that follow. */
struct row {
    uint64_t truth, answers, right;
    double precision, recall, f1;
};

static double share(uint64_t part, uint64_t all)
{
    return all ? (double)part / (double)all : 0.0;
}

static struct row row_of(const struct hrnet_evaluation *e, uint64_t k)
{
    struct row r = { .right = e->confusion[k * e->classes + k] };
    for (uint64_t j = 0; j < e->classes; j++) {
        r.truth += e->confusion[k * e->classes + j];
        r.answers += e->confusion[j * e->classes + k];
    }
    r.precision = share(r.right, r.answers);
    r.recall = share(r.right, r.truth);
    r.f1 = share(2 * r.right, r.truth + r.answers);
    return r;
}

static void print_text(const struct hrnet_evaluation *e, const hrnet_model *model)
{
    printf("%llu pictures: top-1 %.3f %%, top-5 %.3f %%, loss %.6f\n",
           (unsigned long long)e->pictures, 100.0 * share(e->top1, e->pictures),
           100.0 * share(e->top5, e->pictures), e->loss);
    printf("%9s %9s %9s %9s  %s\n", "pictures", "precision", "recall", "f1", "class");
    for (uint64_t k = 0; k < e->classes; k++) {
        const struct row r = row_of(e, k);
        if (r.truth + r.answers > 0)
            printf("%9llu %9.4f %9.4f %9.4f  %llu %s\n", (unsigned long long)r.truth, r.precision,
                   r.recall, r.f1, (unsigned long long)k, hrnet_model_label(model, (int)k));
    }
}

/* RFC 4180: quotes around the name, doubled within. */
static void print_csv(const struct hrnet_evaluation *e, const hrnet_model *model)
{
    printf("class,name,pictures,answers,right,precision,recall,f1\n");
    for (uint64_t k = 0; k < e->classes; k++) {
        const struct row r = row_of(e, k);
        printf("%llu,\"", (unsigned long long)k);
        for (const char *c = hrnet_model_label(model, (int)k); *c; c++)
            printf(*c == '"' ? "\"\"" : "%c", *c);
        printf("\",%llu,%llu,%llu,%.6f,%.6f,%.6f\n", (unsigned long long)r.truth,
               (unsigned long long)r.answers, (unsigned long long)r.right, r.precision, r.recall,
               r.f1);
    }
}

static json_t *json_class(const struct hrnet_evaluation *e, const hrnet_model *model, uint64_t k)
{
    const struct row r = row_of(e, k);
    json_t *answers = json_array();
    for (uint64_t j = 0; j < e->classes; j++)
        json_array_append_new(answers, json_integer((json_int_t)e->confusion[k * e->classes + j]));
    return json_pack("{s:s, s:I, s:f, s:f, s:f, s:o}", "name", hrnet_model_label(model, (int)k),
                     "pictures", (json_int_t)r.truth, "precision", r.precision, "recall", r.recall,
                     "f1", r.f1, "answers", answers);
}

static void print_json(const struct hrnet_evaluation *e, const hrnet_model *model,
                       const struct hrnet_recipe *recipe)
{
    json_t *classes = json_array();
    for (uint64_t k = 0; k < e->classes; k++)
        json_array_append_new(classes, json_class(e, model, k));
    json_t *all =
        json_pack("{s:i, s:s, s:[i,i], s:I, s:f, s:f, s:f, s:o}", "schema", 1, "recipe",
                  recipe->name, "size", recipe->crop_height, recipe->crop_width, "pictures",
                  (json_int_t)e->pictures, "top1", share(e->top1, e->pictures), "top5",
                  share(e->top5, e->pictures), "loss", e->loss, "classes", classes);
    char *text = json_dumps(all, JSON_INDENT(1));
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(all);
}

static int report(const struct hr_args *args, const hrnet_model *model,
                  const struct hrnet_recipe *recipe, const struct hrnet_evaluation *e)
{
    switch (hr_arg_text(args, "format")[0]) {
    case 'j':
        print_json(e, model, recipe);
        break;
    case 'c':
        print_csv(e, model);
        break;
    default:
        print_text(e, model);
    }
    return 0;
}

static int eval(const struct hr_args *args)
{
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
        o.progress = show;
        o.context = &progress;
        hr_interrupt_watch();
        hr_progress_start(&progress, hr_arg_text(args, "progress"), "eval", "pictures");
        const hrnet_status status = hrnet_evaluate(model, &o, &e);
        hr_progress_end(&progress);
        code = status == HRNET_OK ? report(args, model, &recipe, &e) : hr_report((int)status);
    }
    hrnet_free(e.confusion);
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
                "hrnet eval val_list.txt --root val -m w18.pdparams -f json > report.json",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = eval,
};
