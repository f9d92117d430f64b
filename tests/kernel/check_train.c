/* SPDX-License-Identifier: Apache-2.0
 * Kernels of training against the references, any split: bit for bit where they are exact. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Within a share of the largest value wanted. */
static bool near(const float *want, const float *got, size_t count, double share)
{
    double largest = 0.0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)want[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)want[i] - (double)got[i]) <= share * largest))
            return false;
    return check_canary(got, count);
}

/* ---- Weight gradients ---- */

/* All of it, cut in two at random. */
static void run_wgrad(const struct hr_wgrad_kernel *kernel, const struct hr_wgrad_call *call,
                      float *dw, uint32_t *seed)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t prepare = kernel->prepare ? kernel->prepare_pieces(s, call->n) : 0;
    const size_t pieces = kernel->pieces(s, call->n), rounds = kernel->rounds(s, call->n);
    for (size_t round = 0; round < rounds; round++) {
        const size_t early = check_random(seed, (uint32_t)prepare + 1);
        const size_t cut = check_random(seed, (uint32_t)pieces + 1);
        if (prepare > 0) {
            kernel->prepare(call, round, early, prepare);
            kernel->prepare(call, round, 0, early);
        }
        kernel->run(call, round, cut, pieces);
        kernel->run(call, round, 0, cut);
    }
    const size_t k = check_random(seed, (uint32_t)s->k + 1);
    kernel->finish(call, dw, k, s->k);
    kernel->finish(call, dw, 0, k);
}

static void check_wgrad_case(struct check *check, const struct hr_wgrad_kernel *kernel,
                             struct hr_conv_shape s, size_t n, uint32_t *seed)
{
    const enum check_fill fill = kernel->exact ? some_fill(seed) : FILL_UNIFORM;
    struct twin x = twin_of(n * s.h * s.w, s.c, s.x_stride, fill, seed);
    struct twin dy = twin_of(n * s.oh * s.ow, s.k, s.y_stride, fill, seed);
    const size_t floats = hr_wgrad_floats(&s, n), own = kernel->floats(&s, n),
                 weights = s.k * s.c * (size_t)(s.kernel * s.kernel);
    float *const want = check_buffer(floats), *const got = check_buffer(own);
    float *const dw = check_buffer(weights), *const again = check_buffer(weights);
    struct hr_wgrad_call call = { .shape = &s, .n = n, .x = x.a, .dy = dy.a, .parts = want };
    run_wgrad(&hr_wgrad_ref, &call, dw, seed);
    call.parts = got;
    run_wgrad(kernel, &call, again, seed);
    check->ran++;
    if (kernel->exact ? !equal(want, got, floats) || !equal(dw, again, weights)
                      : !near(dw, again, weights, 1e-5) || !check_canary(got, own))
        report(check, kernel->name, (size_t[4]){ s.h * 1000 + s.w, s.c, s.k, (size_t)s.kernel });
    check_free(want);
    check_free(got);
    check_free(dw);
    check_free(again);
    (void)twin_end(&x);
    (void)twin_end(&dy);
}

static struct hr_conv_shape some_shape(uint32_t *seed, size_t vector, int i, int kernel, int stride)
{
    struct hr_conv_shape s = { .h = 1 + check_random(seed, 20),
                               .w = 1 + check_random(seed, 20),
                               .c = 1 + check_random(seed, i % 5 ? 24 : 80),
                               .k = 1 + check_random(seed, i % 7 ? 40 : 130),
                               .kernel = kernel,
                               .stride = stride };
    s.pad = (s.kernel - 1) / 2;
    s.oh = (s.h + 2 * (size_t)s.pad - (size_t)s.kernel) / (size_t)s.stride + 1;
    s.ow = (s.w + 2 * (size_t)s.pad - (size_t)s.kernel) / (size_t)s.stride + 1;
    s.x_stride = (s.c + vector - 1) / vector * vector;
    s.y_stride = (s.k + vector - 1) / vector * vector;
    return s;
}

static void check_wgrad(struct check *check, const struct hr_wgrad_kernel *kernel, size_t vector)
{
    uint32_t seed = 11;
    for (int i = 0; i < (check->slow ? 40 : 250); i++) {
        const int size = 1 + 2 * (int)check_random(&seed, 3);
        const int stride = 1 + (int)check_random(&seed, 2);
        const struct hr_conv_shape s = some_shape(&seed, vector, i, size, stride);
        const size_t n = 1 + check_random(&seed, 4);
        if (kernel->applies(&s))
            check_wgrad_case(check, kernel, s, n, &seed);
    }
    /* Many weights, several rounds. */
    const size_t k = 130, stride = (k + vector - 1) / vector * vector;
    struct hr_conv_shape large = { 28, 28, k, 28, 28, k, stride, stride, 3, 1, 1, false, false };
    if (!check->slow && kernel->applies(&large))
        check_wgrad_case(check, kernel, large, 3, &seed);
}

