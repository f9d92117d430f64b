/* SPDX-License-Identifier: Apache-2.0
 * The training loop.  Knows the order of things; each thing is another module's. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>

#include "base/launch.h"
#include "base/os.h"
#include "train/journal.h"
#include "train/rescue.h"
#include "train/running.h"
#include "train/saving.h"
#include "train/validation.h"
#include "train/vector.h"

#define GUESSING       0.99 /* of the loss of a guess: above it nothing is learned */
#define GUESSED_EPOCHS 3    /* in a row: fewer are a slow start */
#define GUESSED_STEPS  50

struct trainer {
    struct hr_running r;
    struct hr_rescue rescue; /* of several processes */
    hr_train_observer *observer;
    void *context;
    struct hr_journal *journal;
    struct hr_evaluation tally; /* of the epoch so far */
    size_t left_out;            /* pictures of the epoch so far */
    bool guessing_told;
};

/* ---- A step ---- */

/* What is wrong, in words, and what is still good. */
static enum hr_status went_wrong(struct trainer *t, const struct hr_batch *batch, double loss)
{
    const struct hr_running *const r = &t->r;
    const char *const layer = hr_tape_find_bad(r->tape, r->params, batch->n, batch->x);
    const char *param = "no parameter";
    for (size_t i = 0; !layer && i < hr_tape_param_count(r->tape); i++) {
        const struct hr_tape_param *p = hr_tape_param(r->tape, i);
        for (size_t j = 0; j < p->count; j++)
            if (!isfinite(r->gradient.values[p->offset + j])) {
                param = p->name;
                break;
            }
    }
    const bool saved = hr_os_kind(r->state) == HR_OS_FILE;
    return hr_fail(HR_E_INTERNAL,
                   "epoch %llu, step %llu: the loss is %g and %s %s is not finite; "
                   "the last good checkpoint is %s%s",
                   (unsigned long long)r->at.epoch + 1, (unsigned long long)r->at.step + 1, loss,
                   layer ? "the result of layer" : "the gradient of", layer ? layer : param,
                   saved ? r->state : "none",
                   r->options->half == HR_HALF_F16
                       ? " (fp16 ends at 65504; bf16 has the range of float32)"
                       : "");
}

/* Of a step of this epoch. */
static double rate_of(const struct hr_running *r, uint64_t step)
{
    const double rate = hr_schedule_rate(&r->schedule.schedule, r->at.epoch * r->steps + step);
    const bool waits = r->schedule.schedule.kind == HR_SCHEDULE_PLATEAU && r->rate > 0.0;
    return waits ? rate / r->rate * r->at.plateau.rate : rate;
}

/* Is the gradient of the step good?  Moves the loss scale.  HR_E_INTERNAL where it overflowed and
 * leaving the step out will not help. */
static enum hr_status judge_gradient(struct trainer *t, const struct hr_batch *batch, double loss,
                                     struct hr_train_progress *p)
{
    struct hr_running *const r = &t->r;
    const double scale = r->at.scaler.scale;
    if (isfinite(p->norm)) {
        hr_scaler_good(&r->at.scaler, &r->options->scaler);
        return HR_OK;
    }
    if (!hr_scaler_overflow(&r->at.scaler, &r->options->scaler))
        return went_wrong(t, batch, loss);
    p->norm = INFINITY; /* or no number: one form of it */
    hr_log(HR_LOG_INFO,
           "epoch %llu, step %llu: the gradient overflowed at the loss scale %g: the step is left "
           "out, the scale is now %g",
           (unsigned long long)r->at.epoch + 1, (unsigned long long)r->at.step + 1, scale,
           r->at.scaler.scale);
    return HR_OK;
}

/* The next batch, and what all ranks have of it: no pictures where one has too few good ones.
 * status: how it went here until now. */
