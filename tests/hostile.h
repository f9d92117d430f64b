/* SPDX-License-Identifier: Apache-2.0
 * Hostile input for tests: copies in blocks of exactly their size (so that the address sanitizer
 * sees one byte read too many), cuts, flipped bits, mutations, and memory that fails on purpose. */
#ifndef TESTS_HOSTILE_H
#define TESTS_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Looks at data[0..size), which lies in a block of just that size and dies after the call. */
typedef void hostile_fn(void *context, const uint8_t *data, size_t size);

void hostile_copy(const uint8_t *data, size_t size, hostile_fn *look, void *context);
/* Every length from 0 to size - 1. */
void hostile_cuts(const uint8_t *data, size_t size, hostile_fn *look, void *context);
/* Every bit turned over, one at a time. */
void hostile_flips(const uint8_t *data, size_t size, hostile_fn *look, void *context);
/* `count` mutations: bytes set, swapped, removed or repeated; the same for the same seed. */
void hostile_mutations(const uint8_t *data, size_t size, uint32_t seed, unsigned count,
                       hostile_fn *look, void *context);

/* From now on allocation number n (from 0) fails, of the library's memory and of jansson's. */
void hostile_memory_fail(unsigned n);
/* From now on the library's next n allocations succeed, and none after them, until the next call;
 * SIZE_MAX: all.  Jansson's memory is left alone. */
void hostile_memory_limit(size_t n);
/* Blocks of the library that were allocated since memory last was normal, and not freed. */
long hostile_memory_held(void);
/* Back to normal; did an allocation fail? */
bool hostile_memory_restore(void);

#endif
