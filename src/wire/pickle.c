/* SPDX-License-Identifier: Apache-2.0
 * The stack machine of pickle (Python's pickletools describes the opcodes): one table of small
 * functions, one per opcode; what is not in the table is refused: calls of classes, extension
 * codes, buffers that lie outside the pickle.  Every opcode pushes at most one
 * value, so that values never outnumber the bytes of the input. */
#include "wire/pickle.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

struct machine {
    struct hr_arena *arena;
    struct hr_reader *r;
    const char *const *allowed;
    size_t allowed_count;
    struct hr_pickle **stack;
    size_t depth, stack_capacity;
    size_t *marks;
    size_t mark_count, mark_capacity;
    struct hr_pickle **memo;
    size_t memo_count, memo_capacity; /* count: one past the highest index */
    size_t copied; /* items of lists that became ordered dicts: no more than the input has bytes */
    bool stopped;
};

typedef enum hr_status opcode_fn(struct machine *m);

static enum hr_status fail_at(const struct machine *m, const char *what)
{
    return hr_fail(HR_E_FORMAT, "%s: pickle: %s at byte %zu", m->r->name, what, m->r->pos);
}

/* ---- The stack ---- */

static enum hr_status push(struct machine *m, struct hr_pickle *value)
{
    HR_TRY(hr_mem_grow((void **)&m->stack, &m->stack_capacity, m->depth + 1, sizeof *m->stack));
    m->stack[m->depth++] = value;
    return HR_OK;
}

static enum hr_status push_new(struct machine *m, struct hr_pickle value)
{
    struct hr_pickle *copy = hr_arena_alloc(m->arena, 1, sizeof *copy);
    if (!copy)
        return HR_E_MEMORY;
    *copy = value;
    return push(m, copy);
}

/* The lowest stack entry that belongs to the innermost mark. */
static size_t floor_of(const struct machine *m)
{
    return m->mark_count ? m->marks[m->mark_count - 1] : 0;
}

static enum hr_status top(const struct machine *m, struct hr_pickle **out)
{
    if (m->depth <= floor_of(m))
        return fail_at(m, "the stack is empty");
    *out = m->stack[m->depth - 1];
    return HR_OK;
}

static enum hr_status pop(struct machine *m, struct hr_pickle **out)
{
    HR_TRY(top(m, out));
    m->depth--;
    return HR_OK;
}

static enum hr_status pop_mark(struct machine *m, size_t *first)
{
    if (m->mark_count == 0)
        return fail_at(m, "there is no mark");
    *first = m->marks[--m->mark_count];
    return HR_OK;
}

static enum hr_status append(struct machine *m, struct hr_pickle *list,
                             struct hr_pickle *const *items, size_t count)
{
    if (list->count + count > list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        capacity = capacity < list->count + count ? list->count + count : capacity;
        struct hr_pickle **grown = hr_arena_alloc(m->arena, capacity, sizeof *grown);
        if (!grown)
            return HR_E_MEMORY;
        if (list->count)
            memcpy(grown, list->items, list->count * sizeof *grown);
        list->items = grown;
        list->capacity = capacity;
    }
    if (count)
        memcpy(list->items + list->count, items, count * sizeof *items);
    list->count += count;
    return HR_OK;
}

/* ---- Framing and the memo ---- */

static enum hr_status op_proto(struct machine *m)
{
    uint8_t version;
    HR_TRY(hr_read_u8(m->r, &version));
    if (version > 5)
        return hr_fail(HR_E_UNSUPPORTED, "%s: pickle protocol %u is newer than 5", m->r->name,
                       version);
    return HR_OK;
}

static enum hr_status op_frame(struct machine *m)
{
    return hr_read_skip(m->r, 8); /* a hint for streams */
}

static enum hr_status op_stop(struct machine *m)
{
    m->stopped = true;
    return HR_OK;
}

