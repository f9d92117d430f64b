/* SPDX-License-Identifier: Apache-2.0
 * The public API, part five: models as graphs for other programs.  A file gets its name only after
 * it was read back and gave the same answers. */
#include "api/api.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "exchange/onnx_write.h"
#include "exchange/open.h"

#define MOST_ERROR      1e-4 /* of the largest logit */
#define MOST_ERROR_HALF 2e-2 /* with weights of 11 bits */

void hrnet_export_options_init(struct hrnet_export_options *options, size_t struct_size)
{
    HR_API_OPTIONS_INIT(struct hrnet_export_options, { .opset = 17 });
}

/* Logits for the synthetic input "export"; the caller frees them. */
static enum hr_status answer(float **out, struct hr_model *model, int64_t height, int64_t width)
{
    const struct hr_session_options options = {
        .batch = 1, .height = height, .width = width, .cpu_flags = ~0u
    };
    struct hr_packs *packs = NULL;
    struct hr_session *session = NULL;
    float *x = hr_mem_alloc((size_t)(3 * height * width), sizeof *x);
    float *logits = hr_mem_alloc((size_t)hr_model_classes(model), sizeof *logits);
    enum hr_status status =
        x && logits ? hr_packs_create(&packs, hr_model_weights(model)) : HR_E_MEMORY;
    if (status == HR_OK)
        status = hr_session_create(&session, model, packs, &options);
    if (status == HR_OK) {
        hr_synthetic_fill(x, (size_t)(3 * height * width), "export");
        hr_session_run(session, x, 1, logits);
        *out = logits;
        logits = NULL;
    }
    hr_session_destroy(session);
    hr_packs_destroy(packs);
    hr_mem_free(logits);
    hr_mem_free(x);
    return status;
}

static bool same_normalisation(const struct hr_recipe *a, const struct hr_recipe *b)
{
    return a->scale == b->scale && memcmp(a->mean, b->mean, sizeof a->mean) == 0 &&
           memcmp(a->deviation, b->deviation, sizeof a->deviation) == 0;
}

/* What was written, opened again, against what it was written from. */
static enum hr_status compare(struct hr_model *written, struct hr_model *model, int64_t height,
                              int64_t width, double *error)
{
    float *got = NULL, *want = NULL;
    if (hr_model_classes(written) != hr_model_classes(model) ||
        !same_normalisation(hr_model_recipe(written), hr_model_recipe(model)))
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

static enum hr_status verify(const char *path, struct hr_model *model,
                             const struct hr_onnx_options *o, double *error)
{
    const struct hr_recipe *recipe = hr_model_recipe(model);
    const double most = o->half ? MOST_ERROR_HALF : MOST_ERROR;
    struct hr_model *written = NULL;
    HR_TRY(hr_exchange_open(&written, path, NULL));
    const enum hr_status status =
        compare(written, model, o->height ? o->height : recipe->crop_height,
                o->width ? o->width : recipe->crop_width, error);
    hr_model_unref(written);
    HR_TRY(status);
    if (!(*error <= most))
        return hr_fail(HR_E_INTERNAL,
                       "read back, its logits are off by %.2g of the largest, more than %.0e",
                       *error, most);
    return HR_OK;
}

static enum hr_status export_onnx(struct hr_model *model, const char *path,
                                  const struct hr_onnx_options *o,
                                  struct hrnet_export_report *report)
{
    struct hr_replace replace = { 0 };
    HR_TRY(hr_replace_begin(&replace, path));
    enum hr_status status = hr_onnx_write(model, o, replace.file, path);
    if (status == HR_OK && fflush(replace.file) != 0)
        status = hr_fail(HR_E_IO, "%s: cannot be written", path);
    if (status == HR_OK && (status = verify(replace.temporary, model, o, &report->error)) != HR_OK)
        status = hr_fail_context(status, "%s is not written", path);
    if (status == HR_OK)
        status = hr_replace_commit(&replace);
    hr_replace_abort(&replace);
    return status;
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
    const struct hr_recipe *recipe = hr_model_recipe(model->model);
    const struct hr_onnx_options inner = {
        .opset = o.opset,
        .batch = o.batch,
        .height = o.free_size ? 0 : recipe->crop_height,
        .width = o.free_size ? 0 : recipe->crop_width,
        .result = (enum hr_result)o.result,
        .fold = o.fold != 0,
        .preprocess = o.preprocess != 0,
        .half = o.half != 0,
    };
    const enum hr_status status = export_onnx(model->model, path, &inner, &done);
    if (status == HR_OK && report)
        *report = done;
    return PUBLIC(status);
}
