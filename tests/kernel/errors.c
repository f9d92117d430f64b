/* SPDX-License-Identifier: Apache-2.0
 * How far kernels that reorder sums are from exact arithmetic, on the layers of the networks.
 *
 * The bound of one output (Barabasz and others 2020, "Error analysis and improving the accuracy of
 * Winograd convolution", ACM TOMS 46-4):
 *   |error| <= gamma(n) * sum over c of  |A^T| ( |G| |g| |G^T|  *  |B^T| |d| |B| ) |A|
 * with gamma(n) = n u / (1 - n u), u = 2^-24, and n the roundings that one summand passes: c in
 * the sum of products, those of the two transforms, one of U, bias and residual.  It holds for any
 * data, so it is far above what is seen.  Roundings that are as good as random add up to
 *   root mean square error / root mean square of outputs <= growth * u * sqrt(c)
 * with a growth that was measured once a form. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_E 6

/* y = A^T ( (G g G^T) * (B^T d B) ) A on tiles of m x m outputs from e x e inputs. */
struct form {
    const char *name; /* part of a kernel's name */
    size_t m, e;
    int stride;
    double g[MOST_E][3], bt[MOST_E][MOST_E], at[4][MOST_E];
    double growth;
    int roundings; /* of both transforms in both directions, of U, bias and residual */
};

#define R 1.41421356237309505
static const struct form forms[] = {
    { "winograd_f2_s2",
      2,
      5,
      2,
      { { 1, 0, 0 }, { 1, 0, 1 }, { 0, 0, 1 }, { 0, 1, 0 }, { 0, 1, 0 } },
      { { 1, 0, -1, 0, 0 },
        { 0, 0, 1, 0, 0 },
        { 0, 0, 1, 0, -1 },
        { 0, 1, 0, 0, 0 },
        { 0, 0, 0, 1, 0 } },
      { { 1, 1, 0, 1, 0 }, { 0, 1, -1, 0, 1 } },
      0.6,
      2 + 4 + 3 },
    { "winograd_f4",
      4,
      6,
      1,
      { { 1, 0, 0 },
        { 1 / 6.0, R / 6, 2 / 6.0 },
        { 1 / 6.0, -R / 6, 2 / 6.0 },
        { -1 / 1.5, -R / 3, -0.5 / 1.5 },
        { -1 / 1.5, R / 3, -0.5 / 1.5 },
        { 0, 0, 1 } },
      { { 1, 0, -2.5, 0, 1, 0 },
        { 0, -R / 2, -0.5, R, 1, 0 },
        { 0, R / 2, -0.5, -R, 1, 0 },
        { 0, -R, -2, R / 2, 1, 0 },
        { 0, R, -2, -R / 2, 1, 0 },
        { 0, 1, 0, -2.5, 0, 1 } },
      { { 1, 1, 1, 1, 1, 0 },
        { 0, R, -R, R / 2, -R / 2, 0 },
        { 0, 2, 2, 0.5, 0.5, 0 },
        { 0, 2 * R, -2 * R, R / 4, -R / 4, 1 } },
      1.8,
      6 + 8 + 3 },
    { "winograd_f2",
      2,
      4,
      1,
      { { 1, 0, 0 }, { 0.5, 0.5, 0.5 }, { 0.5, -0.5, 0.5 }, { 0, 0, 1 } },
      { { 1, 0, -1, 0 }, { 0, 1, 1, 0 }, { 0, -1, 1, 0 }, { 0, -1, 0, 1 } },
      { { 1, 1, 1, 0 }, { 0, 1, -1, 1 } },
      0.65,
      2 + 4 + 3 },
};

static const struct form *form_of(const struct hr_conv_kernel *kernel)
{
    for (size_t i = 0; i < HR_COUNT(forms); i++)
        if (strstr(kernel->name, forms[i].name))
            return &forms[i];
    return NULL;
}

/* ---- Data as in a network ------------------------------------------------------------------- */

/* About normal, of deviation 1: the sum of 12 uniform numbers. */
static float normal(uint32_t *seed)
{
    float sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (float)check_random(seed, 1u << 24) * 0x1p-24f;
    return sum - 6;
}

struct layer_data {
    const struct hr_conv_shape *shape;
    float *x, *w, *y;
    size_t x_count, y_count;
};

/* Activations as after a ReLU, weights as He and others start with. */
static void data_make(struct layer_data *d, const struct hr_conv_shape *s)
{
    uint32_t seed = (uint32_t)(s->c * 31 + s->k);
    const size_t w_count = s->c * s->k * 9;
    *d = (struct layer_data){ .shape = s };
    d->x_count = s->h * s->w * s->x_stride;
    d->y_count = s->oh * s->ow * s->y_stride;
    d->x = check_buffer(d->x_count);
    d->y = check_buffer(d->y_count);
    d->w = check_buffer(w_count);
    const float deviation = sqrtf(2.0f / (9.0f * (float)s->c));
    for (size_t i = 0; i < d->x_count; i++) {
        const float value = i % s->x_stride < s->c ? normal(&seed) : 0;
        d->x[i] = value > 0 ? value : 0;
    }
    for (size_t i = 0; i < w_count; i++)
        d->w[i] = deviation * normal(&seed);
}

