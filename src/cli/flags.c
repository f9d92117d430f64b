/* SPDX-License-Identifier: Apache-2.0
 * The flag tables at work: parsing with getopt_long, checking each value by its kind at once, so
 * that commands only read. */
#include "cli/flags.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/text.h"
#include "cli/configure.h"
#include "hrnet/hrnet.h"

static const struct hr_flag help_flag = { "help", 'h', HR_FLAG_SWITCH,  NULL, NULL,
                                          0,      0,   "show this help" };

int hr_usage_error(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("hrnet: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    if (command)
        fprintf(stderr, "; see `hrnet %s --help`\n", command);
    else
        fputs("; see `hrnet help`\n", stderr);
    return 2;
}

int hr_report(int status)
{
    fprintf(stderr, "hrnet: %s\n", hrnet_last_error());
    return hrnet_status_exit_code((hrnet_status)status);
}

int hr_report_input(int status)
{
    const int code = hr_report(status);
    return code == hrnet_status_exit_code(HRNET_E_FORMAT) ? hrnet_status_exit_code(HRNET_E_IO)
                                                          : code;
}

static int stdout_error; /* errno of the first failure, which stdio forgets */

void hr_stdout_write(const void *data, size_t size)
{
    if (!stdout_error && (fwrite(data, 1, size, stdout) != size || fflush(stdout) != 0))
        stdout_error = errno;
}

int hr_stdout_end(int code)
{
    if (!stdout_error && (fflush(stdout) != 0 || ferror(stdout)))
        stdout_error = errno;
    if (!stdout_error || code > 1)
        return code;
    if (stdout_error == EPIPE)
        return 141;
    fprintf(stderr, "hrnet: standard output cannot be written: %s\n", strerror(stdout_error));
    return 4;
}

size_t hr_command_flags(const struct hr_command *command, const struct hr_flag **flags)
{
    size_t count = 0;
    for (size_t g = 0; command->groups && command->groups[g]; g++)
        for (const struct hr_flag *f = command->groups[g]; f->name; f++)
            if (count < HR_MAX_FLAGS - 1)
                flags[count++] = f;
    flags[count++] = &help_flag;
    return count;
}

static size_t find_flag(const struct hr_args *args, const char *name)
{
    size_t i = 0;
    while (i < args->flag_count && strcmp(args->flags[i]->name, name) != 0)
        i++;
    return i;
}

static bool is_choice(const char *choices, const char *value)
{
    const size_t length = strlen(value);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, value, length) == 0 && (at[length] == '|' || at[length] == '\0'))
            return length > 0;
    }
    return false;
}

void hr_flag_check(const struct hr_flag *flag, const char *value, char wrong[160])
{
    int64_t count;
    uint64_t bytes;
    double real;
    wrong[0] = '\0';
    switch (flag->kind) {
    case HR_FLAG_COUNT:
        if (hr_parse_i64(value, &count) != HR_OK || count < flag->least || count > flag->most)
            snprintf(wrong, 160, "a whole number from %lld to %lld is wanted",
                     (long long)flag->least, (long long)flag->most);
        break;
    case HR_FLAG_BYTES:
        if (hr_parse_bytes(value, &bytes) != HR_OK)
            snprintf(wrong, 160, "a size like 4096, 64K, 10M or 2G is wanted");
        break;
    case HR_FLAG_REAL:
        if (hr_parse_f64(value, &real) != HR_OK)
            snprintf(wrong, 160, "a number is wanted");
        else if (flag->most && !(real >= (double)flag->least && real <= (double)flag->most))
            snprintf(wrong, 160, "a number from %lld to %lld is wanted", (long long)flag->least,
                     (long long)flag->most);
        break;
    case HR_FLAG_CHOICE:
        if (!is_choice(flag->value, value))
            snprintf(wrong, 160, "one of %s is wanted", flag->value);
        break;
    case HR_FLAG_SWITCH:
    case HR_FLAG_TEXT:
    case HR_FLAG_FILE:
    case HR_FLAG_FOLDER:
    case HR_FLAG_MODEL:
    case HR_FLAG_WEIGHTS:
    case HR_FLAG_COMMAND:
    case HR_FLAG_SETTING:
        break;
    }
}

