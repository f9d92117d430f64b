/* SPDX-License-Identifier: Apache-2.0
 * The gradient of a convolution's weights by products over tiles: the transpose of the Winograd
 * algorithms of winograd.tmpl.h (the same points, so the same transform of x), included once per
 * ISA, WM and WS as that is, and with WM 1 for 1x1 convolutions, where a tile is a pixel and the
 * transforms are copies.
 *
 * Letters as there; g one of the WM * WM gradients of a tile.  A block of tiles becomes
 * V[p][t][c] = B^T x B and D[p][t][k] = A dy A^T; M[p][c][k] += V[p]^T D[p]; when all tiles are
 * done, dw = G^T M G.  At stride 2 some points share their D.
 *
 * Few weights: chunks of tiles are independent, each with an M of its own, and a block stays in the
 * second-level cache.  Many weights: one M, and rounds of a block in the third level, which all
 * threads first transform, then multiply point by point.  Cuts follow from shape and n alone.
 *
 * Error against exact arithmetic: below 4e-6 (WM 4) and 2e-6 of the largest gradient. */

#define WE (WM == 1 ? 1 : WS == 2 ? 5 : WM + 2) /* points of an axis, and pixels of x */
#define WP (WE * WE)
#define WD (WS == 2 ? 3 : WE) /* different points of dy */
#define WR (WM == 1 ? 1 : 3)  /* weights of an axis */
#if WM == 1
#define WN(name)  FN(name##_g1)
#define WINO_TEXT "1"
#elif WS == 2
#define WN(name)  FN(name##_gs2)
#define WINO_TEXT "2_s2"
#elif WM == 4
#define WN(name)  FN(name##_g4)
#define WINO_TEXT "4"
#else
#define WN(name)  FN(name##_g2)
#define WINO_TEXT "2"
#endif

/* d = A g, one dimension; at stride 2 the signs of A are left to weight_1d. */
HR_INLINE void WN(grad_1d)(VF d[WD], const VF g[WM])
{
#if WM == 1
    d[0] = g[0];
#elif WS == 2
    d[0] = g[0];
    d[1] = V_ADD(g[0], g[1]);
    d[2] = g[1];
#elif WM == 4
    const VF root = V_SET1(1.41421356237309505f), half_root = V_SET1(0.70710678118654752f);
    const VF half = V_SET1(0.5f), two = V_SET1(2.0f);
    const VF even_a = V_FMA(two, g[2], g[0]), odd_a = V_FMA(two, g[3], g[1]);
    const VF even_b = V_FMA(half, g[2], g[0]), odd_b = V_FMA(half, g[3], g[1]);
    d[0] = g[0];
    d[1] = V_FMA(root, odd_a, even_a);
    d[2] = V_FNMA(root, odd_a, even_a);
    d[3] = V_FMA(half_root, odd_b, even_b);
    d[4] = V_FNMA(half_root, odd_b, even_b);
    d[5] = g[3];
#else
    d[0] = g[0];
    d[1] = V_ADD(g[0], g[1]);
    d[2] = V_SUB(g[0], g[1]);
    d[3] = g[1];
#endif
}

/* The point of dy that belongs to each point of x. */
static const unsigned char WN(point_of)[WE] = {
#if WM == 1
    0
#elif WS == 2
    0, 1, 2, 0, 2
#elif WM == 4
    0, 1, 2, 3, 4, 5
#else
    0, 1, 2, 3
#endif
};

HR_INLINE void WN(patch_1d)(VF y[WE], const VF x[WE])
{
#if WM == 1
    y[0] = x[0];
#elif WS == 2
    FN(input_1d_s2)(y, x);
#elif WM == 4
    FN(input_1d_f4)(y, x);
#else
    FN(input_1d_f2)(y, x);
#endif
}

