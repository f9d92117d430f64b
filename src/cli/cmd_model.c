/* SPDX-License-Identifier: Apache-2.0
 * hrnet info, verify, models, convert: what a weight file is, and other forms of it. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/text.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/setup.h"
#include "tensor/store.h"

static const struct hr_flag json_flag[] = {
    { "json", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "print JSON" },
    { 0 },
};

static int print_json(json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(value);
    return 0;
}

/* ---- info ---- */

static const char *const resize_names[] = { "opencv", "pillow", "pillow-bicubic" };

static void print_recipe(const struct hrnet_recipe *r)
{
    printf("recipe        %s: %s resize, ", r->name, resize_names[r->resize]);
    if (r->resize_short)
        printf("short side to %d, crop %dx%d", r->resize_short, r->crop_height, r->crop_width);
    else
        printf("stretched to %dx%d", r->crop_height, r->crop_width);
    printf(", scale %.9g, mean %g %g %g, deviation %g %g %g\n", (double)r->scale,
           (double)r->mean[0], (double)r->mean[1], (double)r->mean[2], (double)r->deviation[0],
           (double)r->deviation[1], (double)r->deviation[2]);
}

static void print_published(const char *name)
{
    struct hrnet_zoo_entry e;
    if (!name || hrnet_zoo_find(name, &e) != HRNET_OK)
        return;
    printf("published     %s: ", e.name);
    if (e.top1 > 0)
        printf("top-1 %.4f, ", e.top1);
    if (e.top5 > 0)
        printf("top-5 %.4f, ", e.top5);
    printf("%s\n", e.licence);
    if (e.flops_printed > 0)
        printf("page's row    %.2f GFLOPs, %.2f M parameters\n", e.flops_printed,
               e.parameters_printed);
    if (e.note)
        printf("note          %s\n", e.note);
}

static void print_info(const struct hrnet_model_info *i, const struct hrnet_recipe *r)
{
    const double g = (double)i->multiply_adds;
    printf("architecture  %s%s\n", i->architecture, i->squeeze ? " (squeeze-and-excitation)" : "");
    printf("file          %s, %s names%s%s\n", i->format, i->scheme,
           i->prefix[0] ? ", prefix " : "", i->prefix);
    printf("verdict       %s\n", i->verdict);
    printf("classes       %d, %d labels%s\n", i->classes, i->label_count,
           i->head_untrained ? "; the head is untrained" : "");
    if (i->activation == HRNET_RESULT_SIGMOID)
        printf("activation    sigmoid: each class for itself, several labels a picture\n");
    printf("parameters    %llu trainable; %llu as the published table counts (without linear "
           "biases); %llu stored (with running statistics)\n",
           (unsigned long long)i->parameters, (unsigned long long)i->parameters_page,
           (unsigned long long)i->parameters_stored);
    printf("tensors       %llu, %.1f MB, %s\n", (unsigned long long)i->tensors,
           (double)i->weight_bytes / 1e6, i->precision);
    printf(
        "multiply-adds %.3f G at %dx%d (%.2f when divided by 1024^3); %.2f GFLOPs, counting each "
        "as two\n",
        g / 1e9, r->crop_height, r->crop_width, g / 1073741824.0, 2 * g / 1e9);
    print_recipe(r);
    printf("fuse order    %s\n", i->fuse_order);
    printf("checksum      %s\n", i->checksum);
    print_published(i->published);
}

static json_t *json_recipe(const struct hrnet_recipe *r)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:[f,f,f], s:[f,f,f]}", "name", r->name,
                     "resize", resize_names[r->resize], "resize_short", r->resize_short,
                     "crop_height", r->crop_height, "crop_width", r->crop_width, "scale",
                     (double)r->scale, "mean", (double)r->mean[0], (double)r->mean[1],
                     (double)r->mean[2], "deviation", (double)r->deviation[0],
                     (double)r->deviation[1], (double)r->deviation[2]);
}

