/* SPDX-License-Identifier: Apache-2.0
 * A horizontal bar chart as SVG, and text in it. */
#ifndef HR_CLI_SVG_H
#define HR_CLI_SVG_H

#include <stddef.h>
#include <stdio.h>

/* Text of XML or HTML, or of an attribute in double quotes. */
void hr_svg_text(FILE *out, const char *s);

struct hr_bar {
    const char *label, *note; /* left of the bar, right of it */
    double value;             /* >= 0; the longest bar is the largest value */
    double fill;              /* 0 to 1: the part drawn dark */
};

void hr_svg_bars(FILE *out, const char *title, const struct hr_bar *bars, size_t count);

#endif
