/* SPDX-License-Identifier: Apache-2.0
 * Kernels of training: bit for bit against the references, any split. */
#include "check.h"

#include <stdio.h>
#include <string.h>

static void report(struct check *check, const char *what, const size_t at[4])
{
    if (check->failed++ < 20)
        printf("FAILED %s [%s]: %zu %zu %zu %zu\n", what, check->rung, at[0], at[1], at[2], at[3]);
}

static bool equal(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!check_same(a[i], b[i]))
            return false;
    return check_canary(a, count) && check_canary(b, count);
}

/* A buffer of `rows` rows of `stride`, filled, lanes past c zero; and its twin. */
struct twin {
    float *a, *b;
    size_t count;
};

static struct twin twin_of(size_t rows, size_t c, size_t stride, enum check_fill fill,
                           uint32_t *seed)
{
    struct twin t = { check_buffer(rows * stride), check_buffer(rows * stride), rows * stride };
    check_fill(t.a, t.count, fill, seed);
    for (size_t i = 0; i < t.count; i++)
        if (i % stride >= c)
            t.a[i] = 0.0f;
    memcpy(t.b, t.a, t.count * sizeof *t.a);
    return t;
}

static bool twin_end(struct twin *t)
{
    const bool same = equal(t->a, t->b, t->count);
    check_free(t->a);
    check_free(t->b);
    return same;
}

/* Infinite sums differ only in which NaN: finite fills tell more. */
static enum check_fill some_fill(uint32_t *seed)
{
    static const enum check_fill fills[] = { FILL_UNIFORM, FILL_UNIFORM, FILL_ZERO, FILL_DENORMAL };
    return fills[check_random(seed, HR_COUNT(fills))];
}

/* ---- Weight gradients ---- */

static void check_wgrad_case(struct check *check, const struct hr_wgrad_kernel *kernel,
                             struct hr_conv_shape s, size_t n, uint32_t *seed)
{
    const enum check_fill fill = some_fill(seed);
    struct twin x = twin_of(n * s.h * s.w, s.c, s.x_stride, fill, seed);
    struct twin dy = twin_of(n * s.oh * s.ow, s.k, s.y_stride, fill, seed);
    const size_t floats = hr_wgrad_floats(&s, n),
                 weights = s.k * s.c * (size_t)(s.kernel * s.kernel);
    float *const want = check_buffer(floats), *const got = check_buffer(floats);
    float *const dw = check_buffer(weights), *const again = check_buffer(weights);
    struct hr_wgrad_call call = { .shape = &s, .n = n, .x = x.a, .dy = dy.a, .parts = want };
    const size_t ref = hr_wgrad_ref.pieces(&s, n), pieces = kernel->pieces(&s, n);
    hr_wgrad_ref.run(&call, 0, ref);
    hr_wgrad_finish(&call, dw, 0, s.k);
    call.parts = got;
    const size_t cut = check_random(seed, (uint32_t)pieces + 1);
    kernel->run(&call, cut, pieces);
    kernel->run(&call, 0, cut);
    const size_t k = check_random(seed, (uint32_t)s.k + 1);
    hr_wgrad_finish(&call, again, k, s.k);
    hr_wgrad_finish(&call, again, 0, k);
    check->ran++;
    if (!equal(want, got, floats) || !equal(dw, again, weights))
        report(check, kernel->name, (size_t[4]){ s.h * 1000 + s.w, s.c, s.k, (size_t)s.kernel });
    check_free(want);
    check_free(got);
    check_free(dw);
    check_free(again);
    (void)twin_end(&x);
    (void)twin_end(&dy);
}

static void check_wgrad(struct check *check, const struct hr_wgrad_kernel *kernel, size_t vector)
{
    uint32_t seed = 11;
    for (int i = 0; i < (check->slow ? 40 : 250); i++) {
        struct hr_conv_shape s = { .h = 1 + check_random(&seed, 20),
                                   .w = 1 + check_random(&seed, 20),
                                   .c = 1 + check_random(&seed, i % 5 ? 24 : 80),
                                   .k = 1 + check_random(&seed, i % 7 ? 40 : 130),
                                   .kernel = 1 + 2 * (int)check_random(&seed, 3),
                                   .stride = 1 + (int)check_random(&seed, 2) };
        s.pad = (s.kernel - 1) / 2;
        s.oh = (s.h + 2 * (size_t)s.pad - (size_t)s.kernel) / (size_t)s.stride + 1;
        s.ow = (s.w + 2 * (size_t)s.pad - (size_t)s.kernel) / (size_t)s.stride + 1;
        s.x_stride = (s.c + vector - 1) / vector * vector;
        s.y_stride = (s.k + vector - 1) / vector * vector;
        check_wgrad_case(check, kernel, s, 1 + check_random(&seed, 4), &seed);
    }
}

/* ---- Batch normalisation ---- */

