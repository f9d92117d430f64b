/* SPDX-License-Identifier: Apache-2.0
 * The reference linear layer: the order of arithmetic of gemm.h, plainly. */
#include "kernel/gemm.h"

#include "kernel/fma.h"

#define BLOCK 32 /* outputs at a time: their accumulators stay in the first-level cache */

/* Packed: bias [k], then w [c][k]. */
static size_t ref_packed_bytes(const struct hr_linear_shape *shape)
{
    return ((1 + shape->c) * shape->k * sizeof(float) + 63) / 64 * 64;
}

static void ref_pack(void *packed, const struct hr_linear_shape *shape, const float *w,
                     bool transposed, const float *bias, size_t task, size_t task_count)
{
    const size_t c = shape->c, k = shape->k;
    float *const out_bias = packed, *const out = out_bias + k;
    const size_t first = k * task / task_count, last = k * (task + 1) / task_count;
    for (size_t j = first; j < last; j++)
        out_bias[j] = bias ? bias[j] : 0.0f;
    for (size_t i = 0; i < c; i++)
        for (size_t j = first; j < last; j++)
            out[i * k + j] = transposed ? w[j * c + i] : w[i * k + j];
}

static size_t ref_tasks(const struct hr_linear_shape *shape, size_t m, size_t threads)
{
    (void)m;
    const size_t blocks = (shape->k + BLOCK - 1) / BLOCK;
    return blocks < threads ? blocks : threads;
}

static void ref_run(const struct hr_linear_call *call, size_t task, size_t task_count)
{
    const struct hr_linear_shape *const s = call->shape;
    const float *const bias = call->packed, *const w = bias + s->k;
    const size_t first = s->k * task / task_count, last = s->k * (task + 1) / task_count;
    for (size_t k0 = first; k0 < last; k0 += BLOCK) {
        const size_t count = last - k0 < BLOCK ? last - k0 : BLOCK;
        for (size_t row = 0; row < call->m; row++) {
            float acc[BLOCK];
            for (size_t j = 0; j < count; j++)
                acc[j] = bias[k0 + j];
            for (size_t i = 0; i < s->c; i++)
                for (size_t j = 0; j < count; j++)
                    acc[j] = hr_fma(call->x[row * s->x_stride + i], w[i * s->k + k0 + j], acc[j]);
            for (size_t j = 0; j < count; j++) {
                const float value = acc[j] + 0.0f;
                call->y[row * s->y_stride + k0 + j] = s->relu && !(value > 0.0f) ? 0.0f : value;
            }
        }
    }
}

const struct hr_linear_kernel hr_linear_ref = {
    .name = "linear_ref",
    .packed_bytes = ref_packed_bytes,
    .pack = ref_pack,
    .tasks = ref_tasks,
    .run = ref_run,
};
