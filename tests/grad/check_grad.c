/* SPDX-License-Identifier: Apache-2.0
 * Gradients that a tape computes against central differences of the same graph in double: small
 * networks, each around one operator or block, on every rung of the ladder, with one thread and
 * with three (equal bits).  The loss is a random weighing of the outputs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "double_graph.h"
#include "train/tape.h"

#define TOLERANCE_WIDE 2e-6
#define TOLERANCE      2e-4 /* of a parameter's largest difference quotient; float32 reaches 2e-5 */
#define HALF_UNITS     1.0  /* see check_half */
#define STEP           1e-6 /* of the differences: larger crosses ReLUs, smaller loses digits */
#define SAMPLES        24   /* elements of each parameter */

/* ---- The networks: each ends in a 3x3 convolution, so that gradients differ from pixel to pixel.
 */

typedef hr_value middle_fn(struct hr_builder *b, hr_value x, int channels);

struct net {
    const char *name;
    middle_fn *middle;
    int n, h, w, channels;
};

static hr_value conv_bn(struct hr_builder *b, const char *name, hr_value x, int kernel, int stride,
                        int channels)
{
    hr_layer(b, "%s", name);
    return hr_conv_bn(b, x, kernel, stride, channels);
}

static hr_value conv3(struct hr_builder *b, hr_value x, int channels)
{
    return hr_relu(b, conv_bn(b, "a", x, 3, 1, channels));
}

static hr_value conv3s2(struct hr_builder *b, hr_value x, int channels)
{
    return conv_bn(b, "a", hr_relu(b, conv_bn(b, "b", x, 1, 1, 5)), 3, 2, channels);
}

static hr_value conv1(struct hr_builder *b, hr_value x, int channels)
{
    x = hr_relu(b, conv_bn(b, "b", x, 1, 1, 33));
    return conv_bn(b, "c", hr_relu(b, conv_bn(b, "a", x, 1, 1, channels)), 1, 2, 7);
}

static hr_value conv5(struct hr_builder *b, hr_value x, int channels)
{
    x = hr_relu(b, conv_bn(b, "b", x, 5, 1, 3));
    return conv_bn(b, "c", hr_relu(b, conv_bn(b, "a", x, 5, 2, channels)), 7, 1, 2);
}

static hr_value basic_block(struct hr_builder *b, hr_value x, int channels)
{
    x = conv3(b, x, channels);
    const hr_value y =
        conv_bn(b, "c", hr_relu(b, conv_bn(b, "b", x, 3, 1, channels)), 3, 1, channels);
    return hr_relu(b, hr_add(b, x, y));
}

static hr_value two_norms(struct hr_builder *b, hr_value x, int channels)
{
    x = conv3(b, x, channels);
    const hr_value y = conv_bn(b, "b", x, 1, 1, 9), z = conv_bn(b, "c", x, 1, 1, 9);
    return hr_add(b, y, z);
}

/* Four branches, each summed into the first, as a fuse layer does. */
static hr_value fuse(struct hr_builder *b, hr_value x, int channels)
{
    hr_value branch[4];
    branch[0] = conv3(b, x, channels);
    for (int i = 1; i < 4; i++) {
        char name[2] = { (char)('b' + i), 0 };
        branch[i] = hr_relu(b, conv_bn(b, name, branch[i - 1], 3, 2, channels));
    }
    hr_value sum = branch[0];
    for (int i = 1; i < 4; i++) {
        char name[2] = { (char)('g' + i), 0 };
        sum = hr_add(b, sum, hr_upsample(b, conv_bn(b, name, branch[i], 1, 1, channels), 1 << i));
    }
    sum = hr_relu(b, sum);
    const hr_value down = hr_add(b, branch[1], conv_bn(b, "k", branch[0], 3, 2, channels));
    return hr_add(b, sum, hr_upsample(b, hr_relu(b, down), 2));
}

static hr_value squeeze(struct hr_builder *b, hr_value x, int channels)
{
    x = conv3(b, x, channels);
    hr_value y = conv_bn(b, "b", x, 3, 1, channels);
    hr_layer(b, "s");
    hr_value s = hr_relu(b, hr_linear(b, hr_global_pool(b, y), 3));
    hr_layer(b, "e");
    s = hr_sigmoid(b, hr_linear(b, s, channels));
    y = hr_scale(b, y, s);
    return hr_relu(b, hr_add(b, x, y));
}