static enum hr_status memo_put(struct machine *m, uint64_t index)
{
    struct hr_pickle *value;
    HR_TRY(top(m, &value));
    /* Writers number memo entries as they go, so an index past the bytes read is a lie. */
    if (index > m->r->pos)
        return fail_at(m, "a memo index is too large");
    HR_TRY(hr_mem_grow((void **)&m->memo, &m->memo_capacity, (size_t)index + 1, sizeof *m->memo));
    while (m->memo_count <= index)
        m->memo[m->memo_count++] = NULL;
    m->memo[index] = value;
    return HR_OK;
}

static enum hr_status memo_get(struct machine *m, uint64_t index)
{
    if (index >= m->memo_count || !m->memo[index])
        return fail_at(m, "a memo entry is used before it is set");
    return push(m, m->memo[index]);
}

/* An opcode whose argument of `type` goes to `call`. */
#define ARGUMENT_OPCODE(name, type, read, call)   \
    static enum hr_status name(struct machine *m) \
    {                                             \
        type argument;                            \
        HR_TRY(read(m->r, &argument));            \
        return call;                              \
    }
ARGUMENT_OPCODE(op_binput, uint8_t, hr_read_u8, memo_put(m, argument))
ARGUMENT_OPCODE(op_long_binput, uint32_t, hr_read_u32le, memo_put(m, argument))
ARGUMENT_OPCODE(op_binget, uint8_t, hr_read_u8, memo_get(m, argument))
ARGUMENT_OPCODE(op_long_binget, uint32_t, hr_read_u32le, memo_get(m, argument))

static enum hr_status op_memoize(struct machine *m)
{
    return memo_put(m, m->memo_count);
}

/* ---- Numbers ---- */

static enum hr_status push_int(struct machine *m, int64_t value)
{
    return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_INT, .integer = value });
}

static enum hr_status push_bool(struct machine *m, bool value)
{
    return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_BOOL, .integer = value });
}

/* Little-endian two's complement of any length. */
static enum hr_status push_long(struct machine *m, size_t size)
{
    struct hr_span raw;
    HR_TRY(hr_read_span(m->r, size, &raw));
    if (size > 8)
        return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_BYTES, .bytes = raw });
    uint64_t value = size > 0 && raw.data[size - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | raw.data[i - 1];
    return push_int(m, (int64_t)value);
}

ARGUMENT_OPCODE(op_binint, uint32_t, hr_read_u32le, push_int(m, (int32_t)argument))
ARGUMENT_OPCODE(op_binint1, uint8_t, hr_read_u8, push_int(m, argument))
ARGUMENT_OPCODE(op_binint2, uint16_t, hr_read_u16le, push_int(m, argument))
ARGUMENT_OPCODE(op_long1, uint8_t, hr_read_u8, push_long(m, argument))
ARGUMENT_OPCODE(op_long4, uint32_t, hr_read_u32le, push_long(m, argument))

static enum hr_status op_binfloat(struct machine *m)
{
    uint64_t bits;
    struct hr_pickle value = { .kind = HR_PICKLE_FLOAT };
    HR_TRY(hr_read_u64be(m->r, &bits));
    memcpy(&value.real, &bits, sizeof bits);
    return push_new(m, value);
}

/* A line of text for the text opcodes, zero-terminated; long ones are no numbers. */
static enum hr_status read_text_line(struct machine *m, char line[64])
{
    struct hr_span span;
    HR_TRY(hr_read_line(m->r, &span));
    if (span.size >= 64 || memchr(span.data, 0, span.size))
        return fail_at(m, "a number is too long");
    memcpy(line, span.data, span.size);
    line[span.size] = '\0';
    return HR_OK;
}

/* A whole number in text, with or without the L of old Pythons. */
static enum hr_status read_integer_line(struct machine *m, int64_t *value)
{
    char line[64];
    HR_TRY(read_text_line(m, line));
    const size_t length = strlen(line);
    if (length > 0 && line[length - 1] == 'L')
        line[length - 1] = '\0';
    if (hr_parse_i64(line, value) != HR_OK)
        return fail_at(m, "a line is no whole number");
    return HR_OK;
}

