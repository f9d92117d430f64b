/* SPDX-License-Identifier: Apache-2.0
 * Learning rates: one small function a kind.  Pure: a rate follows from the step alone, so resuming
 * needs nothing but the step. */
#include "train/schedule.h"

#include <math.h>

#include "base/compiler.h"

#define PI 3.14159265358979323846

struct hr_schedule hr_schedule_defaults(enum hr_schedule_kind kind, double rate, uint64_t epochs,
                                        uint64_t steps_per_epoch)
{
    return (struct hr_schedule){ .kind = kind,
                                 .rate = rate,
                                 .end = kind == HR_SCHEDULE_ONE_CYCLE ? rate / 1e4 : 0.0,
                                 .power = 1.0,
                                 .gamma = kind == HR_SCHEDULE_CYCLIC ? 1.0 : 0.1,
                                 .peak = rate,
                                 .cycles = 7.0 / 16.0,
                                 .divide = 25.0,
                                 .phase = 0.3,
                                 .every = 30.0,
                                 .up = 1.0,
                                 .down = 1.0,
                                 .epochs = epochs,
                                 .steps_per_epoch = steps_per_epoch };
}

bool hr_schedule_piecewise_quirk(struct hr_schedule *schedule, double *boundaries, double *values)
{
    size_t count = 0;
    bool differs = false;
    values[0] = schedule->rate;
    for (uint64_t epoch = 30; epoch < schedule->epochs; epoch += 30) {
        boundaries[count++] = (double)epoch;
        values[count] = schedule->rate * pow(0.1, (double)count);
    }
    differs = count != schedule->boundary_count;
    for (size_t i = 0; schedule->values && !differs && i <= count; i++)
        differs = (i < count && schedule->boundaries[i] != boundaries[i]) ||
                  fabs(schedule->values[i] - values[i]) > 1e-12 * values[i];
    schedule->boundaries = boundaries;
    schedule->values = values;
    schedule->boundary_count = count;
    return differs;
}

enum hr_status hr_schedule_check(const struct hr_schedule *s)
{
    const bool needs_boundaries = s->kind == HR_SCHEDULE_PIECEWISE;
    if (!(s->rate >= 0.0) || !isfinite(s->rate))
        return hr_fail(HR_E_ARGUMENT, "learning rate %g: a finite one, not negative, is wanted",
                       s->rate);
    if (s->epochs < 1 || s->steps_per_epoch < 1)
        return hr_fail(HR_E_ARGUMENT, "a schedule of %llu epochs of %llu steps has no steps",
                       (unsigned long long)s->epochs, (unsigned long long)s->steps_per_epoch);
    if (!(s->warmup_steps >= 0.0) ||
        s->warmup_steps > (double)s->epochs * (double)s->steps_per_epoch)
        return hr_fail(HR_E_ARGUMENT, "a warm-up of %g steps does not fit %llu epochs",
                       s->warmup_steps, (unsigned long long)s->epochs);
    if (s->three_phases && !(s->phase < 0.5))
        return hr_fail(HR_E_ARGUMENT, "three phases of a schedule: phase %g must be below 0.5",
                       s->phase);
    if (!(s->warmup_epochs >= 0.0) || s->warmup_epochs > (double)s->epochs)
        return hr_fail(HR_E_ARGUMENT, "a warm-up of %g epochs does not fit %llu epochs",
                       s->warmup_epochs, (unsigned long long)s->epochs);
    if (needs_boundaries && (!s->values || (s->boundary_count > 0 && !s->boundaries)))
        return hr_fail(HR_E_ARGUMENT, "a piecewise schedule needs boundaries and values");
    for (size_t i = 1; i < s->boundary_count; i++)
        if (s->boundaries[i] <= s->boundaries[i - 1])
            return hr_fail(HR_E_ARGUMENT, "boundary %g of the schedule comes after %g",
                           s->boundaries[i], s->boundaries[i - 1]);
    if ((s->kind == HR_SCHEDULE_STEP && !(s->every > 0.0)) ||
        (s->kind == HR_SCHEDULE_CYCLIC && !(s->up > 0.0 && s->down > 0.0)))
        return hr_fail(HR_E_ARGUMENT, "the lengths of a schedule must be larger than 0");
    return HR_OK;
}

