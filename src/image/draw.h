/* SPDX-License-Identifier: Apache-2.0
 * Pictures made of numbers and of other pictures: colour maps, overlays, thumbnails, sheets with
 * captions.  Colours are 0xRRGGBB; what lies outside a picture is not drawn. */
#ifndef HR_IMAGE_DRAW_H
#define HR_IMAGE_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

enum hr_colours {
    HR_COLOURS_HEAT, /* blue, green, yellow, red: to lay over pictures */
    HR_COLOURS_GLOW, /* black, violet, orange, pale: brighter is more */
};
/* Colour of a value from 0 to 1; values outside are clamped, no number is gray. */
uint32_t hr_draw_colour(enum hr_colours colours, float value);

/* Numbers to be looked at. */
struct hr_field {
    const float *values; /* [height][width] */
    int64_t width, height;
    float least, most; /* get the first and the last colour */
};
/* Sets least and most to the range of the finite values. */
void hr_field_range(struct hr_field *field);
/* The field stretched over width x height by linear interpolation between its pixels' centres:
 * the value at pixel (x, y). */
float hr_field_at(const struct hr_field *field, int64_t width, int64_t height, int64_t x,
                  int64_t y);

/* Fills the whole picture with the field: each of its pixels becomes a block. */
void hr_draw_field(struct hr_image *image, const struct hr_field *field, enum hr_colours colours);
/* Lays the interpolated field over the picture, the denser the larger its value. */
void hr_draw_overlay(struct hr_image *image, const struct hr_field *field, enum hr_colours colours);

void hr_draw_box(struct hr_image *image, int64_t x, int64_t y, int64_t width, int64_t height,
                 uint32_t colour);
void hr_draw_paste(struct hr_image *image, const struct hr_image *from, int64_t x, int64_t y);

/* Text in letters of 5x8 pixels, each `scale` wide and high, from the upper left corner; newlines
 * begin lines HR_DRAW_LINE apart.  ASCII; any other character of UTF-8 is a box. */
#define HR_DRAW_LETTER 6 /* px from one letter to the next, at scale 1 */
#define HR_DRAW_LINE   10
void hr_draw_text(struct hr_image *image, int64_t x, int64_t y, int scale, uint32_t colour,
                  const char *text);

/* The whole picture, made smaller (never larger) to fit into a box.  `out` is initialised by the
 * call. */
enum hr_status hr_draw_thumbnail(struct hr_image *out, const struct hr_image *image, int64_t width,
                                 int64_t height) HR_WARN_UNUSED;

/* Pictures in rows of `columns`, a caption below each (NULL or "" for none; what is wider than the
 * widest picture is cut).  `out` is initialised by the call. */
struct hr_tile {
    const struct hr_image *image; /* NULL: left empty */
    const char *caption;
};
struct hr_sheet {
    const struct hr_tile *tiles;
    size_t count, columns; /* both above 0 */
    int scale;             /* of the captions */
};
enum hr_status hr_draw_sheet(struct hr_image *out, const struct hr_sheet *sheet) HR_WARN_UNUSED;

#endif
