/* SPDX-License-Identifier: Apache-2.0
 * The configuration file of a command line: what it gives to the flags. */
#ifndef HR_CLI_CONFIGURE_H
#define HR_CLI_CONFIGURE_H

#include "cli/flags.h"

/* --config FILE, -o Key=Value and --print-config, for commands that have them; the second has no
 * letter, for a command whose -o is another flag: there what holds a '=' is a setting all the same.
 */
extern const struct hr_flag hr_config_flags[];
extern const struct hr_flag hr_config_flags_without_letter[];

/* Reads the file that --config names, if there is one, and sets the flags that nothing of a better
 * rank has set.  Returns -1 to go on, else the exit code of an error that was printed. */
int hr_args_configure(struct hr_args *args);

#endif
