/* SPDX-License-Identifier: Apache-2.0
 * From libyaml's events to values.  Containers that are open lie on a stack of bounded depth; an
 * alias becomes a copy, which counts against the most values that a file may have. */
#include "cli/yaml.h"

#include <string.h>
#include <yaml.h>

struct anchor {
    const char *name;
    struct hr_value *value;
    struct anchor *next;
};

struct builder {
    yaml_parser_t parser;
    struct hr_arena *arena;
    const char *name;
    struct hr_value *root, *open[HR_VALUE_DEPTH];
    const char *key[HR_VALUE_DEPTH]; /* of the map at that depth, once it was read */
    int depth;
    struct anchor *anchors;
    size_t values;
};

static int line_of(const yaml_event_t *event)
{
    return (int)event->start_mark.line + 1;
}

static enum hr_status count(struct builder *b, int line)
{
    if (++b->values > HR_YAML_VALUES)
        return hr_fail(HR_E_LIMIT, "%s:%d: more than %d values, with the copies of aliases",
                       b->name, line, HR_YAML_VALUES);
    return HR_OK;
}

/* `<<: *base` adds what the map does not have itself (yaml.org/type/merge.html). */
static enum hr_status merge(struct builder *b, struct hr_value *map)
{
    struct hr_value *const base = hr_value_get(map, "<<");
    if (!base)
        return HR_OK;
    if (base->kind != HR_VALUE_MAP)
        return hr_fail(HR_E_FORMAT, "%s:%d: '<<' takes one map", b->name, base->line);
    for (size_t i = 0; i < map->count; i++)
        if (map->items[i] == base) {
            map->count--;
            for (size_t j = i; j < map->count; j++) {
                map->items[j] = map->items[j + 1];
                map->keys[j] = map->keys[j + 1];
            }
            break;
        }
    for (size_t i = 0; i < base->count; i++)
        if (!hr_value_get(map, base->keys[i]))
            HR_TRY(hr_value_add(map, b->arena, base->keys[i], base->items[i]));
    return HR_OK;
}

/* Puts a value where the document is. */
static enum hr_status place(struct builder *b, struct hr_value *value)
{
    if (b->depth == 0) {
        b->root = value;
        return HR_OK;
    }
    struct hr_value *const to = b->open[b->depth - 1];
    const char **const key = &b->key[b->depth - 1];
    if (to->kind == HR_VALUE_LIST)
        return hr_value_add(to, b->arena, NULL, value);
    if (!*key) {
        if (value->kind >= HR_VALUE_LIST)
            return hr_fail(HR_E_FORMAT, "%s:%d: a list or map cannot be a key", b->name,
                           value->line);
        *key = value->text;
        return HR_OK;
    }
    const enum hr_status status = hr_value_add(to, b->arena, *key, value);
    *key = NULL;
    return status;
}

static enum hr_status remember(struct builder *b, const yaml_char_t *anchor, struct hr_value *value)
{
    if (!anchor)
        return HR_OK;
    struct anchor *a = hr_arena_alloc(b->arena, 1, sizeof *a);
    if (!a)
        return HR_E_MEMORY;
    a->name = hr_arena_printf(b->arena, "%s", (const char *)anchor);
    a->value = value;
    a->next = b->anchors;
    b->anchors = a;
    return a->name ? HR_OK : HR_E_MEMORY;
}

static enum hr_status copy(struct hr_value **out, struct builder *b, const struct hr_value *from,
                           int line, int depth)
{
    HR_TRY(count(b, line));
    if (depth > HR_VALUE_DEPTH)
        return hr_fail(HR_E_LIMIT, "%s:%d: the alias makes lists and maps nest deeper than %d",
                       b->name, line, HR_VALUE_DEPTH);
    struct hr_value *value = hr_value_make(b->arena, from->kind, b->name, line);
    if (!value)
        return HR_E_MEMORY;
    value->integer = from->integer;
    value->real = from->real;
    value->text = from->text;
    for (size_t i = 0; i < from->count; i++) {
        struct hr_value *item = NULL;
        HR_TRY(copy(&item, b, from->items[i], line, depth + 1));
        HR_TRY(hr_value_add(value, b->arena, from->keys[i], item));
    }
    *out = value;
    return HR_OK;
}

static enum hr_status take_alias(struct builder *b, const yaml_event_t *event)
{
    const char *const name = (const char *)event->data.alias.anchor;
    const struct anchor *a = b->anchors;
    struct hr_value *value = NULL;
    while (a && strcmp(a->name, name) != 0)
        a = a->next;
    if (!a)
        return hr_fail(HR_E_FORMAT, "%s:%d: there is no anchor &%s", b->name, line_of(event), name);
    for (int i = 0; i < b->depth; i++)
        if (b->open[i] == a->value)
            return hr_fail(HR_E_FORMAT, "%s:%d: *%s is inside of itself", b->name, line_of(event),
                           name);
    HR_TRY(copy(&value, b, a->value, line_of(event), b->depth));
    return place(b, value);
}