/* ---- Gradients of inputs ---- */

/* dx [n][h][w][x_stride] += the transpose of the convolution of dy, in double. */
static void dgrad_ref(float *dx, const struct hr_conv_shape *s, size_t n, const float *dy,
                      const float *w, bool add)
{
    const size_t kernel = (size_t)s->kernel, stride = (size_t)s->stride, pad = (size_t)s->pad;
    for (size_t row = 0; row < n * s->h; row++)
        for (size_t at = 0; at < s->w * s->c; at++) {
            const size_t y = row % s->h, x = at / s->c, c = at % s->c;
            double sum = 0.0;
            for (size_t r = 0; r < kernel; r++)
                for (size_t q = 0; q < kernel; q++) {
                    const size_t oy = (y + pad - r) / stride, ox = (x + pad - q) / stride;
                    if (y + pad < r || x + pad < q || (y + pad - r) % stride ||
                        (x + pad - q) % stride || oy >= s->oh || ox >= s->ow)
                        continue;
                    const float *const d =
                        dy + ((row / s->h * s->oh + oy) * s->ow + ox) * s->y_stride;
                    for (size_t k = 0; k < s->k; k++)
                        sum += (double)d[k] *
                               (double)w[(k * s->c + c) * kernel * kernel + r * kernel + q];
                }
            float *const to = dx + (row * s->w + x) * s->x_stride + c;
            *to = (float)(add ? (double)*to + sum : sum);
        }
}

static void check_dgrad_case(struct check *check, const struct hr_conv_kernel *kernel,
                             const struct hr_conv_shape *s, size_t n, uint32_t *seed)
{
    const size_t weights = s->k * s->c * (size_t)(s->kernel * s->kernel);
    const bool add = check_random(seed, 2);
    const size_t threads = 1 + check_random(seed, 3);
    struct twin dy = twin_of(n * s->oh * s->ow, s->k, s->y_stride, FILL_UNIFORM, seed);
    struct twin dx = twin_of(n * s->h * s->w, s->c, s->x_stride, FILL_UNIFORM, seed);
    float *const w = check_buffer(weights);
    void *const packed = check_bytes(kernel->packed_bytes(s));
    void *const scratch = check_bytes(kernel->scratch_bytes(s, n, threads));
    check_fill(w, weights, FILL_UNIFORM, seed);
    kernel->pack(packed, s, w, NULL, NULL, 1, 2);
    kernel->pack(packed, s, w, NULL, NULL, 0, 2);
    dgrad_ref(dx.a, s, n, dy.a, w, add);
    const struct hr_conv_call call = { .shape = s,
                                       .n = n,
                                       .x = dy.a,
                                       .residual = add ? dx.b : NULL,
                                       .y = dx.b,
                                       .packed = packed,
                                       .scratch = scratch };
    const size_t tasks = kernel->tasks(s, n, threads);
    for (size_t task = tasks; task-- > 0;)
        kernel->run(&call, task, tasks);
    check->ran++;
    if (!near(dx.a, dx.b, dx.count, 1e-5))
        report(check, kernel->name, (size_t[4]){ s->h * 1000 + s->w, s->c, s->k, n });
    check_free(w);
    free(packed);
    free(scratch);
    (void)twin_end(&dx);
    (void)twin_end(&dy);
}

static void check_dgrad(struct check *check, const struct hr_conv_kernel *kernel, size_t vector)
{
    uint32_t seed = 17;
    for (int i = 0; i < (check->slow ? 20 : 150); i++) {
        const struct hr_conv_shape s = some_shape(&seed, vector, i, 3, 2);
        const size_t n = 1 + check_random(&seed, i % 10 ? 4 : 12);
        if (kernel->applies(&s))
            check_dgrad_case(check, kernel, &s, n, &seed);
    }
}

/* ---- Packing ---- */