static enum hr_status op_int(struct machine *m)
{
    const size_t start = m->r->pos;
    int64_t value;
    HR_TRY(read_integer_line(m, &value));
    /* "00" and "01" are how protocol 0 writes booleans. */
    const bool boolean = m->r->pos - start == 3 && m->r->data[start] == '0';
    return boolean ? push_bool(m, value == 1) : push_int(m, value);
}

static enum hr_status op_long(struct machine *m)
{
    int64_t value;
    HR_TRY(read_integer_line(m, &value));
    return push_int(m, value);
}

static enum hr_status op_float(struct machine *m)
{
    char line[64];
    struct hr_pickle value = { .kind = HR_PICKLE_FLOAT };
    HR_TRY(read_text_line(m, line));
    if (hr_parse_f64(line, &value.real) != HR_OK)
        return fail_at(m, "a line is no number");
    return push_new(m, value);
}

static enum hr_status op_put_line(struct machine *m)
{
    int64_t index;
    HR_TRY(read_integer_line(m, &index));
    return index < 0 ? fail_at(m, "a memo index is negative") : memo_put(m, (uint64_t)index);
}

static enum hr_status op_get_line(struct machine *m)
{
    int64_t index;
    HR_TRY(read_integer_line(m, &index));
    return index < 0 ? fail_at(m, "a memo index is negative") : memo_get(m, (uint64_t)index);
}

static enum hr_status op_none(struct machine *m)
{
    return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_NONE });
}

static enum hr_status op_true(struct machine *m)
{
    return push_bool(m, true);
}

static enum hr_status op_false(struct machine *m)
{
    return push_bool(m, false);
}

/* ---- Strings and bytes ---- */

static enum hr_status push_span(struct machine *m, enum hr_pickle_kind kind, uint64_t size)
{
    struct hr_pickle value = { .kind = kind };
    if (size > hr_reader_left(m->r))
        return hr_fail(HR_E_FORMAT,
                       "%s: pickle: a string of %" PRIu64 " bytes at byte %zu, only %zu are left",
                       m->r->name, size, m->r->pos, hr_reader_left(m->r));
    HR_TRY(hr_read_span(m->r, (size_t)size, &value.bytes));
    return push_new(m, value);
}

ARGUMENT_OPCODE(op_string_1, uint8_t, hr_read_u8, push_span(m, HR_PICKLE_STRING, argument))
ARGUMENT_OPCODE(op_string_4, uint32_t, hr_read_u32le, push_span(m, HR_PICKLE_STRING, argument))
ARGUMENT_OPCODE(op_string_8, uint64_t, hr_read_u64le, push_span(m, HR_PICKLE_STRING, argument))
ARGUMENT_OPCODE(op_bytes_1, uint8_t, hr_read_u8, push_span(m, HR_PICKLE_BYTES, argument))
ARGUMENT_OPCODE(op_bytes_4, uint32_t, hr_read_u32le, push_span(m, HR_PICKLE_BYTES, argument))
ARGUMENT_OPCODE(op_bytes_8, uint64_t, hr_read_u64le, push_span(m, HR_PICKLE_BYTES, argument))
#undef ARGUMENT_OPCODE

static enum hr_status op_unicode_line(struct machine *m)
{
    struct hr_pickle value = { .kind = HR_PICKLE_STRING };
    HR_TRY(hr_read_line(m->r, &value.bytes));
    return push_new(m, value);
}

/* S'...': the quotes go; escapes stay as they are, as no tensor name needs them. */
static enum hr_status op_string_line(struct machine *m)
{
    struct hr_pickle value = { .kind = HR_PICKLE_STRING };
    HR_TRY(hr_read_line(m->r, &value.bytes));
    if (value.bytes.size < 2)
        return fail_at(m, "a string lacks its quotes");
    value.bytes.data++;
    value.bytes.size -= 2;
    return push_new(m, value);
}

/* ---- Containers ---- */

static enum hr_status op_mark(struct machine *m)
{
    HR_TRY(hr_mem_grow((void **)&m->marks, &m->mark_capacity, m->mark_count + 1, sizeof *m->marks));
    m->marks[m->mark_count++] = m->depth;
    return HR_OK;
}

static enum hr_status op_empty_dict(struct machine *m)
{
    return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_DICT });
}

