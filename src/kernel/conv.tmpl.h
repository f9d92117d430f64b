/* SPDX-License-Identifier: Apache-2.0
 * Direct convolution, output channels in the vector lanes: one body for every kernel size, stride
 * and plane, on the tiles of tile.tmpl.h.
 *
 * The idea.  Pixels of all images are numbered in one row.  A tile is a few successive ones, no
 * matter where rows or images end: for each tap it has an offset per pixel, and taps outside the
 * plane lead to zeros, or are left out if they are outside for all.  So there are no borders in
 * memory and any plane size fits.  The output channels are cut into panels of up to three vectors;
 * a panel's weights lie in the order in which a tile reads them.
 *
 * Letters as in conv.h; P pixels of a tile, V vectors of a panel. */

#define MAX_TAPS 64

/* Of the second-level cache of 512 KiB (Zen; Intel has more): a panel and the next one being
 * fetched, and the pixels that pass by. */
#define CHUNK_BYTES ((size_t)112 << 10) /* larger: the next chunk pushes out this one */
#define BLOCK_BYTES ((size_t)192 << 10) /* larger: panels re-read pixels from the third level */
#define SMALL_BYTES ((size_t)256 << 10) /* weights that stay in the second level with a block */

/* How a convolution is cut up; follows from its shape. */
struct cut {
    size_t pixels;          /* of the run, n * oh * ow */
    size_t vectors, panels; /* of the output channels */
    size_t taps, tap_c;     /* taps and channels a tap; the stem takes each channel as a tap */
    size_t block;           /* pixels that pass all panels before the next pixels do */
    size_t chunk_taps;      /* taps of a panel that all pixels of a block pass before the next */
};

static size_t FN(panel_start)(const struct cut *cut, size_t panel)
{
    return cut->vectors * panel / cut->panels;
}
static size_t FN(panel_vectors)(const struct cut *cut, size_t panel)
{
    return FN(panel_start)(cut, panel + 1) - FN(panel_start)(cut, panel);
}
/* Floats of a vector's worth of output channels: bias, then weights. */
static size_t FN(vector_floats)(const struct cut *cut)
{
    return VN * (1 + cut->taps * cut->tap_c);
}

static void FN(cut_make)(struct cut *cut, const struct hr_conv_shape *s, size_t n, bool stem)
{
    const size_t taps = (size_t)(s->kernel * s->kernel);
    cut->pixels = n * s->oh * s->ow;
    cut->vectors = (s->k + VN - 1) / VN;
    cut->panels = (cut->vectors + 2) / 3;
    cut->taps = stem ? taps * s->c : taps;
    cut->tap_c = stem ? 1 : s->c;
    const size_t weight_bytes = cut->vectors * FN(vector_floats)(cut) * sizeof(float);
    const size_t step = BLOCK_STEP;
    const size_t stride = (size_t)s->stride;
    const size_t pixel_bytes =
        (s->x_stride * stride * stride + s->y_stride * (s->residual ? 2 : 1)) * sizeof(float);
    cut->block = hr_round_up(cut->pixels, step);
    if (cut->panels > 1 && weight_bytes <= SMALL_BYTES) {
        const size_t block = BLOCK_BYTES / pixel_bytes / step * step;
        cut->block = block < step ? step : block < cut->block ? block : cut->block;
    }
    cut->chunk_taps = cut->taps;
    const size_t tap_bytes = cut->tap_c * 3 * VN * sizeof(float);
    if (cut->block <= 1024 && weight_bytes > SMALL_BYTES && cut->taps * tap_bytes > CHUNK_BYTES) {
        const size_t fit = CHUNK_BYTES / tap_bytes;
        cut->chunk_taps = fit < 1 ? 1 : fit;
    }
}

/* The input plane, and each tap's place in it. */
struct plane {
    const float *x;
    size_t h, w, oh, ow, kernel, stride, pad, taps;
    size_t pixel, image;     /* floats from pixel to pixel, image to image */
    size_t tap_floats;       /* weights of a tap and one vector: tap_c * VN */
    bool dense;              /* output pixel i reads input pixel i: 1x1, stride 1, no padding */
    size_t offset[MAX_TAPS]; /* floats from a pixel's first tap */
    unsigned char place[MAX_TAPS]; /* r * kernel + s */
};

