/* SPDX-License-Identifier: Apache-2.0
 * A network of the zoo that is ready to run, without a model file: what golden and property tests
 * share. */
#ifndef HR_TESTS_NETWORK_H
#define HR_TESTS_NETWORK_H

#include "graph/rewrite.h"
#include "model/model.h"
#include "plan/plan.h"

struct test_network_options {
    const struct hr_zoo_row *row;
    struct hr_hrnet_options hrnet;
    const struct hr_store *weights; /* canonical */
    struct hr_plan_options plan;    /* kernels are borrowed */
};

struct test_network {
    struct hr_packs *packs;
    struct hr_graph *graph; /* as it was planned: rewritten */
    struct hr_plan *plan;
    struct hr_pool *pool; /* NULL for one thread */
    uint8_t *arena;
};

/* Builds, rewrites, packs and plans.  Fill `net` with zeros before; test_network_fini() after,
 * whatever happened. */
enum hr_status test_network_init(struct test_network *net,
                                 const struct test_network_options *options) HR_WARN_UNUSED;
void test_network_fini(struct test_network *net);

/* n images, logits [n][classes]. */
void test_network_run(struct test_network *net, size_t n, const float *x, float *logits);

/* Kernels of the ladder's rungs up to `isa`; false if this CPU or build has no such rung. */
bool test_kernels_up_to(struct hr_kernels *kernels, const char *isa);

#endif