static enum hr_status op_empty_list(struct machine *m)
{
    return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_LIST });
}

static enum hr_status op_empty_tuple(struct machine *m)
{
    return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_TUPLE });
}

/* The stack from `first` on becomes one container. */
static enum hr_status collect(struct machine *m, enum hr_pickle_kind kind, size_t first)
{
    struct hr_pickle container = { .kind = kind };
    if (kind == HR_PICKLE_DICT && (m->depth - first) % 2)
        return fail_at(m, "a dict has a key without a value");
    if (m->depth > first)
        HR_TRY(append(m, &container, m->stack + first, m->depth - first));
    m->depth = first;
    return push_new(m, container);
}

static enum hr_status collect_marked(struct machine *m, enum hr_pickle_kind kind)
{
    size_t first;
    HR_TRY(pop_mark(m, &first));
    return collect(m, kind, first);
}

static enum hr_status op_dict(struct machine *m)
{
    return collect_marked(m, HR_PICKLE_DICT);
}

static enum hr_status op_list(struct machine *m)
{
    return collect_marked(m, HR_PICKLE_LIST);
}

static enum hr_status op_tuple(struct machine *m)
{
    return collect_marked(m, HR_PICKLE_TUPLE);
}

static enum hr_status collect_top(struct machine *m, size_t count)
{
    if (m->depth < floor_of(m) + count)
        return fail_at(m, "the stack is empty");
    return collect(m, HR_PICKLE_TUPLE, m->depth - count);
}

static enum hr_status op_tuple1(struct machine *m)
{
    return collect_top(m, 1);
}

static enum hr_status op_tuple2(struct machine *m)
{
    return collect_top(m, 2);
}

static enum hr_status op_tuple3(struct machine *m)
{
    return collect_top(m, 3);
}

/* Moves the stack from `first` on into the container below it. */
static enum hr_status extend(struct machine *m, enum hr_pickle_kind kind, size_t first)
{
    const size_t count = m->depth - first;
    if (first <= floor_of(m) || m->stack[first - 1]->kind != kind)
        return fail_at(m, kind == HR_PICKLE_DICT ? "items are set on what is no dict"
                                                 : "items are appended to what is no list");
    if (kind == HR_PICKLE_DICT && count % 2)
        return fail_at(m, "a dict has a key without a value");
    HR_TRY(append(m, m->stack[first - 1], m->stack + first, count));
    m->depth = first;
    return HR_OK;
}

static enum hr_status extend_top(struct machine *m, enum hr_pickle_kind kind, size_t count)
{
    if (m->depth < floor_of(m) + count)
        return fail_at(m, "the stack is empty");
    return extend(m, kind, m->depth - count);
}

static enum hr_status extend_marked(struct machine *m, enum hr_pickle_kind kind)
{
    size_t first;
    HR_TRY(pop_mark(m, &first));
    return extend(m, kind, first);
}

static enum hr_status op_setitem(struct machine *m)
{
    return extend_top(m, HR_PICKLE_DICT, 2);
}

static enum hr_status op_setitems(struct machine *m)
{
    return extend_marked(m, HR_PICKLE_DICT);
}

static enum hr_status op_append(struct machine *m)
{
    return extend_top(m, HR_PICKLE_LIST, 1);
}

static enum hr_status op_appends(struct machine *m)
{
    return extend_marked(m, HR_PICKLE_LIST);
}

static enum hr_status op_pop(struct machine *m)
{
    struct hr_pickle *value;
    if (m->mark_count && m->depth == floor_of(m)) {
        m->mark_count--;
        return HR_OK;
    }
    return pop(m, &value);
}

static enum hr_status op_pop_mark(struct machine *m)
{
    return pop_mark(m, &m->depth);
}

static enum hr_status op_dup(struct machine *m)
{
    struct hr_pickle *value;
    HR_TRY(top(m, &value));
    return push(m, value);
}

/* ---- Objects, none of which is ever made ---- */

static bool printable(struct hr_span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return true;
}

