/* SPDX-License-Identifier: Apache-2.0
 * The gradient of the input of a 3x3 convolution of stride 2, pad 1.  On each axis an even pixel
 * gets the middle tap of one dy, an odd one the outer taps of two: for two dy of an axis 5 products
 * instead of 6 (F(2,2) with 0, 1, infinity for the odd ones), 25 instead of 36 in the plane, and
 * dx is written once, where it belongs.  The transpose of winograd.tmpl.h's stride 2.
 *
 * A candidate as in conv.h, whose shape is that of the forward convolution: call->x is dy
 * [n][oh][ow][y_stride], call->y is dx [n][h][w][x_stride], to which it is added where
 * call->residual is dx.  Letters as in winograd.tmpl.h, but that c are the channels of dy and k
 * those of dx.  Points share transforms: V has 4 an axis, d0 - d1, d1, d2 - d1, d0; U has 4, w2,
 * w0 + w2, w0, w1; the products are 0 0, 1 1, 2 2, 3 3 and 1 3.
 *
 * Error against exact arithmetic: below 1e-6 of the largest gradient. */

#define DG_AXIS   4
#define DG_VIEWS  (DG_AXIS * DG_AXIS)
#define DG_POINTS 25
#define DG_PANEL  (WINO_VECTORS * VN)
static const unsigned char FN(dgrad_view)[5] = { 0, 1, 2, 3, 1 };
static const unsigned char FN(dgrad_weight)[5] = { 0, 1, 2, 3, 3 };

struct FN(dgrad_cut) {
    size_t tiles, block;                    /* tiles of a block */
    size_t v_row, v_plane, m_plane, floats; /* of a task's scratch */
    bool panels;                            /* tasks split panels, not tiles */
};

/* V of a block in half a second level of 1 MiB; below 32 tiles U is read too often. */
static struct FN(dgrad_cut) FN(dgrad_cut_of)(const struct hr_conv_shape *s, size_t n)
{
    struct FN(dgrad_cut) cut = { .tiles = n * ((s->oh + 1) / 2) * ((s->ow + 1) / 2),
                                 .v_row = hr_round_up(s->k, 16) };
    cut.v_row += cut.v_row % 64 == 0 ? 16 : 0; /* rows in different cache sets */
    size_t block = ((size_t)512 << 10) / sizeof(float) / (DG_VIEWS * cut.v_row);
    block = block < 32 ? 32 : block > 128 ? 128 : block;
    cut.panels = cut.tiles <= block;
    cut.block = cut.panels ? cut.tiles : block;
    cut.v_plane = cut.block * cut.v_row + 16;
    cut.m_plane = cut.block * DG_PANEL + 16;
    cut.floats = DG_VIEWS * cut.v_plane + DG_POINTS * cut.m_plane;
    return cut;
}

HR_INLINE void FN(dgrad_in_1d)(VF v[DG_AXIS], const VF d[3])
{
    v[0] = V_SUB(d[0], d[1]);
    v[1] = d[1];
    v[2] = V_SUB(d[2], d[1]);
    v[3] = d[0];
}

HR_INLINE void FN(dgrad_out_1d)(VF x[4], const VF m[5])
{
    x[0] = m[3];
    x[1] = V_ADD(m[0], m[1]);
    x[2] = m[4];
    x[3] = V_ADD(m[1], m[2]);
}

/* Tile `tile` becomes row t of V. */
static void FN(dgrad_input)(const struct hr_conv_call *call, const struct FN(dgrad_cut) * cut,
                            float *v, size_t tile)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t across = (s->ow + 1) / 2, down = (s->oh + 1) / 2;
    const size_t y = tile / across % down * 2, x = tile % across * 2;
    const float *const plane = call->x + tile / (across * down) * s->oh * s->ow * s->y_stride;
    const float *at[9];
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            at[i * 3 + j] = y + i < s->oh && x + j < s->ow
                                ? plane + ((y + i) * s->ow + x + j) * s->y_stride
                                : FN(grad_zeros);
    for (size_t c = 0; c < s->k; c += VN) {
        VF mid[DG_AXIS][3];
        for (int j = 0; j < 3; j++) {
            VF in[3], out[DG_AXIS];
            for (int i = 0; i < 3; i++)
                in[i] = V_LOAD(at[i * 3 + j] + c);
            FN(dgrad_in_1d)(out, in);
            for (int i = 0; i < DG_AXIS; i++)
                mid[i][j] = out[i];
        }
        for (int i = 0; i < DG_AXIS; i++) {
            VF out[DG_AXIS];
            FN(dgrad_in_1d)(out, mid[i]);
            for (int j = 0; j < DG_AXIS; j++)
                V_STORE(v + (size_t)(i * DG_AXIS + j) * cut->v_plane + c, out[j]);
        }
    }
}

