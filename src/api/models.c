/* SPDX-License-Identifier: Apache-2.0
 * The public API, part two: models: open, describe, save, verify. */
#include "api/api.h"

#include <math.h>

#include "base/mem.h"
#include "base/os.h"
#include "exchange/open.h"
#include "graph/graph.h"
#include "model/labels.h"
#include "model/zoo.h"

#define SELF_TEST_SIZE  64   /* px: verified in a second, yet every branch has pixels */
#define SELF_TEST_ERROR 5e-4 /* of the largest logit: covers every kernel family */
#define UNIFORM         1.05 /* times 1/classes: scores below it tell no class from another */

void hrnet_model_options_init(struct hrnet_model_options *options, size_t struct_size)
{
    HR_API_OPTIONS_INIT(struct hrnet_model_options, { 0 });
}

/* Options with what they point at, in inner form. */
struct model_setup {
    struct hr_model_options options;
    struct hr_recipe recipe;
    struct hr_labels labels;
};

static enum hr_status read_labels(struct hr_labels *labels, const char *path)
{
    struct hr_map map = { 0 };
    HR_TRY(hr_map_open(&map, path));
    const enum hr_status status = hr_labels_parse(labels, map.data, map.size, path);
    hr_map_close(&map);
    return status;
}

static enum hr_status model_setup(struct model_setup *setup,
                                  const struct hrnet_model_options *options)
{
    *setup = (struct model_setup){ 0 };
    if (!options)
        return HR_OK;
    struct hrnet_model_options o = { 0 };
    HR_TRY(hr_api_options_copy(&o, sizeof o, options, "hrnet_model_options"));
    if (o.classes < 0)
        return hr_fail(HR_E_ARGUMENT, "classes is %d: it must be at least 1, or 0 for the file's",
                       o.classes);
    if ((unsigned)o.activation > HRNET_RESULT_SIGMOID)
        return hr_fail(HR_E_ARGUMENT, "activation is %d: a hrnet_result is wanted",
                       (int)o.activation);
    setup->options = (struct hr_model_options){
        .architecture = o.architecture,
        .classes = o.classes,
        .replace_head = o.replace_head != 0,
        .fuse_order = o.microsoft_fuse_order ? HR_FUSE_MICROSOFT : HR_FUSE_PADDLE,
        .fuse_order_set = o.microsoft_fuse_order != 0,
        .activation =
            o.activation == HRNET_RESULT_SIGMOID ? HR_ACTIVATION_SIGMOID : HR_ACTIVATION_SOFTMAX,
        .activation_set = o.activation != HRNET_RESULT_LOGITS,
        .threads = o.threads
    };
    if (o.recipe) {
        HR_TRY(hr_api_recipe_checked(&setup->recipe, o.recipe));
        setup->options.recipe = &setup->recipe;
    }
    if (o.labels_path) {
        HR_TRY(read_labels(&setup->labels, o.labels_path));
        setup->options.labels = &setup->labels;
    }
    return HR_OK;
}

/* Takes the model whatever happens. */
static enum hr_status wrap_model(hrnet_model **out, struct hr_model *model)
{
    struct hrnet_model *wrapped = hr_mem_alloc(1, sizeof *wrapped);
    enum hr_status status = HR_E_MEMORY;
    if (wrapped && (status = hr_packs_create(&wrapped->packs, hr_model_weights(model))) == HR_OK) {
        wrapped->model = model;
        wrapped->references = 1;
        *out = wrapped;
        return HR_OK;
    }
    hr_mem_free(wrapped);
    hr_model_unref(model);
    return status;
}

hrnet_status hrnet_model_open(hrnet_model **out, const char *path,
                              const struct hrnet_model_options *options)
{
    struct model_setup setup;
    struct hr_model *model = NULL;
    if (!out || !path)
        return hr_api_missing_argument(__func__);
    enum hr_status status = model_setup(&setup, options);
    if (status == HR_OK)
        status = hr_exchange_open(&model, path, &setup.options);
    if (status == HR_OK)
        status = wrap_model(out, model);
    hr_labels_fini(&setup.labels);
    return PUBLIC(status);
}