static int json_info(const struct hrnet_model_info *i, const struct hrnet_recipe *r)
{
    return print_json(json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, "
        "s:s, s:s, s:s?, s:o, s:b, s:I, s:s}",
        "schema", 1, "architecture", i->architecture, "format", i->format, "scheme", i->scheme,
        "prefix", i->prefix, "verdict", i->verdict, "squeeze", i->squeeze, "classes", i->classes,
        "labels", i->label_count, "parameters", (json_int_t)i->parameters, "parameters_page",
        (json_int_t)i->parameters_page, "parameters_stored", (json_int_t)i->parameters_stored,
        "tensors", (json_int_t)i->tensors, "weight_bytes", (json_int_t)i->weight_bytes,
        "multiply_adds", (json_int_t)i->multiply_adds, "flops", (json_int_t)(2 * i->multiply_adds),
        "precision", i->precision, "fuse_order", i->fuse_order, "checksum", i->checksum,
        "published", i->published, "recipe", json_recipe(r), "head_untrained", i->head_untrained,
        "ignored", (json_int_t)i->ignored, "activation",
        i->activation == HRNET_RESULT_SIGMOID ? "sigmoid" : "softmax"));
}

/* ---- Paddle-Lite: tensors without a model ---- */

/* The store of a .nb file, or NULL for any other. */
static struct hr_store *lite_store(const char *path)
{
    struct hr_store *store = NULL;
    if (!path || hr_os_kind(path) != HR_OS_FILE || hr_store_open(&store, path) != HR_OK)
        return NULL;
    if (hr_store_format(store) == HR_FORMAT_PADDLE_LITE)
        return store;
    hr_store_destroy(store);
    return NULL;
}

/* Weights of whole numbers: their scales are attributes of the network. */
static bool is_quantised(const struct hr_store *store)
{
    for (size_t i = 0; i < hr_store_count(store); i++) {
        const enum hr_dtype dtype = hr_store_tensor(store, i)->dtype;
        if (dtype == HR_DTYPE_I8 || dtype == HR_DTYPE_I16)
            return true;
    }
    return false;
}

static int lite_info(const struct hr_store *store, bool json)
{
    const char *version = hr_store_meta(store, "paddle_lite.version");
    const size_t count = hr_store_count(store);
    uint64_t bytes = 0;
    json_t *tensors = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct hr_tensor *t = hr_store_tensor(store, i);
        size_t elements = 0;
        if (hr_shape_elements(&t->shape, &elements) == HR_OK)
            bytes += elements * hr_dtype_bytes(t->dtype);
        json_array_append_new(tensors, json_pack("{s:s, s:s, s:s}", "name", hr_store_name(store, i),
                                                 "dtype", hr_dtype_name(t->dtype), "shape",
                                                 hr_shape_str(&t->shape).s));
    }
    if (json)
        return print_json(json_pack("{s:i, s:s, s:s, s:I, s:I, s:o}", "schema", 1, "format",
                                    "Paddle-Lite", "optimiser", version, "tensors_count",
                                    (json_int_t)count, "weight_bytes", (json_int_t)bytes, "tensors",
                                    tensors));
    json_decref(tensors);
    printf("file          Paddle-Lite, optimiser %s\n"
           "tensors       %zu, %.1f MB, under the file's own names\n"
           "verdict       no model: norms are multiplied into convolutions, the network is for "
           "Paddle-Lite's engine; `hrnet convert` recovers the tensors%s\n",
           version, count, (double)bytes / 1e6,
           is_quantised(store) ? ", but not the scales of the quantised ones" : "");
    return 0;
}

static int lite_convert(const struct hr_store *store, const char *to, hrnet_file_format format)
{
    static const enum hr_format formats[] = { HR_FORMAT_SAFETENSORS, HR_FORMAT_SAFETENSORS,
                                              HR_FORMAT_PADDLE, HR_FORMAT_TORCH };
    const enum hr_status status = hr_store_save(store, to, formats[format]);
    if (status != HR_OK)
        return hr_report((int)status);
    printf("%s: %zu tensors under their own names; the network, %snorms apart from convolutions, "
           "cannot be recovered\n",
           to, hr_store_count(store),
           is_quantised(store) ? "the scales of quantised weights, and " : "and ");
    return 0;
}