static void FN(plane_make)(struct plane *plane, const struct hr_conv_call *call, bool stem)
{
    const struct hr_conv_shape *const s = call->shape;
    *plane = (struct plane){ .x = call->x,
                             .h = s->h,
                             .w = s->w,
                             .oh = s->oh,
                             .ow = s->ow,
                             .kernel = (size_t)s->kernel,
                             .stride = (size_t)s->stride,
                             .pad = (size_t)s->pad,
                             .pixel = stem ? 1 : s->x_stride,
                             .image = s->h * s->w * (stem ? s->c : s->x_stride),
                             .tap_floats = (stem ? 1 : s->c) * VN };
    plane->dense = !stem && s->kernel == 1 && s->stride == 1 && s->pad == 0;
    const size_t depth = stem ? s->c : 1;
    for (size_t r = 0; r < plane->kernel; r++)
        for (size_t q = 0; q < plane->kernel; q++)
            for (size_t c = 0; c < depth; c++) {
                const size_t tap = plane->taps++;
                plane->offset[tap] = (r * s->w + q) * plane->pixel + c * s->h * s->w;
                plane->place[tap] = (unsigned char)(r * plane->kernel + q);
            }
}

/* Walks the output pixels in order. */
struct cursor {
    size_t image, oy, ox;
};

static struct cursor FN(cursor_at)(const struct plane *plane, size_t pixel)
{
    const size_t row = pixel / plane->ow;
    return (struct cursor){ row / plane->oh, row % plane->oh, pixel % plane->ow };
}

static void FN(cursor_next)(struct cursor *at, const struct plane *plane)
{
    if (++at->ox < plane->ow)
        return;
    at->ox = 0;
    if (++at->oy < plane->oh)
        return;
    at->oy = 0;
    at->image++;
}

/* What taps outside the plane read. */
#define MAX_C 4096
static const float FN(zeros)[MAX_C];

/* Taps [first, last) of a tile whose taps are all in the plane. */
static void FN(taps_inside)(struct tap *taps, const struct plane *plane, size_t V, size_t first,
                            size_t last)
{
    for (size_t t = first; t < last; t++, taps++) {
        taps->weight = t * plane->tap_floats * V;
        for (size_t p = 0; p < TILE_MAX; p++)
            taps->offset[p] = plane->offset[t] * sizeof(float);
    }
}

/* Which of the kernel's positions, from `at`, are on an axis of `size`: bits. */
HR_INLINE uint64_t FN(axis_mask)(ptrdiff_t at, size_t size, size_t kernel)
{
    const ptrdiff_t room = (ptrdiff_t)size - at;
    const uint64_t all = ((uint64_t)1 << kernel) - 1;
    const uint64_t below = at < 0 ? all << -at : all;
    return room < (ptrdiff_t)kernel ? below & (((uint64_t)1 << room) - 1) : below & all;
}

/* Tiles of P pixels from *at that lie in one row of the output and read only inside the plane; at
 * most `limit`. */
HR_INLINE size_t FN(tiles_inside)(const struct plane *plane, const struct cursor *at, size_t P,
                                  size_t limit)
{
    const size_t stride = plane->stride, kernel = plane->kernel;
    /* A negative edge wraps around and is too large. */
    const size_t top = at->oy * stride - plane->pad, left = at->ox * stride - plane->pad;
    if (top >= plane->h || top + kernel > plane->h || left >= plane->w || left + kernel > plane->w)
        return 0;
    size_t pixels = (plane->w - kernel - left) / stride + 1;
    if (pixels > plane->ow - at->ox)
        pixels = plane->ow - at->ox;
    return pixels / P < limit ? pixels / P : limit;
}

