/* SPDX-License-Identifier: Apache-2.0
 * Winograd F(4,3) with tiles in the vector lanes, for channels that fill vectors badly: 18 outputs
 * take two vectors of 16 lanes, while the 14 tiles of a row of 56 pixels fill one.  Reads and
 * writes HR_LAYOUT_TILES, where the inputs of neighbouring tiles lie side by side.  Included behind
 * winograd.tmpl.h with WM 4, whose transforms and weights it shares; equal bits.  With vectors of 8
 * lanes, where 18 outputs take three, it gains nothing, and is not included.
 *
 * Letters as there.  A strip is VN tiles of one row of tiles; two are computed together: V is
 * [p][c][strip][lane], M is [p][k][strip][lane], U is [p][c][k].
 *
 * Vocabulary besides winograd.tmpl.h's: V_BROADCAST(p), V_WHERE_POSITIVE(y, v), v where y > 0, else
 * 0.  TILES_ROWS outputs and two vectors are what the registers hold. */

#define TN(name) FN(name##_f4_tiles)
enum { TN(points) = 36 };

struct TN(layout) {
    size_t lanes, x_row, y_row; /* floats of a row of pixels */
    size_t v_plane, m_plane;    /* floats from point to point */
    size_t v_floats, m_floats;
    VF real; /* 1 in the lanes of tiles of the last strip of a row, 0 past them */
};

static struct TN(layout) TN(layout_of)(const struct hr_conv_shape *s)
{
    struct TN(layout) l = { .lanes = hr_tile_lanes(s->w, VN) };
    l.x_row = 4 * s->c * l.lanes;
    l.y_row = 4 * s->k * l.lanes;
    l.v_plane = 2 * VN * s->c + 16;
    l.m_plane = 2 * VN * s->k + 16;
    l.v_floats = TN(points) * l.v_plane;
    l.m_floats = TN(points) * l.m_plane;
    float real[VN] HR_ALIGNED(64) = { 0.0f };
    for (size_t t = 0; t < s->w / 4 % VN; t++)
        real[t] = 1.0f;
    l.real = V_LOAD(real);
    return l;
}

/* Strips are numbered along rows of tiles, images in turn. */
struct TN(strip) {
    size_t image, y, lane; /* of the first pixel and tile */
    bool last;             /* of its row: not all of its lanes are tiles */
};

static struct TN(strip) TN(strip_at)(const struct hr_conv_shape *s, size_t lanes, size_t index)
{
    const size_t across = lanes / VN, down = (s->oh + 3) / 4;
    const size_t row = index / across, column = index % across;
    return (struct TN(strip)){ row / down, row % down * 4, column * VN, column + 1 == across };
}

static size_t TN(strip_count)(const struct hr_conv_shape *s, size_t n)
{
    return n * (hr_tile_lanes(s->w, VN) / VN) * ((s->oh + 3) / 4);
}

/* V of a strip at v; rows outside the plane are read from zeros, l->x_row of them. */
static void TN(input)(const struct hr_conv_call *call, const struct TN(layout) * l,
                      const struct TN(strip) * at, float *v, const float *zeros)
{
    const struct hr_conv_shape *s = call->shape;
    const size_t part = s->c * l->lanes; /* floats of the pixels of equal x % 4 of a row */
    const float *d[TN(points)];
    for (size_t i = 0; i < 6; i++) {
        const size_t y = at->y + i - 1; /* wraps below zero, so one comparison does */
        const float *row = y < s->h ? call->x + (at->image * s->h + y) * l->x_row : zeros;
        row += at->lane;
        d[i * 6] = row + 3 * part - 1; /* the lane before a channel's first is one past the tiles */
        for (size_t j = 0; j < 4; j++)
            d[i * 6 + j + 1] = row + j * part;
        d[i * 6 + 5] = row + 1;
    }
    for (size_t c = 0; c < s->c; c++)
        FN(input_tile_f4)(v + 2 * c * VN, l->v_plane, d, c * l->lanes);
}

