/* SPDX-License-Identifier: Apache-2.0
 * Zoo row and weights -> packed, planned, with memory: the path of a session without its model. */
#include "network.h"

#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"

enum hr_status test_network_init(struct test_network *net,
                                 const struct test_network_options *options)
{
    const struct hr_plan_options *plan = &options->plan;
    HR_TRY(hr_hrnet_build(&net->graph, options->row, &options->hrnet));
    HR_TRY(hr_rewrite_all(net->graph, plan->features, plan->feature_count));
    HR_TRY(hr_packs_create(&net->packs, options->weights));
    if (plan->threads > 1)
        HR_TRY(hr_pool_create(&net->pool, plan->threads));
    HR_TRY(hr_plan_create(&net->plan, net->graph, net->packs, plan, net->pool));
    net->arena = hr_mem_alloc(hr_plan_arena_bytes(net->plan), 1);
    return net->arena ? HR_OK : HR_E_MEMORY;
}

void test_network_fini(struct test_network *net)
{
    hr_mem_free(net->arena);
    hr_pool_destroy(net->pool);
    hr_plan_destroy(net->plan);
    hr_packs_destroy(net->packs);
    hr_graph_destroy(net->graph);
    *net = (struct test_network){ 0 };
}

void test_network_run(struct test_network *net, size_t n, const float *x, float *logits)
{
    hr_plan_run(net->plan, net->arena, net->pool, n, x, logits, NULL, NULL);
}

bool test_kernels_up_to(struct hr_kernels *kernels, const char *isa)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < hr_isa_count; i++) {
        flags |= hr_isa_ladder[i].need;
        if (strcmp(hr_isa_ladder[i].name, isa) != 0)
            continue;
        hr_kernels_init(kernels, hr_cpu_get()->flags & flags);
        return strcmp(kernels->isa, isa) == 0;
    }
    return false;
}