static int set_value(struct hr_args *args, size_t index, const char *value, enum hr_rank rank,
                     const char *source)
{
    char wrong[160];
    hr_flag_check(args->flags[index], value, wrong);
    if (wrong[0])
        return hr_usage_error(args->command->name, "%s%s is '%s': %s", source,
                              args->flags[index]->name, value, wrong);
    args->values[index] = value;
    args->ranks[index] = rank;
    return -1;
}

static int add_setting(struct hr_args *args, const char *setting)
{
    if (args->setting_count == HR_MAX_SETTINGS)
        return hr_usage_error(args->command->name, "more than %d settings", HR_MAX_SETTINGS);
    args->settings[args->setting_count++] = setting;
    return -1;
}

/* HRNET_MAX_PIXELS of --max-pixels. */
static void environment_name(char out[64], const char *flag)
{
    size_t at = (size_t)snprintf(out, 64, "HRNET_%s", flag);
    for (at = 6; out[at]; at++)
        out[at] = out[at] == '-' ? '_' : (char)toupper((unsigned char)out[at]);
}

static int read_environment(struct hr_args *args)
{
    for (size_t i = 0; i < args->flag_count; i++) {
        char name[64], source[128];
        environment_name(name, args->flags[i]->name);
        const char *value = getenv(name);
        if (args->values[i] || !value || !value[0] || args->flags[i] == &help_flag ||
            args->flags[i]->kind == HR_FLAG_SETTING)
            continue;
        if (args->flags[i]->kind == HR_FLAG_SWITCH && strcmp(value, "0") == 0)
            continue;
        snprintf(source, sizeof source, "%s (of the environment) for --", name);
        const int code = set_value(args, i, value, HR_RANK_ENVIRONMENT, source);
        if (code >= 0)
            return code;
    }
    return -1;
}

static int unknown_flag(const struct hr_args *args, const char *given)
{
    const char *names[HR_MAX_FLAGS];
    char name[64];
    for (size_t i = 0; i < args->flag_count; i++)
        names[i] = args->flags[i]->name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    const char *near = hr_nearest_name(name[0] == '-' ? name + 2 : name, names, args->flag_count);
    return near ? hr_usage_error(args->command->name, "flag '%s' is not known: did you mean --%s?",
                                 name, near)
                : hr_usage_error(args->command->name, "flag '%s' is not known", name);
}

/* getopt's tables: index i of args->flags comes back as 256 + i. */
static void make_options(const struct hr_args *args, struct option *options, char *letters)
{
    *letters++ = ':';
    for (size_t i = 0; i < args->flag_count; i++) {
        const struct hr_flag *f = args->flags[i];
        const bool takes = f->kind != HR_FLAG_SWITCH;
        options[i] =
            (struct option){ f->name, takes ? required_argument : no_argument, NULL, 256 + (int)i };
        if (f->letter) {
            *letters++ = f->letter;
            if (takes)
                *letters++ = ':';
        }
    }
    options[args->flag_count] = (struct option){ 0 };
    *letters = '\0';
}

static size_t flag_of(const struct hr_args *args, int code)
{
    if (code >= 256)
        return (size_t)(code - 256);
    for (size_t i = 0; i < args->flag_count; i++)
        if (args->flags[i]->letter == code)
            return i;
    return args->flag_count;
}

