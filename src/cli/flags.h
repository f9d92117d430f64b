/* SPDX-License-Identifier: Apache-2.0
 * Commands and flags as tables.  One table parses the command line and the environment, prints
 * help, manual pages and shell completion. */
#ifndef HR_CLI_FLAGS_H
#define HR_CLI_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

enum hr_flag_kind {
    HR_FLAG_SWITCH,
    HR_FLAG_TEXT,
    HR_FLAG_COUNT, /* a whole number */
    HR_FLAG_BYTES, /* 4096, 64K, 10M, 2G */
    HR_FLAG_REAL,
    HR_FLAG_CHOICE, /* one of the words in `value`, separated by '|' */
    HR_FLAG_FILE,   /* this and the next are text that completion knows more of */
    HR_FLAG_FOLDER,
    HR_FLAG_MODEL,   /* a weight file or a name of the zoo */
    HR_FLAG_WEIGHTS, /* a name of published weights */
    HR_FLAG_COMMAND, /* a command of this program */
    HR_FLAG_SETTING, /* Key.Sub=Value, any number of times; not read from the environment */
};

struct hr_flag {
    const char *name; /* "batch" */
    char letter;      /* or 0 */
    enum hr_flag_kind kind;
    const char *value;   /* how help names it: "N", "FILE", "text|json|csv" */
    const char *initial; /* default, as text; NULL: none */
    int64_t least, most; /* of COUNT, and of REAL unless both are 0 */
    const char *help;
};

#define HR_MAX_FLAGS    96
#define HR_MAX_SETTINGS 64

struct hr_args;
struct hr_command {
    const char *name, *operands, *summary; /* operands: "PICTURE...", "bash|zsh|fish" */
    enum hr_flag_kind takes;               /* what the operands are; SWITCH: there are none */
    const char *examples;                  /* lines "command  # comment" */
    const struct hr_flag *const
        *groups;                       /* NULL-terminated list of tables, each ended by name NULL */
    int least_operands, most_operands; /* most -1: any number */
    int (*run)(const struct hr_args *args); /* returns the exit code */
    bool untrained_head;                    /* runs models whose classifier is untrained too */
};

/* Where a value comes from; the first of these that has one wins. */
enum hr_rank {
    HR_RANK_LINE,
    HR_RANK_SETTING, /* -o Key=Value */
    HR_RANK_ENVIRONMENT,
    HR_RANK_FILE, /* of --config */
    HR_RANK_DEFAULT,
};

/* The parsed line.  Everything is valid text of its kind, so getters cannot fail. */
struct hr_args {
    const struct hr_command *command;
    const struct hr_flag *flags[HR_MAX_FLAGS];
    const char *values[HR_MAX_FLAGS]; /* NULL: not given anywhere and no default */
    enum hr_rank ranks[HR_MAX_FLAGS];
    const char *origins[HR_MAX_FLAGS]; /* of SETTING and FILE: "run.yaml:7" */
    size_t flag_count;
    const char *settings[HR_MAX_SETTINGS];
    size_t setting_count;
    const char *const *operands;
    int operand_count;
    const char *pictures, *pictures_origin; /* the operand that the configuration names, or NULL */
    struct hr_arena arena;                  /* of what the configuration gave */
};

/* Parses argv behind the command's name: flags, then, by rank, settings, HRNET_<NAME> of the
 * environment, the file that --config names (cli/config.h), defaults.  Returns -1 to go on, else
 * the exit code (0 after --help, 2 after a usage error, which was printed).  hr_args_fini either
 * way. */
int hr_args_parse(struct hr_args *args, const struct hr_command *command, int argc, char **argv);
void hr_args_fini(struct hr_args *args);
/* Every flag, its value and where it comes from, a line each. */
void hr_args_print(const struct hr_args *args, FILE *out);

const char *hr_arg_text(const struct hr_args *args, const char *flag); /* NULL: none */
bool hr_arg_switch(const struct hr_args *args, const char *flag);
int64_t hr_arg_count(const struct hr_args *args, const char *flag); /* 0 where there is none */
uint64_t hr_arg_bytes(const struct hr_args *args, const char *flag);
double hr_arg_real(const struct hr_args *args, const char *flag);

/* Empty when the text fits its flag, else what is wrong with it. */
void hr_flag_check(const struct hr_flag *flag, const char *value, char wrong[160]);

/* Flags of a command, in table order: fills flags[HR_MAX_FLAGS]. */
size_t hr_command_flags(const struct hr_command *command, const struct hr_flag **flags);
void hr_help_print(const struct hr_command *command, FILE *out);
void hr_man_print(const struct hr_command *command, FILE *out);
void hr_man_overview(const struct hr_command *const *commands, size_t count, FILE *out);

/* "hrnet: message" and the cure on stderr, exit code 2. */
int hr_usage_error(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "hrnet: last error" on stderr; the exit code of the status. */
int hr_report(int status);
/* The same for pictures, tensors and lists: what makes 3 of a model makes 4 of them. */
int hr_report_input(int status);

/* Binary results to stdout.  A failure is remembered for hr_stdout_end(). */
void hr_stdout_write(const void *data, size_t size);
/* At the end of every command: flushes stdout.  What could not be written makes 141, silently, when
 * nobody reads on, else a message and 4; otherwise returns `code`. */
int hr_stdout_end(int code);

#endif
