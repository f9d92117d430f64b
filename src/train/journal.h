/* SPDX-License-Identifier: Apache-2.0
 * The numbers of a training run, written as they come: tables of steps and epochs, and
 * TensorBoard's event files. */
#ifndef HR_TRAIN_JOURNAL_H
#define HR_TRAIN_JOURNAL_H

#include "train/trainer.h"

/* Where the run stands: what older files say of later steps is forgotten, since it comes again. */
struct hr_journal_place {
    uint64_t epoch, step; /* epochs and steps that are done */
    size_t steps;         /* of an epoch */
};

struct hr_journal;
/* steps.csv and epochs.csv in the folder, and events.out.tfevents.* if `events`. */
enum hr_status hr_journal_open(struct hr_journal **out, const char *folder, bool events,
                               const struct hr_journal_place *place) HR_WARN_UNUSED;
void hr_journal_close(struct hr_journal *journal); /* NULL is allowed */

/* Adds a step, or the end of an epoch, and hands it to the system. */
enum hr_status hr_journal_add(struct hr_journal *journal,
                              const struct hr_train_progress *progress) HR_WARN_UNUSED;

#endif