static enum hr_status next_batch(struct trainer *t, struct hr_batch *batch,
                                 struct hr_ranks_batch *all, enum hr_status status)
{
    struct hr_running *const r = &t->r;
    if (status == HR_OK)
        status = hr_loader_next(r->loader, batch);
    const struct hr_loader_counts *const counts = hr_loader_counts(r->loader);
    *all = (struct hr_ranks_batch){ .pictures = batch->n, .left_out = counts->left_out };
    all->bad = counts->met_count - r->bad.told;
    all->mass = batch->n > 0 ? hr_gradient_mass(&r->gradient, batch) : 0.0;
    HR_TRY(hr_ranks_batch(r->reduce, all, r->least, status));
    return all->bad > 0 ? hr_ranks_tell_bad(r->reduce, &r->bad, r->loader, r->options->most_bad)
                        : HR_OK;
}

/* What this rank saw of a step. */
struct seen {
    struct hr_batch batch; /* the last one */
    struct hr_evaluation tally;
    double mass, loss; /* loss: of that batch */
};

/* The batches of one step. */
static enum hr_status collect(struct trainer *t, struct hr_train_progress *p, struct seen *seen)
{
    struct hr_running *const r = &t->r;
    const size_t done = r->at.step * r->options->accumulate, left = r->batches - done;
    const size_t batches = left < r->options->accumulate ? left : r->options->accumulate;
    enum hr_status status = HR_OK;
    r->gradient.loss_scale = r->at.scaler.scale;
    hr_gradient_begin(&r->gradient, batches);
    for (size_t i = 0; i < batches; i++) {
        struct hr_ranks_batch all;
        const uint64_t start_ns = hr_os_now_ns();
        HR_TRY(next_batch(t, &seen->batch, &all, status));
        p->load_seconds += (double)(hr_os_now_ns() - start_ns) / 1e9;
        t->left_out = all.left_out;
        if (all.pictures == 0) /* too few of its pictures are good */
            continue;
        p->step_pictures += all.pictures;
        seen->mass += hr_gradient_mass(&r->gradient, &seen->batch);
        seen->loss = hr_gradient_add(&r->gradient, r->params, &seen->batch, all.mass);
        status = isfinite(seen->loss) ? hr_evaluation_count(&seen->tally, r->gradient.logits,
                                                            &seen->batch, seen->loss)
                                      : went_wrong(t, &seen->batch, seen->loss);
        if (!r->reduce)
            HR_TRY(status);
    }
    if (p->step_pictures > 0)
        hr_gradient_end(&r->gradient, r->params);
    HR_TRY(hr_reduce_status(r->reduce));
    return hr_ranks_seen(r->reduce, &seen->tally, seen->mass, status);
}

/* Adds what all ranks saw to the epoch's. */
static void add_seen(struct hr_evaluation *tally, const struct hr_evaluation *seen)
{
    tally->loss += seen->loss;
    tally->pictures += seen->pictures;
    tally->top1 += seen->top1;
    tally->top5 += seen->top5;
    tally->unlabelled += seen->unlabelled;
}

static enum hr_status step(struct trainer *t, struct hr_train_progress *p)
{
    struct hr_running *const r = &t->r;
    const struct hr_evaluation before = t->tally;
    struct seen seen = { .tally = before };
    if (r->reduce) /* then this rank's part of the step alone */
        seen.tally = (struct hr_evaluation){ .classes = before.classes, .several = before.several };
    hr_rescue_begin(&t->rescue);
    HR_TRY(collect(t, p, &seen));
    if (p->step_pictures > 0) {
        p->norm = hr_optim_norm(r->optim, r->gradient.values, r->pool);
        const enum hr_status status = judge_gradient(t, &seen.batch, seen.loss, p);
        if (status != HR_OK) /* on all ranks, whose gradient is the same */
            return hr_reduce_agree(r->reduce, status);
    }
    if (r->reduce)
        add_seen(&t->tally, &seen.tally);
    else
        t->tally = seen.tally;
    p->step_loss =
        (t->tally.loss - before.loss) / fmax(1.0, (double)(t->tally.pictures - before.pictures));
    p->rate = rate_of(r, r->at.step);
    const bool good = isfinite(p->norm);
    if (p->step_pictures > 0 && good)
        hr_optim_step(r->optim, r->params, r->gradient.values, p->norm, p->rate, r->pool);
    if (r->average && good)
        hr_vector_average(r->average, r->params, hr_tape_floats(r->tape), r->options->average,
                          r->pool);
    hr_rescue_end(&t->rescue);
    r->at.step++;
    r->at.loss = t->tally.loss;
    r->at.pictures = t->tally.pictures;
    r->at.top1 = t->tally.top1;
    r->at.top5 = t->tally.top5;
    r->at.unlabelled = t->tally.unlabelled;
    return HR_OK;
}