hrnet_status hrnet_model_open_memory(hrnet_model **out, const void *data, size_t size,
                                     const char *name, const struct hrnet_model_options *options)
{
    struct model_setup setup;
    struct hr_model *model = NULL;
    if (!out || (!data && size))
        return hr_api_missing_argument(__func__);
    enum hr_status status = model_setup(&setup, options);
    if (status == HR_OK)
        status =
            hr_exchange_open_memory(&model, data, size, name ? name : "memory", &setup.options);
    if (status == HR_OK)
        status = wrap_model(out, model);
    hr_labels_fini(&setup.labels);
    return PUBLIC(status);
}

hrnet_status hrnet_model_synthetic(hrnet_model **out, const char *architecture,
                                   const struct hrnet_model_options *options)
{
    struct model_setup setup;
    struct hr_model *model = NULL;
    struct hr_store *store = NULL;
    const struct hr_zoo_row *row;
    if (!out || !architecture)
        return hr_api_missing_argument(__func__);
    enum hr_status status = model_setup(&setup, options);
    if (status == HR_OK)
        status = hr_zoo_find(&row, architecture);
    if (status == HR_OK)
        status =
            hr_synthetic_weights(&store, row, setup.options.classes ? setup.options.classes : 1000);
    if (status == HR_OK)
        /* Not the architecture's name, which is also that of published weights. */
        status = hr_model_from_store(&model, store, "synthetic weights", &setup.options);
    if (status == HR_OK)
        status = wrap_model(out, model);
    hr_labels_fini(&setup.labels);
    return PUBLIC(status);
}

void hrnet_model_release(hrnet_model *model)
{
    if (model && __atomic_sub_fetch(&model->references, 1, __ATOMIC_ACQ_REL) == 0) {
        hr_packs_destroy(model->packs);
        hr_model_unref(model->model);
        hr_mem_free(model);
    }
}

/* The three ways in which people count parameters (paddleclas.md, section 8). */
static void count_parameters(struct hrnet_model_info *info, const struct hr_store *weights)
{
    for (size_t i = 0; i < hr_store_count(weights); i++) {
        const struct hr_tensor *t = hr_store_tensor(weights, i);
        const char *name = hr_store_name(weights, i);
        size_t elements = 0;
        if (hr_shape_elements(&t->shape, &elements) != HR_OK)
            continue;
        const bool statistic = strstr(name, "._mean") || strstr(name, "._variance");
        const bool linear_bias = t->shape.rank == 1 && !strstr(name, ".bn.") && !statistic;
        info->tensors++;
        info->parameters_stored += elements;
        info->weight_bytes += elements * hr_dtype_bytes(t->dtype);
        info->parameters += statistic ? 0 : elements;
        info->parameters_page += statistic || linear_bias ? 0 : elements;
    }
}

hrnet_status hrnet_model_describe(const hrnet_model *model, struct hrnet_model_info *out)
{
    if (!model || !out)
        return hr_api_missing_argument(__func__);
    const struct hr_model *m = model->model;
    const struct hr_match *match = hr_model_match(m);
    const struct hr_recipe *recipe = hr_model_recipe(m);
    const struct hr_zoo_weights *published = hr_model_published(m);
    struct hrnet_model_info info = {
        .architecture = hr_model_architecture(m),
        .format = hr_format_name(hr_model_format(m)),
        .scheme = hr_model_scheme(m),
        .prefix = match->is.prefix,
        .verdict = match->verdict,
        .precision = "fp32",
        .published = published ? published->name : NULL,
        .fuse_order = hr_model_fuse_order(m) == HR_FUSE_MICROSOFT ? "microsoft" : "paddle",
        .classes = hr_model_classes(m),
        .squeeze = hr_model_row(m) && hr_model_row(m)->squeeze,
        .label_count = (int)hr_model_labels(m)->count,
        .head_untrained = hr_model_head_untrained(m),
        .activation = hr_model_activation(m) == HR_ACTIVATION_SIGMOID ? HRNET_RESULT_SIGMOID
                                                                      : HRNET_RESULT_SOFTMAX
    };
    struct hr_graph *graph;
    const enum hr_status status =
        hr_model_graph(m, 1, recipe->crop_height, recipe->crop_width, &graph);
    if (status != HR_OK)
        return PUBLIC(status);
    info.multiply_adds = hr_graph_multiply_adds(graph);
    hr_graph_destroy(graph);
    for (int kind = 0; kind < HR_NAME_KIND_COUNT; kind++)
        info.ignored += match->ignored[kind];
    count_parameters(&info, hr_model_weights(m));
    const enum hr_status hashed = hr_model_checksum(m, info.checksum);
    if (hashed == HR_OK)
        *out = info;
    return PUBLIC(hashed);
}