static hr_value reuse(struct hr_builder *b, hr_value x, int channels)
{
    x = conv3(b, x, channels);
    const hr_value y = hr_relu(b, hr_add(b, x, x));
    return hr_add(b, hr_relu(b, hr_upsample(b, y, 1)), hr_add(b, y, x));
}

static const struct net nets[] = {
    { "conv 3x3", conv3, 2, 6, 5, 18 },
    { "conv 3x3, one pixel", conv3, 5, 1, 1, 4 },
    { "conv 3x3/2", conv3s2, 2, 7, 9, 20 },
    { "conv 3x3/2, even", conv3s2, 3, 8, 6, 3 },
    { "conv 1x1 and 1x1/2", conv1, 2, 5, 7, 50 },
    { "conv 5x5, 5x5/2, 7x7", conv5, 2, 11, 9, 4 },
    { "basic block", basic_block, 3, 5, 5, 17 },
    { "sum of two norms", two_norms, 2, 5, 6, 8 },
    { "fuse", fuse, 2, 16, 8, 6 },
    { "squeeze and excite", squeeze, 3, 5, 4, 12 },
    { "values used twice", reuse, 2, 5, 5, 9 },
};

static struct hr_graph *build(const struct net *net)
{
    struct hr_builder b;
    struct hr_graph *graph = NULL;
    if (hr_builder_start(&b) != HR_OK)
        abort();
    hr_value x = hr_input(&b, net->n, 3, net->h, net->w);
    x = net->middle(&b, x, net->channels);
    x = hr_relu(&b, conv_bn(&b, "tail", x, 3, 1, 5));
    hr_layer(&b, "fc");
    x = hr_linear(&b, hr_global_pool(&b, x), 4);
    if (hr_builder_finish(&b, x, &graph) != HR_OK) {
        printf("%s: %s\n", net->name, hr_last_message());
        exit(1);
    }
    return graph;
}

/* ---- Values ---- */

struct trial {
    struct hr_graph *graph; /* as built */
    double **params, *x, *weigh;
    size_t x_count, y_count;
};

static double uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 40) / 8388608.0 - 1.0; /* 24 bits: exact in float */
}

static void *allocate(size_t count, size_t bytes)
{
    void *block = calloc(count ? count : 1, bytes);
    if (!block)
        abort();
    return block;
}

static size_t elements(const struct hr_shape *shape)
{
    size_t count = 0;
    if (hr_shape_elements(shape, &count) != HR_OK)
        abort();
    return count;
}

static struct trial trial_of(const struct net *net)
{
    struct trial t = { .graph = build(net) };
    uint64_t seed = 7;
    t.x_count = elements(&t.graph->values[t.graph->input].shape);
    t.y_count = elements(&t.graph->values[t.graph->output].shape);
    t.params = allocate(t.graph->param_count, sizeof *t.params);
    t.x = allocate(t.x_count, sizeof *t.x);
    t.weigh = allocate(t.y_count, sizeof *t.weigh);
    for (size_t i = 0; i < t.graph->param_count; i++) {
        const size_t count = elements(&t.graph->params[i].shape);
        t.params[i] = allocate(count, sizeof(double));
        for (size_t j = 0; j < count; j++)
            t.params[i][j] =
                (float)(0.5 * uniform(&seed) + (t.graph->params[i].shape.rank == 1 ? 0.6 : 0.0));
    }
    for (size_t i = 0; i < t.x_count; i++)
        t.x[i] = uniform(&seed);
    for (size_t i = 0; i < t.y_count; i++)
        t.weigh[i] = uniform(&seed);
    return t;
}

static void trial_end(struct trial *t)
{
    for (size_t i = 0; i < t->graph->param_count; i++)
        free(t->params[i]);
    free(t->params);
    free(t->x);
    free(t->weigh);
    hr_graph_destroy(t->graph);
}

static double loss(const struct trial *t)
{
    double y[64], sum = 0.0;
    double_graph_run(t->graph, t->params, t->x, y);
    for (size_t i = 0; i < t->y_count; i++)
        sum += y[i] * t->weigh[i];
    return sum;
}

static double quotient(const struct trial *t, double *at)
{
    const double keep = *at;
    *at = keep + STEP;
    const double above = loss(t);
    *at = keep - STEP;
    const double below = loss(t);
    *at = keep;
    return (above - below) / (2 * STEP);
}

/* ---- The tape's gradients ---- */

struct gradients {
    struct hr_tape *tape;
    float *flat, *dx, *y;
};

/* In double; recomputing; any kernel; activations in 16 bits. */
enum { WIDE = 1, AGAIN = 2, FAST = 4, BF16 = 8, F16 = 16 };

