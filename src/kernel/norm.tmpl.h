/* SPDX-License-Identifier: Apache-2.0
 * Batch normalisation while training and its gradient, channels in the vector lanes.  Vocabulary as
 * in eltwise.tmpl.h, and V_SUB, V_WHERE_POSITIVE(y, v): v where y > 0, else 0. */

#define NORM_VECTORS 4 /* at a time: their chains of additions hide each other's latency */

HR_INLINE void FN(norm_stats_block)(const float *x, float *out, size_t count, size_t stride,
                                    size_t V)
{
    VF mean[NORM_VECTORS], rest[NORM_VECTORS], squares[NORM_VECTORS];
    HR_UNROLL
    for (size_t v = 0; v < V; v++)
        mean[v] = rest[v] = squares[v] = V_ZERO();
    for (size_t p = 0; p < count; p++)
        HR_UNROLL
    for (size_t v = 0; v < V; v++)
        mean[v] = V_ADD(mean[v], V_LOAD(x + p * stride + v * VN));
    const VF inverse = V_SET1(1.0f / (float)count);
    HR_UNROLL
    for (size_t v = 0; v < V; v++)
        mean[v] = V_MUL(mean[v], inverse);
    for (size_t p = 0; p < count; p++)
        HR_UNROLL
    for (size_t v = 0; v < V; v++) {
        const VF d = V_SUB(V_LOAD(x + p * stride + v * VN), mean[v]);
        rest[v] = V_ADD(rest[v], d);
        squares[v] = V_FMA(d, d, squares[v]);
    }
    HR_UNROLL
    for (size_t v = 0; v < V; v++) {
        V_STORE(out + v * VN, mean[v]);
        V_STORE(out + stride + v * VN, rest[v]);
        V_STORE(out + 2 * stride + v * VN, squares[v]);
    }
}

static void FN(norm_stats)(const struct hr_norm_call *call, size_t first, size_t last)
{
    const size_t stride = call->stride;
    for (size_t block = first; block < last; block++) {
        const size_t from = block * HR_NORM_BLOCK;
        const size_t count =
            call->pixels - from < HR_NORM_BLOCK ? call->pixels - from : HR_NORM_BLOCK;
        const float *const x = call->x + from * stride;
        float *const out = call->partial + block * HR_NORM_SUMS * stride;
        size_t i = 0;
        for (; i + NORM_VECTORS * VN <= stride; i += NORM_VECTORS * VN)
            FN(norm_stats_block)(x + i, out + i, count, stride, NORM_VECTORS);
        for (; i < stride; i += VN)
            FN(norm_stats_block)(x + i, out + i, count, stride, 1);
    }
}

HR_INLINE void FN(norm_apply_with)(const struct hr_norm_call *call, size_t first, size_t last,
                                   bool residual, bool relu)
{
    const size_t stride = call->stride;
    for (size_t p = first; p < last; p++) {
        const size_t at = p * stride;
        for (size_t i = 0; i < stride; i += VN) {
            const VF x = V_SUB(V_LOAD(call->x + at + i), V_LOAD(call->mean + i));
            VF y = V_FMA(x, V_LOAD(call->scale + i), V_LOAD(call->shift + i));
            if (residual)
                y = V_ADD(V_LOAD(call->residual + at + i), y);
            V_STORE(call->y + at + i, relu ? V_WHERE_POSITIVE(y, y) : y);
        }
    }
}

static void FN(norm_apply)(const struct hr_norm_call *call, size_t first, size_t last)
{
    if (call->residual && call->relu)
        FN(norm_apply_with)(call, first, last, true, true);
    else if (call->residual)
        FN(norm_apply_with)(call, first, last, true, false);
    else if (call->relu)
        FN(norm_apply_with)(call, first, last, false, true);
    else
        FN(norm_apply_with)(call, first, last, false, false);
}

