/* SPDX-License-Identifier: Apache-2.0
 * The public API, part five: models as graphs for other programs.  A file gets its name only after
 * it was read back and gave the same answers. */
#include "api/api.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "exchange/onnx_write.h"
#include "exchange/open.h"
#include "exchange/program.h"
#include "exchange/serving.h"

#define MOST_ERROR      1e-4 /* of the largest logit */
#define MOST_ERROR_HALF 2e-2 /* with weights of 11 bits */

void hrnet_export_options_init(struct hrnet_export_options *options, size_t struct_size)
{
    HR_API_OPTIONS_INIT(struct hrnet_export_options, { .opset = 17 });
}

/* Logits for the synthetic input "export"; the caller frees them. */
static enum hr_status answer(float **out, struct hr_model *model, int64_t height, int64_t width)
{
    struct hr_packs *packs = NULL;
    HR_TRY(hr_packs_create(&packs, hr_model_weights(model)));
    const enum hr_status status = hr_api_answer(out, model, packs, height, width, "export");
    hr_packs_destroy(packs);
    return status;
}

/* What was written and opened again against what it was written from. */
static enum hr_status compare(struct hr_model *written, struct hr_model *model, int64_t height,
                              int64_t width, double *error)
{
    float *got = NULL, *want = NULL;
    if (hr_model_classes(written) != hr_model_classes(model) ||
        !hr_recipe_same_normalisation(hr_model_recipe(written), hr_model_recipe(model)))
        return hr_fail(HR_E_INTERNAL, "read back, it has other classes or another normalisation");
    enum hr_status status = answer(&want, model, height, width);
    if (status == HR_OK)
        status = answer(&got, written, height, width);
    if (status == HR_OK)
        *error = hr_api_relative_error(got, want, (size_t)hr_model_classes(model));
    hr_mem_free(got);
    hr_mem_free(want);
    return status;
}

/* Takes `written` whatever happens. */
static enum hr_status verify(struct hr_model *written, struct hr_model *model, int64_t height,
                             int64_t width, double most, double *error)
{
    const struct hr_recipe *recipe = hr_model_recipe(model);
    const enum hr_status status = compare(written, model, height ? height : recipe->crop_height,
                                          width ? width : recipe->crop_width, error);
    hr_model_unref(written);
    HR_TRY(status);
    if (!(*error <= most))
        return hr_fail(HR_E_INTERNAL,
                       "read back, its logits are off by %.2g of the largest, more than %.0e",
                       *error, most);
    return HR_OK;
}

static enum hr_status flushed(const struct hr_replace *replace)
{
    return fflush(replace->file) == 0 ? HR_OK
                                      : hr_fail(HR_E_IO, "%s: cannot be written", replace->path);
}

static enum hr_status export_onnx(struct hr_model *model, const char *path,
                                  const struct hr_onnx_options *o,
                                  struct hrnet_export_report *report)
{
    struct hr_replace replace = { 0 };
    struct hr_model *written = NULL;
    HR_TRY(hr_replace_begin(&replace, path));
    enum hr_status status = hr_onnx_write(model, o, replace.file, path);
    if (status == HR_OK)
        status = flushed(&replace);
    if (status == HR_OK)
        status = hr_exchange_open(&written, replace.temporary, NULL);
    if (status == HR_OK)
        status = verify(written, model, o->height, o->width, o->half ? MOST_ERROR_HALF : MOST_ERROR,
                        &report->error);
    if (status == HR_OK)
        status = hr_replace_commit(&replace);
    hr_replace_abort(&replace);
    return status;
}

/* ---- Paddle programs ----------------------------------------------------------------------- */

struct program_files {
    struct hr_text program_path, params_path;
    struct hr_replace program, params;
};

/* PREFIX, or one of its two files. */
static enum hr_status name_files(struct program_files *f, const char *path, bool pir)
{
    static const char *const endings[] = { ".pdmodel", ".json", ".pdiparams" };
    size_t length = strlen(path);
    for (size_t i = 0; i < HR_COUNT(endings); i++)
        if (hr_text_ends(path, endings[i]))
            length = strlen(path) - strlen(endings[i]);
    hr_text_add_bytes(&f->program_path, path, length);
    hr_text_add(&f->program_path, pir ? ".json" : ".pdmodel");
    hr_text_add_bytes(&f->params_path, path, length);
    hr_text_add(&f->params_path, ".pdiparams");
    return f->program_path.status != HR_OK ? f->program_path.status : f->params_path.status;
}

static enum hr_status write_files(struct program_files *f, const struct hr_model *model,
                                  const struct hr_program_options *o)
{
    struct hr_program program = { 0 };
    const char *name = f->program_path.data;
    enum hr_status status = hr_program_of(&program, model, o);
    if (status == HR_OK)
        status = (o->pir ? hr_pir_write : hr_pdmodel_write)(&program, f->program.file, name);
    if (status == HR_OK)
        status = hr_program_write_params(&program, hr_model_weights(model), f->params.file);
    hr_program_fini(&program);
    HR_TRY(status);
    HR_TRY(flushed(&f->program));
    return flushed(&f->params);
}

static enum hr_status verify_files(const struct program_files *f, struct hr_model *model,
                                   const struct hr_program_options *o, double *error)
{
    /* A program has no place for a recipe: it gets its family's. */
    const struct hr_model_options options = { .recipe = hr_model_recipe(model) };
    struct hr_model *written = NULL;
    HR_TRY(hr_exchange_open_program(&written, f->program.temporary, f->params.temporary, o->pir,
                                    &options));
    return verify(written, model, o->height, o->width, MOST_ERROR, error);
}

