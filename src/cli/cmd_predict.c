/* SPDX-License-Identifier: Apache-2.0
 * hrnet predict: pictures in, classes out, in input order.  A bad picture is a record of its own;
 * the rest goes on. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/html.h"
#include "cli/inputs.h"
#include "cli/maps.h"
#include "cli/pipeline.h"
#include "cli/progress.h"
#include "cli/records.h"
#include "cli/setup.h"
#include "tensor/npy.h"

#define EXIT_PARTIAL     1
#define EXIT_INTERRUPTED 130

static const struct hr_flag flags[] = {
    { "top", 'k', HR_FLAG_COUNT, "N", "5", 1, 16777216, "classes to tell" },
    { "threshold", 0, HR_FLAG_REAL, "P", NULL, 0, 1, "leave out classes below this probability" },
    { "batch", 'b', HR_FLAG_COUNT, "N", "1", 1, 1024, "pictures computed at once" },
    { "format", 'f', HR_FLAG_CHOICE, "text|json|jsonl|csv|tsv", "text", 0, 0, "output" },
    { "output", 'o', HR_FLAG_FILE, "FILE", NULL, 0, 0, "write there instead of standard output" },
    { "paddleclas", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "the paddleclas command's line format" },
    { "features", 0, HR_FLAG_TEXT, "FILE.npz|NAME,...", NULL, 0, 0,
      "save all feature maps of one picture; or those of these names in --features-dir" },
    { "features-dir", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0,
      "where each picture's feature maps go, as .npz" },
    { "save-dir", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0,
      "copy each picture to FOLDER/CLASS_ID/" },
    { "html", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "a page of thumbnails with the answers, too; it needs nothing beside it" },
    { "files-from", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "read inputs from FILE, or - for stdin" },
    { "null", '0', HR_FLAG_SWITCH, NULL, NULL, 0, 0, "names in --files-from end in zero bytes" },
    { "strict", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "truncated pictures are errors; stop at the first error" },
    { "progress", 0, HR_FLAG_CHOICE, "bar|plain|json|none", NULL, 0, 0, "progress on stderr" },
    { 0 },
};

#define MAX_FEATURES 20

struct job {
    const struct hr_args *args;
    struct hr_names inputs;
    hrnet_model *model;
    int classes;
    struct hr_pipeline *pipeline;
    hrnet_session *session;
    size_t batch, k;
    float threshold;
    float *logits;
    size_t *index;
    struct hr_record_writer writer;
    struct hr_replace output; /* open with --output FILE */
    struct hr_replace page;   /* open with --html FILE */
    const char *features[MAX_FEATURES + 1];
    char *feature_text;
    size_t failed;
};

/* ---- Side outputs ---- */

static enum hr_status copy_file(const char *from, const char *to)
{
    struct hr_input input = { 0 };
    struct hr_replace replace = { 0 };
    HR_TRY(hr_input_open(&input, from, SIZE_MAX));
    enum hr_status status = hr_replace_begin(&replace, to);
    if (status == HR_OK) {
        (void)!fwrite(input.data, 1, input.size, replace.file);
        status = hr_replace_commit(&replace);
    }
    hr_input_close(&input);
    return status;
}

/* FOLDER/CLASS_ID/NAME. */
static enum hr_status save_copy(const char *folder, const char *name, size_t class_index)
{
    struct hr_text path = { 0 };
    hr_text_printf(&path, "%s/%zu", folder, class_index);
    enum hr_status status = path.status;
    if (status == HR_OK)
        status = hr_os_make_folders(path.data);
    hr_text_printf(&path, "/%s", strcmp(name, "-") == 0 ? "stdin" : hr_os_base_name(name));
    if (status == HR_OK)
        status = path.status;
    if (status == HR_OK)
        status = copy_file(name, path.data);
    hr_text_fini(&path);
    return status;
}

