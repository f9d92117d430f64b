/* SPDX-License-Identifier: Apache-2.0
 * Winograd convolution, 3x3 pad 1 on NHWC, written once in vector vocabulary for tiles of WM x WM
 * outputs and stride WS.  Stride 1: F(4,3) with the points 0, +-sqrt 2, +-1/sqrt 2, infinity and
 * F(2,3) with 0, +-1, infinity (Lavin and Gray 2015, arXiv 1509.09308).  Stride 2, two outputs: on
 * each axis the outer taps meet the odd inputs only, which is F(2,2) with 0, 1, infinity, and the
 * middle tap the even ones: 3 + 2 products instead of 6, 25 instead of 36 in the plane (Huang and
 * others 2020, "DWM", arXiv 2002.00552).  Included once per ISA, WM and WS, which it undefines.
 *
 * Letters: e inputs of a tile's side, p one of the e * e points, t tile, c input, k
 * output. A block of tiles becomes V[p][t][c]; every point is a product M[p][t][k] = V[p] U[p]; M
 * goes back to pixels with bias, residual and ReLU.  U is [panel][p][c][k of the panel], made by
 * pack.
 *
 * Vocabulary of the including file: VF, VN, V_LOAD V_STORE V_ADD V_SUB V_MUL V_FMA(a,b,c) = a*b+c
 * V_FNMA(a,b,c) = c-a*b V_MAX V_ZERO V_SET1(float) V_KEEP(v) FN(name); WINO_ROWS tiles and
 * WINO_VECTORS vectors of outputs are what the registers hold.
 *
 * Error against exact arithmetic: below 4e-6 (F4) and 1e-6 (F2, stride 2) of the largest output for
 * activations and weights of usual spread (performance.md 5.1); answers stay within 5e-4. */

#define WE (WS == 2 ? 5 : WM + 2)
#define WP (WE * WE)
#define WG                                                                                 \
    (WS == 2 ? 4 : WE) /* weights of an axis: at stride 2 the last two points share theirs \
                        */
#define WU (WG * WG)
#if WS == 2
#define WN(name)  FN(name##_s2)
#define WINO_TEXT "2_s2"
#elif WM == 4
#define WN(name)  FN(name##_f4)
#define WINO_TEXT "4"
#else
#define WN(name)  FN(name##_f2)
#define WINO_TEXT "2"
#endif
#define WINO_PANEL (WINO_VECTORS * VN)

/* y = B^T x, one dimension. */
HR_INLINE void WN(input_1d)(VF y[WE], const VF x[WE])
{
#if WS == 2
    y[0] = V_SUB(x[0], x[2]);
    y[1] = x[2];
    y[2] = V_SUB(x[2], x[4]);
    y[3] = x[1];
    y[4] = x[3];
#elif WM == 4
    const VF root = V_SET1(1.41421356237309505f), half_root = V_SET1(0.70710678118654752f);
    const VF half = V_SET1(0.5f), two = V_SET1(2.0f), five_halves = V_SET1(2.5f);
    const VF even_a = V_FNMA(half, x[2], x[4]), odd_a = V_FNMA(half, x[1], x[3]);
    const VF even_b = V_FNMA(two, x[2], x[4]), odd_b = V_FNMA(two, x[1], x[3]);
    y[0] = V_FNMA(five_halves, x[2], V_ADD(x[0], x[4]));
    y[1] = V_FMA(root, odd_a, even_a);
    y[2] = V_FNMA(root, odd_a, even_a);
    y[3] = V_FMA(half_root, odd_b, even_b);
    y[4] = V_FNMA(half_root, odd_b, even_b);
    y[5] = V_FNMA(five_halves, x[3], V_ADD(x[1], x[5]));
#else
    y[0] = V_SUB(x[0], x[2]);
    y[1] = V_ADD(x[1], x[2]);
    y[2] = V_SUB(x[2], x[1]);
    y[3] = V_SUB(x[3], x[1]);
#endif
}

