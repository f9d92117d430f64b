/* SPDX-License-Identifier: Apache-2.0
 * A configuration from file and command line to flags: settings change the tree, then every key is
 * looked up in the table of those that are known.  Knows no single key. */
#include "cli/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/config_keys.h"
#include "cli/yaml.h"

#define PATH 512 /* bytes of "A.B.C" */

const char *hr_config_origin(struct hr_arena *arena, const struct hr_value *value)
{
    return value->line ? hr_arena_printf(arena, "%s:%d", value->origin, value->line)
                       : value->origin;
}

enum hr_status hr_config_refuse(enum hr_status status, const struct hr_value *value,
                                const char *format, ...)
{
    char message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (value->line)
        return hr_fail(status, "%s:%d: %s", value->origin, value->line, message);
    return hr_fail(status, "%s: %s", value->origin, message);
}

const struct hr_value *hr_config_at(const struct hr_value *root, const char *path)
{
    char key[PATH];
    while (root && *path) {
        const size_t length = strcspn(path, ".");
        if (length >= sizeof key)
            return NULL;
        memcpy(key, path, length);
        key[length] = '\0';
        root = hr_value_get(root, key);
        path += length + (path[length] == '.');
    }
    return root;
}

enum hr_status hr_config_give(const struct hr_config_sink *sink, const char *flag,
                              const struct hr_value *value)
{
    struct hr_text text = { 0 };
    const size_t count = value->kind == HR_VALUE_LIST ? value->count : 1;
    if (value->kind == HR_VALUE_NULL || !flag)
        return HR_OK;
    if (value->kind == HR_VALUE_MAP)
        return hr_config_refuse(HR_E_FORMAT, value, "a single value is wanted, not a map");
    for (size_t i = 0; i < count; i++) {
        const struct hr_value *const v = value->kind == HR_VALUE_LIST ? value->items[i] : value;
        hr_text_add(&text, i ? "," : "");
        if (v->kind == HR_VALUE_TEXT)
            hr_text_add(&text, v->text);
        else
            hr_value_print(&text, v);
    }
    const char *const kept =
        text.status == HR_OK ? hr_arena_printf(sink->arena, "%s", hr_text_str(&text)) : NULL;
    hr_text_fini(&text);
    return kept ? sink->give(sink->context, flag, kept, value) : HR_E_MEMORY;
}

/* ---- Settings ---- */

/* The place of a key below `in`, made where a map lacks it. */
static enum hr_status step_into(struct hr_value **out, struct hr_value *in, const char *key,
                                const char *setting, struct hr_arena *arena)
{
    int64_t index;
    if (in->kind == HR_VALUE_NULL)
        in->kind = HR_VALUE_MAP;
    if (in->kind == HR_VALUE_LIST) {
        if (hr_parse_i64(key, &index) != HR_OK || index < 0 || (size_t)index >= in->count)
            return hr_fail(HR_E_ARGUMENT, "-o %s: '%s' is no place in a list of %zu (from 0)",
                           setting, key, in->count);
        *out = in->items[index];
        return HR_OK;
    }
    if (in->kind != HR_VALUE_MAP)
        return hr_fail(HR_E_ARGUMENT, "-o %s: '%s' is below a single value", setting, key);
    *out = hr_value_get(in, key);
    if (*out)
        return HR_OK;
    *out = hr_value_make(arena, HR_VALUE_NULL, in->origin, in->line);
    return *out ? hr_value_add(in, arena, key, *out) : HR_E_MEMORY;
}

/* "Key.Sub.0=Value": the value replaces what is there. */
static enum hr_status apply_setting(struct hr_value *root, const char *setting,
                                    struct hr_arena *arena)
{
    const char *const equals = strchr(setting, '=');
    struct hr_value *at = root;
    if (!equals || equals == setting)
        return hr_fail(HR_E_ARGUMENT, "-o %s: Key.Sub=Value is wanted", setting);
    const char *const origin = hr_arena_printf(arena, "-o %s", setting);
    char *key = hr_arena_printf(arena, "%.*s", (int)(equals - setting), setting);
    const char *const text = hr_arena_printf(arena, "%s", equals + 1);
    if (!origin || !key || !text)
        return HR_E_MEMORY;
    for (char *dot; key; key = dot) {
        dot = strchr(key, '.');
        if (dot)
            *dot++ = '\0';
        HR_TRY(step_into(&at, at, key, setting, arena));
    }
    *at = (struct hr_value){ .kind = HR_VALUE_TEXT, .text = text, .origin = origin };
    return hr_value_resolve(at, arena, true, 0);
}

/* ---- Keys ---- */

struct walk {
    const struct hr_config_sink *sink;
    const struct hr_value *root;
    char path[PATH]; /* of where the walk is, with '#' for places in lists */
};