/* Finds the bases of the tile of `count` pixels at *at and moves *at behind it; pixels past count
 * repeat the last one.  masks[p] has a bit for each place of the kernel that is in the plane. */
HR_INLINE void FN(tile_bases)(uintptr_t *base, uint64_t *masks, const struct plane *plane,
                              struct cursor *at, size_t P, size_t count)
{
    const size_t kernel = plane->kernel;
    for (size_t p = 0; p < P; p++) {
        const ptrdiff_t y = (ptrdiff_t)(at->oy * plane->stride - plane->pad);
        const ptrdiff_t x = (ptrdiff_t)(at->ox * plane->stride - plane->pad);
        base[p] = (uintptr_t)plane->x + (at->image * plane->image +
                                         (size_t)(y * (ptrdiff_t)plane->w + x) * plane->pixel) *
                                            sizeof(float);
        const uint64_t rows = FN(axis_mask)(y, plane->h, kernel);
        const uint64_t columns = FN(axis_mask)(x, plane->w, kernel);
        masks[p] = 0;
        for (size_t r = 0; r < kernel; r++)
            masks[p] |= (rows >> r & 1 ? columns : 0) << r * kernel;
        if (p + 1 < count)
            FN(cursor_next)(at, plane);
    }
    FN(cursor_next)(at, plane);
}

/* Taps [first, last) of a tile at the border; returns how many touch the plane. */
HR_INLINE size_t FN(taps_border)(struct tap *taps, const uintptr_t *base, const uint64_t *masks,
                                 const struct plane *plane, size_t P, size_t V, size_t first,
                                 size_t last)
{
    uint64_t any = 0;
    uintptr_t zeros[TILE_MAX];
    for (size_t p = 0; p < P; p++) {
        any |= masks[p];
        zeros[p] = (uintptr_t)FN(zeros) - base[p];
    }
    size_t used = 0;
    for (size_t t = first; t < last; t++) {
        const unsigned place = plane->place[t];
        const uintptr_t offset = plane->offset[t] * sizeof(float);
        taps[used].weight = t * plane->tap_floats * V;
        for (size_t p = 0; p < P; p++)
            taps[used].offset[p] = masks[p] >> place & 1 ? offset : zeros[p];
        used += any >> place & 1;
    }
    return used;
}

/* Where the tiles of a panel of V vectors from *at on read; as many as go in one row, `limit` full
 * ones at most.  Moves *at behind them. */
HR_INLINE void FN(tile_place_p)(struct tile *tile, const struct tap *inside, struct tap *border,
                                const struct plane *plane, struct cursor *at, size_t P, size_t V,
                                size_t first, size_t last, size_t limit)
{
    const size_t step = plane->stride * plane->pixel * sizeof(float);
    tile->repeat = FN(tiles_inside)(plane, at, P, limit);
    tile->advance = P * step;
    if (tile->repeat > 0) {
        const size_t top = at->oy * plane->stride - plane->pad;
        const size_t left = at->ox * plane->stride - plane->pad;
        const uintptr_t base = (uintptr_t)(plane->x + at->image * plane->image +
                                           (top * plane->w + left) * plane->pixel);
        for (size_t p = 0; p < P; p++)
            tile->base[p] = base + p * step;
        tile->taps = inside;
        tile->tap_count = last - first;
        tile->alike = tile->c == 1;
        at->ox += tile->repeat * P - 1;
        FN(cursor_next)(at, plane);
        return;
    }
    uint64_t masks[TILE_MAX];
    FN(tile_bases)(tile->base, masks, plane, at, P, tile->count);
    tile->repeat = 1;
    tile->alike = false;
    tile->taps = border;
    tile->tap_count = FN(taps_border)(border, tile->base, masks, plane, P, V, first, last);
}

/* The same for a plane that is read pixel by pixel. */
static void FN(tile_place_dense)(struct tile *tile, const struct tap *inside,
                                 const struct plane *plane, size_t P, size_t pixel, size_t limit)
{
    const size_t step = plane->pixel * sizeof(float);
    tile->repeat = limit > 0 ? limit : 1;
    tile->advance = P * step;
    tile->taps = inside;
    tile->tap_count = 1;
    for (size_t p = 0; p < P; p++)
        tile->base[p] =
            (uintptr_t)plane->x + (pixel + (p < tile->count ? p : tile->count - 1)) * step;
}

