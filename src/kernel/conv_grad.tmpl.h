/* SPDX-License-Identifier: Apache-2.0
 * The gradient of a convolution's weights, output channels in the vector lanes.  A tile is C input
 * channels of one tap x V vectors of output channels, in registers while the pixels of a group pass
 * by: V loads of dy, C broadcasts of x, C * V fused multiply-adds a pixel.  Vocabulary as in
 * tile.tmpl.h; WGRAD_1, WGRAD_2, WGRAD_3 are the input channels of a tile 1, 2, 3 vectors wide.
 *
 * Reads x up to a tile past the channels, less than HR_PAD_BYTES past its end. */

struct wgrad_tile {
    const struct hr_wgrad_call *call;
    size_t first, last;         /* rows of the group */
    size_t r, q, c, k, c_count; /* tap, first input and output channel; channels that count */
    float *out;                 /* part of this tap and these channels */
};

HR_INLINE void FN(wgrad_clear)(size_t C, size_t V, VF acc[][3])
{
    HR_UNROLL
    for (size_t c = 0; c < C; c++)
        HR_UNROLL
    for (size_t v = 0; v < V; v++)
        acc[c][v] = V_ZERO();
}

/* The first `count` rows of accumulators to rows of `out`, or added to them. */
HR_INLINE void FN(wgrad_store)(size_t C, size_t V, VF acc[][3], float *out, size_t row,
                               size_t count, bool add)
{
    HR_UNROLL
    for (size_t c = 0; c < C; c++, out += row) {
        if (c >= count)
            break;
        HR_UNROLL
        for (size_t v = 0; v < V; v++) {
            float *const to = out + v * VN;
            V_STOREU(to, add ? V_ADD(V_LOADU(to), acc[c][v]) : acc[c][v]);
        }
    }
}

HR_INLINE void FN(wgrad_pixels)(size_t C, size_t V, VF acc[][3], const float *x, const float *dy,
                                size_t count, size_t x_step, size_t dy_step)
{
    for (size_t p = 0; p < count; p++, x += x_step, dy += dy_step) {
        VF d[3];
        HR_UNROLL
        for (size_t v = 0; v < V; v++) {
            d[v] = V_LOAD(dy + v * VN);
            V_KEEP(d[v]);
        }
        HR_UNROLL
        for (size_t c = 0; c < C; c++) {
            const VF xv = V_BROADCAST(x + c);
            HR_UNROLL
            for (size_t v = 0; v < V; v++)
                acc[c][v] = V_FMA(xv, d[v], acc[c][v]);
        }
    }
}

HR_INLINE void FN(wgrad_tile)(size_t C, size_t V, const struct wgrad_tile *t)
{
    const struct hr_conv_shape *const s = t->call->shape;
    const size_t stride = (size_t)s->stride, pad = (size_t)s->pad;
    const size_t ox0 = t->q >= pad ? 0 : (pad - t->q + stride - 1) / stride;
    size_t ox1 = s->w + pad > t->q ? (s->w - 1 + pad - t->q) / stride + 1 : 0;
    ox1 = ox1 < s->ow ? ox1 : s->ow;
    VF acc[WGRAD_1][3];
    FN(wgrad_clear)(C, V, acc);
    for (size_t row = t->first; row < t->last && ox0 < ox1; row++) {
        const size_t iy = row % s->oh * stride + t->r - pad;
        if (iy >= s->h) /* negative ones have wrapped around */
            continue;
        const size_t pixel = (row / s->oh * s->h + iy) * s->w + ox0 * stride + t->q - pad;
        FN(wgrad_pixels)
        (C, V, acc, t->call->x + pixel * s->x_stride + t->c,
         t->call->dy + (row * s->ow + ox0) * s->y_stride + t->k, ox1 - ox0, stride * s->x_stride,
         s->y_stride);
    }
    FN(wgrad_store)(C, V, acc, t->out, s->y_stride, t->c_count, true);
}

#define WGRAD_TILE(name, C, V)                                   \
    static HR_NOINLINE void FN(name)(const struct wgrad_tile *t) \
    {                                                            \
        FN(wgrad_tile)(C, V, t);                                 \
    }
