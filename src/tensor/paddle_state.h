/* SPDX-License-Identifier: Apache-2.0
 * What PaddlePaddle keeps of a training run beside the weights (paddleclas.md 3.4): .pdopt, a list
 * of one dict of the optimizer's tensors by static names and the schedule's counters; .pdstates, a
 * dict of metric and epoch. */
#ifndef HR_TENSOR_PADDLE_STATE_H
#define HR_TENSOR_PADDLE_STATE_H

#include "base/os.h"
#include "tensor/store.h"

/* Names of parameters as a fresh process of Paddle gives them to the tensors of a state dict, in
 * its order (paddleclas.md 2.4): "conv2d_0.w_0".  Zero-initialise. */
struct hr_paddle_namer {
    unsigned counts[3]; /* convolutions, norms, linear layers */
};
void hr_paddle_name_next(struct hr_paddle_namer *namer, char out[64], const char *structured);

/* Pairs of structured and static names, in order. */
struct hr_paddle_names {
    struct hr_names structured, fixed;
};
void hr_paddle_names_fini(struct hr_paddle_names *names); /* zero-initialised is fine */
/* The table of a .pdparams; HR_E_FORMAT where there is none. */
enum hr_status hr_paddle_names_read(struct hr_paddle_names *out, const char *path) HR_WARN_UNUSED;

/* Of a schedule; warm-up counts on its own in Paddle. */
struct hr_paddle_rate {
    int64_t step; /* last_epoch, which counts steps unless the schedule counts epochs */
    double rate;  /* last_lr */
    bool warms;   /* behind a LinearWarmup, whose inner schedule is: */
    int64_t inner_step;
    double inner_rate;
    bool
        waits; /* a ReduceOnPlateau, whose step counts metrics that it was told, and which holds: */
    int64_t cooling, bad; /* cooldown_counter, num_bad_epochs */
    bool has_best;
    double best;
};

/* .pdopt: the store's tensors, which have static names with the slot's ("conv2d_0.w_0_velocity_0"),
 * and LR_Scheduler where `rate` is not NULL.  hr_store_open reads the tensors back, this the rest
 * (step -1 where there is none). */
enum hr_status hr_paddle_optim_write(const struct hr_store *store,
                                     const struct hr_paddle_rate *rate,
                                     const char *path) HR_WARN_UNUSED;
enum hr_status hr_paddle_rate_read(struct hr_paddle_rate *out, const char *path) HR_WARN_UNUSED;

/* .pdstates; epoch counts those that are done, from 1. */
struct hr_paddle_progress {
    double metric;
    int64_t epoch;
};
enum hr_status hr_paddle_progress_write(const struct hr_paddle_progress *progress,
                                        const char *path) HR_WARN_UNUSED;
enum hr_status hr_paddle_progress_read(struct hr_paddle_progress *out,
                                       const char *path) HR_WARN_UNUSED;

#endif