struct norm_case {
    size_t pixels, c, stride;
    bool relu, residual, dx_add, dresidual_add;
};

/* Both passes of one rung into one side of the twins. */
static void run_norm(const struct hr_norm_kernels *k, struct hr_norm_call *call, size_t cut)
{
    const size_t blocks = hr_norm_blocks(call->pixels), middle = cut * blocks / (call->pixels + 1);
    k->stats(call, middle, blocks);
    k->stats(call, 0, middle);
    k->apply(call, cut, call->pixels);
    k->apply(call, 0, cut);
    call->partial += blocks * HR_NORM_SUMS * call->stride;
    k->grad_sums(call, 0, middle);
    k->grad_sums(call, middle, blocks);
    k->grad(call, 0, cut);
    k->grad(call, cut, call->pixels);
}

static void check_norm_case(struct check *check, const struct hr_norm_kernels *ref,
                            const struct hr_norm_kernels *fn, const struct norm_case *n,
                            uint32_t *seed)
{
    enum { X, RESIDUAL, Y, DY, DX, DRESIDUAL, MAPS };
    enum { MEAN, SCALE, SHIFT, A, B, C, ROWS };
    const enum check_fill fill = some_fill(seed);
    struct twin maps[MAPS], rows[ROWS];
    for (int i = 0; i < MAPS; i++)
        maps[i] = twin_of(n->pixels, n->c, n->stride, fill, seed);
    for (int i = 0; i < ROWS; i++)
        rows[i] = twin_of(1, n->c, n->stride, FILL_UNIFORM, seed);
    struct twin partial = twin_of(2 * hr_norm_blocks(n->pixels) * HR_NORM_SUMS, n->stride,
                                  n->stride, FILL_ZERO, seed);
    for (int side = 0; side < 2; side++) {
        float *map[MAPS], *row[ROWS];
        for (int i = 0; i < MAPS; i++)
            map[i] = side ? maps[i].b : maps[i].a;
        for (int i = 0; i < ROWS; i++)
            row[i] = rows[i].a;
        struct hr_norm_call call = { .pixels = n->pixels,
                                     .stride = n->stride,
                                     .x = map[X],
                                     .mean = row[MEAN],
                                     .partial = side ? partial.b : partial.a,
                                     .scale = row[SCALE],
                                     .shift = row[SHIFT],
                                     .residual = n->residual ? map[RESIDUAL] : NULL,
                                     .y = map[Y],
                                     .relu = n->relu,
                                     .dy = map[DY],
                                     .a = row[A],
                                     .b = row[B],
                                     .c = row[C],
                                     .dx = map[DX],
                                     .dresidual = n->residual ? map[DRESIDUAL] : NULL,
                                     .dx_add = n->dx_add,
                                     .dresidual_add = n->dresidual_add };
        run_norm(side ? fn : ref, &call,
                 side ? check_random(seed, (uint32_t)n->pixels + 1) : n->pixels);
    }
    bool same = twin_end(&partial);
    for (int i = 0; i < MAPS; i++)
        same = twin_end(&maps[i]) && same;
    for (int i = 0; i < ROWS; i++)
        same = twin_end(&rows[i]) && same;
    check->ran++;
    if (!same)
        report(check, "norm",
               (size_t[4]){ n->pixels, n->c, n->relu, n->residual + 2u * n->dx_add });
}

static void check_norm(struct check *check, const struct hr_norm_kernels *ref,
                       const struct hr_norm_kernels *fn, size_t vector)
{
    uint32_t seed = 12;
    for (int i = 0; i < 150; i++) {
        struct norm_case n = { .pixels = 1 + check_random(&seed, i % 3 ? 200 : 3),
                               .c = 1 + check_random(&seed, i % 4 ? 40 : 150),
                               .relu = check_random(&seed, 2),
                               .residual = check_random(&seed, 2),
                               .dx_add = check_random(&seed, 2),
                               .dresidual_add = check_random(&seed, 2) };
        n.stride = (n.c + vector - 1) / vector * vector;
        check_norm_case(check, ref, fn, &n, &seed);
    }
}

/* ---- Element-wise gradients ---- */

