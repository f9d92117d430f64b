/* SPDX-License-Identifier: Apache-2.0
 * hrnet export: a model as a graph for other programs. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/os.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "output", 'o', HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "x.onnx; or x.pdmodel or x.json (Paddle 3) with x.pdiparams beside it" },
    { "serving", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "write Paddle Serving's folders, FILE_serving and FILE_client" },
    { "opset", 0, HR_FLAG_COUNT, "N", "17", 11, 21, "version of ONNX's operators" },
    { "batch", 'b', HR_FLAG_COUNT, "N", "0", 0, 1024, "pictures at once; 0: any number" },
    { "free-size", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "take any legal picture size, not only the recipe's" },
    { "result", 0, HR_FLAG_CHOICE, "logits|softmax|sigmoid", NULL, 0, 0,
      "what the graph answers with (default: logits; softmax with --serving; sigmoid of a model "
      "with several labels a picture)" },
    { "fold", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "multiply batch norms into convolutions" },
    { "preprocess", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "take uint8 [n,h,w,3] RGB, resized and cropped, and normalise in the graph" },
    { "half", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "store weights as float16" },
    { "force", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "replace the file if it exists" },
    { 0 },
};

/* What clients of Paddle Serving expect are scores; that a model has several labels a picture is
 * best said by the graph itself. */
static const char *result_word(const struct hr_args *args, const struct hrnet_model_info *model)
{
    const char *word = hr_arg_text(args, "result");
    if (word)
        return word;
    if (model->activation == HRNET_RESULT_SIGMOID)
        return "sigmoid";
    return hr_arg_switch(args, "serving") ? "softmax" : "logits";
}

static hrnet_result result_of(const char *word)
{
    return strcmp(word, "softmax") == 0   ? HRNET_RESULT_SOFTMAX
           : strcmp(word, "sigmoid") == 0 ? HRNET_RESULT_SIGMOID
                                          : HRNET_RESULT_LOGITS;
}

/* By the suffix. */
static int format_of(const char *path, hrnet_export_format *out)
{
    static const struct {
        const char *ending;
        hrnet_export_format format;
    } endings[] = { { ".onnx", HRNET_EXPORT_ONNX },
                    { ".pdmodel", HRNET_EXPORT_PADDLE },
                    { ".json", HRNET_EXPORT_PADDLE_PIR } };
    for (size_t i = 0; i < HR_COUNT(endings); i++)
        if (hr_text_ends(path, endings[i].ending)) {
            *out = endings[i].format;
            return -1;
        }
    return hr_usage_error("export", "'%s' has no known suffix: .onnx, .pdmodel or .json is wanted",
                          path);
}

/* A prefix of two folders, which are not there yet. */
static int folders_of(const char *path, const struct hr_args *args)
{
    struct hr_text server = { 0 };
    int code = -1;
    if (hr_text_ends(path, ".onnx") || hr_text_ends(path, ".json") ||
        hr_text_ends(path, ".pdmodel"))
        return hr_usage_error("export",
                              "--output is '%s': with --serving it is a prefix, as w18 for "
                              "w18_serving and w18_client",
                              path);
    hr_text_printf(&server, "%s_serving", path);
    if (server.status != HR_OK)
        return hr_report(HRNET_E_MEMORY);
    if (hr_os_kind(server.data) != HR_OS_NONE && !hr_arg_switch(args, "force")) {
        fprintf(stderr, "hrnet: %s exists: use --force to write into it\n", server.data);
        code = 4;
    }
    hr_text_fini(&server);
    return code;
}

static int write_model(hrnet_model *model, hrnet_export_format format, const char *path,
                       const struct hr_args *args)
{
    static const char *const names[] = { "ONNX", "Paddle program", "Paddle PIR program",
                                         "Paddle Serving" };
    struct hrnet_export_options options;
    struct hrnet_export_report report;
    struct hrnet_model_info described;
    hrnet_status status = hrnet_model_describe(model, &described);
    if (status != HRNET_OK)
        return hr_report((int)status);
    const char *result = result_word(args, &described);
    hrnet_export_options_init(&options, sizeof options);
    options.opset = (int)hr_arg_count(args, "opset");
    options.batch = (int)hr_arg_count(args, "batch");
    options.free_size = hr_arg_switch(args, "free-size");
    options.result = result_of(result);
    options.fold = hr_arg_switch(args, "fold");
    options.preprocess = hr_arg_switch(args, "preprocess");
    options.half = hr_arg_switch(args, "half");
    options.format = format;
    status = hrnet_model_export(model, path, &options, &report);
    if (status != HRNET_OK)
        return hr_report((int)status);
    printf("%s: %s, %d classes, %s, %s; read back, logits differ by %.1e of the largest\n", path,
           described.architecture, described.classes, names[format], result, report.error);
    return 0;
}

static int export_model(const struct hr_args *args)
{
    const char *path = hr_arg_text(args, "output");
    hrnet_model *model = NULL;
    if (!path)
        return hr_usage_error("export", "export needs --output FILE");
    if (!hr_arg_switch(args, "serving") && hr_os_kind(path) != HR_OS_NONE &&
        !hr_arg_switch(args, "force")) {
        fprintf(stderr, "hrnet: %s exists: use --force to replace it\n", path);
        return 4;
    }
    hrnet_export_format format = HRNET_EXPORT_PADDLE_SERVING;
    int code = hr_arg_switch(args, "serving") ? folders_of(path, args) : format_of(path, &format);
    if (code < 0)
        code = hr_setup_model(&model, args, args->operands[0], false);
    if (code < 0)
        code = write_model(model, format, path, args);
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const groups[] = { flags, hr_model_flags, hr_recipe_flags, NULL };

const struct hr_command hr_command_export = {
    .name = "export",
    .operands = "MODEL",
    .takes = HR_FLAG_MODEL,
    .summary = "write a model as a graph for other programs (ONNX, Paddle)",
    .examples =
        "hrnet export w18.safetensors -o w18.onnx\n"
        "hrnet export w18.safetensors -o w18/inference.pdmodel   # and w18/inference.pdiparams\n"
        "hrnet export w18.safetensors -o w18 --serving           # w18_serving and w18_client\n"
        "hrnet export w18.pdparams -o app.onnx --preprocess --result softmax --half",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = export_model,
};