static void check_pack_case(struct check *check, const struct hr_train_pack *pack,
                            const struct hr_conv_shape *s, bool turned, uint32_t *seed)
{
    const size_t taps = (size_t)(s->kernel * s->kernel), count = s->c * s->k * taps;
    const size_t bytes = pack->kernel->packed_bytes(s), tasks = 1 + check_random(seed, 4);
    float *const w = check_buffer(count), *const plain = check_buffer(count);
    float *const want = check_buffer(bytes / 4), *const got = check_buffer(bytes / 4);
    float *const values = check_buffer(s->k);
    const float *const bias = check_random(seed, 2) ? values : NULL;
    check_fill(w, count, FILL_UNIFORM, seed);
    check_fill(values, s->k, FILL_UNIFORM, seed);
    for (size_t k = 0; k < s->k; k++)
        for (size_t c = 0; c < s->c; c++)
            for (size_t t = 0; t < taps; t++)
                plain[(k * s->c + c) * taps + t] =
                    turned ? w[(c * s->k + k) * taps + taps - 1 - t] : w[(k * s->c + c) * taps + t];
    memset(want, 0, bytes);
    memset(got, 0, bytes);
    pack->kernel->pack(want, s, plain, NULL, bias, 0, 1);
    for (size_t task = tasks; task-- > 0;)
        pack->pack(got, s, w, bias, turned, task, tasks);
    check->ran++;
    const bool same =
        pack->kernel->exact ? memcmp(want, got, bytes) == 0 : near(want, got, bytes / 4, 1e-6);
    if (!same)
        report(check, pack->kernel->name, (size_t[4]){ s->c, s->k, turned, (size_t)s->kernel });
    check_free(w);
    check_free(plain);
    check_free(want);
    check_free(got);
    check_free(values);
}

static void check_pack(struct check *check, const struct hr_train_pack *pack, size_t vector)
{
    uint32_t seed = 23;
    for (int i = 0; i < 160; i++) {
        const int stride = 1 + i / 2 % 2, kernel = 1 + 2 * (i / 4 % 4);
        struct hr_conv_shape s = some_shape(&seed, vector, i, kernel, stride);
        s.c += i / 16 % 2 ? 8 : 0; /* Winograd wants some */
        s.x_stride += (s.c + vector - 1) / vector * vector;
        s.h = s.w = 40;
        s.oh = s.ow = 40 / (size_t)stride;
        if (pack->kernel->applies(&s))
            check_pack_case(check, pack, &s, i % 2, &seed);
    }
}

/* ---- 16 bits ---- */

/* Floats around every value of both formats, ties, largest and smallest, infinities and NaN. */
static float special(size_t i, uint32_t *seed)
{
    static const uint32_t bits[] = {
        0x00000000, 0x00000001, 0x007fffff, 0x00800000, 0x33000000, 0x33000001, 0x33800000,
        0x387fffff, 0x38800000, 0x3f800000, 0x3f801000, 0x3f808000, 0x3f818000, 0x477fdfff,
        0x477fe000, 0x477fefff, 0x477ff000, 0x477fffff, 0x7f7f7fff, 0x7f7f8000, 0x7f7fffff,
        0x7f800000, 0x7f800001, 0x7f80ffff, 0x7f812345, 0x7fa00000, 0x7fc00000, 0x7fffffff,
    };
    const uint32_t any = check_random(seed, 65536) << 16 | check_random(seed, 65536);
    const uint32_t sign = i & 1 ? 0x80000000 : 0;
    const uint32_t near =
        (any & 0xffff0000) | (uint32_t[]){ 0x7fff, 0x8000, 0x8001, 0x1000 }[any & 3];
    const uint32_t all[] = { any, near, bits[any % HR_COUNT(bits)] | sign };
    float f;
    memcpy(&f, &all[i % 3], sizeof f);
    return f;
}

#define HALVES 200 /* at most, of a case */

static void check_half_case(struct check *check, const struct hr_half_kernels *ref,
                            const struct hr_half_kernels *fn, enum hr_half half, size_t count,
                            uint32_t *seed)
{
    float from[HALVES] = { 0.0f }, want[HALVES + 1], got[HALVES + 1];
    uint16_t bits[HALVES + 1], again[HALVES + 1];
    for (size_t i = 0; i < count; i++)
        from[i] = special(i, seed);
    bits[count] = again[count] = 0xbeef;
    want[count] = got[count] = 1234.5f;
    ref->pack(bits, from, count, half);
    fn->pack(again, from, count, half);
    bool same = memcmp(bits, again, (count + 1) * sizeof *bits) == 0;
    for (size_t i = 0; i < count; i++)
        bits[i] = (uint16_t)check_random(seed, 65536);
    ref->unpack(want, bits, count, half);
    fn->unpack(got, bits, count, half);
    for (size_t i = 0; i <= count; i++)
        same = same && check_same(want[i], got[i]);
    check->ran++;
    if (!same)
        report(check, "half", (size_t[4]){ count, (size_t)half, 0, 0 });
}

