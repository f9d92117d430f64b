/* SPDX-License-Identifier: Apache-2.0
 * The hrnet program: finds the command, hands over.  Results go to stdout, all else to stderr. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/os.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/setup.h"
#include "hrnet/hrnet.h"

static const struct hr_command hr_command_help, hr_command_version, hr_command_completion;

static const struct hr_command *const commands[] = {
    &hr_command_predict, &hr_command_run,        &hr_command_preprocess, &hr_command_info,
    &hr_command_verify,  &hr_command_models,     &hr_command_convert,    &hr_command_export,
    &hr_command_diff,    &hr_command_explain,    &hr_command_features,   &hr_command_pull,
    &hr_command_check,   &hr_command_augment,    &hr_command_train,      &hr_command_eval,
    &hr_command_plan,    &hr_command_bench,      &hr_command_tune,       &hr_command_serve,
    &hr_command_client,  &hr_command_completion, &hr_command_help,       &hr_command_version,
};

static void overview(FILE *out)
{
    fputs("hrnet: High-Resolution Networks for image classification\n\nExamples:\n"
          "  hrnet pull HRNet_W18_C_ssld                      # fetch published weights\n"
          "  hrnet predict cat.jpg                            # classify a picture with them\n"
          "  hrnet predict photos/ -m w18.pdparams --format csv > out.csv\n"
          "  hrnet bench HRNet_W48_C --layers                 # how fast is it here?\n\n"
          "Usage: hrnet COMMAND [flags] [operands]\n\nCommands:\n",
          out);
    for (size_t i = 0; i < HR_COUNT(commands); i++)
        fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n`hrnet help COMMAND` or `hrnet COMMAND --help` tells more.\n", out);
}

static const struct hr_command *find_command(const char *name)
{
    for (size_t i = 0; i < HR_COUNT(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[HR_COUNT(commands)];
    for (size_t i = 0; i < HR_COUNT(commands); i++)
        names[i] = commands[i]->name;
    const char *near = hr_nearest_name(name, names, HR_COUNT(names));
    return near ? hr_usage_error(NULL, "command '%s' is not known: did you mean %s?", name, near)
                : hr_usage_error(NULL, "command '%s' is not known", name);
}

/* ---- help, version, completion ---- */

static enum hr_status write_man(const char *folder, const struct hr_command *command)
{
    struct hr_text path = { 0 };
    struct hr_replace page = { 0 };
    hr_text_printf(&path, command ? "%s/hrnet-%s.1" : "%s/hrnet.1", folder,
                   command ? command->name : "");
    enum hr_status status = path.status;
    if (status == HR_OK)
        status = hr_replace_begin(&page, path.data);
    if (status == HR_OK) {
        if (command)
            hr_man_print(command, page.file);
        else
            hr_man_overview(commands, HR_COUNT(commands), page.file);
        status = hr_replace_commit(&page);
    }
    hr_text_fini(&path);
    return status;
}

static int write_man_pages(const char *folder)
{
    enum hr_status status = hr_os_make_folders(folder);
    if (status == HR_OK)
        status = write_man(folder, NULL);
    for (size_t i = 0; i < HR_COUNT(commands) && status == HR_OK; i++)
        status = write_man(folder, commands[i]);
    return status == HR_OK ? 0 : hr_report((int)status);
}

static int help(const struct hr_args *args)
{
    const char *folder = hr_arg_text(args, "man");
    if (folder)
        return write_man_pages(folder);
    if (args->operand_count == 0) {
        overview(stdout);
        return 0;
    }
    const struct hr_command *command = find_command(args->operands[0]);
    if (!command)
        return unknown_command(args->operands[0]);
    hr_help_print(command, stdout);
    return 0;
}

static int version(const struct hr_args *args)
{
    (void)args;
    printf("%s\n%s, %s, %u threads\n", hrnet_build_info(), hrnet_cpu_name(), hrnet_cpu_isa(),
           hrnet_cpu_count());
    return 0;
}

static int completion(const struct hr_args *args)
{
    return hr_completion_print(args->operands[0], commands, HR_COUNT(commands));
}

static const struct hr_flag help_flags[] = {
    { "man", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0, "write manual pages into FOLDER" },
    { 0 },
};
static const struct hr_flag *const help_groups[] = { help_flags, NULL };

static const struct hr_command hr_command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .takes = HR_FLAG_COMMAND,
    .summary = "explain a command",
    .examples = "hrnet help predict\nhrnet help --man /tmp/man    # all of it as manual pages",
    .groups = help_groups,
    .most_operands = 1,
    .run = help,
};
static const struct hr_command hr_command_version = {
    .name = "version",
    .operands = "",
    .summary = "version, build and CPU",
    .examples = "hrnet version",
    .run = version,
};
static const struct hr_command hr_command_completion = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .takes = HR_FLAG_CHOICE,
    .summary = "print a completion script for a shell",
    .examples = "source <(hrnet completion bash)                            # in ~/.bashrc\n"
                "source <(hrnet completion zsh)                             # in ~/.zshrc\n"
                "hrnet completion fish > ~/.config/fish/completions/hrnet.fish",
    .least_operands = 1,
    .most_operands = 1,
    .run = completion,
};

int main(int argc, char **argv)
{
    struct hr_args args;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe shows as a write error */
    hr_setup_log();
    if (argc < 2) {
        overview(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        overview(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] += 2;
    const struct hr_command *command = find_command(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    int code = hr_args_parse(&args, command, argc - 1, argv + 1);
    if (code < 0)
        code = command->run(&args);
    hr_args_fini(&args);
    return hr_stdout_end(code);
}