static int read_line(struct hr_args *args, int argc, char **argv)
{
    struct option options[HR_MAX_FLAGS + 1];
    char letters[2 * HR_MAX_FLAGS + 2];
    make_options(args, options, letters);
    opterr = 0;
    optind = 1;
    for (;;) {
        const int code = getopt_long(argc, argv, letters, options, NULL);
        if (code == -1)
            break;
        if (code == '?') /* a letter, perhaps among others; else the word just read */
            return unknown_flag(args, optopt > 0 && optopt < 256 ? (char[]){ '-', (char)optopt, 0 }
                                                                 : argv[optind - 1]);
        if (code == ':')
            return hr_usage_error(args->command->name, "flag '%s' needs a value", argv[optind - 1]);
        size_t i = flag_of(args, code);
        if (code == 'o' && optarg && strchr(optarg, '=') &&
            find_flag(args, "override") < args->flag_count)
            i = find_flag(args, "override");
        const int result = args->flags[i]->kind == HR_FLAG_SETTING
                               ? add_setting(args, optarg)
                               : set_value(args, i, optarg ? optarg : "1", HR_RANK_LINE, "--");
        if (result >= 0)
            return result;
    }
    args->operands = (const char *const *)argv + optind;
    args->operand_count = argc - optind;
    return -1;
}

int hr_args_parse(struct hr_args *args, const struct hr_command *command, int argc, char **argv)
{
    *args = (struct hr_args){ .command = command };
    args->flag_count = hr_command_flags(command, args->flags);
    int code = read_line(args, argc, argv);
    if (code < 0 && hr_arg_switch(args, "help")) {
        hr_help_print(command, stdout);
        return 0;
    }
    if (code < 0)
        code = read_environment(args);
    if (code < 0)
        code = hr_args_configure(args);
    if (code >= 0)
        return code;
    for (size_t i = 0; i < args->flag_count; i++)
        if (!args->values[i] && !args->origins[i]) {
            args->values[i] = args->flags[i]->initial;
            args->ranks[i] = HR_RANK_DEFAULT;
        }
    if (args->operand_count < command->least_operands)
        return hr_usage_error(command->name, "%s needs %s", command->name, command->operands);
    if (command->most_operands >= 0 && args->operand_count > command->most_operands)
        return hr_usage_error(command->name, "%s takes %s, not also '%s'", command->name,
                              command->operands[0] ? command->operands : "no operands",
                              args->operands[command->most_operands]);
    return -1;
}

void hr_args_fini(struct hr_args *args)
{
    hr_arena_fini(&args->arena);
}

void hr_args_print(const struct hr_args *args, FILE *out)
{
    static const char *const ranks[] = { [HR_RANK_LINE] = "command line",
                                         [HR_RANK_ENVIRONMENT] = "environment",
                                         [HR_RANK_DEFAULT] = "default" };
    if (args->operand_count > 0)
        fprintf(out, "%-17s %-30s # %s\n", "PICTURES", args->operands[0],
                args->operands == &args->pictures ? args->pictures_origin : "command line");
    for (size_t i = 0; i + 1 < args->flag_count; i++) {
        const struct hr_flag *const f = args->flags[i];
        const char *const value = args->values[i];
        const bool on = f->kind == HR_FLAG_SWITCH;
        if (f->kind != HR_FLAG_SETTING && strcmp(f->name, "print-config") != 0)
            fprintf(out, "%-17s %-30s # %s\n", f->name,
                    on      ? value ? "yes" : "no"
                    : value ? value
                            : "-",
                    args->origins[i] ? args->origins[i] : ranks[args->ranks[i]]);
    }
}

const char *hr_arg_text(const struct hr_args *args, const char *flag)
{
    const size_t i = find_flag(args, flag);
    return i < args->flag_count ? args->values[i] : NULL;
}

bool hr_arg_switch(const struct hr_args *args, const char *flag)
{
    return hr_arg_text(args, flag) != NULL;
}

int64_t hr_arg_count(const struct hr_args *args, const char *flag)
{
    int64_t value = 0;
    const char *text = hr_arg_text(args, flag);
    return text && hr_parse_i64(text, &value) == HR_OK ? value : 0;
}

uint64_t hr_arg_bytes(const struct hr_args *args, const char *flag)
{
    uint64_t value = 0;
    const char *text = hr_arg_text(args, flag);
    return text && hr_parse_bytes(text, &value) == HR_OK ? value : 0;
}

double hr_arg_real(const struct hr_args *args, const char *flag)
{
    double value = 0;
    const char *text = hr_arg_text(args, flag);
    return text && hr_parse_f64(text, &value) == HR_OK ? value : 0;
}
