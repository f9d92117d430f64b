/* SPDX-License-Identifier: Apache-2.0
 * The page.  Charts are SVG, pictures are PNG in the page itself; colours follow the reader's
 * setting of light or dark. */
#include "cli/eval_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/os.h"
#include "cli/chart.h"

#define MAP_CLASSES 40  /* of the confusion map; more have no room for their names */
#define PAIRS       20  /* most frequent confusions */
#define OPEN_ROWS   40  /* of the table of classes; longer ones are folded */
#define THUMB       112 /* px, the height of a mistake's picture */

static const char style[] =
    ":root{--back:#fff;--text:#22252a;--soft:#666c75;--line:#dfe2e7;--card:#f5f6f8;"
    "--main:#2464a6;--other:#d2691e}\n"
    "@media(prefers-color-scheme:dark){:root{--back:#16181c;--text:#d9dbe0;--soft:#9aa0aa;"
    "--line:#3a3d44;--card:#1f2227;--main:#6aa9ea;--other:#f0a060}}\n"
    "body{margin:0 auto;padding:24px;max-width:1080px;background:var(--back);color:var(--text);"
    "font:14px/1.45 system-ui,sans-serif}\n"
    "h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:34px 0 10px}\n"
    "p{margin:4px 0;color:var(--soft)}code{font-size:13px}\n"
    ".tiles{display:flex;flex-wrap:wrap;gap:12px;margin:18px 0}\n"
    ".tile{background:var(--card);border-radius:8px;padding:10px 16px;min-width:104px}\n"
    ".tile b{display:block;font-size:22px}.tile span{color:var(--soft);font-size:12px}\n"
    "table{border-collapse:collapse}th,td{padding:3px 10px;border-bottom:1px solid var(--line);"
    "text-align:right;white-space:nowrap}\n"
    "th{color:var(--soft);font-weight:600;font-size:12px}th.l,td.l{text-align:left}\n"
    ".bar{display:inline-block;width:120px;height:9px;background:var(--card);border-radius:4px;"
    "vertical-align:middle}.bar i{display:block;height:9px;background:var(--main);"
    "border-radius:4px}\n"
    ".sheet{display:flex;flex-wrap:wrap;gap:14px}figure{margin:0;width:150px}\n"
    "figure img{display:block;border-radius:6px;image-rendering:auto}\n"
    "figcaption{font-size:12px;overflow-wrap:anywhere}figcaption small{color:var(--soft)}\n"
    "svg{background:none;fill:var(--text);font:11px system-ui,sans-serif;max-width:100%}\n"
    ".grid{stroke:var(--line)}.main{fill:var(--main)}.other{stroke:var(--other);fill:none;"
    "stroke-width:2}.soft{fill:var(--soft)}.light{fill:var(--back)}\n"
    ".side{display:flex;flex-wrap:wrap;gap:28px;align-items:flex-start}.plot{width:330px}\n";

static void put_name(FILE *out, const struct hr_eval_report *report, uint64_t k)
{
    char number[24];
    hr_chart_text(out, hr_eval_name(report, k, number));
}

/* ---- Head ---- */

static void put_tile(FILE *out, const char *what, const char *format, double value)
{
    fputs("<div class=\"tile\"><b>", out);
    fprintf(out, format, value);
    fprintf(out, "</b><span>%s</span></div>\n", what);
}

static void put_head(FILE *out, const struct hr_eval_report *report)
{
    const struct hrnet_evaluation *const e = report->e;
    const struct hr_eval_row means = hr_eval_means(e);
    struct hrnet_model_info info;
    char recipe[128];
    memset(&info, 0, sizeof info);
    const bool known = hrnet_model_describe(report->model, &info) == HRNET_OK;
    hr_eval_recipe_line(recipe, sizeof recipe, report->recipe);
    fputs("<h1>Evaluation of ", out);
    hr_chart_text(out, known ? info.architecture : "a model");
    fputs("</h1>\n<p>model <code>", out);
    hr_chart_text(out, report->file);
    fputs("</code>, pictures <code>", out);
    hr_chart_text(out, report->data);
    fputs("</code></p>\n<p>recipe ", out);
    hr_chart_text(out, recipe);
    fputs("</p>\n<div class=\"tiles\">\n", out);
    put_tile(out, "pictures", "%.0f", (double)e->pictures);
    put_tile(out, "classes", "%.0f", (double)e->classes);
    if (e->labels) {
        put_tile(out, "mean average precision", "%.2f %%", 100.0 * e->map);
        put_tile(out, "all labels right", "%.2f %%", 100.0 * hr_eval_share(e->top1, e->pictures));
        put_tile(out, "labels wrong", "%.2f %%", 100.0 * e->hamming);
    } else {
        put_tile(out, "top-1", "%.2f %%", 100.0 * hr_eval_share(e->top1, e->pictures));
        put_tile(out, "top-5", "%.2f %%", 100.0 * hr_eval_share(e->top5, e->pictures));
        put_tile(out, "calibration error", "%.4f", e->ece);
    }
    put_tile(out, "mean F1", "%.4f", means.f1);
    put_tile(out, "loss", "%.4f", e->loss);
    fputs("</div>\n", out);
}