/* w = G^T u, one dimension. */
HR_INLINE void WN(weight_1d)(VF w[WR], const VF u[WE])
{
#if WM == 1
    w[0] = u[0];
#elif WS == 2
    w[0] = V_ADD(u[0], u[1]);
    w[1] = V_ADD(u[3], u[4]);
    w[2] = V_SUB(u[1], u[2]);
#elif WM == 4
    const VF sum_a = V_ADD(u[1], u[2]), sum_b = V_ADD(u[3], u[4]);
    const VF odd_a = V_SUB(u[1], u[2]), odd_b = V_SUB(u[3], u[4]);
    const VF third = V_SET1(0.33333333333333333f), root = V_SET1(0.23570226039551584f);
    const VF a = V_FNMA(V_SET1(4.0f), sum_b, sum_a);
    w[0] = V_FMA(V_SET1(0.16666666666666667f), a, u[0]);
    w[1] = V_MUL(root, V_FNMA(V_SET1(2.0f), odd_b, odd_a)); /* root: sqrt 2 / 6 */
    w[2] = V_FMA(third, V_SUB(sum_a, sum_b), u[5]);
#else
    const VF half = V_SET1(0.5f), sum = V_ADD(u[1], u[2]);
    w[0] = V_FMA(half, sum, u[0]);
    w[1] = V_MUL(half, V_SUB(u[1], u[2]));
    w[2] = V_FMA(half, sum, u[3]);
#endif
}

/* How a call is cut up. */
struct WN(cut) {
    size_t tiles, chunks, rounds, block; /* tiles of a block */
    size_t v_row, d_row, m_row, v_plane, d_plane;
    size_t m_floats, chunk_floats; /* a chunk: M, V, D */
    bool shared;                   /* one chunk, in rounds */
};

/* Floats of a row of tiles: rows a multiple of 256 bytes apart would share few cache sets. */
static size_t WN(row_floats)(size_t channels)
{
    const size_t floats = hr_round_up(channels, 16);
    return floats % 64 == 0 ? floats + 16 : floats;
}

/* Larger: M and a block leave a second level of 1 MiB.  Smaller: rounds go through the third. */
#define SPLIT_BYTES ((size_t)200 << 10)

static struct WN(cut) WN(cut_of)(const struct hr_conv_shape *s, size_t n)
{
    struct WN(cut) cut = { .tiles = n * ((s->ow + WM - 1) / WM) * ((s->oh + WM - 1) / WM),
                           .chunks = 1,
                           .rounds = 1,
                           .v_row = WN(row_floats)(s->c),
                           .d_row = WN(row_floats)(s->y_stride),
                           .m_row = WN(row_floats)(s->y_stride) };
    cut.m_floats = WP * s->c * cut.m_row;
    const size_t bytes = (WP * cut.v_row + WD * WD * cut.d_row) * sizeof(float);
    cut.shared = cut.m_floats * sizeof(float) > SPLIT_BYTES;
    size_t block = (cut.shared ? (size_t)3 << 20 : (size_t)288 << 10) / bytes;
    const size_t least = cut.shared ? 64 : 16, most = WM == 1 ? 512 : 256;
    block = block < least ? least : block > most ? most : block;
    const size_t blocks = (cut.tiles + block - 1) / block;
    if (cut.shared)
        cut.rounds = blocks;
    else
        cut.chunks = blocks < 8 ? blocks : 8;
    cut.block = blocks == 1 ? cut.tiles : block;
    cut.v_plane = cut.block * cut.v_row + 16;
    cut.d_plane = cut.block * cut.d_row + 16;
    cut.chunk_floats = cut.m_floats + WP * cut.v_plane + WD * WD * cut.d_plane;
    return cut;
}

/* ---- Transforms ---- */

HR_INLINE void WN(patch)(float *v, size_t v_plane, const float *const *x, size_t c)
{
    VF mid[WE][WE];
    for (int j = 0; j < WE; j++) {
        VF in[WE], out[WE];
        for (int i = 0; i < WE; i++)
            in[i] = V_LOAD(x[i * WE + j] + c);
        WN(patch_1d)(out, in);
        for (int i = 0; i < WE; i++)
            mid[i][j] = out[i];
    }
    for (int i = 0; i < WE; i++) {
        VF out[WE];
        WN(patch_1d)(out, mid[i]);
        for (int j = 0; j < WE; j++)
            V_STORE(v + (size_t)(i * WE + j) * v_plane + c, out[j]);
    }
}

