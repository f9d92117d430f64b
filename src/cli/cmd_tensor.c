/* SPDX-License-Identifier: Apache-2.0
 * hrnet run and hrnet preprocess: raw tensors in NumPy files. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/inputs.h"
#include "cli/outputs.h"
#include "cli/setup.h"
#include "tensor/npy.h"

#define CHUNK 8 /* images computed at once: larger gains little and costs memory */

/* ---- run ---- */

static const struct hr_flag run_flags[] = {
    { "input", 'i', HR_FLAG_FILE, "X.npy", NULL, 0, 0,
      "float32 [n,3,h,w] as .npy or .npz (its only array, or the one called x), or - for stdin" },
    { "output", 'o', HR_FLAG_FILE, "Y.npy", NULL, 0, 0, "where the result goes, or -" },
    { "output-name", 0, HR_FLAG_TEXT, "NAME", "logits", 0, 0,
      "logits, or a feature map: stem, layer1, stage2.0 to stage4.3, incre.0 to incre.3, last, "
      "pool" },
    { 0 },
};

struct run_job {
    hrnet_model *model;
    hrnet_session *session;
    struct hr_input file;
    struct hr_store *arrays; /* of an .npz */
    struct hr_tensor x;
    float *in, *logits, *out;
    size_t count, chunk, in_floats, out_floats;
    int64_t out_shape[4];
};

/* The only array of an .npz, or the one called x. */
static enum hr_status read_archive(struct run_job *job, const char *path)
{
    HR_TRY(hr_store_create(&job->arrays));
    HR_TRY(hr_npz_read(job->arrays, job->file.data, job->file.size, path));
    const size_t count = hr_store_count(job->arrays);
    const struct hr_tensor *x =
        count == 1 ? hr_store_tensor(job->arrays, 0) : hr_store_find(job->arrays, "x");
    if (!x)
        return hr_fail(HR_E_FORMAT, "%s: of its %zu arrays none is called 'x'", path, count);
    job->x = *x;
    return HR_OK;
}

static enum hr_status read_tensor(struct run_job *job, const char *path)
{
    HR_TRY(hr_input_open(&job->file, path, SIZE_MAX / 2));
    if (job->file.size >= 2 && memcmp(job->file.data, "PK", 2) == 0)
        HR_TRY(read_archive(job, path));
    else
        HR_TRY(hr_npy_parse(&job->x, job->file.data, job->file.size, path));
    const struct hr_shape *s = &job->x.shape;
    if (s->rank != 4 || s->dim[1] != 3 || s->dim[0] < 1)
        return hr_fail(HR_E_SHAPE, "%s: shape %s: [n,3,height,width] is wanted", path,
                       hr_shape_str(s).s);
    job->count = (size_t)s->dim[0];
    job->chunk = job->count < CHUNK ? job->count : CHUNK;
    job->in_floats = (size_t)(3 * s->dim[2] * s->dim[3]);
    job->in = hr_mem_alloc(job->count, job->in_floats * sizeof *job->in);
    if (!job->in)
        return HR_E_MEMORY;
    hr_tensor_to_f32(job->in, &job->x);
    return HR_OK;
}

static hrnet_status run_chunks(struct run_job *job, const char *name)
{
    for (size_t at = 0; at < job->count; at += job->chunk) {
        const size_t n = job->count - at < job->chunk ? job->count - at : job->chunk;
        hrnet_status status =
            hrnet_session_run(job->session, job->in + at * job->in_floats, n, job->logits);
        if (status == HRNET_OK)
            status = hrnet_session_feature(job->session, name, job->out + at * job->out_floats);
        if (status != HRNET_OK)
            return status;
    }
    return HRNET_OK;
}

static enum hr_status prepare_output(struct run_job *job, const char *name)
{
    struct hrnet_session_info info;
    hrnet_session_describe(job->session, &info);
    const hrnet_status status = hrnet_session_feature_shape(job->session, name, job->out_shape);
    if (status != HRNET_OK)
        return (enum hr_status)status;
    job->out_floats = 1;
    for (int d = 1; d < 4; d++)
        job->out_floats *= job->out_shape[d] ? (size_t)job->out_shape[d] : 1;
    job->logits = hr_mem_alloc(job->chunk, (size_t)info.classes * sizeof *job->logits);
    job->out = hr_mem_alloc(job->count, job->out_floats * sizeof *job->out);
    return job->logits && job->out ? HR_OK : HR_E_MEMORY;
}

static int run(const struct hr_args *args)
{
    const char *input = hr_arg_text(args, "input"), *output = hr_arg_text(args, "output");
    const char *name = hr_arg_text(args, "output-name");
    const char *features[] = { name, NULL };
    struct run_job job = { 0 };
    if (!input || !output)
        return hr_usage_error("run", "run needs --input X.npy and --output Y.npy");
    int code = hr_setup_model(&job.model, args, args->operands[0], false);
    enum hr_status status = HR_OK;
    if (code < 0 && (status = read_tensor(&job, input)) != HR_OK)
        code = hr_report_input((int)status);
    if (code < 0)
        code = hr_setup_session(&job.session, job.model, args, job.chunk, (int)job.x.shape.dim[2],
                                (int)job.x.shape.dim[3], features);
    if (code < 0 && status == HR_OK)
        status = prepare_output(&job, name);
    if (code < 0 && status == HR_OK)
        status = (enum hr_status)run_chunks(&job, name);
    if (code < 0 && status == HR_OK) {
        struct hr_shape shape = { .rank = job.out_shape[2] ? 4 : 2 };
        memcpy(shape.dim, job.out_shape, sizeof job.out_shape);
        shape.dim[0] = (int64_t)job.count;
        status = hr_output_npy(output, job.out, &shape);
    }
    if (code < 0)
        code = status == HR_OK ? 0 : hr_report((int)status);
    hrnet_session_destroy(job.session);
    hrnet_model_release(job.model);
    hr_store_destroy(job.arrays);
    hr_input_close(&job.file);
    hr_mem_free(job.in);
    hr_mem_free(job.logits);
    hr_mem_free(job.out);
    return code;
}

