/* SPDX-License-Identifier: Apache-2.0
 * Mixing batches.  The one idea: a copy of the batch, a permutation, a share; every scheme writes
 * parts of the copy into the batch, and labels follow the share.
 *
 * Sources: Zhang et al. 2017 (mixup), Yun et al. 2019 (cutmix), Harris et al. 2020 (fmix), with the
 * draws of PaddleClas (paddleclas.md 5.9). */
#include "train/mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TURN 6.28318530717958647692

/* ---- The mask of fmix ---- */

struct cloud {
    double value;
    size_t place;
};

/* The largest first, the lower place first among equals. */
static int compare_clouds(const void *a, const void *b)
{
    const struct cloud *p = a, *q = b;
    if (p->value != q->value)
        return p->value > q->value ? -1 : 1;
    return p->place < q->place ? -1 : 1;
}

static double frequency(int64_t index, int64_t count)
{
    return (double)(2 * index < count ? index : index - count) / (double)count;
}

/* spectrum complex [h][w / 2 + 1]: normal numbers over the frequency's power. */
static void draw_spectrum(double *spectrum, int64_t h, int64_t w, double decay,
                          struct hr_random *random)
{
    const double least = 1.0 / (double)(h > w ? h : w);
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x <= w / 2; x++, spectrum += 2) {
            const double fx = (double)x / (double)w, fy = frequency(y, h);
            const double scale = pow(fmax(sqrt(fx * fx + fy * fy), least), -decay);
            spectrum[0] = scale * hr_random_normal(random);
            spectrum[1] = scale * hr_random_normal(random);
        }
}

/* out[y] = sum over k of in[k] exp(2 pi i k y / h), complex, down each column.  circle holds the h
 * roots of one, so that the sum takes no sine. */
static void transform_columns(double *out, const double *in, const double *circle, int64_t h,
                              int64_t columns)
{
    for (int64_t y = 0; y < h; y++)
        for (int64_t k = 0; k < h; k++) {
            const double c = circle[2 * (k * y % h)], s = circle[2 * (k * y % h) + 1];
            const double *a = in + 2 * k * columns;
            double *o = out + 2 * y * columns;
            for (int64_t x = 0; x < columns; x++) {
                o[2 * x] += a[2 * x] * c - a[2 * x + 1] * s;
                o[2 * x + 1] += a[2 * x] * s + a[2 * x + 1] * c;
            }
        }
}

/* The real transform along a row from its non-negative frequencies: all but the first and, where
 * there is one, the middle one count twice. */
static void transform_row(struct cloud *out, const double *in, const double *circle, int64_t w)
{
    for (int64_t x = 0; x < w; x++) {
        double sum = 0.0;
        for (int64_t k = 0; k <= w / 2; k++) {
            const double c = circle[2 * (k * x % w)], s = circle[2 * (k * x % w) + 1];
            sum += (k == 0 || 2 * k == w ? 1.0 : 2.0) * (in[2 * k] * c - in[2 * k + 1] * s);
        }
        out[x].value = sum;
    }
}

static void fill_circle(double *circle, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        circle[2 * i] = cos(TURN * (double)i / (double)count);
        circle[2 * i + 1] = sin(TURN * (double)i / (double)count);
    }
}

enum hr_status hr_mix_mask(uint8_t *mask, int64_t h, int64_t w, double decay, size_t ones,
                           struct hr_random *random)
{
    const int64_t columns = w / 2 + 1, larger = h > w ? h : w;
    double *const spectrum = hr_mem_alloc((size_t)(h * columns), 2 * sizeof *spectrum);
    double *const half = hr_mem_alloc((size_t)(h * columns), 2 * sizeof *half);
    double *const circle = hr_mem_alloc((size_t)larger, 2 * sizeof *circle);
    struct cloud *const clouds = hr_mem_alloc((size_t)(h * w), sizeof *clouds);
    enum hr_status status = HR_E_MEMORY;
    if (spectrum && half && circle && clouds) {
        draw_spectrum(spectrum, h, w, decay, random);
        fill_circle(circle, h);
        transform_columns(half, spectrum, circle, h, columns);
        fill_circle(circle, w);
        for (int64_t y = 0; y < h; y++)
            transform_row(clouds + y * w, half + 2 * y * columns, circle, w);
        for (size_t i = 0; i < (size_t)(h * w); i++)
            clouds[i].place = i;
        qsort(clouds, (size_t)(h * w), sizeof *clouds, compare_clouds);
        for (size_t i = 0; i < (size_t)(h * w); i++)
            mask[clouds[i].place] = i < ones;
        status = HR_OK;
    }
    hr_mem_free(clouds);
    hr_mem_free(circle);
    hr_mem_free(half);
    hr_mem_free(spectrum);
    return status;
}

/* ---- Pictures ---- */

struct mixing {
    struct hr_mix_batch *batch;
    const size_t *partner; /* of each picture */
    size_t floats;         /* of a picture */
};