static void data_free(struct layer_data *d)
{
    check_free(d->x);
    check_free(d->y);
    check_free(d->w);
}

static void run(const struct hr_conv_kernel *kernel, struct layer_data *d)
{
    char *const packed = check_bytes(kernel->packed_bytes(d->shape));
    void *const scratch = check_bytes(kernel->scratch_bytes(d->shape, 1, 1));
    const struct hr_conv_call call = {
        .shape = d->shape, .n = 1, .x = d->x, .y = d->y, .packed = packed, .scratch = scratch
    };
    kernel->pack(packed, d->shape, d->w, NULL, NULL, 0, 1);
    const size_t prepare = kernel->prepare ? kernel->prepare_tasks(d->shape, 1, 1) : 0;
    for (size_t t = 0; t < prepare; t++)
        kernel->prepare(&call, t, prepare);
    const size_t tasks = kernel->tasks(d->shape, 1, 1);
    for (size_t t = 0; t < tasks; t++)
        kernel->run(&call, t, tasks);
    free(packed);
    free(scratch);
}

/* ---- One output ------------------------------------------------------------------------------ */

/* Input channel c at (y, x), zero outside. */
static double input(const struct layer_data *d, ptrdiff_t y, ptrdiff_t x, size_t c)
{
    const struct hr_conv_shape *s = d->shape;
    if (y < 0 || x < 0 || y >= (ptrdiff_t)s->h || x >= (ptrdiff_t)s->w)
        return 0;
    return (double)d->x[((size_t)y * s->w + (size_t)x) * s->x_stride + c];
}

static double exact(const struct layer_data *d, size_t oy, size_t ox, size_t k)
{
    const struct hr_conv_shape *s = d->shape;
    double sum = 0;
    for (size_t c = 0; c < s->c; c++)
        for (int t = 0; t < 9; t++)
            sum += input(d, (ptrdiff_t)oy * s->stride + t / 3 - 1,
                         (ptrdiff_t)ox * s->stride + t % 3 - 1, c) *
                   (double)d->w[(k * s->c + c) * 9 + (size_t)t];
    return sum;
}

/* out[e][e] = |left| |in| |left^T|, in [inner][inner]. */
static void absolute_2d(double out[MOST_E][MOST_E], const double *left, size_t e, size_t inner,
                        size_t width, const double in[MOST_E][MOST_E])
{
    double mid[MOST_E][MOST_E];
    for (size_t i = 0; i < e; i++)
        for (size_t j = 0; j < inner; j++) {
            mid[i][j] = 0;
            for (size_t q = 0; q < inner; q++)
                mid[i][j] += fabs(left[i * width + q]) * fabs(in[q][j]);
        }
    for (size_t i = 0; i < e; i++)
        for (size_t j = 0; j < e; j++) {
            out[i][j] = 0;
            for (size_t q = 0; q < inner; q++)
                out[i][j] += mid[i][q] * fabs(left[j * width + q]);
        }
}

/* The bound at the top of this file. */
static double bound(const struct form *f, const struct layer_data *d, size_t oy, size_t ox,
                    size_t k)
{
    const struct hr_conv_shape *s = d->shape;
    const ptrdiff_t top = (ptrdiff_t)(oy - oy % f->m) * s->stride - 1;
    const ptrdiff_t left = (ptrdiff_t)(ox - ox % f->m) * s->stride - 1;
    double sum = 0;
    for (size_t c = 0; c < s->c; c++) {
        double in[MOST_E][MOST_E], weight[MOST_E][MOST_E], u[MOST_E][MOST_E], v[MOST_E][MOST_E];
        for (size_t i = 0; i < f->e; i++)
            for (size_t j = 0; j < f->e; j++)
                in[i][j] = input(d, top + (ptrdiff_t)i, left + (ptrdiff_t)j, c);
        for (size_t t = 0; t < 9; t++)
            weight[t / 3][t % 3] = (double)d->w[(k * s->c + c) * 9 + t];
        absolute_2d(v, &f->bt[0][0], f->e, f->e, MOST_E, (const double(*)[MOST_E])in);
        absolute_2d(u, &f->g[0][0], f->e, 3, 3, (const double(*)[MOST_E])weight);
        for (size_t i = 0; i < f->e; i++)
            for (size_t j = 0; j < f->e; j++)
                sum += fabs(f->at[oy % f->m][i]) * u[i][j] * v[i][j] * fabs(f->at[ox % f->m][j]);
    }
    const double nu = ((double)s->c + f->roundings) * 0x1p-24;
    return nu / (1 - nu) * sum;
}

/* ---- Reports --------------------------------------------------------------------------------- */