/* y = A^T x, one dimension: WE points to WM outputs. */
HR_INLINE void WN(output_1d)(VF y[WM], const VF x[WE])
{
#if WS == 2
    y[0] = V_ADD(x[0], V_ADD(x[1], x[3]));
    y[1] = V_ADD(V_SUB(x[1], x[2]), x[4]);
#elif WM == 4
    const VF root = V_SET1(1.41421356237309505f), half_root = V_SET1(0.70710678118654752f);
    const VF half = V_SET1(0.5f), two = V_SET1(2.0f);
    const VF sum_a = V_ADD(x[1], x[2]), sum_b = V_ADD(x[3], x[4]);
    const VF odd_a = V_MUL(root, V_SUB(x[1], x[2])), odd_b = V_MUL(half_root, V_SUB(x[3], x[4]));
    y[0] = V_ADD(x[0], V_ADD(sum_a, sum_b));
    y[1] = V_ADD(odd_a, odd_b);
    y[2] = V_FMA(two, sum_a, V_MUL(half, sum_b));
    y[3] = V_FMA(two, odd_a, V_FMA(half, odd_b, x[5]));
#else
    y[0] = V_ADD(x[0], V_ADD(x[1], x[2]));
    y[1] = V_ADD(V_SUB(x[1], x[2]), x[3]);
#endif
}

/* One vector of channels of one tile, or of tiles of one channel: WP inputs at d[p] + c to V. */
HR_INLINE void WN(input_tile)(float *v, size_t v_plane, const float *const *d, size_t c)
{
    VF mid[WE][WE];
    for (int j = 0; j < WE; j++) {
        VF in[WE], out[WE];
        for (int i = 0; i < WE; i++)
            in[i] = V_LOADU(d[i * WE + j] + c);
        WN(input_1d)(out, in);
        for (int i = 0; i < WE; i++)
            mid[i][j] = out[i];
    }
    for (int i = 0; i < WE; i++) {
        VF out[WE];
        WN(input_1d)(out, mid[i]);
        for (int j = 0; j < WE; j++)
            V_STORE(v + (size_t)(i * WE + j) * v_plane, out[j]);
    }
}

/* Tile `index` of the run (images in turn, rows in turn). */
struct WN(tile) {
    size_t image, y, x; /* of the first output */
};

HR_INLINE struct WN(tile) WN(tile_at)(const struct hr_conv_shape *s, size_t index)
{
    const size_t across = (s->ow + WM - 1) / WM, down = (s->oh + WM - 1) / WM;
    const size_t in_image = index % (across * down);
    return (struct WN(tile)){ index / (across * down), in_image / across * WM,
                              in_image % across * WM };
}

/* Pointers to the WE x WE inputs of a tile; those outside the plane point to zeros. */
static void WN(tile_inputs)(const float *d[WP], const struct hr_conv_call *call,
                            struct WN(tile) tile, const float *zeros)
{
    const struct hr_conv_shape *s = call->shape;
    const float *plane = call->x + tile.image * s->h * s->w * s->x_stride;
    for (size_t i = 0; i < WE; i++) {
        const size_t y = tile.y * WS + i - 1; /* wraps below zero, so one comparison does */
        for (size_t j = 0; j < WE; j++) {
            const size_t x = tile.x * WS + j - 1;
            d[i * WE + j] = y < s->h && x < s->w ? plane + (y * s->w + x) * s->x_stride : zeros;
        }
    }
}

static size_t WN(tile_count)(const struct hr_conv_shape *s, size_t n)
{
    return n * ((s->ow + WM - 1) / WM) * ((s->oh + WM - 1) / WM);
}

/* A run of few tiles and many weights is one block whose V all tasks share: first (prepare) they
 * transform its tiles, then they split its products, so that each byte of U is read once.  Other
 * runs are split by tiles, and each task goes through its blocks alone.  Above 64 tiles a shared V
 * leaves L2; below 400 KB of U reading it twice is cheaper than V of another core. */
static bool WN(shared)(const struct hr_conv_shape *s, size_t n)
{
    const size_t u_bytes = WU * s->c * hr_round_up(s->k, VN) * sizeof(float);
    return WN(tile_count)(s, n) <= 64 && u_bytes >= (size_t)400 << 10;
}

