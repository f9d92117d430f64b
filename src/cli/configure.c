/* SPDX-License-Identifier: Apache-2.0
 * From a configuration to flags.  Knows flags and ranks, no key of any file. */
#include "cli/configure.h"

#include <string.h>

#include "base/os.h"
#include "cli/config.h"
#include "cli/config_keys.h"
#include "cli/yaml.h"
#include "hrnet/hrnet.h"

#define CONFIG_FLAGS(letter)                                                          \
    { "config", 'c', HR_FLAG_FILE, "FILE", NULL, 0, 0, "a YAML file of PaddleClas" }, \
        { "override",                                                                 \
          letter,                                                                     \
          HR_FLAG_SETTING,                                                            \
          "KEY=VALUE",                                                                \
          NULL,                                                                       \
          0,                                                                          \
          0,                                                                          \
          "-o KEY=VALUE changes the file's Key.Sub.0; any number of times" },         \
        { "print-config",                                                             \
          0,                                                                          \
          HR_FLAG_SWITCH,                                                             \
          NULL,                                                                       \
          NULL,                                                                       \
          0,                                                                          \
          0,                                                                          \
          "print every setting with its value and where it comes from, and end" },    \
    {                                                                                 \
        0                                                                             \
    }

const struct hr_flag hr_config_flags[] = { CONFIG_FLAGS('o') };
const struct hr_flag hr_config_flags_without_letter[] = { CONFIG_FLAGS(0) };

/* Of text "True" or "1" to "1"; off is NULL. */
static enum hr_status take_switch(const char **text, const char *flag, const char *origin)
{
    const bool on = strcmp(*text, "1") == 0 || strcmp(*text, "True") == 0;
    if (!on && strcmp(*text, "0") != 0 && strcmp(*text, "False") != 0)
        return hr_fail(HR_E_FORMAT, "%s: '%.80s' is no --%s: True or False is wanted", origin,
                       *text, flag);
    *text = on ? "1" : NULL;
    return HR_OK;
}

static enum hr_status give(void *context, const char *flag, const char *text,
                           const struct hr_value *from)
{
    struct hr_args *const args = context;
    const enum hr_rank rank = from->line ? HR_RANK_FILE : HR_RANK_SETTING;
    const char *const origin = hr_config_origin(&args->arena, from);
    size_t i = 0;
    if (!origin)
        return HR_E_MEMORY;
    if (strcmp(flag, HR_CONFIG_PICTURES) == 0) {
        args->pictures = text;
        args->pictures_origin = origin;
        return HR_OK;
    }
    while (i < args->flag_count && strcmp(args->flags[i]->name, flag) != 0)
        i++;
    if (i == args->flag_count)
        return hr_fail(HR_E_UNSUPPORTED, "%s: hrnet %s has no --%s", origin, args->command->name,
                       flag);
    if (args->values[i] && args->ranks[i] < rank)
        return HR_OK;
    char wrong[160] = "";
    if (args->flags[i]->kind == HR_FLAG_SWITCH)
        HR_TRY(take_switch(&text, flag, origin));
    else
        hr_flag_check(args->flags[i], text, wrong);
    if (wrong[0])
        return hr_fail(HR_E_FORMAT, "%s: '%.80s' is no --%s: %s", origin, text, flag, wrong);
    args->values[i] = text;
    args->ranks[i] = rank;
    args->origins[i] = origin;
    return HR_OK;
}

static void tell(void *context, const struct hr_value *from, const char *message)
{
    struct hr_args *const args = context;
    const char *const origin = hr_config_origin(&args->arena, from);
    fprintf(stderr, "hrnet: %s: %s\n", origin ? origin : "", message ? message : "");
}

static enum hr_status read_file(struct hr_args *args, const char *path)
{
    const struct hr_config_sink sink = {
        .give = give,
        .tell = tell,
        .context = args,
        .arena = &args->arena,
        .evaluates = strcmp(args->command->name, "eval") == 0,
    };
    uint8_t *data = NULL;
    size_t size = 0;
    HR_TRY(hr_file_read(path, HR_YAML_BYTES, &data, &size));
    const enum hr_status status =
        hr_config_read(&sink, data, size, path, args->settings, args->setting_count);
    hr_mem_free(data);
    return status;
}

int hr_args_configure(struct hr_args *args)
{
    const char *const path = hr_arg_text(args, "config");
    if (!path && args->setting_count > 0)
        return hr_usage_error(args->command->name,
                              "-o %s changes a configuration: name one with --config",
                              args->settings[0]);
    if (!path)
        return -1;
    const enum hr_status status = read_file(args, path);
    if (status != HR_OK)
        return hr_report((int)status);
    if (args->operand_count == 0 && args->pictures) {
        args->operands = &args->pictures;
        args->operand_count = 1;
    }
    return -1;
}
