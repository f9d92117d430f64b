/* SPDX-License-Identifier: Apache-2.0
 * Several batches that count as one: their gradient is that of the large batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/gradient.h"

#define CLASSES 4
#define MOST    8 /* pictures */
#define SIDE    6
#define FLOATS  (3 * SIDE * SIDE)

struct network {
    struct hr_kernels kernels;
    struct hr_tape *tape;
    struct hr_gradient gradient;
    float *params;
};

/* With a norm, whose statistics are the batch's, or without. */
static void open_network(struct network *net, bool norm, const struct hr_loss *loss)
{
    struct hr_builder b;
    struct hr_graph *graph = NULL;
    memset(net, 0, sizeof *net);
    hr_kernels_init(&net->kernels, 0);
    assert_int_equal(hr_builder_start(&b), HR_OK);
    hr_value x = hr_input(&b, MOST, 3, SIDE, SIDE);
    hr_layer(&b, "conv");
    const struct hr_attr attr = { .kernel = 3, .stride = 1, .pad = 1, .channels = 8 };
    x = norm ? hr_conv_bn(&b, x, 3, 1, 8) : hr_conv(&b, x, &attr, true);
    x = hr_global_pool(&b, x);
    hr_layer(&b, "fc");
    x = hr_linear(&b, x, CLASSES);
    assert_int_equal(hr_builder_finish(&b, x, &graph), HR_OK);
    const struct hr_tape_options options = { .kernels = &net->kernels, .momentum = 0.9f };
    assert_int_equal(hr_tape_create(&net->tape, graph, &options), HR_OK);
    hr_graph_destroy(graph);
    net->gradient = (struct hr_gradient){ .tape = net->tape, .loss = loss };
    assert_int_equal(hr_gradient_init(&net->gradient, true), HR_OK);
    net->params = hr_mem_alloc(hr_tape_floats(net->tape), sizeof(float));
    for (size_t i = 0; i < hr_tape_floats(net->tape); i++)
        net->params[i] = 0.5f + (float)((int)(i * 37 % 101) - 50) * 0.01f;
}

static void close_network(struct network *net)
{
    hr_gradient_fini(&net->gradient);
    hr_tape_destroy(net->tape);
    hr_mem_free(net->params);
}

/* Largest difference of the gradients of pictures[0..n) at once and in batches of `sizes`, over the
 * largest gradient. */
static double difference(bool norm, const struct hr_loss *loss, const float *x,
                         const int32_t *labels, const size_t *sizes, size_t count)
{
    struct network once, parts;
    size_t n = 0;
    double worst = 0.0, most = 0.0, mean = 0.0;
    open_network(&once, norm, loss);
    open_network(&parts, norm, loss);
    hr_gradient_begin(&parts.gradient, count);
    for (size_t i = 0; i < count; n += sizes[i++]) {
        const struct hr_batch part = { .n = sizes[i], .x = x + n * FLOATS, .labels = labels + n };
        mean += hr_gradient_add(&parts.gradient, parts.params, &part,
                                hr_gradient_mass(&parts.gradient, &part));
    }
    hr_gradient_end(&parts.gradient, parts.params);
    assert_true(isfinite(mean));
    const struct hr_batch all = { .n = n, .x = x, .labels = labels };
    hr_gradient_begin(&once.gradient, 1);
    hr_gradient_add(&once.gradient, once.params, &all, hr_gradient_mass(&once.gradient, &all));
    hr_gradient_end(&once.gradient, once.params);
    for (size_t i = 0; i < hr_tape_floats(once.tape); i++) {
        const double want = (double)once.gradient.values[i];
        worst = fmax(worst, fabs((double)parts.gradient.values[i] - want));
        most = fmax(most, fabs(want));
    }
    close_network(&once);
    close_network(&parts);
    assert_true(most > 1e-3);
    return worst / most;
}

static void fill(float *x, int32_t *labels, size_t period)
{
    for (size_t i = 0; i < (size_t)MOST * FLOATS; i++)
        x[i] = (float)((int)(i % (period * FLOATS) * 53 % 97) - 48) * 0.02f;
    for (size_t i = 0; i < MOST; i++)
        labels[i] = (int32_t)(i % period % CLASSES);
}

static void batches_add_up(void **state)
{
    static const float weights[CLASSES] = { 1.0f, 5.0f, 0.25f, 2.0f };
    static const size_t sizes[] = { 3, 1, 4 };
    const struct hr_loss plain = { .kind = HR_LOSS_CROSS_ENTROPY, .smoothing = 0.1 };
    const struct hr_loss weighted = { .kind = HR_LOSS_CROSS_ENTROPY, .class_weights = weights };
    float x[MOST * FLOATS];
    int32_t labels[MOST];
    (void)state;
    fill(x, labels, MOST);
    assert_true(difference(false, &plain, x, labels, sizes, 3) < 1e-6);
    assert_true(difference(false, &weighted, x, labels, sizes, 3) < 1e-6);
    assert_true(difference(true, &plain, x, labels, sizes, 3) > 1e-3);
}

/* A batch twice has its own statistics, so that with norms, too, it is all the same. */
static void a_batch_twice_is_the_batch(void **state)
{
    static const size_t sizes[] = { 4, 4 };
    const struct hr_loss loss = { .kind = HR_LOSS_CROSS_ENTROPY };
    float x[MOST * FLOATS];
    int32_t labels[MOST];
    (void)state;
    fill(x, labels, 4);
    assert_true(difference(true, &loss, x, labels, sizes, 2) < 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_add_up),
        cmocka_unit_test(a_batch_twice_is_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
