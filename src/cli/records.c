/* SPDX-License-Identifier: Apache-2.0
 * Records as text for people, JSON and tables for programs (docs/cli.md has the schema), and in the
 * line format of the original's command. */
#include "cli/records.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"

#define SCHEMA_VERSION 1

static bool is_table(const struct hr_record_writer *w)
{
    return w->format == HR_RECORD_CSV || w->format == HR_RECORD_TSV;
}

/* A CSV field by RFC 4180; in TSV, tabs and line ends become blanks. */
static void put_field(const struct hr_record_writer *w, const char *text, bool last)
{
    const char separator = w->format == HR_RECORD_CSV ? ',' : '\t';
    if (w->format == HR_RECORD_TSV) {
        for (; *text; text++)
            fputc(strchr("\t\r\n", *text) ? ' ' : *text, w->out);
    } else if (strpbrk(text, ",\"\r\n")) {
        fputc('"', w->out);
        for (; *text; text++) {
            if (*text == '"')
                fputc('"', w->out);
            fputc(*text, w->out);
        }
        fputc('"', w->out);
    } else {
        fputs(text, w->out);
    }
    fputc(last ? '\n' : separator, w->out);
}

void hr_records_begin(struct hr_record_writer *w)
{
    if (w->format == HR_RECORD_JSON)
        fprintf(w->out, "{\"schema\": %d, \"results\": [", SCHEMA_VERSION);
    if (!is_table(w))
        return;
    put_field(w, "filename", false);
    for (size_t i = 1; i <= w->k; i++) {
        char name[32];
        snprintf(name, sizeof name, "class_id_%zu", i);
        put_field(w, name, false);
        snprintf(name, sizeof name, "score_%zu", i);
        put_field(w, name, false);
        snprintf(name, sizeof name, "label_name_%zu", i);
        put_field(w, name, false);
    }
    put_field(w, "warning", false);
    put_field(w, "error", true);
}

static void table_record(struct hr_record_writer *w, const struct hr_picture_slot *slot,
                         const float *p, const size_t *index, size_t top)
{
    put_field(w, slot->name, false);
    for (size_t i = 0; i < w->k; i++) {
        char id[24] = "", score[32] = "";
        if (i < top) {
            snprintf(id, sizeof id, "%zu", index[i]);
            snprintf(score, sizeof score, "%.7g", (double)p[index[i]]);
        }
        put_field(w, id, false);
        put_field(w, score, false);
        put_field(w, i < top ? hrnet_model_label(w->model, (int)index[i]) : "", false);
    }
    put_field(w, slot->report.warning, false);
    put_field(w, slot->decoded ? "" : slot->error, true);
}

/* Paths need not be UTF-8; JSON must be: bytes that are not become '?'. */
static json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    char *copy = strdup(text);
    for (char *at = copy; at && *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    value = json_string(copy ? copy : "");
    free(copy);
    return value;
}

static json_t *json_record(const struct hr_record_writer *w, const struct hr_picture_slot *slot,
                           const float *p, const size_t *index, size_t top)
{
    json_t *record = json_object();
    json_object_set_new(record, "filename", json_text(slot->name));
    if (!slot->decoded) {
        json_object_set_new(record, "error", json_text(slot->error));
        return record;
    }
    json_t *ids = json_array(), *scores = json_array(), *names = json_array();
    for (size_t i = 0; i < top; i++) {
        json_array_append_new(ids, json_integer((json_int_t)index[i]));
        json_array_append_new(scores, json_real((double)p[index[i]]));
        json_array_append_new(names, json_text(hrnet_model_label(w->model, (int)index[i])));
    }
    json_object_set_new(record, "class_ids", ids);
    json_object_set_new(record, "scores", scores);
    json_object_set_new(record, "label_names", names);
    json_object_set_new(record, "width", json_integer(slot->report.width));
    json_object_set_new(record, "height", json_integer(slot->report.height));
    json_object_set_new(record, "format", json_string(slot->report.format));
    json_object_set_new(record, "orientation", json_integer(slot->report.orientation));
    if (slot->report.warning[0])
        json_object_set_new(record, "warning", json_text(slot->report.warning));
    return record;
}