HR_INLINE void WN(gradient)(float *d, size_t d_plane, const float *const *dy, size_t k)
{
    VF mid[WD][WM];
    for (int j = 0; j < WM; j++) {
        VF in[WM], out[WD];
        for (int i = 0; i < WM; i++)
            in[i] = V_LOAD(dy[i * WM + j] + k);
        WN(grad_1d)(out, in);
        for (int i = 0; i < WD; i++)
            mid[i][j] = out[i];
    }
    for (int i = 0; i < WD; i++) {
        VF out[WD];
        WN(grad_1d)(out, mid[i]);
        for (int j = 0; j < WD; j++)
            V_STORE(d + (size_t)(i * WD + j) * d_plane + k, out[j]);
    }
}

/* Pointers to size x size pixels of a plane from (y, x), which may wrap below zero; zeros outside.
 */
HR_INLINE void WN(pixels)(const float **at, const float *plane, size_t h, size_t w, size_t stride,
                          size_t y, size_t x, size_t size)
{
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j < size; j++)
            at[i * size + j] =
                y + i < h && x + j < w ? plane + ((y + i) * w + x + j) * stride : FN(grad_zeros);
}

/* Asks for the new pixels of the tile after the next: x comes from memory, and rows of few lines
 * far apart are not foreseen by the processor. */
HR_INLINE void WN(fetch)(const float *const *at, const struct hr_conv_shape *s)
{
    const size_t ahead = (WM == 1 ? 16 : WE - WM * WS + 2 * WM * WS) * s->x_stride;
    const size_t floats = WM * WS * s->x_stride;
    for (size_t i = 0; i < WE; i++)
        for (size_t f = 0; f < floats; f += 16)
            __builtin_prefetch(at[i * WE] + ahead + f, 0, 3);
}

/* Tile `tile` of the call becomes row t of V and D. */
static void WN(transform)(const struct hr_wgrad_call *call, const struct WN(cut) * cut, float *v,
                          float *d, size_t tile)
{
    const struct hr_conv_shape *const s = call->shape;
    const size_t across = (s->ow + WM - 1) / WM, down = (s->oh + WM - 1) / WM;
    const size_t image = tile / (across * down), pad = WM > 1;
    const size_t y = tile / across % down * WM, x = tile % across * WM;
    const float *at[WP > WM * WM ? WP : WM * WM];
    WN(pixels)
    (at, call->x + image * s->h * s->w * s->x_stride, s->h, s->w, s->x_stride, y * WS - pad,
     x * WS - pad, WE);
    WN(fetch)(at, s);
    for (size_t c = 0; c < s->c; c += VN)
        WN(patch)(v, cut->v_plane, at, c);
    WN(pixels)
    (at, call->dy + image * s->oh * s->ow * s->y_stride, s->oh, s->ow, s->y_stride, y, x, WM);
    for (size_t k = 0; k < s->y_stride; k += VN)
        WN(gradient)(d, cut->d_plane, at, k);
}

/* ---- Products ---- */

/* M[p] += V[p]^T D[p] for all input channels and one panel; the first block sets M. */
static void WN(panel)(const struct hr_conv_shape *s, const struct WN(cut) * cut, float *chunk,
                      size_t point, size_t panel, size_t count, bool first)
{
    const size_t k = FN(wgrad_panel)(s, panel) * VN;
    const size_t V = FN(wgrad_panel)(s, panel + 1) - FN(wgrad_panel)(s, panel);
    const size_t C = FN(wgrad_products)[V].c;
    const size_t d = (size_t)WN(point_of)[point / WE] * WD + WN(point_of)[point % WE];
    const float *const v = chunk + cut->m_floats + point * cut->v_plane;
    struct wgrad_product p = { .d =
                                   chunk + cut->m_floats + WP * cut->v_plane + d * cut->d_plane + k,
                               .v_row = cut->v_row,
                               .d_row = cut->d_row,
                               .m_row = cut->m_row,
                               .count = count,
                               .add = !first };
    for (size_t c = 0; c < s->c; c += C) {
        p.v = v + c;
        p.m = chunk + (point * s->c + c) * cut->m_row + k;
        p.c_count = s->c - c < C ? s->c - c : C;
        if (p.c_count <= C / 2)
            FN(wgrad_products)[V].half(&p);
        else
            FN(wgrad_products)[V].whole(&p);
    }
}

