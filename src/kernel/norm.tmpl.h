/* SPDX-License-Identifier: Apache-2.0
 * Batch normalisation while training and its gradient, channels in the vector lanes.  Vocabulary as
 * in eltwise.tmpl.h and half.tmpl.h, and V_SUB, V_WHERE_POSITIVE(y, v): v where y > 0, else 0;
 * V_STORE_SIDE(p, y): VN bits at p, whether y > 0; V_OF_SIDE(p, y): where the bit is set y, at
 * least FLT_MIN, else 0. */

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

/* The input of the norm, in that format. */
HR_INLINE VF FN(norm_input)(const struct hr_norm_call *call, size_t at, enum hr_half half)
{
    return half ? FN(half_from)(VH_LOAD(call->x_half + at), half) : V_LOAD(call->x + at);
}

HR_INLINE enum hr_half FN(norm_input_half)(const struct hr_norm_call *call)
{
    return call->x_half ? call->half : HR_HALF_NONE;
}

/* x of channels i..., rounded; with `relu` so that what is made of it is positive where y is. */
HR_INLINE VH FN(norm_kept)(const struct hr_norm_call *call, size_t i, VF x, VF y, bool relu,
                           enum hr_half half)
{
    const VH h = FN(half_to)(x, half);
    if (!relu)
        return h;
    const VF rounded = FN(half_from)(h, half);
    const VF again = V_FMA(V_SUB(rounded, V_LOAD(call->mean + i)), V_LOAD(call->scale + i),
                           V_LOAD(call->shift + i));
    return VH_SAME_SIDE(again, y, h, VH_OTHER(h, x, rounded));
}

/* from: format of the input; keep: of what is kept. */
HR_INLINE void FN(norm_apply_with)(const struct hr_norm_call *call, size_t first, size_t last,
                                   bool residual, bool relu, enum hr_half from, enum hr_half keep)
{
    const size_t stride = call->stride;
    for (size_t p = first; p < last; p++) {
        const size_t at = p * stride;
        for (size_t i = 0; i < stride; i += VN) {
            const VF in = FN(norm_input)(call, at + i, from);
            VF y = V_FMA(V_SUB(in, V_LOAD(call->mean + i)), V_LOAD(call->scale + i),
                         V_LOAD(call->shift + i));
            if (residual)
                y = V_ADD(V_LOAD(call->residual + at + i), y);
            if (relu)
                y = V_WHERE_POSITIVE(y, y);
            if (relu && !residual && call->side)
                y = V_OF_SIDE(call->side + (at + i) / 8, y);
            if (relu && !residual && call->keep_side)
                V_STORE_SIDE(call->keep_side + (at + i) / 8, y);
            V_STORE(call->y + at + i, y);
            if (keep && call->keep_x)
                VH_STORE(call->keep_x + at + i,
                         FN(norm_kept)(call, i, in, y, relu && !residual, keep));
            if (keep && call->keep_y)
                VH_STORE(call->keep_y + at + i, FN(half_to)(y, keep));
        }
    }
}

HR_INLINE void FN(norm_apply_of)(const struct hr_norm_call *call, size_t first, size_t last,
                                 enum hr_half from, enum hr_half keep)
{
    if (call->residual && call->relu)
        FN(norm_apply_with)(call, first, last, true, true, from, keep);
    else if (call->residual)
        FN(norm_apply_with)(call, first, last, true, false, from, keep);
    else if (call->relu)
        FN(norm_apply_with)(call, first, last, false, true, from, keep);
    else
        FN(norm_apply_with)(call, first, last, false, false, from, keep);
}

static void FN(norm_apply)(const struct hr_norm_call *call, size_t first, size_t last)
{
    const bool keeps = call->keep_x || call->keep_y;
    if (!call->x_half && !keeps)
        FN(norm_apply_of)(call, first, last, HR_HALF_NONE, HR_HALF_NONE);
    else if (!call->x_half && call->half == HR_HALF_F16)
        FN(norm_apply_of)(call, first, last, HR_HALF_NONE, HR_HALF_F16);
    else if (!call->x_half)
        FN(norm_apply_of)(call, first, last, HR_HALF_NONE, HR_HALF_BF16);
    else if (call->half == HR_HALF_F16)
        FN(norm_apply_of)(call, first, last, HR_HALF_F16, HR_HALF_F16);
    else
        FN(norm_apply_of)(call, first, last, HR_HALF_BF16, HR_HALF_BF16);
}