/* ---- Calibration ---- */

#define PLOT 260 /* px of its sides */
#define EDGE 44

static double at_x(double share)
{
    return EDGE + PLOT * share;
}

static double at_y(double share)
{
    return 10 + PLOT * (1.0 - share);
}

static void put_axes(FILE *out, const char *x_title)
{
    for (int i = 0; i <= 5; i++) {
        const double share = i / 5.0;
        fprintf(out,
                "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"soft\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d %%</text>"
                "<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d %%</text>\n",
                EDGE, EDGE + PLOT, at_y(share), at_y(share), EDGE - 6, at_y(share) + 4, i * 20,
                at_x(share), 10 + PLOT + 16, i * 20);
    }
    fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", at_x(0.5),
            10 + PLOT + 34, x_title);
}

/* Bars of `value` over the bins of confidence. */
static void put_bars(FILE *out, const struct hrnet_evaluation *e, bool of_pictures)
{
    for (int b = 0; b < HRNET_BINS; b++) {
        const struct hrnet_bin *const bin = &e->bins[b];
        const double share = of_pictures ? hr_eval_share(bin->pictures, e->pictures)
                                         : hr_eval_share(bin->right, bin->pictures);
        const double mean = bin->pictures ? bin->confidence / (double)bin->pictures : 0.0;
        if (bin->pictures == 0)
            continue;
        fprintf(out,
                "<rect class=\"main\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">"
                "<title>%" PRIu64 " pictures, mean confidence %.1f %%, right %.1f %%</title>"
                "</rect>\n",
                at_x((double)b / HRNET_BINS) + 1, at_y(share), (double)PLOT / HRNET_BINS - 2,
                PLOT * share, bin->pictures, 100.0 * mean,
                100.0 * hr_eval_share(bin->right, bin->pictures));
        if (!of_pictures) /* where a well calibrated model's bar would end */
            fprintf(out, "<path class=\"other\" d=\"M%.1f %.1fh%.1f\"/>\n",
                    at_x((double)b / HRNET_BINS), at_y(mean), (double)PLOT / HRNET_BINS);
    }
}

static void put_plot(FILE *out, const struct hrnet_evaluation *e, bool of_pictures)
{
    fprintf(out, "<svg width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n",
            EDGE + PLOT + 24, PLOT + 52, EDGE + PLOT + 24, PLOT + 52);
    put_axes(out, "confidence");
    put_bars(out, e, of_pictures);
    fputs("</svg>\n", out);
}

static void put_calibration(FILE *out, const struct hrnet_evaluation *e)
{
    fputs("<h2>Can its confidence be trusted?</h2>\n<div class=\"side\"><div class=\"plot\">\n",
          out);
    put_plot(out, e, false);
    fputs("<p>Right answers by confidence; the marks are the mean confidence of each bar's "
          "pictures.</p></div><div class=\"plot\">\n",
          out);
    put_plot(out, e, true);
    fputs("<p>Share of the pictures by confidence.</p></div></div>\n", out);
}

/* ---- Classes ---- */

static void put_row(FILE *out, const struct hr_eval_report *report, uint64_t k)
{
    const struct hr_eval_row r = hr_eval_row(report->e, k);
    fprintf(out, "<tr><td>%" PRIu64 "</td><td class=\"l\">", k);
    put_name(out, report, k);
    fprintf(out,
            "</td><td>%" PRIu64 "</td><td>%.4f</td><td>%.4f</td><td>%.4f</td>"
            "<td class=\"l\"><span class=\"bar\"><i style=\"width:%.1f%%\"></i></span></td></tr>\n",
            r.truth, r.precision, r.recall, r.f1, 100.0 * r.f1);
}

