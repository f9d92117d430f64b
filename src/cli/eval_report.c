/* SPDX-License-Identifier: Apache-2.0
 * Reports of an evaluation.  Knows counts and what follows from them. */
#include "cli/eval_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

double hr_eval_share(uint64_t part, uint64_t all)
{
    return all ? (double)part / (double)all : 0.0;
}

struct hr_eval_row hr_eval_row(const struct hrnet_evaluation *e, uint64_t k)
{
    struct hr_eval_row r = { 0 };
    if (e->labels) {
        const struct hrnet_label *const label = &e->labels[k];
        r.truth = label->truth;
        r.answers = label->answers;
        r.right = label->right;
        r.ap = label->average_precision;
    } else {
        r.right = e->confusion[k * e->classes + k];
        for (uint64_t j = 0; j < e->classes; j++) {
            r.truth += e->confusion[k * e->classes + j];
            r.answers += e->confusion[j * e->classes + k];
        }
    }
    r.precision = hr_eval_share(r.right, r.answers);
    r.recall = hr_eval_share(r.right, r.truth);
    r.f1 = hr_eval_share(2 * r.right, r.truth + r.answers);
    return r;
}

struct hr_eval_row hr_eval_means(const struct hrnet_evaluation *e)
{
    struct hr_eval_row sum = { 0 };
    double classes = 0.0;
    for (uint64_t k = 0; k < e->classes; k++) {
        const struct hr_eval_row r = hr_eval_row(e, k);
        sum.truth += r.truth;
        sum.answers += r.answers;
        sum.right += r.right;
        if (r.truth == 0)
            continue;
        sum.precision += r.precision;
        sum.recall += r.recall;
        sum.f1 += r.f1;
        sum.ap += r.ap;
        classes += 1.0;
    }
    classes = classes > 0.0 ? classes : 1.0;
    sum.precision /= classes;
    sum.recall /= classes;
    sum.f1 /= classes;
    sum.ap /= classes;
    return sum;
}

const char *hr_eval_name(const struct hr_eval_report *report, uint64_t k, char number[24])
{
    const char *const name = hrnet_model_label(report->model, (int)k);
    if (name[0])
        return name;
    snprintf(number, 24, "%" PRIu64, k);
    return number;
}

void hr_eval_recipe_line(char *out, size_t size, const struct hrnet_recipe *r)
{
    const int side = r->crop_height > r->crop_width ? r->crop_height : r->crop_width;
    if (r->resize_short)
        snprintf(out, size, "%s: shorter side %d, crop %dx%d (ratio %.3g)", r->name,
                 r->resize_short, r->crop_height, r->crop_width,
                 (double)side / (double)r->resize_short);
    else
        snprintf(out, size, "%s: stretched to %dx%d", r->name, r->crop_height, r->crop_width);
}

static void text_head(FILE *out, const struct hrnet_evaluation *e)
{
    const double top1 = 100.0 * hr_eval_share(e->top1, e->pictures);
    fprintf(out, "%" PRIu64 " pictures: ", e->pictures);
    if (e->labels)
        fprintf(out, "mAP %.3f %%, all labels right %.3f %%, labels wrong %.3f %%, loss %.6f\n",
                100.0 * e->map, top1, 100.0 * e->hamming, e->loss);
    else
        fprintf(out, "top-1 %.3f %%, top-5 %.3f %%, loss %.6f, calibration error %.4f\n", top1,
                100.0 * hr_eval_share(e->top5, e->pictures), e->loss, e->ece);
}

static void text_row(FILE *out, const struct hrnet_evaluation *e, const struct hr_eval_row *r)
{
    fprintf(out, "%9" PRIu64 " %9.4f %9.4f %9.4f ", r->truth, r->precision, r->recall, r->f1);
    if (e->labels)
        fprintf(out, "%9.4f ", r->ap);
}

void hr_eval_text(FILE *out, const struct hr_eval_report *report)
{
    const struct hrnet_evaluation *const e = report->e;
    const struct hr_eval_row means = hr_eval_means(e);
    char recipe[128];
    hr_eval_recipe_line(recipe, sizeof recipe, report->recipe);
    text_head(out, e);
    fprintf(out, "%s\n%9s %9s %9s %9s%s  class\n", recipe, "pictures", "precision", "recall", "f1",
            e->labels ? "        ap" : "");
    for (uint64_t k = 0; k < e->classes; k++) {
        const struct hr_eval_row r = hr_eval_row(e, k);
        if (r.truth + r.answers == 0)
            continue;
        text_row(out, e, &r);
        fprintf(out, " %" PRIu64 " %s\n", k, hrnet_model_label(report->model, (int)k));
    }
    text_row(out, e, &means);
    fputs(" mean\n", out);
    for (uint64_t i = 0; i < e->mistake_count; i++) {
        const struct hrnet_mistake *const m = &e->mistakes[i];
        char truth[24], answer[24];
        fprintf(out, "%s: %s taken for %s, %.1f %%\n", m->path,
                hr_eval_name(report, (uint64_t)m->truth, truth),
                hr_eval_name(report, (uint64_t)m->answer, answer), 100.0 * m->confidence);
    }
}

