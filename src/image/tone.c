/* SPDX-License-Identifier: Apache-2.0
 * Tones.  The one idea: what works on single bytes is a table of 256; what enhances is a blend with
 * a duller picture.  Facts are Pillow's ImageOps.py, ImageEnhance.py and libImaging's Blend.c,
 * Convert.c and Filter.c. */
#include "image/tone.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static size_t samples(const struct hr_image *image)
{
    return (size_t)(image->width * image->height) * 3;
}

/* ---- Tables ---- */

static void map_all(struct hr_image *image, const uint8_t table[256])
{
    const size_t count = samples(image);
    for (size_t i = 0; i < count; i++)
        image->pixels[i] = table[image->pixels[i]];
}

static void map_channels(struct hr_image *image, uint8_t table[3][256])
{
    const size_t count = samples(image);
    for (size_t i = 0; i < count; i += 3)
        for (size_t c = 0; c < 3; c++)
            image->pixels[i + c] = table[c][image->pixels[i + c]];
}

static void count_channels(const struct hr_image *image, uint64_t histogram[3][256])
{
    const size_t count = samples(image);
    memset(histogram, 0, 3 * sizeof *histogram);
    for (size_t i = 0; i < count; i += 3)
        for (size_t c = 0; c < 3; c++)
            histogram[c][image->pixels[i + c]]++;
}

static uint8_t to_byte(int64_t value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void stretch(uint8_t table[256], const uint64_t histogram[256])
{
    int low = 0, high = 255;
    while (low < 255 && histogram[low] == 0)
        low++;
    while (high > 0 && histogram[high] == 0)
        high--;
    const double scale = high > low ? 255.0 / (high - low) : 1.0;
    const double offset = high > low ? -low * scale : 0.0;
    for (int i = 0; i < 256; i++)
        table[i] = to_byte((int64_t)(i * scale + offset));
}

void hr_tone_autocontrast(struct hr_image *image)
{
    uint64_t histogram[3][256];
    uint8_t table[3][256];
    count_channels(image, histogram);
    for (int c = 0; c < 3; c++)
        stretch(table[c], histogram[c]);
    map_channels(image, table);
}

/* A step is a 255th of all pixels but those of the brightest value; without one nothing changes. */
static void flatten(uint8_t table[256], const uint64_t histogram[256])
{
    uint64_t sum = 0, last = 0;
    for (int i = 0; i < 256; i++) {
        sum += histogram[i];
        last = histogram[i] ? histogram[i] : last;
    }
    const uint64_t step = (sum - last) / 255;
    uint64_t n = step / 2;
    for (int i = 0; i < 256; i++) {
        table[i] = step ? to_byte((int64_t)(n / step)) : (uint8_t)i;
        n += histogram[i];
    }
}

void hr_tone_equalize(struct hr_image *image)
{
    uint64_t histogram[3][256];
    uint8_t table[3][256];
    count_channels(image, histogram);
    for (int c = 0; c < 3; c++)
        flatten(table[c], histogram[c]);
    map_channels(image, table);
}

void hr_tone_solarize(struct hr_image *image, double threshold)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)(i < threshold ? i : 255 - i);
    map_all(image, table);
}

void hr_tone_invert(struct hr_image *image)
{
    hr_tone_solarize(image, 0.0);
}

void hr_tone_solarize_add(struct hr_image *image, int add)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = i < 128 ? to_byte(i + add) : (uint8_t)i;
    map_all(image, table);
}

void hr_tone_posterize(struct hr_image *image, int bits)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)(i & ~((1 << (8 - bits)) - 1));
    map_all(image, table);
}

/* ---- Blends ---- */

static uint8_t luma(const uint8_t *p)
{
    return (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
}

/* In float32; between a and b nothing can leave the range. */
static uint8_t mix(int a, int b, float factor)
{
    const float value = (float)a + factor * (float)(b - a);
    return (uint8_t)(value <= 0.0f ? 0.0f : value >= 255.0f ? 255.0f : value);
}

void hr_tone_blend(uint8_t *out, const uint8_t *a, const uint8_t *b, double factor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = mix(a[i], b[i], (float)factor);
}

void hr_tone_color(struct hr_image *image, double factor)
{
    const size_t count = samples(image);
    for (size_t i = 0; i < count; i += 3) {
        const uint8_t gray = luma(image->pixels + i);
        for (size_t c = 0; c < 3; c++)
            image->pixels[i + c] = mix(gray, image->pixels[i + c], (float)factor);
    }
}

void hr_tone_gray(struct hr_image *image)
{
    const size_t count = samples(image);
    for (size_t i = 0; i < count; i += 3)
        memset(image->pixels + i, luma(image->pixels + i), 3);
}

static void blend_with(struct hr_image *image, uint8_t value, double factor)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = mix(value, i, (float)factor);
    map_all(image, table);
}

