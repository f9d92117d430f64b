/* SPDX-License-Identifier: Apache-2.0
 * Line charts.  Knows numbers, not what they mean. */
#include "cli/chart.h"

#include <math.h>
#include <string.h>

#define LEFT      58  /* px: room for the labels of y */
#define RIGHT     132 /* for the names of the series */
#define TOP       34
#define BOTTOM    26
#define WIDE      (HR_CHART_WIDTH - LEFT - RIGHT)
#define HIGH      (HR_CHART_HEIGHT - TOP - BOTTOM)
#define TICKS     5
#define LOG_RANGE 100.0 /* most over least from which the scale is logarithmic */

/* How values become pixels. */
struct scale {
    double x0, x1, y0, y1; /* y0 and y1 are logarithms where it is logarithmic */
    bool logarithmic;
};

void hr_chart_text(FILE *out, const char *text)
{
    static const struct {
        char c;
        const char *reference;
    } table[] = {
        { '<', "&lt;" }, { '>', "&gt;" }, { '&', "&amp;" }, { '"', "&quot;" }, { '\'', "&#39;" }
    };
    for (; *text; text++) {
        const char *reference = NULL;
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
            if (table[i].c == *text)
                reference = table[i].reference;
        if (reference)
            fputs(reference, out);
        else
            fputc(*text, out);
    }
}

void hr_chart_style(FILE *out)
{
    fputs("svg{font-family:system-ui,sans-serif;font-size:11px;background:#fff;fill:#333}\n"
          ".title{font-size:14px;font-weight:600}\n"
          ".grid{stroke:#ddd}.series{fill:none;stroke-width:1.8;stroke-linejoin:round}\n"
          ".s0{stroke:#2464a6}.s1{stroke:#d2691e}.s2{stroke:#2e8b57}.s3{stroke:#8a4fb0}\n"
          ".n0{fill:#2464a6}.n1{fill:#d2691e}.n2{fill:#2e8b57}.n3{fill:#8a4fb0}\n"
          "@media(prefers-color-scheme:dark){svg{background:#16181c;fill:#d6d8dc}\n"
          ".grid{stroke:#3a3d44}.s0{stroke:#6aa9ea}.s1{stroke:#f0a060}.s2{stroke:#6fcf97}\n"
          ".s3{stroke:#c79be6}.n0{fill:#6aa9ea}.n1{fill:#f0a060}.n2{fill:#6fcf97}\n"
          ".n3{fill:#c79be6}}\n",
          out);
}

/* ---- Scales ---- */

static struct scale scale_of(const struct hr_chart *chart)
{
    struct scale s = { INFINITY, -INFINITY, INFINITY, -INFINITY, false };
    for (size_t i = 0; i < chart->count; i++)
        for (size_t j = 0; j < chart->series[i].count; j++) {
            const double x = chart->series[i].x[j], y = chart->series[i].y[j];
            if (!isfinite(y))
                continue;
            s.x0 = fmin(s.x0, x);
            s.x1 = fmax(s.x1, x);
            s.y0 = fmin(s.y0, y);
            s.y1 = fmax(s.y1, y);
        }
    if (chart->most > chart->least) {
        s.y0 = chart->least;
        s.y1 = chart->most;
    } else if (s.y0 > 0.0 && s.y1 > LOG_RANGE * s.y0) {
        s.logarithmic = true;
        s.y0 = floor(log10(s.y0));
        s.y1 = ceil(log10(s.y1));
    }
    return s;
}

/* A round number of about a fifth of the range: 1, 2 or 5 times a power of ten. */
static double tick_of(double range)
{
    const double rough = range / TICKS, power = pow(10.0, floor(log10(rough)));
    const double times = rough / power;
    return power * (times > 5.0 ? 10.0 : times > 2.0 ? 5.0 : times > 1.0 ? 2.0 : 1.0);
}

/* Widens an empty range, and a free one to round numbers. */
static void round_scale(struct scale *s, bool fixed)
{
    if (!(s->x1 > s->x0)) {
        s->x0 = isfinite(s->x0) ? s->x0 - 0.5 : 0.0;
        s->x1 = s->x0 + 1.0;
    }
    if (!(s->y1 > s->y0)) {
        s->y0 = isfinite(s->y0) ? s->y0 - 0.5 : 0.0;
        s->y1 = s->y0 + 1.0;
    }
    if (fixed || s->logarithmic)
        return;
    const double tick = tick_of(s->y1 - s->y0);
    s->y0 = floor(s->y0 / tick) * tick;
    s->y1 = ceil(s->y1 / tick) * tick;
}

