/* SPDX-License-Identifier: Apache-2.0
 * What a rung does better than the references in training: gradients of weights, batch
 * normalisation, and, here, the element-wise gradients.  Vocabulary as in norm.tmpl.h. */
#include "kernel/conv_grad.tmpl.h"
#include "kernel/half.tmpl.h"
/* The loads of half precision are under what follows. */

#include "kernel/norm.tmpl.h"

#define WM 4
#define WS 1
#include "kernel/wgrad_tile.tmpl.h"
#define WM 2
#define WS 1
#include "kernel/wgrad_tile.tmpl.h"
#define WM 2
#define WS 2
#include "kernel/wgrad_tile.tmpl.h"
#define WM 1
#define WS 1
#include "kernel/wgrad_tile.tmpl.h"

HR_INLINE void FN(put)(float *at, VF value, bool add)
{
    V_STORE(at, add ? V_ADD(V_LOAD(at), value) : value);
}

#include "kernel/dgrad.tmpl.h"

#include "kernel/train_pack_direct.tmpl.h"
#define WM 4
#define WS 1
#include "kernel/train_pack.tmpl.h"
#define WM 2
#define WS 1
#include "kernel/train_pack.tmpl.h"
#define WM 2
#define WS 2
#include "kernel/train_pack.tmpl.h"

static void FN(sum_grad)(const struct hr_sum_grad_call *call, size_t first, size_t last)
{
    const size_t th = ((call->h - 1) >> call->shift) + 1, tw = ((call->w - 1) >> call->shift) + 1;
    const size_t size = (size_t)1 << call->shift, stride = call->stride;
    for (size_t row = first; row < last; row++) {
        const size_t ty = row % th * size, rows = call->h - ty < size ? call->h - ty : size;
        for (size_t tx = 0; tx < tw; tx++) {
            const size_t columns = call->w - tx * size < size ? call->w - tx * size : size;
            const size_t pixel = (row / th * call->h + ty) * call->w + tx * size;
            for (size_t i = 0; i < stride; i += VN) {
                VF sum = V_ZERO();
                for (size_t r = 0; r < rows; r++)
                    for (size_t q = 0; q < columns; q++) {
                        const size_t at = (pixel + r * call->w + q) * stride + i;
                        const VF dy = V_LOAD(call->dy + at);
                        sum = V_ADD(sum, call->y ? V_WHERE_POSITIVE(V_LOAD(call->y + at), dy) : dy);
                    }
                FN(put)(call->dx + (row * tw + tx) * stride + i, sum, call->add);
            }
        }
    }
}

static void FN(shuffle)(const struct hr_shuffle_call *call, size_t first, size_t last)
{
    const size_t S = call->stride, x = call->x_stride;
    const size_t zh = (call->h + S - 1) / S, zw = (call->w + S - 1) / S;
    for (size_t row = first; row < last; row++) {
        const size_t image = row / call->h, oy = row % call->h;
        for (size_t ox = 0; ox < call->w; ox++) {
            const size_t pixel = (image * zh + oy / S) * zw + ox / S;
            const float *const from = call->z + (pixel * S * S + oy % S * S + ox % S) * x;
            float *const to = call->dx + (row * call->w + ox) * x;
            for (size_t i = 0; i < x; i += VN)
                FN(put)(to + i, V_LOAD(from + i), call->add);
        }
    }
}

static void FN(pool_grad)(const struct hr_pool_grad_call *call, size_t first, size_t last)
{
    const VF inverse = V_SET1(1.0f / (float)call->pixels);
    for (size_t row = first; row < last; row++)
        for (size_t i = 0; i < call->stride; i += VN)
            FN(put)
    (call->dx + row * call->stride + i,
     V_MUL(V_LOAD(call->dy + row / call->pixels * call->dy_stride + i), inverse), call->add);
}

static void FN(scale_grad)(const struct hr_scale_grad_call *call, size_t first, size_t last)
{
    for (size_t image = first; image < last; image++)
        for (size_t i = 0; i < call->stride; i += VN) {
            const VF s = V_LOAD(call->s + image * call->stride + i);
            VF sum = V_ZERO();
            for (size_t p = 0; p < call->pixels; p++) {
                const size_t at = (image * call->pixels + p) * call->stride + i;
                const VF dy = V_LOAD(call->dy + at);
                sum = V_FMA(dy, V_LOAD(call->x + at), sum);
                FN(put)(call->dx + at, V_MUL(dy, s), call->dx_add);
            }
            FN(put)(call->ds + image * call->stride + i, sum, call->ds_add);
        }
}

static void FN(train_overlay)(struct hr_train_kernels *kernels)
{
    kernels->wgrad[kernels->wgrad_count++] = &FN(wgrad);
    kernels->wgrad[kernels->wgrad_count++] = &FN(wgrad_g4);
    kernels->wgrad[kernels->wgrad_count++] = &FN(wgrad_g2);
    kernels->wgrad[kernels->wgrad_count++] = &FN(wgrad_gs2);
    kernels->wgrad[kernels->wgrad_count++] = &FN(wgrad_g1);
    kernels->dgrad[kernels->dgrad_count++] = &FN(dgrad_s2);
    kernels->packs[kernels->pack_count++] =
        (struct hr_train_pack){ &FN(conv_direct), FN(pack_train_direct) };
    kernels->packs[kernels->pack_count++] =
        (struct hr_train_pack){ &FN(conv_winograd_f4), FN(pack_train_f4) };
    kernels->packs[kernels->pack_count++] =
        (struct hr_train_pack){ &FN(conv_winograd_f2), FN(pack_train_f2) };
    kernels->packs[kernels->pack_count++] =
        (struct hr_train_pack){ &FN(conv_winograd_s2), FN(pack_train_s2) };
    kernels->norm = (struct hr_norm_kernels){ FN(norm_stats), FN(norm_apply), FN(norm_grad_sums),
                                              FN(norm_grad) };
    kernels->eltwise = (struct hr_eltwise_grad_kernels){ FN(sum_grad), FN(shuffle), FN(pool_grad),
                                                         FN(scale_grad) };
    kernels->half = (struct hr_half_kernels){ FN(half_pack), FN(half_unpack) };
}