/* Tags that change nothing, or make text of a scalar; Python's objects and the like are refused. */
static enum hr_status check_tag(const struct builder *b, const yaml_event_t *event,
                                const yaml_char_t *tag, bool *text)
{
    static const char *const core[] = { "int", "float", "bool", "null", "map", "seq" };
    static const char prefix[] = "tag:yaml.org,2002:";
    const char *const name = (const char *)tag;
    *text = tag && strcmp(name, YAML_STR_TAG) == 0;
    if (!tag || *text || strcmp(name, "!") == 0)
        return HR_OK;
    for (size_t i = 0; i < HR_COUNT(core); i++)
        if (hr_text_starts(name, prefix) && strcmp(name + sizeof prefix - 1, core[i]) == 0)
            return HR_OK;
    return hr_fail(HR_E_FORMAT, "%s:%d: the tag '%.80s' is refused: only plain values are read",
                   b->name, line_of(event), name);
}

static enum hr_status take_scalar(struct builder *b, const yaml_event_t *event)
{
    const char *const text = (const char *)event->data.scalar.value;
    const size_t length = event->data.scalar.length;
    const bool key =
        b->depth > 0 && b->open[b->depth - 1]->kind == HR_VALUE_MAP && !b->key[b->depth - 1];
    bool is_text;
    HR_TRY(check_tag(b, event, event->data.scalar.tag, &is_text));
    HR_TRY(count(b, line_of(event)));
    if (memchr(text, 0, length))
        return hr_fail(HR_E_FORMAT, "%s:%d: the value holds a zero byte", b->name, line_of(event));
    struct hr_value *value = hr_value_make(b->arena, HR_VALUE_TEXT, b->name, line_of(event));
    if (!value)
        return HR_E_MEMORY;
    value->text = hr_arena_printf(b->arena, "%s", text);
    if (!value->text)
        return HR_E_MEMORY;
    if (!key && !is_text)
        HR_TRY(hr_value_resolve(value, b->arena,
                                event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE, b->depth));
    HR_TRY(remember(b, event->data.scalar.anchor, value));
    return place(b, value);
}

static enum hr_status open_container(struct builder *b, const yaml_event_t *event,
                                     enum hr_value_kind kind)
{
    const bool map = kind == HR_VALUE_MAP;
    const yaml_char_t *const tag =
        map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    bool is_text;
    HR_TRY(check_tag(b, event, tag, &is_text));
    HR_TRY(count(b, line_of(event)));
    if (b->depth == HR_VALUE_DEPTH)
        return hr_fail(HR_E_LIMIT, "%s:%d: lists and maps nest deeper than %d", b->name,
                       line_of(event), HR_VALUE_DEPTH);
    struct hr_value *value = hr_value_make(b->arena, kind, b->name, line_of(event));
    if (!value)
        return HR_E_MEMORY;
    HR_TRY(remember(b, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
                    value));
    HR_TRY(place(b, value));
    b->key[b->depth] = NULL;
    b->open[b->depth++] = value;
    return HR_OK;
}

static enum hr_status take_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->root)
            return hr_fail(HR_E_FORMAT, "%s:%d: a second document begins", b->name, line_of(event));
        return HR_OK;
    case YAML_ALIAS_EVENT:
        return take_alias(b, event);
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(b, event, HR_VALUE_LIST);
    case YAML_MAPPING_START_EVENT:
        return open_container(b, event, HR_VALUE_MAP);
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return merge(b, b->open[b->depth]);
    case YAML_SEQUENCE_END_EVENT:
        b->depth--;
        return HR_OK;
    default:
        return HR_OK;
    }
}

static enum hr_status parse_failed(const struct builder *b)
{
    const yaml_parser_t *const p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return hr_fail(HR_E_MEMORY, "%s: out of memory", b->name);
    return hr_fail(HR_E_FORMAT, "%s:%zu: no YAML: %s%s%s", b->name, p->problem_mark.line + 1,
                   p->problem ? p->problem : "unreadable", p->context ? ", " : "",
                   p->context ? p->context : "");
}

static enum hr_status build(struct builder *b)
{
    for (bool end = false; !end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return parse_failed(b);
        const enum hr_status status = take_event(b, &event);
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        HR_TRY(status);
    }
    if (!b->root)
        return hr_fail(HR_E_FORMAT, "%s: there is nothing in it", b->name);
    return HR_OK;
}

enum hr_status hr_yaml_parse(struct hr_value **out, struct hr_arena *arena, const void *data,
                             size_t size, const char *name)
{
    struct builder b = { .arena = arena, .name = name };
    if (size > HR_YAML_BYTES)
        return hr_fail(HR_E_LIMIT, "%s: %zu bytes are more than a configuration may have (%d)",
                       name, size, HR_YAML_BYTES);
    if (!yaml_parser_initialize(&b.parser))
        return hr_fail(HR_E_MEMORY, "%s: out of memory", name);
    yaml_parser_set_input_string(&b.parser, data, size);
    const enum hr_status status = build(&b);
    yaml_parser_delete(&b.parser);
    if (status == HR_OK)
        *out = b.root;
    return status;
}
