/* SPDX-License-Identifier: Apache-2.0
 * Where in a picture an answer comes from: maps over the pixels of a feature map, made of its
 * values A and of the gradients g of one class's logit.
 *   CAM       sum over channels of A times the head's weight, which is g times the pixel count;
 *             the mean of the map and the head's bias are the logit (Zhou 2016, arXiv 1512.04150)
 *   Grad-CAM  max(0, sum of A times the mean of g over the pixels) (Selvaraju 2017, 1610.02391)
 *   LayerCAM  max(0, sum of A times max(0, g)) (Jiang 2021, 10.1109/TIP.2021.3089943) */
#ifndef HR_TRAIN_EXPLAIN_H
#define HR_TRAIN_EXPLAIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/model.h"

enum hr_explain_method {
    HR_EXPLAIN_CAM, /* of the feature "last" alone: what the head pools */
    HR_EXPLAIN_GRAD_CAM,
    HR_EXPLAIN_LAYER_CAM,
};

struct hr_explainer_options {
    unsigned threads; /* at least 1 */
    uint32_t cpu_flags;
    int64_t height, width;
    const char *const *features; /* whose maps may be asked for; at least one */
    size_t feature_count;
};

struct hr_explainer; /* one run at a time */

/* The model and the names of the features outlive it. */
enum hr_status hr_explainer_create(struct hr_explainer **out, const struct hr_model *model,
                                   const struct hr_explainer_options *options) HR_WARN_UNUSED;
void hr_explainer_destroy(struct hr_explainer *explainer); /* NULL is allowed */

/* x [3,h,w] -> logits [classes], and what the maps of `class_index` (-1: of the best answer) need.
 * Returns that class. */
size_t hr_explainer_run(struct hr_explainer *explainer, const float *x, int class_index,
                        float *logits);
/* Shape [1,c,h,w] of feature `index` of the options. */
struct hr_shape hr_explainer_shape(const struct hr_explainer *explainer, size_t index);
/* After a run: the map [h][w] of feature `index`. */
void hr_explainer_map(struct hr_explainer *explainer, enum hr_explain_method method, size_t index,
                      float *map);

#endif
