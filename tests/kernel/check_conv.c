/* SPDX-License-Identifier: Apache-2.0
 * Convolutions: every candidate against hr_conv_ref, bit for bit if it is exact. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INEXACT_BOUND 2e-5 /* of the largest output: five times what Winograd F(4,3) states */

struct conv_case {
    size_t n, h, w, c, k, x_more, y_more; /* _more: floats of stride past what is needed */
    int kernel, stride, residual, relu, alias, bias, scale;
    size_t threads;
    int fill;
    uint32_t seed;
};

/* The order of fields in a printed case. */
#define CASE_FORMAT "%zu %zu %zu %zu %zu %zu %zu %d %d %d %d %d %d %d %zu %d %u"
#define CASE_FIELDS(by, at)                                                                \
    by(at)->n, by(at)->h, by(at)->w, by(at)->c, by(at)->k, by(at)->x_more, by(at)->y_more, \
        by(at)->kernel, by(at)->stride, by(at)->residual, by(at)->relu, by(at)->alias,     \
        by(at)->bias, by(at)->scale, by(at)->threads, by(at)->fill, by(at)->seed
#define BY_VALUE
#define BY_ADDRESS &

static void report(struct check *check, const struct hr_conv_kernel *kernel,
                   const struct conv_case *c, const char *what, size_t at, double got, double want)
{
    if (check->failed++ >= 20)
        return;
    printf("FAILED %s [%s]: %s at %zu: got %.9g, want %.9g\n"
           "  n=%zu %zux%zu c=%zu k=%zu %dx%d stride %d residual=%d relu=%d alias=%d threads=%zu "
           "fill=%d\n  check_kernels --case %s \"" CASE_FORMAT "\"\n",
           kernel->name, check->rung, what, at, got, want, c->n, c->h, c->w, c->c, c->k, c->kernel,
           c->kernel, c->stride, c->residual, c->relu, c->alias, c->threads, c->fill, kernel->name,
           CASE_FIELDS(BY_VALUE, c));
}

static struct hr_conv_shape shape_of(const struct conv_case *c, size_t vector)
{
    const size_t pad = (size_t)c->kernel / 2, stride = (size_t)c->stride;
    return (struct hr_conv_shape){
        .h = c->h,
        .w = c->w,
        .c = c->c,
        .oh = (c->h + 2 * pad - (size_t)c->kernel) / stride + 1,
        .ow = (c->w + 2 * pad - (size_t)c->kernel) / stride + 1,
        .k = c->k,
        .x_stride = (c->c + vector - 1) / vector * vector + c->x_more,
        .y_stride = (c->k + vector - 1) / vector * vector + c->y_more,
        .kernel = c->kernel,
        .stride = c->stride,
        .pad = (int)pad,
        .residual = c->residual != 0,
        .relu = c->relu != 0,
    };
}

/* A tensor whose NHWC form has rows of w pixels. */
struct form {
    enum hr_layout layout;
    size_t n, h, w, c, stride, lanes;
};

static size_t form_floats(const struct form *f)
{
    if (f->layout == HR_LAYOUT_TILES)
        return f->n * f->h * 4 * f->c * f->lanes;
    return f->n * f->h * f->w * (f->layout == HR_LAYOUT_NHWC ? f->stride : f->c);
}

/* Copies between x in NHWC and y in the form's layout, by the references. */
static void change(const struct form *f, float *x, float *y, bool back)
{
    struct hr_eltwise_kernels k;
    hr_eltwise_ref(&k);
    const struct hr_layout_call call = { .n = f->n,
                                         .c = f->c,
                                         .pixels = f->h * f->w,
                                         .stride = f->stride,
                                         .x = back ? y : x,
                                         .y = back ? x : y,
                                         .width = f->w,
                                         .lanes = f->lanes };
    if (f->layout == HR_LAYOUT_TILES)
        (back ? k.from_tiles : k.to_tiles)(&call, 0, f->n * f->h);
    else
        (back ? k.to_nhwc : k.to_nchw)(&call, 0, f->n * f->h * f->w);
}

/* x of NHWC in the form's layout. */
static float *in_form(const struct form *f, float *x)
{
    float *const y = check_buffer(form_floats(f));
    change(f, x, y, false);
    return y;
}