static double px_x(const struct scale *s, double x)
{
    return LEFT + WIDE * (x - s->x0) / (s->x1 - s->x0);
}

static double px_y(const struct scale *s, double y)
{
    const double at = s->logarithmic ? log10(y) : y;
    return TOP + HIGH * (1.0 - (at - s->y0) / (s->y1 - s->y0));
}

/* ---- Drawing ---- */

static void draw_level(FILE *out, const struct hr_chart *chart, const struct scale *s, double y)
{
    const double at = px_y(s, y);
    fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
            LEFT + WIDE, at, at);
    fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 6, at + 4.0);
    if (chart->percent)
        fprintf(out, "%g %%", y * 100.0);
    else
        fprintf(out, "%g", fabs(y) < 1e-12 ? 0.0 : y);
    fputs("</text>\n", out);
}

static void draw_axes(FILE *out, const struct hr_chart *chart, const struct scale *s)
{
    const double tick = s->logarithmic ? 1.0 : tick_of(s->y1 - s->y0);
    const int levels = (int)floor((s->y1 - s->y0) / tick + 1e-6);
    const int every = s->logarithmic && levels > 8 ? (levels + 7) / 8 : 1;
    for (int i = 0; i <= levels; i += every) {
        const double y = s->y0 + i * tick;
        draw_level(out, chart, s, s->logarithmic ? pow(10.0, y) : y);
    }
    const double step = fmax(1.0, tick_of(s->x1 - s->x0));
    for (double x = ceil(s->x0 / step) * step; x <= s->x1 + 1e-9; x += step)
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n", px_x(s, x),
                TOP + HIGH + 17, x);
}

static void draw_series(FILE *out, const struct hr_series *series, const struct scale *s, size_t at)
{
    bool drawing = false;
    double last_x = 0.0, last_y = 0.0;
    fprintf(out, "<path class=\"series s%zu\" d=\"", at);
    for (size_t i = 0; i < series->count; i++) {
        const bool there = isfinite(series->y[i]) && (!s->logarithmic || series->y[i] > 0.0);
        if (there) {
            last_x = px_x(s, series->x[i]);
            last_y = px_y(s, series->y[i]);
            fprintf(out, "%c%.1f %.1f", drawing ? 'L' : 'M', last_x, last_y);
        }
        drawing = there;
    }
    fputs("\"/>\n", out);
    if (series->count > 0)
        fprintf(out, "<circle class=\"n%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n", at, last_x,
                last_y);
}

/* Names from above to below, in the order of the series: they never lie over one another. */
static void draw_names(FILE *out, const struct hr_chart *chart)
{
    for (size_t i = 0; i < chart->count; i++) {
        const int y = TOP + 12 + 18 * (int)i;
        fprintf(out,
                "<line class=\"series s%zu\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>"
                "<text class=\"n%zu\" x=\"%d\" y=\"%d\">",
                i, LEFT + WIDE + 12, LEFT + WIDE + 28, y - 4, y - 4, i, LEFT + WIDE + 33, y);
        hr_chart_text(out, chart->series[i].name);
        fputs("</text>\n", out);
    }
}

void hr_chart_draw(FILE *out, const struct hr_chart *chart, int x, int y)
{
    struct scale s = scale_of(chart);
    round_scale(&s, chart->most > chart->least);
    fprintf(out, "<g transform=\"translate(%d %d)\"><text class=\"title\" x=\"%d\" y=\"20\">", x, y,
            LEFT);
    hr_chart_text(out, chart->title);
    fputs("</text>\n", out);
    draw_axes(out, chart, &s);
    for (size_t i = 0; i < chart->count; i++)
        draw_series(out, &chart->series[i], &s, i);
    draw_names(out, chart);
    fputs("</g>\n", out);
}

void hr_chart_file(FILE *out, const struct hr_chart *charts, size_t count)
{
    const int height = HR_CHART_HEIGHT * (int)count;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\">\n<style>",
            HR_CHART_WIDTH, height, HR_CHART_WIDTH, height);
    hr_chart_style(out);
    fputs("</style>\n", out);
    for (size_t i = 0; i < count; i++)
        hr_chart_draw(out, &charts[i], 0, HR_CHART_HEIGHT * (int)i);
    fputs("</svg>\n", out);
}
