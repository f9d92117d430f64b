/* SPDX-License-Identifier: Apache-2.0
 * Plans of a small network that has one of everything: same answer as the obvious loops, rewritten
 * or not, whatever lies in the arena; memory as foretold; every failing allocation survived. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "graph/rewrite.h"
#include "hostile.h"
#include "naive.h"
#include "plan/lower.h"

enum { N = 3, H = 16, W = 12, CLASSES = 5 };
static const char *const features[] = { "stem", "narrow", "mixed", "vector" };

static hr_value conv_relu(struct hr_builder *b, hr_value x, int kernel, int stride, int channels,
                          const char *name)
{
    hr_layer(b, "%s", name);
    return hr_relu(b, hr_conv_bn(b, x, kernel, stride, channels));
}

/* Convolutions of all kinds, a residual block, squeeze and excitation, a sum over an upsampled
 * branch, pooling, a linear layer. */
static struct hr_graph *toy(void)
{
    struct hr_builder b;
    struct hr_graph *graph = NULL;
    assert_int_equal(hr_builder_start(&b), HR_OK);
    hr_value stem = conv_relu(&b, hr_input(&b, N, 3, H, W), 3, 2, 10, "stem");
    hr_feature(&b, stem, "stem");
    hr_value inner = conv_relu(&b, stem, 3, 1, 10, "conv1");
    hr_layer(&b, "conv2");
    hr_value wide = hr_relu(&b, hr_add(&b, stem, hr_conv_bn(&b, inner, 3, 1, 10)));
    hr_value narrow = conv_relu(&b, wide, 3, 2, 20, "narrow");
    hr_feature(&b, narrow, "narrow");
    hr_layer(&b, "squeeze.a");
    hr_value s = hr_relu(&b, hr_linear(&b, hr_global_pool(&b, narrow), 4));
    hr_layer(&b, "squeeze.b");
    s = hr_sigmoid(&b, hr_linear(&b, s, 20));
    narrow = hr_relu(&b, hr_add(&b, narrow, hr_scale(&b, narrow, s)));
    hr_layer(&b, "up");
    hr_value up = hr_upsample(&b, hr_conv_bn(&b, narrow, 1, 1, 10), 2);
    hr_value mixed = hr_relu(&b, hr_add(&b, hr_add(&b, wide, up), stem));
    hr_feature(&b, mixed, "mixed");
    hr_value vector = hr_global_pool(&b, conv_relu(&b, mixed, 1, 1, 70, "last"));
    hr_feature(&b, vector, "vector");
    hr_layer(&b, "fc");
    assert_int_equal(hr_builder_finish(&b, hr_linear(&b, vector, CLASSES), &graph), HR_OK);
    return graph;
}

struct fixture {
    struct hr_graph *graph; /* as built, but for the norms */
    struct hr_store *weights;
    struct hr_kernels kernels;
    float x[N * 3 * H * W];
    double **want; /* of every value */
    bool waves;    /* plan for five threads, steps side by side */
};

static int set_up(void **state)
{
    static struct fixture f;
    f.graph = toy();
    f.weights = naive_weights(f.graph);
    hr_kernels_init(&f.kernels, hr_cpu_get()->flags);
    for (size_t i = 0; i < HR_COUNT(f.x); i++)
        f.x[i] = sinf((float)i);
    f.want = naive_run(f.graph, f.weights, f.x);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    naive_free(f->graph, f->want);
    hr_store_destroy(f->weights);
    hr_graph_destroy(f->graph);
    return 0;
}

static struct hr_graph *rewritten(void)
{
    struct hr_graph *graph = toy();
    assert_int_equal(hr_rewrite_all(graph, features, HR_COUNT(features)), HR_OK);
    return graph;
}

static enum hr_status make_plan(struct hr_plan **out, const struct fixture *f,
                                const struct hr_graph *graph, struct hr_packs *packs)
{
    const struct hr_plan_options options = { .kernels = &f->kernels,
                                             .threads = f->waves ? 5 : 1,
                                             .side_by_side = f->waves,
                                             .features = features,
                                             .feature_count = HR_COUNT(features) };
    return hr_plan_create(out, graph, packs, &options, NULL);
}

static void check_close(const float *got, const double *want, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(want[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - want[i]) <= 1e-5 * largest))
            fail_msg("[%zu] is %g, not %g", i, (double)got[i], want[i]);
}

