/* SPDX-License-Identifier: Apache-2.0
 * Completion scripts: commands first, then the command's flags, file names everywhere else. */
#include "cli/completion.h"

#include <string.h>

static void flag_words(const struct hr_command *command, FILE *out)
{
    const struct hr_flag *flags[HR_MAX_FLAGS];
    const size_t count = hr_command_flags(command, flags);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s--%s", i ? " " : "", flags[i]->name);
}

static void bash(const struct hr_command *const *commands, size_t count)
{
    puts("_hrnet() {\n  local word=${COMP_WORDS[COMP_CWORD]} words=");
    fputs("  if [ \"$COMP_CWORD\" = 1 ]; then words=\"", stdout);
    for (size_t i = 0; i < count; i++)
        printf("%s%s", i ? " " : "", commands[i]->name);
    puts("\"\n  else case ${COMP_WORDS[1]} in");
    for (size_t i = 0; i < count; i++) {
        printf("    %s) words=\"", commands[i]->name);
        flag_words(commands[i], stdout);
        puts("\" ;;");
    }
    puts("  esac; fi\n"
         "  if [ \"$COMP_CWORD\" = 1 ] || [ \"${word#-}\" != \"$word\" ]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "  else\n    COMPREPLY=($(compgen -f -- \"$word\"))\n  fi\n}\n"
         "complete -o filenames -F _hrnet hrnet");
}

static void quoted(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text == '[' ? '(' : *text == ']' ? ')' : *text);
    }
}

static void zsh(const struct hr_command *const *commands, size_t count)
{
    puts("#compdef hrnet\n_hrnet() {\n  if (( CURRENT == 2 )); then\n    local -a commands=(");
    for (size_t i = 0; i < count; i++) {
        printf("      '%s:", commands[i]->name);
        quoted(commands[i]->summary);
        puts("'");
    }
    puts("    )\n    _describe command commands\n    return\n  fi\n  case $words[2] in");
    for (size_t i = 0; i < count; i++) {
        const struct hr_flag *flags[HR_MAX_FLAGS];
        const size_t flag_count = hr_command_flags(commands[i], flags);
        printf("    %s) _arguments", commands[i]->name);
        for (size_t f = 0; f < flag_count; f++) {
            printf(" '--%s[", flags[f]->name);
            quoted(flags[f]->help);
            printf("]%s'", flags[f]->kind == HR_FLAG_SWITCH ? "" : ":value:_files");
        }
        puts(" '*:file:_files' ;;");
    }
    puts("  esac\n}\n_hrnet \"$@\"");
}

static void fish(const struct hr_command *const *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct hr_flag *flags[HR_MAX_FLAGS];
        const size_t flag_count = hr_command_flags(commands[i], flags);
        printf("complete -c hrnet -n __fish_use_subcommand -f -a %s -d '", commands[i]->name);
        quoted(commands[i]->summary);
        puts("'");
        for (size_t f = 0; f < flag_count; f++) {
            printf("complete -c hrnet -n '__fish_seen_subcommand_from %s' -l %s%s -d '",
                   commands[i]->name, flags[f]->name,
                   flags[f]->kind == HR_FLAG_SWITCH ? "" : " -r");
            quoted(flags[f]->help);
            puts("'");
        }
    }
}

int hr_completion_print(const char *shell, const struct hr_command *const *commands, size_t count)
{
    if (strcmp(shell, "bash") == 0)
        bash(commands, count);
    else if (strcmp(shell, "zsh") == 0)
        zsh(commands, count);
    else if (strcmp(shell, "fish") == 0)
        fish(commands, count);
    else
        return hr_usage_error("completion", "shell '%s' is not known: bash, zsh or fish", shell);
    return 0;
}