/* ---- An epoch ---- */

/* What is known of every moment. */
static void complete(const struct trainer *t, struct hr_train_progress *p)
{
    const struct hr_running *const r = &t->r;
    const double pictures = fmax(1.0, (double)t->tally.pictures);
    const double known = (double)(t->tally.pictures - t->tally.unlabelled);
    p->epochs = r->options->epochs;
    p->steps = r->steps;
    p->loss = t->tally.loss / pictures;
    p->accuracy = (double)t->tally.top1 / fmax(1.0, known);
    p->accuracy5 = (double)t->tally.top5 / fmax(1.0, known);
    p->arena_bytes = hr_tape_arena_bytes(r->tape);
    p->state_bytes = hr_running_state_bytes(r);
    p->pictures = r->train.paths.count;
    p->bad = r->bad.list.count + r->bad_validation.list.count;
    p->left_out = t->left_out;
    p->classes = r->train.class_count;
    p->several = r->train.several != NULL;
    p->data_hash = r->data_hash;
    p->best_top1 = r->at.best;
    p->loss_scale = r->at.scaler.scale;
    p->skipped = r->at.scaler.skipped;
}

static bool is_first(const struct trainer *t)
{
    return hr_reduce_rank(t->r.reduce) == 0;
}

/* Writes into the tables and tells; the first rank does.  Each may want to stop, and all do the
 * same. */
static enum hr_status tell(const struct trainer *t, const struct hr_train_progress *p,
                           bool in_tables, bool *goes_on)
{
    const struct hr_train_options *const o = t->r.options;
    enum hr_status status = HR_OK;
    bool stop = false;
    if (is_first(t) && in_tables)
        status = hr_journal_add(t->journal, p);
    if (is_first(t) && status == HR_OK)
        stop = t->observer && !t->observer(t->context, p);
    stop |= status != HR_OK || (t->r.reduce && o->stop && o->stop(t->context));
    HR_TRY(hr_ranks_stop(t->r.reduce, &stop));
    *goes_on = !stop;
    return stop ? hr_reduce_agree(t->r.reduce, status) : HR_OK;
}

/* Models of the parameters, and of their average where there is one. */
static enum hr_status make_models(const struct hr_running *r, struct hr_model **model,
                                  struct hr_model **average)
{
    HR_TRY(hr_validation_model(model, r, r->params));
    return r->average ? hr_validation_model(average, r, r->average) : HR_OK;
}

/* The state first; the latest models follow. */
static enum hr_status write_within(struct hr_running *r)
{
    struct hr_model *model = NULL, *average = NULL;
    HR_TRY(hr_saving_within(r));
    enum hr_status status = make_models(r, &model, &average);
    if (status == HR_OK)
        status = hr_saving_latest(r, model, average);
    hr_model_unref(model);
    hr_model_unref(average);
    return status;
}

/* Within an epoch the first rank writes; all learn whether it could.  stops: a launcher that was
 * told to stop several processes may end them any moment, so that the state must do. */
static enum hr_status save_within(struct trainer *t, bool stops)
{
    struct hr_running *const r = &t->r;
    enum hr_status status = HR_OK;
    if (is_first(t))
        status = stops && r->reduce ? hr_saving_within(r) : write_within(r);
    return hr_reduce_agree(r->reduce, status);
}

