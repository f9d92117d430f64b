/* SPDX-License-Identifier: Apache-2.0
 * Gradients of a convolution: how weights turn, how the weight gradient is cut, and its reference.
 */
#include "kernel/conv_grad.h"

#include <string.h>

#include "kernel/fma.h"

/* ---- The gradient of the input ---- */

/* Offsets of dy that a phase reads, over all phases. */
static void offsets(const struct hr_conv_shape *s, int *least, int *most)
{
    *least = *most = s->pad / s->stride;
    for (int a = 0; a < s->stride; a++) {
        const int base = (a + s->pad) / s->stride, rest = (a + s->pad) % s->stride;
        const int taps = rest < s->kernel ? (s->kernel - 1 - rest) / s->stride + 1 : 0;
        if (taps == 0)
            continue;
        *most = base > *most ? base : *most;
        *least = base - taps + 1 < *least ? base - taps + 1 : *least;
    }
}

struct hr_conv_shape hr_dgrad_shape(const struct hr_conv_shape *s)
{
    int least, most;
    offsets(s, &least, &most);
    const size_t stride = (size_t)s->stride;
    const size_t channels = stride == 1 ? s->c : stride * stride * s->x_stride;
    return (struct hr_conv_shape){
        .h = s->oh,
        .w = s->ow,
        .c = s->k,
        .oh = (s->h + stride - 1) / stride,
        .ow = (s->w + stride - 1) / stride,
        .k = channels,
        .x_stride = s->y_stride,
        .y_stride = stride == 1 ? s->x_stride : channels,
        .kernel = most - least + 1,
        .stride = 1,
        .pad = -least,
    };
}

/* The forward tap that phase a reads at position t of the turned kernel, or -1. */
static int tap_of(const struct hr_conv_shape *s, const struct hr_conv_shape *z, int a, int t)
{
    const int r = a + s->pad - s->stride * (t - z->pad);
    return r >= 0 && r < s->kernel ? r : -1;
}

void hr_dgrad_turn(float *out, const struct hr_conv_shape *s, const float *w, size_t first,
                   size_t last)
{
    const struct hr_conv_shape z = hr_dgrad_shape(s);
    const size_t taps = (size_t)(s->kernel * s->kernel),
                 per_phase = s->stride == 1 ? s->c : s->x_stride;
    for (size_t j = first; j < last; j++) {
        const size_t c = j % per_phase;
        const int phase = (int)(j / per_phase), a = phase / s->stride, b = phase % s->stride;
        float *const row = out + j * s->k * (size_t)(z.kernel * z.kernel);
        for (int t = 0; t < z.kernel; t++)
            for (int u = 0; u < z.kernel; u++) {
                const int r = tap_of(s, &z, a, t), q = tap_of(s, &z, b, u);
                const size_t at = (size_t)(t * z.kernel + u), step = (size_t)(z.kernel * z.kernel);
                const bool none = r < 0 || q < 0 || c >= s->c;
                const float *const from = none ? NULL : w + c * taps + (size_t)(r * s->kernel + q);
                for (size_t k = 0; k < s->k; k++)
                    row[k * step + at] = from ? from[k * s->c * taps] : 0.0f;
            }
    }
}

/* ---- The gradient of the weights ---- */

/* Pixels of a group: larger lets x and dy fall out of the second-level cache between the tiles of
 * a group, smaller loads and stores accumulators more often. */
#define GROUP_PIXELS 256
/* Few weights are few pieces for the threads: then pixels are cut too. */
#define SMALL_WEIGHTS ((size_t)1 << 16)
#define MAX_CHUNKS    8

size_t hr_wgrad_group_rows(const struct hr_conv_shape *shape)
{
    return shape->ow >= GROUP_PIXELS ? 1 : GROUP_PIXELS / shape->ow;
}

size_t hr_wgrad_chunks(const struct hr_conv_shape *shape, size_t n)
{
    const size_t weights = (size_t)(shape->kernel * shape->kernel) * shape->c * shape->k;
    const size_t groups = n * shape->oh / hr_wgrad_group_rows(shape) + 1;
    size_t chunks = SMALL_WEIGHTS / weights;
    chunks = chunks < 1 ? 1 : chunks > MAX_CHUNKS ? MAX_CHUNKS : chunks;
    return chunks < groups ? chunks : groups;
}

void hr_wgrad_chunk_rows(const struct hr_conv_shape *shape, size_t n, size_t chunk, size_t *first,
                         size_t *last)
{
    const size_t rows = n * shape->oh, chunks = hr_wgrad_chunks(shape, n);
    *first = rows * chunk / chunks;
    *last = rows * (chunk + 1) / chunks;
}

