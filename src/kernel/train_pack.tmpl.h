/* SPDX-License-Identifier: Apache-2.0
 * Weights of a Winograd convolution of winograd.tmpl.h in its own layout, as training needs them
 * anew each step: in float32 instead of double, and, for the gradient of the input, straight from
 * the forward weights, turned on the way.  Included once per ISA, WM and WS.
 *
 * U = G w G^T differs from that of the other packing by rounding, below 3e-7 of the largest. */

#if WS == 2
#define WN(name) FN(name##_s2)
#define WG       4
#elif WM == 4
#define WN(name) FN(name##_f4)
#define WG       6
#else
#define WN(name) FN(name##_f2)
#define WG       4
#endif

/* u = G w, one dimension. */
HR_INLINE void WN(pack_1d)(VF u[WG], const VF w[3])
{
#if WS == 2
    u[0] = w[0];
    u[1] = V_ADD(w[0], w[2]);
    u[2] = w[2];
    u[3] = w[1];
#elif WM == 4
    const VF sixth = V_SET1(0.16666666666666667f), third = V_SET1(0.33333333333333333f);
    const VF two = V_SET1(2.0f), root = V_SET1(0.23570226039551584f); /* sqrt 2 / 6 */
    const VF even_a = V_MUL(sixth, V_FMA(two, w[2], w[0])), odd = V_MUL(root, w[1]);
    const VF even_b = V_MUL(third, V_FMA(two, w[0], w[2]));
    u[0] = w[0];
    u[1] = V_ADD(even_a, odd);
    u[2] = V_SUB(even_a, odd);
    u[3] = V_SUB(V_ZERO(), V_FMA(two, odd, even_b));
    u[4] = V_SUB(V_ADD(odd, odd), even_b);
    u[5] = w[2];
#else
    const VF half = V_SET1(0.5f), even = V_MUL(half, V_ADD(w[0], w[2])), odd = V_MUL(half, w[1]);
    u[0] = w[0];
    u[1] = V_ADD(even, odd);
    u[2] = V_SUB(even, odd);
    u[3] = w[2];
#endif
}

/* VN outputs of one input at u, from point to point u_point floats; taps are w, w + step ... */
HR_INLINE void WN(pack_vector)(float *u, size_t u_point, const float (*w)[VN], ptrdiff_t step)
{
    VF mid[WG][3];
    for (int j = 0; j < 3; j++) {
        VF in[3], out[WG];
        for (int i = 0; i < 3; i++)
            in[i] = V_LOAD(w[(i * 3 + j) * step]);
        WN(pack_1d)(out, in);
        for (int i = 0; i < WG; i++)
            mid[i][j] = out[i];
    }
    for (int i = 0; i < WG; i++) {
        VF out[WG];
        WN(pack_1d)(out, mid[i]);
        for (int j = 0; j < WG; j++, u += u_point)
            V_STORE(u, out[j]);
    }
}

/* VN outputs from k of all inputs at u, `width` floats from input to input. */
static void WN(pack_lanes)(float *u, size_t width, const struct hr_conv_shape *s, const float *w,
                           bool turned, size_t k)
{
    const size_t lanes = s->k - k < VN ? s->k - k : VN, point = s->c * width;
    float taps[4 * 9][VN] HR_ALIGNED(64);
    if (turned)
        for (size_t c = 0; c < s->c; c++, u += width) {
            FN(columns_to_lanes)(taps, w + (c * s->k + k) * 9, 9, lanes, 9);
            WN(pack_vector)(u, point, (const float(*)[VN])taps + 8, -1);
        }
    else
        for (size_t c = 0; c < s->c; c += 4) { /* four rows of nine are a whole number of strips */
            const size_t count = s->c - c < 4 ? s->c - c : 4;
            FN(columns_to_lanes)(taps, w + (k * s->c + c) * 9, s->c * 9, lanes, count * 9);
            for (size_t i = 0; i < count; i++, u += width)
                WN(pack_vector)(u, point, (const float(*)[VN])taps + i * 9, 1);
        }
}

static void WN(pack_train)(void *packed, const struct hr_conv_shape *s, const float *w,
                           const float *bias, bool turned, size_t task, size_t task_count)
{
    const size_t padded = hr_round_up(s->k, VN), vectors = padded / VN;
    for (size_t k = vectors * task / task_count * VN; k < vectors * (task + 1) / task_count * VN;
         k += VN) {
        size_t panel = 0;
        while (WN(panel_start)(s, panel + 1) <= k)
            panel++;
        const size_t k0 = WN(panel_start)(s, panel), width = WN(panel_start)(s, panel + 1) - k0;
        for (size_t j = k; j < k + VN; j++)
            ((float *)packed)[j] = j < s->k && bias ? bias[j] : 0.0f;
        WN(pack_lanes)
        ((float *)packed + padded + k0 * WG * WG * s->c + k - k0, width, s, w, turned, k);
    }
}

#undef WN
#undef WG
#undef WM
#undef WS