static enum hr_status stopped(const struct trainer *t)
{
    if (!is_first(t)) /* that one says it */
        return hr_fail(HR_E_CANCELLED, "%s", "");
    return hr_fail(HR_E_CANCELLED, "stopped; %s holds what is done so far", t->r.options->folder);
}

/* From where the run stands to the epoch's end. */
static enum hr_status run_epoch(struct trainer *t, double *rate)
{
    struct hr_running *const r = &t->r;
    const uint64_t save = r->options->save_steps;
    t->tally = (struct hr_evaluation){ .classes = (size_t)r->train.class_count,
                                       .several = r->train.several != NULL,
                                       .pictures = r->at.pictures,
                                       .top1 = r->at.top1,
                                       .top5 = r->at.top5,
                                       .unlabelled = r->at.unlabelled,
                                       .loss = r->at.loss };
    *rate = r->at.step > 0 ? rate_of(r, r->at.step - 1) : 0.0;
    hr_loader_start(r->loader, r->at.epoch, r->at.step * r->options->accumulate);
    while (r->at.step < r->steps) {
        struct hr_train_progress p = { .epoch = r->at.epoch + 1, .step = r->at.step + 1 };
        const uint64_t start_ns = hr_os_now_ns();
        HR_TRY(step(t, &p));
        p.step_seconds = (double)(hr_os_now_ns() - start_ns) / 1e9;
        *rate = p.rate;
        complete(t, &p);
        bool goes_on;
        HR_TRY(tell(t, &p, true, &goes_on));
        if (!goes_on || (save > 0 && r->at.step % save == 0 && r->at.step < r->steps))
            HR_TRY(save_within(t, !goes_on));
        if (!goes_on)
            return stopped(t);
    }
    if (t->tally.pictures == 0)
        return hr_fail(HR_E_FORMAT, "%s: no two pictures of a batch can be used", r->options->data);
    return HR_OK;
}

/* Was this epoch better than all before it?  By validation, else by the training loss.  Where
 * there is validation, epochs without it say nothing. */
static void judge(struct hr_running *r, const struct hr_train_progress *p, double best_before)
{
    const double plain = r->train.several ? p->map : p->top1;
    const double average = r->train.several ? p->average_map : p->average_top1;
    const double top1 = p->averaged ? fmax(plain, average) : plain;
    const bool better = p->validated ? top1 > best_before : p->loss < r->at.least_loss;
    r->at.least_loss = fmin(r->at.least_loss, p->loss);
    if (r->validator && !p->validated)
        return;
    r->at.idle = better ? 0 : r->at.idle + 1;
    hr_plateau_tell(&r->at.plateau, p->validated ? plain : -p->loss);
}

/* Does the loss stay that of a guess (users.md C14)?  A warm-up may take its time. */
static void count_guesses(struct hr_running *r, double loss)
{
    const double guess = r->train.several ? log(2.0) : log((double)r->train.class_count);
    if (r->distill || (double)r->at.epoch < r->options->warmup_epochs)
        return;
    r->at.guessed = loss > GUESSING * guess ? r->at.guessed + 1 : 0;
}

/* Says once that nothing is learned; HR_E_INTERNAL where that lasts. */
static enum hr_status watch_guessing(struct trainer *t, double loss)
{
    const struct hr_running *const r = &t->r;
    const uint64_t guessed = r->at.guessed, most = r->options->give_up;
    char why[256];
    snprintf(why, sizeof why,
             "nothing is learned: after %llu epochs the loss, %.4f, is still that of a guess among "
             "%d classes; check labels and learning rate",
             (unsigned long long)guessed, loss, r->train.class_count);
    if (guessed < GUESSED_EPOCHS || guessed * r->steps < GUESSED_STEPS)
        return HR_OK;
    if (most > 0 && guessed >= most)
        return hr_reduce_agree(r->reduce, hr_fail(HR_E_INTERNAL,
                                                  "%s; the run is given up, %s holds it up to here",
                                                  why, r->options->folder));
    if (!t->guessing_told && is_first(t))
        hr_log(HR_LOG_WARNING, "%s", why);
    t->guessing_told = true;
    return HR_OK;
}

