/* SPDX-License-Identifier: Apache-2.0
 * hrnet bench --train: the time of a training step. */
#ifndef HR_CLI_BENCH_TRAIN_H
#define HR_CLI_BENCH_TRAIN_H

#include "cli/flags.h"

/* Of the network that the first operand names; the exit code. */
int hr_bench_train(const struct hr_args *args);

#endif
