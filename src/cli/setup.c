/* SPDX-License-Identifier: Apache-2.0
 * From flags to models and sessions, the same for every command. */
#include "cli/setup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "cli/cache.h"

const struct hr_flag hr_model_flag[] = {
    { "model", 'm', HR_FLAG_MODEL, "MODEL", NULL, 0, 0,
      "weight file, or name of fetched weights (`hrnet models`)" },
    { 0 },
};

const struct hr_flag hr_model_flags[] = {
    { "weights", 'w', HR_FLAG_FILE, "FILE", NULL, 0, 0,
      "weight file, when the model is named by its architecture" },
    { "classes", 0, HR_FLAG_COUNT, "N", NULL, 1, 16777216,
      "insist on this class count (default: the file's)" },
    { "labels", 0, HR_FLAG_FILE, "FILE", NULL, 0, 0, "class names, one `id name` or name a line" },
    { "fuse-order", 0, HR_FLAG_CHOICE, "paddle|microsoft", NULL, 0, 0,
      "order in which fuse layers add" },
    { "activation", 0, HR_FLAG_CHOICE, "softmax|sigmoid", NULL, 0, 0,
      "what makes scores: sigmoid for several labels a picture (default: as the model was "
      "trained)" },
    { 0 },
};

const struct hr_flag hr_recipe_flags[] = {
    { "recipe", 0, HR_FLAG_CHOICE, "opencv|opencv-deploy|pillow|pillow-bicubic", NULL, 0, 0,
      "preprocessing, instead of the model's own" },
    { "size", 0, HR_FLAG_TEXT, "N|HxW", NULL, 0, 0, "input size of the network, px" },
    { "resize-short", 0, HR_FLAG_COUNT, "N", NULL, 0, 16384,
      "short side before the crop, px; 0 stretches to the size" },
    { "crop-ratio", 0, HR_FLAG_REAL, "R", NULL, 0, 0, "sets resize-short to size / R" },
    { "scale", 0, HR_FLAG_REAL, "R", NULL, 0, 0, "factor of the 8-bit values" },
    { "mean", 0, HR_FLAG_TEXT, "R,G,B", NULL, 0, 0, "subtracted after scaling" },
    { "deviation", 0, HR_FLAG_TEXT, "R,G,B", NULL, 0, 0, "divided by at the end" },
    { 0 },
};

const struct hr_flag hr_session_flags[] = {
    { "threads", 't', HR_FLAG_COUNT, "N", "0", 0, 1024, "threads; 0: every CPU it may use" },
    { "cpu", 0, HR_FLAG_CHOICE, "baseline|avx2|avx512", NULL, 0, 0,
      "use at most these instructions" },
    { "exact", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0,
      "plain order of additions: slower, equal bits on every CPU" },
    { "memory", 0, HR_FLAG_CHOICE, "fast|lean", "fast", 0, 0,
      "lean: smaller packed weights, some per cent slower" },
    { "bits", 0, HR_FLAG_CHOICE, "picture|batch", "picture", 0, 0,
      "batch: kernels for the batch, a tenth faster at 8; bits then depend on its size" },
    { "order", 0, HR_FLAG_CHOICE, "auto|steps|waves", "auto", 0, 0,
      "one step after the other, or branches side by side (auto: from 3 threads, if more than the "
      "batch)" },
    { "tuning", 0, HR_FLAG_CHOICE, "auto|none", "auto", 0, 0,
      "auto: kernels that `hrnet tune` found faster here, if it ever ran" },
    { 0 },
};

const struct hr_flag hr_decode_flags[] = {
    { "max-pixels", 0, HR_FLAG_BYTES, "N", "178956970", 0, 0, "refuse larger pictures" },
    { "max-bytes", 0, HR_FLAG_BYTES, "SIZE", "256M", 0, 0, "refuse longer picture files" },
    { "no-orientation", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "leave EXIF orientation alone" },
    { 0 },
};

static void print_log(void *context, int level, const char *message)
{
    (void)context;
    (void)level;
    fprintf(stderr, "hrnet: %s\n", message);
}

void hr_setup_log(void)
{
    hrnet_set_log(print_log, NULL);
}

/* ---- Recipe ---- */

static bool parse_three(float out[3], const char *text)
{
    char copy[128];
    char *at = copy;
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    for (int i = 0; i < 3; i++) {
        char *comma = strchr(at, ',');
        double value;
        if ((comma == NULL) != (i == 2))
            return false;
        if (comma)
            *comma = '\0';
        if (hr_parse_f64(at, &value) != HR_OK)
            return false;
        out[i] = (float)value;
        at = comma ? comma + 1 : at;
    }
    return true;
}