/* Sizes of a block's scratch: V [p][tile][c], M [p][tile][k of a panel], a row of zeros. */
struct WN(layout) {
    size_t block, c_stride;  /* tiles; floats of a tile's row in V */
    size_t v_plane, m_plane; /* floats from point to point */
    size_t v_floats, m_floats;
};

/* V of a block of its own should leave half of a 512 KiB L2 to U and M; below 16 tiles U is read
 * too often.  Stride 2 has more channels and fewer tiles: there U counts for more, measured. */
static struct WN(layout) WN(layout_of)(const struct hr_conv_shape *s, size_t n)
{
    const size_t tiles = WN(tile_count)(s, n);
    struct WN(layout) l = { .c_stride = hr_round_up(s->c, VN), .block = tiles };
    if (!WN(shared)(s, n)) {
        l.block = (size_t)(WS == 2 ? 512 : 192) * 1024 / sizeof(float) / (WP * l.c_stride);
        l.block = l.block < 16 * WS ? 16 * WS : l.block > 64 ? 64 : l.block;
    }
    /* The odd 16 floats keep the planes of a block off the same cache sets. */
    l.v_plane = l.block * l.c_stride + 16;
    l.m_plane = l.block * WINO_PANEL + 16;
    l.v_floats = WP * l.v_plane + hr_round_up(l.c_stride, 16); /* and the zeros */
    l.m_floats = WP * l.m_plane;
    return l;
}

static void WN(input_block)(const struct hr_conv_call *call, const struct WN(layout) * l, float *v,
                            const float *zeros, size_t first, size_t count)
{
    const float *d[WP];
    for (size_t t = 0; t < count; t++) {
        WN(tile_inputs)(d, call, WN(tile_at)(call->shape, first + t), zeros);
        for (size_t c = 0; c < l->c_stride; c += VN)
            WN(input_tile)(v + t * l->c_stride + c, l->v_plane, d, c);
    }
}

/* M[rows][vectors * VN] = V[rows][c] U[c][vectors * VN]; fetches *ahead of the next product. */
HR_INLINE void WN(product_tile)(float *m, const float *v, size_t v_stride, const float *u,
                                size_t channels, const int rows, const int vectors,
                                const char *ahead, size_t ahead_step)
{
    VF acc[WINO_ROWS][WINO_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int q = 0; q < vectors; q++)
            acc[r][q] = V_ZERO();
    for (size_t c = 0; c < channels; c++) {
        VF w[WINO_VECTORS];
        for (int q = 0; q < vectors; q++) {
            w[q] = V_LOAD(u + q * VN);
            V_KEEP(w[q]);
        }
        __builtin_prefetch(ahead, 0, 2);
        ahead += ahead_step;
        for (int r = 0; r < rows; r++) {
            const VF x = V_SET1(v[(size_t)r * v_stride + c]);
            for (int q = 0; q < vectors; q++)
                acc[r][q] = V_FMA(x, w[q], acc[r][q]);
        }
        u += vectors * VN;
    }
    for (int r = 0; r < rows; r++)
        for (int q = 0; q < vectors; q++)
            V_STORE(m + r * WINO_PANEL + q * VN, acc[r][q]);
}

/* As many rows as asked, 1 to WINO_ROWS, each number of them a loop of its own. */
HR_INLINE void WN(product_rows)(float *m, const float *v, size_t v_stride, const float *u,
                                size_t channels, size_t rows, const int vectors, const char *ahead,
                                size_t step)
{
#define ROWS(count)                                                                          \
    case count:                                                                              \
        WN(product_tile)                                                                     \
        (m, v, v_stride, u, channels, count < WINO_ROWS ? count : WINO_ROWS, vectors, ahead, \
         step);                                                                              \
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
    }
#undef ROWS
}

/* Groups of tiles of a product: 49 tiles are seven groups of seven, not six of eight and one. */
static size_t WN(group_count)(size_t tiles)
{
    return (tiles + WINO_ROWS - 1) / WINO_ROWS;
}