static void json_line(struct hr_record_writer *w, const struct hr_picture_slot *slot,
                      const float *p, const size_t *index, size_t top)
{
    json_t *record = json_record(w, slot, p, index, top);
    char *text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(7));
    if (w->format == HR_RECORD_JSON)
        fprintf(w->out, "%s\n%s", w->written ? "," : "", text ? text : "{}");
    else
        fprintf(w->out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(record);
}

static void text_record(struct hr_record_writer *w, const struct hr_picture_slot *slot,
                        const float *p, const size_t *index, size_t top)
{
    if (!slot->decoded) {
        fflush(w->out);
        fprintf(stderr, "hrnet: %s\n", slot->error);
        return;
    }
    if (slot->report.warning[0]) {
        fflush(w->out);
        fprintf(stderr, "hrnet: %s: %s\n", slot->name, slot->report.warning);
    }
    fprintf(w->out, "%s\n", slot->name);
    for (size_t i = 0; i < top; i++)
        fprintf(w->out, "  %7.3f %%  %4zu  %s\n", 100 * (double)p[index[i]], index[i],
                hrnet_model_label(w->model, (int)index[i]));
    if (top == 0)
        fputs("  no class reaches the threshold\n", w->out);
}

/* As Python prints a float rounded to five decimals: 0.97968, 0.5, 3e-05, 0.0. */
static void python_float(double value, FILE *out)
{
    char text[32];
    snprintf(text, sizeof text, "%.5f", value);
    const long units = strtol(text + 2, NULL, 10);
    if (text[0] == '0' && units > 0 && units < 10) {
        fprintf(out, "%lde-05", units);
        return;
    }
    size_t length = strlen(text);
    while (length > 3 && text[length - 1] == '0')
        text[--length] = '\0';
    fputs(text, out);
}

static void python_text(const char *text, FILE *out)
{
    const char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    fputc(quote, out);
    for (; *text; text++) {
        if (*text == quote || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc(quote, out);
}

/* class_ids: [8, 7], scores: [0.97968, 0.02028], label_names: ['hen', 'cock'], filename: x.jpg */
static void paddleclas_record(struct hr_record_writer *w, const struct hr_picture_slot *slot,
                              const float *p, const size_t *index, size_t top)
{
    if (!slot->decoded) {
        fflush(w->out);
        fprintf(stderr, "hrnet: %s\n", slot->error);
        return;
    }
    fputs("class_ids: [", w->out);
    for (size_t i = 0; i < top; i++)
        fprintf(w->out, "%s%zu", i ? ", " : "", index[i]);
    fputs("], scores: [", w->out);
    for (size_t i = 0; i < top; i++) {
        fputs(i ? ", " : "", w->out);
        python_float((double)p[index[i]], w->out);
    }
    fputs("], label_names: [", w->out);
    for (size_t i = 0; i < top; i++) {
        fputs(i ? ", " : "", w->out);
        python_text(hrnet_model_label(w->model, (int)index[i]), w->out);
    }
    fprintf(w->out, "], filename: %s\n", slot->name);
}

void hr_records_add(struct hr_record_writer *w, const struct hr_picture_slot *slot, const float *p,
                    const size_t *index, size_t top)
{
    static void (*const writers[])(struct hr_record_writer *, const struct hr_picture_slot *,
                                   const float *, const size_t *, size_t) = {
        [HR_RECORD_TEXT] = text_record, [HR_RECORD_JSON] = json_line,
        [HR_RECORD_JSONL] = json_line,  [HR_RECORD_CSV] = table_record,
        [HR_RECORD_TSV] = table_record, [HR_RECORD_PADDLECLAS] = paddleclas_record,
    };
    writers[w->format](w, slot, p, index, top);
    w->written++;
}

void hr_records_end(struct hr_record_writer *w)
{
    if (w->format == HR_RECORD_JSON)
        fputs("\n]}\n", w->out);
}
