/* SPDX-License-Identifier: Apache-2.0
 * Bars for people who would rather look than read. */
#include "cli/svg.h"

#define ROW    16
#define LEFT   330
#define WIDTH  520
#define RIGHT  190
#define HEADER 44

void hr_svg_text(FILE *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '<')
            fputs("&lt;", out);
        else if (*s == '>')
            fputs("&gt;", out);
        else if (*s == '&')
            fputs("&amp;", out);
        else if (*s == '"')
            fputs("&quot;", out);
        else
            fputc(*s, out);
    }
}

void hr_svg_bars(FILE *out, const char *title, const struct hr_bar *bars, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = bars[i].value > most ? bars[i].value : most;
    const size_t height = HEADER + ROW * count + 12;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
            "font-family=\"sans-serif\" font-size=\"11\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
            "<text x=\"8\" y=\"26\" font-size=\"15\">",
            LEFT + WIDTH + RIGHT, height);
    hr_svg_text(out, title);
    fputs("</text>\n", out);
    for (size_t i = 0; i < count; i++) {
        const double length = most > 0 ? WIDTH * bars[i].value / most : 0;
        const size_t y = HEADER + ROW * i;
        fprintf(out, "<text x=\"%d\" y=\"%zu\" text-anchor=\"end\">", LEFT - 6, y + 11);
        hr_svg_text(out, bars[i].label);
        fprintf(out,
                "</text><rect x=\"%d\" y=\"%zu\" width=\"%.1f\" height=\"%d\" fill=\"#b9cfe4\"/>"
                "<rect x=\"%d\" y=\"%zu\" width=\"%.1f\" height=\"%d\" fill=\"#2f6da4\"/>"
                "<text x=\"%.1f\" y=\"%zu\" fill=\"#444444\">",
                LEFT, y + 1, length, ROW - 3, LEFT, y + 1, length * bars[i].fill, ROW - 3,
                LEFT + length + 5, y + 11);
        hr_svg_text(out, bars[i].note);
        fputs("</text>\n", out);
    }
    fputs("</svg>\n", out);
}
