/* SPDX-License-Identifier: Apache-2.0
 * Rescue.  The one idea: until its last moment a step changes nothing of the state but the running
 * statistics; with those of before the state is that of the last whole step. */
#include "train/rescue.h"

#include <stdio.h>
#include <string.h>

#include "train/saving.h"

/* A launcher that lost a process ends the others soon; if it did not, this long is waited. */
#define LAST_SECONDS 60.0

/* Puts kept statistics into the parameters, and those that were there into their place. */
static void swap(struct hr_rescue *x)
{
    const struct hr_running *const r = x->run;
    size_t at = 0;
    for (size_t i = 0; i < hr_tape_param_count(r->tape); i++) {
        const struct hr_tape_param *const p = hr_tape_param(r->tape, i);
        for (size_t j = 0; !p->trainable && j < p->count; j++) {
            const float now = r->params[p->offset + j];
            r->params[p->offset + j] = x->kept[at];
            x->kept[at++] = now;
        }
    }
}

static enum hr_status save(struct hr_rescue *x)
{
    if (x->in_step)
        swap(x);
    const enum hr_status status = hr_saving_state(x->run);
    if (x->in_step)
        swap(x);
    x->saved = status == HR_OK;
    return status;
}

static void watch(void *context)
{
    struct hr_rescue *const x = context;
    const struct hr_train_options *const o = x->run->options;
    if (x->saved || !o->stop || !o->stop(x->context))
        return;
    if (save(x) != HR_OK) {
        x->saved = true; /* once is enough */
        hr_log(HR_LOG_WARNING, "no checkpoint: %s", hr_last_message());
        return;
    }
    hr_reduce_patience(x->run->reduce, LAST_SECONDS);
    hr_log(HR_LOG_WARNING,
           "a stop was asked for: %s holds epoch %llu up to step %llu; the step after it goes on "
           "as long as all processes do",
           x->run->state, (unsigned long long)x->run->at.epoch + 1,
           (unsigned long long)x->run->at.step);
}

enum hr_status hr_rescue_start(struct hr_rescue *x, struct hr_running *run, void *context)
{
    size_t count = 0;
    if (!run->reduce || hr_reduce_rank(run->reduce) != 0)
        return HR_OK;
    for (size_t i = 0; i < hr_tape_param_count(run->tape); i++)
        if (!hr_tape_param(run->tape, i)->trainable)
            count += hr_tape_param(run->tape, i)->count;
    x->kept = hr_mem_alloc(count, sizeof *x->kept);
    if (!x->kept)
        return HR_E_MEMORY;
    x->run = run;
    x->context = context;
    hr_reduce_watch(run->reduce, watch, x);
    return HR_OK;
}

void hr_rescue_stop(struct hr_rescue *x)
{
    if (x->run)
        hr_reduce_watch(x->run->reduce, NULL, NULL);
    hr_mem_free(x->kept);
    x->kept = NULL;
    x->run = NULL;
}

void hr_rescue_begin(struct hr_rescue *x)
{
    const struct hr_running *const r = x->run;
    size_t at = 0;
    for (size_t i = 0; r && i < hr_tape_param_count(r->tape); i++) {
        const struct hr_tape_param *const p = hr_tape_param(r->tape, i);
        if (!p->trainable)
            memcpy(x->kept + at, r->params + p->offset, p->count * sizeof *x->kept);
        at += p->trainable ? 0 : p->count;
    }
    x->in_step = r != NULL;
}

void hr_rescue_end(struct hr_rescue *x)
{
    x->in_step = false;
}

enum hr_status hr_rescue_lost(struct hr_rescue *x, enum hr_status status)
{
    char why[512];
    if (!x->run || status == HR_OK)
        return status;
    if (hr_reduce_status(x->run->reduce) == HR_OK && status != HR_E_MEMORY)
        return status;
    snprintf(why, sizeof why, "%s", hr_last_message());
    if (!x->saved && save(x) != HR_OK)
        return status;
    return hr_fail(status, "%s; %s holds epoch %llu up to step %llu: go on with --resume", why,
                   x->run->state, (unsigned long long)x->run->at.epoch + 1,
                   (unsigned long long)x->run->at.step);
}
