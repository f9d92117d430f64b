/* SPDX-License-Identifier: Apache-2.0
 * The plain program.  Letters as in kernel/conv.h; i, j branches.  Maps are [c][h][w]. */
#include "scalar_network.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BRANCHES = 4, MAPS = 4096, NAME = 256 };

struct map {
    size_t c, h, w;
    float *v;
};

struct program {
    const struct hr_zoo_row *row;
    const struct hr_store *weights;
    enum hr_fuse_order order;
    float *made[MAPS]; /* every map, freed at the end */
    size_t made_count;
};

static void must(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "scalar_network: %s\n", what);
    abort();
}

/* printf into a name of NAME bytes. */
HR_PRINTF(2, 3)
static void format(char *out, const char *text, ...)
{
    va_list list;
    va_start(list, text);
    const int length = vsnprintf(out, NAME, text, list);
    va_end(list);
    must(length > 0 && length < NAME, "a name is too long");
}

static struct map make(struct program *p, size_t c, size_t h, size_t w)
{
    struct map m = { c, h, w, calloc(c * h * w, sizeof(float)) };
    must(m.v && p->made_count < MAPS, "memory");
    p->made[p->made_count++] = m.v;
    return m;
}

static const float *param(const struct program *p, const char *layer, const char *suffix)
{
    char name[NAME];
    format(name, "%s.%s", layer, suffix);
    const struct hr_tensor *t = hr_store_find(p->weights, name);
    must(t && t->dtype == HR_DTYPE_F32 && hr_tensor_contiguous(t), name);
    return t->data;
}

static float relu(float v)
{
    return v > 0.0f ? v : 0.0f;
}

/* One output: bias, then taps and channels in order, each fused; + 0 so that a zero has one sign.
 */
static float conv_at(const struct map *x, const float *w, float bias, size_t kernel, ptrdiff_t y0,
                     ptrdiff_t x0)
{
    float acc = bias;
    for (size_t r = 0; r < kernel; r++)
        for (size_t s = 0; s < kernel; s++) {
            const ptrdiff_t y = y0 + (ptrdiff_t)r, z = x0 + (ptrdiff_t)s;
            if (y < 0 || z < 0 || y >= (ptrdiff_t)x->h || z >= (ptrdiff_t)x->w)
                continue;
            for (size_t c = 0; c < x->c; c++)
                acc = fmaf(x->v[(c * x->h + (size_t)y) * x->w + (size_t)z],
                           w[(c * kernel + r) * kernel + s], acc);
        }
    return acc + 0.0f;
}

/* Convolution and norm; then + residual (if any), then ReLU (if asked). */
static struct map conv(struct program *p, struct map x, size_t k, size_t kernel, size_t stride,
                       const struct map *residual, bool with_relu, const char *layer)
{
    const ptrdiff_t pad = (ptrdiff_t)(kernel - 1) / 2;
    struct map y = make(p, k, (x.h - 1) / stride + 1, (x.w - 1) / stride + 1);
    const float *w = param(p, layer, "conv.weight"), *gamma = param(p, layer, "bn.weight");
    const float *beta = param(p, layer, "bn.bias"), *mean = param(p, layer, "bn._mean");
    const float *variance = param(p, layer, "bn._variance");
    const size_t taps = x.c * kernel * kernel;
    float *folded = calloc(taps, sizeof *folded);
    must(folded, "memory");
    for (size_t i = 0; i < k; i++) {
        const double scale = (double)gamma[i] / sqrt((double)variance[i] + (double)1e-5f);
        const float bias = (float)((double)beta[i] + (0.0 - (double)mean[i]) * scale);
        for (size_t j = 0; j < taps; j++)
            folded[j] = w[i * taps + j] * (float)scale;
        for (size_t oy = 0; oy < y.h; oy++)
            for (size_t ox = 0; ox < y.w; ox++) {
                const size_t at = (i * y.h + oy) * y.w + ox;
                float v = conv_at(&x, folded, bias, kernel, (ptrdiff_t)(oy * stride) - pad,
                                  (ptrdiff_t)(ox * stride) - pad);
                if (residual)
                    v = residual->v[at] + v;
                y.v[at] = with_relu ? relu(v) : v;
            }
    }
    free(folded);
    return y;
}

/* a + b, b upsampled to a's size. */
static struct map add(struct program *p, struct map a, struct map b)
{
    struct map y = make(p, a.c, a.h, a.w);
    const size_t factor = a.h / b.h;
    for (size_t c = 0; c < a.c; c++)
        for (size_t i = 0; i < a.h; i++)
            for (size_t j = 0; j < a.w; j++)
                y.v[(c * a.h + i) * a.w + j] =
                    a.v[(c * a.h + i) * a.w + j] + b.v[(c * b.h + i / factor) * b.w + j / factor];
    return y;
}

static struct map bottleneck(struct program *p, struct map x, size_t planes, bool down,
                             const char *name)
{
    char a[NAME], b[NAME], c[NAME], d[NAME];
    format(a, "%s.conv1", name);
    format(b, "%s.conv2", name);
    format(c, "%s.conv3", name);
    format(d, "%s.conv_down", name);
    const struct map y =
        conv(p, conv(p, x, planes, 1, 1, NULL, true, a), planes, 3, 1, NULL, true, b);
    const struct map residual = down ? conv(p, x, 4 * planes, 1, 1, NULL, false, d) : x;
    return conv(p, y, 4 * planes, 1, 1, &residual, true, c);
}

static struct map basic(struct program *p, struct map x, const char *name)
{
    char a[NAME], b[NAME];
    format(a, "%s.conv1", name);
    format(b, "%s.conv2", name);
    return conv(p, conv(p, x, x.c, 3, 1, NULL, true, a), x.c, 3, 1, &x, true, b);
}

