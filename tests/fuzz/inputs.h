/* SPDX-License-Identifier: Apache-2.0
 * The files that a plain main runs its fuzz target on. */
#ifndef TESTS_FUZZ_INPUTS_H
#define TESTS_FUZZ_INPUTS_H

#include "base/os.h"

/* Calls `run` with each file of the arguments, and of the folders among them; it counts in *runs.
 * *inputs: how many they were; HR_E_NOT_FOUND where there are none. */
enum hr_status inputs_each(int argc, char **argv,
                           void (*run)(const struct hr_map *input, unsigned long *runs),
                           size_t *inputs, unsigned long *runs) HR_WARN_UNUSED;

#endif