/* The maps of picture `at` of `count`: FOLDER/NAME.npz, or the one file. */
static enum hr_status save_features(struct job *job, const char *name, size_t at, size_t count)
{
    const char *folder = hr_arg_text(job->args, "features-dir");
    struct hr_store *store = NULL;
    struct hr_text path = { 0 };
    HR_TRY(hr_store_create(&store));
    enum hr_status status = folder ? hr_os_make_folders(folder) : HR_OK;
    if (status == HR_OK)
        status = hr_maps_add(store, job->session, job->features, at, count);
    if (folder)
        hr_text_printf(&path, "%s/%s.npz", folder,
                       strcmp(name, "-") == 0 ? "stdin" : hr_os_base_name(name));
    else
        hr_text_add(&path, hr_arg_text(job->args, "features"));
    if (status == HR_OK)
        status = path.status;
    if (status == HR_OK)
        status = hr_npz_save(store, path.data);
    hr_text_fini(&path);
    hr_store_destroy(store);
    return status;
}

/* ---- The loop ---- */

static size_t above_threshold(const struct job *job, const float *p, size_t top)
{
    size_t kept = 0;
    while (kept < top && p[job->index[kept]] >= job->threshold)
        kept++;
    return kept;
}

static enum hr_status finish_picture(struct job *job, const struct hr_picture_slot *slot, size_t at,
                                     size_t count)
{
    const size_t classes = (size_t)job->classes;
    float *p = job->logits + at * classes;
    const char *save = hr_arg_text(job->args, "save-dir");
    enum hr_status status = HR_OK;
    hrnet_model_scores(job->model, p, p);
    const size_t top = hrnet_top_k(p, classes, job->k, job->index);
    const size_t told = above_threshold(job, p, top);
    hr_records_add(&job->writer, slot, p, job->index, told);
    if (job->page.file)
        status = hr_html_add(job->page.file, job->model, slot, p, job->index, told);
    if (status == HR_OK && save)
        status = save_copy(save, slot->name, job->index[0]);
    if (status == HR_OK && job->features[0])
        status = save_features(job, slot->name, at, count);
    return status;
}

/* HR_OK, or what keeps the rest from going on. */
static enum hr_status finish_batch(struct job *job, const struct hr_batch *batch)
{
    size_t at = 0;
    if (batch->decoded_count > 0 &&
        hrnet_session_run(job->session, batch->x, batch->decoded_count, job->logits) != HRNET_OK)
        return HR_E_INTERNAL;
    for (size_t i = 0; i < batch->count; i++) {
        const struct hr_picture_slot *slot = &batch->slots[i];
        if (slot->decoded) {
            HR_TRY(finish_picture(job, slot, at++, batch->decoded_count));
            continue;
        }
        hr_records_add(&job->writer, slot, NULL, NULL, 0);
        if (job->page.file)
            HR_TRY(hr_html_add(job->page.file, job->model, slot, NULL, NULL, 0));
        job->failed++;
        if (hr_arg_switch(job->args, "strict"))
            return hr_fail(HR_E_CANCELLED, "stopped at the first error (--strict)");
    }
    return HR_OK;
}

static int run_pictures(struct job *job)
{
    struct hr_progress progress;
    const struct hr_batch *batch;
    enum hr_status status = HR_OK;
    size_t done = 0;
    hr_progress_start(&progress, hr_arg_text(job->args, "progress"), "predict", "pictures");
    hr_records_begin(&job->writer);
    if (job->page.file)
        hr_html_begin(job->page.file, job->model);
    while (status == HR_OK && !hr_interrupted() && !ferror(job->writer.out) &&
           (batch = hr_pipeline_next(job->pipeline))) {
        hr_progress_hide(&progress);
        status = finish_batch(job, batch);
        if (job->writer.out == stdout)
            (void)fflush(stdout); /* whoever reads a pipe gets each batch as it is done */
        done += batch->count;
        hr_progress_show(&progress, done, job->inputs.count);
    }
    hr_records_end(&job->writer);
    if (job->page.file)
        hr_html_end(job->page.file);
    hr_progress_end(&progress);
    if (status == HR_E_CANCELLED) {
        fprintf(stderr, "hrnet: %s\n", hr_last_message());
        return EXIT_PARTIAL;
    }
    if (status != HR_OK)
        return hr_report((int)status);
    if (hr_interrupted()) {
        fprintf(stderr, "hrnet: interrupted after %zu of %zu pictures\n", done, job->inputs.count);
        return EXIT_INTERRUPTED;
    }
    return job->failed ? EXIT_PARTIAL : 0;
}