WGRAD_TILE(wgrad_1, WGRAD_1, 1)
WGRAD_TILE(wgrad_2, WGRAD_2, 2)
WGRAD_TILE(wgrad_3, WGRAD_3, 3)
WGRAD_TILE(wgrad_half_1, WGRAD_1 / 2, 1)
WGRAD_TILE(wgrad_half_2, WGRAD_2 / 2, 2)
WGRAD_TILE(wgrad_half_3, WGRAD_3 / 2, 3)
#undef WGRAD_TILE

/* By vectors of the panel: 18 channels are a tile of 12 and half of one. */
static const struct {
    size_t c;
    void (*whole)(const struct wgrad_tile *t);
    void (*half)(const struct wgrad_tile *t);
} FN(wgrad_tiles)[4] = {
    { 0, 0, 0 },
    { WGRAD_1, FN(wgrad_1), FN(wgrad_half_1) },
    { WGRAD_2, FN(wgrad_2), FN(wgrad_half_2) },
    { WGRAD_3, FN(wgrad_3), FN(wgrad_half_3) },
};

static size_t FN(wgrad_panels)(const struct hr_conv_shape *s)
{
    return (s->y_stride / VN + 2) / 3;
}

static size_t FN(wgrad_panel)(const struct hr_conv_shape *s, size_t panel)
{
    return s->y_stride / VN * panel / FN(wgrad_panels)(s);
}

/* Tiles of a panel: taps x blocks of input channels. */
static size_t FN(wgrad_panel_tiles)(const struct hr_conv_shape *s, size_t panel)
{
    const size_t V = FN(wgrad_panel)(s, panel + 1) - FN(wgrad_panel)(s, panel);
    const size_t C = FN(wgrad_tiles)[V].c;
    return (size_t)(s->kernel * s->kernel) * ((s->c + C - 1) / C);
}

static size_t FN(wgrad_all_tiles)(const struct hr_conv_shape *s)
{
    size_t tiles = 0;
    for (size_t panel = 0; panel < FN(wgrad_panels)(s); panel++)
        tiles += FN(wgrad_panel_tiles)(s, panel);
    return tiles;
}

static size_t FN(wgrad_pieces)(const struct hr_conv_shape *s, size_t n)
{
    return hr_wgrad_chunks(s, n) * FN(wgrad_all_tiles)(s);
}

/* Tile number `tile` of a panel; with `clear` sets its part to zero instead. */
static void FN(wgrad_one)(struct wgrad_tile *t, float *part, size_t panel, size_t tile, bool clear)
{
    const struct hr_conv_shape *const s = t->call->shape;
    const size_t V = FN(wgrad_panel)(s, panel + 1) - FN(wgrad_panel)(s, panel);
    const size_t C = FN(wgrad_tiles)[V].c, blocks = (s->c + C - 1) / C;
    const size_t tap = tile / blocks, c = tile % blocks * C;
    t->r = tap / (size_t)s->kernel;
    t->q = tap % (size_t)s->kernel;
    t->c = c;
    t->k = FN(wgrad_panel)(s, panel) * VN;
    t->c_count = s->c - c < C ? s->c - c : C;
    t->out = part + (tap * s->c + c) * s->y_stride + t->k;
    if (clear) {
        for (size_t i = 0; i < t->c_count; i++)
            memset(t->out + i * s->y_stride, 0, V * VN * sizeof(float));
    } else if (t->c_count <= C / 2) {
        FN(wgrad_tiles)[V].half(t);
    } else {
        FN(wgrad_tiles)[V].whole(t);
    }
}

/* Tiles [first, last) of a chunk over rows [t->first, t->last). */
static void FN(wgrad_group)(struct wgrad_tile *t, float *part, size_t first, size_t last,
                            bool clear)
{
    const struct hr_conv_shape *const s = t->call->shape;
    size_t start = 0;
    for (size_t panel = 0; panel < FN(wgrad_panels)(s) && start < last; panel++) {
        const size_t tiles = FN(wgrad_panel_tiles)(s, panel);
        const size_t from = first > start ? first - start : 0;
        const size_t to = last - start < tiles ? last - start : tiles;
        for (size_t tile = from; tile < to; tile++)
            FN(wgrad_one)(t, part, panel, tile, clear);
        start += tiles;
    }
}