/* M of one tile and vector to dx. */
HR_INLINE void FN(dgrad_output)(const struct hr_conv_call *call, size_t tile, size_t k,
                                const float *m, size_t m_plane)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t across = (s->ow + 1) / 2, down = (s->oh + 1) / 2;
    const size_t y = tile / across % down * 4, x = tile % across * 4;
    const size_t columns = s->w - x < 4 ? s->w - x : 4;
    VF mid[4][5];
    for (int j = 0; j < 5; j++) {
        VF in[5], out[4];
        for (int i = 0; i < 5; i++)
            in[i] = V_LOAD(m + (size_t)(i * 5 + j) * m_plane);
        FN(dgrad_out_1d)(out, in);
        for (int i = 0; i < 4; i++)
            mid[i][j] = out[i];
    }
    for (size_t i = 0; i < 4 && y + i < s->h; i++) {
        float *const to =
            call->y + ((tile / (across * down) * s->h + y + i) * s->w + x) * s->x_stride + k;
        VF out[4];
        FN(dgrad_out_1d)(out, mid[i]);
        for (size_t j = 0; j < columns; j++)
            FN(put)(to + j * s->x_stride, out[j], call->residual != NULL);
    }
}

/* ---- Products ---- */

HR_INLINE void FN(dgrad_points)(const struct FN(dgrad_cut) * cut, float *m, const float *v,
                                const float *u, size_t channels, size_t count, const int vectors)
{
    const size_t u_floats = channels * (size_t)vectors * VN, groups = FN(group_count_s2)(count);
    const size_t step = ((size_t)vectors * VN * sizeof(float) + groups - 1) / groups;
    for (size_t p = 0; p < DG_POINTS; p++) {
        const size_t view = (size_t)FN(dgrad_view)[p / 5] * DG_AXIS + FN(dgrad_view)[p % 5];
        const size_t weight = (size_t)FN(dgrad_weight)[p / 5] * DG_AXIS + FN(dgrad_weight)[p % 5];
        const char *ahead = (const char *)(u + (weight + 1) * u_floats);
        for (size_t g = 0; g < groups; g++) {
            const size_t t = count * g / groups, rows = count * (g + 1) / groups - t;
            FN(product_rows_s2)
            (m + p * cut->m_plane + t * DG_PANEL, v + view * cut->v_plane + t * cut->v_row,
             cut->v_row, u + weight * u_floats, channels, rows, vectors, ahead, step);
            ahead += step * channels;
        }
    }
}

static size_t FN(dgrad_panels)(const struct hr_conv_shape *s)
{
    return (hr_round_up(s->c, VN) + DG_PANEL - 1) / DG_PANEL;
}

/* First channel of a panel. */
static size_t FN(dgrad_start)(const struct hr_conv_shape *s, size_t panel)
{
    return hr_round_up(s->c, VN) / VN * panel / FN(dgrad_panels)(s) * VN;
}

/* Products and outputs of one panel for `count` tiles in V, the first of them `first`. */
static void FN(dgrad_panel)(const struct hr_conv_call *call, const struct FN(dgrad_cut) * cut,
                            const float *v, float *m, size_t panel, size_t first, size_t count)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t k0 = FN(dgrad_start)(s, panel);
    const size_t vectors = (FN(dgrad_start)(s, panel + 1) - k0) / VN;
    const float *const u = (const float *)call->packed + k0 * DG_VIEWS * s->k;
    if (vectors == 1)
        FN(dgrad_points)(cut, m, v, u, s->k, count, 1);
    else if (vectors == 2)
        FN(dgrad_points)(cut, m, v, u, s->k, count, 2);
    else
        FN(dgrad_points)(cut, m, v, u, s->k, count, WINO_VECTORS);
    for (size_t t = 0; t < count; t++)
        for (size_t q = 0; q < vectors; q++)
            FN(dgrad_output)
    (call, first + t, k0 + q * VN, m + t * DG_PANEL + q * VN, cut->m_plane);
}

static size_t FN(dgrad_tasks)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    const struct FN(dgrad_cut) cut = FN(dgrad_cut_of)(s, n);
    const size_t pieces =
        cut.panels ? FN(dgrad_panels)(s) : (cut.tiles + WINO_ROWS - 1) / WINO_ROWS;
    return pieces < threads ? pieces : threads;
}

static void FN(dgrad_run)(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    const struct FN(dgrad_cut) cut = FN(dgrad_cut_of)(call->shape, call->n);
    float *const v = (float *)call->scratch + task * cut.floats;
    float *const m = v + DG_VIEWS * cut.v_plane;
    const size_t panels = FN(dgrad_panels)(call->shape);
    const size_t p0 = cut.panels ? panels * task / task_count : 0;
    const size_t p1 = cut.panels ? panels * (task + 1) / task_count : panels;
    const size_t begin = cut.panels ? 0 : cut.tiles * task / task_count;
    const size_t end = cut.panels ? cut.tiles : cut.tiles * (task + 1) / task_count;
    const size_t blocks = (end - begin + cut.block - 1) / cut.block;
    for (size_t b = 0; b < blocks; b++) {
        const size_t first = begin + (end - begin) * b / blocks;
        const size_t count = begin + (end - begin) * (b + 1) / blocks - first;
        for (size_t t = 0; t < count; t++)
            FN(dgrad_input)(call, &cut, v + t * cut.v_row, first + t);
        for (size_t panel = p0; panel < p1; panel++)
            FN(dgrad_panel)(call, &cut, v, m, panel, first, count);
    }
}