static enum hr_status export_program(struct hr_model *model, const char *path,
                                     const struct hr_program_options *o,
                                     struct hrnet_export_report *report)
{
    struct program_files f = { 0 };
    enum hr_status status = name_files(&f, path, o->pir);
    if (status == HR_OK)
        status = hr_replace_begin(&f.program, f.program_path.data);
    if (status == HR_OK)
        status = hr_replace_begin(&f.params, f.params_path.data);
    if (status == HR_OK)
        status = write_files(&f, model, o);
    if (status == HR_OK)
        status = verify_files(&f, model, o, &report->error);
    if (status == HR_OK)
        status = hr_replace_commit(&f.params);
    if (status == HR_OK)
        status = hr_replace_commit(&f.program);
    hr_replace_abort(&f.program);
    hr_replace_abort(&f.params);
    hr_text_fini(&f.program_path);
    hr_text_fini(&f.params_path);
    return status;
}

/* ---- Paddle Serving ------------------------------------------------------------------------ */

static enum hr_status write_config(const struct hr_program *program, const char *folder,
                                   const char *name, bool text)
{
    struct hr_text path = { 0 };
    struct hr_replace file = { 0 };
    hr_text_printf(&path, "%s/%s", folder, name);
    enum hr_status status = path.status;
    if (status == HR_OK)
        status = hr_replace_begin(&file, path.data);
    if (status == HR_OK)
        status = hr_serving_write(program, text, file.file, path.data);
    if (status == HR_OK)
        status = hr_replace_commit(&file);
    hr_replace_abort(&file);
    hr_text_fini(&path);
    return status;
}

static enum hr_status write_configs(const struct hr_model *model, const char *server,
                                    const char *client, const struct hr_program_options *o)
{
    struct hr_program program = { 0 };
    enum hr_status status = hr_program_of(&program, model, o);
    if (status == HR_OK)
        status = write_config(&program, server, "serving_server_conf.prototxt", true);
    if (status == HR_OK)
        status = write_config(&program, server, "serving_server_conf.stream.prototxt", false);
    if (status == HR_OK)
        status = write_config(&program, client, "serving_client_conf.prototxt", true);
    if (status == HR_OK)
        status = write_config(&program, client, "serving_client_conf.stream.prototxt", false);
    hr_program_fini(&program);
    return status;
}

static enum hr_status export_serving(struct hr_model *model, const char *path,
                                     const struct hr_program_options *o,
                                     struct hrnet_export_report *report)
{
    struct hr_text server = { 0 }, client = { 0 }, prefix = { 0 };
    hr_text_printf(&server, "%s_serving", path);
    hr_text_printf(&client, "%s_client", path);
    hr_text_printf(&prefix, "%s_serving/inference", path);
    enum hr_status status =
        server.status == HR_OK && client.status == HR_OK ? prefix.status : HR_E_MEMORY;
    if (status == HR_OK)
        status = hr_os_make_folders(server.data);
    if (status == HR_OK)
        status = hr_os_make_folders(client.data);
    if (status == HR_OK)
        status = export_program(model, prefix.data, o, report);
    if (status == HR_OK)
        status = write_configs(model, server.data, client.data, o);
    hr_text_fini(&server);
    hr_text_fini(&client);
    hr_text_fini(&prefix);
    return status;
}

/* ---- Either -------------------------------------------------------------------------------- */

static enum hr_status export_model(struct hr_model *model, const char *path,
                                   const struct hrnet_export_options *o,
                                   struct hrnet_export_report *report)
{
    const struct hr_recipe *recipe = hr_model_recipe(model);
    const int64_t height = o->free_size ? 0 : recipe->crop_height;
    const int64_t width = o->free_size ? 0 : recipe->crop_width;
    if (o->format == HRNET_EXPORT_ONNX) {
        const struct hr_onnx_options onnx = { .opset = o->opset,
                                              .batch = o->batch,
                                              .height = height,
                                              .width = width,
                                              .result = (enum hr_result)o->result,
                                              .fold = o->fold != 0,
                                              .preprocess = o->preprocess != 0,
                                              .half = o->half != 0 };
        return export_onnx(model, path, &onnx, report);
    }
    if (o->preprocess || o->half)
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: preprocessing and float16 weights are written to ONNX only", path);
    const struct hr_program_options program = { .pir = o->format == HRNET_EXPORT_PADDLE_PIR,
                                                .batch = o->batch,
                                                .height = height,
                                                .width = width,
                                                .result = (enum hr_result)o->result,
                                                .fold = o->fold != 0 };
    return o->format == HRNET_EXPORT_PADDLE_SERVING ? export_serving(model, path, &program, report)
                                                    : export_program(model, path, &program, report);
}

hrnet_status hrnet_model_export(hrnet_model *model, const char *path,
                                const struct hrnet_export_options *options,
                                struct hrnet_export_report *report)
{
    struct hrnet_export_options o = { .opset = 17 };
    struct hrnet_export_report done = { 0 };
    if (!model || !path)
        return hr_api_missing_argument(__func__);
    if (options) {
        const enum hr_status copied =
            hr_api_options_copy(&o, sizeof o, options, "hrnet_export_options");
        if (copied != HR_OK)
            return PUBLIC(copied);
    }
    if ((unsigned)o.result > HRNET_RESULT_SIGMOID)
        return hr_api_out_of_range("result", (size_t)o.result, HRNET_RESULT_SIGMOID + 1);
    if ((unsigned)o.format > HRNET_EXPORT_PADDLE_SERVING)
        return hr_api_out_of_range("format", (size_t)o.format, HRNET_EXPORT_PADDLE_SERVING + 1);
    enum hr_status status = export_model(model->model, path, &o, &done);
    if (status == HR_OK && report)
        *report = done;
    else if (status != HR_OK && status != HR_E_MEMORY)
        status = hr_fail_context(status, "%s is not written", path);
    return PUBLIC(status);
}
