/* SPDX-License-Identifier: Apache-2.0
 * Linear layers: bit for bit against hr_linear_ref. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

struct linear_case {
    size_t m, c, k, x_more, y_more, threads;
    int relu, bias, transposed, fill;
    uint32_t seed;
};

static void run(const struct hr_linear_kernel *kernel, const struct linear_case *c,
                const struct hr_linear_shape *shape, const float *x, const float *w,
                const float *bias, float *y)
{
    void *const packed = check_bytes(kernel->packed_bytes(shape));
    for (size_t t = 0; t < c->threads; t++)
        kernel->pack(packed, shape, w, c->transposed != 0, bias, t, c->threads);
    const struct hr_linear_call call = { shape, c->m, x, y, packed };
    const size_t tasks = kernel->tasks(shape, c->m, c->threads);
    for (size_t t = tasks; t-- > 0;)
        kernel->run(&call, t, tasks);
    free(packed);
}

static void one(struct check *check, const struct hr_linear_kernel *kernel,
                const struct linear_case *c)
{
    const struct hr_linear_shape shape = { c->c, c->k, c->c + c->x_more, c->k + c->y_more,
                                           c->relu != 0 };
    const size_t x_count = c->m * shape.x_stride, y_count = c->m * shape.y_stride;
    uint32_t seed = c->seed;
    float *const x = check_buffer(x_count), *const w = check_buffer(c->c * c->k);
    float *const bias = check_buffer(c->k), *const want = check_buffer(y_count);
    float *const got = check_buffer(y_count);
    check_fill(x, x_count, (enum check_fill)c->fill, &seed);
    check_fill(w, c->c * c->k, (enum check_fill)c->fill, &seed);
    check_fill(bias, c->k, FILL_UNIFORM, &seed);
    for (size_t i = 0; i < y_count; i++)
        want[i] = got[i] = 7.0f; /* between the rows nothing may change */
    run(&hr_linear_ref, c, &shape, x, w, c->bias ? bias : NULL, want);
    run(kernel, c, &shape, x, w, c->bias ? bias : NULL, got);
    check->ran++;
    bool bad = !check_canary(got, y_count);
    for (size_t i = 0; i < y_count && !bad; i++)
        bad = !check_same(got[i], want[i]);
    if (bad && check->failed++ < 20)
        printf("FAILED %s [%s]: m=%zu c=%zu k=%zu\n"
               "  check_kernels --case %s \"%zu %zu %zu %zu %zu %zu %d %d %d %d %u\"\n",
               kernel->name, check->rung, c->m, c->c, c->k, kernel->name, c->m, c->c, c->k,
               c->x_more, c->y_more, c->threads, c->relu, c->bias, c->transposed, c->fill, c->seed);
    float *const all[] = { x, w, bias, want, got };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_free(all[i]);
}

void check_linear(struct check *check, const struct hr_linear_kernel *kernel)
{
    static const size_t sizes[][2] = { { 2048, 1000 }, { 2048, 10 }, { 18, 2 }, { 2, 18 },
                                       { 72, 9 },      { 1, 1 },     { 33, 57 } };
    uint32_t seed = 5;
    for (size_t i = 0; i < 240; i++) {
        struct linear_case c = { .m = 1 + check_random(&seed, 9),
                                 .c = 1 + check_random(&seed, 60),
                                 .k = 1 + i % 75,
                                 .x_more = check_random(&seed, 9),
                                 .y_more = check_random(&seed, 9),
                                 .threads = 1 + check_random(&seed, 5) };
        if (i < 2 * sizeof sizes / sizeof *sizes) {
            c.c = sizes[i / 2][0];
            c.k = sizes[i / 2][1];
        }
        c.relu = (int)check_random(&seed, 2);
        c.bias = (int)check_random(&seed, 2);
        c.transposed = (int)check_random(&seed, 2);
        c.fill = check_random(&seed, 2) ? FILL_UNIFORM : (int)check_random(&seed, FILL_COUNT);
        c.seed = check_random(&seed, 1u << 31);
        one(check, kernel, &c);
    }
}

void check_linear_case(struct check *check, const struct hr_linear_kernel *kernel, const char *text)
{
    struct linear_case c;
    if (sscanf(text, "%zu %zu %zu %zu %zu %zu %d %d %d %d %u", &c.m, &c.c, &c.k, &c.x_more,
               &c.y_more, &c.threads, &c.relu, &c.bias, &c.transposed, &c.fill, &c.seed) == 11)
        one(check, kernel, &c);
    else
        printf("a case has 11 numbers\n");
}
