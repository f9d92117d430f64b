/* SPDX-License-Identifier: Apache-2.0
 * Models from any file: weights that models know themselves, and graphs of other frameworks. */
#ifndef HR_EXCHANGE_OPEN_H
#define HR_EXCHANGE_OPEN_H

#include "model/model.h"

/* As hr_model_open() and hr_model_open_memory(), and ONNX files.  A path may also be that of a
 * Paddle program: its folder, its prefix (PATH.pdmodel or PATH.json, and PATH.pdiparams), or one of
 * its files. */
enum hr_status hr_exchange_open(struct hr_model **out, const char *path,
                                const struct hr_model_options *options) HR_WARN_UNUSED;
enum hr_status hr_exchange_open_memory(struct hr_model **out, const void *data, size_t size,
                                       const char *name,
                                       const struct hr_model_options *options) HR_WARN_UNUSED;
/* A Paddle program by the paths of its two files. */
enum hr_status hr_exchange_open_program(struct hr_model **out, const char *program,
                                        const char *params, bool pir,
                                        const struct hr_model_options *options) HR_WARN_UNUSED;

#endif