static void compute(struct gradients *g, const struct net *net, const struct trial *t,
                    const struct hr_kernels *kernels, struct hr_pool *pool, int how)
{
    struct hr_graph *graph = build(net);
    const struct hr_tape_options options = { .kernels = kernels,
                                             .pool = pool,
                                             .exact = !(how & FAST),
                                             .wide = how & WIDE,
                                             .recompute = how & AGAIN,
                                             .half = how & BF16  ? HR_HALF_BF16
                                                     : how & F16 ? HR_HALF_F16
                                                                 : HR_HALF_NONE,
                                             .input_gradient = true,
                                             .momentum = 0.9f };
    if (hr_tape_create(&g->tape, graph, &options) != HR_OK) {
        printf("%s: %s\n", net->name, hr_last_message());
        exit(1);
    }
    hr_graph_destroy(graph);
    const size_t floats = hr_tape_floats(g->tape);
    float *params = allocate(floats, sizeof *params), *x = allocate(t->x_count, sizeof *x);
    float *dy = allocate(t->y_count, sizeof *dy);
    g->y = allocate(t->y_count, sizeof *g->y);
    g->flat = allocate(floats, sizeof *g->flat);
    g->dx = allocate(t->x_count, sizeof *g->dx);
    for (size_t i = 0; i < hr_tape_param_count(g->tape); i++) {
        const struct hr_tape_param *p = hr_tape_param(g->tape, i);
        for (size_t j = 0; j < p->count; j++)
            params[p->offset + j] = (float)t->params[i][j];
    }
    for (size_t i = 0; i < t->x_count; i++)
        x[i] = (float)t->x[i];
    for (size_t i = 0; i < t->y_count; i++)
        dy[i] = (float)t->weigh[i];
    for (int round = 0; round < 2; round++) { /* nothing is left over from a run before */
        hr_tape_forward(g->tape, params, (size_t)net->n, x, g->y);
        hr_tape_backward(g->tape, params, dy, g->flat, g->dx);
    }
    free(params);
    free(x);
    free(dy);
}

static void gradients_end(struct gradients *g)
{
    hr_tape_destroy(g->tape);
    free(g->flat);
    free(g->dx);
    free(g->y);
}

/* Worst difference over the largest quotient, of at most SAMPLES elements. */
static double worst_of(const struct trial *t, double *values, const float *gradient, size_t count)
{
    double worst = 0.0, largest = 1e-3; /* what hardly matters need not be right to a part of it */
    const size_t step = count / SAMPLES + 1;
    for (size_t j = 0; j < count; j += step) {
        const double q = quotient(t, &values[j]), d = fabs(q - (double)gradient[j]);
        worst = d > worst || isnan(d) ? d : worst;
        largest = fabs(q) > largest ? fabs(q) : largest;
    }
    return worst / largest;
}

/* Worst difference of a parameter's gradients over the largest of them. */
static double worst_beside(const struct gradients *g, const struct gradients *other)
{
    double worst = 0.0;
    for (size_t i = 0; i < hr_tape_param_count(g->tape); i++) {
        const struct hr_tape_param *p = hr_tape_param(g->tape, i);
        double largest = 1e-3, difference = 0.0;
        for (size_t j = p->offset; j < p->offset + p->count; j++) {
            largest = fmax(largest, fabs((double)g->flat[j]));
            difference = fmax(difference, fabs((double)g->flat[j] - (double)other->flat[j]));
        }
        worst = fmax(worst, difference / largest);
    }
    return worst;
}

/* Length of the difference of all gradients over theirs. */
static double distance(const struct gradients *g, const struct gradients *other)
{
    double difference = 0.0, length = 0.0;
    for (size_t i = 0; i < hr_tape_floats(g->tape); i++) {
        const double d = (double)g->flat[i] - (double)other->flat[i];
        difference += d * d;
        length += (double)g->flat[i] * (double)g->flat[i];
    }
    return sqrt(difference / length);
}

/* Activations that wait in 16 bits change nothing of forward.  Gradients are sums of products with
 * what is kept, each off by `unit` of it at most, and errors of many terms cancel more than they
 * add up; ReLUs let the same values pass.  So all gradients together are off by less than `unit` of
 * their length; 0.5 is the most that is seen.
 */
