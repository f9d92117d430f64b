/* SPDX-License-Identifier: Apache-2.0
 * Builds the HRNet graph (Wang et al. 2019, arXiv 1908.07919, section 3; PaddleClas's variant). */
#ifndef HR_MODEL_HRNET_H
#define HR_MODEL_HRNET_H

#include "graph/graph.h"
#include "model/zoo.h"

/* Order in which a fuse layer adds its terms: Paddle starts with the branch's own map, Microsoft
 * and timm with branch 0.  Same sum, other rounding. */
enum hr_fuse_order { HR_FUSE_PADDLE, HR_FUSE_MICROSOFT };

struct hr_hrnet_options {
    int64_t n, height, width;
    int classes;
    enum hr_fuse_order fuse_order;
};

/* Parameters carry canonical (PaddleClas 2.1+) names.  Features: stem, layer1, stage2.0 ...
 * stage4.3, incre.0 ... incre.3, last, pool, logits. */
enum hr_status hr_hrnet_build(struct hr_graph **out, const struct hr_zoo_row *row,
                              const struct hr_hrnet_options *options) HR_WARN_UNUSED;

#endif