/* M[rows][strips][lane] = U[c][rows] V[c][strips][lane]. */
HR_INLINE void TN(product_rows)(float *m, const float *v, const float *u, size_t channels,
                                size_t outputs, const int rows, const int strips)
{
    VF acc[TILES_ROWS][2];
    for (int r = 0; r < rows; r++)
        for (int q = 0; q < strips; q++)
            acc[r][q] = V_ZERO();
    for (size_t c = 0; c < channels; c++, u += outputs, v += 2 * VN) {
        VF x[2];
        for (int q = 0; q < strips; q++) {
            x[q] = V_LOAD(v + q * VN);
            V_KEEP(x[q]);
        }
        for (int r = 0; r < rows; r++) {
            const VF w = V_BROADCAST(u + r);
            for (int q = 0; q < strips; q++)
                acc[r][q] = V_FMA(x[q], w, acc[r][q]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int q = 0; q < strips; q++)
            V_STORE(m + (2 * r + q) * VN, acc[r][q]);
}

HR_INLINE void TN(product)(float *m, const float *v, const float *u, size_t channels,
                           size_t outputs, const int strips)
{
    const size_t groups = (outputs + TILES_ROWS - 1) / TILES_ROWS;
    for (size_t g = 0; g < groups; g++) {
        const size_t k = outputs * g / groups, rows = outputs * (g + 1) / groups - k;
#define ROWS(count)                                                                            \
    case count:                                                                                \
        TN(product_rows)                                                                       \
        (m + 2 * k * VN, v, u + k, channels, outputs, count < TILES_ROWS ? count : TILES_ROWS, \
         strips);                                                                              \
        break
        switch (rows) {
            ROWS(1);
            ROWS(2);
            ROWS(3);
            ROWS(4);
            ROWS(5);
            ROWS(6);
            ROWS(7);
            ROWS(8);
            ROWS(9);
            ROWS(10);
            ROWS(11);
            ROWS(12);
        }
#undef ROWS
    }
}

/* M of a strip at m to pixels. */
static void TN(output)(const struct hr_conv_call *call, const struct TN(layout) * l,
                       const struct TN(strip) * at, const float *m)
{
    const struct hr_conv_shape *s = call->shape;
    const size_t part = s->k * l->lanes, first = (at->image * s->oh + at->y) * l->y_row + at->lane;
    const size_t rows = s->oh - at->y < 4 ? s->oh - at->y : 4;
    for (size_t k = 0; k < s->k; k++) {
        VF out[4][4];
        FN(output_points_f4)(out, m + 2 * k * VN, l->m_plane);
        const VF bias = V_SET1(((const float *)call->packed)[k]);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < 4; j++) {
                const size_t to = first + i * l->y_row + j * part + k * l->lanes;
                VF y = V_ADD(out[i][j], bias);
                if (call->residual)
                    y = V_ADD(V_LOAD(call->residual + to), y);
                if (s->relu)
                    y = V_MAX(y, V_ZERO());
                V_STORE(call->y + to, at->last ? V_WHERE_POSITIVE(l->real, y) : y);
            }
    }
}

static void TN(products)(const struct hr_conv_call *call, const struct TN(layout) * l, float *m,
                         const float *v, size_t strips)
{
    const struct hr_conv_shape *s = call->shape;
    const float *u = (const float *)call->packed + hr_round_up(s->k, VN);
    for (size_t p = 0; p < TN(points); p++, u += s->c * s->k)
        if (strips == 2)
            TN(product)(m + p * l->m_plane, v + p * l->v_plane, u, s->c, s->k, 2);
        else
            TN(product)(m + p * l->m_plane, v + p * l->v_plane, u, s->c, s->k, 1);
}

/* V, M and zeros of a task. */
static size_t TN(scratch_floats)(const struct hr_conv_shape *s)
{
    const struct TN(layout) l = TN(layout_of)(s);
    return hr_round_up(l.v_floats + l.m_floats + l.x_row, 16);
}

static size_t TN(scratch_bytes)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    (void)n;
    return TN(scratch_floats)(s) * threads * sizeof(float);
}