static void FN(tile_place)(struct tile *tile, const struct tap *inside, struct tap *border,
                           const struct plane *plane, struct cursor *at, size_t P, size_t V,
                           size_t pixel, size_t first, size_t last, size_t limit)
{
    if (plane->dense)
        FN(tile_place_dense)(tile, inside, plane, P, pixel, limit);
    else if (P == TILE_3)
        FN(tile_place_p)(tile, inside, border, plane, at, TILE_3, V, first, last, limit);
    else
        FN(tile_place_p)(tile, inside, border, plane, at, P, V, first, last, limit);
}

/* A run of tiles [first, last) of one panel over one block of pixels, all taps. */
struct strip {
    const struct hr_conv_call *call;
    const struct cut *cut;
    const struct plane *plane;
    float *partial; /* [block][3 * VN] */
    size_t block_start, block_pixels, panel, first, last;
    const char *next; /* weights that the next strip begins with, next_bytes of them */
    size_t next_bytes;
};

/* Taps [tap0, tap1) of a strip. */
static void FN(strip_chunk)(const struct strip *strip, size_t tap0, size_t tap1)
{
    const struct cut *const cut = strip->cut;
    const struct hr_conv_shape *const s = strip->call->shape;
    const size_t start = FN(panel_start)(cut, strip->panel);
    const size_t V = FN(panel_vectors)(cut, strip->panel), P = FN(conv_tiles)[V].pixels;
    const float *const packed = (const float *)strip->call->packed + start * FN(vector_floats)(cut);
    const bool to_be_continued = tap1 < cut->taps;
    struct tap inside[MAX_TAPS], border[MAX_TAPS];
    FN(taps_inside)(inside, strip->plane, V, tap0, tap1);
    struct tile tile = { .c = cut->tap_c, .weights = packed + V * VN };
    tile.relu = s->relu;
    tile.y_stride = s->y_stride;
    if (strip->panel + 1 == cut->panels)
        tile.pad_vectors = s->y_stride / VN - cut->vectors;
    const size_t fetch_bytes =
        to_be_continued ? (tap1 - tap0) * cut->tap_c * V * VN * sizeof(float) : strip->next_bytes;
    tile.fetch =
        to_be_continued ? (const char *)(tile.weights + tap1 * cut->tap_c * V * VN) : strip->next;
    tile.fetch_end = tile.fetch + fetch_bytes;
    const size_t steps = (strip->last - strip->first) * (tap1 - tap0) * cut->tap_c;
    const size_t every = fetch_bytes ? steps / (fetch_bytes / 64 + 1) : 64;
    tile.fetch_every = every < 3 ? 3 : every > 64 ? 64 : every;
    const size_t tiles = (strip->block_pixels + P - 1) / P;
    /* The last tiles are short, as many as make the sum right; a plane too small ends in one of
     * fewer pixels. */
    const size_t missing = tiles * P - strip->block_pixels;
    const size_t whole = missing <= tiles ? tiles - missing : tiles;
    struct cursor at = { 0 };
    for (size_t i = strip->first; i < strip->last; i += tile.repeat) {
        const bool is_short = i >= whole;
        const size_t size = is_short ? P - 1 : P, end = is_short ? tiles : whole;
        const size_t in_block = is_short ? i * P - (i - whole) : i * P;
        const size_t pixel = strip->block_start + in_block;
        const size_t left = strip->block_pixels - in_block;
        tile.count = left < size ? left : size;
        size_t full = (end < strip->last ? end : strip->last) - i;
        full = left / size < full ? left / size : full;
        if (i == strip->first)
            at = FN(cursor_at)(strip->plane, pixel);
        FN(tile_place)(&tile, inside, border, strip->plane, &at, size, V, pixel, tap0, tap1, full);
        float *const partial = strip->partial ? strip->partial + in_block * V * VN : NULL;
        tile.start = tap0 ? partial : packed;
        tile.start_step = tap0 ? V * VN : 0;
        tile.partial = to_be_continued ? partial : NULL;
        const size_t out = pixel * s->y_stride + start * VN;
        tile.y = strip->call->y + out;
        tile.residual = s->residual ? strip->call->residual + out : NULL;
        tile.fetch = is_short ? FN(conv_tiles)[V].run_short(&tile) : FN(conv_tiles)[V].run(&tile);
    }
}

