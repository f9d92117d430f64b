/* SPDX-License-Identifier: Apache-2.0
 * Training in double.  Each function is the formula, with loops in the order of memory. */
#include "kernel/wide.h"

#include <math.h>
#include <string.h>

static void put(double *at, double value, bool add)
{
    *at = add ? *at + value : value;
}

/* ---- Convolution ---- */

#define MAX_TAPS 64
#define BLOCK    8 /* results at a time, in registers */

/* Channels that a pass reads, and makes. */
static size_t reads(const struct hr_conv_shape *s, bool backward)
{
    return backward ? s->k : s->c;
}

size_t hr_wide_weight_rows(const struct hr_conv_shape *shape, bool backward)
{
    return (size_t)(shape->kernel * shape->kernel) * reads(shape, backward);
}

void hr_wide_weights(double *out, const struct hr_conv_shape *shape, const float *w, bool linear,
                     bool backward, size_t first, size_t last)
{
    const size_t from = reads(shape, backward), to = reads(shape, !backward);
    const size_t taps = (size_t)(shape->kernel * shape->kernel);
    for (size_t row = first; row < last; row++)
        for (size_t j = 0; j < to; j++) {
            const size_t k = backward ? row % from : j, c = backward ? j : row % from;
            const size_t at = linear ? c * shape->k + k : (k * shape->c + c) * taps + row / from;
            out[row * to + j] = (double)w[at];
        }
}

/* What one pixel of the result sums up. */
struct sources {
    const double *x[MAX_TAPS], *w[MAX_TAPS];
    size_t count;
};

static void add_source(struct sources *list, const struct hr_wide_conv *call, size_t image,
                       size_t y, size_t x, size_t tap)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t h = call->backward ? s->oh : s->h, w = call->backward ? s->ow : s->w;
    const size_t stride = call->backward ? s->y_stride : s->x_stride;
    if (y >= h || x >= w) /* negative ones have wrapped around */
        return;
    list->x[list->count] = call->from + ((image * h + y) * w + x) * stride;
    list->w[list->count++] = call->w + tap * s->c * s->k;
}

static void find_sources(struct sources *list, const struct hr_wide_conv *call, size_t image,
                         size_t y, size_t x)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t kernel = (size_t)s->kernel, stride = (size_t)s->stride, pad = (size_t)s->pad;
    list->count = 0;
    for (size_t r = 0; r < kernel; r++)
        for (size_t q = 0; q < kernel; q++) {
            if (!call->backward) {
                add_source(list, call, image, y * stride + r - pad, x * stride + q - pad,
                           r * kernel + q);
                continue;
            }
            const size_t oy = y + pad - r, ox = x + pad - q;
            if (oy % stride == 0 && ox % stride == 0 && y + pad >= r && x + pad >= q)
                add_source(list, call, image, oy / stride, ox / stride, r * kernel + q);
        }
}

/* Results [j, j + BLOCK) or, the last of them, fewer. */
static void sum_block(double *out, const struct sources *list, size_t from, size_t to, size_t j,
                      size_t count)
{
    double acc[BLOCK] = { 0.0 };
    for (size_t t = 0; t < list->count; t++)
        for (size_t i = 0; i < from; i++) {
            const double x = list->x[t][i], *const w = list->w[t] + i * to + j;
            if (count == BLOCK)
                for (size_t k = 0; k < BLOCK; k++)
                    acc[k] += x * w[k];
            else
                for (size_t k = 0; k < count; k++)
                    acc[k] += x * w[k];
        }
    memcpy(out, acc, count * sizeof *out);
}

void hr_wide_conv(const struct hr_wide_conv *call, size_t first, size_t last)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t h = call->backward ? s->h : s->oh, w = call->backward ? s->w : s->ow;
    const size_t stride = call->backward ? s->x_stride : s->y_stride;
    const size_t from = reads(s, call->backward), to = reads(s, !call->backward);
    for (size_t row = first; row < last; row++)
        for (size_t x = 0; x < w; x++) {
            struct sources list;
            find_sources(&list, call, row / h, row % h, x);
            double *const out = call->to + (row * w + x) * stride;
            for (size_t j = 0; j < stride; j += BLOCK) {
                const size_t count = j >= to ? 0 : to - j < BLOCK ? to - j : BLOCK;
                double sum[BLOCK] = { 0.0 };
                sum_block(sum, &list, from, to, j, count);
                for (size_t k = 0; k < BLOCK && j + k < stride; k++)
                    put(out + j + k,
                        sum[k] + (call->bias && k < count ? (double)call->bias[j + k] : 0.0),
                        call->add);
            }
        }
}

