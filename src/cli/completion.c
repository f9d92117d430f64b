/* SPDX-License-Identifier: Apache-2.0
 * Completion scripts out of the command and flag tables: commands, flags, and what each flag or
 * operand takes: words, names of the zoo, folders, files. */
#include "cli/completion.h"

#include <string.h>

#include "hrnet/hrnet.h"

struct table {
    const struct hr_command *const *commands;
    size_t count;
};

/* ---- Words, parted by blanks ---- */

static void print_choices(const char *choices)
{
    for (; *choices; choices++)
        putchar(*choices == '|' ? ' ' : *choices);
}

static void print_weights(void)
{
    struct hrnet_zoo_entry entry;
    for (size_t i = 0; i < hrnet_zoo_weights_count(); i++)
        if (hrnet_zoo_weights(i, &entry) == HRNET_OK)
            printf("%s%s", i ? " " : "", entry.name);
}

static void print_models(void)
{
    struct hrnet_zoo_entry entry, named;
    print_weights();
    for (size_t i = 0; i < hrnet_zoo_architecture_count(); i++)
        if (hrnet_zoo_architecture(i, &entry) == HRNET_OK &&
            hrnet_zoo_find(entry.name, &named) == HRNET_OK && !named.url)
            printf(" %s", entry.name);
}

static void print_commands(const struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        printf("%s%s", i ? " " : "", t->commands[i]->name);
}

/* How a shell says what a value may be: with `after` there are words between the two. */
struct form {
    const char *before, *after;
};

static void print_value(const struct table *t, const struct form *forms, enum hr_flag_kind kind,
                        const char *choices)
{
    fputs(forms[kind].before, stdout);
    if (!forms[kind].after)
        return;
    if (kind == HR_FLAG_CHOICE)
        print_choices(choices);
    else if (kind == HR_FLAG_COMMAND)
        print_commands(t);
    else if (kind == HR_FLAG_WEIGHTS)
        print_weights();
    else if (kind == HR_FLAG_MODEL)
        print_models();
    fputs(forms[kind].after, stdout);
}

/* ---- bash ---- */

/* `what` is one of the branches at the end of the script. */
static const struct form bash_forms[] = {
    [HR_FLAG_SWITCH] = { "words=", NULL },       [HR_FLAG_TEXT] = { "words=", NULL },
    [HR_FLAG_COUNT] = { "words=", NULL },        [HR_FLAG_BYTES] = { "words=", NULL },
    [HR_FLAG_REAL] = { "words=", NULL },         [HR_FLAG_FILE] = { "what=files", NULL },
    [HR_FLAG_FOLDER] = { "what=folders", NULL }, [HR_FLAG_CHOICE] = { "words='", "'" },
    [HR_FLAG_WEIGHTS] = { "words='", "'" },      [HR_FLAG_COMMAND] = { "words='", "'" },
    [HR_FLAG_SETTING] = { "words=", NULL },      [HR_FLAG_MODEL] = { "what=files words='", "'" },
};

static void bash_command(const struct table *t, const struct hr_command *command)
{
    const struct hr_flag *flags[HR_MAX_FLAGS];
    const size_t count = hr_command_flags(command, flags);
    printf("  %s) flags='", command->name);
    for (size_t i = 0; i < count; i++)
        printf("%s--%s", i ? " " : "", flags[i]->name);
    puts("'\n    case $before in");
    for (size_t i = 0; i < count; i++) {
        if (flags[i]->kind == HR_FLAG_SWITCH)
            continue;
        printf("    --%s", flags[i]->name);
        if (flags[i]->letter)
            printf("|-%c", flags[i]->letter);
        fputs(") ", stdout);
        print_value(t, bash_forms, flags[i]->kind, flags[i]->value);
        puts(" ;;");
    }
    fputs("    *) ", stdout);
    print_value(t, bash_forms, command->takes, command->operands);
    puts("; operand=1 ;;\n    esac ;;");
}

static void bash(const struct table *t)
{
    fputs("_hrnet() {\n"
          "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
          "  local words= flags= what= operand= found\n"
          "  if [ \"$before\" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
          "  if [ \"$word\" = = ]; then word=; fi\n"
          "  if [ \"$COMP_CWORD\" = 1 ]; then words='",
          stdout);
    print_commands(t);
    puts(" --help --version'; else\n  case ${COMP_WORDS[1]} in");
    for (size_t i = 0; i < t->count; i++)
        bash_command(t, t->commands[i]);
    /* Where nothing is offered, readline's own completion of files takes over: it knows quotes,
     * blanks and the tilde. */
    puts("  esac; fi\n"
         "  if [ -n \"$operand\" ] && [ \"${word#-}\" != \"$word\" ]; then words=$flags what=; fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
         "  case $what in\n"
         "  files)\n"
         "    if [ \"${#COMPREPLY[@]}\" != 0 ]; then\n"
         "      mapfile -t found < <(compgen -f -- \"$word\")\n"
         "      COMPREPLY+=(\"${found[@]}\"); compopt -o filenames\n"
         "    fi ;;\n"
         "  folders) compopt +o default -o dirnames ;;\n"
         "  *) compopt +o default ;;\n"
         "  esac\n"
         "}\n"
         "complete -o default -F _hrnet hrnet");
}

/* ---- zsh ---- */