static void check_half(struct check *check, const struct hr_half_kernels *ref,
                       const struct hr_half_kernels *fn)
{
    uint32_t seed = 29;
    for (size_t i = 0; i < (check->slow ? 400 : 4000); i++)
        check_half_case(check, ref, fn, i & 1 ? HR_HALF_F16 : HR_HALF_BF16, i % HALVES, &seed);
}

/* ---- Batch normalisation ---- */

struct norm_case {
    size_t pixels, c, stride;
    bool relu, residual, dx_add, dresidual_add;
    enum hr_half half;
    bool from_half, keep_y; /* else x is kept */
    bool sides, keep_sides;
};

/* Maps in 16 bits lie in buffers of floats, of which they use half. */
static void set_halves(struct hr_norm_call *call, const struct norm_case *n, uint16_t *x,
                       uint16_t *kept)
{
    call->half = n->half;
    if (n->half && n->from_half)
        call->x_half = x;
    else if (n->half && n->keep_y)
        call->keep_y = kept;
    else if (n->half)
        call->keep_x = kept;
}

/* Rows of bits, in buffers of more floats than they have bytes. */
static void set_sides(struct hr_norm_call *call, const struct norm_case *n, uint8_t *side,
                      uint8_t *kept, uint32_t seed)
{
    if (!n->relu || n->residual)
        return;
    for (size_t i = 0; i < n->pixels * ((n->stride + 7) / 8); i++)
        side[i] = (uint8_t)check_random(&seed, 256);
    call->side = n->sides ? side : NULL;
    call->keep_side = n->keep_sides ? kept : NULL;
}

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
    enum { X, RESIDUAL, Y, DY, DX, DRESIDUAL, X_HALF, KEPT, SIDE, KEPT_SIDE, MAPS };
    enum { MEAN, SCALE, SHIFT, A, B, C, ROWS };
    const enum check_fill fill = some_fill(seed);
    struct twin maps[MAPS], rows[ROWS];
    struct hr_half_kernels ref_half;
    hr_half_ref(&ref_half);
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
        if (n->half)
            ref_half.pack((uint16_t *)(void *)map[X_HALF], map[X], n->pixels * n->stride, n->half);
        set_sides(&call, n, (uint8_t *)(void *)map[SIDE], (uint8_t *)(void *)map[KEPT_SIDE],
                  (uint32_t)n->pixels + 1);
        set_halves(&call, n, (uint16_t *)(void *)map[X_HALF], (uint16_t *)(void *)map[KEPT]);
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
        report(
            check, "norm",
            (size_t[4]){ n->pixels, n->c, n->relu, n->residual + 2u * n->dx_add + 4u * n->half });
}

static void check_norm(struct check *check, const struct hr_norm_kernels *ref,
                       const struct hr_norm_kernels *fn, size_t vector)
{
    uint32_t seed = 12;
    for (int i = 0; i < 300; i++) {
        struct norm_case n = { .pixels = 1 + check_random(&seed, i % 3 ? 200 : 3),
                               .c = 1 + check_random(&seed, i % 4 ? 40 : 150),
                               .relu = check_random(&seed, 2),
                               .residual = check_random(&seed, 2),
                               .dx_add = check_random(&seed, 2),
                               .dresidual_add = check_random(&seed, 2),
                               .half = (enum hr_half)check_random(&seed, 3),
                               .from_half = check_random(&seed, 2),
                               .keep_y = check_random(&seed, 2),
                               .sides = check_random(&seed, 4) == 0,
                               .keep_sides = check_random(&seed, 2) };
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
    for (size_t i = base->train.wgrad_count; i < own->train.wgrad_count; i++)
        check_wgrad(check, own->train.wgrad[i], vector);
    for (size_t i = base->train.dgrad_count; i < own->train.dgrad_count; i++)
        check_dgrad(check, own->train.dgrad[i], vector);
    for (size_t i = base->train.pack_count; i < own->train.pack_count; i++)
        check_pack(check, &own->train.packs[i], vector);
    check_half(check, &base->train.half, &own->train.half);
    check_norm(check, &base->train.norm, &own->train.norm, vector);
    check_sum_grad(check, base->train.eltwise.sum, own->train.eltwise.sum, vector);
    check_shuffle(check, base->train.eltwise.shuffle, own->train.eltwise.shuffle, vector);
    check_gates(check, &base->train.eltwise, &own->train.eltwise, vector);
}
