/* SPDX-License-Identifier: Apache-2.0
 * Activations in 16 bits.  Vocabulary: V_LOADU, V_STOREU; VH, VN of 16 bits; VH_LOAD(p) and
 * VH_STORE(p, h), unaligned; V_FROM_F16(h), V_TO_F16(v), V_FROM_BF16(h), V_TO_BF16(v);
 * VH_OTHER(h, v, rounded): where v was rounded to h, which is `rounded`, the neighbour of h on the
 * other side of v; VH_SAME_SIDE(a, b, h, other): h where both or neither of a and b are positive,
 * else other. */

HR_INLINE VF FN(half_from)(VH h, enum hr_half half)
{
    return half == HR_HALF_F16 ? V_FROM_F16(h) : V_FROM_BF16(h);
}

HR_INLINE VH FN(half_to)(VF v, enum hr_half half)
{
    return half == HR_HALF_F16 ? V_TO_F16(v) : V_TO_BF16(v);
}

HR_INLINE void FN(half_pack_as)(uint16_t *to, const float *from, size_t count, enum hr_half half)
{
    size_t i = 0;
    for (; i + VN <= count; i += VN)
        VH_STORE(to + i, FN(half_to)(V_LOADU(from + i), half));
    for (; i < count; i++)
        to[i] = hr_half_of(from[i], half);
}

static void FN(half_pack)(uint16_t *to, const float *from, size_t count, enum hr_half half)
{
    if (half == HR_HALF_F16)
        FN(half_pack_as)(to, from, count, HR_HALF_F16);
    else
        FN(half_pack_as)(to, from, count, HR_HALF_BF16);
}

HR_INLINE void FN(half_unpack_as)(float *to, const uint16_t *from, size_t count, enum hr_half half)
{
    size_t i = 0;
    for (; i + VN <= count; i += VN)
        V_STOREU(to + i, FN(half_from)(VH_LOAD(from + i), half));
    for (; i < count; i++)
        to[i] = hr_half_value(from[i], half);
}

static void FN(half_unpack)(float *to, const uint16_t *from, size_t count, enum hr_half half)
{
    if (half == HR_HALF_F16)
        FN(half_unpack_as)(to, from, count, HR_HALF_F16);
    else
        FN(half_unpack_as)(to, from, count, HR_HALF_BF16);
}
