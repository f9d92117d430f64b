/* SPDX-License-Identifier: Apache-2.0
 * What the flag tables say to people: --help, manual pages. */
#include <string.h>

#include "cli/flags.h"
#include "hrnet/hrnet.h"

static void flag_left_side(char out[96], const struct hr_flag *f)
{
    size_t at = 0;
    at += (size_t)snprintf(out, 96, f->letter ? "-%c, " : "    ", f->letter);
    at += (size_t)snprintf(out + at, 96 - at, "--%s", f->name);
    if (f->kind != HR_FLAG_SWITCH)
        snprintf(out + at, 96 - at, " %s", f->kind == HR_FLAG_CHOICE ? "WORD" : f->value);
}

static void flag_help(const struct hr_flag *f, FILE *out)
{
    char left[96];
    flag_left_side(left, f);
    fprintf(out, "  %-26s  %s", left, f->help);
    if (f->kind == HR_FLAG_CHOICE)
        fprintf(out, ": %s", f->value);
    if (f->initial)
        fprintf(out, " (default %s)", f->initial);
    fputc('\n', out);
}

/* Lines "command  # comment". */
static void print_examples(const char *examples, const char *indent, FILE *out)
{
    for (const char *at = examples; *at;) {
        const size_t length = strcspn(at, "\n");
        fprintf(out, "%s%.*s\n", indent, (int)length, at);
        at += length + (at[length] == '\n');
    }
}

void hr_help_print(const struct hr_command *c, FILE *out)
{
    const struct hr_flag *flags[HR_MAX_FLAGS];
    const size_t count = hr_command_flags(c, flags);
    fprintf(out, "hrnet %s: %s\n\n", c->name, c->summary);
    fputs("Examples:\n", out);
    print_examples(c->examples, "  ", out);
    fprintf(out, "\nUsage: hrnet %s [flags]%s%s\n\nFlags:\n", c->name, c->operands[0] ? " " : "",
            c->operands);
    for (size_t i = 0; i < count; i++)
        flag_help(flags[i], out);
    fputs(
        "\nEach flag can be set in the environment too: --max-pixels is HRNET_MAX_PIXELS.\n"
        "Exit status: 0 done, 1 some inputs failed, 2 usage, 3 bad model or file, 4 input, output "
        "or network, 130 interrupted.\n",
        out);
}

/* As typed: roff would make typographic quotes and dashes of these. */
static void roff(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("\\(aq", out);
        else if (*text == '`')
            fputs("\\(ga", out);
        else if (*text == '|')
            fputs("|\\:", out); /* a long choice of words may break behind it */
        else
            fprintf(out, *text == '\\' || *text == '-' ? "\\%c" : "%c", *text);
    }
}

static void man_flag(const struct hr_flag *f, FILE *out)
{
    char left[96];
    flag_left_side(left, f);
    fputs(".TP\n.B ", out);
    roff(left + strspn(left, " "), out);
    fputc('\n', out);
    roff(f->help, out);
    if (f->kind == HR_FLAG_CHOICE) {
        fputs(": ", out);
        roff(f->value, out);
    }
    if (f->initial)
        fprintf(out, " (default %s)", f->initial);
    fputs(".\n", out);
}

/* Lines as they are; roff takes a leading dot or quote for an order. */
static void man_examples(const char *examples, FILE *out)
{
    fputs("\n.SH EXAMPLES\n.nf\n", out);
    for (const char *at = examples; *at;) {
        char line[200];
        const size_t length = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, at);
        fputs("\\&", out);
        roff(line, out);
        fputc('\n', out);
        at += length + (at[length] == '\n');
    }
    fputs(".fi", out);
}

/* The same in every page. */
static void man_end(FILE *out)
{
    fputs(".SH ENVIRONMENT\nEach flag can be set as HRNET_ and its name in capitals, with "
          "underscores: \\-\\-max\\-pixels is HRNET_MAX_PIXELS.  The command line wins.\n"
          ".SH EXIT STATUS\n0 done, 1 some inputs failed, 2 usage, 3 bad model or file, 4 input, "
          "output or network, 130 interrupted, 141 nobody reads standard output.\n",
          out);
}

void hr_man_print(const struct hr_command *c, FILE *out)
{
    const struct hr_flag *flags[HR_MAX_FLAGS];
    const size_t count = hr_command_flags(c, flags);
    fprintf(out, ".TH hrnet\\-%s 1 \"\" \"hrnet %s\"\n.SH NAME\nhrnet\\-%s \\- ", c->name,
            hrnet_version(), c->name);
    roff(c->summary, out);
    fprintf(out, "\n.SH SYNOPSIS\n.B hrnet %s\n[flags] ", c->name);
    roff(c->operands, out);
    man_examples(c->examples, out);
    fputs("\n.SH FLAGS\n", out);
    for (size_t i = 0; i < count; i++)
        man_flag(flags[i], out);
    man_end(out);
    fputs(".SH SEE ALSO\n.BR hrnet (1)\n", out);
}

void hr_man_overview(const struct hr_command *const *commands, size_t count, FILE *out)
{
    fprintf(out,
            ".TH hrnet 1 \"\" \"hrnet %s\"\n.SH NAME\nhrnet \\- classify pictures with "
            "High\\-Resolution Networks\n.SH SYNOPSIS\n.B hrnet\ncommand [flags] "
            "[operands]\n.SH COMMANDS\n",
            hrnet_version());
    for (size_t i = 0; i < count; i++)
        fprintf(out, ".TP\n.BR hrnet\\-%s (1)\n%s.\n", commands[i]->name, commands[i]->summary);
    man_end(out);
    fputs(".SH FILES\nFetched weights lie in $HRNET_CACHE, else in $XDG_CACHE_HOME/hrnet, else in "
          "$HOME/.cache/hrnet.\n",
          out);
}