static void check_sum_grad(struct check *check, hr_sum_grad_fn *ref, hr_sum_grad_fn *fn,
                           size_t vector)
{
    uint32_t seed = 13;
    for (int i = 0; i < 200; i++) {
        struct hr_sum_grad_call call = { .n = 1 + check_random(&seed, 3),
                                         .h = 1 + check_random(&seed, 17),
                                         .w = 1 + check_random(&seed, 17),
                                         .stride = vector * (1 + check_random(&seed, 4)),
                                         .shift = check_random(&seed, 4),
                                         .add = check_random(&seed, 2) };
        const size_t pixels = call.n * call.h * call.w,
                     rows = call.n * (((call.h - 1) >> call.shift) + 1);
        const enum check_fill fill = some_fill(&seed);
        struct twin y = twin_of(pixels, call.stride, call.stride, fill, &seed);
        struct twin dy = twin_of(pixels, call.stride, call.stride, fill, &seed);
        struct twin dx = twin_of(rows * (((call.w - 1) >> call.shift) + 1), call.stride,
                                 call.stride, fill, &seed);
        call.y = i & 1 ? y.a : NULL;
        call.dy = dy.a;
        call.dx = dx.a;
        ref(&call, 0, rows);
        const size_t cut = check_random(&seed, (uint32_t)rows + 1);
        call.dx = dx.b;
        fn(&call, cut, rows);
        fn(&call, 0, cut);
        check->ran++;
        (void)twin_end(&y);
        (void)twin_end(&dy);
        if (!twin_end(&dx))
            report(check, "sum_grad", (size_t[4]){ call.h, call.w, call.stride, call.shift });
    }
}

static void check_shuffle(struct check *check, hr_shuffle_fn *ref, hr_shuffle_fn *fn, size_t vector)
{
    uint32_t seed = 14;
    for (int i = 0; i < 100; i++) {
        struct hr_shuffle_call call = { .n = 1 + check_random(&seed, 3),
                                        .h = 1 + check_random(&seed, 9),
                                        .w = 1 + check_random(&seed, 9),
                                        .x_stride = vector * (1 + check_random(&seed, 3)),
                                        .stride = 2 + check_random(&seed, 2),
                                        .add = check_random(&seed, 2) };
        const size_t S = call.stride, rows = call.n * call.h;
        const size_t places = call.n * ((call.h + S - 1) / S) * ((call.w + S - 1) / S) * S * S;
        struct twin z = twin_of(places, call.x_stride, call.x_stride, FILL_UNIFORM, &seed);
        struct twin dx = twin_of(rows * call.w, call.x_stride, call.x_stride, FILL_UNIFORM, &seed);
        call.z = z.a;
        call.dx = dx.a;
        ref(&call, 0, rows);
        const size_t cut = check_random(&seed, (uint32_t)rows + 1);
        call.dx = dx.b;
        fn(&call, cut, rows);
        fn(&call, 0, cut);
        check->ran++;
        (void)twin_end(&z);
        if (!twin_end(&dx))
            report(check, "shuffle", (size_t[4]){ call.h, call.w, call.x_stride, S });
    }
}

static void check_gates(struct check *check, const struct hr_eltwise_grad_kernels *ref,
                        const struct hr_eltwise_grad_kernels *fn, size_t vector)
{
    uint32_t seed = 15;
    for (int i = 0; i < 100; i++) {
        const size_t n = 1 + check_random(&seed, 4), pixels = 1 + check_random(&seed, 60);
        const size_t c = 1 + check_random(&seed, 70), stride = (c + vector - 1) / vector * vector;
        const enum check_fill fill = some_fill(&seed);
        struct twin x = twin_of(n * pixels, c, stride, fill, &seed);
        struct twin dy = twin_of(n * pixels, c, stride, fill, &seed);
        struct twin s = twin_of(n, c, stride, fill, &seed), ds = twin_of(n, c, stride, fill, &seed);
        struct twin dx = twin_of(n * pixels, c, stride, fill, &seed);
        struct hr_scale_grad_call scale = { n,    pixels, stride, x.a,   s.a,
                                            dy.a, dx.a,   ds.a,   i & 1, i & 2 };
        struct hr_pool_grad_call pool = { n, pixels, stride, stride, s.a, dx.a, i & 4 };
        ref->scale(&scale, 0, n);
        ref->pool(&pool, 0, n * pixels);
        scale.dx = pool.dx = dx.b;
        scale.ds = ds.b;
        const size_t cut = check_random(&seed, (uint32_t)n + 1);
        fn->scale(&scale, cut, n);
        fn->scale(&scale, 0, cut);
        fn->pool(&pool, cut * pixels, n * pixels);
        fn->pool(&pool, 0, cut * pixels);
        check->ran++;
        bool same = twin_end(&dx);
        same = twin_end(&ds) && same;
        if (!same)
            report(check, "scale_grad, pool_grad", (size_t[4]){ n, pixels, c, (size_t)i });
        (void)twin_end(&x);
        (void)twin_end(&dy);
        (void)twin_end(&s);
    }
}

void check_train(struct check *check, const struct hr_kernels *base, const struct hr_kernels *own)
{
    const size_t vector = own->eltwise.vector_floats;
    check_wgrad(check, own->train.wgrad, vector);
    check_norm(check, &base->train.norm, &own->train.norm, vector);
    check_sum_grad(check, base->train.eltwise.sum, own->train.eltwise.sum, vector);
    check_shuffle(check, base->train.eltwise.shuffle, own->train.eltwise.shuffle, vector);
    check_gates(check, &base->train.eltwise, &own->train.eltwise, vector);
}