static size_t part_floats(const struct hr_conv_shape *shape)
{
    return (size_t)(shape->kernel * shape->kernel) * shape->c * shape->y_stride;
}

size_t hr_wgrad_floats(const struct hr_conv_shape *shape, size_t n)
{
    return hr_wgrad_chunks(shape, n) * part_floats(shape);
}

size_t hr_wgrad_one_round(const struct hr_conv_shape *shape, size_t n)
{
    (void)shape, (void)n;
    return 1;
}

void hr_wgrad_finish(const struct hr_wgrad_call *call, float *dw, size_t first, size_t last)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t taps = (size_t)(s->kernel * s->kernel), chunks = hr_wgrad_chunks(s, call->n);
    const size_t part = part_floats(s), block = 16; /* output channels at a time: a cache line */
    for (size_t k0 = first; k0 < last; k0 += block) {
        const size_t count = last - k0 < block ? last - k0 : block;
        for (size_t c = 0; c < s->c; c++)
            for (size_t t = 0; t < taps; t++) {
                const float *from = call->parts + (t * s->c + c) * s->y_stride + k0;
                float sum[16];
                memcpy(sum, from, count * sizeof *sum);
                for (size_t q = 1; q < chunks; q++)
                    for (size_t j = 0; j < count; j++)
                        sum[j] += from[q * part + j];
                for (size_t j = 0; j < count; j++)
                    dw[((k0 + j) * s->c + c) * taps + t] = sum[j];
            }
    }
}

static size_t ref_pieces(const struct hr_conv_shape *shape, size_t n)
{
    return hr_wgrad_chunks(shape, n) * (size_t)(shape->kernel * shape->kernel) * shape->c;
}

#define REF_BLOCK 64 /* output channels at a time */

/* One input channel at one tap, with `count` output channels from k0. */
struct ref_at {
    size_t r, q, c, k0, count;
};

/* acc[count] += rows [first, last). */
static void ref_group(float *restrict acc, const struct hr_wgrad_call *call,
                      const struct ref_at *at, size_t first, size_t last)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t stride = (size_t)s->stride, pad = (size_t)s->pad;
    for (size_t row = first; row < last; row++)
        for (size_t ox = 0; ox < s->ow; ox++) {
            const size_t iy = row % s->oh * stride + at->r - pad, ix = ox * stride + at->q - pad;
            if (iy >= s->h || ix >= s->w) /* negative ones have wrapped around */
                continue;
            const float x = call->x[((row / s->oh * s->h + iy) * s->w + ix) * s->x_stride + at->c];
            const float *const dy = call->dy + (row * s->ow + ox) * s->y_stride + at->k0;
            for (size_t k = 0; k < at->count; k++)
                acc[k] = hr_fma(x, dy[k], acc[k]);
        }
}

static void ref_piece(const struct hr_wgrad_call *call, size_t piece)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t kernel = (size_t)s->kernel, step = hr_wgrad_group_rows(s);
    const size_t tap = piece / s->c % (kernel * kernel);
    struct ref_at at = { .r = tap / kernel, .q = tap % kernel, .c = piece % s->c };
    float *const out = call->parts + piece * s->y_stride;
    size_t first, last;
    hr_wgrad_chunk_rows(s, call->n, piece / (kernel * kernel * s->c), &first, &last);
    for (at.k0 = 0; at.k0 < s->y_stride; at.k0 += REF_BLOCK) {
        at.count = s->y_stride - at.k0 < REF_BLOCK ? s->y_stride - at.k0 : REF_BLOCK;
        memset(out + at.k0, 0, at.count * sizeof *out);
        for (size_t row = first; row < last; row += step) {
            float acc[REF_BLOCK] = { 0.0f };
            ref_group(acc, call, &at, row, row + step < last ? row + step : last);
            for (size_t k = 0; k < at.count; k++)
                out[at.k0 + k] += acc[k];
        }
    }
}

static void ref_run(const struct hr_wgrad_call *call, size_t round, size_t first, size_t last)
{
    (void)round;
    for (size_t piece = first; piece < last; piece++)
        ref_piece(call, piece);
}

static bool ref_applies(const struct hr_conv_shape *shape)
{
    (void)shape;
    return true;
}

/* Slower than any other. */
static double ref_cost(const struct hr_conv_shape *s, size_t n)
{
    return (double)(n * s->oh * s->ow * s->c * s->k) * (double)(s->kernel * s->kernel);
}

const struct hr_wgrad_kernel hr_wgrad_ref = {
    .name = "wgrad_ref",
    .exact = true,
    .applies = ref_applies,
    .cost = ref_cost,
    .floats = hr_wgrad_floats,
    .rounds = hr_wgrad_one_round,
    .pieces = ref_pieces,
    .run = ref_run,
    .finish = hr_wgrad_finish,
};
