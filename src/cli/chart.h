/* SPDX-License-Identifier: Apache-2.0
 * Line charts as SVG, in light and in dark. */
#ifndef HR_CLI_CHART_H
#define HR_CLI_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct hr_series {
    const char *name;
    const double *x, *y; /* [count]; y that is no number is a gap */
    size_t count;
};

#define HR_CHART_WIDTH  640
#define HR_CHART_HEIGHT 240

struct hr_chart {
    const char *title;
    const struct hr_series *series; /* at most 4 */
    size_t count;
    double least, most; /* of y; where they are equal, the range of the values */
    bool percent;       /* y are shares */
};

/* Text of XML: the five characters that mean something there are written as references. */
void hr_chart_text(FILE *out, const char *text);
/* Rules of style for everything below: once in a document, inside <style>. */
void hr_chart_style(FILE *out);
/* One chart as <g>, HR_CHART_WIDTH x HR_CHART_HEIGHT px, its upper left corner at (x, y).  Values
 * over more than two decades are drawn on a logarithmic scale. */
void hr_chart_draw(FILE *out, const struct hr_chart *chart, int x, int y);
/* An SVG file of charts below one another. */
void hr_chart_file(FILE *out, const struct hr_chart *charts, size_t count);

#endif
