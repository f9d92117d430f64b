/* SPDX-License-Identifier: Apache-2.0
 * PaddleClas's YAML files as settings of a command: each known key becomes a flag that was not
 * given, so that a file can say nothing that the command line cannot. */
#ifndef HR_CLI_CONFIG_H
#define HR_CLI_CONFIG_H

#include "cli/value.h"

/* What a file's keys become.  `give` takes a flag's name (or HR_CONFIG_PICTURES), its text, and
 * the value that it comes from; `tell` a notice for people.  Text lives as long as the arena. */
#define HR_CONFIG_PICTURES "PICTURES" /* the operand */
struct hr_config_sink {
    enum hr_status (*give)(void *context, const char *flag, const char *text,
                           const struct hr_value *from);
    void (*tell)(void *context, const struct hr_value *from, const char *message);
    void *context;
    struct hr_arena *arena;
    bool evaluates; /* of `hrnet eval`: the Eval part of the file is what counts */
};

/* Parses a file's bytes, applies settings[count] ("Key.Sub.0=Value", values read as literals) and
 * hands everything to the sink.  A key that is not known is HR_E_FORMAT with the nearest that is,
 * and the line; what cannot be done here is HR_E_UNSUPPORTED. */
enum hr_status hr_config_read(const struct hr_config_sink *sink, const void *data, size_t size,
                              const char *name, const char *const *settings,
                              size_t count) HR_WARN_UNUSED;

#endif
