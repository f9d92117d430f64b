/* SPDX-License-Identifier: Apache-2.0
 * NHWC to HR_LAYOUT_TILES and back: transpositions of four channels by VN tiles, in groups of four
 * lanes.  Vocabulary: V_LOAD4(p), four floats from each of p[VN / 4] for the groups of
 * lanes; V_UNPACK_LOW, V_UNPACK_HIGH, V_PAIR_LOW and
 * V_PAIR_HIGH(a, b), in each group a0 b0 a1 b1, a2 b2 a3 b3, a0 a1 b0 b1, a2 a3 b2 b3. */

/* 4x4 in each group of lanes. */
HR_INLINE void FN(transpose4)(VF v[4])
{
    const VF a = V_UNPACK_LOW(v[0], v[1]), b = V_UNPACK_LOW(v[2], v[3]);
    const VF c = V_UNPACK_HIGH(v[0], v[1]), d = V_UNPACK_HIGH(v[2], v[3]);
    v[0] = V_PAIR_LOW(a, b);
    v[1] = V_PAIR_HIGH(a, b);
    v[2] = V_PAIR_LOW(c, d);
    v[3] = V_PAIR_HIGH(c, d);
}

/* Four channels of tiles r, r + 4, ... of VN, `tiles` of them real, whose pixels are `step` apart;
 * zeros for the others. */
HR_INLINE VF FN(load_tiles)(const float *p, size_t step, size_t r, size_t tiles)
{
    static const float none[4];
    const float *from[VN / 4];
    HR_UNROLL
    for (size_t g = 0; g < VN / 4; g++)
        from[g] = 4 * g + r < tiles ? p + (4 * g + r) * step : none;
    return V_LOAD4(from);
}

/* Four channels from c of VN tiles from `lane` of part j of a row. */
HR_INLINE void FN(strip_to_tiles)(const struct hr_layout_call *call, const float *x, float *y,
                                  size_t j, size_t c, size_t lane, size_t tiles)
{
    const size_t step = 4 * call->stride;
    const float *const from = x + lane * step + j * call->stride + c;
    VF v[4];
    HR_UNROLL
    for (size_t r = 0; r < 4; r++)
        v[r] = FN(load_tiles)(from, step, r, tiles);
    FN(transpose4)(v);
    HR_UNROLL
    for (size_t r = 0; r < 4; r++)
        if (c + r < call->c)
            V_STORE(y + (j * call->c + c + r) * call->lanes + lane, v[r]);
}

static void FN(to_tiles)(const struct hr_layout_call *call, size_t first, size_t last)
{
    const size_t across = call->width / 4;
    for (size_t row = first; row < last; row++) {
        const float *const x = call->x + row * call->width * call->stride;
        float *const y = call->y + row * 4 * call->c * call->lanes;
        for (size_t lane = 0; lane < call->lanes; lane += VN) {
            const size_t left = across > lane ? across - lane : 0, tiles = left < VN ? left : VN;
            for (size_t j = 0; j < 4; j++)
                for (size_t c = 0; c < call->c; c += 4)
                    FN(strip_to_tiles)(call, x, y, j, c, lane, tiles);
        }
    }
}

HR_INLINE void FN(strip_from_tiles)(const struct hr_layout_call *call, const float *x, float *y,
                                    size_t j, size_t c, size_t lane, size_t tiles)
{
    const size_t step = 4 * call->stride;
    float *const to = y + lane * step + j * call->stride + c;
    VF v[4];
    HR_UNROLL
    for (size_t r = 0; r < 4; r++)
        v[r] = c + r < call->c ? V_LOAD(x + (j * call->c + c + r) * call->lanes + lane) : V_ZERO();
    FN(transpose4)(v);
    HR_UNROLL
    for (size_t r = 0; r < 4; r++) {
        float lanes[VN] HR_ALIGNED(64);
        V_STORE(lanes, v[r]);
        for (size_t t = r; t < tiles; t += 4)
            memcpy(to + t * step, lanes + t / 4 * 4, 4 * sizeof(float));
    }
}

static void FN(from_tiles)(const struct hr_layout_call *call, size_t first, size_t last)
{
    const size_t across = call->width / 4;
    for (size_t row = first; row < last; row++) {
        const float *const x = call->x + row * 4 * call->c * call->lanes;
        float *const y = call->y + row * call->width * call->stride;
        for (size_t lane = 0; lane < across; lane += VN) {
            const size_t tiles = across - lane < VN ? across - lane : VN;
            for (size_t j = 0; j < 4; j++)
                for (size_t c = 0; c < call->stride; c += 4)
                    FN(strip_from_tiles)(call, x, y, j, c, lane, tiles);
        }
    }
}

static void FN(layout_overlay)(struct hr_eltwise_kernels *kernels)
{
    kernels->to_tiles = FN(to_tiles);
    kernels->from_tiles = FN(from_tiles);
}
