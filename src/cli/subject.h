/* SPDX-License-Identifier: Apache-2.0
 * The one picture that a command looks at: as the network sees it, and as a tensor. */
#ifndef HR_CLI_SUBJECT_H
#define HR_CLI_SUBJECT_H

#include "cli/flags.h"
#include "hrnet/hrnet.h"

struct hr_subject {
    const char *name;
    int width, height; /* px */
    uint8_t *rgb;      /* [height][width][3], owned */
    float *x;          /* [3,height,width], owned */
};

/* Reads it by the model's recipe; warnings go to stderr.  -1 to go on, else the exit code. */
int hr_subject_open(struct hr_subject *subject, const hrnet_model *model,
                    const struct hr_args *args, const char *name);
void hr_subject_close(struct hr_subject *subject); /* zero-initialised is fine */

#endif
