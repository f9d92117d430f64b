/* SPDX-License-Identifier: Apache-2.0
 * Loops over pixels, and an alphabet that can be read where it stands.  Everything clips, so that
 * callers need not count. */
#include "image/draw.h"

#include <math.h>
#include <string.h>

#include "image/resize.h"

/* ---- Colours ---- */

uint32_t hr_draw_colour(enum hr_colours colours, float value)
{
    static const uint8_t stops[][5][3] = {
        [HR_COLOURS_HEAT] = { { 28, 32, 120 },
                              { 24, 138, 208 },
                              { 70, 196, 120 },
                              { 248, 206, 60 },
                              { 214, 34, 30 } },
        [HR_COLOURS_GLOW] = { { 4, 4, 14 },
                              { 62, 24, 104 },
                              { 168, 44, 112 },
                              { 244, 128, 58 },
                              { 255, 244, 200 } },
    };
    if (isnan(value))
        return 0x808080;
    const float place = 4 * fminf(fmaxf(value, 0), 1);
    const int i = place < 3 ? (int)place : 3;
    const uint8_t *a = stops[colours][i], *b = stops[colours][i + 1];
    uint32_t rgb = 0;
    for (int c = 0; c < 3; c++) {
        const float mixed = (float)a[c] + (place - (float)i) * ((float)b[c] - (float)a[c]);
        rgb = rgb << 8 | (uint32_t)lrintf(mixed);
    }
    return rgb;
}

static void put(uint8_t *pixel, uint32_t colour)
{
    pixel[0] = (uint8_t)(colour >> 16);
    pixel[1] = (uint8_t)(colour >> 8);
    pixel[2] = (uint8_t)colour;
}

static uint8_t *pixel_at(struct hr_image *image, int64_t x, int64_t y)
{
    return image->pixels + (y * image->width + x) * 3;
}

/* ---- Fields ---- */

void hr_field_range(struct hr_field *field)
{
    float least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < field->width * field->height; i++) {
        const float value = field->values[i];
        if (!isfinite(value))
            continue;
        least = fminf(least, value);
        most = fmaxf(most, value);
    }
    field->least = least <= most ? least : 0;
    field->most = least <= most ? most : 0;
}

/* 0 to 1; a field of one value is 0 all over. */
static float scaled(const struct hr_field *field, float value)
{
    const float range = field->most - field->least;
    if (isnan(value))
        return value;
    return range > 0 ? (value - field->least) / range : 0;
}

/* Of the neighbours of output pixel `out`: the first and the weight of the second. */
static int64_t neighbour(int64_t out, int64_t from, int64_t to, float *weight)
{
    const float place = ((float)out + 0.5f) * (float)from / (float)to - 0.5f;
    const float inside = fminf(fmaxf(place, 0), (float)(from - 1));
    const int64_t first = (int64_t)inside < from - 1 ? (int64_t)inside : from - 1;
    *weight = inside - (float)first;
    return first;
}

float hr_field_at(const struct hr_field *field, int64_t width, int64_t height, int64_t x, int64_t y)
{
    float right, down;
    const int64_t column = neighbour(x, field->width, width, &right);
    const int64_t row = neighbour(y, field->height, height, &down);
    const float *p = field->values + row * field->width + column;
    const int64_t step = right > 0 ? 1 : 0, line = down > 0 ? field->width : 0;
    const float above = p[0] + right * (p[step] - p[0]);
    const float below = p[line] + right * (p[line + step] - p[line]);
    return above + down * (below - above);
}

void hr_draw_field(struct hr_image *image, const struct hr_field *field, enum hr_colours colours)
{
    for (int64_t y = 0; y < image->height; y++)
        for (int64_t x = 0; x < image->width; x++) {
            const int64_t row = y * field->height / image->height;
            const int64_t column = x * field->width / image->width;
            const float value = field->values[row * field->width + column];
            put(pixel_at(image, x, y), hr_draw_colour(colours, scaled(field, value)));
        }
}

/* How much of the picture a map hides where it is smallest, and where it is largest: more would
 * hide what it points at, less would not be seen. */
#define THINNEST 0.25f
#define DENSEST  0.65f

void hr_draw_overlay(struct hr_image *image, const struct hr_field *field, enum hr_colours colours)
{
    for (int64_t y = 0; y < image->height; y++)
        for (int64_t x = 0; x < image->width; x++) {
            const float value =
                scaled(field, hr_field_at(field, image->width, image->height, x, y));
            const float inside = isnan(value) ? 0 : fminf(fmaxf(value, 0), 1);
            const float cover = THINNEST + (DENSEST - THINNEST) * inside;
            uint8_t colour[3], *pixel = pixel_at(image, x, y);
            put(colour, hr_draw_colour(colours, value));
            for (int c = 0; c < 3; c++)
                pixel[c] =
                    (uint8_t)lrintf((float)pixel[c] + cover * ((float)colour[c] - (float)pixel[c]));
        }
}

/* ---- Boxes and pictures ---- */

