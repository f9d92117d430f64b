/* SPDX-License-Identifier: Apache-2.0
 * Properties of one planned convolution with its norm, on layer shapes of the zoo: an impulse gives
 * the weights back, sums of inputs give sums of outputs, denormal weights change neither answers
 * nor the caller's floating-point state. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "graph/rewrite.h"
#include "model/model.h"
#include "plan/plan.h"

struct layer {
    int c, k, kernel, stride, side;
};
static const struct layer layers[] = {
    { 3, 64, 3, 2, 16 },  { 64, 64, 3, 2, 15 }, { 64, 256, 1, 1, 9 }, { 18, 18, 3, 1, 14 },
    { 36, 36, 3, 1, 14 }, { 72, 72, 3, 1, 7 },  { 144, 18, 1, 1, 7 }, { 18, 72, 3, 2, 14 },
    { 30, 60, 3, 2, 13 }, { 1, 1, 1, 1, 1 },    { 5, 3, 3, 1, 4 },
};

/* One convolution that is ready to run. */
struct planned {
    struct hr_kernels kernels;
    struct hr_graph *graph;
    struct hr_store *weights;
    struct hr_packs *packs;
    struct hr_plan *plan;
    struct hr_pool *pool;
    uint8_t *arena;
    float *w; /* [k][c][r][s], as stored */
    size_t x_floats, y_floats;
    struct hr_shape out;
};

/* Weights: the synthetic recipe times `scale`, and a norm that does nothing but for epsilon. */
static void fill_weights(struct planned *p, float scale)
{
    assert_int_equal(hr_store_create(&p->weights), HR_OK);
    for (size_t i = 0; i < p->graph->param_count; i++) {
        const struct hr_graph_param *param = &p->graph->params[i];
        size_t count;
        void *data;
        assert_int_equal(hr_shape_elements(&param->shape, &count), HR_OK);
        assert_int_equal(
            hr_store_add_owned(p->weights, param->name, HR_DTYPE_F32, &param->shape, &data), HR_OK);
        float *v = data;
        const bool one = strstr(param->name, "bn.weight") || strstr(param->name, "_variance");
        for (size_t j = 0; j < count; j++)
            v[j] = one ? 1.0f : 0.0f;
        if (!strstr(param->name, "conv.weight"))
            continue;
        hr_synthetic_fill(v, count, param->name);
        for (size_t j = 0; j < count; j++)
            v[j] *= scale;
        p->w = v;
    }
}

static void plan_layer(struct planned *p, const struct layer *layer, bool exact, float scale)
{
    struct hr_builder b;
    *p = (struct planned){ 0 };
    assert_int_equal(hr_builder_start(&b), HR_OK);
    hr_layer(&b, "layer");
    hr_value x = hr_input(&b, 1, layer->c, layer->side, layer->side);
    hr_value y = hr_conv_bn(&b, x, layer->kernel, layer->stride, layer->k);
    assert_int_equal(hr_builder_finish(&b, y, &p->graph), HR_OK);
    fill_weights(p, scale);
    assert_int_equal(hr_rewrite_all(p->graph, NULL, 0), HR_OK);
    hr_kernels_init(&p->kernels, hr_cpu_get()->flags);
    assert_int_equal(hr_packs_create(&p->packs, p->weights), HR_OK);
    assert_int_equal(hr_pool_create(&p->pool, 2), HR_OK);
    const struct hr_plan_options options = { .kernels = &p->kernels, .threads = 2, .exact = exact };
    assert_int_equal(hr_plan_create(&p->plan, p->graph, p->packs, &options, p->pool), HR_OK);
    p->arena = hr_mem_alloc(hr_plan_arena_bytes(p->plan), 1);
    assert_non_null(p->arena);
    p->out = *hr_plan_output_shape(p->plan);
    assert_int_equal(hr_shape_elements(&p->out, &p->y_floats), HR_OK);
    p->x_floats = (size_t)layer->c * (size_t)layer->side * (size_t)layer->side;
}

static void planned_fini(struct planned *p)
{
    hr_mem_free(p->arena);
    hr_plan_destroy(p->plan);
    hr_pool_destroy(p->pool);
    hr_packs_destroy(p->packs);
    hr_store_destroy(p->weights);
    hr_graph_destroy(p->graph);
}

