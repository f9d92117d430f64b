/* SPDX-License-Identifier: Apache-2.0
 * Cards in a grid; pictures are data addresses, styles are in the page. */
#include "cli/html.h"

#include "base/base64.h"
#include "cli/svg.h"

void hr_html_begin(FILE *out, const hrnet_model *model)
{
    struct hrnet_model_info info;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<title>hrnet predict</title>\n"
          "<style>\n"
          ":root{color-scheme:light dark;--paper:#f4f5f7;--card:#fff;--ink:#1d2126;--faint:#6b7280;"
          "--bar:#2f6da4;--rail:#e3e8ee;--bad:#b3261e}\n"
          "@media(prefers-color-scheme:dark){:root{--paper:#14161a;--card:#1e2127;--ink:#e4e7eb;"
          "--faint:#98a1ad;--bar:#6baed6;--rail:#2d323a;--bad:#f2857d}}\n"
          "body{margin:24px;background:var(--paper);color:var(--ink);"
          "font:14px/1.4 system-ui,sans-serif}\n"
          "h1{font-size:18px;margin:0}p{margin:2px 0 18px;color:var(--faint)}\n"
          "main{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(248px,1fr))}\n"
          "figure{margin:0;padding:12px;background:var(--card);border-radius:8px;"
          "overflow-wrap:anywhere}\n"
          "img{display:block;margin:0 auto 8px;max-width:100%}\n"
          "figcaption{color:var(--faint);margin-bottom:6px}\n"
          ".answer{display:flex;justify-content:space-between;gap:8px}\n"
          ".answer span+span{white-space:nowrap}\n"
          ".rail{height:6px;margin:1px 0 6px;border-radius:3px;background:var(--rail)}\n"
          ".bar{height:6px;border-radius:3px;background:var(--bar)}.bad{color:var(--bad)}\n"
          "</style>\n<h1>",
          out);
    if (hrnet_model_describe(model, &info) == HRNET_OK) {
        hr_svg_text(out, info.architecture);
        fprintf(out, "</h1>\n<p>%d classes, %s, checksum %.12s</p>\n<main>\n", info.classes,
                info.precision, info.checksum);
    }
}

static enum hr_status put_thumbnail(FILE *out, const struct hr_picture_slot *slot)
{
    uint8_t *png = NULL;
    size_t size = 0;
    struct hr_text code = { 0 };
    enum hr_status status = (enum hr_status)hrnet_encode_png(slot->thumbnail, slot->thumbnail_width,
                                                             slot->thumbnail_height, &png, &size);
    if (status == HR_OK) {
        hr_base64_encode(&code, png, size);
        status = code.status;
    }
    if (status == HR_OK)
        fprintf(out,
                "<img width=\"%lld\" height=\"%lld\" alt=\"\" src=\"data:image/png;base64,%s\">\n",
                (long long)slot->thumbnail_width, (long long)slot->thumbnail_height,
                hr_text_str(&code));
    hr_text_fini(&code);
    hrnet_free(png);
    return status;
}

static void put_answer(FILE *out, const hrnet_model *model, size_t index, float p)
{
    const char *label = hrnet_model_label(model, (int)index);
    fputs("<div class=\"answer\"><span>", out);
    if (label[0])
        hr_svg_text(out, label);
    else
        fprintf(out, "class %zu", index);
    fprintf(out,
            "</span><span title=\"class %zu\">%.1f&nbsp;%%</span></div>"
            "<div class=\"rail\"><div class=\"bar\" style=\"width:%.2f%%\"></div></div>\n",
            index, 100 * (double)p, 100 * (double)p);
}

enum hr_status hr_html_add(FILE *out, const hrnet_model *model, const struct hr_picture_slot *slot,
                           const float *p, const size_t *index, size_t top)
{
    fputs("<figure>\n", out);
    if (slot->decoded && slot->thumbnail)
        HR_TRY(put_thumbnail(out, slot));
    fputs("<figcaption>", out);
    hr_svg_text(out, slot->name);
    fputs("</figcaption>\n", out);
    for (size_t i = 0; i < top; i++)
        put_answer(out, model, index[i], p[index[i]]);
    const char *bad = slot->decoded ? slot->report.warning : slot->error;
    if (slot->decoded && top == 0)
        bad = "no class reaches the threshold";
    if (bad[0]) {
        fputs("<div class=\"bad\">", out);
        hr_svg_text(out, bad);
        fputs("</div>\n", out);
    }
    fputs("</figure>\n", out);
    return HR_OK;
}

void hr_html_end(FILE *out)
{
    fputs("</main>\n", out);
}
