/* SPDX-License-Identifier: Apache-2.0
 * Values: making, finding, printing them, and what a scalar's text means.  Knows no keys. */
#include "cli/value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/literal.h"

#define MAX_ITEMS 65536

struct hr_value *hr_value_make(struct hr_arena *arena, enum hr_value_kind kind, const char *origin,
                               int line)
{
    struct hr_value *value = hr_arena_alloc(arena, 1, sizeof *value);
    if (value)
        *value = (struct hr_value){ .kind = kind, .origin = origin, .line = line };
    return value;
}

static enum hr_status grow(struct hr_value *to, struct hr_arena *arena)
{
    const size_t capacity = to->capacity ? 2 * to->capacity : 4;
    struct hr_value **items = hr_arena_alloc(arena, capacity, sizeof *items);
    const char **keys = hr_arena_alloc(arena, capacity, sizeof *keys);
    if (!items || !keys)
        return HR_E_MEMORY;
    for (size_t i = 0; i < to->count; i++) {
        items[i] = to->items[i];
        keys[i] = to->keys[i];
    }
    to->items = items;
    to->keys = keys;
    to->capacity = capacity;
    return HR_OK;
}

enum hr_status hr_value_add(struct hr_value *to, struct hr_arena *arena, const char *key,
                            struct hr_value *item)
{
    for (size_t i = 0; key && i < to->count; i++)
        if (strcmp(to->keys[i], key) == 0) {
            item->repeated = true;
            to->items[i] = item;
            return HR_OK;
        }
    if (to->count == (key ? HR_VALUE_KEYS : MAX_ITEMS))
        return hr_fail(HR_E_LIMIT, "%s:%d: more than %zu entries", item->origin, item->line,
                       to->count);
    if (to->count == to->capacity)
        HR_TRY(grow(to, arena));
    to->keys[to->count] = key;
    to->items[to->count++] = item;
    return HR_OK;
}

struct hr_value *hr_value_get(const struct hr_value *map, const char *key)
{
    for (size_t i = 0; map && map->kind == HR_VALUE_MAP && i < map->count; i++)
        if (strcmp(map->keys[i], key) == 0)
            return map->items[i];
    return NULL;
}

/* ---- What a scalar's text means ---- */

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

/* yaml.org/type: null, bool and the float words; numbers are left to the literals. */
static bool plain_word(struct hr_value *v)
{
    static const char *const nothing[] = { "", "~", "null", "Null", "NULL" };
    static const char *const yes[] = {
        "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"
    };
    static const char *const no[] = { "no",    "No",  "NO",  "false", "False",
                                      "FALSE", "off", "Off", "OFF" };
    if (is_one_of(v->text, nothing, HR_COUNT(nothing))) {
        v->kind = HR_VALUE_NULL;
        return true;
    }
    const bool truth = is_one_of(v->text, yes, HR_COUNT(yes));
    if (!truth && !is_one_of(v->text, no, HR_COUNT(no)))
        return false;
    v->kind = HR_VALUE_BOOL;
    v->integer = truth;
    return true;
}

enum hr_status hr_value_resolve(struct hr_value *value, struct hr_arena *arena, bool plain,
                                int depth)
{
    if (plain && plain_word(value))
        return HR_OK;
    return hr_literal_parse(value, arena, depth);
}

/* ---- Printing ---- */

/* The shortest of 15 to 17 digits that reads back as the same number. */
static void print_real(struct hr_text *out, double real)
{
    char text[40];
    double back;
    int digits = 15;
    do {
        snprintf(text, sizeof text, "%.*g", digits, real);
    } while (digits++ < 17 && (hr_parse_f64(text, &back) != HR_OK || back != real));
    hr_text_add(out, text);
    if (isfinite(real) && !strpbrk(text, ".e"))
        hr_text_add(out, ".0");
}

static void print_text(struct hr_text *out, const char *text)
{
    hr_text_add(out, "'");
    for (; *text; text++) {
        if (*text == '\n')
            hr_text_add(out, "\\n");
        else if (*text == '\'' || *text == '\\')
            hr_text_printf(out, "\\%c", *text);
        else
            hr_text_add_bytes(out, text, 1);
    }
    hr_text_add(out, "'");
}

static void print_items(struct hr_text *out, const struct hr_value *value)
{
    const bool map = value->kind == HR_VALUE_MAP;
    hr_text_add(out, map ? "{" : "[");
    for (size_t i = 0; i < value->count; i++) {
        hr_text_add(out, i ? ", " : "");
        if (map) {
            print_text(out, value->keys[i]);
            hr_text_add(out, ": ");
        }
        hr_value_print(out, value->items[i]);
    }
    hr_text_add(out, map ? "}" : "]");
}

void hr_value_print(struct hr_text *out, const struct hr_value *value)
{
    switch (value->kind) {
    case HR_VALUE_NULL:
        hr_text_add(out, "None");
        break;
    case HR_VALUE_BOOL:
        hr_text_add(out, value->integer ? "True" : "False");
        break;
    case HR_VALUE_INT:
        hr_text_printf(out, "%lld", (long long)value->integer);
        break;
    case HR_VALUE_REAL:
        print_real(out, value->real);
        break;
    case HR_VALUE_TEXT:
        print_text(out, value->text);
        break;
    case HR_VALUE_LIST:
    case HR_VALUE_MAP:
        print_items(out, value);
        break;
    }
}
