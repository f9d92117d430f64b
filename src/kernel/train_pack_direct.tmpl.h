/* SPDX-License-Identifier: Apache-2.0
 * Weights of the direct convolution as training needs them anew each step: turned on the way from
 * the forward weights [c][k][taps], or packed as they are.  Bits as those of the other packing. */

/* VN outputs, `lanes` of them real, from w [lanes][taps], last tap first, to a row each. */
HR_INLINE void FN(pack_turned_lanes)(float *rows, size_t row, const float *w, size_t taps,
                                     size_t lanes)
{
    if (taps == 1 && lanes >= VN) {
        V_STORE(rows, V_LOADU(w));
        return;
    }
    float turned[MAX_TAPS][VN] HR_ALIGNED(64);
    FN(columns_to_lanes)(turned, w, taps, lanes, taps);
    for (size_t t = 0; t < taps; t++)
        V_STORE(rows + t * row, V_LOAD(turned[taps - 1 - t]));
}

/* Inputs [first, last), so that w is read in its order. */
static void FN(pack_turned)(float *packed, const struct cut *cut, const struct hr_conv_shape *s,
                            const float *w, size_t first, size_t last)
{
    for (size_t c = first; c < last; c++)
        for (size_t q = 0; q < cut->panels; q++) {
            const size_t start = FN(panel_start)(cut, q) * VN;
            const size_t width = FN(panel_vectors)(cut, q) * VN;
            float *const out = FN(packed_panel)(packed, cut, q) + (1 + c) * width;
            for (size_t v = 0; v < width; v += VN)
                FN(pack_turned_lanes)
            (out + v, s->c * width, w + (c * s->k + start + v) * cut->taps, cut->taps,
             s->k - start - v);
        }
}

static void FN(pack_train_direct)(void *packed, const struct hr_conv_shape *s, const float *w,
                                  const float *bias, bool turned, size_t task, size_t task_count)
{
    struct cut cut;
    if (!turned) {
        FN(conv_pack)(packed, s, w, NULL, bias, task, task_count);
        return;
    }
    FN(cut_make)(&cut, s, 1, false);
    for (size_t q = 0; q < cut.panels && task == 0; q++)
        FN(pack_bias)(packed, &cut, s, bias, q);
    FN(pack_turned)
    (packed, &cut, s, w, s->c * task / task_count, s->c * (task + 1) / task_count);
}