struct conv_data {
    struct hr_conv_shape shape;
    size_t x_count, y_count, w_count;
    float *x, *w, *scale, *bias, *residual, *want, *got;
};

static void data_make(struct conv_data *d, const struct conv_case *c, size_t vector)
{
    const struct hr_conv_shape s = d->shape = shape_of(c, vector);
    uint32_t seed = c->seed;
    d->x_count = c->n * s.h * s.w * s.x_stride;
    d->y_count = c->n * s.oh * s.ow * s.y_stride;
    d->w_count = s.k * s.c * (size_t)(s.kernel * s.kernel);
    d->x = check_buffer(d->x_count);
    d->w = check_buffer(d->w_count);
    d->scale = check_buffer(s.k);
    d->bias = check_buffer(s.k);
    d->residual = check_buffer(d->y_count);
    d->want = check_buffer(d->y_count);
    d->got = check_buffer(d->y_count);
    check_fill(d->x, d->x_count, (enum check_fill)c->fill, &seed);
    /* Weights are finite by contract. */
    check_fill(d->w, d->w_count, c->fill == FILL_INFINITE ? FILL_UNIFORM : (enum check_fill)c->fill,
               &seed);
    check_fill(d->scale, s.k, FILL_UNIFORM, &seed);
    check_fill(d->bias, s.k, c->fill == FILL_ZERO ? FILL_ZERO : FILL_UNIFORM, &seed);
    check_fill(d->residual, d->y_count, (enum check_fill)c->fill, &seed);
    if (s.kernel > 1 && c->fill == FILL_HUGE) /* finite sums of weights at borders */
        for (size_t i = 0; i < d->w_count; i++)
            d->w[i] *= 0.125f;
    for (size_t i = 0; i < d->x_count; i++)
        if (i % s.x_stride >= s.c)
            d->x[i] = NAN; /* nobody may read it into a result */
    for (size_t i = 0; i < d->y_count; i++)
        if (i % s.y_stride >= s.k)
            d->residual[i] = 0.0f;
}

static void data_free(struct conv_data *d)
{
    float *const all[] = { d->x, d->w, d->scale, d->bias, d->residual, d->want, d->got };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_free(all[i]);
}

/* Packs and runs `kernel` into y (NHWC of the case, or planes if the kernel wants them); tasks in
 * reverse, packing in as many parts. */
static void run(const struct hr_conv_kernel *kernel, const struct conv_case *c,
                const struct conv_data *d, const float *x, const float *residual, float *y)
{
    const size_t packed_bytes = kernel->packed_bytes(&d->shape);
    const size_t scratch_bytes = kernel->scratch_bytes(&d->shape, c->n, c->threads);
    char *const packed = check_bytes(packed_bytes + 64), *const scratch =
                                                             check_bytes(scratch_bytes);
    memset(packed + packed_bytes, 0x5a, 64);
    for (size_t t = 0; t < c->threads; t++)
        kernel->pack(packed, &d->shape, d->w, c->scale ? d->scale : NULL, c->bias ? d->bias : NULL,
                     t, c->threads);
    const struct hr_conv_call call = { .shape = &d->shape,
                                       .n = c->n,
                                       .x = x,
                                       .residual = residual,
                                       .y = y,
                                       .packed = packed,
                                       .scratch = scratch_bytes ? scratch : NULL };
    const size_t prepare = kernel->prepare ? kernel->prepare_tasks(&d->shape, c->n, c->threads) : 0;
    for (size_t t = prepare; t-- > 0;)
        kernel->prepare(&call, t, prepare);
    const size_t tasks = kernel->tasks(&d->shape, c->n, c->threads);
    for (size_t t = tasks; t-- > 0;)
        kernel->run(&call, t, tasks);
    for (size_t i = 0; i < 64; i++)
        if (packed[packed_bytes + i] != 0x5a)
            y[0] = NAN; /* shows as a difference */
    free(packed);
    free(scratch);
}