static int check_half(const struct net *net, const struct hr_kernels *kernels, struct hr_pool *pool,
                      const struct gradients *full, int half)
{
    struct trial t = trial_of(net);
    struct gradients g = { 0 }, threaded = { 0 }, again = { 0 };
    const double unit = half == BF16 ? 0x1p-8 : 0x1p-11;
    int failed = 0;
    compute(&g, net, &t, kernels, NULL, half);
    compute(&threaded, net, &t, kernels, pool, half);
    compute(&again, net, &t, kernels, pool, half | AGAIN);
    const double away = fmax(distance(full, &g), distance(full, &again)) / unit;
    if (memcmp(full->y, g.y, t.y_count * sizeof *g.y) != 0 ||
        memcmp(full->y, again.y, t.y_count * sizeof *g.y) != 0)
        failed = printf("FAILED %s [%s]: 16 bits change forward\n", net->name, kernels->isa);
    if (memcmp(g.flat, threaded.flat, hr_tape_floats(g.tape) * sizeof *g.flat) != 0)
        failed = printf("FAILED %s [%s]: threads change 16 bits\n", net->name, kernels->isa);
    if (!(away <= HALF_UNITS) || (net->h * net->w > 1 && away < 0.01))
        failed =
            printf("FAILED %s [%s]: 16 bits differ by %.2f units\n", net->name, kernels->isa, away);
    printf("%-22s %-9s %s: %.2f units\n", net->name, kernels->isa, half == BF16 ? "bf16" : "fp16",
           away);
    gradients_end(&g);
    gradients_end(&threaded);
    gradients_end(&again);
    trial_end(&t);
    return failed != 0;
}

static int check_net(const struct net *net, const struct hr_kernels *kernels, struct hr_pool *pool,
                     bool wide)
{
    struct trial t = trial_of(net);
    struct gradients g = { 0 }, threaded = { 0 }, fast = { 0 };
    const double tolerance = wide ? TOLERANCE_WIDE : TOLERANCE;
    const char *const how = wide ? "wide" : kernels->isa;
    int failed = 0;
    double worst = 0.0;
    compute(&g, net, &t, kernels, NULL, wide ? WIDE : 0);
    compute(&threaded, net, &t, kernels, pool, wide ? WIDE : AGAIN);
    compute(&fast, net, &t, kernels, pool, wide ? WIDE : FAST);
    if (memcmp(g.flat, threaded.flat, hr_tape_floats(g.tape) * sizeof *g.flat) != 0)
        failed = printf("FAILED %s [%s]: threads or recomputing change the bits\n", net->name, how);
    if (!(worst_beside(&g, &fast) <= tolerance))
        failed = printf("FAILED %s [%s]: any kernel differs by %.2e\n", net->name, how,
                        worst_beside(&g, &fast));
    for (size_t i = 0; i < t.graph->param_count; i++) {
        const struct hr_tape_param *p = hr_tape_param(g.tape, i);
        if (!p->trainable)
            continue;
        const double error = worst_of(&t, t.params[i], g.flat + p->offset, p->count);
        worst = error > worst ? error : worst;
        if (!(error <= tolerance))
            failed = printf("FAILED %s [%s]: %s differs by %.2e\n", net->name, how, p->name, error);
    }
    const double error = worst_of(&t, t.x, g.dx, t.x_count);
    if (!(error <= tolerance))
        failed = printf("FAILED %s [%s]: the picture differs by %.2e\n", net->name, how, error);
    printf("%-22s %-9s parameters %.1e, picture %.1e\n", net->name, how, worst, error);
    if (!wide)
        failed |=
            check_half(net, kernels, pool, &g, BF16) | check_half(net, kernels, pool, &g, F16);
    gradients_end(&g);
    gradients_end(&threaded);
    gradients_end(&fast);
    trial_end(&t);
    return failed != 0;
}

int main(void)
{
    const uint32_t host = hr_cpu_get()->flags;
    struct hr_pool *pool = NULL;
    int failed = 0;
    if (hr_pool_create(&pool, 3) != HR_OK)
        return 1;
    for (size_t r = 0; r < hr_isa_count; r++) {
        struct hr_kernels kernels;
        if ((host & hr_isa_ladder[r].need) != hr_isa_ladder[r].need)
            continue;
        hr_kernels_init(&kernels, hr_isa_ladder[r].need);
        for (size_t i = 0; i < HR_COUNT(nets); i++)
            failed += check_net(&nets[i], &kernels, pool, false);
        for (size_t i = 0; r == 0 && i < HR_COUNT(nets); i++)
            failed += check_net(&nets[i], &kernels, pool, true);
    }
    hr_pool_destroy(pool);
    printf("%d networks failed\n", failed);
    return failed > 0;
}
