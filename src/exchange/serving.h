/* SPDX-License-Identifier: Apache-2.0
 * What Paddle Serving wants to know of a program beside its two files: the names, types and shapes
 * of input and result, as text (prototxt) and as a message (its GeneralModelConfig). */
#ifndef HR_EXCHANGE_SERVING_H
#define HR_EXCHANGE_SERVING_H

#include <stdio.h>

#include "exchange/program.h"

/* Clients say "inputs" and "prediction", as those of PaddleClas do.  Errors of the stream stick to
 * it. */
enum hr_status hr_serving_write(const struct hr_program *program, bool text, FILE *file,
                                const char *name) HR_WARN_UNUSED;

#endif
