/* SPDX-License-Identifier: Apache-2.0
 * Sums, pooling, scaling: bit for bit against the references, any split; the sigmoid against the C
 * library in double. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void report(struct check *check, const char *what, size_t n, size_t h, size_t w,
                   size_t stride)
{
    if (check->failed++ < 20)
        printf("FAILED %s [%s]: n=%zu h=%zu w=%zu stride=%zu\n", what, check->rung, n, h, w,
               stride);
}

/* Lanes past c of each of `rows` rows of `stride` become zero, as the layout promises. */
static void clear_lanes(float *x, size_t rows, size_t c, size_t stride)
{
    for (size_t i = 0; i < rows * stride; i++)
        if (i % stride >= c)
            x[i] = 0.0f;
}

static bool equal(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!check_same(a[i], b[i]))
            return false;
    return check_canary(a, count) && check_canary(b, count);
}

static void check_sum(struct check *check, hr_sum_fn *ref, hr_sum_fn *fn, size_t vector)
{
    uint32_t seed = 6;
    for (int i = 0; i < 300; i++) {
        struct hr_sum_call call = { .n = 1 + check_random(&seed, 3),
                                    .h = 1 + check_random(&seed, 16),
                                    .w = 1 + check_random(&seed, 16),
                                    .stride = vector * (1 + check_random(&seed, 5)),
                                    .term_count = 1 + check_random(&seed, HR_SUM_TERMS),
                                    .relu = check_random(&seed, 2) };
        const enum check_fill fill = check_random(&seed, FILL_COUNT);
        const size_t rows = call.n * call.h, count = rows * call.w * call.stride;
        float *x[HR_SUM_TERMS], *const want = check_buffer(count);
        for (size_t t = 0; t < call.term_count; t++) {
            call.shift[t] = i % 3 == 0 || t == 0 ? 0 : check_random(&seed, 4);
            const unsigned s = call.shift[t];
            const size_t term =
                call.n * (((call.h - 1) >> s) + 1) * (((call.w - 1) >> s) + 1) * call.stride;
            call.x[t] = x[t] = check_buffer(term);
            check_fill(x[t], term, fill, &seed);
        }
        call.y = want;
        ref(&call, 0, rows);
        call.y = i & 1 ? x[0] : check_buffer(count); /* in place, or not */
        const size_t cut = check_random(&seed, (uint32_t)rows + 1);
        fn(&call, cut, rows);
        fn(&call, 0, cut);
        check->ran++;
        if (!equal(call.y, want, count))
            report(check, "sum", call.n, call.h, call.w, call.stride);
        if (!(i & 1))
            check_free(call.y);
        for (size_t t = 0; t < call.term_count; t++)
            check_free(x[t]);
        check_free(want);
    }
}

static void check_pool(struct check *check, hr_global_pool_fn *ref, hr_global_pool_fn *fn,
                       size_t vector)
{
    uint32_t seed = 7;
    for (size_t i = 0; i < 150; i++) {
        struct hr_pool_call call = { .n = 1 + check_random(&seed, 3),
                                     .pixels = i % 4 ? 1 + check_random(&seed, 60) : 49,
                                     .c = i % 10 ? 1 + i : 2048 };
        call.stride = (call.c + vector - 1) / vector * vector;
        call.y_stride = call.c + check_random(&seed, 3);
        const size_t count = call.n * call.pixels * call.stride, y_count = call.n * call.y_stride;
        float *const x = check_buffer(count), *const want = check_buffer(y_count);
        float *const got = check_buffer(y_count);
        check_fill(x, count, check_random(&seed, FILL_COUNT), &seed);
        clear_lanes(x, call.n * call.pixels, call.c, call.stride);
        for (size_t j = 0; j < y_count; j++)
            want[j] = got[j] = 7.0f;
        call.x = x;
        call.y = want;
        ref(&call, 0, call.n);
        call.y = got;
        fn(&call, 1, call.n);
        fn(&call, 0, 1);
        check->ran++;
        if (!equal(got, want, y_count))
            report(check, "global_pool", call.n, call.pixels, call.c, call.stride);
        check_free(x);
        check_free(want);
        check_free(got);
    }
}

static void check_scale(struct check *check, hr_scale_fn *ref, hr_scale_fn *fn, size_t vector)
{
    uint32_t seed = 8;
    for (size_t i = 0; i < 200; i++) {
        struct hr_scale_call call = { .n = 1 + check_random(&seed, 3),
                                      .pixels = 1 + check_random(&seed, 50),
                                      .c = 1 + i % 70,
                                      .relu = check_random(&seed, 2) };
        call.stride = (call.c + vector - 1) / vector * vector;
        call.s_stride = call.c + check_random(&seed, 9);
        const size_t rows = call.n * call.pixels, count = rows * call.stride;
        const size_t s_count = call.n * call.s_stride;
        float *const x = check_buffer(count), *const s = check_buffer(s_count);
        float *const residual = check_buffer(count), *const want = check_buffer(count);
        const enum check_fill fill = check_random(&seed, FILL_COUNT);
        check_fill(x, count, fill, &seed);
        check_fill(s, s_count, FILL_UNIFORM, &seed);
        check_fill(residual, count, fill, &seed);
        clear_lanes(x, rows, call.c, call.stride);
        clear_lanes(residual, rows, call.c, call.stride);
        call.x = x;
        call.s = s;
        call.residual = check_random(&seed, 2) ? residual : NULL;
        call.y = want;
        ref(&call, 0, rows);
        call.y = i & 1 || !call.residual ? x : residual; /* both in place */
        const size_t cut = check_random(&seed, (uint32_t)rows + 1);
        fn(&call, cut, rows);
        fn(&call, 0, cut);
        check->ran++;
        if (!equal(call.y, want, count))
            report(check, "scale", call.n, call.pixels, call.c, call.stride);
        check_free(x);
        check_free(s);
        check_free(residual);
        check_free(want);
    }
}