static void compare(struct check *check, const struct hr_conv_kernel *kernel,
                    const struct conv_case *c, const struct conv_data *d)
{
    const struct hr_conv_shape *const s = &d->shape;
    double largest = 0.0;
    for (size_t i = 0; i < d->y_count; i++)
        largest = fmax(largest, fabs((double)d->want[i]));
    for (size_t i = 0; i < d->y_count; i++) {
        if (i % s->y_stride >= s->k && c->fill == FILL_INFINITE)
            continue;
        const bool same =
            kernel->exact ? check_same(d->got[i], d->want[i])
                          : fabs((double)d->got[i] - (double)d->want[i]) <= INEXACT_BOUND * largest;
        if (!same) {
            report(check, kernel, c, "value", i, (double)d->got[i], (double)d->want[i]);
            return;
        }
    }
    if (!check_canary(d->got, d->y_count))
        report(check, kernel, c, "wrote outside y", 0, 0, 0);
    if (!check_canary(d->x, d->x_count) || !check_canary(d->residual, d->y_count))
        report(check, kernel, c, "wrote to an input", 0, 0, 0);
}

/* Nothing outside y, and zeros in the lanes past the tiles of its rows. */
static void check_lanes(struct check *check, const struct hr_conv_kernel *kernel,
                        const struct conv_case *c, const struct form *f, const float *y)
{
    if (!check_canary(y, form_floats(f)))
        report(check, kernel, c, "wrote outside y", 0, 0, 0);
    for (size_t i = 0; f->layout == HR_LAYOUT_TILES && i < form_floats(f); i++)
        if (i % f->lanes >= f->w / 4 && y[i] != 0) {
            report(check, kernel, c, "lane past the tiles", i, (double)y[i], 0);
            return;
        }
}

static void one(struct check *check, const struct hr_conv_kernel *kernel, const struct conv_case *c)
{
    struct conv_data d;
    data_make(&d, c, 16);
    if (!kernel->applies(&d.shape) ||
        (!kernel->exact && c->fill != FILL_UNIFORM && c->fill != FILL_ZERO)) {
        data_free(&d);
        return;
    }
    check->ran++;
    run(&hr_conv_ref, c, &d, d.x, d.shape.residual ? d.residual : NULL, d.want);
    const struct hr_conv_shape *const s = &d.shape;
    const struct form in = {
        kernel->x_layout, c->n, s->h, s->w, s->c, s->x_stride, hr_tile_lanes(s->w, check->vector)
    };
    const struct form out = {
        kernel->y_layout, c->n, s->oh, s->ow, s->k, s->y_stride, hr_tile_lanes(s->ow, check->vector)
    };
    float *const x = in.layout == HR_LAYOUT_NHWC ? d.x : in_form(&in, d.x);
    float *const r = out.layout == HR_LAYOUT_NHWC ? d.residual : in_form(&out, d.residual);
    float *const y = out.layout == HR_LAYOUT_NHWC ? d.got : check_buffer(form_floats(&out));
    if (s->residual && c->alias)
        memcpy(y, r, form_floats(&out) * sizeof(float));
    run(kernel, c, &d, x, !s->residual ? NULL : c->alias ? y : r, y);
    if (out.layout != HR_LAYOUT_NHWC) {
        check_lanes(check, kernel, c, &out, y);
        change(&out, d.got, y, true);
        check_free(y);
        check_free(r);
    }
    compare(check, kernel, c, &d);
    if (x != d.x)
        check_free(x);
    data_free(&d);
}

/* Fills in everything but the sizes. */
static void vary(struct conv_case *c, uint32_t *seed)
{
    c->x_more = check_random(seed, 8) ? 0 : 16;
    c->y_more = check_random(seed, 8) ? 0 : 32;
    c->residual = (int)check_random(seed, 2);
    c->relu = (int)check_random(seed, 2);
    c->alias = (int)check_random(seed, 2);
    c->bias = check_random(seed, 4) != 0;
    c->scale = check_random(seed, 4) != 0;
    c->threads = 1 + check_random(seed, 7);
    c->fill = check_random(seed, 3) ? FILL_UNIFORM : (int)check_random(seed, FILL_COUNT);
    c->seed = check_random(seed, 1u << 31);
}

/* Every remainder of channels around the tiles. */
static void sweep_channels(struct check *check, const struct hr_conv_kernel *kernel)
{
    uint32_t seed = 1;
    for (size_t c = 1; c <= 40; c++)
        for (size_t k = 1; k <= 70; k++) {
            struct conv_case t = { .n = 1, .h = 5, .w = 1 + (c + k) % 5, .c = c, .k = k };
            t.kernel = check_random(&seed, 4) ? 3 : 1;
            t.stride = check_random(&seed, 3) ? 1 : 2;
            vary(&t, &seed);
            if (!check->slow || (c + 2 * k) % 5 == 0)
                one(check, kernel, &t);
        }
}

