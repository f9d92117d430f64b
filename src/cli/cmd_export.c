/* SPDX-License-Identifier: Apache-2.0
 * hrnet export: a model as a graph for other programs. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cli/commands.h"
#include "cli/setup.h"

static const struct hr_flag flags[] = {
    { "output", 'o', HR_FLAG_FILE, "X.onnx", NULL, 0, 0, "the file to write" },
    { "opset", 0, HR_FLAG_COUNT, "N", "17", 11, 21, "version of ONNX's operators" },
    { "batch", 'b', HR_FLAG_COUNT, "N", "0", 0, 1024, "pictures at once; 0: any number" },
    { "free-size", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "take any legal picture size, not only the recipe's" },
    { "result", 0, HR_FLAG_CHOICE, "logits|softmax|sigmoid", "logits", 0, 0,
      "what the graph answers with" },
    { "fold", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "multiply batch norms into convolutions" },
    { "preprocess", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "take uint8 [n,h,w,3] RGB, resized and cropped, and normalise in the graph" },
    { "half", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "store weights as float16" },
    { "force", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "replace the file if it exists" },
    { 0 },
};

static hrnet_result result_of(const char *word)
{
    return strcmp(word, "softmax") == 0   ? HRNET_RESULT_SOFTMAX
           : strcmp(word, "sigmoid") == 0 ? HRNET_RESULT_SIGMOID
                                          : HRNET_RESULT_LOGITS;
}

static int write_model(hrnet_model *model, const char *path, const struct hr_args *args)
{
    struct hrnet_export_options options;
    struct hrnet_export_report report;
    struct hrnet_model_info described;
    hrnet_export_options_init(&options, sizeof options);
    options.opset = (int)hr_arg_count(args, "opset");
    options.batch = (int)hr_arg_count(args, "batch");
    options.free_size = hr_arg_switch(args, "free-size");
    options.result = result_of(hr_arg_text(args, "result"));
    options.fold = hr_arg_switch(args, "fold");
    options.preprocess = hr_arg_switch(args, "preprocess");
    options.half = hr_arg_switch(args, "half");
    hrnet_status status = hrnet_model_export(model, path, &options, &report);
    if (status == HRNET_OK)
        status = hrnet_model_describe(model, &described);
    if (status != HRNET_OK)
        return hr_report((int)status);
    printf("%s: %s, %d classes, ONNX opset %d, %s; read back, logits differ by %.1e of the "
           "largest\n",
           path, described.architecture, described.classes, options.opset,
           hr_arg_text(args, "result"), report.error);
    return 0;
}

static int export_model(const struct hr_args *args)
{
    const char *path = hr_arg_text(args, "output");
    hrnet_model *model = NULL;
    if (!path)
        return hr_usage_error("export", "export needs --output X.onnx");
    if (hr_os_kind(path) != HR_OS_NONE && !hr_arg_switch(args, "force")) {
        fprintf(stderr, "hrnet: %s exists: use --force to replace it\n", path);
        return 4;
    }
    int code = hr_setup_model(&model, args, args->operands[0], false);
    if (code < 0)
        code = write_model(model, path, args);
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const groups[] = { flags, hr_model_flags, hr_recipe_flags, NULL };

const struct hr_command hr_command_export = {
    .name = "export",
    .operands = "MODEL",
    .takes = HR_FLAG_MODEL,
    .summary = "write a model as a graph for other programs (ONNX)",
    .examples = "hrnet export w18.safetensors -o w18.onnx\n"
                "hrnet export w18.pdparams -o app.onnx --preprocess --result softmax --half",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = export_model,
};