static size_t FN(block_tiles)(const struct cut *cut, size_t pixels)
{
    size_t tiles = 0;
    for (size_t q = 0; q < cut->panels; q++) {
        const size_t P = FN(conv_tiles)[FN(panel_vectors)(cut, q)].pixels;
        tiles += (pixels + P - 1) / P;
    }
    return tiles;
}

static size_t FN(all_tiles)(const struct cut *cut)
{
    const size_t blocks = cut->pixels / cut->block;
    const size_t rest = cut->pixels - blocks * cut->block;
    return blocks * FN(block_tiles)(cut, cut->block) + FN(block_tiles)(cut, rest);
}

static size_t FN(partial_floats)(const struct cut *cut)
{
    return cut->chunk_taps < cut->taps ? (cut->block + TILE_MAX) * 3 * VN : 0;
}

/* Task t takes tiles [t / count, (t + 1) / count) of one long row: blocks, in a block panels, in a
 * panel tiles.  With one block each weight is read by one task, but for the panels at the cuts. */
static void FN(conv_run)(const struct hr_conv_call *call, size_t task, size_t task_count, bool stem)
{
    struct cut cut;
    struct plane plane;
    FN(cut_make)(&cut, call->shape, call->n, stem);
    FN(plane_make)(&plane, call, stem);
    const size_t all = FN(all_tiles)(&cut), a_block = FN(block_tiles)(&cut, cut.block);
    const size_t last = all * (task + 1) / task_count;
    size_t at = all * task / task_count;
    struct strip strip = { .call = call, .cut = &cut, .plane = &plane };
    if (cut.chunk_taps < cut.taps)
        strip.partial = (float *)call->scratch + task * FN(partial_floats)(&cut);
    const bool stream = FN(vector_floats)(&cut) * cut.vectors * sizeof(float) > SMALL_BYTES;
    while (at < last) {
        size_t tile = at % a_block; /* within its block; then within its panel */
        strip.block_start = at / a_block * cut.block;
        strip.block_pixels = cut.pixels - strip.block_start;
        if (strip.block_pixels > cut.block)
            strip.block_pixels = cut.block;
        size_t V, tiles;
        for (strip.panel = 0;; strip.panel++) {
            V = FN(panel_vectors)(&cut, strip.panel);
            tiles = (strip.block_pixels + FN(conv_tiles)[V].pixels - 1) / FN(conv_tiles)[V].pixels;
            if (tile < tiles)
                break;
            tile -= tiles;
        }
        strip.first = tile;
        strip.last = tiles - tile < last - at ? tiles : tile + (last - at);
        at += strip.last - strip.first;
        strip.next = (const char *)call->packed;
        strip.next_bytes = 0;
        if (stream && at < last && strip.panel + 1 < cut.panels) {
            strip.next +=
                FN(panel_start)(&cut, strip.panel + 1) * FN(vector_floats)(&cut) * sizeof(float);
            strip.next_bytes = FN(panel_vectors)(&cut, strip.panel + 1) * cut.chunk_taps *
                               cut.tap_c * VN * sizeof(float);
        }
        for (size_t tap = 0; tap < cut.taps; tap += cut.chunk_taps)
            FN(strip_chunk)
        (&strip, tap, tap + cut.chunk_taps < cut.taps ? tap + cut.chunk_taps : cut.taps);
    }
}

