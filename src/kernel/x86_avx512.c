/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary of the templates for AVX-512 (F, BW, DQ, VL), and the rung of the ladder made of
 * them. */
#include "kernel/kernel.h"

#include <float.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/mem.h"

#ifdef HR_SIMDE /* test builds for machines without the instructions */
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#else
#if !defined(__AVX512F__) || !defined(__AVX512VL__)
#error "compile this file with -mavx512f -mavx512vl"
#endif
#include <immintrin.h>
#endif

#define ISA_NAME       "avx512"
#define FN(name)       name##_avx512
#define VF             __m512
#define VN             16
#define V_LOAD(p)      _mm512_load_ps(p)
#define V_LOADU(p)     _mm512_loadu_ps(p)
#define V_STORE(p, v)  _mm512_store_ps(p, v)
#define V_STOREU(p, v) _mm512_storeu_ps(p, v)
#define V_BROADCAST(p) _mm512_set1_ps(*(p))
#define V_ADD(a, b)    _mm512_add_ps(a, b)
#define V_SUB(a, b)    _mm512_sub_ps(a, b)
#define V_MUL(a, b)    _mm512_mul_ps(a, b)
#define V_MAX(a, b)    _mm512_max_ps(a, b)
#define V_SET1(f)      _mm512_set1_ps(f)
#define V_ZERO()       _mm512_setzero_ps()
#ifdef HR_SIMDE
#include "simde_fma.h"
#define V_FMA(a, b, acc)  FN(fma_lanes)(a, b, acc, 1.0f)
#define V_FNMA(a, b, acc) FN(fma_lanes)(a, b, acc, -1.0f)
#define V_KEEP(v)         (void)0
#else
#define V_FMA(a, b, acc)  _mm512_fmadd_ps(a, b, acc)
#define V_FNMA(a, b, acc) _mm512_fnmadd_ps(a, b, acc)
#define V_KEEP(v)         __asm__("" : "+v"(v))
#endif

/* 32 registers, and general ones for pointers.  Seven pixels divide the planes of 224x224 networks
 * (56, 28, 14, 7) without rest, so tiles end where rows end. */
#define TILE_1      7
#define TILE_2      7
#define TILE_3      7
#define TILE_MAX    7
#define BLOCK_STEP  28 /* pixels: a multiple of each tile, or blocks would end in part tiles */
#define PEAK_CHAINS 24

/* Tiles and vectors of outputs of a Winograd product. */
#define WINO_ROWS    8
#define WINO_VECTORS 3
#define TILES_ROWS   12 /* outputs and two vectors of tiles */

/* Groups of four lanes. */
#define V_LOAD4(p)                                                                                \
    _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_insertf128_ps(                               \
                           _mm256_castps128_ps256(_mm_loadu_ps(*(p))), _mm_loadu_ps((p)[1]), 1)), \
                       _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((p)[2])),         \
                                            _mm_loadu_ps((p)[3]), 1),                             \
                       1)
#define V_UNPACK_LOW(a, b)  _mm512_unpacklo_ps(a, b)
#define V_UNPACK_HIGH(a, b) _mm512_unpackhi_ps(a, b)
#define V_PAIR_LOW(a, b)    _mm512_shuffle_ps(a, b, 0x44)
#define V_PAIR_HIGH(a, b)   _mm512_shuffle_ps(a, b, 0xEE)

#define V_WHERE_POSITIVE(y, v) \
    _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_GT_OQ), v)

#define LINEAR_AHEAD 512 /* floats; smaller: memory is slower than asked, larger: no gain */

#include "kernel/rows.tmpl.h"
#include "kernel/tile.tmpl.h"
/* The tile is under all that follows. */

#include "kernel/conv.tmpl.h"
#include "kernel/eltwise.tmpl.h"
#include "kernel/gemm.tmpl.h"
#include "kernel/layout.tmpl.h"

#define WM 4
#define WS 1
#include "kernel/winograd.tmpl.h"
#include "kernel/winograd_tiles.tmpl.h"
#define WM 2
#define WS 1
#include "kernel/winograd.tmpl.h"
#define WM 2
#define WS 2
#include "kernel/winograd.tmpl.h"

static inline __m512 of_side_avx512(const uint8_t *bits, __m512 y)
{
    uint16_t set;
    memcpy(&set, bits, sizeof set);
    return _mm512_maskz_mov_ps(set, _mm512_max_ps(y, _mm512_set1_ps(FLT_MIN)));
}

static inline void store_side_avx512(uint8_t *bits, __m512 y)
{
    const uint16_t set = _mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_GT_OQ);
    memcpy(bits, &set, sizeof set);
}
#define V_OF_SIDE(p, y)    of_side_avx512(p, y)
#define V_STORE_SIDE(p, y) store_side_avx512(p, y)

#ifdef HR_SIMDE
#include "simde_half.h"
#else
static inline __m256i bf16_avx512(__m512 v)
{
    const __m512i bits = _mm512_castps_si512(v), upper = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(upper, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(
        _mm512_srli_epi32(up, 16), _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), quiet));
}
static inline __m256i other_avx512(__m256i h, __m512 v, __m512 rounded)
{
    const __mmask16 down = _mm512_cmp_ps_mask(_mm512_abs_ps(rounded), _mm512_abs_ps(v), _CMP_GT_OQ);
    return _mm256_add_epi16(
        h, _mm256_mask_mov_epi16(_mm256_set1_epi16(1), down, _mm256_set1_epi16(-1)));
}

static inline __m256i same_side_avx512(__m512 a, __m512 b, __m256i h, __m256i other)
{
    const __m512 zero = _mm512_setzero_ps();
    const __mmask16 differ =
        _mm512_cmp_ps_mask(a, zero, _CMP_GT_OQ) ^ _mm512_cmp_ps_mask(b, zero, _CMP_GT_OQ);
    return _mm256_mask_mov_epi16(h, differ, other);
}
#define VH                           __m256i
#define VH_LOAD(p)                   _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define VH_STORE(p, h)               _mm256_storeu_si256((__m256i *)(void *)(p), h)
#define V_FROM_F16(h)                _mm512_cvtph_ps(h)
#define V_TO_F16(v)                  _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT)
#define V_FROM_BF16(h)               _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16))
#define V_TO_BF16(v)                 bf16_avx512(v)
#define VH_OTHER(h, v, rounded)      other_avx512(h, v, rounded)
#define VH_SAME_SIDE(a, b, h, other) same_side_avx512(a, b, h, other)
#endif

/* Input channels of a tile of weight gradients: accumulators, its vectors of dy, one broadcast. */
#define WGRAD_1 16
#define WGRAD_2 12
#define WGRAD_3 8
#include "kernel/train.tmpl.h"

void hr_kernels_x86_avx512(struct hr_kernels *kernels)
{
    kernels->conv[kernels->conv_count++] = &conv_direct_avx512;
    kernels->conv[kernels->conv_count++] = &conv_stem_avx512;
    kernels->conv[kernels->conv_count++] = &conv_winograd_f4_avx512;
    kernels->conv[kernels->conv_count++] = &conv_winograd_f4_tiles_avx512;
    kernels->conv[kernels->conv_count++] = &conv_winograd_f2_avx512;
    kernels->conv[kernels->conv_count++] = &conv_winograd_s2_avx512;
    kernels->linear = &linear_avx512;
    eltwise_overlay_avx512(&kernels->eltwise);
    layout_overlay_avx512(&kernels->eltwise);
    train_overlay_avx512(&kernels->train);
    kernels->fma_peak = fma_peak_avx512;
    kernels->read_all = read_all_avx512;
}
