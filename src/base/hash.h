/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4), streamed; uses the CPU's SHA instructions where it has them. */
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

/* 64 lower-case hex digits and a zero. */
void hr_hex(char out[65], const uint8_t digest[32]);

#endif
