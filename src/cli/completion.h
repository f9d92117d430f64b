/* SPDX-License-Identifier: Apache-2.0
 * Shell completion from the command and flag tables. */
#ifndef HR_CLI_COMPLETION_H
#define HR_CLI_COMPLETION_H

#include "cli/flags.h"

/* Prints the script for "bash", "zsh" or "fish"; returns the exit code. */
int hr_completion_print(const char *shell, const struct hr_command *const *commands, size_t count);

#endif