struct errors {
    double largest,
        rms;         /* of the largest output; root of the mean of squares over that of outputs */
    double of_bound; /* largest part of the bound that an output's error reaches */
};

static struct errors errors_of(const struct form *f, const struct layer_data *d, size_t samples)
{
    const struct hr_conv_shape *s = d->shape;
    struct errors e = { 0 };
    double most = 0, square = 0, error_square = 0;
    uint32_t seed = 1;
    for (size_t i = 0; i < samples; i++) {
        const size_t oy = check_random(&seed, (uint32_t)s->oh);
        const size_t ox = check_random(&seed, (uint32_t)s->ow);
        const size_t k = check_random(&seed, (uint32_t)s->k);
        const double want = exact(d, oy, ox, k);
        const double got = (double)d->y[(oy * s->ow + ox) * s->y_stride + k];
        const double error = fabs(got - want);
        most = fmax(most, fabs(want));
        square += want * want;
        error_square += error * error;
        e.largest = fmax(e.largest, error);
        if (f)
            e.of_bound = fmax(e.of_bound, error / bound(f, d, oy, ox, k));
    }
    e.largest /= most;
    e.rms = sqrt(error_square / square);
    return e;
}

/* Calls `each` for every 3x3 layer of a width and every kernel of the highest rung that computes
 * it. */
static void errors_each(const struct hr_kernels *kernels, int width, size_t samples,
                        void (*each)(struct check *, const struct hr_conv_kernel *,
                                     const struct hr_conv_shape *, const struct errors *),
                        struct check *check)
{
    struct layer layers[96];
    const size_t count = layers_of(layers, 96, width, kernels->eltwise.vector_floats);
    for (size_t i = 0; i < count; i++) {
        struct hr_conv_shape s = layers[i].shape;
        struct layer_data d;
        if (s.kernel != 3 || s.c < 8)
            continue;
        s.relu = s.residual = false;
        data_make(&d, &s);
        for (size_t j = 0; j < kernels->conv_count; j++) {
            const struct hr_conv_kernel *kernel = kernels->conv[j];
            const char *isa = strrchr(kernel->name, '_'); /* of the rung, not of those below */
            if (!isa || strcmp(isa + 1, kernels->isa) != 0 || !kernel->applies(&s))
                continue;
            /* Tiles in the lanes have the bits of channels in the lanes. */
            if (kernel->x_layout != HR_LAYOUT_NHWC || kernel->y_layout != HR_LAYOUT_NHWC)
                continue;
            run(kernel, &d);
            const struct errors e = errors_of(form_of(kernel), &d, samples);
            each(check, kernel, &s, &e);
        }
        data_free(&d);
    }
}

/* Of the formula at the top. */
static double growth_of(const struct hr_conv_shape *s, const struct errors *e)
{
    return e->rms / (0x1p-24 * sqrt((double)s->c));
}

static void print_row(struct check *check, const struct hr_conv_kernel *kernel,
                      const struct hr_conv_shape *s, const struct errors *e)
{
    (void)check;
    printf("%s,%d,%zu,%zu,%zu,%.2e,%.2e,%.3f,%.1e\n", kernel->name, s->stride, s->c, s->k, s->h,
           e->largest, e->rms, growth_of(s, e), e->of_bound);
    fflush(stdout);
}

void errors_print(const struct hr_kernels *kernels, int width)
{
    printf("kernel,stride,c,k,h,largest,rms,growth,of_bound\n");
    errors_each(kernels, width, 4000, print_row, NULL);
}

/* What the headers of kernels state, of the largest output: F(4,3) 4e-6, others 1e-6. */
static void check_row(struct check *check, const struct hr_conv_kernel *kernel,
                      const struct hr_conv_shape *s, const struct errors *e)
{
    const struct form *f = form_of(kernel);
    if (kernel->exact)
        return;
    check->ran++;
    const double stated = f && f->m == 4 ? 4e-6 : 1e-6, growth = growth_of(s, e);
    if (f && e->of_bound <= 1 && e->of_bound > 0 && e->largest <= stated && growth <= f->growth)
        return;
    check->failed++;
    printf("FAILED %s [%s]: error %.2e of the largest output (stated: %.0e), growth %.2f (%.2f), "
           "%.2e of its bound, c=%zu k=%zu %zux%zu stride %d%s\n",
           kernel->name, check->rung, e->largest, stated, growth, f ? f->growth : 0, e->of_bound,
           s->c, s->k, s->h, s->w, s->stride, f ? "" : "; errors.c does not know its form");
}

void check_errors(struct check *check, const struct hr_kernels *kernels)
{
    static const int widths[] = { 18, 48 };
    check->rung = kernels->isa;
    const size_t before = check->ran;
    for (size_t i = 0; i < HR_COUNT(widths); i++)
        errors_each(kernels, widths[i], 200, check_row, check);
    printf("%-14s %6zu layers within their error bounds\n", kernels->isa, check->ran - before);
}
