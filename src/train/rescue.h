/* SPDX-License-Identifier: Apache-2.0
 * A checkpoint of the last whole step, written while a later one is under way: where several
 * processes train, one of them may be gone for good before it ends. */
#ifndef HR_TRAIN_RESCUE_H
#define HR_TRAIN_RESCUE_H

#include "train/running.h"

struct hr_rescue {
    struct hr_running *run;
    void *context; /* of the options' stop */
    float *kept;   /* the running statistics before the step, which its forward half moves */
    bool in_step, saved;
};
/* For the first of several processes; else nothing happens here.  From now on a stop that is asked
 * for while ranks are waited for saves at once.  run outlives it. */
enum hr_status hr_rescue_start(struct hr_rescue *rescue, struct hr_running *run,
                               void *context) HR_WARN_UNUSED;
void hr_rescue_stop(struct hr_rescue *rescue); /* zero-initialised is fine */

/* A step begins; it is done, or at least all of it is there. */
void hr_rescue_begin(struct hr_rescue *rescue);
void hr_rescue_end(struct hr_rescue *rescue);

/* Where `status` is that of a lost rank, or of one without memory: saves, if that was not done yet,
 * and says so in the message.  Returns status. */
enum hr_status hr_rescue_lost(struct hr_rescue *rescue, enum hr_status status) HR_WARN_UNUSED;

#endif
