/* SPDX-License-Identifier: Apache-2.0
 * Linear layers: a 1x1 convolution of rows that are pixels, on the tiles of conv.tmpl.h.  Weights
 * are read once and all rows pass a panel before the next, so one row runs at the speed of memory.
 * Outputs go through a small buffer, since rows of y need not be aligned or padded. */

static struct cut FN(linear_cut)(const struct hr_linear_shape *s)
{
    struct cut cut = { .vectors = (s->k + VN - 1) / VN, .taps = 1, .tap_c = s->c };
    cut.panels = (cut.vectors + 2) / 3;
    return cut;
}

static size_t FN(linear_bytes)(const struct hr_linear_shape *s)
{
    const struct cut cut = FN(linear_cut)(s);
    return hr_round_up(cut.vectors * FN(vector_floats)(&cut) * sizeof(float), 64);
}

static void FN(linear_pack)(void *packed, const struct hr_linear_shape *s, const float *w,
                            bool transposed, const float *bias, size_t task, size_t task_count)
{
    const struct cut cut = FN(linear_cut)(s);
    for (size_t q = cut.panels * task / task_count; q < cut.panels * (task + 1) / task_count; q++) {
        const size_t start = FN(panel_start)(&cut, q) * VN, width = FN(panel_vectors)(&cut, q) * VN;
        const size_t real = s->k - start < width ? s->k - start : width;
        float *row = (float *)packed + start * (1 + s->c);
        for (size_t j = 0; j < width; j++)
            row[j] = j < real && bias ? bias[start + j] : 0.0f;
        for (size_t c = 0; c < s->c; c++) {
            row += width;
            for (size_t j = 0; j < real; j++)
                row[j] = transposed ? w[(start + j) * s->c + c] : w[c * s->k + start + j];
            for (size_t j = real; j < width; j++)
                row[j] = 0.0f;
        }
    }
}

static size_t FN(linear_tasks)(const struct hr_linear_shape *s, size_t m, size_t threads)
{
    (void)m;
    const size_t panels = FN(linear_cut)(s).panels;
    return panels < threads ? panels : threads;
}

static void FN(linear_panel)(const struct hr_linear_call *call, const struct cut *cut, size_t panel)
{
    const struct hr_linear_shape *const s = call->shape;
    const size_t V = FN(panel_vectors)(cut, panel), P = FN(conv_tiles)[V].pixels;
    const size_t start = FN(panel_start)(cut, panel) * VN;
    const float *const packed = (const float *)call->packed + start * (1 + s->c);
    const size_t real = s->k - start < V * VN ? s->k - start : V * VN;
    float out[TILE_MAX * 3 * VN] HR_ALIGNED(64);
    const struct tap tap = { .weight = 0 };
    struct tile tile = {
        .repeat = 1, .taps = &tap, .tap_count = 1, .c = s->c, .weights = packed + V * VN
    };
    tile.start = packed;
    tile.y = out;
    tile.y_stride = V * VN;
    tile.relu = s->relu;
    tile.fetch_every = 1;
    for (size_t row = 0; row < call->m; row += P) {
        tile.count = call->m - row < P ? call->m - row : P;
        for (size_t p = 0; p < P; p++)
            tile.base[p] =
                (uintptr_t)(call->x + (row + (p < tile.count ? p : tile.count - 1)) * s->x_stride);
        /* The first rows wait for the weights: ask for them ahead. */
        tile.fetch = (const char *)(tile.weights + LINEAR_AHEAD);
        tile.fetch_end = row ? tile.fetch : tile.fetch + (s->c * V * VN) * sizeof(float);
        FN(conv_tiles)[V].run(&tile);
        for (size_t p = 0; p < tile.count; p++)
            for (size_t j = 0; j < real; j++)
                call->y[(row + p) * s->y_stride + start + j] = out[p * V * VN + j];
    }
}

static void FN(linear_run)(const struct hr_linear_call *call, size_t task, size_t task_count)
{
    const struct cut cut = FN(linear_cut)(call->shape);
    for (size_t q = cut.panels * task / task_count; q < cut.panels * (task + 1) / task_count; q++)
        FN(linear_panel)(call, &cut, q);
}

static const struct hr_linear_kernel FN(linear) = {
    .name = "linear_" ISA_NAME,
    .packed_bytes = FN(linear_bytes),
    .pack = FN(linear_pack),
    .tasks = FN(linear_tasks),
    .run = FN(linear_run),
};