HR_INLINE void WN(product)(float *m, const float *v, const struct WN(layout) * l, const float *u,
                           size_t channels, size_t count, const int vectors)
{
    const size_t groups = WN(group_count)(count);
    const size_t u_bytes = channels * (size_t)vectors * VN * sizeof(float);
    const char *ahead = (const char *)u + u_bytes;
    const size_t step = ((size_t)vectors * VN * sizeof(float) + groups - 1) / groups;
    for (size_t g = 0; g < groups; g++) {
        const size_t t = count * g / groups, rows = count * (g + 1) / groups - t;
        WN(product_rows)
        (m + t * WINO_PANEL, v + t * l->c_stride, l->c_stride, u, channels, rows, vectors, ahead,
         step);
        ahead += step * channels;
    }
}

/* WP vectors of M to WM x WM vectors of outputs. */
HR_INLINE void WN(output_points)(VF y[WM][WM], const float *m, size_t m_plane)
{
    VF mid[WM][WE];
    for (int j = 0; j < WE; j++) {
        VF in[WE], out[WM];
        for (int i = 0; i < WE; i++)
            in[i] = V_LOAD(m + (size_t)(i * WE + j) * m_plane);
        WN(output_1d)(out, in);
        for (int i = 0; i < WM; i++)
            mid[i][j] = out[i];
    }
    for (int i = 0; i < WM; i++)
        WN(output_1d)(y[i], mid[i]);
}

/* M of one tile and vector to pixels. */
HR_INLINE void WN(output_tile)(const struct hr_conv_call *call, struct WN(tile) tile, size_t k,
                               const float *m, size_t m_plane, const float *bias)
{
    const struct hr_conv_shape *s = call->shape;
    VF out[WM][WM];
    WN(output_points)(out, m, m_plane);
    const VF b = V_LOAD(bias + k), zero = V_ZERO();
    const size_t columns = s->ow - tile.x < WM ? s->ow - tile.x : WM;
    for (size_t i = 0; i < WM && tile.y + i < s->oh; i++) {
        const size_t at = ((tile.image * s->oh + tile.y + i) * s->ow + tile.x) * s->y_stride + k;
        for (size_t j = 0; j < columns; j++) {
            VF y = V_ADD(out[i][j], b);
            if (call->residual)
                y = V_ADD(V_LOAD(call->residual + at + j * s->y_stride), y);
            if (s->relu)
                y = V_MAX(y, zero);
            V_STORE(call->y + at + j * s->y_stride, y);
        }
    }
}

/* Zeros in the lanes of a tile's pixels that no vector of outputs covers. */
static void WN(clear_padding)(const struct hr_conv_call *call, struct WN(tile) tile)
{
    const struct hr_conv_shape *s = call->shape;
    const size_t k = hr_round_up(s->k, VN);
    for (size_t y = tile.y; k < s->y_stride && y < tile.y + WM && y < s->oh; y++)
        for (size_t x = tile.x; x < tile.x + WM && x < s->ow; x++)
            memset(call->y + ((tile.image * s->oh + y) * s->ow + x) * s->y_stride + k, 0,
                   (s->y_stride - k) * sizeof(float));
}

/* Outputs are cut into panels of equal vectors, as far as that goes: four are 2 + 2, not 3 + 1. */
static size_t WN(panel_count)(const struct hr_conv_shape *s)
{
    return (hr_round_up(s->k, VN) + WINO_PANEL - 1) / WINO_PANEL;
}

/* First output of a panel. */
static size_t WN(panel_start)(const struct hr_conv_shape *s, size_t panel)
{
    return hr_round_up(s->k, VN) / VN * panel / WN(panel_count)(s) * VN;
}

HR_INLINE void WN(panel_points)(const struct WN(layout) * l, float *m, const float *v,
                                const float *u, size_t channels, size_t count, const int vectors)
{
    for (size_t p = 0; p < WP; p++) {
        const size_t i = p / WE, j = p % WE;
        const size_t weight = (i < WG ? i : WG - 1) * WG + (j < WG ? j : WG - 1);
        WN(product)
        (m + p * l->m_plane, v + p * l->v_plane, l, u + weight * channels * (size_t)vectors * VN,
         channels, count, vectors);
    }
}

