/* SPDX-License-Identifier: Apache-2.0
 * hrnet check-data: what is wrong with labelled pictures, before hours are lost on them. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/progress.h"
#include "hrnet/hrnet.h"

#define MOST_OF_A_KIND 20 /* findings of a kind that are printed as text; JSON has all */

static const struct hr_flag flags[] = {
    { "val", 0, HR_FLAG_FILE, "PATH", NULL, 0, 0, "the validation pictures" },
    { "root", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0,
      "of the paths in lists (else the list's folder)" },
    { "val-root", 0, HR_FLAG_FOLDER, "FOLDER", NULL, 0, 0, "the same for --val (else --root)" },
    { "classes", 0, HR_FLAG_COUNT, "N", "0", 0, 1 << 20, "labels must be below; 0: any" },
    { "quick", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "lists and names only: opens no picture" },
    { "strict", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "warnings make the exit code 3, too" },
    { "json", 0, HR_FLAG_SWITCH, NULL, NULL, 0, 0, "the report as JSON" },
    { "threads", 't', HR_FLAG_COUNT, "N", "0", 0, 1024, "that read pictures; 0: all CPUs" },
    { "progress", 0, HR_FLAG_CHOICE, "bar|plain|json|none", NULL, 0, 0, "progress on stderr" },
    { 0 },
};

struct check {
    struct hr_progress progress;
    json_t *findings; /* NULL: they are printed */
    const char *kind; /* of the last that was printed, and how many of it */
    uint64_t same, held;
};

static const char *const levels[] = { "note", "warning", "error" };

static void print_held(struct check *c)
{
    if (c->held > 0)
        printf("         and %llu more of these\n", (unsigned long long)c->held);
    c->held = 0;
}

static void take(void *context, const struct hrnet_finding *f)
{
    struct check *c = context;
    const char *const set = f->validation ? "val" : "train";
    if (c->findings) {
        json_array_append_new(c->findings,
                              json_pack("{s:s, s:s, s:s, s:s}", "level", levels[f->level], "kind",
                                        f->kind, "set", set, "message", f->message));
        return;
    }
    hr_progress_hide(&c->progress);
    c->same = c->kind && strcmp(c->kind, f->kind) == 0 ? c->same + 1 : 1;
    if (c->same == 1)
        print_held(c);
    c->kind = f->kind;
    if (c->same <= MOST_OF_A_KIND)
        printf("%-8s %s: %s\n", levels[f->level], set, f->message);
    else
        c->held++;
}

static int show(void *context, uint64_t done, uint64_t all)
{
    struct check *c = context;
    hr_progress_show(&c->progress, done, all);
    return hr_interrupted();
}

static void print_sets(const struct hrnet_inspection *in)
{
    static const char *const sets[] = { "train", "val" };
    for (int s = 0; s < 2; s++)
        if (s == 0 || in->pictures[s] + in->missing[s] > 0)
            printf("%s: %llu pictures, %llu missing, %llu unreadable\n", sets[s],
                   (unsigned long long)in->pictures[s], (unsigned long long)in->missing[s],
                   (unsigned long long)in->unreadable[s]);
}

static void print_classes(const struct hrnet_inspection *in)
{
    const char *name = in->names;
    printf("%8s %8s  class\n", "train", "val");
    for (uint64_t k = 0; k < in->classes; k++, name += strlen(name) + 1)
        printf("%8llu %8llu  %llu %s\n", (unsigned long long)in->counts[k],
               (unsigned long long)in->counts[in->classes + k], (unsigned long long)k, name);
}

static const char *verdict_of(const struct hrnet_inspection *in)
{
    return in->errors > 0 ? "errors" : in->warnings > 0 ? "warnings" : "good";
}

static void print_text(const struct hrnet_inspection *in)
{
    print_sets(in);
    print_classes(in);
    if (in->errors + in->warnings == 0)
        printf("good: nothing is wrong with the data\n");
    else
        printf("%s: %llu errors, %llu warnings%s\n", verdict_of(in), (unsigned long long)in->errors,
               (unsigned long long)in->warnings,
               in->errors > 0 ? ": the data should not be trained on as it is" : "");
}

static json_t *json_set(const struct hrnet_inspection *in, int s)
{
    return json_pack("{s:I, s:I, s:I}", "pictures", (json_int_t)in->pictures[s], "missing",
                     (json_int_t)in->missing[s], "unreadable", (json_int_t)in->unreadable[s]);
}

static void print_json(const struct hrnet_inspection *in, json_t *findings)
{
    json_t *classes = json_array();
    const char *name = in->names;
    for (uint64_t k = 0; k < in->classes; k++, name += strlen(name) + 1)
        json_array_append_new(classes, json_pack("{s:I, s:s, s:I, s:I}", "label", (json_int_t)k,
                                                 "name", name, "train", (json_int_t)in->counts[k],
                                                 "val", (json_int_t)in->counts[in->classes + k]));
    json_t *all =
        json_pack("{s:i, s:s, s:I, s:I, s:b, s:o, s:o, s:o, s:O}", "schema", 1, "verdict",
                  verdict_of(in), "errors", (json_int_t)in->errors, "warnings",
                  (json_int_t)in->warnings, "several", in->several, "train", json_set(in, 0), "val",
                  json_set(in, 1), "classes", classes, "findings", findings);
    char *text = json_dumps(all, JSON_INDENT(1));
    printf("%s\n", text ? text : "{}");
    free(text);
    json_decref(all);
}

static int check(const struct hr_args *args)
{
    struct hrnet_inspect_options o;
    struct hrnet_inspection in = { .errors = 0 };
    struct check c = { .findings = hr_arg_switch(args, "json") ? json_array() : NULL };
    hrnet_inspect_options_init(&o, sizeof o);
    o.data = args->operands[0];
    o.validation = hr_arg_text(args, "val");
    o.root = hr_arg_text(args, "root");
    o.validation_root = hr_arg_text(args, "val-root");
    o.classes = (int)hr_arg_count(args, "classes");
    o.quick = hr_arg_switch(args, "quick");
    o.threads = (unsigned)hr_arg_count(args, "threads");
    o.fn = take;
    o.progress = show;
    o.context = &c;
    hr_interrupt_watch();
    hr_progress_start(&c.progress, hr_arg_text(args, "progress"), "check", "pictures");
    const hrnet_status status = hrnet_inspect(&o, &in);
    hr_progress_end(&c.progress);
    int code = status == HRNET_OK ? 0 : hr_report_input((int)status);
    if (status == HRNET_OK) {
        print_held(&c);
        if (c.findings)
            print_json(&in, c.findings);
        else
            print_text(&in);
        if (in.errors > 0 || (in.warnings > 0 && hr_arg_switch(args, "strict")))
            code = 1;
    }
    json_decref(c.findings);
    hrnet_free(in.counts);
    hrnet_free(in.names);
    return code;
}

static const struct hr_flag *const groups[] = { flags, NULL };

const struct hr_command hr_command_check = {
    .name = "check-data",
    .operands = "PICTURES",
    .takes = HR_FLAG_FOLDER,
    .summary = "look for what is wrong with labelled pictures",
    .examples = "hrnet check-data flowers/train --val flowers/val\n"
                "hrnet check-data train_list.txt --root images --classes 102 --json\n"
                "hrnet check-data train_list.txt --root images --quick",
    .groups = groups,
    .least_operands = 1,
    .most_operands = 1,
    .run = check,
};