static const char table_head[] =
    "<table><tr><th></th><th class=\"l\">class</th><th>pictures</th><th>precision</th>"
    "<th>recall</th><th>F1</th><th></th></tr>\n";

static void put_classes(FILE *out, const struct hr_eval_report *report)
{
    const bool folded = report->e->classes > OPEN_ROWS;
    fputs("<h2>Classes</h2>\n", out);
    if (folded)
        fprintf(out, "<details><summary>all %" PRIu64 " classes</summary>\n", report->e->classes);
    fputs(table_head, out);
    for (uint64_t k = 0; k < report->e->classes; k++)
        put_row(out, report, k);
    fputs("</table>\n", out);
    if (folded)
        fputs("</details>\n", out);
}

/* ---- Confusion ---- */

struct pair {
    uint64_t truth, answer, count;
};

/* The more frequent first, then the lower classes. */
static int compare_pairs(const void *a, const void *b)
{
    const struct pair *const x = a, *const y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    if (x->truth != y->truth)
        return x->truth < y->truth ? -1 : 1;
    return x->answer < y->answer ? -1 : 1;
}

/* Keeps the PAIRS largest of all; returns how many there are. */
static size_t frequent_pairs(struct pair *pairs, const struct hrnet_evaluation *e)
{
    size_t count = 0;
    for (uint64_t i = 0; i < e->classes * e->classes; i++) {
        const struct pair p = { i / e->classes, i % e->classes, e->confusion[i] };
        if (p.truth == p.answer || p.count == 0)
            continue;
        pairs[count] = p;
        count += count < PAIRS;
        qsort(pairs, count + (count == PAIRS), sizeof *pairs, compare_pairs);
    }
    return count;
}

static void put_cell(FILE *out, const struct hrnet_evaluation *e, uint64_t truth, uint64_t answer,
                     int left, int top, int cell)
{
    const uint64_t count = e->confusion[truth * e->classes + answer];
    const double share = hr_eval_share(count, hr_eval_row(e, truth).truth);
    const int x = left + cell * (int)answer, y = top + cell * (int)truth;
    fprintf(out,
            "<rect class=\"main\" fill-opacity=\"%.3f\" x=\"%d\" y=\"%d\" width=\"%d\" "
            "height=\"%d\"><title>%" PRIu64 " taken for %" PRIu64 ": %" PRIu64
            " pictures, %.1f %%</title></rect>",
            count ? 0.08 + 0.92 * share : 0.0, x, y, cell - 1, cell - 1, truth, answer, count,
            100.0 * share);
    if (count > 0 && cell >= 22)
        fprintf(out,
                "<text class=\"%s\" x=\"%d\" y=\"%d\" text-anchor=\"middle\" "
                "pointer-events=\"none\">%" PRIu64 "</text>",
                share > 0.5 ? "light" : "", x + cell / 2, y + cell / 2 + 4, count);
    fputc('\n', out);
}

static void put_map(FILE *out, const struct hr_eval_report *report)
{
    const struct hrnet_evaluation *const e = report->e;
    const int classes = (int)e->classes, left = 130, top = 110;
    const int cell = classes > 24 ? 15 : classes > 12 ? 24 : 34;
    const int width = left + cell * classes + 90, height = top + cell * classes + 10;
    fprintf(out, "<svg width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n", width,
            height, width, height);
    for (int k = 0; k < classes; k++) {
        const int middle = cell * k + cell / 2 + 4;
        fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", left - 6, top + middle);
        put_name(out, report, (uint64_t)k);
        fprintf(out, "</text><text transform=\"translate(%d %d) rotate(-50)\">", left + middle,
                top - 6);
        put_name(out, report, (uint64_t)k);
        fputs("</text>\n", out);
    }
    for (uint64_t i = 0; i < e->classes * e->classes; i++)
        put_cell(out, e, i / e->classes, i % e->classes, left, top, cell);
    fputs("</svg>\n<p>Rows are the truth, columns the answer; a stronger colour is a larger share "
          "of the "
          "row.</p>\n",
          out);
}

