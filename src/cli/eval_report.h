/* SPDX-License-Identifier: Apache-2.0
 * What an evaluation found, as text, CSV and JSON. */
#ifndef HR_CLI_EVAL_REPORT_H
#define HR_CLI_EVAL_REPORT_H

#include <stdio.h>

#include "hrnet/hrnet.h"

struct hr_eval_report {
    const struct hrnet_evaluation *e;
    const hrnet_model *model;
    const struct hrnet_recipe *recipe;
    const char *data, *file; /* the pictures, the model, as they were named */
};

/* Of one class: how many there are, were answered, were right; and the shares that follow: right of
 * those answered, right of those that there are, and their harmonic mean.  0 / 0 is 0. */
struct hr_eval_row {
    uint64_t truth, answers, right;
    double precision, recall, f1;
    double ap; /* average precision, with several labels a picture */
};
struct hr_eval_row hr_eval_row(const struct hrnet_evaluation *e, uint64_t k);
/* Means of the shares over the classes that occur in the pictures. */
struct hr_eval_row hr_eval_means(const struct hrnet_evaluation *e);

/* The class's name, or its number in `number` where it has none. */
const char *hr_eval_name(const struct hr_eval_report *report, uint64_t k, char number[24]);
double hr_eval_share(uint64_t part, uint64_t all); /* 0 / 0 is 0 */
/* "opencv: shorter side 256, crop 224x224 (ratio 0.875)" */
void hr_eval_recipe_line(char *out, size_t size, const struct hrnet_recipe *recipe);

void hr_eval_text(FILE *out, const struct hr_eval_report *report);
void hr_eval_csv(FILE *out, const struct hr_eval_report *report); /* a line a class */
void hr_eval_json(FILE *out, const struct hr_eval_report *report);

#endif
