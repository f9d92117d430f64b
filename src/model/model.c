/* SPDX-License-Identifier: Apache-2.0
 * A model: matched weights, labels, recipe.  Files that we wrote say of themselves what they are,
 * in metadata whose keys start with "hrnet."; any other weight file gets its family's defaults. */
#include "model/model.h"
#include "base/float16.h"
#include "model/imagenet_names.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "model/model_metadata.h"
#include "model/topology.h"

#define FILE_VERSION   "1" /* of our metadata */
#define HEAD_UNTRAINED "untrained"

struct hr_model {
    int references; /* atomic */
    struct hr_store *weights;
    struct hr_match match;
    struct hr_recipe recipe;
    struct hr_labels labels;
    enum hr_fuse_order fuse_order;
    enum hr_activation activation;
    enum hr_format format;
    const struct hr_zoo_weights *published;
    bool from_graph;        /* layers were matched, not names */
    struct hr_graph *graph; /* of a network that the zoo does not have; else NULL */
    bool head_untrained;
    char *checksum;   /* stored in the file; NULL if none */
    float *self_test; /* stored in the file, [classes]; NULL if none */
};

struct hr_model *hr_model_ref(struct hr_model *model)
{
    __atomic_add_fetch(&model->references, 1, __ATOMIC_RELAXED);
    return model;
}

