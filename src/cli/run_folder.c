/* SPDX-License-Identifier: Apache-2.0
 * Papers of a training run.  They tell, and decide nothing: a run goes on without them. */
#include "cli/run_folder.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/text.h"
#include "cli/chart.h"

#define COLUMNS 12                /* of epochs.csv */
#define MOST    ((size_t)1 << 30) /* bytes of it */

static enum hr_status path_of(char **out, const char *folder, const char *name)
{
    struct hr_text text = { 0 };
    hr_text_printf(&text, "%s/%s", folder, name);
    return hr_text_take(&text, out);
}

/* Takes the value. */
static enum hr_status write_json(const char *folder, const char *name, json_t *value)
{
    struct hr_replace file = { 0 };
    char *path = NULL;
    enum hr_status status = value ? path_of(&path, folder, name) : HR_E_MEMORY;
    if (status == HR_OK)
        status = hr_replace_begin(&file, path);
    if (status == HR_OK) {
        (void)json_dumpf(value, file.file,
                         JSON_INDENT(1) |
                             JSON_REAL_PRECISION(15)); /* commit sees the stream's errors */
        (void)fputc('\n', file.file);
        status = hr_replace_commit(&file);
    }
    hr_mem_free(path);
    json_decref(value);
    return status;
}

/* ---- Settings ---- */

static json_t *value_of(const struct hr_flag *flag, const char *text)
{
    int64_t count;
    double real;
    if (flag->kind == HR_FLAG_SWITCH)
        return json_boolean(text != NULL);
    if (!text)
        return json_null();
    if (flag->kind == HR_FLAG_COUNT && hr_parse_i64(text, &count) == HR_OK)
        return json_integer(count);
    if (flag->kind == HR_FLAG_REAL && hr_parse_f64(text, &real) == HR_OK && isfinite(real))
        return json_real(real);
    return json_string(text);
}

static json_t *config_of(const struct hr_args *args)
{
    json_t *const config = json_object();
    for (int i = 0; i < args->operand_count; i++)
        json_object_set_new(config, "pictures", json_string(args->operands[i]));
    for (size_t i = 0; i < args->flag_count; i++)
        if (strcmp(args->flags[i]->name, "help") != 0)
            json_object_set_new(config, args->flags[i]->name,
                                value_of(args->flags[i], args->values[i]));
    return config;
}

/* ---- Manifest ---- */

static void add_word(struct hr_text *line, const char *word)
{
    const bool plain = *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_-+=:,./@%") == strlen(word);
    hr_text_add(line, plain ? " " : " '");
    for (const char *c = word; *c; c++)
        hr_text_add_bytes(line, *c == '\'' ? "'\\''" : c, *c == '\'' ? 4 : 1);
    hr_text_add(line, plain ? "" : "'");
}

/* The line that does the same: all that is not the default, wherever it came from. */
static json_t *command_of(const struct hr_args *args)
{
    struct hr_text line = { 0 };
    char name[80];
    hr_text_printf(&line, "hrnet %s", args->command->name);
    for (int i = 0; i < args->operand_count; i++)
        add_word(&line, args->operands[i]);
    for (size_t i = 0; i < args->flag_count; i++) {
        const struct hr_flag *const flag = args->flags[i];
        if (!args->values[i] || (flag->initial && strcmp(flag->initial, args->values[i]) == 0))
            continue;
        snprintf(name, sizeof name, "--%s", flag->name);
        add_word(&line, name);
        if (flag->kind != HR_FLAG_SWITCH)
            add_word(&line, args->values[i]);
    }
    json_t *const text = json_string(hr_text_str(&line));
    hr_text_fini(&line);
    return text;
}

/* When, from where. */
static json_t *start_of(const struct hrnet_train_progress *first)
{
    char now[32] = "";
    const time_t seconds = time(NULL);
    struct tm utc;
    if (gmtime_r(&seconds, &utc))
        strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_pack("{s:s, s:I, s:I}", "time", now, "epoch", (json_int_t)first->epoch, "step",
                     (json_int_t)first->step);
}

static json_t *manifest_of(const struct hr_args *args, const struct hrnet_train_progress *first)
{
    json_t *const data =
        json_pack("{s:I, s:I, s:s?}", "pictures", (json_int_t)first->pictures, "classes",
                  (json_int_t)first->classes, "sha256", first->data_hash);
    json_t *const cpu = json_pack("{s:s, s:s, s:I}", "name", hrnet_cpu_name(), "isa",
                                  hrnet_cpu_isa(), "threads", (json_int_t)hrnet_cpu_count());
    return json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:I}", "schema", 1, "hrnet", hrnet_version(),
                     "build", hrnet_build_info(), "cpu", cpu, "command", command_of(args), "data",
                     data, "seed", (json_int_t)hr_arg_count(args, "seed"));
}

/* The starts of this run so far, from the manifest that is there. */
static json_t *starts_before(const char *folder)
{
    char *path = NULL;
    json_t *starts = NULL;
    if (path_of(&path, folder, "manifest.json") == HR_OK) {
        json_t *const old = json_load_file(path, 0, NULL);
        starts = json_incref(json_object_get(old, "starts"));
        json_decref(old);
    }
    hr_mem_free(path);
    if (json_is_array(starts))
        return starts;
    json_decref(starts);
    return json_array();
}