static bool FN(conv_fits)(const struct hr_conv_shape *s, bool stem)
{
    const size_t taps = (size_t)(s->kernel * s->kernel) * (stem ? s->c : 1);
    return s->kernel <= 7 && s->pad < s->kernel && taps <= MAX_TAPS &&
           (s->c <= MAX_C || s->pad == 0) && s->y_stride % VN == 0 && s->y_stride >= s->k &&
           s->k > 0 && s->c > 0;
}

static size_t FN(conv_bytes)(const struct hr_conv_shape *s, bool stem)
{
    struct cut cut;
    FN(cut_make)(&cut, s, 1, stem);
    return hr_round_up(cut.vectors * FN(vector_floats)(&cut) * sizeof(float), 64);
}

/* VN output channels, of which the first `lanes` are real, from w [lanes][c][tap] to rows [tap][c]
 * of `width`. */
static void FN(pack_outputs)(float *rows, size_t width, const struct cut *cut, const float *w,
                             const float *scale, size_t lanes)
{
    const size_t taps = cut->taps, columns = taps * cut->tap_c;
    const size_t strip = columns < 4 ? columns : 4;
    float scales[VN] HR_ALIGNED(64), turned[4][VN] HR_ALIGNED(64);
    for (size_t j = 0; j < VN; j++)
        scales[j] = j < lanes && scale ? scale[j] : 1.0f;
    for (size_t f = 0; f < columns; f += strip) {
        const size_t from = FN(strip_of)(f, columns, strip);
        FN(columns_to_lanes)(turned, w + from, columns, lanes, strip);
        size_t c = from / taps, t = from % taps;
        for (size_t r = 0; r < strip; r++) {
            V_STORE(rows + (t * cut->tap_c + c) * width, V_MUL(V_LOAD(turned[r]), V_LOAD(scales)));
            t = t + 1 < taps ? t + 1 : 0;
            c += t == 0;
        }
    }
}

/* A panel: [bias [V * VN], then [tap][c][V * VN]]. */
static float *FN(packed_panel)(void *packed, const struct cut *cut, size_t panel)
{
    return (float *)packed + FN(panel_start)(cut, panel) * FN(vector_floats)(cut);
}

static void FN(pack_bias)(void *packed, const struct cut *cut, const struct hr_conv_shape *s,
                          const float *bias, size_t panel)
{
    float *const out = FN(packed_panel)(packed, cut, panel);
    const size_t start = FN(panel_start)(cut, panel) * VN;
    for (size_t j = 0; j < FN(panel_vectors)(cut, panel) * VN; j++)
        out[j] = start + j < s->k && bias ? bias[start + j] : 0.0f;
}

/* Panels are the parts. */
static void FN(conv_pack)(void *packed, const struct hr_conv_shape *s, const float *w,
                          const float *scale, const float *bias, size_t task, size_t task_count)
{
    struct cut cut;
    FN(cut_make)(&cut, s, 1, false);
    for (size_t q = cut.panels * task / task_count; q < cut.panels * (task + 1) / task_count; q++) {
        const size_t start = FN(panel_start)(&cut, q) * VN, width = FN(panel_vectors)(&cut, q) * VN;
        FN(pack_bias)(packed, &cut, s, bias, q);
        for (size_t v = 0; v < width; v += VN) {
            const size_t k = start + v;
            FN(pack_outputs)
            (FN(packed_panel)(packed, &cut, q) + width + v, width, &cut,
             w + k * cut.taps * cut.tap_c, scale ? scale + k : NULL, s->k - k);
        }
    }
}

static size_t FN(conv_tasks)(const struct hr_conv_shape *s, size_t n, size_t threads, bool stem)
{
    struct cut cut;
    FN(cut_make)(&cut, s, n, stem);
    const size_t tiles = FN(all_tiles)(&cut);
    return tiles < threads ? tiles : threads;
}

