/* SPDX-License-Identifier: Apache-2.0
 * The register tile under every convolution and linear layer: P pixels x V vectors of output
 * channels, and the measure of how fast that can be.
 *
 * Vocabulary: VF, VN; V_LOAD V_STORE (aligned) V_STOREU; V_BROADCAST(p) V_SET1 V_FMA(x, w, a) =
 * x * w + a, V_ADD V_MAX V_ZERO(); V_KEEP(v), which keeps v in a register: the compiler must not
 * fold its load into each use; FN(name).  TILE_1, TILE_2, TILE_3 are the pixels of a tile 1, 2, 3
 * vectors wide, TILE_MAX the largest; PEAK_CHAINS multiply-adds are in flight at once.
 *
 * A `step` is one input channel of one tap: V loads of weights, P broadcasts, P * V fused
 * multiply-adds.  Whatever the tile, an output's sum is one chain in the order of its steps. */

/* One tap of a tile: where its weights begin, and each pixel's channels. */
struct tap {
    size_t weight;              /* floats from the panel's first weight */
    uintptr_t offset[TILE_MAX]; /* bytes from the pixel's base */
};

/* `repeat` tiles in a row that differ only in where they begin. */
struct tile {
    size_t repeat, advance; /* bytes from the bases of one to the next */
    const struct tap *taps;
    size_t tap_count, c;
    bool alike;                    /* c is 1 and each tap has one offset for all pixels */
    uintptr_t base[TILE_MAX];      /* of each pixel; offsets wrap around, to reach the zeros */
    const float *weights;          /* the panel's */
    const float *start;            /* accumulators: bias [V], or partial [P][V] */
    size_t start_step;             /* floats from pixel to pixel of start: 0, or V * VN */
    float *partial;                /* where accumulators go unless this chunk is the last */
    float *y;                      /* first pixel, first channel of the panel */
    const float *residual;         /* as y; NULL without */
    size_t y_stride, count;        /* count <= P pixels are stored */
    size_t pad_vectors;            /* vectors of zeros to store after the panel's */
    const char *fetch, *fetch_end; /* weights to prefetch meanwhile */
    size_t fetch_every;            /* one cache line every so many steps */
    bool relu;
};

HR_INLINE void FN(conv_steps)(size_t P, size_t V, VF acc[][3], const float *const *x,
                              const float *w, size_t count)
{
    for (size_t c = 0; c < count; c++, w += V * VN) {
        VF wv[3];
        HR_UNROLL
        for (size_t v = 0; v < V; v++) {
            wv[v] = V_LOAD(w + v * VN);
            V_KEEP(wv[v]);
        }
        HR_UNROLL
        for (size_t p = 0; p < P; p++) {
            const VF xv = V_BROADCAST(x[p] + c);
            HR_UNROLL
            for (size_t v = 0; v < V; v++)
                acc[p][v] = V_FMA(xv, wv[v], acc[p][v]);
        }
    }
}

HR_INLINE void FN(conv_taps)(size_t P, size_t V, VF acc[][3], const struct tile *t,
                             const uintptr_t *base, bool fetching, const char **fetch)
{
    for (size_t i = 0; i < t->tap_count; i++) {
        const float *x[TILE_MAX];
        const float *w = t->weights + t->taps[i].weight;
        HR_UNROLL
        for (size_t p = 0; p < P; p++)
            x[p] = (const float *)(base[p] + t->taps[i].offset[p]);
        size_t left = t->c;
        for (; fetching && left > t->fetch_every; left -= t->fetch_every) {
            __builtin_prefetch(*fetch, 0, 2);
            *fetch = *fetch < t->fetch_end ? *fetch + 64 : *fetch;
            FN(conv_steps)(P, V, acc, x, w, t->fetch_every);
            HR_UNROLL
            for (size_t p = 0; p < P; p++)
                x[p] += t->fetch_every;
            w += t->fetch_every * V * VN;
        }
        FN(conv_steps)(P, V, acc, x, w, left);
    }
}

/* Taps of one channel: nothing to loop over, so offsets stay in the addresses. */
HR_INLINE void FN(conv_taps_alike)(size_t P, size_t V, VF acc[][3], const struct tile *t,
                                   const uintptr_t *base)
{
    const struct tap *tap = t->taps, *const end = tap + t->tap_count;
    for (const float *w = t->weights + tap->weight; tap < end; tap++, w += V * VN) {
        VF wv[3];
        HR_UNROLL
        for (size_t v = 0; v < V; v++) {
            wv[v] = V_LOAD(w + v * VN);
            V_KEEP(wv[v]);
        }
        const uintptr_t offset = tap->offset[0];
        HR_UNROLL
        for (size_t p = 0; p < P; p++) {
            const VF xv = V_BROADCAST((const float *)(base[p] + offset));
            HR_UNROLL
            for (size_t v = 0; v < V; v++)
                acc[p][v] = V_FMA(xv, wv[v], acc[p][v]);
        }
    }
}

HR_INLINE void FN(conv_store)(size_t P, size_t V, VF acc[][3], const struct tile *t, float *y,
                              const float *r, bool residual, bool relu)
{
    HR_UNROLL
    for (size_t p = 0; p < P; p++) {
        if (p >= t->count)
            break;
        HR_UNROLL
        for (size_t v = 0; v < V; v++) {
            VF value = V_ADD(acc[p][v], V_ZERO());
            if (residual)
                value = V_ADD(V_LOAD(r + p * t->y_stride + v * VN), value);
            V_STORE(y + p * t->y_stride + v * VN, relu ? V_MAX(value, V_ZERO()) : value);
        }
    }
    for (size_t v = 0; v < t->pad_vectors; v++)
        for (size_t p = 0; p < t->count; p++)
            V_STORE(y + p * t->y_stride + (V + v) * VN, V_ZERO());
}