hrnet_status hrnet_model_recipe(const hrnet_model *model, struct hrnet_recipe *out)
{
    if (!model || !out)
        return hr_api_missing_argument(__func__);
    *out = hr_api_recipe_outer(hr_model_recipe(model->model));
    return HRNET_OK;
}

const char *hrnet_model_label(const hrnet_model *model, int class_index)
{
    const struct hr_labels *labels = model ? hr_model_labels(model->model) : NULL;
    if (!labels || class_index < 0 || (size_t)class_index >= labels->count)
        return "";
    return labels->names[class_index];
}

/* ---- Self test, save, verify ---- */

enum hr_status hr_api_answer(float **out, struct hr_model *model, struct hr_packs *packs,
                             int64_t height, int64_t width, const char *input)
{
    const struct hr_session_options options = {
        .batch = 1, .height = height, .width = width, .cpu_flags = ~0u
    };
    const size_t count = (size_t)(3 * height * width);
    struct hr_session *session = NULL;
    float *x = hr_mem_alloc(count, sizeof *x);
    float *logits = hr_mem_alloc((size_t)hr_model_classes(model), sizeof *logits);
    enum hr_status status = x && logits ? HR_OK : HR_E_MEMORY;
    if (status == HR_OK)
        status = hr_session_create(&session, model, packs, &options);
    if (status == HR_OK) {
        hr_synthetic_fill(x, count, input);
        hr_session_run(session, x, 1, logits);
        *out = logits;
        logits = NULL;
    }
    hr_session_destroy(session);
    hr_mem_free(logits);
    hr_mem_free(x);
    return status;
}

/* Logits of the synthetic input "self-test"; the caller frees them. */
static enum hr_status self_test(hrnet_model *model, float **out)
{
    return hr_api_answer(out, model->model, model->packs, SELF_TEST_SIZE, SELF_TEST_SIZE,
                         "self-test");
}

hrnet_status hrnet_model_save(hrnet_model *model, const char *path, hrnet_file_format format)
{
    static const struct {
        enum hr_format format;
        enum hr_scheme scheme;
    } files[] = { [HRNET_FILE_HRNET] = { HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE },
                  [HRNET_FILE_SAFETENSORS] = { HR_FORMAT_SAFETENSORS, HR_SCHEME_TIMM },
                  [HRNET_FILE_PADDLE] = { HR_FORMAT_PADDLE, HR_SCHEME_PADDLE },
                  [HRNET_FILE_TORCH] = { HR_FORMAT_TORCH, HR_SCHEME_MICROSOFT },
                  [HRNET_FILE_HALF] = { HR_FORMAT_SAFETENSORS, HR_SCHEME_PADDLE } };
    if (!model || !path)
        return hr_api_missing_argument(__func__);
    if ((size_t)format >= HR_COUNT(files))
        return hr_api_out_of_range("file format", (size_t)format, HR_COUNT(files));
    struct hr_model *saved = hr_model_ref(model->model);
    struct hr_packs *packs = NULL;
    float *logits = NULL;
    enum hr_status status = HR_OK;
    if (format == HRNET_FILE_HALF) {
        hr_model_unref(saved);
        saved = NULL;
        status = hr_model_halve(&saved, model->model);
        if (status == HR_OK)
            status = hr_packs_create(&packs, hr_model_weights(saved));
    }
    if (status == HR_OK)
        status = hr_api_answer(&logits, saved, packs ? packs : model->packs, SELF_TEST_SIZE,
                               SELF_TEST_SIZE, "self-test");
    if (status == HR_OK)
        status = hr_model_save(saved, path, files[format].format, files[format].scheme, logits);
    hr_packs_destroy(packs);
    hr_model_unref(saved);
    hr_mem_free(logits);
    return PUBLIC(status);
}

