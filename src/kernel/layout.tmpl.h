/* SPDX-License-Identifier: Apache-2.0
 * NHWC to HR_LAYOUT_TILES and back, four channels of VN tiles at a time, as rows.tmpl.h turns
 * them: a tile is a row. */

/* Four channels from c of VN tiles from `lane` of part j of a row. */
HR_INLINE void FN(strip_to_tiles)(const struct hr_layout_call *call, const float *x, float *y,
                                  size_t j, size_t c, size_t lane, size_t tiles)
{
    const size_t step = 4 * call->stride;
    const float *const from = x + lane * step + j * call->stride + c;
    VF v[4];
    FN(rows_to_lanes)(v, from, step, tiles);
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
    FN(lanes_to_rows)(to, step, v, tiles);
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
