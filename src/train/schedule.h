/* SPDX-License-Identifier: Apache-2.0
 * Learning rates as formulas of the step, with Paddle's arithmetic (paddleclas.md 5.4, 5.9), and
 * the one that waits for a metric. */
#ifndef HR_TRAIN_SCHEDULE_H
#define HR_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "train/words.h"

/* t counts steps after the warm-up from 0, T are the steps after it; with by_epoch both count
 * epochs. */
enum hr_schedule_kind {
    HR_SCHEDULE_CONSTANT,
    HR_SCHEDULE_LINEAR,    /* (rate - end) (1 - t / T)^power + end */
    HR_SCHEDULE_COSINE,    /* end + (rate - end) (1 + cos(pi t / T)) / 2 */
    HR_SCHEDULE_CYCLIC,    /* triangles from rate up to peak in `up` epochs and down in `down`, of a
                              height that is halved each time, or falls as gamma^t */
    HR_SCHEDULE_STEP,      /* rate gamma^(t / every), rounded down */
    HR_SCHEDULE_PIECEWISE, /* values[i], i the boundaries that t has reached */
    HR_SCHEDULE_MULTI_STEP,      /* rate gamma^i, i the boundaries that t has reached */
    HR_SCHEDULE_COSINE_FIXMATCH, /* rate max(0, cos(pi cycles t / T)) */
    HR_SCHEDULE_ONE_CYCLE,       /* rate / divide up to rate, then down to end, by half cosines or
                                    lines; in three phases: back down as it came, then to end.  T are
                                    all steps, those of the warm-up, too */
    HR_SCHEDULE_PLATEAU,         /* hr_plateau decides */
};

struct hr_schedule {
    enum hr_schedule_kind kind;
    double rate, end, power, gamma, peak, cycles, divide, phase;
    double every, up, down; /* epochs; up and down of what t counts, if in_steps */
    bool in_steps, halving, lines, three_phases;
    const double *boundaries, *values; /* epochs; rates, one more than boundaries */
    size_t boundary_count;
    bool by_epoch;
    uint64_t epochs, steps_per_epoch;
    double warmup_epochs, warmup_start; /* a line from there to the first rate, of ONE_CYCLE to the
                                           highest */
    double warmup_steps;                /* its length instead, in steps; 0: epochs */
};
/* Power 1, gamma 0.1, of CYCLIC 1, cycles 7/16, divide 25, phase 0.3, peak the rate, every 30
 * epochs, up and down 1; end 0, of ONE_CYCLE rate / 10^4; no warm-up. */
struct hr_schedule hr_schedule_defaults(enum hr_schedule_kind kind, double rate, uint64_t epochs,
                                        uint64_t steps_per_epoch);

/* PaddleClas's Piecewise with a learning rate ignores the boundaries and values that it is given:
 * a tenth every 30 epochs.  Fills boundaries and values, room for epochs / 30 + 1 each; true if
 * what was given differs and deserves a notice. */
bool hr_schedule_piecewise_quirk(struct hr_schedule *schedule, double *boundaries, double *values);

/* HR_E_ARGUMENT naming the field that makes no sense. */
enum hr_status hr_schedule_check(const struct hr_schedule *schedule) HR_WARN_UNUSED;
/* Of the warm-up, in what the schedule counts. */
double hr_schedule_warmup(const struct hr_schedule *schedule);
/* The rate of step `step` of all, from 0.  PLATEAU: the rate before it was ever reduced. */
double hr_schedule_rate(const struct hr_schedule *schedule, uint64_t step);

/* Reduces the rate when a metric stops getting better, as Paddle's ReduceOnPlateau does: what is
 * better while it cools down is not looked at, and reductions of epsilon or less do not count. */
struct hr_plateau {
    bool larger_is_better, absolute;               /* absolute: so is the threshold */
    double factor, threshold, least_rate, epsilon; /* 0.1, 1e-4 relative, 0, 1e-8 */
    uint64_t patience, cooldown;                   /* epochs: 10, 0 */
    /* State: */
    double rate, best; /* best: of what was looked at; nothing where seen is 0 */
    uint64_t bad, cooling, seen;
};
struct hr_plateau hr_plateau_of(double rate, bool larger_is_better);
void hr_plateau_tell(struct hr_plateau *plateau, double metric);

/* A schedule in words: a kind as above, with '-' and small letters, then what it needs:
 * "step:every=20,gamma=0.5", "piecewise:at=30/60,values=0.1/0.01/0.001",
 * "plateau:factor=0.5,patience=3", any kind with "by-epoch" and "start=0.001" (of the warm-up).
 * "piecewise:paddle,..." is PaddleClas's quirk, which is logged where it changes anything. */
struct hr_schedule_words {
    struct hr_schedule schedule; /* points to the lists below */
    struct hr_plateau plateau;   /* of larger_is_better; where the kind is PLATEAU */
    struct hr_reals boundaries, values;
};
/* Fills *out, in which `schedule` stays valid while out does not move.  HR_E_ARGUMENT. */
enum hr_status hr_schedule_parse(struct hr_schedule_words *out, const char *text, double rate,
                                 uint64_t epochs, uint64_t steps_per_epoch) HR_WARN_UNUSED;

#endif
