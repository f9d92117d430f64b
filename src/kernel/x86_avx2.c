/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of the templates for AVX2 with FMA, and the rung of the ladder made of them. */
#include "kernel/kernel.h"

#include <float.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/mem.h"

#ifdef HR_SIMDE /* test builds for machines without the instructions */
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#else
#if !defined(__AVX2__) || !defined(__FMA__)
#error "compile this file with -mavx2 -mfma"
#endif
#include <immintrin.h>
#endif

#define ISA_NAME       "avx2"
#define FN(name)       name##_avx2
#define VF             __m256
#define VN             8
#define V_LOAD(p)      _mm256_load_ps(p)
#define V_LOADU(p)     _mm256_loadu_ps(p)
#define V_STORE(p, v)  _mm256_store_ps(p, v)
#define V_STOREU(p, v) _mm256_storeu_ps(p, v)
#define V_BROADCAST(p) _mm256_broadcast_ss(p)
#define V_ADD(a, b)    _mm256_add_ps(a, b)
#define V_SUB(a, b)    _mm256_sub_ps(a, b)
#define V_MUL(a, b)    _mm256_mul_ps(a, b)
#define V_MAX(a, b)    _mm256_max_ps(a, b)
#define V_SET1(f)      _mm256_set1_ps(f)
#define V_ZERO()       _mm256_setzero_ps()
#ifdef HR_SIMDE
#include "simde_fma.h"
#define V_FMA(a, b, acc)  FN(fma_lanes)(a, b, acc, 1.0f)
#define V_FNMA(a, b, acc) FN(fma_lanes)(a, b, acc, -1.0f)
#define V_KEEP(v)         (void)0
#else
#define V_FMA(a, b, acc)  _mm256_fmadd_ps(a, b, acc)
#define V_FNMA(a, b, acc) _mm256_fnmadd_ps(a, b, acc)
#define V_KEEP(v)         __asm__("" : "+x"(v))
#endif

/* 16 registers: accumulators, a panel's weights, one broadcast. */
#define TILE_1      8 /* 9 loads for 8 multiply-adds; a larger one has no registers for pointers */
#define TILE_2      6
#define TILE_3      4
#define TILE_MAX    8
#define BLOCK_STEP  24 /* pixels: a multiple of each tile, or blocks would end in part tiles */
#define PEAK_CHAINS 12

/* Tiles and vectors of outputs of a Winograd product. */
#define WINO_ROWS    4
#define WINO_VECTORS 3

/* Groups of four lanes. */
#define V_LOAD4(p) \
    _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(*(p))), _mm_loadu_ps((p)[1]), 1)
#define V_UNPACK_LOW(a, b)  _mm256_unpacklo_ps(a, b)
#define V_UNPACK_HIGH(a, b) _mm256_unpackhi_ps(a, b)
#define V_PAIR_LOW(a, b)    _mm256_shuffle_ps(a, b, 0x44)
#define V_PAIR_HIGH(a, b)   _mm256_shuffle_ps(a, b, 0xEE)

#define LINEAR_AHEAD 512 /* floats; smaller: memory is slower than asked, larger: no gain */

#include "kernel/rows.tmpl.h"
#include "kernel/tile.tmpl.h"
/* The tile is under all that follows. */

#include "kernel/conv.tmpl.h"
#include "kernel/eltwise.tmpl.h"
#include "kernel/gemm.tmpl.h"
#define WM 4
#define WS 1
#include "kernel/winograd.tmpl.h"
#define WM 2
#define WS 1
#include "kernel/winograd.tmpl.h"
#define WM 2
#define WS 2
#include "kernel/winograd.tmpl.h"

#define V_WHERE_POSITIVE(y, v) _mm256_and_ps(_mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_GT_OQ), v)
static inline __m256 of_side_avx2(const uint8_t *bits, __m256 y)
{
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(*bits), each), each);
    return _mm256_and_ps(_mm256_castsi256_ps(set), _mm256_max_ps(y, _mm256_set1_ps(FLT_MIN)));
}
#define V_OF_SIDE(p, y) of_side_avx2(p, y)
#define V_STORE_SIDE(p, y) \
    (*(p) = (uint8_t)_mm256_movemask_ps(_mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_GT_OQ)))

#ifdef HR_SIMDE
#include "simde_half.h"
#else
static inline __m128i bf16_avx2(__m256 v)
{
    const __m256i bits = _mm256_castps_si256(v), upper = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    const __m256i lanes = _mm256_blendv_epi8(
        _mm256_srli_epi32(up, 16), quiet, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
    return _mm_packus_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
}
/* Masks of 32 bits as masks of 16. */
static inline __m128i narrow_avx2(__m256 mask)
{
    const __m256i lanes = _mm256_castps_si256(mask);
    return _mm_packs_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
}

static inline __m128i other_avx2(__m128i h, __m256 v, __m256 rounded)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m128i down = narrow_avx2(
        _mm256_cmp_ps(_mm256_andnot_ps(sign, rounded), _mm256_andnot_ps(sign, v), _CMP_GT_OQ));
    return _mm_add_epi16(h, _mm_or_si128(down, _mm_set1_epi16(1)));
}

static inline __m128i same_side_avx2(__m256 a, __m256 b, __m128i h, __m128i other)
{
    const __m256 zero = _mm256_setzero_ps();
    const __m256 differ =
        _mm256_xor_ps(_mm256_cmp_ps(a, zero, _CMP_GT_OQ), _mm256_cmp_ps(b, zero, _CMP_GT_OQ));
    return _mm_blendv_epi8(h, other, narrow_avx2(differ));
}
#define VH                           __m128i
#define VH_LOAD(p)                   _mm_loadu_si128((const __m128i *)(const void *)(p))
#define VH_STORE(p, h)               _mm_storeu_si128((__m128i *)(void *)(p), h)
#define V_FROM_F16(h)                _mm256_cvtph_ps(h)
#define V_TO_F16(v)                  _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT)
#define V_FROM_BF16(h)               _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16))
#define V_TO_BF16(v)                 bf16_avx2(v)
#define VH_OTHER(h, v, rounded)      other_avx2(h, v, rounded)
#define VH_SAME_SIDE(a, b, h, other) same_side_avx2(a, b, h, other)
#endif

/* Input channels of a tile of weight gradients: accumulators, its vectors of dy, one broadcast. */
#define WGRAD_1 12
#define WGRAD_2 6
#define WGRAD_3 4
#include "kernel/train.tmpl.h"

void hr_kernels_x86_avx2(struct hr_kernels *kernels)
{
    kernels->conv[kernels->conv_count++] = &conv_direct_avx2;
    kernels->conv[kernels->conv_count++] = &conv_stem_avx2;
    kernels->conv[kernels->conv_count++] = &conv_winograd_f4_avx2;
    kernels->conv[kernels->conv_count++] = &conv_winograd_f2_avx2;
    kernels->conv[kernels->conv_count++] = &conv_winograd_s2_avx2;
    kernels->linear = &linear_avx2;
    eltwise_overlay_avx2(&kernels->eltwise);
    train_overlay_avx2(&kernels->train);
    kernels->fma_peak = fma_peak_avx2;
    kernels->read_all = read_all_avx2;
}
