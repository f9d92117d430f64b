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
    if (c->examples) {
        fputs("Examples:\n", out);
        print_examples(c->examples, "  ", out);
        fputc('\n', out);
    }
    fprintf(out, "Usage: hrnet %s [flags]%s%s\n\nFlags:\n", c->name, c->operands[0] ? " " : "",
            c->operands);
    for (size_t i = 0; i < count; i++)
        flag_help(flags[i], out);
    fputs(
        "\nEach flag can be set in the environment too: --max-pixels is HRNET_MAX_PIXELS.\n"
        "Exit status: 0 done, 1 some inputs failed, 2 usage, 3 bad model or file, 4 input, output "
        "or network, 130 interrupted.\n",
        out);
}

/* roff wants a few characters escaped. */
static void roff(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '-')
            fputc('\\', out);
        fputc(*text, out);
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

void hr_man_print(const struct hr_command *c, FILE *out)
{
    const struct hr_flag *flags[HR_MAX_FLAGS];
    const size_t count = hr_command_flags(c, flags);
    fprintf(out, ".TH HRNET\\-%s 1 \"\" \"hrnet %s\"\n.SH NAME\nhrnet\\-%s \\- ", c->name,
            hrnet_version(), c->name);
    roff(c->summary, out);
    fprintf(out, "\n.SH SYNOPSIS\n.B hrnet %s\n[flags] ", c->name);
    roff(c->operands, out);
    if (c->examples) {
        fputs("\n.SH EXAMPLES\n.nf\n", out);
        for (const char *at = c->examples; *at;) {
            char line[200];
            const size_t length = strcspn(at, "\n");
            snprintf(line, sizeof line, "%.*s", (int)length, at);
            roff(line, out);
            fputc('\n', out);
            at += length + (at[length] == '\n');
        }
        fputs(".fi", out);
    }
    fputs("\n.SH FLAGS\n", out);
    for (size_t i = 0; i < count; i++)
        man_flag(flags[i], out);
    fputs(".SH ENVIRONMENT\nEach flag can be set as HRNET_ and its name in capitals, with "
          "underscores.\n.SH EXIT STATUS\n0 done, 1 some inputs failed, 2 usage, 3 bad model or "
          "file, 4 input, output or network, 130 interrupted.\n.SH SEE ALSO\n.BR hrnet (1)\n",
          out);
}
