/* SPDX-License-Identifier: Apache-2.0
 * Sums of branches, pooling and channel scaling, channels in the vector lanes.  Vocabulary as in
 * conv.tmpl.h, and V_LOADU, V_STOREU (any alignment), V_MUL, V_SET1.  Everything here waits for
 * memory, so the bodies are plain loops that read and write each vector once. */

/* One output row; `terms` is a constant where this is inlined. */
HR_INLINE void FN(sum_row)(const struct hr_sum_call *call, size_t row, size_t terms)
{
    const size_t image = row / call->h, oy = row % call->h, stride = call->stride;
    const float *x[HR_SUM_TERMS];
    for (size_t t = 0; t < terms; t++) {
        const unsigned shift = call->shift[t];
        const size_t h = ((call->h - 1) >> shift) + 1, w = ((call->w - 1) >> shift) + 1;
        x[t] = call->x[t] + (image * h + (oy >> shift)) * w * stride;
    }
    float *y = call->y + row * call->w * stride;
    for (size_t ox = 0; ox < call->w; ox++, y += stride) {
        const float *at[HR_SUM_TERMS];
        HR_UNROLL
        for (size_t t = 0; t < terms; t++)
            at[t] = x[t] + (ox >> call->shift[t]) * stride;
        for (size_t i = 0; i < stride; i += VN) {
            VF sum = V_LOAD(at[0] + i);
            HR_UNROLL
            for (size_t t = 1; t < terms; t++)
                sum = V_ADD(sum, V_LOAD(at[t] + i));
            V_STORE(y + i, call->relu ? V_MAX(sum, V_ZERO()) : sum);
        }
    }
}

static void FN(sum)(const struct hr_sum_call *call, size_t first, size_t last)
{
    for (size_t row = first; row < last; row++)
        switch (call->term_count) {
        case 1:
            FN(sum_row)(call, row, 1);
            break;
        case 2:
            FN(sum_row)(call, row, 2);
            break;
        case 3:
            FN(sum_row)(call, row, 3);
            break;
        case 4:
            FN(sum_row)(call, row, 4);
            break;
        default:
            FN(sum_row)(call, row, HR_SUM_TERMS);
        }
}

#define POOL_VECTORS 4 /* at a time: more would not fit the registers with their sums */

/* Eight sums of `vectors` vectors of channels over the pixels from x, added up pairwise. */
HR_INLINE void FN(pool_block)(float *y, const float *x, size_t pixels, size_t stride,
                              size_t vectors, float inverse)
{
    VF total[POOL_VECTORS][3]; /* sums of 1, 2 and 4 eighths that wait for their other half */
    for (size_t e = 0; e < 8; e++) {
        VF sum[POOL_VECTORS];
        HR_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[v] = V_ZERO();
        for (size_t p = e * pixels / 8; p < (e + 1) * pixels / 8; p++)
            HR_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[v] = V_ADD(sum[v], V_LOAD(x + p * stride + v * VN));
        for (size_t v = 0; v < vectors; v++) {
            size_t level = 0;
            for (; e >> level & 1; level++)
                sum[v] = V_ADD(total[v][level], sum[v]);
            if (level < 3)
                total[v][level] = sum[v];
            else
                V_STOREU(y + v * VN, V_MUL(sum[v], V_SET1(inverse)));
        }
    }
}

static void FN(global_pool)(const struct hr_pool_call *call, size_t first, size_t last)
{
    const float inverse = 1.0f / (float)call->pixels;
    for (size_t image = first; image < last; image++) {
        const float *const x = call->x + image * call->pixels * call->stride;
        float *const y = call->y + image * call->y_stride;
        size_t i = 0;
        for (; i + POOL_VECTORS * VN <= call->c; i += POOL_VECTORS * VN)
            FN(pool_block)(y + i, x + i, call->pixels, call->stride, POOL_VECTORS, inverse);
        for (; i < call->c; i += VN) {
            float end[VN];
            FN(pool_block)(end, x + i, call->pixels, call->stride, 1, inverse);
            for (size_t j = 0; j < VN && i + j < call->c; j++)
                y[i + j] = end[j];
        }
    }
}

static void FN(scale)(const struct hr_scale_call *call, size_t first, size_t last)
{
    const size_t whole = call->c / VN * VN;
    float end[VN] HR_ALIGNED(64) = { 0.0f }; /* the last factors; lanes past the channels stay 0 */
    for (size_t row = first; row < last; row++) {
        const float *const s = call->s + row / call->pixels * call->s_stride;
        const size_t at = row * call->stride;
        if (row == first || row % call->pixels == 0)
            for (size_t j = whole; j < call->c; j++)
                end[j - whole] = s[j];
        for (size_t i = 0; i < call->stride; i += VN) {
            VF value = V_ZERO();
            if (i < call->c)
                value = V_MUL(V_LOAD(call->x + at + i), i < whole ? V_LOADU(s + i) : V_LOAD(end));
            if (call->residual)
                value = V_ADD(value, V_LOAD(call->residual + at + i));
            V_STORE(call->y + at + i, call->relu ? V_MAX(value, V_ZERO()) : value);
        }
    }
}

static void FN(eltwise_overlay)(struct hr_eltwise_kernels *kernels)
{
    kernels->sum = FN(sum);
    kernels->global_pool = FN(global_pool);
    kernels->scale = FN(scale);
    kernels->vector_floats = VN;
}