/* n images through a plan of `graph`, every arena byte set to `fill` before. */
static void check_one_plan(const struct fixture *f, const struct hr_graph *graph, size_t n,
                           int fill)
{
    struct hr_packs *packs;
    struct hr_plan *plan;
    float logits[N * CLASSES];
    assert_int_equal(hr_packs_create(&packs, f->weights), HR_OK);
    assert_int_equal(make_plan(&plan, f, graph, packs), HR_OK);
    uint8_t *arena = hr_mem_alloc(hr_plan_arena_bytes(plan), 1);
    float *x = malloc(n * 3 * H * W * sizeof *x); /* just n images: a sanitizer sees the end */
    assert_true(arena && x);
    memset(arena, fill, hr_plan_arena_bytes(plan));
    memcpy(x, f->x, n * 3 * H * W * sizeof *x);
    hr_plan_run(plan, arena, NULL, n, x, logits, NULL, NULL);
    free(x);
    check_close(logits, f->want[f->graph->output], n * CLASSES);
    for (size_t i = 0; i < HR_COUNT(features); i++) {
        static float map[N * 3 * H * W * 4];
        size_t count;
        assert_int_equal(hr_shape_elements(hr_plan_feature_shape(plan, i), &count), HR_OK);
        assert_true(count <= HR_COUNT(map));
        hr_plan_feature(plan, arena, n, i, map);
        check_close(map, f->want[hr_graph_feature(f->graph, features[i])], count / N * n);
    }
    hr_mem_free(arena);
    hr_plan_destroy(plan);
    hr_packs_destroy(packs);
}

static void check_plan(const struct fixture *f, const struct hr_graph *graph, size_t n, int fill)
{
    struct fixture of = *f;
    for (int waves = 0; waves < 2; waves++) {
        of.waves = waves;
        check_one_plan(&of, graph, n, fill);
    }
}

static void a_rewritten_graph_gives_the_obvious_answer(void **state)
{
    struct hr_graph *graph = rewritten();
    for (size_t n = 1; n <= N; n++)
        check_plan(*state, graph, n, 0);
    hr_graph_destroy(graph);
}

/* 0xFF bytes are NaN: a step that reads what no step wrote shows. */
static void nothing_is_read_before_it_is_written(void **state)
{
    struct hr_graph *graph = rewritten();
    check_plan(*state, graph, N, 0xFF);
    check_plan(*state, graph, 1, 0xFF);
    hr_graph_destroy(graph);
}

static void operators_that_nothing_fused_run_too(void **state)
{
    struct hr_graph *graph = toy();
    assert_int_equal(hr_rewrite_fold_batch_norm(graph), HR_OK);
    check_plan(*state, graph, N, 0xFF);
    hr_graph_destroy(graph);
}

static void a_lone_batch_norm_is_refused_by_name(void **state)
{
    const struct fixture *f = *state;
    struct hr_packs *packs;
    struct hr_plan *plan;
    assert_int_equal(hr_packs_create(&packs, f->weights), HR_OK);
    assert_int_equal(make_plan(&plan, f, f->graph, packs), HR_E_UNSUPPORTED);
    assert_non_null(strstr(hr_last_message(), "stem"));
    hr_packs_destroy(packs);
}

static void every_operator_has_a_row(void **state)
{
    (void)state;
    for (int op = 0; op < HR_OP_COUNT; op++)
        if (!hr_lower_of[op])
            fail_msg("operator %s has no lowering", hr_op_name((enum hr_op)op));
}

static void count_step(void *context, size_t step, uint64_t nanoseconds)
{
    size_t *seen = context;
    assert_int_equal(step, *seen);
    assert_true(nanoseconds < 10000000000u);
    ++*seen;
}