/* One input channel at one tap, output channels [k0, k0 + count). */
static void wgrad_block(double *acc, const struct hr_wide_wgrad *call, size_t tap, size_t c,
                        size_t k0, size_t count)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t kernel = (size_t)s->kernel, stride = (size_t)s->stride, pad = (size_t)s->pad;
    for (size_t row = 0; row < call->n * s->oh; row++) {
        const size_t iy = row % s->oh * stride + tap / kernel - pad;
        for (size_t ox = 0; ox < s->ow && iy < s->h; ox++) {
            const size_t ix = ox * stride + tap % kernel - pad;
            if (ix >= s->w)
                continue;
            const double x = call->x[((row / s->oh * s->h + iy) * s->w + ix) * s->x_stride + c];
            const double *const dy = call->dy + (row * s->ow + ox) * s->y_stride + k0;
            for (size_t k = 0; k < count; k++)
                acc[k] += x * dy[k];
        }
    }
}

#define WGRAD_BLOCK 64

void hr_wide_wgrad(const struct hr_wide_wgrad *call, size_t first, size_t last)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t taps = (size_t)(s->kernel * s->kernel);
    for (size_t pair = first; pair < last; pair++)
        for (size_t k0 = 0; k0 < s->k; k0 += WGRAD_BLOCK) {
            const size_t tap = pair / s->c, c = pair % s->c;
            const size_t count = s->k - k0 < WGRAD_BLOCK ? s->k - k0 : WGRAD_BLOCK;
            double acc[WGRAD_BLOCK] = { 0.0 };
            wgrad_block(acc, call, tap, c, k0, count);
            for (size_t k = 0; k < count; k++)
                call->dw[call->linear ? c * s->k + k0 + k : ((k0 + k) * s->c + c) * taps + tap] =
                    (float)acc[k];
        }
}

/* ---- Batch norm ---- */

void hr_wide_norm_stats(const struct hr_wide_norm *call, size_t first, size_t last)
{
    const double count = (double)call->pixels;
    for (size_t i = first; i < last; i++) {
        double mean = 0.0, variance = 0.0;
        for (size_t p = 0; p < call->pixels; p++)
            mean += call->x[p * call->stride + i];
        mean /= count;
        for (size_t p = 0; p < call->pixels; p++) {
            const double d = call->x[p * call->stride + i] - mean;
            variance += d * d;
        }
        call->mean[i] = mean;
        call->variance[i] = variance / count;
    }
}

void hr_wide_norm(const struct hr_wide_norm *call, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++)
        for (size_t p = 0; p < call->pixels; p++) {
            const size_t at = p * call->stride + i;
            double y = (call->x[at] - call->mean[i]) / sqrt(call->variance[i] + call->epsilon) *
                           (double)call->gamma[i] +
                       (double)call->beta[i];
            y += call->residual ? call->residual[at] : 0.0;
            call->y[at] = call->relu && !(y > 0.0) ? 0.0 : y;
        }
}

/* The gradient behind the ReLU. */
static double wide_g(const struct hr_wide_norm *call, size_t at)
{
    return call->relu && !(call->y[at] > 0.0) ? 0.0 : call->dy[at];
}

void hr_wide_norm_sums(const struct hr_wide_norm *call, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++) {
        const double inverse = 1.0 / sqrt(call->variance[i] + call->epsilon);
        double sum = 0.0, product = 0.0;
        for (size_t p = 0; p < call->pixels; p++) {
            const size_t at = p * call->stride + i;
            const double g = wide_g(call, at);
            sum += g;
            product += g * ((call->x[at] - call->mean[i]) * inverse);
        }
        call->sum[i] = sum;
        call->product[i] = product;
        call->dgamma[i] = (float)product;
        call->dbeta[i] = (float)sum;
    }
}