static void FN(wgrad_run)(const struct hr_wgrad_call *call, size_t round, size_t first, size_t last)
{
    (void)round;
    const struct hr_conv_shape *const s = call->shape;
    const size_t all = FN(wgrad_all_tiles)(s), step = hr_wgrad_group_rows(s);
    const size_t part = (size_t)(s->kernel * s->kernel) * s->c * s->y_stride;
    struct wgrad_tile t = { .call = call };
    for (size_t at = first; at < last;) {
        const size_t chunk = at / all, from = at % all;
        const size_t to = last - at < all - from ? from + (last - at) : all;
        size_t row, end;
        hr_wgrad_chunk_rows(s, call->n, chunk, &row, &end);
        FN(wgrad_group)(&t, call->parts + chunk * part, from, to, true);
        for (; row < end; row += step) {
            t.first = row;
            t.last = row + step < end ? row + step : end;
            FN(wgrad_group)(&t, call->parts + chunk * part, from, to, false);
        }
        at += to - from;
    }
}

static bool FN(wgrad_applies)(const struct hr_conv_shape *s)
{
    return s->x_stride % VN == 0 && s->y_stride % VN == 0;
}

/* Cycles, fitted to a Zen 5 core: multiply-adds of whole tiles at three fifths of two a cycle. */
static double FN(wgrad_cost)(const struct hr_conv_shape *s, size_t n)
{
    return (double)(s->kernel * s->kernel) * (double)(n * s->oh * s->ow) *
           (double)(s->c * s->y_stride) / (1.2 * VN);
}

static const struct hr_wgrad_kernel FN(wgrad) = {
    .name = "wgrad_" ISA_NAME,
    .exact = true,
    .applies = FN(wgrad_applies),
    .cost = FN(wgrad_cost),
    .floats = hr_wgrad_floats,
    .rounds = hr_wgrad_one_round,
    .pieces = FN(wgrad_pieces),
    .run = FN(wgrad_run),
    .finish = hr_wgrad_finish,
};

/* ---- For wgrad_tile.tmpl.h ---- */

/* What pixels outside a plane read. */
static const _Alignas(64) float FN(grad_zeros)[MAX_C];

/* m[c][V vectors] of `count` rows: the sum of v[t][c] d[t][vectors], or that added. */
struct wgrad_product {
    const float *v, *d;
    float *m;
    size_t v_row, d_row, m_row, count, c_count; /* floats; channels that count */
    bool add;
};

HR_INLINE void FN(wgrad_product)(size_t C, size_t V, const struct wgrad_product *p)
{
    VF acc[WGRAD_1][3];
    FN(wgrad_clear)(C, V, acc);
    FN(wgrad_pixels)(C, V, acc, p->v, p->d, p->count, p->v_row, p->d_row);
    FN(wgrad_store)(C, V, acc, p->m, p->m_row, p->c_count, p->add);
}

#define WGRAD_PRODUCT(name, C, V)                                   \
    static HR_NOINLINE void FN(name)(const struct wgrad_product *p) \
    {                                                               \
        FN(wgrad_product)(C, V, p);                                 \
    }
WGRAD_PRODUCT(wgrad_product_1, WGRAD_1, 1)
WGRAD_PRODUCT(wgrad_product_2, WGRAD_2, 2)
WGRAD_PRODUCT(wgrad_product_3, WGRAD_3, 3)
WGRAD_PRODUCT(wgrad_product_half_1, WGRAD_1 / 2, 1)
WGRAD_PRODUCT(wgrad_product_half_2, WGRAD_2 / 2, 2)
WGRAD_PRODUCT(wgrad_product_half_3, WGRAD_3 / 2, 3)
#undef WGRAD_PRODUCT

static const struct {
    size_t c;
    void (*whole)(const struct wgrad_product *p);
    void (*half)(const struct wgrad_product *p);
} FN(wgrad_products)[4] = {
    { 0, 0, 0 },
    { WGRAD_1, FN(wgrad_product_1), FN(wgrad_product_half_1) },
    { WGRAD_2, FN(wgrad_product_2), FN(wgrad_product_half_2) },
    { WGRAD_3, FN(wgrad_product_3), FN(wgrad_product_half_3) },
};