/* All products and outputs of one panel for a block of tiles already in V. */
static void WN(panel_block)(const struct hr_conv_call *call, const struct WN(layout) * l,
                            const float *v, float *m, size_t panel, size_t first, size_t count)
{
    const struct hr_conv_shape *s = call->shape;
    const size_t k0 = WN(panel_start)(s, panel);
    const size_t vectors = (WN(panel_start)(s, panel + 1) - k0) / VN;
    /* Packed weights: bias [k rounded up to VN], then the panels of U. */
    const float *u = (const float *)call->packed + hr_round_up(s->k, VN) + k0 * WU * s->c;
    if (vectors == 1)
        WN(panel_points)(l, m, v, u, s->c, count, 1);
    else if (vectors == 2)
        WN(panel_points)(l, m, v, u, s->c, count, 2);
    else
        WN(panel_points)(l, m, v, u, s->c, count, WINO_VECTORS);
    for (size_t t = 0; t < count; t++) {
        const struct WN(tile) tile = WN(tile_at)(s, first + t);
        for (size_t q = 0; q < vectors; q++)
            WN(output_tile)
        (call, tile, k0 + q * VN, m + t * WINO_PANEL + q * VN, l->m_plane, call->packed);
        if (k0 + vectors * VN == hr_round_up(s->k, VN))
            WN(clear_padding)(call, tile);
    }
}

static size_t WN(scratch_bytes)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    /* A smaller n may be shared where n is not; both must fit. */
    size_t floats = 0;
    for (size_t images = n; images >= 1;
         images = images > 1 && !WN(shared)(s, images) ? images - 1 : 0) {
        const struct WN(layout) l = WN(layout_of)(s, images);
        const size_t need = WN(shared)(s, images) ? l.v_floats + threads * l.m_floats
                                                  : threads * (l.v_floats + l.m_floats);
        floats = need > floats ? need : floats;
    }
    return hr_round_up(floats * sizeof(float), 64);
}

static size_t WN(prepare_tasks)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    const size_t tiles = WN(tile_count)(s, n);
    if (!WN(shared)(s, n))
        return 0;
    return tiles < threads ? tiles : threads;
}

static void WN(prepare)(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    const struct WN(layout) l = WN(layout_of)(call->shape, call->n);
    const size_t tiles = WN(tile_count)(call->shape, call->n);
    const size_t first = tiles * task / task_count, end = tiles * (task + 1) / task_count;
    /* Every task needs zeros before it starts: each writes the same ones into its own M. */
    float *v = call->scratch, *zeros = v + l.v_floats + task * l.m_floats;
    memset(zeros, 0, l.c_stride * sizeof(float));
    WN(input_block)(call, &l, v + first * l.c_stride, zeros, first, end - first);
}

static size_t WN(tasks)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    const size_t groups = WN(group_count)(WN(tile_count)(s, n));
    const size_t pieces = WN(shared)(s, n) ? groups * WN(panel_count)(s) : groups;
    return pieces < threads ? pieces : threads;
}

/* Tiles of a panel that part `task` begins with, where a tile of a vector is one of the equal
 * pieces of the shared block; the panel's tiles for all parts before it are done. */
static size_t WN(first_tile)(const struct hr_conv_shape *s, size_t tiles, size_t panel, size_t task,
                             size_t task_count)
{
    const size_t start = WN(panel_start)(s, panel) / VN;
    const size_t vectors = WN(panel_start)(s, panel + 1) / VN - start;
    const size_t piece = hr_round_up(s->k, VN) / VN * tiles * task / task_count;
    const size_t before = start * tiles;
    if (piece <= before)
        return 0;
    return piece - before < vectors * tiles ? (piece - before) / vectors : tiles;
}

