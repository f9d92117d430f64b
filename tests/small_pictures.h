/* SPDX-License-Identifier: Apache-2.0
 * Small picture files of every kind, made on the spot for tests.  Each function appends to *out. */
#ifndef TESTS_SMALL_PICTURES_H
#define TESTS_SMALL_PICTURES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct hr_span span_of(const struct hr_buffer *file);

/* 64x64 four-channel JPEG of one colour as stored: c, m, y, k; quality 100. */
void make_ink_jpeg(struct hr_buffer *out, const uint8_t cmyk[4], bool ycck, bool adobe);

/* 48x32: six flat blocks of 16x16, 0xrrggbb, in two rows, with an orientation tag. */
void make_block_jpeg(struct hr_buffer *out, const uint32_t blocks[6], int tag);
void make_block_png(struct hr_buffer *out, const uint32_t blocks[6], int tag);
/* Rewrites the size in a JPEG's frame header. */
void set_jpeg_size(struct hr_buffer *jpeg, unsigned width, unsigned height);

/* PNG of raw samples; colour type 3 gets png_palette and transparency. */
extern const uint32_t png_palette[3];
void make_png(struct hr_buffer *out, int colour, int depth, uint32_t width, uint32_t height,
              const uint8_t *samples, size_t size);
/* Nothing but signature, IHDR and IEND. */
void make_png_header(struct hr_buffer *out, uint32_t width, uint32_t height);

/* 1x2: above 0xf80000, below 0x0000f8; 16, 24 or 32 bits. */
void make_bmp(struct hr_buffer *out, int bits, bool top_down);

/* A small file of each kind: baseline, progressive and turned JPEG, CMYK, PNG, interlaced PNG,
 * WebP, BMP, run-length BMP, PPM. */
#define SMALL_KINDS 10
void make_small(struct hr_buffer *out, int kind, const uint32_t blocks[6]);

#endif