void hr_wide_norm_grad(const struct hr_wide_norm *call, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++) {
        const double inverse = 1.0 / sqrt(call->variance[i] + call->epsilon);
        for (size_t p = 0; p < call->pixels; p++) {
            const size_t at = p * call->stride + i;
            const double g = wide_g(call, at), x = (call->x[at] - call->mean[i]) * inverse;
            put(call->dx + at,
                (double)call->gamma[i] * inverse *
                    (g - call->sum[i] / call->count - x * call->product[i] / call->count),
                call->dx_add);
            if (call->dresidual)
                put(call->dresidual + at, g, call->dresidual_add);
        }
    }
}

/* ---- The rest ---- */

void hr_wide_sum(const struct hr_wide_sum *call, size_t first, size_t last)
{
    const size_t th = ((call->h - 1) >> call->shift) + 1, tw = ((call->w - 1) >> call->shift) + 1;
    for (size_t row = first * call->h; row < last * call->h; row++)
        for (size_t x = 0; x < call->w; x++) {
            const size_t ty = row / call->h * th + (row % call->h >> call->shift);
            const double *const from = call->x + (ty * tw + (x >> call->shift)) * call->stride;
            double *const to = call->y + (row * call->w + x) * call->stride;
            for (size_t i = 0; i < call->stride; i++)
                put(to + i, from[i], call->add);
        }
}

void hr_wide_sum_grad(const struct hr_wide_sum *call, size_t first, size_t last)
{
    const size_t th = ((call->h - 1) >> call->shift) + 1, tw = ((call->w - 1) >> call->shift) + 1;
    if (!call->add)
        memset(call->dx + first * th * tw * call->stride, 0,
               (last - first) * th * tw * call->stride * sizeof *call->dx);
    for (size_t row = first * call->h; row < last * call->h; row++)
        for (size_t x = 0; x < call->w; x++) {
            const size_t ty = row / call->h * th + (row % call->h >> call->shift);
            double *const to = call->dx + (ty * tw + (x >> call->shift)) * call->stride;
            const size_t at = (row * call->w + x) * call->stride;
            for (size_t i = 0; i < call->stride; i++)
                to[i] += call->result && !(call->result[at + i] > 0.0) ? 0.0 : call->dy[at + i];
        }
}

void hr_wide_relu(double *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = y[i] > 0.0 ? y[i] : 0.0;
}

void hr_wide_pool(const struct hr_wide_gate *call)
{
    memset(call->out, 0, call->n * call->stride * sizeof *call->out);
    for (size_t p = 0; p < call->n * call->pixels; p++)
        for (size_t i = 0; i < call->stride; i++)
            call->out[p / call->pixels * call->stride + i] +=
                call->x[p * call->stride + i] / (double)call->pixels;
}

void hr_wide_pool_grad(const struct hr_wide_gate *call)
{
    for (size_t p = 0; p < call->n * call->pixels; p++)
        for (size_t i = 0; i < call->stride; i++)
            put(call->out + p * call->stride + i,
                call->dy[p / call->pixels * call->stride + i] / (double)call->pixels, call->add);
}

void hr_wide_sigmoid(const struct hr_wide_gate *call)
{
    for (size_t i = 0; i < call->n * call->pixels * call->stride; i++)
        call->out[i] = 1.0 / (1.0 + exp(-call->x[i]));
}

void hr_wide_sigmoid_grad(const struct hr_wide_gate *call)
{
    for (size_t i = 0; i < call->n * call->pixels * call->stride; i++)
        put(call->out + i, call->dy[i] * call->y[i] * (1.0 - call->y[i]), call->add);
}

void hr_wide_scale(const struct hr_wide_gate *call)
{
    for (size_t p = 0; p < call->n * call->pixels; p++)
        for (size_t i = 0; i < call->stride; i++)
            call->out[p * call->stride + i] =
                call->x[p * call->stride + i] * call->s[p / call->pixels * call->stride + i];
}

void hr_wide_scale_grad(const struct hr_wide_gate *call)
{
    for (size_t image = 0; image < call->n; image++)
        for (size_t i = 0; i < call->stride; i++) {
            const double s = call->s[image * call->stride + i];
            double sum = 0.0;
            for (size_t p = 0; p < call->pixels; p++) {
                const size_t at = (image * call->pixels + p) * call->stride + i;
                sum += call->dy[at] * call->x[at];
                put(call->out + at, call->dy[at] * s, call->add);
            }
            put(call->ds + image * call->stride + i, sum, call->ds_add);
        }
}