static size_t WN(wgrad_rounds)(const struct hr_conv_shape *s, size_t n)
{
    return WN(cut_of)(s, n).rounds;
}

/* Tiles of a round. */
static size_t WN(round_tiles)(const struct WN(cut) * cut, size_t round)
{
    return cut->tiles * (round + 1) / cut->rounds - cut->tiles * round / cut->rounds;
}

static size_t WN(wgrad_prepare_pieces)(const struct hr_conv_shape *s, size_t n)
{
    const struct WN(cut) cut = WN(cut_of)(s, n);
    return cut.shared ? cut.block : 0;
}

static void WN(wgrad_prepare)(const struct hr_wgrad_call *call, size_t round, size_t first,
                              size_t last)
{
    const struct WN(cut) cut = WN(cut_of)(call->shape, call->n);
    const size_t count = WN(round_tiles)(&cut, round), from = cut.tiles * round / cut.rounds;
    float *const v = call->parts + cut.m_floats, *const d = v + WP * cut.v_plane;
    for (size_t t = first; t < last && t < count; t++)
        WN(transform)(call, &cut, v + t * cut.v_row, d + t * cut.d_row, from + t);
}

static size_t WN(wgrad_pieces)(const struct hr_conv_shape *s, size_t n)
{
    const struct WN(cut) cut = WN(cut_of)(s, n);
    return cut.shared ? WP * FN(wgrad_panels)(s) : cut.chunks;
}

static void WN(chunk)(const struct hr_wgrad_call *call, const struct WN(cut) * cut, size_t index)
{
    const struct hr_conv_shape *const s = call->shape;
    float *const chunk = call->parts + index * cut->chunk_floats;
    float *const v = chunk + cut->m_floats, *const d = v + WP * cut->v_plane;
    const size_t begin = cut->tiles * index / cut->chunks;
    const size_t end = cut->tiles * (index + 1) / cut->chunks;
    const size_t blocks = (end - begin + cut->block - 1) / cut->block;
    for (size_t b = 0; b < blocks; b++) {
        const size_t first = begin + (end - begin) * b / blocks;
        const size_t count = begin + (end - begin) * (b + 1) / blocks - first;
        for (size_t t = 0; t < count; t++)
            WN(transform)(call, cut, v + t * cut->v_row, d + t * cut->d_row, first + t);
        for (size_t point = 0; point < WP; point++)
            for (size_t panel = 0; panel < FN(wgrad_panels)(s); panel++)
                WN(panel)(s, cut, chunk, point, panel, count, b == 0);
    }
}

static void WN(wgrad_run)(const struct hr_wgrad_call *call, size_t round, size_t first, size_t last)
{
    const struct WN(cut) cut = WN(cut_of)(call->shape, call->n);
    const size_t panels = FN(wgrad_panels)(call->shape);
    for (size_t piece = first; piece < last; piece++)
        if (cut.shared)
            WN(panel)
    (call->shape, &cut, call->parts, piece / panels, piece % panels, WN(round_tiles)(&cut, round),
     round == 0);
    else WN(chunk)(call, &cut, piece);
}

/* ---- The end ---- */

/* The weights of input channel c and VN output channels from k. */
HR_INLINE void WN(weights)(float out[][VN], const struct hr_wgrad_call *call,
                           const struct WN(cut) * cut, size_t c, size_t k)
{
    const struct hr_conv_shape *const s = call->shape;
    VF mid[WR][WE];
    for (size_t j = 0; j < WE; j++) {
        VF u[WE], w[WR];
        for (size_t i = 0; i < WE; i++) {
            const float *const at = call->parts + ((i * WE + j) * s->c + c) * cut->m_row + k;
            u[i] = V_LOADU(at);
            for (size_t q = 1; q < cut->chunks; q++)
                u[i] = V_ADD(u[i], V_LOADU(at + q * cut->chunk_floats));
        }
        WN(weight_1d)(w, u);
        for (size_t r = 0; r < WR; r++)
            mid[r][j] = w[r];
    }
    for (size_t r = 0; r < WR; r++) {
        VF w[WR];
        WN(weight_1d)(w, mid[r]);
        for (size_t q = 0; q < WR; q++)
            V_STORE(out[r * WR + q], w[q]);
    }
}

