/* SPDX-License-Identifier: Apache-2.0
 * hrnet augment: a sheet of what training would make of pictures. */
#include <string.h>

#include "base/os.h"
#include "cli/commands.h"
#include "hrnet/hrnet.h"

static const struct hr_flag flags[] = {
    { "output", 'o', HR_FLAG_FILE, "FILE", "sheet.png", 0, 0, "where the sheet goes, as PNG" },
    { "augment", 0, HR_FLAG_TEXT, "STEPS", NULL, 0, 0,
      "as for train: randaugment:n=2,m=9;erasing:p=0.25" },
    { "vary", 0, HR_FLAG_TEXT, "NAME=VALUE,...", NULL, 0, 0,
      "a row for each value of this number of the steps, with the same draws: m=1,5,9" },
    { "size", 0, HR_FLAG_COUNT, "PX", "224", 1, 4096, "height and width of a sample" },
    { "rows", 0, HR_FLAG_COUNT, "N", "3", 1, 256, "of samples, without --vary" },
    { "columns", 0, HR_FLAG_COUNT, "N", "6", 1, 256,
      "samples a row; a batch, where batches are mixed" },
    { "whole", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "no random crops" },
    { "least-area", 0, HR_FLAG_REAL, "SHARE", "0.08", 0, 0, "of a random crop" },
    { "flip", 0, HR_FLAG_REAL, "CHANCE", "0.5", 0, 0, "of a picture to be mirrored" },
    { "seed", 0, HR_FLAG_COUNT, "N", "0", 0, INT64_MAX, "of everything random" },
    { "list", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "list the steps that --augment takes" },
    { 0 },
};

static int list_steps(void)
{
    char *const kinds = hrnet_augment_kinds();
    if (!kinds)
        return hr_report(HRNET_E_MEMORY);
    fputs(kinds, stdout);
    hrnet_free(kinds);
    return 0;
}

static int write_sheet(const char *path, const uint8_t *png, size_t size)
{
    struct hr_replace file = { 0 };
    enum hr_status status = hr_replace_begin(&file, path);
    if (status == HR_OK && fwrite(png, 1, size, file.file) != size)
        status = hr_fail(HR_E_IO, "%s: cannot be written", path);
    if (status == HR_OK)
        status = hr_replace_commit(&file);
    hr_replace_abort(&file);
    return status == HR_OK ? 0 : hr_report((int)status);
}

static int augment(const struct hr_args *args)
{
    struct hrnet_preview_options o;
    uint8_t *png = NULL;
    size_t size = 0;
    if (hr_arg_switch(args, "list"))
        return list_steps();
    if (args->operand_count == 0)
        return hr_usage_error("augment", "augment needs a PICTURE");
    hrnet_preview_options_init(&o, sizeof o);
    o.augment = hr_arg_text(args, "augment");
    o.vary = hr_arg_text(args, "vary");
    o.size = (int)hr_arg_count(args, "size");
    o.rows = (int)hr_arg_count(args, "rows");
    o.columns = (int)hr_arg_count(args, "columns");
    o.whole = hr_arg_switch(args, "whole");
    o.least_area = hr_arg_real(args, "least-area");
    o.flip = hr_arg_real(args, "flip");
    o.seed = (uint64_t)hr_arg_count(args, "seed");
    const hrnet_status status = hrnet_preview((const char *const *)args->operands,
                                              (size_t)args->operand_count, &o, &png, &size);
    const int code = status == HRNET_OK ? write_sheet(hr_arg_text(args, "output"), png, size)
                                        : hr_report_input((int)status);
    hrnet_free(png);
    return code;
}

static const struct hr_flag *const groups[] = { flags, NULL };

const struct hr_command hr_command_augment = {
    .name = "augment",
    .operands = "PICTURE...",
    .takes = HR_FLAG_FILE,
    .summary = "draw what training would make of pictures",
    .examples = "hrnet augment cat.jpg --augment 'timm:rand-m9-mstd0.5-inc1' -o sheet.png\n"
                "hrnet augment cat.jpg --augment randaugment --vary m=1,3,5,7,9 -o sheet.png\n"
                "hrnet augment cat.jpg dog.jpg --augment cutmix:alpha=1 -o sheet.png\n"
                "hrnet augment --list",
    .groups = groups,
    .least_operands = 0,
    .most_operands = -1,
    .run = augment,
};