/* Of one epoch in the schedule's own count. */
static double unit(const struct hr_schedule *s)
{
    return s->by_epoch ? 1.0 : (double)s->steps_per_epoch;
}

double hr_schedule_warmup(const struct hr_schedule *s)
{ /* Python rounds halves to the even number */
    return s->warmup_steps > 0.0 ? s->warmup_steps : rint(s->warmup_epochs * unit(s));
}

static size_t reached(const struct hr_schedule *s, double t)
{
    size_t i = 0;
    while (i < s->boundary_count && t >= s->boundaries[i] * unit(s))
        i++;
    return i;
}

/* From a to b as x goes from 0 to 1. */
static double half_cosine(double a, double b, double x)
{
    return b + (a - b) * 0.5 * (1.0 + cos(PI * x));
}

static double cyclic(const struct hr_schedule *s, double t)
{
    const double each = s->in_steps ? 1.0 : unit(s);
    const double up = s->up * each, down = s->down * each;
    const double at = fmod(t, up + down);
    const double height = at <= up ? at / up : (up + down - at) / down;
    const double scale = s->halving ? exp2(-floor(t / (up + down))) : pow(s->gamma, t);
    return s->rate + (s->peak - s->rate) * height * scale;
}

/* From a at `begin` to b at `end`. */
static double anneal(const struct hr_schedule *s, double a, double b, double t, double begin,
                     double end)
{
    const double x = end > begin ? (t - begin) / (end - begin) : 1.0;
    return s->lines ? a + (b - a) * x : half_cosine(a, b, x);
}

static double one_cycle(const struct hr_schedule *s, double t)
{
    const double T = (double)s->epochs * unit(s), last = fmin(t, T - 1.0);
    const double top = s->phase * T - 1.0, foot = s->three_phases ? 2.0 * top : top;
    const double first = s->rate / s->divide;
    if (last <= top)
        return anneal(s, first, s->rate, last, 0.0, top);
    if (last <= foot)
        return anneal(s, s->rate, first, last, top, foot);
    return anneal(s, s->three_phases ? first : s->rate, s->end, last, foot, T - 1.0);
}

static double after_warmup(const struct hr_schedule *s, double t)
{
    const double all = (double)s->epochs * unit(s) - hr_schedule_warmup(s),
                 T = all > 0.0 ? all : 1.0;
    const double part = t < T ? t / T : 1.0;
    switch (s->kind) {
    case HR_SCHEDULE_CONSTANT:
    case HR_SCHEDULE_PLATEAU:
        return s->rate;
    case HR_SCHEDULE_LINEAR:
        return (s->rate - s->end) * pow(1.0 - part, s->power) + s->end;
    case HR_SCHEDULE_COSINE:
        return half_cosine(s->rate, s->end, part);
    case HR_SCHEDULE_CYCLIC:
        return cyclic(s, t);
    case HR_SCHEDULE_STEP:
        return s->rate * pow(s->gamma, floor(t / (s->every * unit(s))));
    case HR_SCHEDULE_PIECEWISE:
        return s->values[reached(s, t)];
    case HR_SCHEDULE_MULTI_STEP:
        return s->rate * pow(s->gamma, (double)reached(s, t));
    case HR_SCHEDULE_COSINE_FIXMATCH:
        return s->rate * fmax(0.0, cos(PI * s->cycles * part));
    case HR_SCHEDULE_ONE_CYCLE:
        return one_cycle(s, t);
    }
    return s->rate;
}

