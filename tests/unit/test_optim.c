/* SPDX-License-Identifier: Apache-2.0
 * Three steps of every optimizer against the formulas in double; decay, its exceptions, clipping,
 * frozen parameters; any number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/optim.h"

#define STEPS 3
#define RATE  0.05

struct fixture {
    struct hr_kernels kernels;
    struct hr_tape *tape;
    float *params, *gradients;
    size_t floats;
};

/* One convolution with its norm, and a linear layer of more than one segment. */
static int start(void **state)
{
    struct fixture *f = hr_mem_alloc(1, sizeof *f);
    struct hr_builder b;
    struct hr_graph *graph = NULL;
    hr_kernels_init(&f->kernels, 0);
    assert_int_equal(hr_builder_start(&b), HR_OK);
    hr_value x = hr_input(&b, 1, 3, 4, 4);
    hr_layer(&b, "conv");
    x = hr_global_pool(&b, hr_conv_bn(&b, x, 3, 1, 40));
    hr_layer(&b, "fc");
    x = hr_linear(&b, x, 1000);
    assert_int_equal(hr_builder_finish(&b, x, &graph), HR_OK);
    const struct hr_tape_options options = { .kernels = &f->kernels, .momentum = 0.9f };
    assert_int_equal(hr_tape_create(&f->tape, graph, &options), HR_OK);
    hr_graph_destroy(graph);
    f->floats = hr_tape_floats(f->tape);
    f->params = hr_mem_alloc(f->floats, sizeof *f->params);
    f->gradients = hr_mem_alloc(f->floats, sizeof *f->gradients);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    hr_tape_destroy(f->tape);
    hr_mem_free(f->params);
    hr_mem_free(f->gradients);
    hr_mem_free(f);
    return 0;
}

static float weight_at(size_t i)
{
    return (float)((int)(i * 37 % 101) - 50) * 0.01f;
}

static float gradient_at(size_t i, int step)
{
    return (float)((int)((i * 53 + (size_t)step * 29) % 97) - 48) * 0.02f;
}

static void fill(struct fixture *f, float *vector, int step)
{
    memset(vector, 0, f->floats * sizeof *vector);
    for (size_t q = 0; q < hr_tape_param_count(f->tape); q++) {
        const struct hr_tape_param *p = hr_tape_param(f->tape, q);
        for (size_t i = p->offset; i < p->offset + p->count; i++)
            vector[i] = step < 0 ? weight_at(i) : p->trainable ? gradient_at(i, step) : 0.0f;
    }
}

static double sign(double x)
{
    return (double)((x > 0.0) - (x < 0.0));
}

/* What one weight becomes in STEPS steps. */
static double follow(const struct hr_optim_options *o, size_t i, bool decays, const double *norms)
{
    double w = (double)weight_at(i), m = 0.0, v = 0.0;
    for (int t = 1; t <= STEPS; t++) {
        double g = (double)gradient_at(i, t - 1);
        if (o->clip_norm > 0.0 && norms[t - 1] > o->clip_norm)
            g *= o->clip_norm / norms[t - 1];
        g += decays ? o->l2 * w + o->l1 * sign(w) : 0.0;
        if (o->kind == HR_OPTIM_SGD) {
            w -= RATE * g;
        } else if (o->kind == HR_OPTIM_MOMENTUM) {
            v = o->momentum * v + g;
            w -= RATE * (o->nesterov ? g + o->momentum * v : v);
        } else if (o->kind == HR_OPTIM_RMSPROP) {
            m = o->rho * m + (1.0 - o->rho) * g * g;
            v = o->momentum * v + RATE * g / sqrt(m + o->epsilon);
            w -= v;
        } else {
            w *= o->kind == HR_OPTIM_ADAMW && decays ? 1.0 - RATE * o->decay : 1.0;
            m = o->beta1 * m + (1.0 - o->beta1) * g;
            v = o->beta2 * v + (1.0 - o->beta2) * g * g;
            w -= RATE * m / (1.0 - pow(o->beta1, t)) /
                 (sqrt(v / (1.0 - pow(o->beta2, t))) + o->epsilon);
        }
    }
    return w;
}

static void run(struct fixture *f, const struct hr_optim_options *o, struct hr_pool *pool,
                double *norms)
{
    struct hr_optim *optim = NULL;
    assert_int_equal(hr_optim_create(&optim, f->tape, o), HR_OK);
    fill(f, f->params, -1);
    for (int t = 0; t < STEPS; t++) {
        fill(f, f->gradients, t);
        norms[t] = hr_optim_norm(optim, f->gradients, pool);
        hr_optim_step(optim, f->params, f->gradients, norms[t], RATE, pool);
    }
    assert_int_equal(hr_optim_steps(optim), STEPS);
    hr_optim_destroy(optim);
}

static void compare(struct fixture *f, const struct hr_optim_options *o)
{
    double norms[STEPS];
    run(f, o, NULL, norms);
    for (size_t q = 0; q < hr_tape_param_count(f->tape); q++) {
        const struct hr_tape_param *p = hr_tape_param(f->tape, q);
        const bool decays = !(o->no_decay_one_dim && p->shape.rank == 1) &&
                            !(o->no_decay_count && strstr(p->name, o->no_decay[0]));
        const bool moves = p->trainable && !(o->rates && o->rates[q] == 0.0f);
        for (size_t i = p->offset; i < p->offset + p->count; i++) {
            const double want = moves ? follow(o, i, decays, norms) : (double)weight_at(i);
            assert_true(fabs((double)f->params[i] - want) < 3e-6);
        }
    }
}

