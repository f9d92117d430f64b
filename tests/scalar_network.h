/* SPDX-License-Identifier: Apache-2.0
 * HRNet as a plain scalar program in float32, without graph, rewrites, plan or kernels: loops over
 * pixels in the order of arithmetic that kernel/conv.h and kernel/eltwise.h promise.  What plans of
 * exact kernels must equal bit for bit.  Knows no squeeze-and-excitation. */
#ifndef HR_TESTS_SCALAR_NETWORK_H
#define HR_TESTS_SCALAR_NETWORK_H

#include "model/hrnet.h"
#include "tensor/store.h"

/* One image x [3][h][w] -> logits [classes].  weights: canonical float32.  Aborts on what a test
 * would not do.  Flush denormals around it, as sessions do. */
void scalar_network(const struct hr_zoo_row *row, const struct hr_store *weights,
                    enum hr_fuse_order order, const float *x, size_t h, size_t w, float *logits,
                    size_t classes);

#endif