static void mixup(const struct mixing *m, double share)
{
    const float a = (float)share, b = (float)(1.0 - share);
    for (size_t i = 0; i < m->batch->n; i++) {
        float *const x = m->batch->x + i * m->floats;
        const float *const other = m->batch->spare + m->partner[i] * m->floats;
        for (size_t j = 0; j < m->floats; j++)
            x[j] = a * x[j] + b * other[j];
    }
}

/* A rectangle of 1 - share of the area around a point anywhere, clipped; returns the real share. */
static double cutmix(const struct mixing *m, struct hr_random *random, double share)
{
    const int64_t h = m->batch->height, w = m->batch->width;
    const double ratio = sqrt(1.0 - share);
    const int64_t high = (int64_t)((double)h * ratio), wide = (int64_t)((double)w * ratio);
    const int64_t y = (int64_t)hr_random_below(random, (uint64_t)h);
    const int64_t x = (int64_t)hr_random_below(random, (uint64_t)w);
    const int64_t top = y - high / 2 < 0 ? 0 : y - high / 2;
    const int64_t left = x - wide / 2 < 0 ? 0 : x - wide / 2;
    const int64_t bottom = y + high / 2 > h ? h : y + high / 2;
    const int64_t right = x + wide / 2 > w ? w : x + wide / 2;
    for (size_t i = 0; i < m->batch->n; i++)
        for (int64_t row = 0; row < 3 * h; row++)
            if (row % h >= top && row % h < bottom)
                memcpy(m->batch->x + i * m->floats + (size_t)(row * w + left),
                       m->batch->spare + m->partner[i] * m->floats + (size_t)(row * w + left),
                       (size_t)(right - left) * sizeof(float));
    return 1.0 - (double)((bottom - top) * (right - left)) / (double)(h * w);
}

static enum hr_status fmix(const struct mixing *m, struct hr_random *random, double decay,
                           double share)
{
    const size_t area = (size_t)(m->batch->height * m->batch->width);
    const double exact = share * (double)area;
    const size_t ones = (size_t)(hr_random_unit(random) < 0.5 ? ceil(exact) : floor(exact));
    uint8_t *const mask = hr_mem_alloc(area, 1);
    if (!mask)
        return HR_E_MEMORY;
    const enum hr_status status =
        hr_mix_mask(mask, m->batch->height, m->batch->width, decay, ones, random);
    for (size_t i = 0; status == HR_OK && i < m->batch->n; i++)
        for (size_t j = 0; j < m->floats; j++)
            if (!mask[j % area])
                m->batch->x[i * m->floats + j] = m->batch->spare[m->partner[i] * m->floats + j];
    hr_mem_free(mask);
    return status;
}

/* ---- Labels ---- */

/* The partner's row is mixed in; rows of the batch as it was lie in `spare`, which pictures no
 * longer need. */
static void mix_targets(const struct mixing *m, double share)
{
    struct hr_mix_batch *b = m->batch;
    memcpy(b->spare, b->targets, b->n * b->classes * sizeof(float));
    for (size_t i = 0; i < b->n; i++) {
        size_t most = 0;
        float *const y = b->targets + i * b->classes;
        for (size_t k = 0; k < b->classes; k++) {
            y[k] = (float)(share * (double)y[k] +
                           (1.0 - share) * (double)b->spare[m->partner[i] * b->classes + k]);
            most = y[k] > y[most] ? k : most;
        }
        b->labels[i] = (int32_t)most;
    }
}

static const struct hr_augment_step *draw_step(const struct hr_augment_chain *chain,
                                               struct hr_random *random)
{
    double at = hr_random_unit(random);
    for (size_t i = 0; i < chain->count; i++) {
        if (hr_augment_stage(chain->steps[i].kind) != HR_STAGE_BATCH)
            continue;
        if (at < chain->steps[i].p)
            return &chain->steps[i];
        at -= chain->steps[i].p;
    }
    return NULL;
}

enum hr_status hr_mix_apply(const struct hr_augment_chain *chain, struct hr_random *random,
                            struct hr_mix_batch *batch, enum hr_augment_kind *kind)
{
    const struct hr_augment_step *const step = draw_step(chain, random);
    *kind = step ? step->kind : HR_AUGMENT_KINDS;
    if (!step)
        return HR_OK;
    size_t *const partner = hr_mem_alloc(batch->n, sizeof *partner);
    if (!partner)
        return HR_E_MEMORY;
    const struct mixing m = { batch, partner, (size_t)(3 * batch->height * batch->width) };
    double share = hr_random_beta(random, step->number[HR_MIX_ALPHA]);
    enum hr_status status = HR_OK;
    hr_random_permute(random, partner, batch->n);
    memcpy(batch->spare, batch->x, batch->n * m.floats * sizeof(float));
    if (step->kind == HR_AUGMENT_MIXUP)
        mixup(&m, share);
    else if (step->kind == HR_AUGMENT_CUTMIX)
        share = cutmix(&m, random, share);
    else
        status = fmix(&m, random, step->number[HR_MIX_DECAY], share);
    if (status == HR_OK)
        mix_targets(&m, share);
    hr_mem_free(partner);
    return status;
}