/* dy where y > 0. */
HR_INLINE VF FN(norm_masked)(const struct hr_norm_call *call, size_t at, bool relu)
{
    const VF dy = V_LOAD(call->dy + at);
    return relu ? V_WHERE_POSITIVE(V_LOAD(call->y + at), dy) : dy;
}

HR_INLINE void FN(norm_grad_block)(const struct hr_norm_call *call, float *out, size_t at,
                                   size_t channel, size_t count, size_t V, bool relu,
                                   enum hr_half from)
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
        product[v] = V_FMA(g, V_SUB(FN(norm_input)(call, here, from), mean[v]), product[v]);
    }
    HR_UNROLL
    for (size_t v = 0; v < V; v++) {
        V_STORE(out + v * VN, sum[v]);
        V_STORE(out + call->stride + v * VN, product[v]);
    }
}

HR_INLINE void FN(norm_grad_blocks)(const struct hr_norm_call *call, size_t first, size_t last,
                                    bool relu, enum hr_half half)
{
    const size_t stride = call->stride;
    for (size_t block = first; block < last; block++) {
        const size_t from = block * HR_NORM_BLOCK;
        const size_t count =
            call->pixels - from < HR_NORM_BLOCK ? call->pixels - from : HR_NORM_BLOCK;
        float *const out = call->partial + block * HR_NORM_SUMS * stride;
        size_t i = 0;
        for (; i + NORM_VECTORS * VN <= stride; i += NORM_VECTORS * VN)
            FN(norm_grad_block)
        (call, out + i, from * stride + i, i, count, NORM_VECTORS, relu, half);
        for (; i < stride; i += VN)
            FN(norm_grad_block)(call, out + i, from * stride + i, i, count, 1, relu, half);
    }
}

static void FN(norm_grad_sums)(const struct hr_norm_call *call, size_t first, size_t last)
{
    const enum hr_half half = FN(norm_input_half)(call);
    if (half == HR_HALF_F16 && call->relu)
        FN(norm_grad_blocks)(call, first, last, true, HR_HALF_F16);
    else if (half == HR_HALF_F16)
        FN(norm_grad_blocks)(call, first, last, false, HR_HALF_F16);
    else if (half == HR_HALF_BF16 && call->relu)
        FN(norm_grad_blocks)(call, first, last, true, HR_HALF_BF16);
    else if (half == HR_HALF_BF16)
        FN(norm_grad_blocks)(call, first, last, false, HR_HALF_BF16);
    else if (call->relu)
        FN(norm_grad_blocks)(call, first, last, true, HR_HALF_NONE);
    else
        FN(norm_grad_blocks)(call, first, last, false, HR_HALF_NONE);
}

HR_INLINE void FN(norm_grad_with)(const struct hr_norm_call *call, size_t first, size_t last,
                                  bool relu, bool residual, enum hr_half from)
{
    const size_t stride = call->stride;
    for (size_t p = first; p < last; p++)
        for (size_t i = 0; i < stride; i += VN) {
            const size_t at = p * stride + i;
            const VF g = FN(norm_masked)(call, at, relu);
            const VF x = V_SUB(FN(norm_input)(call, at, from), V_LOAD(call->mean + i));
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

HR_INLINE void FN(norm_grad_of)(const struct hr_norm_call *call, size_t first, size_t last,
                                enum hr_half from)
{
    if (call->dresidual && call->relu)
        FN(norm_grad_with)(call, first, last, true, true, from);
    else if (call->dresidual)
        FN(norm_grad_with)(call, first, last, false, true, from);
    else if (call->relu)
        FN(norm_grad_with)(call, first, last, true, false, from);
    else
        FN(norm_grad_with)(call, first, last, false, false, from);
}

static void FN(norm_grad)(const struct hr_norm_call *call, size_t first, size_t last)
{
    const enum hr_half half = FN(norm_input_half)(call);
    if (half == HR_HALF_F16)
        FN(norm_grad_of)(call, first, last, HR_HALF_F16);
    else if (half == HR_HALF_BF16)
        FN(norm_grad_of)(call, first, last, HR_HALF_BF16);
    else
        FN(norm_grad_of)(call, first, last, HR_HALF_NONE);
}
