/* SPDX-License-Identifier: Apache-2.0
 * Bad pictures as a table (CSV of RFC 4180).  Small: lists are searched from the front. */
#include "train/bad.h"

#include <string.h>

#include "base/mem.h"

#define COLUMNS 4
static const char head[] = "picture,reason,times,set\n";

enum hr_status hr_bad_add(struct hr_bad_list *list, size_t picture, const char *reason,
                          uint64_t times, bool *is_new)
{
    size_t i = 0;
    while (i < list->count && list->items[i].picture != picture)
        i++;
    *is_new = i == list->count;
    if (*is_new) {
        HR_TRY(hr_mem_grow((void **)&list->items, &list->capacity, list->count + 1,
                           sizeof *list->items));
        char *const kept = hr_mem_strdup(reason);
        if (!kept)
            return HR_E_MEMORY;
        list->items[list->count++] = (struct hr_bad){ picture, kept, 0 };
    }
    list->items[i].times += times;
    list->changed = true;
    return HR_OK;
}

void hr_bad_fini(struct hr_bad_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        hr_mem_free(list->items[i].reason);
    hr_mem_free(list->items);
    *list = (struct hr_bad_list){ 0 };
}

/* ---- Writing ---- */

static void put_field(struct hr_text *out, const char *text)
{
    const bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    hr_text_add(out, quoted ? "\"" : "");
    for (; *text; text++)
        hr_text_printf(out, quoted && *text == '"' ? "\"%c" : "%c", *text);
    hr_text_add(out, quoted ? "\"" : "");
}

/* Reasons mostly begin with the picture's path, which is a column of its own. */
static const char *without_path(const char *reason, const char *path)
{
    const size_t length = strlen(path);
    return strncmp(reason, path, length) == 0 && strncmp(reason + length, ": ", 2) == 0
               ? reason + length + 2
               : reason;
}

void hr_bad_print(struct hr_text *out, const struct hr_bad_set *sets, size_t count)
{
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < sets[s].list->count; i++) {
            const struct hr_bad *const bad = &sets[s].list->items[i];
            const char *const path = sets[s].set->paths.items[bad->picture];
            hr_text_add(out, out->size ? "" : head);
            put_field(out, path);
            hr_text_add(out, ",");
            put_field(out, without_path(bad->reason, path));
            hr_text_printf(out, ",%llu,%s\n", (unsigned long long)bad->times, sets[s].name);
        }
}

/* ---- Reading ---- */

/* Takes the next field out of *at, in place; false where the text ends within it.  *last: it was
 * the last one of its row. */
static bool take_field(char **at, char **field, bool *last)
{
    const bool quoted = **at == '"';
    char *from = *at + quoted, *to = from;
    *field = to;
    while (*from && (quoted ? *from != '"' || from[1] == '"' : *from != ',' && *from != '\n')) {
        from += quoted && *from == '"';
        *to++ = *from++;
    }
    from += quoted && *from == '"';
    if (*from != ',' && *from != '\n')
        return false;
    *last = *from == '\n';
    *to = '\0';
    *at = from + 1;
    return true;
}

static enum hr_status take_row(char *const fields[COLUMNS], const struct hr_bad_set *sets,
                               size_t count)
{
    int64_t times;
    bool is_new;
    if (hr_parse_i64(fields[2], &times) != HR_OK || times < 1)
        return HR_OK;
    for (size_t s = 0; s < count; s++) {
        const struct hr_names *const paths = &sets[s].set->paths;
        for (size_t i = 0; strcmp(sets[s].name, fields[3]) == 0 && i < paths->count; i++)
            if (strcmp(paths->items[i], fields[0]) == 0)
                return hr_bad_add(sets[s].list, i, fields[1], (uint64_t)times, &is_new);
    }
    return HR_OK;
}

static enum hr_status take_rows(char *at, const struct hr_bad_set *sets, size_t count)
{
    char *fields[COLUMNS];
    size_t column = 0;
    bool last = false;
    char *field;
    while (take_field(&at, &field, &last)) {
        if (column < COLUMNS)
            fields[column] = field;
        column++;
        if (!last)
            continue;
        if (column == COLUMNS)
            HR_TRY(take_row(fields, sets, count));
        column = 0;
    }
    return HR_OK;
}

enum hr_status hr_bad_parse(const char *text, const struct hr_bad_set *sets, size_t count)
{
    char *const copy = hr_mem_strdup(text);
    const enum hr_status status = copy ? take_rows(copy, sets, count) : HR_E_MEMORY;
    hr_mem_free(copy);
    return status;
}