double hr_api_relative_error(const float *got, const float *want, size_t count)
{
    double largest = 0, difference = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)got[i] - (double)want[i];
        const double magnitude = d < 0 ? -d : d;
        const double value = want[i] < 0 ? -(double)want[i] : (double)want[i];
        if (!(magnitude <= 1e30))
            return 1e30;
        difference = magnitude > difference ? magnitude : difference;
        largest = value > largest ? value : largest;
    }
    return largest > 0 ? difference / largest : difference;
}

/* A trained head prefers something: the largest of n probabilities is well above 1/n. */
static bool nearly_uniform(const float *logits, size_t count)
{
    double largest = (double)logits[0], sum = 0;
    for (size_t i = 1; i < count; i++)
        largest = (double)logits[i] > largest ? (double)logits[i] : largest;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - largest);
    return count > 1 && sum > (double)count / UNIFORM;
}

static enum hr_status verify_checksum(struct hrnet_verify_report *report, hrnet_model *model)
{
    char hex[65];
    const char *stored = hr_model_stored_checksum(model->model);
    if (!stored)
        return HR_OK;
    HR_TRY(hr_model_checksum(model->model, hex));
    report->checksum_stored = 1;
    report->checksum_passed = strcmp(hex, stored) == 0;
    return HR_OK;
}

static enum hr_status verify_self_test(struct hrnet_verify_report *report, hrnet_model *model)
{
    const float *want = hr_model_stored_self_test(model->model);
    const size_t classes = (size_t)hr_model_classes(model->model);
    float *got = NULL;
    if (!want)
        return HR_OK;
    HR_TRY(self_test(model, &got));
    report->self_test_stored = 1;
    report->self_test_error = hr_api_relative_error(got, want, classes);
    report->self_test_passed = report->self_test_error <= SELF_TEST_ERROR;
    report->uniform = hr_model_head_untrained(model->model) || nearly_uniform(got, classes);
    hr_mem_free(got);
    return HR_OK;
}

static enum hr_status judge(const struct hrnet_verify_report *report)
{
    if (!report->checksum_stored || !report->self_test_stored)
        return hr_fail(HR_E_MISMATCH, "the file stores no %s: make it with hrnet convert",
                       report->checksum_stored ? "self test" : "checksum");
    if (!report->checksum_passed)
        return hr_fail(HR_E_MISMATCH, "the weights' checksum is not the stored one: the file is "
                                      "damaged, fetch or convert it again");
    if (!report->self_test_passed)
        return hr_fail(HR_E_MISMATCH,
                       "the self test is off by %.2g of the largest logit, more than %.0e",
                       report->self_test_error, SELF_TEST_ERROR);
    if (report->uniform)
        return hr_fail(HR_E_MISMATCH, "every class gets nearly the same score: the file is whole, "
                                      "but its head is untrained");
    return HR_OK;
}

hrnet_status hrnet_model_verify(hrnet_model *model, struct hrnet_verify_report *out)
{
    if (!model || !out)
        return hr_api_missing_argument(__func__);
    struct hrnet_verify_report report = { 0 };
    enum hr_status status = verify_checksum(&report, model);
    if (status == HR_OK)
        status = verify_self_test(&report, model);
    if (status != HR_OK)
        return PUBLIC(status);
    *out = report;
    return PUBLIC(judge(&report));
}
