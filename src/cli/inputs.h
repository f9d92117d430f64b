/* SPDX-License-Identifier: Apache-2.0
 * What a person names as input: files, folders, globs, "-", lists, web addresses; and their bytes.
 */
#ifndef HR_CLI_INPUTS_H
#define HR_CLI_INPUTS_H

#include "base/os.h"
#include "base/status.h"

/* Expands one operand and appends to *out: a folder to its pictures below (natural order, by the
 * suffixes jpg jpeg png webp bmp ppm pgm pbm), a glob that names no file to its matches, anything
 * else as it is.  HR_E_NOT_FOUND for a glob without a match. */
enum hr_status hr_inputs_expand(struct hr_names *out, const char *operand) HR_WARN_UNUSED;
/* Appends the lines of a list file ("-": standard input); zero: separated by zero bytes. */
enum hr_status hr_inputs_list(struct hr_names *out, const char *path, bool zero) HR_WARN_UNUSED;

/* The bytes of an input: mapped, read or fetched.  Zero-initialise; hr_input_close frees. */
struct hr_input {
    const void *data;
    size_t size;
    struct hr_map map;
    uint8_t *block;
};
enum hr_status hr_input_open(struct hr_input *input, const char *name, size_t limit) HR_WARN_UNUSED;
void hr_input_close(struct hr_input *input);

#endif
