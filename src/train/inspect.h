/* SPDX-License-Identifier: Apache-2.0
 * What is wrong with a data set, before hours are lost on it. */
#ifndef HR_TRAIN_INSPECT_H
#define HR_TRAIN_INSPECT_H

#include "train/dataset.h"

enum hr_level { HR_LEVEL_NOTE, HR_LEVEL_WARNING, HR_LEVEL_ERROR };

struct hr_finding {
    enum hr_level level;
    const char *kind; /* "list", "missing", "unreadable", "truncated", "duplicate", "leak", "label",
                         "class", "balance", "order" */
    bool validation;  /* else training */
    const char *message; /* one sentence that names file, line or class; valid during the call */
};
typedef void hr_finding_fn(void *context, const struct hr_finding *finding);

/* What labels and names tell without opening a picture: labels that count from one, classes without
 * pictures or with few, one class only, far more of one than of another; against validation (NULL:
 * none): classes that training lacks or that are numbered otherwise, folders that have another
 * label there.  Both as opened, before hr_dataset_relabel(). */
enum hr_status hr_inspect_labels(const struct hr_dataset *train,
                                 const struct hr_dataset *validation, hr_finding_fn *fn,
                                 void *context) HR_WARN_UNUSED;

struct hr_inspect_options {
    const char *data, *validation, *root, *validation_root; /* hr_dataset_open's */
    int classes;      /* that labels must stay below; 0: any */
    bool quick;       /* opens no picture */
    unsigned threads; /* 0: hr_cpu_count() */
    hr_finding_fn *fn;
    bool (*progress)(void *context, size_t done, size_t all); /* false stops; may be NULL */
    void *context;
};

struct hr_inspection {
    struct hr_dataset train, validation; /* what can be used of them */
    size_t missing[2], unreadable[2];    /* of train and of validation */
    size_t errors, warnings;
};
void hr_inspection_fini(struct hr_inspection *inspection);

/* All of that, and every picture read whole: those that cannot be, and equal ones (by content)
 * within a set with different labels, or in both sets.  Fails only where there is nothing to
 * inspect, and with HR_E_CANCELLED. */
enum hr_status hr_inspect(struct hr_inspection *out,
                          const struct hr_inspect_options *options) HR_WARN_UNUSED;

#endif