/* What ends an epoch, once it is judged: told first, for the state must not be ahead of the tables.
 */
static enum hr_status write_epoch(struct trainer *t, const struct hr_train_progress *p,
                                  const struct hr_saved *saved, size_t count)
{
    const struct hr_checkpoint_vectors vectors = hr_running_vectors(&t->r);
    enum hr_status status = HR_OK;
    HR_TRY(hr_ranks_check_state(t->r.reduce, &vectors));
    if (is_first(t))
        status = hr_journal_add(t->journal, p);
    if (is_first(t) && status == HR_OK)
        status = hr_saving_epoch(&t->r, saved, count);
    return hr_reduce_agree(t->r.reduce, status);
}

static enum hr_status end_epoch(struct trainer *t, double rate)
{
    struct hr_running *const r = &t->r;
    bool goes_on = true;
    struct hr_model *model = NULL, *average = NULL;
    struct hr_evaluation seen = { 0 }, seen_average = { 0 };
    struct hr_train_progress p = { .epoch = r->at.epoch + 1,
                                   .step = r->steps,
                                   .rate = rate,
                                   .epoch_end = true,
                                   .validated = hr_validation_is_due(r),
                                   .averaged = r->average && hr_validation_is_due(r) };
    const double best_before = fmax(r->at.best, r->at.best_average);
    const struct hr_checkpoint before = r->at;
    enum hr_status status = hr_reduce_agree(r->reduce, make_models(r, &model, &average));
    if (status == HR_OK)
        status = hr_validation_run(r, model, &seen, &r->at.best, &p.best);
    if (status == HR_OK && average)
        status = hr_validation_run(r, average, &seen_average, &r->at.best_average, &p.average_best);
    if (status == HR_OK) {
        p.validation_loss = seen.loss;
        p.top1 = (double)seen.top1 / (double)seen.pictures;
        p.top5 = (double)seen.top5 / (double)seen.pictures;
        p.map = seen.map;
        p.average_map = seen_average.map;
        p.average_loss = seen_average.loss;
        p.average_top1 = (double)seen_average.top1 / (double)seen_average.pictures;
        p.average_top5 = (double)seen_average.top5 / (double)seen_average.pictures;
        complete(t, &p);
        judge(r, &p, best_before);
        count_guesses(r, p.loss);
        r->at.epoch++;
        r->at.step = r->at.pictures = r->at.top1 = r->at.top5 = r->at.unlabelled = 0;
        r->at.loss = 0.0;
        const struct hr_saved saved[] = {
            { model, "latest", "best", p.best },
            { average, "average", "best-average", p.average_best },
        };
        status = write_epoch(t, &p, saved, average ? 2 : 1);
    }
    hr_evaluation_fini(&seen);
    hr_evaluation_fini(&seen_average);
    hr_model_unref(model);
    hr_model_unref(average);
    if (status != HR_OK) /* the epoch is still to be ended */
        r->at = before;
    HR_TRY(status);
    HR_TRY(tell(t, &p, false, &goes_on));
    return goes_on ? watch_guessing(t, p.loss) : stopped(t);
}

/* ---- All ---- */

static bool is_over(const struct hr_running *r)
{
    const uint64_t patience = r->options->patience;
    return r->at.epoch >= r->options->epochs || (patience > 0 && r->at.idle >= patience);
}