static int info(const struct hr_args *args)
{
    struct hrnet_model_info described;
    struct hrnet_recipe recipe;
    hrnet_model *model = NULL;
    struct hr_store *lite = lite_store(args->operands[0]);
    int code = lite ? lite_info(lite, hr_arg_switch(args, "json")) : -1;
    hr_store_destroy(lite);
    if (code < 0)
        code = hr_setup_model(&model, args, args->operands[0], false);
    if (code >= 0)
        return code;
    const hrnet_status status = hrnet_model_describe(model, &described);
    if (status != HRNET_OK) {
        code = hr_report((int)status);
    } else {
        hrnet_model_recipe(model, &recipe);
        code = 0;
        if (hr_arg_switch(args, "json"))
            code = json_info(&described, &recipe);
        else
            print_info(&described, &recipe);
    }
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const info_groups[] = { json_flag, hr_model_flags, hr_recipe_flags,
                                                     NULL };
const struct hr_command hr_command_info = {
    .name = "info",
    .operands = "FILE",
    .takes = HR_FLAG_MODEL,
    .summary = "say what a weight file is",
    .examples = "hrnet info HRNet_W18_C_ssld_pretrained.pdparams\nhrnet info model.pth --json",
    .groups = info_groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = info,
};

/* ---- verify ---- */

static int verify(const struct hr_args *args)
{
    struct hrnet_verify_report report = { 0 };
    hrnet_model *model = NULL;
    int code = hr_setup_model(&model, args, args->operands[0], false);
    if (code >= 0)
        return code;
    const hrnet_status status = hrnet_model_verify(model, &report);
    if (hr_arg_switch(args, "json")) {
        print_json(json_pack("{s:b, s:b, s:b, s:b, s:b, s:f, s:b}", "pass", status == HRNET_OK,
                             "checksum_stored", report.checksum_stored, "checksum_passed",
                             report.checksum_passed, "self_test_stored", report.self_test_stored,
                             "self_test_passed", report.self_test_passed, "self_test_error",
                             report.self_test_error, "uniform", report.uniform));
    } else {
        printf("checksum   %s\n", !report.checksum_stored  ? "not stored"
                                  : report.checksum_passed ? "pass"
                                                           : "FAIL");
        printf("self test  %s", !report.self_test_stored  ? "not stored"
                                : report.self_test_passed ? "pass"
                                                          : "FAIL");
        if (report.self_test_stored)
            printf(" (largest difference %.1e of the largest logit)", report.self_test_error);
        if (report.uniform)
            printf("\nhead       FAIL: untrained");
        printf("\n%s\n", status == HRNET_OK ? "pass" : "FAIL");
    }
    code = status == HRNET_OK ? 0 : hr_report((int)status);
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const verify_groups[] = { json_flag, NULL };
const struct hr_command hr_command_verify = {
    .name = "verify",
    .operands = "FILE",
    .takes = HR_FLAG_MODEL,
    .summary = "recompute a model file's checksum and self test",
    .examples = "hrnet verify w18.safetensors",
    .groups = verify_groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = verify,
};

/* ---- models ---- */

static int models_json(void)
{
    json_t *architectures = json_array(), *weights = json_array();
    struct hrnet_zoo_entry e;
    for (size_t i = 0; i < hrnet_zoo_architecture_count(); i++)
        if (hrnet_zoo_architecture(i, &e) == HRNET_OK)
            json_array_append_new(architectures,
                                  json_pack("{s:s, s:I, s:I}", "name", e.name, "parameters",
                                            (json_int_t)e.parameters, "multiply_adds",
                                            (json_int_t)e.multiply_adds));
    for (size_t i = 0; i < hrnet_zoo_weights_count(); i++)
        if (hrnet_zoo_weights(i, &e) == HRNET_OK)
            json_array_append_new(
                weights,
                json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:s, s:f, s:f, s:f, s:f, s:s?, s:s, s:b}",
                          "name", e.name, "architecture", e.architecture, "url", e.url, "file",
                          e.file, "sha256_prefix", e.sha256_prefix, "recipe", e.recipe, "top1",
                          e.top1, "top5", e.top5, "flops_printed", e.flops_printed,
                          "parameters_printed", e.parameters_printed, "note", e.note, "licence",
                          e.licence, "cached", hr_cache_has(e.file)));
    return print_json(json_pack("{s:i, s:o, s:o}", "schema", 1, "architectures", architectures,
                                "weights", weights));
}

/* "0.7692", or nothing where none was published. */
struct fraction {
    char s[16];
};

static struct fraction fraction(double value)
{
    struct fraction text = { "" };
    if (value > 0)
        snprintf(text.s, sizeof text.s, "%.4f", value);
    return text;
}

static int models(const struct hr_args *args)
{
    struct hrnet_zoo_entry e;
    if (hr_arg_switch(args, "json"))
        return models_json();
    printf("%-22s %14s %18s\n", "architecture", "parameters M", "multiply-adds G");
    for (size_t i = 0; i < hrnet_zoo_architecture_count(); i++)
        if (hrnet_zoo_architecture(i, &e) == HRNET_OK)
            printf("%-22s %14.2f %18.3f\n", e.name, (double)e.parameters / 1e6,
                   (double)e.multiply_adds / 1e9);
    printf("\n%-38s %-20s %7s %7s  %s\n", "published weights (pull)", "architecture", "top-1",
           "top-5", "");
    for (size_t i = 0; i < hrnet_zoo_weights_count(); i++)
        if (hrnet_zoo_weights(i, &e) == HRNET_OK)
            printf("%-38s %-20s %7s %7s  %s\n", e.name, e.architecture, fraction(e.top1).s,
                   fraction(e.top5).s,
                   hr_cache_has(e.file) ? "cached"
                   : e.url              ? ""
                                        : "by browser only");
    return 0;
}