/* Every plane and split. */
static void sweep_planes(struct check *check, const struct hr_conv_kernel *kernel)
{
    static const size_t planes[][2] = { { 1, 1 },  { 2, 2 },  { 1, 6 },   { 6, 1 },   { 3, 3 },
                                        { 7, 7 },  { 5, 9 },  { 13, 17 }, { 14, 14 }, { 9, 4 },
                                        { 6, 12 }, { 5, 56 }, { 3, 72 } };
    static const size_t channels[][2] = { { 3, 64 }, { 18, 18 }, { 16, 32 }, { 36, 40 }, { 9, 8 } };
    uint32_t seed = 2;
    for (size_t p = 0; p < sizeof planes / sizeof *planes; p++)
        for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
            for (int kind = 0; kind < 6; kind++) {
                struct conv_case t = { .n = 1 + check_random(&seed, 5),
                                       .h = planes[p][0],
                                       .w = planes[p][1],
                                       .c = channels[i][0],
                                       .k = channels[i][1],
                                       .kernel = kind % 3 == 2   ? 5
                                                 : kind % 3 == 1 ? 3
                                                                 : 1,
                                       .stride = 1 + kind / 3 };
                vary(&t, &seed);
                one(check, kernel, &t);
            }
}

/* The same case in 1 to 7 pieces, and every fill. */
static void sweep_splits(struct check *check, const struct hr_conv_kernel *kernel)
{
    uint32_t seed = 3;
    for (size_t threads = 1; threads <= 7; threads++)
        for (int fill = 0; fill < FILL_COUNT; fill++) {
            struct conv_case t = { .n = 2, .h = 9, .w = 11, .c = 20, .k = 52, .kernel = 3 };
            t.stride = 1 + fill % 2;
            vary(&t, &seed);
            t.threads = threads;
            t.fill = fill;
            one(check, kernel, &t);
            t.c = 3;
            one(check, kernel, &t);
        }
}

/* The layers of the networks, on planes made smaller where the reference would take long: weights
 * keep their size, so the ways to cut them up are all met. */
static void sweep_layers(struct check *check, const struct hr_conv_kernel *kernel)
{
    static const int widths[] = { 18, 48, 30, 32, 40, 44, 60, 64 };
    struct layer layers[96];
    uint32_t seed = 4;
    const size_t most = check->slow ? 300000 : 3000000; /* multiply-adds */
    for (size_t i = 0; i < (check->slow ? 2 : HR_COUNT(widths)); i++) {
        const size_t count = layers_of(layers, 96, widths[i], 16);
        for (size_t j = 0; j < count; j++) {
            const struct hr_conv_shape *const s = &layers[j].shape;
            struct conv_case t = { .n = 1, .h = s->h, .w = s->w, .c = s->c, .k = s->k };
            t.kernel = s->kernel;
            t.stride = s->stride;
            const size_t work = s->c * s->k * (size_t)(s->kernel * s->kernel);
            while (t.h * t.w * work / (size_t)(t.stride * t.stride) > most && t.h > 2)
                t.h--, t.w -= t.w > 7;
            vary(&t, &seed);
            t.x_more = t.y_more = 0;
            t.fill = FILL_UNIFORM;
            one(check, kernel, &t);
        }
    }
    /* Large weights in chunks with enough pixels for several tiles each. */
    struct conv_case t = { .n = 3, .h = 7, .w = 7, .c = 200, .k = 50, .kernel = 3, .stride = 1 };
    for (int i = 0; i < 6; i++) {
        vary(&t, &seed);
        one(check, kernel, &t);
        t.c += 23;
        t.stride = 1 + i % 2;
    }
}

void check_conv(struct check *check, const struct hr_conv_kernel *kernel)
{
    sweep_channels(check, kernel);
    sweep_planes(check, kernel);
    sweep_splits(check, kernel);
    sweep_layers(check, kernel);
}

void check_conv_case(struct check *check, const struct hr_conv_kernel *kernel, const char *text)
{
    struct conv_case c;
    if (sscanf(text, CASE_FORMAT, CASE_FIELDS(BY_ADDRESS, (&c))) == 17)
        one(check, kernel, &c);
    else
        printf("a case has 17 numbers\n");
}