double hr_schedule_rate(const struct hr_schedule *schedule, uint64_t step)
{
    const double t = (double)(schedule->by_epoch ? step / schedule->steps_per_epoch : step);
    const double warmup = hr_schedule_warmup(schedule);
    if (t >= warmup)
        return after_warmup(schedule, t - warmup);
    const double first =
        schedule->kind == HR_SCHEDULE_ONE_CYCLE ? schedule->rate : after_warmup(schedule, 0.0);
    return schedule->warmup_start + (first - schedule->warmup_start) * t / warmup;
}

struct hr_plateau hr_plateau_of(double rate, bool larger_is_better)
{
    return (struct hr_plateau){ .larger_is_better = larger_is_better,
                                .factor = 0.1,
                                .threshold = 1e-4,
                                .epsilon = 1e-8,
                                .patience = 10,
                                .rate = rate };
}

void hr_plateau_tell(struct hr_plateau *p, double metric)
{
    const double margin = p->absolute ? p->threshold : p->threshold * fabs(p->best);
    const bool better = p->seen++ == 0 || (p->larger_is_better ? metric > p->best + margin
                                                               : metric < p->best - margin);
    if (p->cooling > 0) {
        p->cooling--;
        return;
    }
    p->bad = better ? 0 : p->bad + 1;
    p->best = better ? metric : p->best;
    if (p->bad > p->patience) {
        const double lower = fmax(p->rate * p->factor, p->least_rate);
        p->rate = p->rate - lower > p->epsilon ? lower : p->rate;
        p->cooling = p->cooldown;
        p->bad = 0;
    }
}

/* ---- Words ---- */

#define ANY      (~0u)
#define OF(kind) (1u << HR_SCHEDULE_##kind)

/* The words that the kind of *out has; returns how many. */
static size_t words_of(struct hr_word *words, struct hr_schedule_words *out, double *counts,
                       bool *paddle)
{
    struct hr_schedule *const s = &out->schedule;
    const struct {
        struct hr_word word;
        unsigned kinds;
    } all[] = {
        { { "by-epoch", HR_WORD_SWITCH, &s->by_epoch }, ANY },
        { { "start", HR_WORD_REAL, &s->warmup_start }, ANY },
        { { "end", HR_WORD_REAL, &s->end }, OF(LINEAR) | OF(COSINE) | OF(ONE_CYCLE) },
        { { "power", HR_WORD_REAL, &s->power }, OF(LINEAR) },
        { { "peak", HR_WORD_REAL, &s->peak }, OF(CYCLIC) },
        { { "up", HR_WORD_REAL, &s->up }, OF(CYCLIC) },
        { { "down", HR_WORD_REAL, &s->down }, OF(CYCLIC) },
        { { "every", HR_WORD_REAL, &s->every }, OF(STEP) },
        { { "gamma", HR_WORD_REAL, &s->gamma }, OF(STEP) | OF(MULTI_STEP) | OF(CYCLIC) },
        { { "halving", HR_WORD_SWITCH, &s->halving }, OF(CYCLIC) },
        { { "steps", HR_WORD_SWITCH, &s->in_steps }, OF(CYCLIC) },
        { { "at", HR_WORD_REALS, &out->boundaries }, OF(PIECEWISE) | OF(MULTI_STEP) },
        { { "values", HR_WORD_REALS, &out->values }, OF(PIECEWISE) },
        { { "paddle", HR_WORD_SWITCH, paddle }, OF(PIECEWISE) },
        { { "cycles", HR_WORD_REAL, &s->cycles }, OF(COSINE_FIXMATCH) },
        { { "warmup-steps", HR_WORD_REAL, &s->warmup_steps }, OF(COSINE_FIXMATCH) },
        { { "divide", HR_WORD_REAL, &s->divide }, OF(ONE_CYCLE) },
        { { "phase", HR_WORD_REAL, &s->phase }, OF(ONE_CYCLE) },
        { { "lines", HR_WORD_SWITCH, &s->lines }, OF(ONE_CYCLE) },
        { { "three-phases", HR_WORD_SWITCH, &s->three_phases }, OF(ONE_CYCLE) },
        { { "factor", HR_WORD_REAL, &out->plateau.factor }, OF(PLATEAU) },
        { { "threshold", HR_WORD_REAL, &out->plateau.threshold }, OF(PLATEAU) },
        { { "absolute", HR_WORD_SWITCH, &out->plateau.absolute }, OF(PLATEAU) },
        { { "least", HR_WORD_REAL, &out->plateau.least_rate }, OF(PLATEAU) },
        { { "epsilon", HR_WORD_REAL, &out->plateau.epsilon }, OF(PLATEAU) },
        { { "patience", HR_WORD_REAL, &counts[0] }, OF(PLATEAU) },
        { { "cooldown", HR_WORD_REAL, &counts[1] }, OF(PLATEAU) },
    };
    size_t count = 0;
    for (size_t i = 0; i < HR_COUNT(all); i++)
        if (all[i].kinds & (1u << s->kind))
            words[count++] = all[i].word;
    return count;
}