static void every_kind_follows_its_formula(void **state)
{
    for (int kind = HR_OPTIM_SGD; kind <= HR_OPTIM_RMSPROP; kind++) {
        struct hr_optim_options o = hr_optim_defaults((enum hr_optim_kind)kind);
        compare(*state, &o);
        o.epsilon = 1e-3; /* where decay cancels a gradient, its sign is a matter of rounding */
        o.l2 = 0.01;
        o.l1 = 0.003;
        compare(*state, &o);
        o.no_decay_one_dim = true;
        compare(*state, &o);
    }
}

static void nesterov_looks_ahead(void **state)
{
    struct hr_optim_options o = hr_optim_defaults(HR_OPTIM_MOMENTUM);
    o.nesterov = true;
    compare(*state, &o);
    o = hr_optim_defaults(HR_OPTIM_RMSPROP);
    o.momentum = 0.9;
    compare(*state, &o);
}

static void names_are_kept_from_decay(void **state)
{
    static const char *const names[] = { "fc." };
    struct hr_optim_options o = hr_optim_defaults(HR_OPTIM_ADAMW);
    o.decay = 0.3;
    o.no_decay = names;
    o.no_decay_count = 1;
    compare(*state, &o);
}

static void clipping_shrinks_all_gradients(void **state)
{
    struct hr_optim_options o = hr_optim_defaults(HR_OPTIM_MOMENTUM);
    o.clip_norm = 2.0;
    o.l2 = 0.01;
    compare(*state, &o);
    o.clip_norm = 1e6;
    compare(*state, &o);
}

static void the_norm_is_that_of_what_is_trained(void **state)
{
    struct fixture *f = *state;
    const struct hr_optim_options o = hr_optim_defaults(HR_OPTIM_SGD);
    double norms[STEPS], squares = 0.0;
    run(f, &o, NULL, norms);
    for (size_t i = 0; i < f->floats; i++)
        squares += (double)f->gradients[i] * (double)f->gradients[i];
    assert_true(fabs(norms[STEPS - 1] - sqrt(squares)) < 1e-9 * sqrt(squares));
}

static void a_rate_of_zero_freezes(void **state)
{
    struct fixture *f = *state;
    float rates[16] = { 0.0f, 1.0f, 1.0f, 1.0f, 1.0f, 0.0f, 1.0f };
    struct hr_optim_options o = hr_optim_defaults(HR_OPTIM_MOMENTUM);
    o.rates = rates;
    assert_int_equal(hr_tape_param_count(f->tape), 7);
    compare(f, &o);
}

static void threads_leave_the_bits_alone(void **state)
{
    struct fixture *f = *state;
    struct hr_pool *pool = NULL;
    double norms[STEPS], threaded[STEPS];
    struct hr_optim_options o = hr_optim_defaults(HR_OPTIM_ADAMW);
    o.clip_norm = 1.0;
    run(f, &o, NULL, norms);
    float *const alone = hr_mem_alloc(f->floats, sizeof *alone);
    memcpy(alone, f->params, f->floats * sizeof *alone);
    assert_int_equal(hr_pool_create(&pool, 3), HR_OK);
    run(f, &o, pool, threaded);
    assert_memory_equal(alone, f->params, f->floats * sizeof *alone);
    assert_memory_equal(norms, threaded, sizeof norms);
    hr_pool_destroy(pool);
    hr_mem_free(alone);
}

static void words_make_optimizers(void **state)
{
    struct hr_optim_options o;
    (void)state;
    assert_int_equal(hr_optim_named(&o, "nesterov:momentum=0.8"), HR_OK);
    assert_int_equal(hr_optim_set(&o, "nesterov:momentum=0.8"), HR_OK);
    assert_true(o.kind == HR_OPTIM_MOMENTUM && o.nesterov && fabs(o.momentum - 0.8) < 1e-12);
    assert_int_equal(hr_optim_named(&o, "adamw"), HR_OK);
    assert_int_equal(hr_optim_set(&o, "adamw:beta1=0.8,beta2=0.99,epsilon=1e-6,decay=0.1"), HR_OK);
    assert_true(o.kind == HR_OPTIM_ADAMW && fabs(o.beta2 - 0.99) < 1e-12 && o.decay > 0.09);
    assert_int_equal(hr_optim_named(&o, "rmsprop"), HR_OK);
    assert_int_equal(hr_optim_set(&o, "rmsprop:rho=0.9,momentum=0.5"), HR_OK);
    assert_true(o.rho < 0.91 && o.momentum > 0.49);
    assert_int_equal(hr_optim_named(&o, "lion"), HR_E_ARGUMENT);
    assert_int_equal(hr_optim_named(&o, "sgd"), HR_OK);
    assert_int_equal(hr_optim_set(&o, "sgd:momentum=0.9"), HR_E_ARGUMENT);
    assert_int_equal(hr_optim_named(&o, "adam"), HR_OK);
    assert_int_equal(hr_optim_set(&o, "adam:beta1=1"), HR_E_ARGUMENT);
    assert_int_equal(hr_optim_named(&o, "adam"), HR_OK);
    assert_int_equal(hr_optim_set(&o, "adam:epsilon=0"), HR_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_follows_its_formula),
        cmocka_unit_test(nesterov_looks_ahead),
        cmocka_unit_test(names_are_kept_from_decay),
        cmocka_unit_test(clipping_shrinks_all_gradients),
        cmocka_unit_test(the_norm_is_that_of_what_is_trained),
        cmocka_unit_test(a_rate_of_zero_freezes),
        cmocka_unit_test(threads_leave_the_bits_alone),
        cmocka_unit_test(words_make_optimizers),
    };
    return cmocka_run_group_tests(tests, start, end);
}