/* How far the row's path goes along the walk's: 0 not, 1 it goes on below, 2 it is that path. */
static int along(const char *row, const char *path)
{
    const size_t length = strlen(path);
    const char *const star = strstr(row, ".*");
    if (star && strncmp(row, path, (size_t)(star - row)) == 0 &&
        (path[star - row] == '.' || path[star - row] == '\0'))
        return 2;
    if (strncmp(row, path, length) != 0)
        return 0;
    return row[length] == '\0' ? 2 : row[length] == '.' ? 1 : 0;
}

static enum hr_status unknown_key(const struct walk *w, const struct hr_value *value,
                                  const char *key)
{
    const size_t parent = strlen(w->path) - strlen(key);
    const char *names[128];
    char kept[128][64];
    size_t count = 0;
    for (size_t i = 0; i < hr_config_key_count && count < HR_COUNT(names); i++) {
        const char *const row = hr_config_keys[i].path;
        if (strncmp(row, w->path, parent) != 0)
            continue;
        snprintf(kept[count], sizeof kept[count], "%.*s", (int)strcspn(row + parent, "."),
                 row + parent);
        names[count] = kept[count];
        count++;
    }
    const char *const near = hr_nearest_name(key, names, count);
    if (!near)
        return hr_config_refuse(HR_E_FORMAT, value, "the key '%s' is not known", w->path);
    return hr_config_refuse(HR_E_FORMAT, value, "the key '%s' is not known: did you mean '%.*s%s'?",
                            w->path, (int)parent, w->path, near);
}

bool hr_config_is_word(const struct hr_value *value, const char *words)
{
    const char *const text = value->kind == HR_VALUE_NULL   ? "None"
                             : value->kind == HR_VALUE_BOOL ? value->integer ? "True" : "False"
                             : value->kind < HR_VALUE_LIST  ? value->text
                                                            : NULL;
    const size_t length = text ? strlen(text) : 0;
    bool found = *words == '\0';
    for (const char *at = words; text && !found; at++) {
        const size_t size = strcspn(at, "|");
        found = size == length && memcmp(at, text, size) == 0;
        at += size;
        if (*at == '\0')
            break;
    }
    return found;
}

static enum hr_status take_key(const struct walk *w, const struct hr_config_key *row,
                               const struct hr_value *value)
{
    if (value->repeated)
        w->sink->tell(w->sink->context, value, "the key stands there twice: the last one holds");
    if (row->take)
        return row->take(w->sink, value, w->root);
    if (row->only && !hr_config_is_word(value, row->only))
        return hr_config_refuse(HR_E_UNSUPPORTED, value, "%s can only be %s here", w->path,
                                row->only);
    return hr_config_give(w->sink, w->sink->evaluates ? row->eval : row->train, value);
}

static enum hr_status visit(struct walk *w, const struct hr_value *value, const char *key)
{
    const size_t length = strlen(w->path);
    const struct hr_config_key *row = NULL;
    bool below = false;
    for (size_t i = 0; i < hr_config_key_count && !row; i++) {
        const int how = along(hr_config_keys[i].path, w->path);
        row = how == 2 ? &hr_config_keys[i] : NULL;
        below = below || how == 1;
    }
    if (row)
        return take_key(w, row, value);
    if (!below)
        return unknown_key(w, value, key);
    if (value->kind == HR_VALUE_NULL)
        return HR_OK;
    if (value->kind < HR_VALUE_LIST)
        return hr_config_refuse(HR_E_FORMAT, value, "%s has keys below it, not a single value",
                                w->path);
    for (size_t i = 0; i < value->count; i++) {
        const char *const name = value->kind == HR_VALUE_MAP ? value->keys[i] : "#";
        if (length + strlen(name) + 2 > sizeof w->path)
            return hr_config_refuse(HR_E_LIMIT, value, "the key '%.60s...' is too long", name);
        snprintf(w->path + length, sizeof w->path - length, "%s%s", length ? "." : "", name);
        HR_TRY(visit(w, value->items[i], name));
        w->path[length] = '\0';
    }
    return HR_OK;
}

enum hr_status hr_config_read(const struct hr_config_sink *sink, const void *data, size_t size,
                              const char *name, const char *const *settings, size_t count)
{
    struct hr_value *root = NULL;
    HR_TRY(hr_yaml_parse(&root, sink->arena, data, size, name));
    if (root->kind != HR_VALUE_MAP)
        return hr_config_refuse(HR_E_FORMAT, root, "a configuration is a map of sections");
    for (size_t i = 0; i < count; i++)
        HR_TRY(apply_setting(root, settings[i], sink->arena));
    struct walk w = { .sink = sink, .root = root };
    for (size_t i = 0; i < root->count; i++) {
        if (strlen(root->keys[i]) >= sizeof w.path)
            return hr_config_refuse(HR_E_LIMIT, root->items[i], "the key is too long");
        snprintf(w.path, sizeof w.path, "%s", root->keys[i]);
        HR_TRY(visit(&w, root->items[i], root->keys[i]));
    }
    return HR_OK;
}