/* ---- The candidate ---- */

static bool FN(dgrad_applies)(const struct hr_conv_shape *s)
{
    return s->kernel == 3 && s->stride == 2 && s->pad == 1 && s->x_stride % VN == 0 &&
           s->x_stride == hr_round_up(s->c, VN) && s->y_stride % VN == 0 && s->y_stride <= MAX_C;
}

/* Cycles: products at 85 % of two multiply-adds a cycle or U at 7 bytes a cycle, and transforms. */
static double FN(dgrad_cost)(const struct hr_conv_shape *s, size_t n)
{
    const struct FN(dgrad_cut) cut = FN(dgrad_cut_of)(s, n);
    const double tiles = (double)cut.tiles, k = (double)hr_round_up(s->c, VN), c = (double)s->k;
    const double blocks = (double)((cut.tiles + cut.block - 1) / cut.block);
    const double products = DG_POINTS * tiles * c * k / (2 * VN * 0.85);
    const double weights = DG_VIEWS * c * k * sizeof(float) * blocks / 7;
    return (products > weights ? products : weights) + tiles * (c + 2 * k) / VN * 40;
}

static size_t FN(dgrad_bytes)(const struct hr_conv_shape *s)
{
    return hr_round_up(hr_round_up(s->c, VN) * DG_VIEWS * s->k * sizeof(float), 64);
}

static size_t FN(dgrad_scratch)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    size_t floats = 0; /* fewer images may be cut otherwise */
    for (size_t images = 1; images <= n; images++) {
        const size_t need = FN(dgrad_cut_of)(s, images).floats;
        floats = need > floats ? need : floats;
    }
    return hr_round_up(floats * threads * sizeof(float), 64);
}

/* w2, w0 + w2, w0, w1. */
HR_INLINE void FN(dgrad_weight_1d)(VF u[DG_AXIS], const VF w[3])
{
    u[0] = w[2];
    u[1] = V_ADD(w[0], w[2]);
    u[2] = w[0];
    u[3] = w[1];
}

/* U of VN channels of dx at u, from point to point u_point floats. */
HR_INLINE void FN(dgrad_lanes)(float *u, size_t u_point, const float *w, size_t lanes)
{
    float taps[9][VN] HR_ALIGNED(64);
    VF mid[3][DG_AXIS];
    FN(columns_to_lanes)(taps, w, 9, lanes, 9);
    for (int q = 0; q < 3; q++) {
        const VF in[3] = { V_LOAD(taps[q]), V_LOAD(taps[3 + q]), V_LOAD(taps[6 + q]) };
        FN(dgrad_weight_1d)(mid[q], in);
    }
    for (int i = 0; i < DG_AXIS; i++) {
        const VF in[3] = { mid[0][i], mid[1][i], mid[2][i] };
        VF out[DG_AXIS];
        FN(dgrad_weight_1d)(out, in);
        for (int j = 0; j < DG_AXIS; j++, u += u_point)
            V_STORE(u, out[j]);
    }
}

/* From the forward weights [k][c][3][3] as they are: U is [panel][point][k][c of the panel].
 * Vectors of dx's channels are the parts; scale and bias do not exist for gradients. */
static void FN(dgrad_pack)(void *packed, const struct hr_conv_shape *s, const float *w,
                           const float *scale, const float *bias, size_t task, size_t task_count)
{
    const size_t vectors = hr_round_up(s->c, VN) / VN;
    const size_t first = vectors * task / task_count * VN;
    const size_t last = vectors * (task + 1) / task_count * VN;
    (void)scale, (void)bias;
    for (size_t panel = 0; panel < FN(dgrad_panels)(s); panel++) {
        const size_t c0 = FN(dgrad_start)(s, panel), end = FN(dgrad_start)(s, panel + 1);
        for (size_t c = c0 > first ? c0 : first; c < end && c < last; c += VN) {
            float *u = (float *)packed + c0 * DG_VIEWS * s->k + c - c0;
            for (size_t k = 0; k < s->k; k++, u += end - c0)
                FN(dgrad_lanes)
            (u, s->k * (end - c0), w + (k * s->c + c) * 9, s->c - c < VN ? s->c - c : VN);
        }
    }
}

static const struct hr_conv_kernel FN(dgrad_s2) = {
    .name = "dgrad_s2_" ISA_NAME,
    .x_layout = HR_LAYOUT_NHWC,
    .y_layout = HR_LAYOUT_NHWC,
    .exact = false,
    .applies = FN(dgrad_applies),
    .cost = FN(dgrad_cost),
    .packed_bytes = FN(dgrad_bytes),
    .pack = FN(dgrad_pack),
    .scratch_bytes = FN(dgrad_scratch),
    .tasks = FN(dgrad_tasks),
    .run = FN(dgrad_run),
};

#undef DG_AXIS
#undef DG_VIEWS
#undef DG_POINTS
#undef DG_PANEL