/* The tiles of each panel from this part's first to the next part's. */
static void WN(run_shared)(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    const struct hr_conv_shape *s = call->shape;
    const struct WN(layout) l = WN(layout_of)(s, call->n);
    const size_t tiles = WN(tile_count)(s, call->n);
    const float *v = call->scratch;
    float *m = (float *)call->scratch + l.v_floats + task * l.m_floats;
    for (size_t panel = 0; panel < WN(panel_count)(s); panel++) {
        const size_t first = WN(first_tile)(s, tiles, panel, task, task_count);
        const size_t end = WN(first_tile)(s, tiles, panel, task + 1, task_count);
        if (first < end)
            WN(panel_block)(call, &l, v + first * l.c_stride, m, panel, first, end - first);
    }
}

static void WN(run_split)(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    const struct hr_conv_shape *s = call->shape;
    const struct WN(layout) l = WN(layout_of)(s, call->n);
    const size_t tiles = WN(tile_count)(s, call->n);
    float *v = (float *)call->scratch + task * (l.v_floats + l.m_floats);
    float *zeros = v + WP * l.v_plane, *m = v + l.v_floats;
    memset(zeros, 0, l.c_stride * sizeof(float));
    const size_t begin = tiles * task / task_count, end = tiles * (task + 1) / task_count;
    const size_t blocks = (end - begin + l.block - 1) / l.block;
    for (size_t b = 0; b < blocks; b++) {
        const size_t first = begin + (end - begin) * b / blocks;
        const size_t count = begin + (end - begin) * (b + 1) / blocks - first;
        WN(input_block)(call, &l, v, zeros, first, count);
        for (size_t panel = 0; panel < WN(panel_count)(s); panel++)
            WN(panel_block)(call, &l, v, m, panel, first, count);
    }
}

static void WN(run)(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    if (WN(shared)(call->shape, call->n))
        WN(run_shared)(call, task, task_count);
    else
        WN(run_split)(call, task, task_count);
}

/* Products, and each operation of input_1d and output_1d, which run 2 * WE and WE + WM times. */
static double WN(work)(const struct hr_conv_shape *s, size_t n)
{
    const double input = 2 * WE * (WS == 2 ? 2 : WM == 4 ? 12 : 4);
    const double output = (WE + WM) * (WS == 2 || WM == 2 ? 4 : 13);
    const double c = (double)s->c, k = (double)s->k;
    return (double)WN(tile_count)(s, n) * (WP * c * k + input * c + output * k);
}

/* Cycles, measured on Zen 3: products at 88 % of two multiply-adds a cycle or weights at 7 bytes a
 * cycle, and 150 cycles (F2: 55, stride 2: 75) for each transform of a vector of channels. */
static double WN(cost)(const struct hr_conv_shape *s, size_t n)
{
    const double tiles = (double)WN(tile_count)(s, n), k = (double)hr_round_up(s->k, VN);
    const double products = WP * tiles * (double)s->c * k / (2 * VN * 0.88);
    const double weights = WU * (double)s->c * k * sizeof(float) / 7;
    const double vectors = ((double)hr_round_up(s->c, VN) + k) / VN;
    return (products > weights ? products : weights) + tiles * vectors *
                                                           (WS == 2   ? 75
                                                            : WM == 4 ? 150
                                                                      : 55);
}

static bool WN(applies)(const struct hr_conv_shape *s)
{
    /* At stride 2 and 7x7 outputs the gain is below a tenth, and not worth weights 16 / 9 the size
     * of the largest layers. */
    return s->kernel == 3 && s->stride == WS && s->pad == 1 && s->c >= 8 && s->x_stride % VN == 0 &&
           s->y_stride % VN == 0 && (WS == 1 || s->oh * s->ow > 64);
}

static size_t WN(packed_bytes)(const struct hr_conv_shape *s)
{
    const size_t k = hr_round_up(s->k, VN);
    return hr_round_up((k + k * WU * s->c) * sizeof(float), 64);
}

