/* SPDX-License-Identifier: Apache-2.0
 * Makes small picture files for tests, with libjpeg, zlib and bytes written by hand (PNG: W3C
 * recommendation; BMP: BITMAPINFOHEADER), so that odd kinds need no files. */
#include "small_pictures.h"

#include <stdio.h>

#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#if HRNET_WEBP
#include <webp/encode.h>
#endif

#define BLOCKS_WIDTH  48
#define BLOCKS_HEIGHT 32

const uint32_t png_palette[3] = { 0x123456, 0xff8000, 0x00fe01 };

struct hr_span span_of(const struct hr_buffer *file)
{
    return (struct hr_span){ file->data, file->size };
}

/* TIFF with one entry: orientation. */
static void fill_exif(uint8_t exif[26], int tag)
{
    static const uint8_t start[26] = { 'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1 };
    memcpy(exif, start, 26);
    exif[18] = (uint8_t)tag;
}

static void fill_blocks(uint8_t *rgb, const uint32_t blocks[6])
{
    for (int y = 0; y < BLOCKS_HEIGHT; y++)
        for (int x = 0; x < BLOCKS_WIDTH; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = (uint8_t)(blocks[y / 16 * 3 + x / 16] >> (16 - 8 * c));
}

/* ---- JPEG ---- */

struct jpeg_plan {
    unsigned width, height;
    int channels;
    J_COLOR_SPACE in, stored;
    bool adobe, progressive;
    int tag; /* -1: none */
};

static void make_jpeg(struct hr_buffer *out, const struct jpeg_plan *plan, uint8_t *pixels)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long size = 0;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &data, &size);
    info.image_width = plan->width;
    info.image_height = plan->height;
    info.input_components = plan->channels;
    info.in_color_space = plan->in;
    jpeg_set_defaults(&info);
    jpeg_set_colorspace(&info, plan->stored);
    jpeg_set_quality(&info, 100, TRUE);
    info.write_Adobe_marker = plan->adobe;
    if (plan->progressive)
        jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    if (plan->tag >= 0) {
        uint8_t marker[32] = "Exif\0";
        fill_exif(marker + 6, plan->tag);
        jpeg_write_marker(&info, JPEG_APP0 + 1, marker, sizeof marker);
    }
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = pixels + info.next_scanline * plan->width * (unsigned)plan->channels;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    hr_buffer_put(out, data, size);
    free(data);
}

void make_ink_jpeg(struct hr_buffer *out, const uint8_t cmyk[4], bool ycck, bool adobe)
{
    static uint8_t pixels[64 * 64 * 4];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = cmyk[i % 4];
    make_jpeg(
        out,
        &(struct jpeg_plan){ 64, 64, 4, JCS_CMYK, ycck ? JCS_YCCK : JCS_CMYK, adobe, false, -1 },
        pixels);
}

static void make_blocks(struct hr_buffer *out, const uint32_t blocks[6], int tag, bool progressive)
{
    uint8_t rgb[BLOCKS_WIDTH * BLOCKS_HEIGHT * 3];
    fill_blocks(rgb, blocks);
    make_jpeg(out,
              &(struct jpeg_plan){ BLOCKS_WIDTH, BLOCKS_HEIGHT, 3, JCS_RGB, JCS_YCbCr, false,
                                   progressive, tag },
              rgb);
}

void make_block_jpeg(struct hr_buffer *out, const uint32_t blocks[6], int tag)
{
    make_blocks(out, blocks, tag, false);
}

void set_jpeg_size(struct hr_buffer *jpeg, unsigned width, unsigned height)
{
    for (size_t i = 2; i + 9 < jpeg->size;) { /* markers: ff, kind, length */
        uint8_t *p = jpeg->data + i;
        if (p[1] >= 0xc0 && p[1] <= 0xc2) {
            const uint8_t size[4] = { (uint8_t)(height >> 8), (uint8_t)height,
                                      (uint8_t)(width >> 8), (uint8_t)width };
            memcpy(p + 5, size, 4);
            return;
        }
        i += 2 + (size_t)hr_load_u16be(p + 2);
    }
}