/* ---- Setting up ---- */

static int read_inputs(struct job *job)
{
    const char *list = hr_arg_text(job->args, "files-from");
    enum hr_status status = HR_OK;
    for (int i = 0; i < job->args->operand_count && status == HR_OK; i++)
        status = hr_inputs_expand(&job->inputs, job->args->operands[i]);
    if (status == HR_OK && list)
        status = hr_inputs_list(&job->inputs, list, hr_arg_switch(job->args, "null"));
    if (status != HR_OK)
        return hr_report_input((int)status);
    if (job->inputs.count == 0)
        return hr_usage_error("predict", job->args->operand_count || list
                                             ? "no pictures found there"
                                             : "predict needs at least one PICTURE");
    return -1;
}

static int all_features(struct job *job)
{
    const char *const *names = hrnet_feature_names();
    if (job->inputs.count != 1)
        return hr_usage_error("predict",
                              "--features FILE.npz holds one picture, not %zu: NAME,... with "
                              "--features-dir FOLDER makes a file each",
                              job->inputs.count);
    for (size_t i = 0; names[i] && i < MAX_FEATURES; i++)
        job->features[i] = names[i];
    return -1;
}

static int read_features(struct job *job)
{
    const char *text = hr_arg_text(job->args, "features");
    size_t count = 0;
    if (!text)
        return -1;
    if (hr_text_ends(text, ".npz") && !hr_arg_text(job->args, "features-dir"))
        return all_features(job);
    if (!hr_arg_text(job->args, "features-dir"))
        return hr_usage_error("predict",
                              "--features is FILE.npz, or NAME,... with --features-dir FOLDER");
    if (!(job->feature_text = hr_mem_strdup(text)))
        return hr_report(HRNET_E_MEMORY);
    for (char *at = strtok(job->feature_text, ","); at; at = strtok(NULL, ",")) {
        if (count == MAX_FEATURES)
            return hr_usage_error("predict", "--features names more than %d", MAX_FEATURES);
        job->features[count++] = at;
    }
    return -1;
}

static int open_output(struct job *job)
{
    static const char *const words[] = { "text", "json", "jsonl", "csv", "tsv" };
    const char *path = hr_arg_text(job->args, "output"), *page = hr_arg_text(job->args, "html");
    const char *word = hr_arg_text(job->args, "format");
    job->writer.format = HR_RECORD_TEXT;
    for (int i = 0; i < 5; i++)
        if (strcmp(word, words[i]) == 0)
            job->writer.format = (enum hr_record_format)i;
    if (hr_arg_switch(job->args, "paddleclas"))
        job->writer.format = HR_RECORD_PADDLECLAS;
    job->writer.model = job->model;
    job->writer.k = job->k;
    if (path && strcmp(path, "-") != 0) {
        const enum hr_status status = hr_replace_begin(&job->output, path);
        if (status != HR_OK)
            return hr_report((int)status);
    }
    job->writer.out = job->output.file ? job->output.file : stdout;
    if (page) {
        const enum hr_status status = hr_replace_begin(&job->page, page);
        if (status != HR_OK)
            return hr_report((int)status);
    }
    return -1;
}