/* Lists to pointers, and the quirk that was asked for. */
static enum hr_status take_lists(struct hr_schedule_words *out, bool paddle)
{
    struct hr_schedule *const s = &out->schedule;
    const struct hr_reals given[2] = { out->boundaries, out->values };
    s->boundaries = out->boundaries.values;
    s->values = out->values.count ? out->values.values : NULL;
    s->boundary_count = out->boundaries.count;
    if (paddle) {
        if (s->epochs > (uint64_t)30 * (HR_MAX_REALS - 1))
            return hr_fail(HR_E_LIMIT, "schedule: paddle has room for %d epochs",
                           30 * (HR_MAX_REALS - 1));
        s->boundaries = given[0].values;
        s->values = given[1].count ? given[1].values : NULL;
        if (hr_schedule_piecewise_quirk(s, out->boundaries.values, out->values.values))
            hr_log(HR_LOG_WARNING, "the schedule's boundaries and values do not count, as in "
                                   "PaddleClas: the rate falls to a tenth every 30 epochs");
    } else if (s->kind == HR_SCHEDULE_PIECEWISE && out->values.count != out->boundaries.count + 1) {
        return hr_fail(HR_E_ARGUMENT,
                       "schedule piecewise: %zu values for %zu boundaries, one more "
                       "value than boundaries is wanted",
                       out->values.count, out->boundaries.count);
    }
    return HR_OK;
}

enum hr_status hr_schedule_parse(struct hr_schedule_words *out, const char *text, double rate,
                                 uint64_t epochs, uint64_t steps_per_epoch)
{
    static const char *const names[] = { "constant",  "linear",    "cosine",     "cyclic",
                                         "step",      "piecewise", "multi-step", "cosine-fixmatch",
                                         "one-cycle", "plateau" };
    struct hr_word words[32];
    double counts[2] = { 10.0, 0.0 };
    size_t kind;
    bool paddle = false;
    HR_TRY(hr_words_choose("schedule", text, names, HR_COUNT(names), &kind));
    *out = (struct hr_schedule_words){
        .schedule =
            hr_schedule_defaults((enum hr_schedule_kind)kind, rate, epochs, steps_per_epoch),
        .plateau = hr_plateau_of(rate, true),
    };
    const size_t count = words_of(words, out, counts, &paddle);
    out->schedule.down = 0.0; /* as long as up, unless it is said */
    HR_TRY(hr_words_set("schedule", text, words, count));
    if (out->schedule.down == 0.0)
        out->schedule.down = out->schedule.up;
    if (!(counts[0] >= 0.0 && counts[0] < 1e9 && counts[1] >= 0.0 && counts[1] < 1e9))
        return hr_fail(HR_E_ARGUMENT, "schedule plateau: patience and cooldown count epochs");
    out->plateau.patience = (uint64_t)counts[0];
    out->plateau.cooldown = (uint64_t)counts[1];
    return take_lists(out, paddle);
}