static int64_t within(int64_t value, int64_t most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

void hr_draw_box(struct hr_image *image, int64_t x, int64_t y, int64_t width, int64_t height,
                 uint32_t colour)
{
    const int64_t right = within(x + width, image->width);
    const int64_t bottom = within(y + height, image->height);
    for (int64_t row = within(y, image->height); row < bottom; row++)
        for (int64_t column = within(x, image->width); column < right; column++)
            put(pixel_at(image, column, row), colour);
}

void hr_draw_paste(struct hr_image *image, const struct hr_image *from, int64_t x, int64_t y)
{
    const int64_t left = within(x, image->width), right = within(x + from->width, image->width);
    const int64_t bottom = within(y + from->height, image->height);
    for (int64_t row = within(y, image->height); row < bottom && left < right; row++)
        memcpy(pixel_at(image, left, row), from->pixels + ((row - y) * from->width + left - x) * 3,
               (size_t)(right - left) * 3);
}

enum hr_status hr_draw_thumbnail(struct hr_image *out, const struct hr_image *image, int64_t width,
                                 int64_t height)
{
    const double across = (double)width / (double)image->width;
    const double down = (double)height / (double)image->height;
    const double scale = fmin(fmin(across, down), 1);
    struct hr_image small = { 0 };
    HR_TRY(hr_image_init(&small, (int64_t)fmax(1, rint((double)image->width * scale)),
                         (int64_t)fmax(1, rint((double)image->height * scale))));
    const struct hr_resize_to to = { .width = small.width, .height = small.height };
    const enum hr_status status = hr_resize_window(&small, image, HR_RESIZE_PILLOW, &to);
    if (status == HR_OK)
        *out = small;
    else
        hr_image_fini(&small);
    return status;
}

/* ---- Text ---- */

#define LETTER_WIDTH  5
#define LETTER_HEIGHT 8 /* the last row is below the line */
#define BAND          16
#define FIRST_LETTER  32

/* clang-format off */
static const char letters[][LETTER_HEIGHT][BAND * LETTER_WIDTH + 1] = {
    {
        ".......#...#.#..#.#...#..##..#.##....#.....#..#................................#",
        ".......#...#.#..#.#..######..##..#...#....#....#....#....#.....................#",
        ".......#.......######.#.....#.#.#........#......#.#.#.#..#....................#.",
        ".......#........#.#..###...#...#.........#......#..###.#####.....#####.......#..",
        ".......#.......#####..#.#.#...#.#.#......#......#.#.#.#..#..................#...",
        "................#.#.####.#..###..#........#....#....#....#....##........##.#....",
        ".......#........#.#...#..#..##.##.#........#..#...............##........##.#....",
        "..............................................................#.................",
    },
    {
        ".###...#...###..###....#.#####..##.#####.###..###..............#.......#....###.",
        "#...#.##..#...##...#..##.#.....#.......##...##...#..##...##...#.........#..#...#",
        "#..###.#......#....#.#.#.####.#.......#.#...##...#..##...##..#...#####...#.....#",
        "#.#.#..#....##...##.#..#.....#####....#..###..####..........#.............#...#.",
        "##..#..#...#.......######....##...#..#..#...#....#...........#...#####...#...#..",
        "#...#..#..#....#...#...#.#...##...#..#..#...#...#...##...##...#.........#.......",
        ".###.##########.###....#..###..###...#...###..##....##...##....#.......#.....#..",
        ".........................................................#......................",
    },
    {
        ".###...#..####..###.###..##########.###.#...#.###...####...##....#...##...#.###.",
        "#...#.#.#.#...##...##..#.#....#....#...##...#..#.....#.#..#.#....##.####..##...#",
        "#.####...##...##....#...##....#....#....#...#..#.....#.#.#..#....#.#.###..##...#",
        "#.#.##...#####.#....#...#####.####.#..#######..#.....#.##...#....#.#.##.#.##...#",
        "#.#########...##....#...##....#....#...##...#..#.....#.#.#..#....#...##..###...#",
        "#....#...##...##...##..#.#....#....#...##...#..#..#..#.#..#.#....#...##..###...#",
        ".#####...#####..###.###..######.....#####...#.###..##..#...#######...##...#.###.",
        "................................................................................",
    },
    {
        "####..###.####..##########...##...##...##...##...######.###.#.....###...#.......",
        "#...##...##...##......#..#...##...##...##...##...#....#.#...#.......#..#.#......",
        "#...##...##...##......#..#...##...##...#.#.#..#.#....#..#....#......#.#...#.....",
        "####.#...#####..###...#..#...##...##.#.#..#....#....#...#.....#.....#...........",
        "#....#.#.##.#......#..#..#...#.#.#.#.#.#.#.#...#...#....#......#....#...........",
        "#....#..#.#..#.....#..#..#...#.#.#.##.###...#..#..#.....#.......#...#...........",
        "#.....##.##...#####...#...###...#..#...##...#..#..#####.###.....#.###...........",
        "...........................................................................#####",
    },
    {
        ".#........#.............#.......##......#......#.....#.#.....##.................",
        "..#.......#.............#......#..#.....#..............#......#.................",
        "......###.#.##..###..##.#.###..#....#####.##..##....##.#..#...#..##.#.#.##..###.",
        ".........###..##...##..###...####..#...###..#..#.....#.#.#....#..#.#.###..##...#",
        "......#####...##....#...######.#...#...##...#..#.....#.##.....#..#.#.##...##...#",
        ".....#...##...##...##...##.....#....#####...#..#.....#.#.#....#..#...##...##...#",
        "......########..###..####.###..#.......##...#.###.#..#.#..#..###.#...##...#.###.",
        "....................................###............##...........................",
    },
    {
        ".....................#....................................#...#...#........#####",
        ".....................#...................................#....#....#.......#...#",
        "####..#####.##..#######..#...##...##...##...##...######..#....#....#...#...#...#",
        "#...##...###..##.....#...#...##...##...#.#.#.#...#...#..#.....#.....#.#.#.##...#",
        "#...##...##.....###..#...#...##...##.#.#..#..#...#..#....#....#....#.....#.#...#",
        "####..#####........#.#..##..##.#.#.#.#.#.#.#..####.#.....#....#....#.......#...#",
        "#........##....####...##..##.#..#...#.#.#...#....######...#...#...#........#####",
        "#........#....................................###...............................",
    },
};
/* clang-format on */

static void draw_letter(struct hr_image *image, int64_t x, int64_t y, int scale, uint32_t colour,
                        unsigned char letter)
{
    const unsigned index = letter - FIRST_LETTER;
    for (int row = 0; row < LETTER_HEIGHT; row++)
        for (int column = 0; column < LETTER_WIDTH; column++)
            if (letters[index / BAND][row][index % BAND * LETTER_WIDTH + (unsigned)column] == '#')
                hr_draw_box(image, x + (int64_t)column * scale, y + (int64_t)row * scale, scale,
                            scale, colour);
}

/* One letter of the alphabet a character: the last stands for all that it lacks. */
static unsigned char next_letter(const char **text)
{
    const unsigned char c = (unsigned char)*(*text)++;
    if (c >= FIRST_LETTER && c < 127)
        return c;
    while (c >= 0x80 && ((unsigned char)**text & 0xc0) == 0x80)
        (*text)++;
    return 127;
}

/* The first `most` letters of one line; returns where it ends. */
static const char *draw_line(struct hr_image *image, int64_t x, int64_t y, int scale,
                             uint32_t colour, const char *text, int64_t most)
{
    for (int64_t i = 0; *text && *text != '\n'; i++) {
        const unsigned char letter = next_letter(&text);
        if (i < most)
            draw_letter(image, x + i * HR_DRAW_LETTER * scale, y, scale, colour, letter);
    }
    return text;
}

static void draw_lines(struct hr_image *image, int64_t x, int64_t y, int scale, uint32_t colour,
                       const char *text, int64_t most)
{
    for (; *text; y += (int64_t)HR_DRAW_LINE * scale) {
        text = draw_line(image, x, y, scale, colour, text, most);
        text += *text == '\n';
    }
}

void hr_draw_text(struct hr_image *image, int64_t x, int64_t y, int scale, uint32_t colour,
                  const char *text)
{
    draw_lines(image, x, y, scale, colour, text, INT64_MAX);
}

/* ---- Sheets ---- */

#define GAP   8 /* px around every tile */
#define PAPER 0xffffff
#define INK   0x202020

static int64_t line_count(const char *text)
{
    int64_t lines = text && *text;
    for (; text && *text; text++)
        lines += *text == '\n';
    return lines;
}

enum hr_status hr_draw_sheet(struct hr_image *out, const struct hr_sheet *sheet)
{
    const size_t columns = sheet->columns < sheet->count ? sheet->columns : sheet->count;
    const size_t rows = (sheet->count + columns - 1) / columns;
    int64_t width = 0, height = 0, lines = 0;
    struct hr_image image = { 0 };
    for (size_t i = 0; i < sheet->count; i++) {
        const struct hr_tile *tile = &sheet->tiles[i];
        const int64_t count = line_count(tile->caption);
        if (tile->image) {
            width = tile->image->width > width ? tile->image->width : width;
            height = tile->image->height > height ? tile->image->height : height;
        }
        lines = count > lines ? count : lines;
    }
    const int64_t across = width + GAP, letter = (int64_t)HR_DRAW_LETTER * sheet->scale;
    const int64_t down = height + GAP + lines * HR_DRAW_LINE * sheet->scale + (lines ? GAP / 2 : 0);
    HR_TRY(hr_image_init(&image, (int64_t)columns * across + GAP, (int64_t)rows * down + GAP));
    hr_draw_box(&image, 0, 0, image.width, image.height, PAPER);
    for (size_t i = 0; i < sheet->count; i++) {
        const struct hr_tile *tile = &sheet->tiles[i];
        const int64_t x = GAP + (int64_t)(i % columns) * across;
        const int64_t y = GAP + (int64_t)(i / columns) * down;
        if (tile->image)
            hr_draw_paste(&image, tile->image, x, y);
        if (tile->caption)
            draw_lines(&image, x, y + height + GAP / 2, sheet->scale, INK, tile->caption,
                       (width + sheet->scale) / letter);
    }
    *out = image;
    return HR_OK;
}
