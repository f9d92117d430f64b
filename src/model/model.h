/* SPDX-License-Identifier: Apache-2.0
 * A model: an architecture with its weights, labels and recipe, in one immutable, reference-counted
 * object; and our own model file (safetensors with metadata) that holds all of it. */
#ifndef HR_MODEL_MODEL_H
#define HR_MODEL_MODEL_H

#include "base/status.h"
#include "image/recipe.h"
#include "model/hrnet.h"
#include "model/labels.h"
#include "model/names.h"
#include "tensor/store.h"

/* What makes scores of logits: a share of 1 for each class, or each class for itself, where a
 * picture may be of several. */
enum hr_activation { HR_ACTIVATION_SOFTMAX, HR_ACTIVATION_SIGMOID };

struct hr_model_options {
    const char *architecture;       /* a zoo name that the file must be, or NULL to recognise it */
    int classes;                    /* 0: the file's */
    bool replace_head;              /* allow `classes` to differ: a fresh head */
    const struct hr_recipe *recipe; /* NULL: the file's, or the family's default */
    const struct hr_labels *labels; /* NULL: the file's, or ImageNet's for 1000 classes; copied */
    enum hr_fuse_order fuse_order;  /* used when fuse_order_set */
    bool fuse_order_set;            /* else the file's own, or Paddle's */
    enum hr_activation activation;  /* used when activation_set */
    bool activation_set;            /* else the file's own, or softmax */
    unsigned threads;               /* that look at the values; 0: the CPUs, at most 8 */
};

struct hr_model; /* immutable after open; thread-safe */

enum hr_status hr_model_open(struct hr_model **out, const char *path,
                             const struct hr_model_options *options) HR_WARN_UNUSED;
enum hr_status hr_model_open_memory(struct hr_model **out, const void *data, size_t size,
                                    const char *name,
                                    const struct hr_model_options *options) HR_WARN_UNUSED;
/* Takes the store whatever happens. */
enum hr_status hr_model_from_store(struct hr_model **out, struct hr_store *store, const char *name,
                                   const struct hr_model_options *options) HR_WARN_UNUSED;
/* A network that came as a graph, as read: not rewritten.  `weights` holds its parameters, all
 * finite, and metadata as our own file has it.  If it is a network of the zoo it becomes a model
 * like any other; else it keeps its graph, has no row, and options that need one are refused. Takes
 * both whatever happens. */
enum hr_status hr_model_from_graph(struct hr_model **out, struct hr_graph *graph,
                                   struct hr_store *weights, const char *name,
                                   const struct hr_model_options *options) HR_WARN_UNUSED;
struct hr_model *hr_model_ref(struct hr_model *model);
void hr_model_unref(struct hr_model *model); /* NULL is allowed */

/* NULL for a graph that is no network of the zoo. */
const struct hr_zoo_row *hr_model_row(const struct hr_model *model);
/* Its name, or "graph" where there is no row. */
const char *hr_model_architecture(const struct hr_model *model);
/* How its tensors are named in the file: a scheme's name, or "graph" where layers were matched. */
const char *hr_model_scheme(const struct hr_model *model);
enum hr_fuse_order hr_model_fuse_order(const struct hr_model *model);
enum hr_activation hr_model_activation(const struct hr_model *model);
int hr_model_classes(const struct hr_model *model);
const struct hr_match *hr_model_match(const struct hr_model *model);
const struct hr_recipe *hr_model_recipe(const struct hr_model *model);
const struct hr_labels *hr_model_labels(const struct hr_model *model); /* count 0 if none */
const struct hr_store *hr_model_weights(const struct hr_model *model); /* of its graph */
enum hr_format hr_model_format(const struct hr_model *model);
/* Whether the classifier was never trained: just replaced, said so by the file, or all zeros. */
bool hr_model_head_untrained(const struct hr_model *model);
/* Name of published weights it was recognised as by file name or metadata, or NULL. */
const struct hr_zoo_weights *hr_model_published(const struct hr_model *model);

/* The network for inputs [n,3,height,width], which must be a legal size. */
enum hr_status hr_model_graph(const struct hr_model *model, int64_t n, int64_t height,
                              int64_t width, struct hr_graph **out) HR_WARN_UNUSED;

/* SHA-256 over names, shapes and float32 values of all weights in order (not the metadata), as hex.
 */
enum hr_status hr_model_checksum(const struct hr_model *model, char hex[65]) HR_WARN_UNUSED;

/* What a file of any format should say beside the weights, as metadata of docs/formats.md:
 * architecture, fuse order, recipe, labels, published name, an untrained head, an activation that
 * is no softmax. */
enum hr_status hr_model_metadata(const struct hr_model *model, struct hr_store *out) HR_WARN_UNUSED;

/* Writes the model under the scheme's names, with the metadata of docs/formats.md (recipe, labels,
 * checksum and the rest) whatever the format.  self_test: logits of the synthetic input "self-test"
 * to store, or NULL. */
enum hr_status hr_model_save(const struct hr_model *model, const char *path, enum hr_format format,
                             enum hr_scheme scheme, const float *self_test) HR_WARN_UNUSED;

/* A model of its own whose weights of two dimensions and more are rounded to IEEE half, and stored
 * so; norms and biases stay as they are.  HR_E_UNSUPPORTED where a weight is too large for that. */
enum hr_status hr_model_halve(struct hr_model **out, const struct hr_model *model) HR_WARN_UNUSED;

/* The stored checksum (NULL if none) and self-test logits (NULL if none, else [classes]). */
const char *hr_model_stored_checksum(const struct hr_model *model);
const float *hr_model_stored_self_test(const struct hr_model *model);

/* The deterministic input of self tests and synthetic benchmarks: splitmix64 over FNV-1a of `name`
 * as in the golden recipe, 4 * u - 2. */
void hr_synthetic_fill(float *x, size_t count, const char *name);
/* Deterministic synthetic weights for `row`: the golden recipe.  For benchmarks and tests only. */
enum hr_status hr_synthetic_weights(struct hr_store **out, const struct hr_zoo_row *row,
                                    int classes) HR_WARN_UNUSED;

#endif