static size_t FN(conv_scratch)(const struct hr_conv_shape *s, size_t n, size_t threads, bool stem)
{
    size_t floats = 0; /* fewer images may be cut into chunks where more are not */
    for (size_t images = 1; images <= n; images++) {
        struct cut cut;
        FN(cut_make)(&cut, s, images, stem);
        const size_t need = FN(partial_floats)(&cut);
        floats = need > floats ? need : floats;
    }
    return floats * threads * sizeof(float);
}

/* Multiply-adds that the tiles really do, at two vectors or two loads a cycle, whichever is slower;
 * then what a tile and each of its taps cost besides.  Fitted to a Zen 3 core: within 8 % for the
 * layers of the networks. */
static double FN(conv_cost)(const struct hr_conv_shape *s, size_t n, bool stem)
{
    struct cut cut;
    FN(cut_make)(&cut, s, n, stem);
    const double rest = 25.0 + (stem ? 1.7 : 7.0) * (double)cut.taps;
    double cycles = 0.0;
    for (size_t q = 0; q < cut.panels; q++) {
        const size_t V = FN(panel_vectors)(&cut, q), P = FN(conv_tiles)[V].pixels;
        const size_t step = P * V > P + V ? P * V : P + V;
        cycles += 0.5 * (double)(cut.taps * cut.tap_c) * (double)(cut.pixels * step) / (double)P +
                  (double)((cut.pixels + P - 1) / P) * rest;
    }
    return cycles;
}

/* The same cut and run with channels as channels and, for the few channels of a picture, as taps:
 * the stem reads planes (NCHW). */
static bool FN(direct_applies)(const struct hr_conv_shape *s)
{
    return FN(conv_fits)(s, false) && s->x_stride >= s->c;
}
static double FN(direct_cost)(const struct hr_conv_shape *s, size_t n)
{
    return FN(conv_cost)(s, n, false);
}
static size_t FN(direct_bytes)(const struct hr_conv_shape *s)
{
    return FN(conv_bytes)(s, false);
}
static size_t FN(direct_scratch)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    return FN(conv_scratch)(s, n, threads, false);
}
static size_t FN(direct_tasks)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    return FN(conv_tasks)(s, n, threads, false);
}
static void FN(direct_run)(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    FN(conv_run)(call, task, task_count, false);
}

static const struct hr_conv_kernel FN(conv_direct) = {
    .name = "conv_direct_" ISA_NAME,
    .x_layout = HR_LAYOUT_NHWC,
    .y_layout = HR_LAYOUT_NHWC,
    .exact = true,
    .applies = FN(direct_applies),
    .cost = FN(direct_cost),
    .packed_bytes = FN(direct_bytes),
    .pack = FN(conv_pack),
    .scratch_bytes = FN(direct_scratch),
    .tasks = FN(direct_tasks),
    .run = FN(direct_run),
};

static bool FN(stem_applies)(const struct hr_conv_shape *s)
{
    return s->c <= 4 && FN(conv_fits)(s, true);
}
static double FN(stem_cost)(const struct hr_conv_shape *s, size_t n)
{
    return FN(conv_cost)(s, n, true);
}
static size_t FN(stem_bytes)(const struct hr_conv_shape *s)
{
    return FN(conv_bytes)(s, true);
}
static size_t FN(stem_scratch)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    return FN(conv_scratch)(s, n, threads, true);
}
static size_t FN(stem_tasks)(const struct hr_conv_shape *s, size_t n, size_t threads)
{
    return FN(conv_tasks)(s, n, threads, true);
}
static void FN(stem_run)(const struct hr_conv_call *call, size_t task, size_t task_count)
{
    FN(conv_run)(call, task, task_count, true);
}

static const struct hr_conv_kernel FN(conv_stem) = {
    .name = "conv_stem_" ISA_NAME,
    .x_layout = HR_LAYOUT_NCHW,
    .y_layout = HR_LAYOUT_NHWC,
    .exact = true,
    .applies = FN(stem_applies),
    .cost = FN(stem_cost),
    .packed_bytes = FN(stem_bytes),
    .pack = FN(conv_pack),
    .scratch_bytes = FN(stem_scratch),
    .tasks = FN(stem_tasks),
    .run = FN(stem_run),
};
