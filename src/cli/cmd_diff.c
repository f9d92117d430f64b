/* SPDX-License-Identifier: Apache-2.0
 * hrnet diff: where two models part. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "picture", 'p', HR_FLAG_FILE, "PICTURE", NULL, 0, 0,
      "what both see, as A prepares it (default: a synthetic input)" },
    { "tolerance", 0, HR_FLAG_REAL, "R", "1e-4", 0, 0,
      "of activations and logits, over the largest value" },
    { "lines", 0, HR_FLAG_COUNT, "N", "10", 0, 100000, "differing tensors to list" },
    { "json", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "print JSON" },
    { 0 },
};

static const char *const kinds[] = { "weights", "recipe", "activations", "logits" };

struct listing {
    json_t *json; /* NULL: text */
    int64_t left; /* lines of weights */
};

static void list(void *context, const struct hrnet_difference *d)
{
    struct listing *l = context;
    if (l->json) {
        json_t *line =
            json_pack("{s:s, s:s, s:s}", "kind", kinds[d->kind], "name", d->name, "note", d->note);
        json_object_set_new(line, "difference",
                            isfinite(d->difference) ? json_real(d->difference) : json_null());
        json_array_append_new(l->json, line);
        return;
    }
    if (d->kind == HRNET_DIFF_WEIGHTS && l->left-- <= 0)
        return;
    if (isfinite(d->difference))
        printf("%-12s %-60s %.2e\n", kinds[d->kind], d->name, d->difference);
    else if (d->kind == HRNET_DIFF_RECIPE)
        printf("%-12s %s and %s differ\n", kinds[d->kind], d->name, d->note);
    else
        printf("%-12s %-60s %s\n", kinds[d->kind], d->name, d->note);
}

static void print_verdict(const struct hrnet_diff_report *r)
{
    const char *weights = r->weights_differing ? "other weights" : "the same weights";
    printf("%llu of %llu tensors differ\n", (unsigned long long)r->weights_differing,
           (unsigned long long)r->weights);
    if (r->same_answers)
        printf("same answers, %s%s; logits differ by %.1e of the largest\n", weights,
               r->recipes_differ ? ", other recipes" : "", r->logits_difference);
    else
        printf("different: they part at %s\n", r->parts_at);
}

static int print_json(json_t *lines, const struct hrnet_diff_report *r)
{
    json_t *all = json_pack(
        "{s:i, s:b, s:b, s:I, s:I, s:s, s:o}", "schema", 1, "same_answers", r->same_answers,
        "recipes_differ", r->recipes_differ, "weights", (json_int_t)r->weights, "weights_differing",
        (json_int_t)r->weights_differing, "parts_at", r->parts_at, "differences", lines);
    json_object_set_new(all, "logits_difference",
                        isfinite(r->logits_difference) ? json_real(r->logits_difference)
                                                       : json_null());
    char *text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(all);
    return r->same_answers ? 0 : 1;
}

/* The picture as A's recipe prepares it, into *x. */
static hrnet_status read_picture(float **x, const char *path, const struct hrnet_recipe *recipe)
{
    *x = hr_mem_alloc((size_t)recipe->crop_height * (size_t)recipe->crop_width * 3, sizeof **x);
    return *x ? hrnet_preprocess_file(recipe, path, NULL, *x, NULL) : HRNET_E_MEMORY;
}

static int compare(hrnet_model *a, hrnet_model *b, const struct hr_args *args)
{
    const bool json = hr_arg_switch(args, "json");
    const char *picture = hr_arg_text(args, "picture");
    struct listing lines = { json ? json_array() : NULL, hr_arg_count(args, "lines") };
    struct hrnet_diff_options options;
    struct hrnet_diff_report report = { 0 };
    struct hrnet_recipe recipe;
    float *x = NULL;
    hrnet_diff_options_init(&options, sizeof options);
    options.tolerance = hr_arg_real(args, "tolerance");
    hrnet_status status = hrnet_model_recipe(a, &recipe);
    const hrnet_status read =
        status == HRNET_OK && picture ? read_picture(&x, picture, &recipe) : HRNET_OK;
    options.x = x;
    options.height = recipe.crop_height;
    options.width = recipe.crop_width;
    if (status == HRNET_OK && read == HRNET_OK)
        status = hrnet_model_diff(a, b, &options, list, &lines, &report);
    hr_mem_free(x);
    if (status != HRNET_OK || read != HRNET_OK) {
        json_decref(lines.json);
        return read != HRNET_OK ? hr_report_input((int)read) : hr_report((int)status);
    }
    if (json)
        return print_json(lines.json, &report);
    print_verdict(&report);
    return report.same_answers ? 0 : 1;
}

static int diff(const struct hr_args *args)
{
    hrnet_model *a = NULL, *b = NULL;
    int code = hr_setup_model(&a, args, args->operands[0], true);
    if (code < 0)
        code = hr_setup_model(&b, args, args->operands[1], true);
    if (code < 0)
        code = compare(a, b, args);
    hrnet_model_release(a);
    hrnet_model_release(b);
    return code;
}

static const struct hr_flag *const groups[] = { flags, NULL };

const struct hr_command hr_command_diff = {
    .name = "diff",
    .operands = "A B",
    .takes = HR_FLAG_MODEL,
    .summary = "say where two models part: weights, activations, logits",
    .examples =
        "hrnet diff w18.pdparams w18.onnx\nhrnet diff a.pth b.safetensors --picture cat.jpg",
    .groups = groups,
    .least_operands = 2,
    .most_operands = 2,
    .run = diff,
};