void hr_tone_contrast(struct hr_image *image, double factor)
{
    const size_t count = samples(image);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i += 3)
        sum += luma(image->pixels + i);
    blend_with(image, (uint8_t)((double)sum / (double)(count / 3) + 0.5), factor);
}

void hr_tone_brightness(struct hr_image *image, double factor)
{
    blend_with(image, 0, factor);
}

/* Filter.c's order of the nine terms: the row below, this one, the one above. */
static uint8_t smoothed(const uint8_t *p, ptrdiff_t stride)
{
    const float side = 1.0f / 13.0f, middle = 5.0f / 13.0f;
    float sum = 0.5f;
    for (int row = 1; row >= -1; row--) {
        const uint8_t *q = p + row * stride;
        sum += (float)q[-3] * side + (float)q[0] * (row == 0 ? middle : side) + (float)q[3] * side;
    }
    return (uint8_t)(sum >= 255.0f ? 255.0f : sum);
}

enum hr_status hr_tone_sharpness(struct hr_image *image, double factor)
{
    const size_t count = samples(image);
    const int64_t stride = image->width * 3;
    uint8_t *const smooth = hr_mem_alloc_raw(count, 1);
    if (!smooth)
        return HR_E_MEMORY;
    memcpy(smooth, image->pixels, count);
    for (int64_t y = 1; y < image->height - 1; y++)
        for (int64_t x = 3; x < stride - 3; x++)
            smooth[y * stride + x] = smoothed(image->pixels + y * stride + x, stride);
    hr_tone_blend(image->pixels, smooth, image->pixels, factor, count);
    hr_mem_free(smooth);
    return HR_OK;
}

/* ---- Hue ---- */

struct hsv {
    uint8_t h, s, v;
};

/* Types matter: the fractions are float32, what becomes of them double. */
static struct hsv to_hsv(const uint8_t *p)
{
    const int r = p[0], g = p[1], b = p[2];
    const int most = r > g ? (r > b ? r : b) : g > b ? g : b;
    const int least = r < g ? (r < b ? r : b) : g < b ? g : b;
    if (most == least)
        return (struct hsv){ 0, 0, (uint8_t)most };
    const float range = (float)(most - least), s = range / (float)most;
    const float rc = (float)(most - r) / range, gc = (float)(most - g) / range,
                bc = (float)(most - b) / range;
    float h = r == most   ? bc - gc
              : g == most ? (float)(2.0 + (double)rc - (double)bc)
                          : (float)(4.0 + (double)gc - (double)rc);
    h = (float)fmod((double)h / 6.0 + 1.0, 1.0);
    return (struct hsv){ to_byte((int64_t)((double)h * 255.0)),
                         to_byte((int64_t)((double)s * 255.0)), (uint8_t)most };
}

static void from_hsv(uint8_t *p, struct hsv c)
{
    const double turn = (double)(float)c.h * 6.0 / 255.0;
    const int sector = (int)floor(turn);
    const float f = (float)(turn - (double)(float)sector), fs = (float)((double)(float)c.s / 255.0);
    const uint8_t v = c.v;
    const uint8_t low = to_byte((int64_t)round(v * (1.0 - (double)fs)));
    const uint8_t down = to_byte((int64_t)round(v * (1.0 - (double)(fs * f))));
    const uint8_t up = to_byte((int64_t)round(v * (1.0 - (double)fs * (1.0 - (double)f))));
    const uint8_t rgb[6][3] = { { v, up, low },   { down, v, low }, { low, v, up },
                                { low, down, v }, { up, low, v },   { v, low, down } };
    memcpy(p, rgb[sector % 6], 3);
    if (c.s == 0)
        memset(p, v, 3);
}

void hr_tone_hue(struct hr_image *image, uint8_t shift)
{
    const size_t count = samples(image);
    for (size_t i = 0; i < count; i += 3) {
        struct hsv c = to_hsv(image->pixels + i);
        c.h = (uint8_t)(c.h + shift);
        from_hsv(image->pixels + i, c);
    }
}