static enum hr_status push_global(struct machine *m, struct hr_span module, struct hr_span name)
{
    if (module.size > 200 || name.size > 200 || !printable(module) || !printable(name))
        return fail_at(m, "the name of a global is too long or not text");
    const char *full =
        hr_arena_printf(m->arena, "%.*s.%.*s", (int)module.size, (const char *)module.data,
                        (int)name.size, (const char *)name.data);
    if (!full)
        return HR_E_MEMORY;
    bool known = strcmp(full, "collections.OrderedDict") == 0;
    for (size_t i = 0; i < m->allowed_count && !known; i++)
        known = strcmp(full, m->allowed[i]) == 0;
    if (!known)
        return hr_fail(HR_E_UNSUPPORTED,
                       "%s: the pickle asks for '%s', which weight files have no use for; nothing "
                       "was run. If you trust the file, save its plain state dict again",
                       m->r->name, full);
    const struct hr_span span = { (const uint8_t *)full, strlen(full) };
    return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_GLOBAL, .bytes = span });
}

static enum hr_status op_global(struct machine *m)
{
    struct hr_span module, name;
    HR_TRY(hr_read_line(m->r, &module));
    HR_TRY(hr_read_line(m->r, &name));
    return push_global(m, module, name);
}

static enum hr_status op_stack_global(struct machine *m)
{
    struct hr_pickle *module, *name;
    HR_TRY(pop(m, &name));
    HR_TRY(pop(m, &module));
    if (module->kind != HR_PICKLE_STRING || name->kind != HR_PICKLE_STRING)
        return fail_at(m, "the name of a global is no string");
    return push_global(m, module->bytes, name->bytes);
}

/* OrderedDict() or OrderedDict([(key, value), ...]). */
static enum hr_status push_ordered_dict(struct machine *m, const struct hr_pickle *args)
{
    struct hr_pickle dict = { .kind = HR_PICKLE_DICT };
    if (args->count > 0 && args->items[0]->kind == HR_PICKLE_LIST) {
        const struct hr_pickle *pairs = args->items[0];
        m->copied += pairs->count;
        if (m->copied > m->r->size)
            return fail_at(m, "ordered dicts are made of one list again and again");
        for (size_t i = 0; i < pairs->count; i++) {
            const struct hr_pickle *pair = pairs->items[i];
            if ((pair->kind != HR_PICKLE_TUPLE && pair->kind != HR_PICKLE_LIST) || pair->count != 2)
                return fail_at(m, "an ordered dict is made of what are no pairs");
            HR_TRY(append(m, &dict, pair->items, 2));
        }
    }
    return push_new(m, dict);
}

static enum hr_status op_reduce(struct machine *m)
{
    struct hr_pickle *callable, *args;
    HR_TRY(pop(m, &args));
    HR_TRY(pop(m, &callable));
    if (callable->kind != HR_PICKLE_GLOBAL || args->kind != HR_PICKLE_TUPLE)
        return fail_at(m, "a call of what is no known name");
    if (hr_pickle_is(callable, "collections.OrderedDict"))
        return push_ordered_dict(m, args);
    return push_new(
        m, (struct hr_pickle){ .kind = HR_PICKLE_OBJECT, .callable = callable, .args = args });
}

/* Dicts may carry attributes (torch's _metadata), which nobody needs. */
static enum hr_status op_build(struct machine *m)
{
    struct hr_pickle *state, *object;
    HR_TRY(pop(m, &state));
    HR_TRY(top(m, &object));
    if (object->kind == HR_PICKLE_OBJECT)
        object->state = state;
    else if (object->kind != HR_PICKLE_DICT)
        return fail_at(m, "state is given to what is no object");
    return HR_OK;
}

static enum hr_status op_binpersid(struct machine *m)
{
    struct hr_pickle *id;
    HR_TRY(pop(m, &id));
    return push_new(m, (struct hr_pickle){ .kind = HR_PICKLE_PERSISTENT, .args = id });
}

