/* SPDX-License-Identifier: Apache-2.0
 * What a training run says while it goes on: a bar, and lines of our own or of PaddleClas's form.
 */
#ifndef HR_CLI_TRAIN_LOG_H
#define HR_CLI_TRAIN_LOG_H

#include <stdio.h>

#include "cli/progress.h"
#include "hrnet/hrnet.h"

struct hr_train_log {
    struct hr_progress progress;
    bool paddle;            /* lines as PaddleClas has them (paddleclas.md 5.7) */
    uint64_t every;         /* steps between two of its lines */
    const char *folder;     /* of the run */
    const char *rate_name;  /* how PaddleClas calls the schedule */
    FILE *file;             /* train.log, where paddle */
    double seconds, waited; /* of the steps since the last line */
    uint64_t steps;         /* that these are */
};

/* How PaddleClas's log calls a schedule in words. */
const char *hr_train_log_rate_name(const char *schedule, bool warms_up);

/* Before the first step is told.  Opens FOLDER/train.log where lines are of PaddleClas's form;
 * false with errno set. */
bool hr_train_log_open(struct hr_train_log *log);
void hr_train_log_close(struct hr_train_log *log);
void hr_train_log_step(struct hr_train_log *log, const struct hrnet_train_progress *p);
void hr_train_log_epoch(struct hr_train_log *log, const struct hrnet_train_progress *p);

#endif