/* Output channels that pass each input channel: larger, and the lines of dw that are filled 36
 * bytes at a time (16 for a 1x1) leave the caches before they are full; smaller, and M is read a
 * line at a time. */
#define FINISH_VECTORS (WM == 1 ? 1 : 8)
#define FINISH_INPUTS  (WM == 1 ? 4 : 1) /* whole strips of columns of dw */

static void WN(wgrad_finish)(const struct hr_wgrad_call *call, float *dw, size_t first, size_t last)
{
    const struct hr_conv_shape *const s = call->shape;
    const struct WN(cut) cut = WN(cut_of)(s, call->n);
    for (size_t from = first; from < last; from += FINISH_VECTORS * VN) {
        const size_t to = last - from < FINISH_VECTORS * VN ? last : from + FINISH_VECTORS * VN;
        for (size_t c = 0; c < s->c; c += FINISH_INPUTS) {
            const size_t inputs = s->c - c < FINISH_INPUTS ? s->c - c : FINISH_INPUTS;
            for (size_t k = from; k < to; k += VN) {
                float out[FINISH_INPUTS * WR * WR][VN] HR_ALIGNED(64);
                for (size_t i = 0; i < inputs; i++)
                    WN(weights)(out + i * WR * WR, call, &cut, c + i, k);
                FN(lanes_to_columns)
                (dw + (k * s->c + c) * WR * WR, s->c * WR * WR, out, to - k, inputs * WR * WR);
            }
        }
    }
}

static size_t WN(wgrad_floats)(const struct hr_conv_shape *s, size_t n)
{
    size_t floats = 0; /* fewer images may be cut otherwise */
    for (size_t images = 1; images <= n; images++) {
        const struct WN(cut) cut = WN(cut_of)(s, images);
        const size_t need = cut.chunks * cut.chunk_floats;
        floats = need > floats ? need : floats;
    }
    return floats;
}

static bool WN(wgrad_applies)(const struct hr_conv_shape *s)
{
    return s->kernel == WR && s->stride == WS && s->pad == (WM > 1) && s->c <= MAX_C &&
           s->y_stride <= MAX_C && s->x_stride % VN == 0 && s->y_stride % VN == 0;
}

/* Cycles, fitted to a Zen 5 core: products at three quarters of two multiply-adds a cycle, and the
 * transforms of a vector of channels. */
static double WN(wgrad_cost)(const struct hr_conv_shape *s, size_t n)
{
    const struct WN(cut) cut = WN(cut_of)(s, n);
    const double tiles = (double)cut.tiles, k = (double)s->y_stride, c = (double)s->c;
    const double vectors = (c + k) / VN + 1.0;
    const double each = WM == 1 ? 6.0 : WS == 2 ? 60.0 : WM == 4 ? 130.0 : 60.0;
    return WP * tiles * c * k / (1.5 * VN) + tiles * vectors * each +
           (double)(cut.chunks * cut.m_floats) / 4.0;
}

static const struct hr_wgrad_kernel WN(wgrad) = {
    .name = "wgrad_tile" WINO_TEXT "_" ISA_NAME,
    .exact = false,
    .applies = WN(wgrad_applies),
    .cost = WN(wgrad_cost),
    .floats = WN(wgrad_floats),
    .rounds = WN(wgrad_rounds),
    .prepare_pieces = WN(wgrad_prepare_pieces),
    .prepare = WN(wgrad_prepare),
    .pieces = WN(wgrad_pieces),
    .run = WN(wgrad_run),
    .finish = WN(wgrad_finish),
};

#undef SPLIT_BYTES
#undef FINISH_VECTORS
#undef FINISH_INPUTS
#undef WE
#undef WP
#undef WD
#undef WR
#undef WN
#undef WINO_TEXT
#undef WM
#undef WS