static hrnet_status start_decoding(struct job *job)
{
    struct hr_pipeline_options options = { .inputs = &job->inputs,
                                           .decode = hr_setup_decode(job->args),
                                           .batch = job->batch,
                                           .strict = hr_arg_switch(job->args, "strict"),
                                           .thumbnail = hr_arg_text(job->args, "html")
                                                            ? HR_HTML_THUMBNAIL
                                                            : 0 };
    hrnet_model_recipe(job->model, &options.recipe);
    return hr_pipeline_create(&job->pipeline, &options);
}

/* The first pictures are decoded while the session is made. */
static int prepare(struct job *job)
{
    int code = read_inputs(job);
    if (code < 0)
        code = read_features(job);
    if (code < 0)
        code = hr_setup_model(&job->model, job->args, NULL, false);
    if (code >= 0)
        return code;
    struct hrnet_recipe recipe;
    hrnet_model_recipe(job->model, &recipe);
    job->batch = (size_t)hr_arg_count(job->args, "batch");
    if (job->batch > job->inputs.count)
        job->batch = job->inputs.count;
    const hrnet_status started = start_decoding(job);
    if (started != HRNET_OK)
        return hr_report((int)started);
    code = hr_setup_session(&job->session, job->model, job->args, job->batch, recipe.crop_height,
                            recipe.crop_width, job->features);
    if (code >= 0)
        return code;
    struct hrnet_session_info info;
    hrnet_session_describe(job->session, &info);
    job->classes = info.classes;
    job->k = (size_t)hr_arg_count(job->args, "top");
    job->k = job->k < (size_t)info.classes ? job->k : (size_t)info.classes;
    job->threshold =
        hr_arg_text(job->args, "threshold") ? (float)hr_arg_real(job->args, "threshold") : -1.0f;
    job->logits = hr_mem_alloc(job->batch, (size_t)info.classes * sizeof *job->logits);
    job->index = hr_mem_alloc(job->k, sizeof *job->index);
    if (!job->logits || !job->index)
        return hr_report(HRNET_E_MEMORY);
    return open_output(job);
}

/* The file gets its name when it holds all records, or those before the user stopped. */
static int close_file(struct hr_replace *file, int code)
{
    if (code > EXIT_PARTIAL && code != EXIT_INTERRUPTED) {
        hr_replace_abort(file);
        return code;
    }
    const enum hr_status status = hr_replace_commit(file);
    return status == HR_OK ? code : hr_report((int)status);
}

static int predict(const struct hr_args *args)
{
    struct job job = { .args = args };
    hr_interrupt_watch();
    int code = prepare(&job);
    if (code < 0)
        code = run_pictures(&job);
    if (job.output.file)
        code = close_file(&job.output, code);
    if (job.page.file)
        code = close_file(&job.page, code);
    hr_pipeline_destroy(job.pipeline);
    hrnet_session_destroy(job.session);
    hrnet_model_release(job.model);
    hr_names_fini(&job.inputs);
    hr_mem_free(job.logits);
    hr_mem_free(job.index);
    hr_mem_free(job.feature_text);
    return code;
}

static const struct hr_flag *const groups[] = {
    hr_model_flag, hr_model_flags, flags, hr_recipe_flags, hr_decode_flags, hr_session_flags, NULL
};

const struct hr_command hr_command_predict = {
    .name = "predict",
    .operands = "PICTURE...",
    .takes = HR_FLAG_FILE,
    .summary = "classify pictures",
    .examples = "hrnet predict cat.jpg -m HRNet_W18_C_ssld       # one picture\n"
                "hrnet predict photos/ -m w18.safetensors -k 3 --format csv > out.csv\n"
                "find . -name '*.png' | hrnet predict --files-from - -m w18.pth --format jsonl\n"
                "hrnet predict photos/ -m w18.safetensors --html sheet.html\n"
                "hrnet predict https://example.org/cat.jpg -m HRNet_W48_C_ssld",
    .groups = groups,
    .least_operands = 0,
    .most_operands = -1,
    .run = predict,
};