/* RFC 4180: quotes around the name, doubled within. */
void hr_eval_csv(FILE *out, const struct hr_eval_report *report)
{
    const struct hrnet_evaluation *const e = report->e;
    fprintf(out, "class,name,pictures,answers,right,precision,recall,f1%s\n",
            e->labels ? ",ap" : "");
    for (uint64_t k = 0; k < e->classes; k++) {
        const struct hr_eval_row r = hr_eval_row(e, k);
        fprintf(out, "%" PRIu64 ",\"", k);
        for (const char *c = hrnet_model_label(report->model, (int)k); *c; c++)
            fprintf(out, *c == '"' ? "\"\"" : "%c", *c);
        fprintf(out, "\",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.6f,%.6f,%.6f", r.truth, r.answers,
                r.right, r.precision, r.recall, r.f1);
        if (e->labels)
            fprintf(out, ",%.6f", r.ap);
        fputc('\n', out);
    }
}

/* ---- JSON ---- */

static json_t *class_of(const struct hr_eval_report *report, uint64_t k)
{
    const struct hrnet_evaluation *const e = report->e;
    const struct hr_eval_row r = hr_eval_row(e, k);
    json_t *const row = json_pack(
        "{s:s, s:I, s:f, s:f, s:f}", "name", hrnet_model_label(report->model, (int)k), "pictures",
        (json_int_t)r.truth, "precision", r.precision, "recall", r.recall, "f1", r.f1);
    if (e->labels) {
        json_object_set_new(row, "ap", json_real(r.ap));
        return row;
    }
    json_t *const answers = json_array();
    for (uint64_t j = 0; j < e->classes; j++)
        json_array_append_new(answers, json_integer((json_int_t)e->confusion[k * e->classes + j]));
    json_object_set_new(row, "answers", answers);
    return row;
}

static json_t *classes_of(const struct hr_eval_report *report)
{
    json_t *const classes = json_array();
    for (uint64_t k = 0; k < report->e->classes; k++)
        json_array_append_new(classes, class_of(report, k));
    return classes;
}

static json_t *bins_of(const struct hrnet_evaluation *e)
{
    json_t *const bins = json_array();
    for (int b = 0; b < HRNET_BINS; b++) {
        const struct hrnet_bin *const bin = &e->bins[b];
        const double n = bin->pictures ? (double)bin->pictures : 1.0;
        json_array_append_new(bins,
                              json_pack("{s:f, s:I, s:f, s:f}", "from", (double)b / HRNET_BINS,
                                        "pictures", (json_int_t)bin->pictures, "confidence",
                                        bin->confidence / n, "accuracy", (double)bin->right / n));
    }
    return bins;
}

static json_t *mistakes_of(const struct hrnet_evaluation *e)
{
    json_t *const mistakes = json_array();
    for (uint64_t i = 0; i < e->mistake_count; i++) {
        const struct hrnet_mistake *const m = &e->mistakes[i];
        json_array_append_new(mistakes,
                              json_pack("{s:s, s:i, s:i, s:f, s:f}", "filename", m->path, "truth",
                                        m->truth, "answer", m->answer, "confidence", m->confidence,
                                        "truth_probability", m->truth_probability));
    }
    return mistakes;
}

void hr_eval_json(FILE *out, const struct hr_eval_report *report)
{
    const struct hrnet_evaluation *const e = report->e;
    const struct hrnet_recipe *const r = report->recipe;
    const struct hr_eval_row means = hr_eval_means(e);
    json_t *const mean = json_pack("{s:f, s:f, s:f}", "precision", means.precision, "recall",
                                   means.recall, "f1", means.f1);
    const double top1 = hr_eval_share(e->top1, e->pictures);
    json_t *all = json_pack("{s:i, s:s, s:[i,i], s:i, s:I, s:f, s:o, s:o}", "schema", 1, "recipe",
                            r->name, "size", r->crop_height, r->crop_width, "resize_short",
                            r->resize_short, "pictures", (json_int_t)e->pictures, "loss", e->loss,
                            "mean", mean, "classes", classes_of(report));
    json_t *const rest = e->labels ? json_pack("{s:f, s:f, s:f}", "map", e->map, "all_right", top1,
                                               "hamming", e->hamming)
                                   : json_pack("{s:f, s:f, s:f, s:o, s:o}", "top1", top1, "top5",
                                               hr_eval_share(e->top5, e->pictures), "ece", e->ece,
                                               "bins", bins_of(e), "mistakes", mistakes_of(e));
    json_object_update(all, rest);
    json_decref(rest);
    char *text = json_dumps(all, JSON_INDENT(1));
    fprintf(out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(all);
}