hrnet_status hr_run_folder_begin(const char *folder, const struct hr_args *args,
                                 const struct hrnet_train_progress *first)
{
    json_t *const manifest = manifest_of(args, first);
    json_t *const starts =
        first->epoch == 1 && first->step == 1 ? json_array() : starts_before(folder);
    json_array_append_new(starts, start_of(first));
    json_object_set_new(manifest, "starts", starts);
    enum hr_status status = write_json(folder, "manifest.json", manifest);
    if (status == HR_OK)
        status = write_json(folder, "config.json", config_of(args));
    return (hrnet_status)status;
}

/* ---- Curves ---- */

/* Rows of numbers, by column: column c of row i is values[c * capacity + i].  Empty cells, and
 * those that are no number, are NAN. */
struct table {
    double *values;
    size_t capacity, count;
};

static void read_row(struct table *t, char *line)
{
    size_t column = 0;
    for (char *cell = line; cell && column < COLUMNS; column++) {
        char *const comma = strchr(cell, ',');
        double value;
        if (comma)
            *comma = '\0';
        t->values[column * t->capacity + t->count] =
            hr_parse_f64(cell, &value) == HR_OK ? value : NAN;
        cell = comma ? comma + 1 : NULL;
    }
    t->count += column == COLUMNS;
}

/* Behind the head line.  The text is taken apart. */
static enum hr_status read_table(struct table *t, char *text)
{
    for (const char *c = text; *c; c++)
        t->capacity += *c == '\n';
    t->values = hr_mem_alloc(t->capacity, COLUMNS * sizeof *t->values);
    if (!t->values)
        return HR_E_MEMORY;
    char *line = strchr(text, '\n');
    while (line) {
        char *const next = strchr(line + 1, '\n');
        if (next) {
            *next = '\0';
            read_row(t, line + 1);
        }
        line = next;
    }
    return HR_OK;
}

enum column {
    EPOCH,
    RATE,
    LOSS,
    ACCURACY,
    VALIDATION_LOSS,
    TOP1,
    TOP5,
    AVERAGE_LOSS,
    AVERAGE_TOP1,
    AVERAGE_TOP5,
    MAP,
    AVERAGE_MAP
};

/* Adds the column unless nothing is in it. */
static bool add_series(struct hr_series *series, size_t *count, const struct table *t,
                       enum column column, const char *name)
{
    const double *const y = t->values + (size_t)column * t->capacity;
    bool any = false;
    for (size_t i = 0; i < t->count; i++)
        any |= isfinite(y[i]) != 0;
    if (any)
        series[(*count)++] = (struct hr_series){ name, t->values, y, t->count };
    return any;
}

static enum hr_status draw(const char *path, const struct table *t)
{
    struct hr_series loss[3], shares[4], rate[1];
    size_t losses = 0, accuracies = 0, rates = 0;
    struct hr_replace file = { 0 };
    add_series(loss, &losses, t, LOSS, "training");
    add_series(loss, &losses, t, VALIDATION_LOSS, "validation");
    add_series(loss, &losses, t, AVERAGE_LOSS, "averaged");
    add_series(shares, &accuracies, t, ACCURACY, "training");
    if (add_series(shares, &accuracies, t, MAP, "mAP")) {
        add_series(shares, &accuracies, t, TOP1, "all labels right");
        add_series(shares, &accuracies, t, AVERAGE_MAP, "averaged mAP");
    } else {
        add_series(shares, &accuracies, t, TOP1, "top-1");
        add_series(shares, &accuracies, t, TOP5, "top-5");
        add_series(shares, &accuracies, t, AVERAGE_TOP1, "averaged top-1");
    }
    add_series(rate, &rates, t, RATE, "rate");
    const struct hr_chart charts[] = {
        { .title = "Loss by epoch", .series = loss, .count = losses },
        { .title = "Right answers by epoch",
          .series = shares,
          .count = accuracies,
          .most = 1.0,
          .percent = true },
        { .title = "Learning rate by epoch", .series = rate, .count = rates },
    };
    HR_TRY(hr_replace_begin(&file, path));
    hr_chart_file(file.file, charts, sizeof charts / sizeof *charts);
    return hr_replace_commit(&file);
}

hrnet_status hr_run_folder_curves(const char *folder)
{
    struct table table = { 0 };
    char *from = NULL, *to = NULL;
    char *text = NULL;
    uint8_t *data = NULL;
    size_t size = 0;
    enum hr_status status = path_of(&from, folder, "epochs.csv");
    if (status == HR_OK)
        status = path_of(&to, folder, "curves.svg");
    if (status == HR_OK)
        status = hr_file_read(from, MOST, &data, &size);
    if (status == HR_OK && !(text = hr_mem_strndup((const char *)data, size)))
        status = HR_E_MEMORY;
    if (status == HR_OK)
        status = read_table(&table, text);
    if (status == HR_OK)
        status = draw(to, &table);
    hr_mem_free(table.values);
    hr_mem_free(text);
    hr_mem_free(data);
    hr_mem_free(to);
    hr_mem_free(from);
    return (hrnet_status)status;
}