static void run(const struct planned *p, const float *x, float *y)
{
    hr_plan_run(p->plan, p->arena, p->pool, 1, x, y, NULL, NULL);
}

/* What an impulse at (c, at, at) must give at output (k, oy, ox): a folded weight, or 0. */
static float impulse_answer(const struct planned *p, const struct layer *l, const size_t *out,
                            int c, int at)
{
    const float scale = (float)(1.0 / sqrt(1.0 + (double)1e-5f));
    const int pad = (l->kernel - 1) / 2;
    const int r = at - (int)out[1] * l->stride + pad, s = at - (int)out[2] * l->stride + pad;
    if (r < 0 || s < 0 || r >= l->kernel || s >= l->kernel)
        return 0.0f;
    const size_t taps = (size_t)l->kernel;
    return p->w[((out[0] * (size_t)l->c + (size_t)c) * taps + (size_t)r) * taps + (size_t)s] *
           scale;
}

static void an_impulse_gives_the_weights(void **state)
{
    (void)state;
    static float x[1 << 16], y[1 << 16];
    for (size_t i = 0; i < HR_COUNT(layers); i++) {
        const struct layer *l = &layers[i];
        struct planned p;
        plan_layer(&p, l, true, 1.0f);
        assert_true(p.x_floats <= HR_COUNT(x) && p.y_floats <= HR_COUNT(y));
        const int c = l->c / 2, at = l->side / 2;
        memset(x, 0, sizeof x);
        x[((size_t)c * (size_t)l->side + (size_t)at) * (size_t)l->side + (size_t)at] = 1.0f;
        run(&p, x, y);
        const size_t oh = (size_t)p.out.dim[2], ow = (size_t)p.out.dim[3];
        for (size_t j = 0; j < p.y_floats; j++) {
            const size_t out[] = { j / (oh * ow), j / ow % oh, j % ow };
            assert_true(y[j] == impulse_answer(&p, l, out, c, at));
        }
        planned_fini(&p);
    }
}

static void sums_of_inputs_give_sums_of_outputs(void **state)
{
    (void)state;
    static float a[1 << 16], b[1 << 16], sum[1 << 16], ya[1 << 16], yb[1 << 16], y[1 << 16];
    for (size_t i = 0; i < HR_COUNT(layers); i++) {
        struct planned p;
        plan_layer(&p, &layers[i], false, 1.0f);
        hr_synthetic_fill(a, p.x_floats, "a");
        hr_synthetic_fill(b, p.x_floats, "b");
        for (size_t j = 0; j < p.x_floats; j++)
            sum[j] = 3.0f * a[j] - 0.5f * b[j];
        run(&p, a, ya);
        run(&p, b, yb);
        run(&p, sum, y);
        float largest = 0;
        for (size_t j = 0; j < p.y_floats; j++)
            largest = fmaxf(largest, fabsf(y[j]));
        assert_true(largest > 0);
        for (size_t j = 0; j < p.y_floats; j++)
            assert_true(fabsf(y[j] - (3.0f * ya[j] - 0.5f * yb[j])) <= 2e-5f * largest);
        planned_fini(&p);
    }
}

/* Do denormals exist for this thread? */
static bool denormals_live(void)
{
    volatile float tiny = FLT_MIN;
    tiny *= 0.5f;
    return tiny != 0.0f;
}

static void denormal_weights_are_flushed_and_the_state_restored(void **state)
{
    (void)state;
    static float x[1 << 16], y[1 << 16];
    assert_true(denormals_live());
    for (size_t i = 0; i < HR_COUNT(layers); i++) {
        struct planned p;
        plan_layer(&p, &layers[i], false, 1e-40f);
        assert_true(denormals_live());
        hr_synthetic_fill(x, p.x_floats, "x");
        run(&p, x, y);
        assert_true(denormals_live());
        for (size_t j = 0; j < p.y_floats; j++)
            assert_true(fabsf(y[j]) < 1e-30f);
        planned_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_impulse_gives_the_weights),
        cmocka_unit_test(sums_of_inputs_give_sums_of_outputs),
        cmocka_unit_test(denormal_weights_are_flushed_and_the_state_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
