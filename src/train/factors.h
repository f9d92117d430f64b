/* SPDX-License-Identifier: Apache-2.0
 * Factors in words: of the learning rate by a parameter's name, of the loss by class. */
#ifndef HR_TRAIN_FACTORS_H
#define HR_TRAIN_FACTORS_H

#include "train/dataset.h"
#include "train/tape.h"

struct hr_factor_options {
    const char *rates;  /* "st4=0.5,fc=10" by the beginning of names, the longest counts; or NULL */
    const char *freeze; /* "conv_layer1,layer1": 0; or NULL */
    double layer_decay; /* 1: none; each part is slower by this than the one behind it */
};
/* Fills factors[hr_tape_param_count].  HR_E_ARGUMENT for a beginning that no parameter has, with
 * those that there are. */
enum hr_status hr_factors_of_rates(float *factors, const struct hr_tape *tape,
                                   const struct hr_factor_options *options) HR_WARN_UNUSED;

/* Fills weights[set->class_count] from "balanced" (pictures / (classes * pictures of the class)) or
 * from as many numbers, divided by commas.  HR_E_ARGUMENT. */
enum hr_status hr_factors_of_classes(float *weights, const struct hr_dataset *set,
                                     const char *text) HR_WARN_UNUSED;

#endif