static opcode_fn *const opcodes[256] = {
    [0x80] = op_proto,      [0x95] = op_frame,      ['.'] = op_stop,      ['q'] = op_binput,
    ['r'] = op_long_binput, [0x94] = op_memoize,    ['h'] = op_binget,    ['j'] = op_long_binget,
    ['p'] = op_put_line,    ['g'] = op_get_line,    ['X'] = op_string_4,  [0x8c] = op_string_1,
    [0x8d] = op_string_8,   ['U'] = op_string_1,    ['T'] = op_string_4,  ['V'] = op_unicode_line,
    ['S'] = op_string_line, ['C'] = op_bytes_1,     ['B'] = op_bytes_4,   [0x8e] = op_bytes_8,
    [0x96] = op_bytes_8,    [0x8f] = op_empty_list, [0x90] = op_appends,  [0x91] = op_list,
    ['J'] = op_binint,      ['K'] = op_binint1,     ['M'] = op_binint2,   [0x8a] = op_long1,
    [0x8b] = op_long4,      ['G'] = op_binfloat,    ['I'] = op_int,       ['L'] = op_long,
    ['F'] = op_float,       [0x88] = op_true,       [0x89] = op_false,    ['N'] = op_none,
    ['('] = op_mark,        ['}'] = op_empty_dict,  ['d'] = op_dict,      ['s'] = op_setitem,
    ['u'] = op_setitems,    [']'] = op_empty_list,  ['l'] = op_list,      ['a'] = op_append,
    ['e'] = op_appends,     [')'] = op_empty_tuple, ['t'] = op_tuple,     [0x85] = op_tuple1,
    [0x86] = op_tuple2,     [0x87] = op_tuple3,     ['c'] = op_global,    [0x93] = op_stack_global,
    ['R'] = op_reduce,      ['b'] = op_build,       ['Q'] = op_binpersid, ['0'] = op_pop,
    ['1'] = op_pop_mark,    ['2'] = op_dup,
};

static enum hr_status run(struct machine *m, struct hr_pickle **out)
{
    while (!m->stopped) {
        uint8_t code;
        if (hr_reader_left(m->r) == 0)
            return fail_at(m, "the file ends in the middle");
        HR_TRY(hr_read_u8(m->r, &code));
        if (!opcodes[code])
            return hr_fail(HR_E_UNSUPPORTED,
                           "%s: pickle opcode 0x%02x at byte %zu is not allowed in weight files",
                           m->r->name, code, m->r->pos - 1);
        HR_TRY(opcodes[code](m));
    }
    return pop(m, out);
}

enum hr_status hr_pickle_load(struct hr_pickle **out, struct hr_arena *arena,
                              struct hr_reader *reader, const char *const *allowed,
                              size_t allowed_count)
{
    struct machine m = {
        .arena = arena, .r = reader, .allowed = allowed, .allowed_count = allowed_count
    };
    const enum hr_status status = run(&m, out);
    hr_mem_free(m.stack);
    hr_mem_free(m.marks);
    hr_mem_free(m.memo);
    return status;
}

bool hr_pickle_is(const struct hr_pickle *value, const char *text)
{
    const bool textual = value->kind == HR_PICKLE_STRING || value->kind == HR_PICKLE_BYTES ||
                         value->kind == HR_PICKLE_GLOBAL;
    return textual && value->bytes.size == strlen(text) &&
           memcmp(value->bytes.data, text, value->bytes.size) == 0;
}

bool hr_pickle_made_by(const struct hr_pickle *value, const char *callable)
{
    return value->kind == HR_PICKLE_OBJECT && hr_pickle_is(value->callable, callable);
}

struct hr_pickle *hr_pickle_get(const struct hr_pickle *dict, const char *key)
{
    for (size_t i = dict->kind == HR_PICKLE_DICT ? dict->count : 0; i >= 2; i -= 2)
        if (hr_pickle_is(dict->items[i - 2], key))
            return dict->items[i - 1];
    return NULL;
}

bool hr_pickle_seen(const struct hr_pickle *value)
{
    /* The mark belongs to whoever walks the tree; the value itself stays as it is. */
    struct hr_pickle *marked = (struct hr_pickle *)(uintptr_t)value;
    const bool seen = marked->seen;
    marked->seen = true;
    return seen;
}
