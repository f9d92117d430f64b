/* SPDX-License-Identifier: Apache-2.0
 * Rows in memory to the lanes of vectors and back: transpositions of four floats of VN rows, in
 * groups of four lanes.  Vocabulary: V_LOAD4(p), four floats from each of p[VN / 4] for the groups
 * of lanes; V_UNPACK_LOW, V_UNPACK_HIGH, V_PAIR_LOW and V_PAIR_HIGH(a, b), in each group
 * a0 b0 a1 b1, a2 b2 a3 b3, a0 a1 b0 b1, a2 a3 b2 b3. */

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

/* Lane j of v[i] is float i of row j; rows are `step` floats apart.  Zeros from row `count` on. */
HR_INLINE void FN(rows_to_lanes)(VF v[4], const float *rows, size_t step, size_t count)
{
    static const float none[4];
    HR_UNROLL
    for (size_t r = 0; r < 4; r++) {
        const float *from[VN / 4];
        HR_UNROLL
        for (size_t g = 0; g < VN / 4; g++)
            from[g] = 4 * g + r < count ? rows + (4 * g + r) * step : none;
        v[r] = V_LOAD4(from);
    }
    FN(transpose4)(v);
}

/* The way back for `count` rows.  v is not kept. */
HR_INLINE void FN(lanes_to_rows)(float *rows, size_t step, VF v[4], size_t count)
{
    FN(transpose4)(v);
    HR_UNROLL
    for (size_t r = 0; r < 4; r++) {
        float lanes[VN] HR_ALIGNED(64);
        V_STORE(lanes, v[r]);
        for (size_t j = r; j < count; j += 4)
            memcpy(rows + j * step, lanes + j / 4 * 4, 4 * sizeof(float));
    }
}

/* Where the strip of columns that holds column f begins: the last overlaps the one before. */
HR_INLINE size_t FN(strip_of)(size_t f, size_t columns, size_t strip)
{
    return columns - f < strip ? columns - strip : f;
}

/* to[i][lane] is float i of row `lane`, for i < columns; zeros for rows from `count` on. */
HR_INLINE void FN(columns_to_lanes)(float to[][VN], const float *rows, size_t step, size_t count,
                                    size_t columns)
{
    for (size_t i = 0; i < columns && columns < 4; i++)
        for (size_t j = 0; j < VN; j++)
            to[i][j] = j < count ? rows[j * step + i] : 0.0f;
    for (size_t f = 0; f < columns && columns >= 4; f += 4) {
        const size_t i = FN(strip_of)(f, columns, 4);
        VF v[4];
        if (count >= VN)
            FN(rows_to_lanes)(v, rows + i, step, VN);
        else
            FN(rows_to_lanes)(v, rows + i, step, count);
        HR_UNROLL
        for (size_t r = 0; r < 4; r++)
            V_STORE(to[i + r], v[r]);
    }
}

/* The way back. */
HR_INLINE void FN(lanes_to_columns)(float *rows, size_t step, float from[][VN], size_t count,
                                    size_t columns)
{
    for (size_t i = 0; i < columns && columns < 4; i++)
        for (size_t j = 0; j < count && j < VN; j++)
            rows[j * step + i] = from[i][j];
    for (size_t f = 0; f < columns && columns >= 4; f += 4) {
        const size_t i = FN(strip_of)(f, columns, 4);
        VF v[4];
        HR_UNROLL
        for (size_t r = 0; r < 4; r++)
            v[r] = V_LOAD(from[i + r]);
        if (count >= VN)
            FN(lanes_to_rows)(rows + i, step, v, VN);
        else
            FN(lanes_to_rows)(rows + i, step, v, count);
    }
}