static void check_layout(struct check *check, const struct hr_eltwise_kernels *kernels)
{
    uint32_t seed = 9;
    for (size_t i = 0; i < 100; i++) {
        const size_t n = 1 + check_random(&seed, 2), c = 1 + i % 20;
        const size_t pixels = 1 + check_random(&seed, 60);
        const size_t stride =
            (c + kernels->vector_floats - 1) / kernels->vector_floats * kernels->vector_floats;
        float *const x = check_buffer(n * c * pixels), *const y = check_buffer(n * pixels * stride);
        float *const back = check_buffer(n * c * pixels);
        check_fill(x, n * c * pixels, FILL_UNIFORM, &seed);
        struct hr_layout_call call = { .n = n, .c = c, .pixels = pixels, .stride = stride };
        call.x = x;
        call.y = y;
        kernels->to_nhwc(&call, 0, n * pixels);
        call.x = y;
        call.y = back;
        kernels->to_nchw(&call, 0, n * pixels);
        check->ran++;
        bool good = equal(x, back, n * c * pixels) && check_canary(y, n * pixels * stride);
        for (size_t p = 0; p < n * pixels; p++)
            for (size_t j = 0; j < stride; j++)
                good = good && y[p * stride + j] ==
                                   (j < c ? x[(p / pixels * c + j) * pixels + p % pixels] : 0.0f);
        if (!good)
            report(check, "layout", n, c, pixels, stride);
        check_free(x);
        check_free(y);
        check_free(back);
    }
}

/* Against the reference, for widths that fill lanes and that do not; the reference itself forth and
 * back. */
static void check_tiles(struct check *check, const struct hr_eltwise_kernels *kernels)
{
    struct hr_eltwise_kernels ref;
    hr_eltwise_ref(&ref);
    const size_t vector = kernels->vector_floats;
    uint32_t seed = 12;
    for (size_t width = 4; width <= 160; width += 4)
        for (size_t c = 1; c <= 2 * vector + 3; c += 1 + check_random(&seed, 3)) {
            const size_t lanes = hr_tile_lanes(width, vector), rows = 1 + check_random(&seed, 3);
            const size_t stride = (c + vector - 1) / vector * vector + vector * (width % 8 == 0);
            if (lanes == 0)
                continue;
            const size_t floats = rows * width * stride, tiles = rows * 4 * c * lanes;
            float *const x = check_buffer(floats), *const back = check_buffer(floats);
            float *const y = check_buffer(tiles), *const want = check_buffer(tiles);
            check_fill(x, floats, FILL_UNIFORM, &seed);
            for (size_t i = 0; i < floats; i++)
                if (i % stride >= c)
                    x[i] = 0.0f;
            struct hr_layout_call call = { .c = c, .stride = stride, .x = x, .y = want };
            call.width = width;
            call.lanes = lanes;
            ref.to_tiles(&call, 0, rows);
            call.y = y;
            kernels->to_tiles(&call, 1, rows);
            kernels->to_tiles(&call, 0, 1);
            call.x = y;
            call.y = back;
            kernels->from_tiles(&call, 0, rows);
            check->ran++;
            if (!equal(y, want, tiles) || !equal(back, x, floats) || !check_canary(y, tiles) ||
                !check_canary(back, floats))
                report(check, "tiles", rows, c, width, stride);
            check_free(x);
            check_free(back);
            check_free(y);
            check_free(want);
        }
}

static void check_sigmoid(struct check *check, hr_sigmoid_fn *fn)
{
    static const float special[] = { 0.0f,   -0.0f,  1e-30f, 1e-45f, 100.0f,   -100.0f,
                                     -87.0f, -88.7f, 17.0f,  -17.0f, INFINITY, -INFINITY };
    uint32_t seed = 10;
    for (size_t i = 0; i < 20000; i++) {
        float x = special[i % HR_COUNT(special)], y;
        if (i >= HR_COUNT(special)) {
            check_fill(&x, 1, FILL_UNIFORM, &seed);
            x *= i & 1 ? 8.0f : 103.0f;
        }
        fn(&y, &x, 1);
        const double want = 1.0 / (1.0 + exp(-(double)x));
        const double ulp = (double)(nextafterf((float)want, INFINITY) - (float)want);
        check->ran += i == 0;
        if (!(fabs((double)y - want) <= 2.0 * ulp)) {
            report(check, "sigmoid", i, 0, 0, 0);
            printf("  x=%a: got %a, want %a\n", (double)x, (double)y, want);
            return;
        }
    }
}

void check_eltwise(struct check *check, const struct hr_eltwise_kernels *kernels)
{
    struct hr_eltwise_kernels ref;
    hr_eltwise_ref(&ref);
    const size_t vector = kernels->vector_floats;
    check_sum(check, ref.sum, kernels->sum, vector);
    check_pool(check, ref.global_pool, kernels->global_pool, vector);
    check_scale(check, ref.scale, kernels->scale, vector);
    check_layout(check, kernels);
    check_tiles(check, kernels);
    check_sigmoid(check, kernels->sigmoid);
}