static const struct hr_flag *const run_groups[] = { run_flags, hr_model_flags, hr_session_flags,
                                                    NULL };

const struct hr_command hr_command_run = {
    .name = "run",
    .operands = "MODEL",
    .takes = HR_FLAG_MODEL,
    .summary = "run a raw float32 tensor through the network",
    .examples = "hrnet run w18.safetensors --input x.npy --output y.npy\n"
                "hrnet run HRNet_W18_C --weights w.pdparams -i x.npy -o f.npy --output-name pool",
    .groups = run_groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = run,
};

/* ---- preprocess ---- */

static const struct hr_flag preprocess_flags[] = {
    { "output", 'o', HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "x.npy: the float32 tensor [1,3,h,w]; x.png: the 8-bit crop" },
    { 0 },
};

static enum hr_status write_crop(const char *output, const struct hrnet_recipe *recipe,
                                 const struct hr_input *input, const char *name,
                                 const struct hrnet_decode_options *decode,
                                 struct hrnet_picture_report *report)
{
    const size_t bytes = (size_t)recipe->crop_height * (size_t)recipe->crop_width * 3;
    uint8_t *rgb = hr_mem_alloc(bytes, 1);
    if (!rgb)
        return HR_E_MEMORY;
    enum hr_status status = (enum hr_status)hrnet_preprocess_crop(recipe, input->data, input->size,
                                                                  name, decode, rgb, report);
    if (status == HR_OK)
        status = hr_output_png(output, rgb, recipe->crop_width, recipe->crop_height);
    hr_mem_free(rgb);
    return status;
}

static enum hr_status write_tensor(const char *output, const struct hrnet_recipe *recipe,
                                   const struct hr_input *input, const char *name,
                                   const struct hrnet_decode_options *decode,
                                   struct hrnet_picture_report *report)
{
    const struct hr_shape shape = { 4, { 1, 3, recipe->crop_height, recipe->crop_width } };
    float *x =
        hr_mem_alloc((size_t)recipe->crop_height * (size_t)recipe->crop_width * 3, sizeof *x);
    if (!x)
        return HR_E_MEMORY;
    enum hr_status status = (enum hr_status)hrnet_preprocess_memory(
        recipe, input->data, input->size, name, decode, x, report);
    if (status == HR_OK)
        status = hr_output_npy(output, x, &shape);
    hr_mem_free(x);
    return status;
}

/* .npy, .png, or no suffix: then it is .npy too. */
static bool has_other_suffix(const char *output)
{
    return strchr(hr_os_base_name(output), '.') && !hr_text_ends(output, ".npy") &&
           !hr_text_ends(output, ".png");
}

static int preprocess(const struct hr_args *args)
{
    const char *output = hr_arg_text(args, "output"), *name = args->operands[0];
    const struct hrnet_decode_options decode = hr_setup_decode(args);
    struct hrnet_picture_report report = { 0 };
    struct hrnet_recipe recipe;
    struct hr_input input = { 0 };
    hrnet_model *model = NULL;
    if (!output)
        return hr_usage_error("preprocess", "preprocess needs --output x.npy or x.png");
    if (has_other_suffix(output))
        return hr_usage_error("preprocess", "--output is '%s': x.npy or x.png is wanted", output);
    int code = -1;
    hrnet_recipe_named("opencv", &recipe);
    if (hr_arg_text(args, "model")) {
        code = hr_setup_model(&model, args, NULL, false);
        if (code < 0)
            hrnet_model_recipe(model, &recipe);
    } else {
        code = hr_setup_recipe(&recipe, args, &recipe);
    }
    if (code < 0) {
        enum hr_status status = hr_input_open(&input, name, decode.max_bytes);
        if (status == HR_OK)
            status = (hr_text_ends(output, ".png") ? write_crop : write_tensor)(
                output, &recipe, &input, name, &decode, &report);
        code = status == HR_OK ? 0 : hr_report_input((int)status);
        if (report.warning[0])
            fprintf(stderr, "hrnet: %s: %s\n", name, report.warning);
    }
    hr_input_close(&input);
    hrnet_model_release(model);
    return code;
}

static const struct hr_flag *const preprocess_groups[] = { preprocess_flags, hr_model_flag,
                                                           hr_recipe_flags, hr_decode_flags, NULL };

const struct hr_command hr_command_preprocess = {
    .name = "preprocess",
    .operands = "PICTURE",
    .takes = HR_FLAG_FILE,
    .summary = "show what the network sees of a picture",
    .examples = "hrnet preprocess cat.jpg -o x.npy                    # the exact tensor\n"
                "hrnet preprocess cat.jpg -o x.png --recipe pillow    # the 8-bit crop",
    .groups = preprocess_groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = preprocess,
};
