/* SPDX-License-Identifier: Apache-2.0
 * YAML 1.1 as PaddleClas reads it, into values.  Hostile input: size, depth and what aliases expand
 * to are bounded. */
#ifndef HR_CLI_YAML_H
#define HR_CLI_YAML_H

#include "cli/value.h"

#define HR_YAML_BYTES  (1 << 20) /* of a file; PaddleClas's are some 4 KB */
#define HR_YAML_VALUES 65536     /* of a file, with the copies that aliases make */

/* The one document of data[0..size).  Every string is read as a literal too.  `name` is for
 * messages and origins, and lives as long as the arena.  HR_E_FORMAT and HR_E_LIMIT name it and the
 * line. */
enum hr_status hr_yaml_parse(struct hr_value **out, struct hr_arena *arena, const void *data,
                             size_t size, const char *name) HR_WARN_UNUSED;

#endif