/* The end of tile number i of a row: to where it waits for the next chunk, or to y. */
HR_INLINE void FN(conv_finish)(size_t P, size_t V, VF acc[][3], const struct tile *t, size_t i)
{
    if (t->partial) {
        float *const partial = t->partial + i * P * V * VN;
        HR_UNROLL
        for (size_t p = 0; p < P; p++)
            HR_UNROLL
        for (size_t v = 0; v < V; v++)
            V_STORE(partial + (p * V + v) * VN, acc[p][v]);
        return;
    }
    const size_t out = i * P * t->y_stride;
    float *const y = t->y + out;
    if (t->residual && t->relu)
        FN(conv_store)(P, V, acc, t, y, t->residual + out, true, true);
    else if (t->residual)
        FN(conv_store)(P, V, acc, t, y, t->residual + out, true, false);
    else if (t->relu)
        FN(conv_store)(P, V, acc, t, y, NULL, false, true);
    else
        FN(conv_store)(P, V, acc, t, y, NULL, false, false);
}

/* P x V tiles; returns how far prefetching came. */
HR_INLINE const char *FN(conv_tile)(size_t P, size_t V, const struct tile *t)
{
    const char *fetch = t->fetch;
    uintptr_t base[TILE_MAX];
    HR_UNROLL
    for (size_t p = 0; p < P; p++)
        base[p] = t->base[p];
    for (size_t i = 0; i < t->repeat; i++) {
        VF acc[TILE_MAX][3];
        const float *const start = t->start + i * P * t->start_step;
        HR_UNROLL
        for (size_t p = 0; p < P; p++)
            HR_UNROLL
        for (size_t v = 0; v < V; v++)
            acc[p][v] = V_LOAD(start + p * t->start_step + v * VN);
        if (t->alike)
            FN(conv_taps_alike)(P, V, acc, t, base);
        else if (fetch < t->fetch_end)
            FN(conv_taps)(P, V, acc, t, base, true, &fetch);
        else
            FN(conv_taps)(P, V, acc, t, base, false, &fetch);
        FN(conv_finish)(P, V, acc, t, i);
        HR_UNROLL
        for (size_t p = 0; p < P; p++)
            base[p] += t->advance;
    }
    return fetch;
}

static HR_NOINLINE const char *FN(conv_tile_1)(const struct tile *t)
{
    return FN(conv_tile)(TILE_1, 1, t);
}
static HR_NOINLINE const char *FN(conv_tile_2)(const struct tile *t)
{
    return FN(conv_tile)(TILE_2, 2, t);
}
static HR_NOINLINE const char *FN(conv_tile_3)(const struct tile *t)
{
    return FN(conv_tile)(TILE_3, 3, t);
}

static HR_NOINLINE const char *FN(conv_short_1)(const struct tile *t)
{
    return FN(conv_tile)(TILE_1 - 1, 1, t);
}
static HR_NOINLINE const char *FN(conv_short_2)(const struct tile *t)
{
    return FN(conv_tile)(TILE_2 - 1, 2, t);
}
static HR_NOINLINE const char *FN(conv_short_3)(const struct tile *t)
{
    return FN(conv_tile)(TILE_3 - 1, 3, t);
}

/* By vectors of the panel.  `run_short` is one pixel less: 49 pixels are 10 tiles of four and three
 * of three, not 13 of four. */
static const struct {
    size_t pixels;
    const char *(*run)(const struct tile *t);
    const char *(*run_short)(const struct tile *t);
} FN(conv_tiles)[4] = {
    { 0, 0, 0 },
    { TILE_1, FN(conv_tile_1), FN(conv_short_1) },
    { TILE_2, FN(conv_tile_2), FN(conv_short_2) },
    { TILE_3, FN(conv_tile_3), FN(conv_short_3) },
};

/* Independent chains that keep the multiply-add units busy. */
static double FN(fma_peak)(size_t iterations, float *sink)
{
    VF acc[PEAK_CHAINS];
    const VF half = V_SET1(0.5f);
    HR_UNROLL
    for (size_t j = 0; j < PEAK_CHAINS; j++)
        acc[j] = V_ZERO();
    for (size_t i = 0; i < iterations; i++) {
        HR_UNROLL
        for (size_t j = 0; j < PEAK_CHAINS; j++) {
            acc[j] = V_FMA(acc[j], half, half);
            V_KEEP(acc[j]);
        }
    }
    float lanes[VN];
    HR_UNROLL
    for (size_t j = 0; j < PEAK_CHAINS; j++) {
        V_STOREU(lanes, acc[j]);
        *sink += lanes[j % VN];
    }
    return PEAK_CHAINS * 2.0 * VN * (double)iterations;
}

/* Eight chains: an addition's four cycles at two loads a cycle. */
static float FN(read_all)(const float *x, size_t count)
{
    VF sum[8];
    HR_UNROLL
    for (size_t j = 0; j < 8; j++)
        sum[j] = V_ZERO();
    for (size_t i = 0; i + 8 * VN <= count; i += 8 * VN) {
        HR_UNROLL
        for (size_t j = 0; j < 8; j++)
            sum[j] = V_ADD(sum[j], V_LOAD(x + i + j * VN));
    }
    float lanes[VN], all = 0.0f;
    HR_UNROLL
    for (size_t j = 0; j < 8; j++) {
        V_STOREU(lanes, sum[j]);
        for (size_t i = 0; i < VN; i++)
            all += lanes[i];
    }
    return all;
}