static size_t TN(tasks)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    const size_t strips = TN(strip_count)(s, n);
    return strips < threads ? strips : threads;
}

static void TN(run)(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    const struct hr_conv_shape *s = call->shape;
    const struct TN(layout) l = TN(layout_of)(s);
    float *v = (float *)call->scratch + task * TN(scratch_floats)(s), *m = v + l.v_floats;
    float *zeros = m + l.m_floats;
    memset(zeros, 0, l.x_row * sizeof(float));
    const size_t strips = TN(strip_count)(s, call->n), end = strips * (task + 1) / task_count;
    for (size_t first = strips * task / task_count; first < end; first += 2) {
        const size_t count = end - first < 2 ? 1 : 2;
        struct TN(strip) at[2];
        for (size_t i = 0; i < count; i++) {
            at[i] = TN(strip_at)(s, l.lanes, first + i);
            TN(input)(call, &l, &at[i], v + i * VN, zeros);
        }
        TN(products)(call, &l, m, v, count);
        for (size_t i = 0; i < count; i++)
            TN(output)(call, &l, &at[i], m + i * VN);
    }
}

/* Cycles, measured on Zen 5: products at 88 % of two multiply-adds a cycle, and 130 and 110 cycles
 * to transform a strip of a channel and of an output. */
static double TN(cost)(const struct hr_conv_shape *s, size_t n)
{
    const double strips = (double)TN(strip_count)(s, n), c = (double)s->c, k = (double)s->k;
    return strips * (TN(points) * c * k / (2 * 0.88) + 130 * c + 110 * k);
}

/* Few channels, so that V and M stay in the second-level cache; a lane past the tiles of a row. */
static bool TN(applies)(const struct hr_conv_shape *s)
{
    return s->kernel == 3 && s->stride == 1 && s->pad == 1 && s->c >= 8 && s->c <= 64 &&
           s->k <= 64 && hr_tile_lanes(s->w, VN) > 0;
}

static size_t TN(packed_bytes)(const struct hr_conv_shape *s)
{
    return hr_round_up((hr_round_up(s->k, VN) + TN(points) * s->c * s->k) * sizeof(float), 64);
}

/* Vectors of outputs are the parts; only real outputs are kept of the last. */
static void TN(pack)(void *packed, const struct hr_conv_shape *s, const float *w,
                     const float *scale, const float *bias, size_t task, size_t task_count)
{
    const size_t vectors = hr_round_up(s->k, VN) / VN;
    float *const u = (float *)packed + vectors * VN;
    for (size_t k = vectors * task / task_count * VN; k < vectors * (task + 1) / task_count * VN;
         k += VN) {
        for (size_t j = k; j < k + VN; j++)
            ((float *)packed)[j] = j < s->k && bias ? bias[j] : 0.0f;
        for (size_t c = 0; c < s->c; c++) {
            float points[TN(points)][VN];
            FN(weight_vector_f4)(points[0], VN, s, w, scale, k, c);
            for (size_t p = 0; p < TN(points); p++)
                for (size_t j = 0; j < VN && k + j < s->k; j++)
                    u[(p * s->c + c) * s->k + k + j] = points[p][j];
        }
    }
}

static const struct hr_conv_kernel TN(conv_winograd) = {
    .name = "conv_winograd_f4_tiles_" ISA_NAME,
    .x_layout = HR_LAYOUT_TILES,
    .y_layout = HR_LAYOUT_TILES,
    .exact = false,
    .work = FN(work_f4),
    .applies = TN(applies),
    .cost = TN(cost),
    .packed_bytes = TN(packed_bytes),
    .pack = TN(pack),
    .scratch_bytes = TN(scratch_bytes),
    .tasks = TN(tasks),
    .run = TN(run),
};

#undef TN
