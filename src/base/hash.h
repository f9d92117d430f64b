/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4), streamed, which uses the CPU's SHA instructions where it has them; CRC-32C;
 * and two that only spread numbers. */
#ifndef HR_BASE_HASH_H
#define HR_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hr_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
};
void hr_sha256_init(struct hr_sha256 *h);
void hr_sha256_update(struct hr_sha256 *h, const void *data, size_t size);
void hr_sha256_final(struct hr_sha256 *h, uint8_t digest[32]);

/* For tests: false leaves the CPU's SHA instructions aside, true asks the CPU again.  Returns
 * whether they are used now. */
bool hr_sha256_allow_instructions(bool allowed);

/* CRC-32C (Castagnoli; RFC 3720, appendix B.4). */
uint32_t hr_crc32c(const void *data, size_t size);

/* FNV-1a of a text, 64 bits (Fowler, Noll, Vo, draft-eastlake-fnv). */
uint64_t hr_hash_text(const char *text);

/* splitmix64 (Steele, Lea and Flood 2014): its step, and what makes a number of a state. */
#define HR_HASH_STEP 0x9E3779B97F4A7C15u /* 2^64 over the golden ratio */
static inline uint64_t hr_hash_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* 64 lower-case hex digits and a zero. */
void hr_hex(char out[65], const uint8_t digest[32]);

#endif