/* Inside '...' and, as a description, inside [...]. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text == '[' ? '(' : *text == ']' ? ')' : *text);
    }
}

static const struct form zsh_forms[] = {
    [HR_FLAG_SWITCH] = { "", NULL },
    [HR_FLAG_TEXT] = { ":value: ", NULL },
    [HR_FLAG_COUNT] = { ":number: ", NULL },
    [HR_FLAG_BYTES] = { ":size: ", NULL },
    [HR_FLAG_REAL] = { ":number: ", NULL },
    [HR_FLAG_CHOICE] = { ":word:(", ")" },
    [HR_FLAG_FILE] = { ":file:_files", NULL },
    [HR_FLAG_FOLDER] = { ":folder:_files -/", NULL },
    [HR_FLAG_MODEL] = { ":model:_hrnet_models", NULL },
    [HR_FLAG_WEIGHTS] = { ":weights:(", ")" },
    [HR_FLAG_COMMAND] = { ":command:(", ")" },
    [HR_FLAG_SETTING] = { ":setting: ", NULL },
};

static void zsh_command(const struct table *t, const struct hr_command *command)
{
    const struct hr_flag *flags[HR_MAX_FLAGS];
    const size_t count = hr_command_flags(command, flags);
    printf("  %s) _arguments", command->name);
    for (size_t i = 0; i < count; i++) {
        const struct hr_flag *f = flags[i];
        if (f->letter)
            printf(" '(-%c --%s)'{-%c,--%s}'[", f->letter, f->name, f->letter, f->name);
        else
            printf(" '--%s[", f->name);
        zsh_text(f->help);
        putchar(']');
        if (f->kind != HR_FLAG_SWITCH)
            print_value(t, zsh_forms, f->kind, f->value);
        putchar('\'');
    }
    if (command->takes != HR_FLAG_SWITCH) {
        fputs(" '*", stdout);
        print_value(t, zsh_forms, command->takes, command->operands);
        putchar('\'');
    }
    puts(" ;;");
}

static void zsh(const struct table *t)
{
    fputs("#compdef hrnet\n_hrnet_models() {\n  _alternative 'names:model:(", stdout);
    print_models();
    puts(")' 'files:file:_files'\n}\n_hrnet() {\n  if (( CURRENT == 2 )); then\n"
         "    local -a commands=(");
    for (size_t i = 0; i < t->count; i++) {
        printf("      '%s:", t->commands[i]->name);
        zsh_text(t->commands[i]->summary);
        puts("'");
    }
    puts("    )\n    _describe command commands\n    return\n  fi\n"
         "  shift words; (( CURRENT-- ))\n  case $words[1] in");
    for (size_t i = 0; i < t->count; i++)
        zsh_command(t, t->commands[i]);
    /* As a file of $fpath it is the function's body; sourced, it announces itself. */
    puts("  esac\n}\n"
         "if [ \"$funcstack[1]\" = _hrnet ]; then _hrnet \"$@\"; else compdef _hrnet hrnet; fi");
}

/* ---- fish ---- */

static void fish_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
}

static const struct form fish_forms[] = {
    [HR_FLAG_SWITCH] = { " -f", NULL },
    [HR_FLAG_TEXT] = { " -f", NULL },
    [HR_FLAG_COUNT] = { " -f", NULL },
    [HR_FLAG_BYTES] = { " -f", NULL },
    [HR_FLAG_REAL] = { " -f", NULL },
    [HR_FLAG_CHOICE] = { " -f -a '", "'" },
    [HR_FLAG_FILE] = { " -F", NULL },
    [HR_FLAG_FOLDER] = { " -f -a '(__fish_complete_directories)'", NULL },
    [HR_FLAG_MODEL] = { " -F -a '", "'" },
    [HR_FLAG_WEIGHTS] = { " -f -a '", "'" },
    [HR_FLAG_COMMAND] = { " -f -a '", "'" },
    [HR_FLAG_SETTING] = { " -f", NULL },
};

static void fish(const struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct hr_command *command = t->commands[i];
        const struct hr_flag *flags[HR_MAX_FLAGS];
        const size_t count = hr_command_flags(command, flags);
        printf("complete -c hrnet -n __fish_use_subcommand -f -a %s -d '", command->name);
        fish_text(command->summary);
        printf("'\ncomplete -c hrnet -n '__fish_seen_subcommand_from %s'", command->name);
        print_value(t, fish_forms, command->takes, command->operands);
        putchar('\n');
        for (size_t f = 0; f < count; f++) {
            printf("complete -c hrnet -n '__fish_seen_subcommand_from %s' -l %s", command->name,
                   flags[f]->name);
            if (flags[f]->letter)
                printf(" -s %c", flags[f]->letter);
            if (flags[f]->kind != HR_FLAG_SWITCH) {
                fputs(" -r", stdout);
                print_value(t, fish_forms, flags[f]->kind, flags[f]->value);
            }
            fputs(" -d '", stdout);
            fish_text(flags[f]->help);
            puts("'");
        }
    }
}

int hr_completion_print(const char *shell, const struct hr_command *const *commands, size_t count)
{
    const struct table t = { commands, count };
    if (strcmp(shell, "bash") == 0)
        bash(&t);
    else if (strcmp(shell, "zsh") == 0)
        zsh(&t);
    else if (strcmp(shell, "fish") == 0)
        fish(&t);
    else
        return hr_usage_error("completion", "shell '%s' is not known: bash, zsh or fish", shell);
    return 0;
}
