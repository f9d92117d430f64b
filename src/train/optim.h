/* SPDX-License-Identifier: Apache-2.0
 * Optimizers over flat vectors of parameters, with Paddle's arithmetic (paddleclas.md 5.4, 5.9). */
#ifndef HR_TRAIN_OPTIM_H
#define HR_TRAIN_OPTIM_H

#include "base/pool.h"
#include "train/tape.h"

/* g is the gradient, after clipping and decay; t counts steps from 1. */
enum hr_optim_kind {
    HR_OPTIM_SGD,      /* w -= lr g */
    HR_OPTIM_MOMENTUM, /* v = momentum v + g; w -= lr v, nesterov: w -= lr (g + momentum v) */
    HR_OPTIM_ADAM,     /* Kingma and Ba 2015 (arXiv 1412.6980), bias-corrected, epsilon outside */
    HR_OPTIM_ADAMW,    /* w *= 1 - lr decay first (Loshchilov and Hutter, arXiv 1711.05101) */
    HR_OPTIM_RMSPROP,  /* r = rho r + (1 - rho) g^2; v = momentum v + lr g / sqrt(r + epsilon);
                          w -= v */
};

struct hr_optim_options {
    enum hr_optim_kind kind;
    double momentum;
    bool nesterov;
    double beta1, beta2, rho, epsilon;
    double l1, l2; /* g += l1 sign(w) + l2 w, after clipping */
    double decay;  /* ADAMW */
    double
        clip_norm; /* g *= clip_norm / norm where the norm of all gradients is larger; 0: never */
    bool no_decay_one_dim;       /* l1, l2 and decay leave parameters of one dimension alone */
    const char *const *no_decay; /* and those whose name contains one of these */
    size_t no_decay_count;
    const float *rates; /* by parameter: factors of the learning rate, 0 freezes; NULL: all 1 */
};
/* Momentum 0.9, Adam's 0.9, 0.999 and 1e-8, RMSProp's rho 0.95 and epsilon 1e-6, no decay. */
struct hr_optim_options hr_optim_defaults(enum hr_optim_kind kind);

/* An optimizer in words: "momentum", "nesterov", "sgd", "adam", "adamw" or "rmsprop" with its
 * defaults; then, by the second, what follows its name: "adam:beta1=0.8,epsilon=1e-6".  Keys:
 * momentum (of momentum, nesterov, rmsprop), beta1, beta2, epsilon, rho, decay.  HR_E_ARGUMENT. */
enum hr_status hr_optim_named(struct hr_optim_options *out, const char *text) HR_WARN_UNUSED;
enum hr_status hr_optim_set(struct hr_optim_options *options, const char *text) HR_WARN_UNUSED;

struct hr_optim;
/* Options are copied.  The tape says where parameters lie and outlives the optimizer. */
enum hr_status hr_optim_create(struct hr_optim **out, const struct hr_tape *tape,
                               const struct hr_optim_options *options) HR_WARN_UNUSED;
void hr_optim_destroy(struct hr_optim *optim); /* NULL is allowed */

/* State to store: vectors as long as the parameters, and the count of steps. */
size_t hr_optim_slot_count(const struct hr_optim *optim);
float *hr_optim_slot(struct hr_optim *optim, size_t index);
const char *hr_optim_slot_name(const struct hr_optim *optim, size_t index); /* "velocity" */
uint64_t hr_optim_steps(const struct hr_optim *optim);
void hr_optim_set_steps(struct hr_optim *optim, uint64_t steps);

/* Euclidean norm of the gradients of all trained parameters, summed in double in a fixed order. */
double hr_optim_norm(const struct hr_optim *optim, const float *gradients, struct hr_pool *pool);

/* One step.  norm: hr_optim_norm's, used where gradients are clipped.  The same bits for any
 * pool. */
void hr_optim_step(struct hr_optim *optim, float *params, const float *gradients, double norm,
                   double rate, struct hr_pool *pool);

#endif
