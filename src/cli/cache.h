/* SPDX-License-Identifier: Apache-2.0
 * The folder of fetched weights: $HRNET_CACHE, or $XDG_CACHE_HOME/hrnet, or ~/.cache/hrnet. */
#ifndef HR_CLI_CACHE_H
#define HR_CLI_CACHE_H

#include <stdbool.h>

#include "base/os.h"
#include "base/status.h"
#include "base/text.h"

enum hr_status hr_cache_folder(struct hr_text *out) HR_WARN_UNUSED;
/* Path of a file of that name in the cache; it need not exist. */
enum hr_status hr_cache_path(struct hr_text *out, const char *file) HR_WARN_UNUSED;
bool hr_cache_has(const char *file);

/* Does a model argument mean what lies there: a file, or a Paddle program's folder or prefix? */
bool hr_cache_is_path(const char *model);

/* The weight file that a model argument means: an existing path; the cached file of published
 * weights of that name; or, for NULL, the only cached one, or where there is none the one that
 * ships with the program, told on standard error.  Otherwise HR_E_NOT_FOUND, saying which command
 * gets it. */
enum hr_status hr_cache_resolve(struct hr_text *path, const char *model) HR_WARN_UNUSED;

#endif
