/* SPDX-License-Identifier: Apache-2.0
 * What the program adds to the folder of a training run: its settings, what it was made with, and
 * curves to look at. */
#ifndef HR_CLI_RUN_FOLDER_H
#define HR_CLI_RUN_FOLDER_H

#include "cli/flags.h"
#include "hrnet/hrnet.h"

/* Writes FOLDER/config.json (every flag and its value) and FOLDER/manifest.json (versions, CPU,
 * data, command, and when the run was started and gone on with).  All return a hrnet_status whose
 * message is set. */
hrnet_status hr_run_folder_begin(const char *folder, const struct hr_args *args,
                                 const struct hrnet_train_progress *first);
/* Draws FOLDER/epochs.csv as FOLDER/curves.svg. */
hrnet_status hr_run_folder_curves(const char *folder);

#endif