/* "224" or "256x192" (height x width). */
static bool parse_size(struct hrnet_recipe *r, const char *text)
{
    char copy[64];
    int64_t height, width;
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    char *cross = strchr(copy, 'x');
    if (cross)
        *cross++ = '\0';
    if (hr_parse_i64(copy, &height) != HR_OK ||
        hr_parse_i64(cross ? cross : copy, &width) != HR_OK || height < 1 || width < 1 ||
        height > 16384 || width > 16384)
        return false;
    r->crop_height = (int)height;
    r->crop_width = (int)width;
    return true;
}

bool hr_setup_recipe_given(const struct hr_args *args)
{
    for (const struct hr_flag *f = hr_recipe_flags; f->name; f++)
        if (hr_arg_text(args, f->name))
            return true;
    return false;
}

int hr_setup_recipe(struct hrnet_recipe *out, const struct hr_args *args,
                    const struct hrnet_recipe *base)
{
    struct hrnet_recipe r = *base;
    const char *name = hr_arg_text(args, "recipe"), *size = hr_arg_text(args, "size");
    const char *mean = hr_arg_text(args, "mean"), *deviation = hr_arg_text(args, "deviation");
    const char *command = args->command->name;
    const double ratio = hr_arg_text(args, "crop-ratio") ? hr_arg_real(args, "crop-ratio") : 0;
    if (name && hrnet_recipe_named(name, &r) != HRNET_OK)
        return hr_report(HRNET_E_ARGUMENT);
    if (size && !parse_size(&r, size))
        return hr_usage_error(command, "--size is '%s': N or HxW in pixels is wanted", size);
    /* The longer side of a rectangle, so that a picture of either orientation covers the crop. */
    const int side = r.crop_height > r.crop_width ? r.crop_height : r.crop_width;
    if (hr_arg_text(args, "crop-ratio")) {
        if (!(ratio > 0 && ratio <= 1))
            return hr_usage_error(command, "--crop-ratio is %g: more than 0, at most 1 is wanted",
                                  ratio);
        r.resize_short = (int)floor(side / ratio);
    } else if (size && r.resize_short) {
        r.resize_short = (int)floor(side / 0.875); /* keeps the usual margin around the crop */
    }
    if (hr_arg_text(args, "resize-short"))
        r.resize_short = (int)hr_arg_count(args, "resize-short");
    if (hr_arg_text(args, "scale"))
        r.scale = (float)hr_arg_real(args, "scale");
    if (mean && !parse_three(r.mean, mean))
        return hr_usage_error(command, "--mean is '%s': three numbers R,G,B are wanted", mean);
    if (deviation && (!parse_three(r.deviation, deviation) || !(r.deviation[0] > 0) ||
                      !(r.deviation[1] > 0) || !(r.deviation[2] > 0)))
        return hr_usage_error(command, "--deviation is '%s': three numbers above 0 are wanted",
                              deviation);
    *out = r;
    return -1;
}

/* ---- Model ---- */

static hrnet_status open_one(hrnet_model **out, const char *name, bool synthetic,
                             const struct hrnet_model_options *options)
{
    return synthetic ? hrnet_model_synthetic(out, name, options)
                     : hrnet_model_open(out, name, options);
}

/* Opens with the options; the recipe flags change the model's own recipe, so the model may have to
 * tell it first. */
static hrnet_status open_model(hrnet_model **out, const char *name, bool synthetic,
                               struct hrnet_model_options *options, const struct hr_args *args,
                               int *code)
{
    struct hrnet_recipe recipe;
    hrnet_model *first = NULL;
    if (hr_setup_recipe_given(args))
        hrnet_set_log(NULL, NULL); /* what there is to say is said the second time */
    hrnet_status status = open_one(&first, name, synthetic, options);
    hr_setup_log();
    if (status != HRNET_OK || !hr_setup_recipe_given(args)) {
        *out = first;
        return status;
    }
    hrnet_model_recipe(first, &recipe);
    hrnet_model_release(first);
    *code = hr_setup_recipe(&recipe, args, &recipe);
    if (*code >= 0)
        return HRNET_E_ARGUMENT;
    options->recipe = &recipe;
    return open_one(out, name, synthetic, options);
}

static struct hrnet_model_options options_of(const struct hr_args *args)
{
    const char *order = hr_arg_text(args, "fuse-order");
    const char *activation = hr_arg_text(args, "activation");
    const int fresh = (int)hr_arg_count(args, "replace-head"); /* of convert */
    struct hrnet_model_options options;
    hrnet_model_options_init(&options, sizeof options);
    options.classes = fresh ? fresh : (int)hr_arg_count(args, "classes");
    options.replace_head = fresh > 0;
    options.labels_path = hr_arg_text(args, "labels");
    options.microsoft_fuse_order = order && strcmp(order, "microsoft") == 0;
    if (activation)
        options.activation =
            strcmp(activation, "sigmoid") == 0 ? HRNET_RESULT_SIGMOID : HRNET_RESULT_SOFTMAX;
    options.threads = (unsigned)hr_arg_count(args, "threads");
    return options;
}

