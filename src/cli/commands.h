/* SPDX-License-Identifier: Apache-2.0
 * Every command; main.c lists them. */
#ifndef HR_CLI_COMMANDS_H
#define HR_CLI_COMMANDS_H

#include "cli/flags.h"

extern const struct hr_command hr_command_predict, hr_command_run, hr_command_preprocess,
    hr_command_info, hr_command_verify, hr_command_models, hr_command_convert, hr_command_pull,
    hr_command_plan, hr_command_bench, hr_command_train, hr_command_eval, hr_command_export,
    hr_command_diff, hr_command_serve, hr_command_client, hr_command_explain, hr_command_features,
    hr_command_check, hr_command_augment, hr_command_tune;

#endif
