/* SPDX-License-Identifier: Apache-2.0
 * A graph while it is read from somebody's file, whichever the format: names to values, and what
 * each operator becomes.  Readers translate their format's attributes and call these. */
#ifndef HR_EXCHANGE_IMPORT_H
#define HR_EXCHANGE_IMPORT_H

#include "base/index.h"
#include "graph/graph.h"
#include "image/recipe.h"
#include "tensor/store.h"

/* How the file sees an activation: [n,c,h,w]; [n,c,1,1]; [n,c].  The last two are one in our
 * graphs. */
enum hr_form { HR_FORM_MAP, HR_FORM_PIXEL, HR_FORM_VECTOR };

struct hr_import_value {
    const char *name;
    bool constant;
    struct hr_tensor tensor; /* of a constant */
    hr_value value;          /* of an activation */
    enum hr_form form;
    bool softmax;       /* value is what goes into a softmax */
    int picture;        /* steps of preprocessing so far + 1; 0: no picture any more */
    bool channels_last; /* of a picture: [n,h,w,c] */
    float *bias;        /* of a product that has none of its own: what is added goes here */
    bool spent;         /* a bias went in: only the sum may still be read */
};

enum hr_result { HR_RESULT_LOGITS, HR_RESULT_SOFTMAX, HR_RESULT_SIGMOID };

/* What a file says beside its graph. */
struct hr_foreign {
    int64_t height, width; /* of its input, px; 0 where it is free */
    const char *recipe;    /* of its family, static; NULL: unknown */
    bool bytes;            /* the picture comes as 0 to 255 */
    int steps;             /* of preprocessing that the graph does itself */
    float scale, mean[3], deviation[3];
    enum hr_result result;
};

struct hr_import {
    struct hr_builder builder;
    struct hr_store *weights; /* of the graph's parameters */
    struct hr_import_value *values;
    size_t count, capacity;
    struct hr_index names; /* of the values */
    const char *node;      /* name of the layers that are added now */
    /* What the graph does to the picture before its first layer: (x * scale - mean) / deviation. */
    float scale, mean[3], deviation[3];
    int steps;       /* of it */
    int steps_taken; /* those before the first layer, + 1; 0: no layer yet */
    enum hr_result result;
};

/* init: fini even after a failure. */
enum hr_status hr_import_init(struct hr_import *im) HR_WARN_UNUSED;
void hr_import_fini(struct hr_import *im);
/* What was done to the picture before the first layer. */
void hr_import_tell(const struct hr_import *im, struct hr_foreign *is);
/* Ends the graph at the value `output` and moves both out. */
enum hr_status hr_import_finish(struct hr_import *im, const char *output, struct hr_graph **graph,
                                struct hr_store **weights) HR_WARN_UNUSED;

/* Names are borrowed until the end, a constant's bytes as long as the store. */
enum hr_status hr_import_input(struct hr_import *im, const char *name, int64_t height,
                               int64_t width, bool channels_last) HR_WARN_UNUSED;
enum hr_status hr_import_constant(struct hr_import *im, const char *name,
                                  const struct hr_tensor *tensor) HR_WARN_UNUSED;
/* HR_E_FORMAT if nothing before makes it; an activation (or constant) is wanted. */
enum hr_status hr_import_find(const struct hr_import *im, const char *name,
                              const struct hr_import_value **out) HR_WARN_UNUSED;
enum hr_status hr_import_find_constant(const struct hr_import *im, const char *name,
                                       const struct hr_tensor **out) HR_WARN_UNUSED;
/* Shape as the file sees it, for one image. */
enum hr_status hr_import_shape(const struct hr_import *im, const char *name,
                               struct hr_shape *out) HR_WARN_UNUSED;
/* The first whole numbers of a constant; *count says how many, up to `most`. */
enum hr_status hr_import_integers(const struct hr_import *im, const char *name, int64_t *out,
                                  int most, int *count) HR_WARN_UNUSED;

struct hr_import_window {                          /* of a convolution */
    int64_t stride[2], dilation[2], pad[4], group; /* pad: top, left, bottom, right */
    bool same;                                     /* pads such that output = input / stride */
};
/* weight [k,c,r,r]; bias [k], or NULL or "" for none. */
enum hr_status hr_import_conv(struct hr_import *im, const char *out, const char *x,
                              const char *weight, const char *bias,
                              const struct hr_import_window *window) HR_WARN_UNUSED;
/* names: gamma, beta, mean, variance. */
enum hr_status hr_import_norm(struct hr_import *im, const char *out, const char *x,
                              const char *const names[4], float epsilon) HR_WARN_UNUSED;
enum hr_status hr_import_relu(struct hr_import *im, const char *out, const char *x) HR_WARN_UNUSED;
enum hr_status hr_import_sigmoid(struct hr_import *im, const char *out,
                                 const char *x) HR_WARN_UNUSED;
enum hr_status hr_import_softmax(struct hr_import *im, const char *out, const char *x,
                                 int64_t axis) HR_WARN_UNUSED;
/* a OP b, each an activation or a constant. */
enum hr_status hr_import_arithmetic(struct hr_import *im, const char *out, char op, const char *a,
                                    const char *b) HR_WARN_UNUSED;
enum hr_status hr_import_upsample(struct hr_import *im, const char *out, const char *x,
                                  double factor_h, double factor_w) HR_WARN_UNUSED;
/* Mean over the whole plane; keep: [n,c,1,1]. */
enum hr_status hr_import_pool(struct hr_import *im, const char *out, const char *x,
                              bool keep) HR_WARN_UNUSED;
/* x W + b; weight [in,out], or [out,in] if transposed. */
enum hr_status hr_import_linear(struct hr_import *im, const char *out, const char *x,
                                const char *weight, bool transposed,
                                const char *bias) HR_WARN_UNUSED;
/* The same numbers in another form; HR_E_UNSUPPORTED for a plane of more than one pixel. */
enum hr_status hr_import_reform(struct hr_import *im, const char *out, const char *x,
                                int rank) HR_WARN_UNUSED;
/* A constant in another shape; one dimension may be -1. */
enum hr_status hr_import_reshape(struct hr_import *im, const char *out, const char *constant,
                                 const int64_t *dims, int rank) HR_WARN_UNUSED;
enum hr_status hr_import_alias(struct hr_import *im, const char *out, const char *x) HR_WARN_UNUSED;
/* [n,h,w,c] -> [n,c,h,w], of the picture. */
enum hr_status hr_import_channels_first(struct hr_import *im, const char *out,
                                        const char *x) HR_WARN_UNUSED;

#endif