static void put_confusion(FILE *out, const struct hr_eval_report *report)
{
    struct pair pairs[PAIRS + 1];
    const size_t count = frequent_pairs(pairs, report->e);
    fputs("<h2>Confusions</h2>\n<div class=\"side\">\n", out);
    if (report->e->classes <= MAP_CLASSES) {
        fputs("<div>\n", out);
        put_map(out, report);
        fputs("</div>\n", out);
    }
    if (count == 0)
        fputs("<p>There are none.</p>\n", out);
    else
        fputs("<table><tr><th class=\"l\">truth</th><th class=\"l\">taken for</th>"
              "<th>pictures</th></tr>\n",
              out);
    for (size_t i = 0; i < count; i++) {
        fputs("<tr><td class=\"l\">", out);
        put_name(out, report, pairs[i].truth);
        fputs("</td><td class=\"l\">", out);
        put_name(out, report, pairs[i].answer);
        fprintf(out, "</td><td>%" PRIu64 "</td></tr>\n", pairs[i].count);
    }
    fputs(count ? "</table></div>\n" : "</div>\n", out);
}

/* ---- Mistakes ---- */

/* What the network saw of the picture, THUMB px high, as a data address. */
static hrnet_status put_thumb(FILE *out, const struct hrnet_recipe *recipe, const char *path)
{
    struct hrnet_recipe small = *recipe;
    struct hrnet_decode_options decode;
    struct hr_text code = { 0 };
    uint8_t *data = NULL, *rgb = NULL, *png = NULL;
    size_t size = 0, png_size = 0;
    const double scale = (double)THUMB / (double)recipe->crop_height;
    small.crop_height = THUMB;
    small.crop_width = (int)fmax(1.0, round(recipe->crop_width * scale));
    small.resize_short = (int)ceil(recipe->resize_short * scale);
    hrnet_decode_options_init(&decode, sizeof decode);
    hrnet_status status = (hrnet_status)hr_file_read(path, decode.max_bytes, &data, &size);
    if (status == HRNET_OK) {
        rgb = hr_mem_alloc((size_t)small.crop_width * THUMB, 3);
        status = rgb ? hrnet_preprocess_crop(&small, data, size, path, &decode, rgb, NULL)
                     : HRNET_E_MEMORY;
    }
    if (status == HRNET_OK)
        status = hrnet_encode_png(rgb, small.crop_width, THUMB, &png, &png_size);
    if (status == HRNET_OK) {
        hr_base64_encode(&code, png, png_size);
        fprintf(out, "<img alt=\"\" width=\"%d\" height=\"%d\" src=\"data:image/png;base64,%s\">",
                small.crop_width, THUMB, hr_text_str(&code));
    }
    hr_text_fini(&code);
    hrnet_free(png);
    hr_mem_free(rgb);
    hr_mem_free(data);
    return status;
}

static void put_mistake(FILE *out, const struct hr_eval_report *report,
                        const struct hrnet_mistake *m)
{
    fputs("<figure>", out);
    if (put_thumb(out, report->recipe, m->path) != HRNET_OK)
        hr_chart_text(out, hrnet_last_error());
    fputs("<figcaption><b>", out);
    put_name(out, report, (uint64_t)m->truth);
    fputs("</b> taken for <b>", out);
    put_name(out, report, (uint64_t)m->answer);
    fprintf(out, "</b>, %.1f %% sure (truth %.2g %%)<br><small>", 100.0 * m->confidence,
            100.0 * m->truth_probability);
    hr_chart_text(out, hr_os_base_name(m->path));
    fputs("</small></figcaption></figure>\n", out);
}

static void put_mistakes(FILE *out, const struct hr_eval_report *report)
{
    const struct hrnet_evaluation *const e = report->e;
    if (e->mistake_count == 0)
        return;
    fputs("<h2>Worst mistakes</h2>\n<p>The surest wrong answers, as the network saw the "
          "pictures.</p>\n<div class=\"sheet\">\n",
          out);
    for (uint64_t i = 0; i < e->mistake_count; i++)
        put_mistake(out, report, &e->mistakes[i]);
    fputs("</div>\n", out);
}

void hr_eval_page(FILE *out, const struct hr_eval_report *report)
{
    fputs(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>hrnet eval</title>\n<style>\n",
        out);
    fputs(style, out);
    fputs("</style></head><body>\n", out);
    put_head(out, report);
    if (!report->e->labels) {
        put_calibration(out, report->e);
        put_confusion(out, report);
    }
    put_classes(out, report);
    put_mistakes(out, report);
    fprintf(out, "<p>Made by hrnet %s.</p>\n</body></html>\n", hrnet_version());
}