/* dy where y > 0. */
HR_INLINE VF FN(norm_masked)(const struct hr_norm_call *call, size_t at, bool relu)
{
    const VF dy = V_LOAD(call->dy + at);
    return relu ? V_WHERE_POSITIVE(V_LOAD(call->y + at), dy) : dy;
}

HR_INLINE void FN(norm_grad_block)(const struct hr_norm_call *call, float *out, size_t at,
                                   size_t channel, size_t count, size_t V, bool relu)
{
    VF sum[NORM_VECTORS], product[NORM_VECTORS], mean[NORM_VECTORS];
    HR_UNROLL
    for (size_t v = 0; v < V; v++) {
        sum[v] = product[v] = V_ZERO();
        mean[v] = V_LOAD(call->mean + channel + v * VN);
    }
    for (size_t p = 0; p < count; p++)
        HR_UNROLL
    for (size_t v = 0; v < V; v++) {
        const size_t here = at + p * call->stride + v * VN;
        const VF g = FN(norm_masked)(call, here, relu);
        sum[v] = V_ADD(sum[v], g);
        product[v] = V_FMA(g, V_SUB(V_LOAD(call->x + here), mean[v]), product[v]);
    }
    HR_UNROLL
    for (size_t v = 0; v < V; v++) {
        V_STORE(out + v * VN, sum[v]);
        V_STORE(out + call->stride + v * VN, product[v]);
    }
}

HR_INLINE void FN(norm_grad_blocks)(const struct hr_norm_call *call, size_t first, size_t last,
                                    bool relu)
{
    const size_t stride = call->stride;
    for (size_t block = first; block < last; block++) {
        const size_t from = block * HR_NORM_BLOCK;
        const size_t count =
            call->pixels - from < HR_NORM_BLOCK ? call->pixels - from : HR_NORM_BLOCK;
        float *const out = call->partial + block * HR_NORM_SUMS * stride;
        size_t i = 0;
        for (; i + NORM_VECTORS * VN <= stride; i += NORM_VECTORS * VN)
            FN(norm_grad_block)(call, out + i, from * stride + i, i, count, NORM_VECTORS, relu);
        for (; i < stride; i += VN)
            FN(norm_grad_block)(call, out + i, from * stride + i, i, count, 1, relu);
    }
}

static void FN(norm_grad_sums)(const struct hr_norm_call *call, size_t first, size_t last)
{
    if (call->relu)
        FN(norm_grad_blocks)(call, first, last, true);
    else
        FN(norm_grad_blocks)(call, first, last, false);
}

HR_INLINE void FN(norm_grad_with)(const struct hr_norm_call *call, size_t first, size_t last,
                                  bool relu, bool residual)
{
    const size_t stride = call->stride;
    for (size_t p = first; p < last; p++)
        for (size_t i = 0; i < stride; i += VN) {
            const size_t at = p * stride + i;
            const VF g = FN(norm_masked)(call, at, relu);
            const VF x = V_SUB(V_LOAD(call->x + at), V_LOAD(call->mean + i));
            VF dx =
                V_FMA(x, V_LOAD(call->b + i), V_FMA(g, V_LOAD(call->a + i), V_LOAD(call->c + i)));
            if (residual)
                V_STORE(call->dresidual + at,
                        call->dresidual_add ? V_ADD(V_LOAD(call->dresidual + at), g) : g);
            if (call->dx_add)
                dx = V_ADD(V_LOAD(call->dx + at), dx);
            V_STORE(call->dx + at, dx);
        }
}

static void FN(norm_grad)(const struct hr_norm_call *call, size_t first, size_t last)
{
    if (call->dresidual && call->relu)
        FN(norm_grad_with)(call, first, last, true, true);
    else if (call->dresidual)
        FN(norm_grad_with)(call, first, last, false, true);
    else if (call->relu)
        FN(norm_grad_with)(call, first, last, true, false);
    else
        FN(norm_grad_with)(call, first, last, false, false);
}