/* Branch j as branch i hears it, not yet upsampled; *next counts the module's fuse layers. */
static struct map heard(struct program *p, const struct map *xs, int i, int j, int next,
                        const char *module)
{
    char name[NAME];
    struct map t = xs[j];
    if (j > i) {
        format(name, "%s.fuse_func.residual_func_list.%d", module, next);
        return conv(p, t, xs[i].c, 1, 1, NULL, false, name);
    }
    for (int step = 0; step < i - j; step++) {
        const bool last = step == i - j - 1;
        format(name, "%s.fuse_func.residual_func_list.%d", module, next + step);
        t = conv(p, t, last ? xs[i].c : xs[j].c, 3, 2, NULL, !last, name);
    }
    return t;
}

/* Paddle adds to the branch's own map in order of j; Microsoft starts with branch 0. */
static struct map fuse(struct program *p, const struct map *xs, int count, int i, int *next,
                       const char *module)
{
    struct map terms[BRANCHES], y = { 0 };
    for (int j = 0; j < count; j++) {
        terms[j] = j == i ? xs[j] : heard(p, xs, i, j, *next, module);
        *next += j == i ? 0 : j > i ? 1 : i - j;
    }
    if (p->order == HR_FUSE_PADDLE) {
        y = xs[i];
        for (int j = 0; j < count; j++)
            if (j != i)
                y = add(p, y, terms[j]);
    } else {
        /* A first term that is coarser than the sum cannot happen: branch 0 is the finest. */
        y = terms[0];
        for (int j = 1; j < count; j++)
            y = add(p, y, terms[j]);
    }
    struct map out = make(p, y.c, y.h, y.w);
    for (size_t at = 0; at < y.c * y.h * y.w; at++)
        out.v[at] = relu(y.v[at]);
    return out;
}

static void module(struct program *p, struct map *xs, int count, const char *name)
{
    char block[NAME];
    struct map out[BRANCHES];
    int next = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < p->row->blocks; k++) {
            format(block, "%s.basic_block_list.%d.%d", name, i, k);
            xs[i] = basic(p, xs[i], block);
        }
    for (int i = 0; i < count; i++)
        out[i] = fuse(p, xs, count, i, &next, name);
    memcpy(xs, out, (size_t)count * sizeof *xs);
}

/* Eighths of the plane are summed in pixel order, then pairwise, then times 1/pixels. */
static float mean(const float *v, size_t pixels)
{
    float s[8];
    for (size_t i = 0; i < 8; i++) {
        s[i] = 0.0f;
        for (size_t j = i * pixels / 8; j < (i + 1) * pixels / 8; j++)
            s[i] += v[j];
    }
    return (((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))) *
           (1.0f / (float)pixels);
}

static void head(struct program *p, struct map *xs, float *logits, size_t classes)
{
    char name[NAME];
    for (int b = 0; b < BRANCHES; b++) {
        format(name, "last_cls.func_list.%d", b);
        xs[b] = bottleneck(p, xs[b], (size_t)32 << b, true, name);
    }
    struct map y = xs[0];
    for (int b = 0; b < BRANCHES - 1; b++) {
        format(name, "cls_head_conv_list.%d", b);
        y = add(p, xs[b + 1], conv(p, y, (size_t)256 << b, 3, 2, NULL, true, name));
    }
    y = conv(p, y, 2048, 1, 1, NULL, true, "conv_last");
    float pooled[2048];
    for (size_t c = 0; c < y.c; c++)
        pooled[c] = mean(y.v + c * y.h * y.w, y.h * y.w);
    const float *w = param(p, "fc", "weight"), *bias = param(p, "fc", "bias");
    for (size_t k = 0; k < classes; k++) {
        logits[k] = bias[k];
        for (size_t c = 0; c < y.c; c++)
            logits[k] = fmaf(pooled[c], w[c * classes + k], logits[k]);
    }
}

void scalar_network(const struct hr_zoo_row *row, const struct hr_store *weights,
                    enum hr_fuse_order order, const float *x, size_t h, size_t w, float *logits,
                    size_t classes)
{
    struct program p = { .row = row, .weights = weights, .order = order };
    struct map xs[BRANCHES], input = make(&p, 3, h, w);
    char name[NAME];
    must(!row->squeeze, "squeeze-and-excitation");
    memcpy(input.v, x, 3 * h * w * sizeof *x);
    struct map y = conv(&p, input, 64, 3, 2, NULL, true, "conv_layer1_1");
    y = conv(&p, y, 64, 3, 2, NULL, true, "conv_layer1_2");
    for (int b = 0; b < row->layer1_blocks; b++) {
        format(name, "layer1.%d", b);
        y = bottleneck(&p, y, (size_t)row->layer1_planes, b == 0, name);
    }
    xs[0] = conv(&p, y, (size_t)row->width[0], 3, 1, NULL, true, "conv_tr1_1");
    xs[1] = conv(&p, y, (size_t)row->width[1], 3, 2, NULL, true, "conv_tr1_2");
    for (int stage = 2; stage <= BRANCHES; stage++) {
        if (stage > 2) {
            format(name, "conv_tr%d", stage - 1);
            xs[stage - 1] =
                conv(&p, xs[stage - 2], (size_t)row->width[stage - 1], 3, 2, NULL, true, name);
        }
        for (int m = 0; m < row->modules[stage - 2]; m++) {
            format(name, "st%d.stage_func_list.%d", stage, m);
            module(&p, xs, stage, name);
        }
    }
    head(&p, xs, logits, classes);
    for (size_t i = 0; i < p.made_count; i++)
        free(p.made[i]);
}