void hr_model_unref(struct hr_model *model)
{
    if (!model || __atomic_sub_fetch(&model->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    hr_store_destroy(model->weights);
    hr_graph_destroy(model->graph);
    hr_labels_fini(&model->labels);
    hr_mem_free(model->checksum);
    hr_mem_free(model->self_test);
    hr_mem_free(model);
}

/* ---- Labels ---- */

static enum hr_status settle_labels(struct hr_model *m, const struct hr_model_options *o,
                                    const struct hr_store *file)
{
    const char *own = hr_store_meta(file, "hrnet.labels");
    if (o->labels)
        HR_TRY(hr_labels_copy(&m->labels, (const char *const *)o->labels->names, o->labels->count));
    else if (own && !m->match.head_replaced)
        HR_TRY(hr_labels_from_json(&m->labels, own));
    else if (m->match.classes == 1000)
        HR_TRY(hr_labels_imagenet(&m->labels));
    if (m->labels.count != 0 && m->labels.count != (size_t)m->match.classes)
        return hr_fail(HR_E_MISMATCH,
                       "%zu labels do not fit the model's %d classes: give one label a class",
                       m->labels.count, m->match.classes);
    return HR_OK;
}

/* ---- Recipe ---- */

/* Published weights are evaluated at their own size and margin (paddleclas.md 4.4). */
static enum hr_status published_recipe(struct hr_recipe *out, const struct hr_zoo_weights *weights)
{
    HR_TRY(hr_recipe_named(out, weights->recipe));
    out->crop_width = out->crop_height = weights->size;
    out->resize_short = (int)floor((double)weights->size / (double)weights->crop_ratio);
    return HR_OK;
}

static enum hr_status settle_recipe(struct hr_model *m, const struct hr_model_options *o,
                                    const struct hr_store *file)
{
    static const char *const defaults[HR_SCHEME_COUNT] = { [HR_SCHEME_PADDLE] = "opencv",
                                                           [HR_SCHEME_PADDLE_2_0] = "opencv",
                                                           [HR_SCHEME_MICROSOFT] = "pillow",
                                                           [HR_SCHEME_TIMM] = "pillow-bicubic" };
    const char *own = hr_store_meta(file, "hrnet.recipe");
    if (o->recipe) {
        m->recipe = *o->recipe;
        return HR_OK;
    }
    if (own) {
        const enum hr_status status = hr_recipe_parse(&m->recipe, own);
        return status == HR_E_ARGUMENT ? HR_E_FORMAT
                                       : status; /* the file's fault, not the caller's */
    }
    if (m->published)
        return published_recipe(&m->recipe, m->published);
    return hr_recipe_named(&m->recipe, defaults[m->match.is.scheme]);
}

/* ---- The head ---- */

static enum hr_status settle_activation(struct hr_model *m, const struct hr_model_options *o,
                                        const struct hr_store *file)
{
    const char *own = hr_store_meta(file, "hrnet.activation");
    if (own && strcmp(own, "softmax") != 0 && strcmp(own, "sigmoid") != 0)
        return hr_fail(HR_E_MISMATCH,
                       "the model file's hrnet.activation is '%.60s': softmax or sigmoid is wanted",
                       own);
    if (own && own[1] == 'i' && !m->match.head_replaced)
        m->activation = HR_ACTIVATION_SIGMOID;
    if (o->activation_set)
        m->activation = o->activation;
    return HR_OK;
}

static enum hr_status all_zero(bool *zero, const struct hr_tensor *t)
{
    const float *values;
    float *made;
    size_t elements, i = 0;
    HR_TRY(hr_shape_elements(&t->shape, &elements));
    HR_TRY(hr_tensor_floats(&values, &made, t));
    while (i < elements && values[i] == 0)
        i++;
    *zero = i == elements;
    hr_mem_free(made);
    return HR_OK;
}

static void say_untrained(struct hr_model *m)
{
    const size_t used = strlen(m->match.verdict);
    if (m->head_untrained && !m->match.head_replaced)
        snprintf(m->match.verdict + used, sizeof m->match.verdict - used,
                 "; its head is untrained: nothing can be predicted before it is trained");
}

/* With weights of zero every picture gets the same scores, whoever wrote the file. */
static enum hr_status settle_head(struct hr_model *m, const struct hr_store *file)
{
    const char *said = hr_store_meta(file, "hrnet.head");
    HR_TRY(all_zero(&m->head_untrained, hr_store_find(m->weights, "fc.weight")));
    if (said && strcmp(said, HEAD_UNTRAINED) == 0)
        m->head_untrained = true;
    say_untrained(m);
    return HR_OK;
}

/* ---- Our own metadata ---- */

/* What our own file says of itself must agree with its tensors, or is a word that we know. */
static enum hr_status check_said(const struct hr_store *file, const char *key, const char *is)
{
    const char *said = hr_store_meta(file, key);
    if (said && strcmp(said, is) == 0)
        return HR_OK;
    return hr_fail(HR_E_MISMATCH, "the model file's %s is '%.60s', wanted '%s'%s", key,
                   said ? said : "missing", is,
                   strcmp(key, "hrnet.precision") == 0 ? ": update hrnet" : " as its tensors are");
}

static enum hr_status read_fuse_order(struct hr_model *m, const struct hr_store *file)
{
    const char *order = hr_store_meta(file, "hrnet.fuse_order");
    if (order && strcmp(order, "microsoft") != 0 && strcmp(order, "paddle") != 0)
        return hr_fail(
            HR_E_MISMATCH,
            "the model file's hrnet.fuse_order is '%.60s': paddle or microsoft is wanted", order);
    if (order && order[0] == 'm')
        m->fuse_order = HR_FUSE_MICROSOFT;
    return HR_OK;
}

static enum hr_status read_own(struct hr_model *m, const struct hr_store *file)
{
    const char *version = hr_store_meta(file, "hrnet.version");
    const char *checksum = hr_store_meta(file, "hrnet.checksum");
    const char *self_test = hr_store_meta(file, "hrnet.self_test");
    char classes[16];
    if (!version)
        return HR_OK;
    if (strcmp(version, FILE_VERSION) != 0)
        return hr_fail(HR_E_UNSUPPORTED,
                       "the model file has format version %.20s, this program reads " FILE_VERSION
                       ": update hrnet",
                       version);
    snprintf(classes, sizeof classes, "%d", m->match.is.classes);
    HR_TRY(check_said(file, "hrnet.architecture", m->match.is.row->name));
    HR_TRY(check_said(file, "hrnet.classes", classes));
    HR_TRY(check_said(file, "hrnet.precision", "fp32"));
    HR_TRY(read_fuse_order(m, file));
    if (checksum && !m->match.head_replaced && !(m->checksum = hr_mem_strdup(checksum)))
        return HR_E_MEMORY;
    if (!self_test || m->match.head_replaced)
        return HR_OK;
    return hr_self_test_from_json(&m->self_test, self_test, m->match.classes);
}

/* ---- Opening ---- */

static void find_published(struct hr_model *m, const struct hr_store *file, const char *name)
{
    const char *own = hr_store_meta(file, "hrnet.published");
    const struct hr_zoo_weights *row = hr_zoo_weights_find(own ? own : hr_os_base_name(name));
    /* Anyone can name a file so: its tensors must at least be of that network and its classes. */
    if (row && m->match.is.classes == HR_IMAGENET_CLASSES &&
        strcmp(row->architecture, m->match.is.row->name) == 0)
        m->published = row;
    if (m->published && m->published->sha256_prefix && m->match.is.scheme == HR_SCHEME_MICROSOFT)
        m->match.is.scheme = HR_SCHEME_TIMM;
}

static enum hr_status fill(struct hr_model *m, struct hr_store *file, const char *name,
                           const struct hr_model_options *o)
{
    const struct hr_zoo_row *expect = NULL;
    if (o->architecture)
        HR_TRY(hr_zoo_find(&expect, o->architecture));
    m->format = hr_store_format(file);
    if (m->format == HR_FORMAT_PADDLE_LITE)
        return hr_fail(HR_E_UNSUPPORTED,
                       "Paddle-Lite's optimiser multiplied the norms into the convolutions and "
                       "made a network for its own engine: `hrnet convert` recovers the %zu "
                       "tensors, the model is the file it was made from",
                       hr_store_count(file));
    HR_TRY(hr_names_match(&m->weights, &m->match, file, expect, o->classes, o->replace_head,
                          o->threads));
    find_published(m, file, name);
    HR_TRY(read_own(m, file));
    if (o->fuse_order_set)
        m->fuse_order = o->fuse_order;
    HR_TRY(settle_head(m, file));
    HR_TRY(settle_activation(m, o, file));
    HR_TRY(settle_recipe(m, o, file));
    HR_TRY(hr_size_check(m->recipe.crop_height, m->recipe.crop_width));
    HR_TRY(settle_labels(m, o, file));
    return hr_store_take_memory(m->weights, file);
}

enum hr_status hr_model_from_store(struct hr_model **out, struct hr_store *store, const char *name,
                                   const struct hr_model_options *options)
{
    static const struct hr_model_options defaults = { 0 };
    struct hr_model *model = hr_mem_alloc(1, sizeof *model);
    enum hr_status status = HR_E_MEMORY;
    if (model) {
        model->references = 1;
        status = fill(model, store, name, options ? options : &defaults);
    }
    hr_store_destroy(store);
    if (status != HR_OK) {
        hr_model_unref(model);
        return hr_fail_context(status, "%s", name);
    }
    *out = model;
    return HR_OK;
}

enum hr_status hr_model_open(struct hr_model **out, const char *path,
                             const struct hr_model_options *options)
{
    struct hr_store *store;
    HR_TRY(hr_store_open(&store, path));
    return hr_model_from_store(out, store, path, options);
}

enum hr_status hr_model_open_memory(struct hr_model **out, const void *data, size_t size,
                                    const char *name, const struct hr_model_options *options)
{
    struct hr_store *store;
    HR_TRY(hr_store_open_memory(&store, data, size, name));
    return hr_model_from_store(out, store, name, options);
}

/* ---- Graphs ---- */

static enum hr_status fill_from_graph(struct hr_model *m, const struct hr_model_options *o)
{
    const struct hr_shape *logits = &m->graph->values[m->graph->output].shape;
    m->format = hr_store_format(m->weights);
    m->from_graph = true;
    if (o->architecture)
        return hr_fail(HR_E_MISMATCH, "%s was asked for, but %s", o->architecture,
                       "the graph is that of no network that `hrnet models` lists");
    if (logits->rank != 2 || logits->dim[1] > INT32_MAX)
        return hr_fail(HR_E_SHAPE, "the result has shape %s: [n,classes] is wanted",
                       hr_shape_str(logits).s);
    m->match.classes = m->match.is.classes = (int)logits->dim[1];
    if (o->replace_head || (o->classes && o->classes != m->match.classes))
        return hr_fail(HR_E_MISMATCH, "the graph has %d classes and keeps them: %d were asked for",
                       m->match.classes, o->classes);
    snprintf(m->match.verdict, sizeof m->match.verdict,
             "complete: a graph of %zu nodes and %zu tensors with %d classes; no network that "
             "`hrnet models` lists, so it runs as it is",
             m->graph->node_count, hr_store_count(m->weights), m->match.classes);
    HR_TRY(settle_activation(m, o, m->weights));
    HR_TRY(settle_recipe(m, o, m->weights));
    return settle_labels(m, o, m->weights);
}

/* Canonical weights go the way of every weight file. */
static enum hr_status from_zoo(struct hr_model **out, const struct hr_topology *is,
                               struct hr_store *canonical, struct hr_store *weights,
                               const char *name, const struct hr_model_options *o)
{
    struct hr_model *model = NULL;
    struct hr_model_options options = *o;
    enum hr_status status = hr_store_copy_meta(canonical, weights);
    if (status == HR_OK)
        status = hr_store_take_memory(canonical, weights);
    if (status != HR_OK) {
        hr_store_destroy(canonical);
        return status;
    }
    if (!o->fuse_order_set) {
        options.fuse_order = is->fuse_order;
        options.fuse_order_set = true;
    }
    HR_TRY(hr_model_from_store(&model, canonical, name, &options));
    model->from_graph = true;
    model->format = hr_store_format(weights);
    if (!model->match.head_replaced)
        snprintf(model->match.verdict, sizeof model->match.verdict,
                 "complete: the graph is that of %s with %d classes, %zu tensors", is->row->name,
                 model->match.classes, hr_store_count(model->weights));
    say_untrained(model);
    *out = model;
    return HR_OK;
}

enum hr_status hr_model_from_graph(struct hr_model **out, struct hr_graph *graph,
                                   struct hr_store *weights, const char *name,
                                   const struct hr_model_options *options)
{
    static const struct hr_model_options defaults = { 0 };
    const struct hr_model_options *o = options ? options : &defaults;
    struct hr_store *canonical = NULL;
    struct hr_topology is;
    struct hr_model *model = NULL;
    enum hr_status status = hr_topology_match(&canonical, &is, graph, weights);
    if (status == HR_OK) {
        status = from_zoo(out, &is, canonical, weights, name, o);
    } else if (status == HR_E_NOT_FOUND) {
        status = HR_E_MEMORY;
        if ((model = hr_mem_alloc(1, sizeof *model))) {
            *model = (struct hr_model){ .references = 1, .weights = weights, .graph = graph };
            weights = NULL;
            graph = NULL;
            status = fill_from_graph(model, o);
        }
        if (status == HR_OK)
            *out = model;
        else
            hr_model_unref(model);
        if (status != HR_OK)
            status = hr_fail_context(status, "%s", name);
    } else {
        status = hr_fail_context(status, "%s", name);
    }
    hr_graph_destroy(graph);
    hr_store_destroy(weights);
    return status;
}

/* ---- Asking ---- */

const struct hr_zoo_row *hr_model_row(const struct hr_model *model)
{
    return model->match.is.row;
}

const char *hr_model_architecture(const struct hr_model *model)
{
    return model->match.is.row ? model->match.is.row->name : "graph";
}

const char *hr_model_scheme(const struct hr_model *model)
{
    return model->from_graph ? "graph" : hr_scheme_name(model->match.is.scheme);
}

enum hr_fuse_order hr_model_fuse_order(const struct hr_model *model)
{
    return model->fuse_order;
}

enum hr_activation hr_model_activation(const struct hr_model *model)
{
    return model->activation;
}

int hr_model_classes(const struct hr_model *model)
{
    return model->match.classes;
}

const struct hr_match *hr_model_match(const struct hr_model *model)
{
    return &model->match;
}

const struct hr_recipe *hr_model_recipe(const struct hr_model *model)
{
    return &model->recipe;
}

const struct hr_labels *hr_model_labels(const struct hr_model *model)
{
    return &model->labels;
}

const struct hr_store *hr_model_weights(const struct hr_model *model)
{
    return model->weights;
}

enum hr_format hr_model_format(const struct hr_model *model)
{
    return model->format;
}

bool hr_model_head_untrained(const struct hr_model *model)
{
    return model->head_untrained;
}

const struct hr_zoo_weights *hr_model_published(const struct hr_model *model)
{
    return model->published;
}

const char *hr_model_stored_checksum(const struct hr_model *model)
{
    return model->checksum;
}

const float *hr_model_stored_self_test(const struct hr_model *model)
{
    return model->self_test;
}

enum hr_status hr_model_graph(const struct hr_model *model, int64_t n, int64_t height,
                              int64_t width, struct hr_graph **out)
{
    const struct hr_hrnet_options options = { n, height, width, model->match.classes,
                                              model->fuse_order };
    if (model->graph)
        return hr_graph_resize(out, model->graph, n, height, width);
    return hr_hrnet_build(out, model->match.is.row, &options);
}

/* Values are hashed as float32, so that the checksum does not depend on how a file stores them. */
enum hr_status hr_model_checksum(const struct hr_model *model, char hex[65])
{
    struct hr_sha256 hash;
    uint8_t digest[32];
    enum hr_status status = HR_OK;
    hr_sha256_init(&hash);
    for (size_t i = 0; i < hr_store_count(model->weights) && status == HR_OK; i++) {
        const struct hr_tensor *t = hr_store_tensor(model->weights, i);
        const char *name = hr_store_name(model->weights, i);
        const struct hr_shape_text shape = hr_shape_str(&t->shape);
        const float *values;
        float *made = NULL;
        size_t elements = 0;
        status = hr_shape_elements(&t->shape, &elements);
        hr_sha256_update(&hash, name, strlen(name) + 1);
        hr_sha256_update(&hash, shape.s, strlen(shape.s) + 1);
        if (status == HR_OK)
            status = hr_tensor_floats(&values, &made, t);
        if (status == HR_OK)
            hr_sha256_update(&hash, values, elements * sizeof(float));
        hr_mem_free(made);
        hr_store_forget(model->weights, t);
    }
    hr_sha256_final(&hash, digest);
    hr_hex(hex, digest);
    return status;
}

/* ---- Saving ---- */

enum hr_status hr_model_metadata(const struct hr_model *m, struct hr_store *out)
{
    HR_TRY(hr_store_set_meta(out, "hrnet.architecture", hr_model_architecture(m)));
    HR_TRY(hr_store_set_meta(out, "hrnet.fuse_order",
                             m->fuse_order == HR_FUSE_MICROSOFT ? "microsoft" : "paddle"));
    if (m->published)
        HR_TRY(hr_store_set_meta(out, "hrnet.published", m->published->name));
    if (m->head_untrained)
        HR_TRY(hr_store_set_meta(out, "hrnet.head", HEAD_UNTRAINED));
    if (m->activation == HR_ACTIVATION_SIGMOID)
        HR_TRY(hr_store_set_meta(out, "hrnet.activation", "sigmoid"));
    HR_TRY(hr_model_set_recipe(out, &m->recipe));
    return m->labels.count ? hr_model_set_labels(out, &m->labels) : HR_OK;
}

/* What makes a file our own. */
static enum hr_status set_own_metadata(struct hr_store *store, const struct hr_model *m,
                                       const float *self_test)
{
    char checksum[65], classes[16];
    snprintf(classes, sizeof classes, "%d", m->match.classes);
    HR_TRY(hr_model_checksum(m, checksum));
    HR_TRY(hr_store_set_meta(store, "hrnet.version", FILE_VERSION));
    HR_TRY(hr_store_set_meta(store, "hrnet.classes", classes));
    HR_TRY(hr_store_set_meta(store, "hrnet.precision", "fp32"));
    HR_TRY(hr_store_set_meta(store, "hrnet.checksum", checksum));
    HR_TRY(hr_model_metadata(m, store));
    return self_test ? hr_model_set_self_test(store, self_test, m->match.classes) : HR_OK;
}

enum hr_status hr_model_save(const struct hr_model *model, const char *path, enum hr_format format,
                             enum hr_scheme scheme, const float *self_test)
{
    struct hr_store *store = NULL;
    if (model->graph)
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: a graph that is no network of `hrnet models` has no names in weight "
                       "files: write it with hrnet export",
                       path);
    HR_TRY(hr_names_export(&store, model->weights, scheme));
    enum hr_status status = set_own_metadata(store, model, self_test);
    if (status == HR_OK)
        status = hr_store_save(store, path, format);
    hr_store_destroy(store);
    return status;
}

/* ---- Sixteen bits ---- */

static enum hr_status add_halved(struct hr_store *out, const char *name, const struct hr_tensor *t)
{
    float *values;
    void *data;
    size_t count = 0;
    enum hr_status status = hr_shape_elements(&t->shape, &count);
    if (t->shape.rank < 2 || status != HR_OK)
        return status == HR_OK ? hr_store_add(out, name, t) : status;
    HR_TRY(hr_store_add_owned(out, name, HR_DTYPE_F16, &t->shape, &data));
    if (!(values = hr_mem_alloc(count, sizeof *values)))
        return HR_E_MEMORY;
    hr_tensor_to_f32(values, t);
    for (size_t i = 0; status == HR_OK && i < count; i++) {
        const uint16_t half = hr_f32_to_f16(values[i]);
        memcpy((uint8_t *)data + 2 * i, &half, sizeof half);
        if (isinf(hr_f16_to_f32(half)))
            status = hr_fail(HR_E_UNSUPPORTED, "%s: %g is too large for 16 bits", name,
                             (double)values[i]);
    }
    hr_mem_free(values);
    return status;
}

enum hr_status hr_model_halve(struct hr_model **out, const struct hr_model *model)
{
    const struct hr_model_options options = { .architecture = hr_model_architecture(model),
                                              .classes = hr_model_classes(model),
                                              .recipe = &model->recipe,
                                              .labels = &model->labels,
                                              .fuse_order = model->fuse_order,
                                              .fuse_order_set = true };
    struct hr_store *store = NULL;
    if (model->graph)
        return hr_fail(HR_E_UNSUPPORTED, "a graph that is no network of `hrnet models` has no "
                                         "form with weights of 16 bits");
    HR_TRY(hr_store_create(&store));
    enum hr_status status = hr_model_metadata(model, store);
    for (size_t i = 0; status == HR_OK && i < hr_store_count(model->weights); i++)
        status =
            add_halved(store, hr_store_name(model->weights, i), hr_store_tensor(model->weights, i));
    if (status != HR_OK) {
        hr_store_destroy(store);
        return status;
    }
    return hr_model_from_store(out, store, "weights of 16 bits", &options);
}
