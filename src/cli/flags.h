/* SPDX-License-Identifier: Apache-2.0
 * Commands and flags as tables.  One table parses the command line and the environment, prints
 * help, manual pages and shell completion. */
#ifndef HR_CLI_FLAGS_H
#define HR_CLI_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

#define HR_MAX_FLAGS 96

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

/* The parsed line.  Everything is valid text of its kind, so getters cannot fail. */
struct hr_args {
    const struct hr_command *command;
    const struct hr_flag *flags[HR_MAX_FLAGS];
    const char *values[HR_MAX_FLAGS]; /* NULL: not given anywhere and no default */
    size_t flag_count;
    char **operands;
    int operand_count;
};

/* Parses argv behind the command's name: flags, then HRNET_<NAME> of the environment, then
 * defaults.  Returns -1 to go on, else the exit code (0 after --help, 2 after a usage error, which
 * was printed). */
int hr_args_parse(struct hr_args *args, const struct hr_command *command, int argc, char **argv);

const char *hr_arg_text(const struct hr_args *args, const char *flag); /* NULL: none */
bool hr_arg_switch(const struct hr_args *args, const char *flag);
int64_t hr_arg_count(const struct hr_args *args, const char *flag); /* 0 where there is none */
uint64_t hr_arg_bytes(const struct hr_args *args, const char *flag);
double hr_arg_real(const struct hr_args *args, const char *flag);

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

/* Binary results to stdout.  A failure is remembered for hr_stdout_end(). */
void hr_stdout_write(const void *data, size_t size);
/* At the end of every command: flushes stdout.  What could not be written makes 141, silently, when
 * nobody reads on, else a message and 4; otherwise returns `code`. */
int hr_stdout_end(int code);

#endif