hrnet_status hr_setup_open(hrnet_model **out, const struct hr_args *args, const char *model,
                           bool synthetic, int *code)
{
    const char *weights = hr_arg_text(args, "weights");
    struct hrnet_model_options options = options_of(args);
    struct hrnet_zoo_entry entry;
    struct hr_text path = { 0 };
    if (model && strncmp(model, "synthetic:", 10) == 0) {
        model += 10;
        synthetic = true;
    }
    hrnet_status status = HRNET_OK;
    if (weights && model) {
        status = hrnet_zoo_find(model, &entry);
        options.architecture = status == HRNET_OK ? entry.architecture : NULL;
    }
    if (status == HRNET_OK && synthetic && !weights && !hr_cache_is_path(model) &&
        hrnet_zoo_find(model, &entry) == HRNET_OK) {
        status = open_model(out, model, true, &options, args, code);
    } else if (status == HRNET_OK) {
        status = (hrnet_status)hr_cache_resolve(&path, weights ? weights : model);
        if (status == HRNET_OK)
            status = open_model(out, path.data, false, &options, args, code);
    }
    hr_text_fini(&path);
    return status;
}

int hr_setup_model(hrnet_model **out, const struct hr_args *args, const char *operand,
                   bool synthetic)
{
    int code = -1;
    const hrnet_status status =
        hr_setup_open(out, args, operand ? operand : hr_arg_text(args, "model"), synthetic, &code);
    if (code >= 0)
        return code;
    return status == HRNET_OK ? -1 : hr_report((int)status);
}

struct hrnet_session_options hr_setup_session_options(const struct hr_args *args)
{
    struct hrnet_session_options options;
    hrnet_session_options_init(&options, sizeof options);
    options.threads = (unsigned)hr_arg_count(args, "threads");
    options.cpu = hr_arg_text(args, "cpu");
    options.exact = hr_arg_switch(args, "exact");
    options.lean_memory = strcmp(hr_arg_text(args, "memory"), "lean") == 0;
    options.bits_of_batch = strcmp(hr_arg_text(args, "bits"), "batch") == 0;
    options.untrained_head = args->command->untrained_head;
    const char *order = hr_arg_text(args, "order");
    if (order && strcmp(order, "auto") != 0)
        options.order = strcmp(order, "steps") == 0 ? HRNET_ORDER_STEPS : HRNET_ORDER_WAVES;
    return options;
}

enum hr_status hr_setup_tuning(struct hr_text *out)
{
    const uint64_t machine =
        hr_hash_text(hrnet_cpu_name()) ^ hr_hash_mix(hr_hash_text(hrnet_build_info()));
    HR_TRY(hr_cache_folder(out));
    hr_text_printf(out, "/tuning-%016llx.txt", (unsigned long long)machine);
    return out->status;
}

/* With what `hrnet tune` found on this machine, unless told otherwise. */
int hr_setup_create(hrnet_session **out, hrnet_model *model, const struct hr_args *args,
                    const struct hrnet_session_options *options)
{
    struct hrnet_session_options tuned = *options;
    struct hr_text path = { 0 };
    const bool wanted = strcmp(hr_arg_text(args, "tuning"), "auto") == 0;
    if (wanted && hr_setup_tuning(&path) == HR_OK && hr_os_kind(path.data) == HR_OS_FILE)
        tuned.tuning_file = path.data;
    const hrnet_status status = hrnet_session_create(out, model, &tuned);
    hr_text_fini(&path);
    return status == HRNET_OK ? -1 : hr_report((int)status);
}

int hr_setup_session(hrnet_session **out, hrnet_model *model, const struct hr_args *args,
                     size_t batch, int height, int width, const char *const *features)
{
    struct hrnet_session_options options = hr_setup_session_options(args);
    options.batch = batch;
    options.height = height;
    options.width = width;
    options.features = features;
    return hr_setup_create(out, model, args, &options);
}

struct hrnet_decode_options hr_setup_decode(const struct hr_args *args)
{
    struct hrnet_decode_options options;
    hrnet_decode_options_init(&options, sizeof options);
    options.max_pixels = hr_arg_bytes(args, "max-pixels");
    options.max_bytes = hr_arg_bytes(args, "max-bytes");
    options.ignore_orientation = hr_arg_switch(args, "no-orientation");
    return options;
}