static const struct hr_flag *const models_groups[] = { json_flag, NULL };
const struct hr_command hr_command_models = {
    .name = "models",
    .operands = "",
    .summary = "list architectures and published weights",
    .examples = "hrnet models",
    .groups = models_groups,
    .run = models,
};

/* ---- convert ---- */

static const struct hr_flag convert_flags[] = {
    { "to", 0, HR_FLAG_CHOICE, "hrnet|safetensors|pdparams|pth", NULL, 0, 0,
      "format (default: by OUT's suffix; .safetensors is our own file)" },
    { "half", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "weights of 16 bits, in our own file" },
    { "force", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "replace OUT if it exists" },
    { "replace-head", 0, HR_FLAG_COUNT, "N", NULL, 1, 16777216,
      "a fresh head of N classes, to be trained" },
    { 0 },
};

static int format_of(const struct hr_args *args, const char *path, hrnet_file_format *out)
{
    static const char *const words[] = { "hrnet", "safetensors", "pdparams", "pth" };
    const char *word = hr_arg_text(args, "to");
    for (int i = 0; word && i < 4; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = (hrnet_file_format)i;
            return -1;
        }
    if (hr_text_ends(path, ".safetensors") || hr_text_ends(path, ".hrnet"))
        *out = HRNET_FILE_HRNET;
    else if (hr_text_ends(path, ".pdparams"))
        *out = HRNET_FILE_PADDLE;
    else if (hr_text_ends(path, ".pth") || hr_text_ends(path, ".pt") || hr_text_ends(path, ".bin"))
        *out = HRNET_FILE_TORCH;
    else
        return hr_usage_error("convert",
                              "'%s' has no known suffix (.safetensors, .pdparams, "
                              ".pth): use --to",
                              path);
    return -1;
}

static int convert(const struct hr_args *args)
{
    const char *to = args->operands[1];
    struct hrnet_model_info described;
    hrnet_file_format format = HRNET_FILE_HRNET;
    hrnet_model *model = NULL;
    int code = format_of(args, to, &format);
    if (code < 0 && hr_arg_switch(args, "half")) {
        if (format != HRNET_FILE_HRNET)
            return hr_usage_error("convert", "--half writes our own file only: name a "
                                             ".safetensors file, without another --to");
        format = HRNET_FILE_HALF;
    }
    if (code < 0 && hr_os_kind(to) != HR_OS_NONE && !hr_arg_switch(args, "force")) {
        fprintf(stderr, "hrnet: %s exists: use --force to replace it\n", to);
        return 4;
    }
    struct hr_store *lite = code < 0 ? lite_store(args->operands[0]) : NULL;
    if (lite)
        code = lite_convert(lite, to, format);
    hr_store_destroy(lite);
    if (code < 0)
        code = hr_setup_model(&model, args, args->operands[0], false);
    if (code >= 0)
        return code;
    hrnet_status status = hrnet_model_save(model, to, format);
    if (status == HRNET_OK)
        status = hrnet_model_describe(model, &described);
    if (status == HRNET_OK)
        printf("%s: %s, %d classes, %s\n", to, described.architecture, described.classes,
               described.verdict);
    code = status == HRNET_OK ? 0 : hr_report((int)status);
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const convert_groups[] = { convert_flags, hr_model_flags,
                                                        hr_recipe_flags, NULL };
const struct hr_command hr_command_convert = {
    .name = "convert",
    .operands = "IN OUT",
    .takes = HR_FLAG_FILE,
    .summary = "write a weight file in another format",
    .examples = "hrnet convert HRNet_W18_C_ssld w18.safetensors      # our own file\n"
                "hrnet convert w18.pth w18.pdparams                  # for Paddle\n"
                "hrnet convert w18.pdparams w18.pth                  # for PyTorch\n"
                "hrnet convert w18.pth small.safetensors --half      # half the bytes",
    .groups = convert_groups,
    .least_operands = 2,
    .most_operands = 2,
    .run = convert,
};