/* How much there is to do, and the memory that it takes. */
static void say_what(const struct hr_running *r)
{
    static const char *const kept[] = {
        [HR_HALF_NONE] = "", [HR_HALF_BF16] = " in bf16", [HR_HALF_F16] = " in fp16"
    };
    hr_log(HR_LOG_INFO,
           "%zu pictures, %zu steps an epoch; %.2f GB of activations%s%s, %.2f GB of weights, "
           "gradients and states",
           r->train.paths.count, r->steps, (double)hr_tape_arena_bytes(r->tape) / 1e9,
           kept[r->options->half], r->options->recompute ? ", recomputed" : "",
           (double)hr_running_state_bytes(r) / 1e9);
}

static void say_why(const struct hr_running *r, bool at_once)
{
    if (r->at.epoch < r->options->epochs)
        hr_log(HR_LOG_INFO, "%llu epochs without a better one: the run ends after %llu of %llu",
               (unsigned long long)r->at.idle, (unsigned long long)r->at.epoch,
               (unsigned long long)r->options->epochs);
    else if (at_once)
        hr_log(HR_LOG_INFO, "%s: the run is finished, all %llu epochs are done", r->options->folder,
               (unsigned long long)r->at.epoch);
}

/* How well the sums hid behind the backward half. */
static void say_times(const struct hr_running *r)
{
    const struct hr_reduce_times x = hr_reduce_times(r->reduce);
    if (x.sums > 0)
        hr_log(HR_LOG_INFO,
               "%zu processes: %.1f MB of gradients in %zu buckets took %.1f ms a step, of which "
               "the backward half hid %.1f ms",
               r->ranks, (double)x.bytes / 1e6, x.buckets, x.travel_seconds * 1e3,
               (x.travel_seconds - x.waited_seconds) * 1e3);
}

/* A run that fails still names its bad pictures, which may be why.  Returns status. */
static enum hr_status list_bad(struct trainer *t, enum hr_status status)
{
    char why[1024];
    if (status == HR_OK || !is_first(t) || !t->r.state || status == HR_E_MEMORY)
        return status;
    snprintf(why, sizeof why, "%s", hr_last_message());
    if (hr_saving_bad(&t->r) != HR_OK)
        hr_log(HR_LOG_WARNING, "no list of bad pictures: %s", hr_last_message());
    return hr_fail(status, "%s", why);
}

static enum hr_status start(struct trainer *t, bool *at_once)
{
    struct hr_running *const r = &t->r;
    HR_TRY(hr_rescue_start(&t->rescue, r, t->context));
    *at_once = is_over(r);
    const struct hr_journal_place place = { r->at.epoch, r->at.step, r->steps };
    if (*at_once || !is_first(t))
        return HR_OK;
    say_what(r);
    HR_TRY(hr_saving_start(r));
    return hr_journal_open(&t->journal, r->options->folder, r->options->events, &place);
}

enum hr_status hr_train(const struct hr_train_options *options, hr_train_observer *observer,
                        void *context)
{
    struct trainer t = { .observer = observer, .context = context };
    struct hr_train_options own = *options;
    bool at_once = false;
    if (hr_launch_get().ranks > 1) {
        own.threads = own.threads ? own.threads : hr_launch_threads();
        own.loader_threads = own.loader_threads ? own.loader_threads : own.threads;
    }
    enum hr_status status = hr_running_start(&t.r, &own);
    if (status == HR_OK)
        status = hr_reduce_agree(t.r.reduce, start(&t, &at_once));
    while (status == HR_OK && !is_over(&t.r)) {
        double rate;
        status = run_epoch(&t, &rate);
        if (status == HR_OK)
            status = end_epoch(&t, rate);
    }
    if (status == HR_OK && is_first(&t)) {
        say_times(&t.r);
        say_why(&t.r, at_once);
    }
    status = list_bad(&t, hr_rescue_lost(&t.rescue, status));
    if (!is_first(&t) && hr_reduce_agreed(t.r.reduce)) /* the first one says it */
        status = hr_fail(status, "%s", "");
    hr_rescue_stop(&t.rescue);
    hr_journal_close(t.journal);
    hr_running_end(&t.r, status == HR_OK || status == HR_E_CANCELLED);
    return status;
}