#if WS == 2
static const double WN(g)[WG][3] = { { 1, 0, 0 }, { 1, 0, 1 }, { 0, 0, 1 }, { 0, 1, 0 } };
#elif WM == 4
#define ROOT 1.41421356237309505
static const double WN(g)[WG][3] = { { 1, 0, 0 },
                                     { 1 / 6.0, ROOT / 6, 2 / 6.0 },
                                     { 1 / 6.0, -ROOT / 6, 2 / 6.0 },
                                     { -1 / 1.5, -ROOT / 3, -0.5 / 1.5 },
                                     { -1 / 1.5, ROOT / 3, -0.5 / 1.5 },
                                     { 0, 0, 1 } };
#undef ROOT
#else
static const double
    WN(g)[WG][3] = { { 1, 0, 0 }, { 0.5, 0.5, 0.5 }, { 0.5, -0.5, 0.5 }, { 0, 0, 1 } };
#endif

/* U = G w G^T times scale of channel c and the VN outputs from k (zeros past the last), in double,
 * rounded once; u is written from point to point at u_point floats. */
static void WN(weight_vector)(float *u, size_t u_point, const struct hr_conv_shape *shape,
                              const float *weights, const float *scale, size_t k, size_t c)
{
    double w[9][VN] = { { 0.0 } }, mid[WG][3][VN];
    for (size_t j = 0; j < VN && k + j < shape->k; j++) {
        const double factor = scale ? (double)scale[k + j] : 1.0;
        const float *const from = weights + ((k + j) * shape->c + c) * 9;
        for (size_t t = 0; t < 9; t++)
            w[t][j] = (double)from[t] * factor;
    }
    for (int i = 0; i < WG; i++)
        for (int s = 0; s < 3; s++)
            for (int j = 0; j < VN; j++)
                mid[i][s][j] =
                    WN(g)[i][0] * w[s][j] + WN(g)[i][1] * w[3 + s][j] + WN(g)[i][2] * w[6 + s][j];
    for (int i = 0; i < WG; i++)
        for (int q = 0; q < WG; q++, u += u_point)
            for (int j = 0; j < VN; j++)
                u[j] = (float)(mid[i][0][j] * WN(g)[q][0] + mid[i][1][j] * WN(g)[q][1] +
                               mid[i][2][j] * WN(g)[q][2]);
}

/* Vectors of outputs are the parts. */
static void WN(pack)(void *packed, const struct hr_conv_shape *s, const float *w,
                     const float *scale, const float *bias, size_t task, size_t task_count)
{
    const size_t k_padded = hr_round_up(s->k, VN), vectors = k_padded / VN;
    for (size_t k = vectors * task / task_count * VN; k < vectors * (task + 1) / task_count * VN;
         k += VN) {
        size_t panel = 0;
        while (WN(panel_start)(s, panel + 1) <= k)
            panel++;
        const size_t k0 = WN(panel_start)(s, panel), width = WN(panel_start)(s, panel + 1) - k0;
        float *u = (float *)packed + k_padded + k0 * WU * s->c + k - k0;
        for (size_t j = k; j < k + VN; j++)
            ((float *)packed)[j] = j < s->k && bias ? bias[j] : 0.0f;
        for (size_t c = 0; c < s->c; c++, u += width)
            WN(weight_vector)(u, s->c * width, s, w, scale, k, c);
    }
}

static const struct hr_conv_kernel WN(conv_winograd) = {
    .name = "conv_winograd_f" WINO_TEXT "_" ISA_NAME,
    .x_layout = HR_LAYOUT_NHWC,
    .y_layout = HR_LAYOUT_NHWC,
    .exact = false,
    .applies = WN(applies),
    .work = WN(work),
    .cost = WN(cost),
    .packed_bytes = WN(packed_bytes),
    .pack = WN(pack),
    .scratch_bytes = WN(scratch_bytes),
    .prepare_tasks = WN(prepare_tasks),
    .prepare = WN(prepare),
    .tasks = WN(tasks),
    .run = WN(run),
};

#undef WE
#undef WP
#undef WG
#undef WU
#undef WN
#undef WINO_TEXT
#undef WINO_PANEL
#undef WM
#undef WS