/* ---- PNG ---- */

static void put_u32be(struct hr_buffer *out, uint32_t value)
{
    const uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
                               (uint8_t)(value >> 8), (uint8_t)value };
    hr_buffer_put(out, bytes, 4);
}

static void put_chunk(struct hr_buffer *out, const char *type, const uint8_t *data, size_t size)
{
    uLong crc = crc32(0, (const Bytef *)type, 4);
    put_u32be(out, (uint32_t)size);
    hr_buffer_put(out, type, 4);
    if (size > 0) {
        hr_buffer_put(out, data, size);
        crc = crc32(crc, data, (uInt)size);
    }
    put_u32be(out, (uint32_t)crc);
}

static void put_header(struct hr_buffer *out, int colour, int depth, uint32_t width,
                       uint32_t height)
{
    struct hr_buffer header = { 0 };
    const uint8_t rest[5] = { (uint8_t)depth, (uint8_t)colour };
    put_u32be(&header, width);
    put_u32be(&header, height);
    hr_buffer_put(&header, rest, 5);
    hr_buffer_put(out, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(out, "IHDR", header.data, header.size);
    hr_buffer_fini(&header);
}

static void put_pixels(struct hr_buffer *out, uint32_t height, const uint8_t *samples, size_t size)
{
    struct hr_buffer raw = { 0 };
    const size_t row = size / height;
    uLongf packed_size = compressBound((uLong)(size + height));
    uint8_t *packed = malloc(packed_size);
    for (size_t y = 0; y < height; y++) {
        hr_buffer_put_u8(&raw, 0); /* no filter */
        hr_buffer_put(&raw, samples + y * row, row);
    }
    if (packed && compress(packed, &packed_size, raw.data, (uLong)raw.size) == Z_OK)
        put_chunk(out, "IDAT", packed, packed_size);
    free(packed);
    hr_buffer_fini(&raw);
}

void make_png(struct hr_buffer *out, int colour, int depth, uint32_t width, uint32_t height,
              const uint8_t *samples, size_t size)
{
    static const uint8_t clear[2] = { 0, 128 };
    uint8_t palette[9];
    for (int i = 0; i < 9; i++)
        palette[i] = (uint8_t)(png_palette[i / 3] >> (16 - 8 * (i % 3)));
    put_header(out, colour, depth, width, height);
    if (colour == 3) {
        put_chunk(out, "PLTE", palette, sizeof palette);
        put_chunk(out, "tRNS", clear, sizeof clear);
    }
    put_pixels(out, height, samples, size);
    put_chunk(out, "IEND", NULL, 0);
}

void make_png_header(struct hr_buffer *out, uint32_t width, uint32_t height)
{
    put_header(out, 2, 8, width, height);
    put_chunk(out, "IEND", NULL, 0);
}

void make_block_png(struct hr_buffer *out, const uint32_t blocks[6], int tag)
{
    uint8_t rgb[BLOCKS_WIDTH * BLOCKS_HEIGHT * 3], exif[26];
    fill_blocks(rgb, blocks);
    fill_exif(exif, tag);
    put_header(out, 2, 8, BLOCKS_WIDTH, BLOCKS_HEIGHT);
    put_chunk(out, "eXIf", exif, sizeof exif);
    put_pixels(out, BLOCKS_HEIGHT, rgb, sizeof rgb);
    put_chunk(out, "IEND", NULL, 0);
}

/* ---- BMP ---- */

static void put_bmp_header(struct hr_buffer *out, int32_t width, int32_t height, int bits,
                           uint32_t compression, uint32_t colours)
{
    const uint32_t start = 14 + 40 + colours * 4;
    hr_buffer_put(out, "BM", 2);
    hr_buffer_put_u32le(out, 0);
    hr_buffer_put_u32le(out, 0);
    hr_buffer_put_u32le(out, start);
    hr_buffer_put_u32le(out, 40);
    hr_buffer_put_u32le(out, (uint32_t)width);
    hr_buffer_put_u32le(out, (uint32_t)height);
    hr_buffer_put_u16le(out, 1);
    hr_buffer_put_u16le(out, (uint16_t)bits);
    hr_buffer_put_u32le(out, compression);
    for (int i = 0; i < 3; i++)
        hr_buffer_put_u32le(out, 0);
    hr_buffer_put_u32le(out, colours);
    hr_buffer_put_u32le(out, 0);
    for (uint32_t i = 0; i < colours; i++)
        hr_buffer_put_u32le(out, i * 0x10305);
}

void make_bmp(struct hr_buffer *out, int bits, bool top_down)
{
    put_bmp_header(out, 1, top_down ? -2 : 2, bits, 0, 0);
    for (int row = 0; row < 2; row++) {
        const bool red = (row == 0) == top_down;
        hr_buffer_put_u32le(out, bits == 16 ? (red ? 0x7c00 : 0x1f) : (red ? 0xf80000 : 0xf8));
    }
}

static void make_rle_bmp(struct hr_buffer *out)
{
    static const uint8_t runs[] = {
        3, 7, 0, 3, 1, 2, 3, 0, 0, 0, 0, 2, 1, 0, 5, 9, 0, 0, 6, 4, 0, 1
    };
    put_bmp_header(out, 6, 3, 8, 1, 256);
    hr_buffer_put(out, runs, sizeof runs);
}

/* ---- One of each ---- */

static void make_laced_png(struct hr_buffer *out)
{
    /* 2x2 gray in Adam7: pass 1 holds (0,0), pass 6 (1,0), pass 7 the second row. */
    static const uint8_t raw[] = { 0, 10, 0, 20, 0, 30, 40 };
    uint8_t packed[64];
    uLongf size = sizeof packed;
    static const uint8_t header[13] = { 0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 1 };
    hr_buffer_put(out, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(out, "IHDR", header, sizeof header);
    if (compress(packed, &size, raw, sizeof raw) == Z_OK)
        put_chunk(out, "IDAT", packed, size);
    put_chunk(out, "IEND", NULL, 0);
}

static void make_webp(struct hr_buffer *out, const uint32_t blocks[6])
{
#if HRNET_WEBP
    uint8_t rgb[BLOCKS_WIDTH * BLOCKS_HEIGHT * 3], *data = NULL;
    fill_blocks(rgb, blocks);
    const size_t size =
        WebPEncodeRGB(rgb, BLOCKS_WIDTH, BLOCKS_HEIGHT, BLOCKS_WIDTH * 3, 80, &data);
    hr_buffer_put(out, data, size);
    WebPFree(data);
#else
    make_block_png(out, blocks, 6);
#endif
}

void make_small(struct hr_buffer *out, int kind, const uint32_t blocks[6])
{
    static const uint8_t ink[4] = { 200, 100, 50, 255 };
    static const char ppm[] = "P6\n2 2\n255\nabcdefghijkl";
    switch (kind) {
    case 0:
        make_blocks(out, blocks, -1, false);
        break;
    case 1:
        make_blocks(out, blocks, -1, true);
        break;
    case 2:
        make_blocks(out, blocks, 6, false);
        break;
    case 3:
        make_ink_jpeg(out, ink, true, true);
        break;
    case 4:
        make_block_png(out, blocks, 6);
        break;
    case 5:
        make_laced_png(out);
        break;
    case 6:
        make_webp(out, blocks);
        break;
    case 7:
        make_bmp(out, 24, false);
        break;
    case 8:
        make_rle_bmp(out);
        break;
    default:
        hr_buffer_put(out, ppm, sizeof ppm - 1);
    }
}