static void steps_memory_and_printed_form_agree(void **state)
{
    const struct fixture *f = *state;
    struct hr_graph *graph = rewritten();
    struct hr_packs *packs;
    struct hr_plan *plan;
    struct hr_text text = { 0 };
    float logits[N * CLASSES];
    size_t seen = 0, lines = 0, weights = 0;
    uint64_t multiply_adds = 0;
    assert_int_equal(hr_packs_create(&packs, f->weights), HR_OK);
    assert_int_equal(make_plan(&plan, f, graph, packs), HR_OK);
    uint8_t *arena = hr_mem_alloc(hr_plan_arena_bytes(plan), 1);
    assert_non_null(arena);
    hr_plan_run(plan, arena, NULL, N, f->x, logits, count_step, &seen);
    assert_int_equal(seen, hr_plan_step_count(plan));

    for (size_t i = 0; i < hr_plan_step_count(plan); i++) {
        const struct hr_step *step = hr_plan_step(plan, i);
        assert_true(step->name[0] && step->kernel[0] && step->activation_bytes > 0);
        multiply_adds += step->multiply_adds;
        weights += step->weight_bytes;
    }
    assert_int_equal(multiply_adds, hr_graph_multiply_adds(f->graph));
    const struct hr_plan_memory m = hr_plan_memory(plan);
    assert_int_equal(m.weight_bytes, weights);
    assert_int_equal(m.weight_bytes, hr_packs_bytes(packs));
    assert_true(m.peak_step < hr_plan_step_count(plan));
    assert_true(m.peak_bytes <= m.arena_bytes);

    hr_plan_print(plan, &text);
    for (const char *c = hr_text_str(&text); *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 1 + hr_plan_step_count(plan) + 2);
    assert_non_null(strstr(hr_text_str(&text), "squeeze.a"));
    hr_text_fini(&text);
    hr_mem_free(arena);
    hr_plan_destroy(plan);
    hr_packs_destroy(packs);
    hr_graph_destroy(graph);
}

static void an_unknown_feature_is_named(void **state)
{
    const struct fixture *f = *state;
    struct hr_graph *graph = rewritten();
    struct hr_packs *packs;
    struct hr_plan *plan;
    const char *const unknown = "nonsense";
    const struct hr_plan_options options = {
        .kernels = &f->kernels, .threads = 1, .features = &unknown, .feature_count = 1
    };
    assert_int_equal(hr_packs_create(&packs, f->weights), HR_OK);
    assert_int_equal(hr_plan_create(&plan, graph, packs, &options, NULL), HR_E_NOT_FOUND);
    assert_non_null(strstr(hr_last_message(), "nonsense"));
    hr_packs_destroy(packs);
    hr_graph_destroy(graph);
}

/* ---- Failing allocations -------------------------------------------------------------------- */

static enum hr_status plan_once(const struct fixture *f, const struct hr_graph *graph)
{
    struct hr_packs *packs = NULL;
    struct hr_plan *plan = NULL;
    enum hr_status status = hr_packs_create(&packs, f->weights);
    if (status == HR_OK)
        status = make_plan(&plan, f, graph, packs);
    hr_plan_destroy(plan);
    hr_packs_destroy(packs);
    return status;
}

static void the_nth_allocation_may_fail(void **state)
{
    const struct fixture *f = *state;
    struct hr_graph *graph = rewritten();
    size_t n = 0;
    enum hr_status status;
    do {
        hostile_memory_limit(n++);
        status = plan_once(f, graph);
        assert_true(status == HR_OK || status == HR_E_MEMORY);
    } while (status != HR_OK && n < 10000);
    (void)hostile_memory_restore();
    assert_int_equal(status, HR_OK);
    assert_true(n > 10);
    hr_graph_destroy(graph);
}

static void a_run_allocates_nothing(void **state)
{
    const struct fixture *f = *state;
    struct hr_graph *graph = rewritten();
    struct hr_packs *packs;
    struct hr_plan *plan;
    struct hr_pool *pool;
    static float logits[N * CLASSES], map[N * 70];
    assert_int_equal(hr_packs_create(&packs, f->weights), HR_OK);
    assert_int_equal(make_plan(&plan, f, graph, packs), HR_OK);
    assert_int_equal(hr_pool_create(&pool, 2), HR_OK);
    uint8_t *arena = hr_mem_alloc(hr_plan_arena_bytes(plan), 1);
    assert_non_null(arena);
    hostile_memory_limit(0);
    hr_plan_run(plan, arena, pool, N, f->x, logits, NULL, NULL);
    hr_plan_feature(plan, arena, N, 3, map);
    (void)hostile_memory_restore();
    check_close(logits, f->want[f->graph->output], HR_COUNT(logits));
    hr_mem_free(arena);
    hr_pool_destroy(pool);
    hr_plan_destroy(plan);
    hr_packs_destroy(packs);
    hr_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rewritten_graph_gives_the_obvious_answer),
        cmocka_unit_test(nothing_is_read_before_it_is_written),
        cmocka_unit_test(operators_that_nothing_fused_run_too),
        cmocka_unit_test(a_lone_batch_norm_is_refused_by_name),
        cmocka_unit_test(every_operator_has_a_row),
        cmocka_unit_test(steps_memory_and_printed_form_agree),
        cmocka_unit_test(an_unknown_feature_is_named),
        cmocka_unit_test(the_nth_allocation_may_fail),
        cmocka_unit_test(a_run_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
