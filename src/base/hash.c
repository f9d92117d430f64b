/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4, section 6.2), with the CPU's SHA instructions where it has them. */
#include "base/hash.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/compiler.h"

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

static uint32_t rotate(uint32_t x, int bits)
{
    return x >> bits | x << (32 - bits);
}

static void blocks_plain(uint32_t state[8], const uint8_t *data, size_t count)
{
    for (; count > 0; count--, data += 64) {
        uint32_t w[64], s[8];
        memcpy(s, state, sizeof s);
        for (int t = 0; t < 16; t++)
            w[t] = hr_load_u32be(data + 4 * t);
        for (int t = 16; t < 64; t++) {
            const uint32_t a = w[t - 15], b = w[t - 2];
            w[t] = w[t - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[t - 7] +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        for (int t = 0; t < 64; t++) {
            const uint32_t one = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                                 ((s[4] & s[5]) ^ (~s[4] & s[6])) + round_constants[t] + w[t];
            const uint32_t two = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                                 ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 7 * sizeof s[0]);
            s[4] += one;
            s[0] = one + two;
        }
        for (int i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* The instructions keep the state as (abef, cdgh). */
__attribute__((target("sha,sse4.1"))) static void blocks_sha(uint32_t state[8], const uint8_t *data,
                                                             size_t count)
{
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)state);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
    const __m128i cdab = _mm_shuffle_epi32(low, 0xb1), efgh = _mm_shuffle_epi32(high, 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (; count > 0; count--, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int g = 0; g < 16; g++) {
            if (g < 4) {
                w[g] = _mm_shuffle_epi8(
                    _mm_loadu_si128((const __m128i *)(const void *)(data + 16 * g)), order);
            } else {
                const __m128i seven = _mm_alignr_epi8(w[(g + 3) & 3], w[(g + 2) & 3], 4);
                w[g & 3] = _mm_sha256msg2_epu32(
                    _mm_add_epi32(_mm_sha256msg1_epu32(w[g & 3], w[(g + 1) & 3]), seven),
                    w[(g + 3) & 3]);
            }
            const __m128i k =
                _mm_loadu_si128((const __m128i *)(const void *)(round_constants + 4 * g));
            const __m128i sum = _mm_add_epi32(w[g & 3], k);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    low = _mm_blend_epi16(feba, dchg, 0xf0);
    high = _mm_alignr_epi8(dchg, feba, 8);
    _mm_storeu_si128((__m128i *)(void *)state, low);
    _mm_storeu_si128((__m128i *)(void *)(state + 4), high);
}

#include <cpuid.h>

static bool has_sha(void)
{
    uint32_t a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3) &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29));
}
#else
#define blocks_sha blocks_plain
static bool has_sha(void)
{
    return false;
}
#endif

/* CPUID is slow in a virtual machine: ask once.  0 unknown, 1 no, 2 yes. */
static atomic_int sha_known;

static bool use_sha(void)
{
    int value = atomic_load_explicit(&sha_known, memory_order_relaxed);
    if (value == 0) {
        value = has_sha() ? 2 : 1;
        atomic_store_explicit(&sha_known, value, memory_order_relaxed);
    }
    return value == 2;
}

bool hr_sha256_allow_instructions(bool allowed)
{
    atomic_store_explicit(&sha_known, allowed ? 0 : 1, memory_order_relaxed);
    return use_sha();
}

static void blocks(uint32_t state[8], const uint8_t *data, size_t count)
{
    if (use_sha())
        blocks_sha(state, data, count);
    else
        blocks_plain(state, data, count);
}

void hr_sha256_init(struct hr_sha256 *h)
{
    *h = (struct hr_sha256){ .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                        0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void hr_sha256_update(struct hr_sha256 *h, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    const size_t held = h->bytes % 64;
    h->bytes += size;
    if (held) {
        const size_t room = 64 - held, take = size < room ? size : room;
        memcpy(h->block + held, bytes, take);
        if (take < room)
            return;
        blocks(h->state, h->block, 1);
        bytes += take;
        size -= take;
    }
    if (size >= 64)
        blocks(h->state, bytes, size / 64);
    if (size % 64)
        memcpy(h->block, bytes + size / 64 * 64, size % 64);
}

void hr_sha256_final(struct hr_sha256 *h, uint8_t digest[32])
{
    static const uint8_t padding[64] = { 0x80 };
    const uint64_t bits = h->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    hr_sha256_update(h, padding, (119 - h->bytes % 64) % 64 + 1);
    hr_sha256_update(h, length, 8);
    for (int i = 0; i < 32; i++)
        digest[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void hr_hex(char out[65], const uint8_t digest[32])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[64] = '\0';
}

/* Four bits at a time: entry i is what remains of i after four steps of division. */
uint32_t hr_crc32c(const void *data, size_t size)
{
    static const uint32_t rest[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };
    const uint8_t *const bytes = data;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ rest[crc & 15];
        crc = crc >> 4 ^ rest[crc & 15];
    }
    return ~crc;
}

uint64_t hr_hash_text(const char *text)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 0x100000001B3u;
    return h;
}
