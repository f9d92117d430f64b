/* SPDX-License-Identifier: Apache-2.0
 * A reader of Python's literals (language reference, section 2.4 and displays of 6.2).  What it
 * does not know, sets, bytes, complex numbers, calls, makes the whole a text. */
#include "cli/literal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER 64 /* bytes of a number; longer ones are text */

struct reader {
    const char *at;
    struct hr_arena *arena;
    const struct hr_value *whole; /* origin and line of all */
    enum hr_status status;        /* out of memory, too deep; otherwise just no literal */
};

static bool read_value(struct reader *r, struct hr_value *out, int depth);

static void skip_blanks(struct reader *r)
{
    r->at += strspn(r->at, " \t\r\n");
}

static bool take(struct reader *r, char c)
{
    skip_blanks(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

/* ---- Scalars ---- */

static bool read_word(struct reader *r, struct hr_value *out)
{
    static const struct {
        const char *word;
        enum hr_value_kind kind;
        int64_t integer;
    } words[] = { { "None", HR_VALUE_NULL, 0 },
                  { "True", HR_VALUE_BOOL, 1 },
                  { "False", HR_VALUE_BOOL, 0 } };
    const size_t length =
        strspn(r->at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    for (size_t i = 0; i < HR_COUNT(words); i++)
        if (strlen(words[i].word) == length && memcmp(words[i].word, r->at, length) == 0) {
            out->kind = words[i].kind;
            out->integer = words[i].integer;
            r->at += length;
            return true;
        }
    return false;
}

/* Digits with single underscores between them, which are left out.  Returns their count. */
static size_t digits(const char **at, const char *set, char *to, size_t *size)
{
    size_t count = 0;
    while (*size + 1 < NUMBER && **at &&
           (strchr(set, **at) || (**at == '_' && count > 0 && (*at)[1] && strchr(set, (*at)[1])))) {
        if (**at != '_') {
            to[(*size)++] = **at;
            count++;
        }
        ++*at;
    }
    return count;
}

static bool based(const char **at, struct hr_value *out, bool minus)
{
    static const struct {
        char letter;
        const char *set;
        int base;
    } bases[] = { { 'x', "0123456789abcdefABCDEF", 16 }, { 'o', "01234567", 8 }, { 'b', "01", 2 } };
    char text[NUMBER];
    size_t size = 0;
    for (size_t i = 0; i < HR_COUNT(bases); i++) {
        const char *from = *at + 2;
        if ((*at)[0] != '0' || ((*at)[1] | 32) != bases[i].letter ||
            digits(&from, bases[i].set, text, &size) == 0 || size > 15)
            continue;
        text[size] = '\0';
        out->kind = HR_VALUE_INT;
        out->integer = strtoll(text, NULL, bases[i].base) * (minus ? -1 : 1);
        *at = from;
        return true;
    }
    return false;
}

static bool read_number(struct reader *r, struct hr_value *out)
{
    char text[NUMBER + 8];
    const char *at = r->at;
    size_t size = 0, whole, part = 0;
    const bool sign = *at == '-' || *at == '+', minus = *at == '-';
    at += sign;
    if (based(&at, out, minus)) {
        out->real = (double)out->integer;
        r->at = at;
        return true;
    }
    if (minus)
        text[size++] = '-';
    whole = digits(&at, "0123456789", text, &size);
    bool real = *at == '.';
    if (real && size + 1 < NUMBER) {
        text[size++] = *at++;
        part = digits(&at, "0123456789", text, &size);
    }
    if (whole + part == 0 || (!real && whole > 1 && text[minus] == '0'))
        return false; /* 007 is no number in Python 3 */
    if ((*at | 32) == 'e' && size + 2 < NUMBER) {
        text[size++] = 'e';
        at++;
        if ((*at == '-' || *at == '+'))
            text[size++] = *at++;
        if (digits(&at, "0123456789", text, &size) == 0)
            return false;
        real = true;
    }
    text[size] = '\0';
    if (!real && hr_parse_i64(text, &out->integer) == HR_OK) {
        out->kind = HR_VALUE_INT;
        out->real = (double)out->integer;
    } else {
        out->kind = HR_VALUE_REAL;
        out->real = strtod(text, NULL);
    }
    r->at = at;
    return isfinite(out->real);
}

/* Code point -> UTF-8; 0 for what is none or a zero byte. */
static size_t put_utf8(char to[4], unsigned long code)
{
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    const size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)("\0\xc0\xe0\xf0"[more] | (char)code);
    return more + 1;
}

/* Behind a backslash: appends what it stands for.  False for what this reader does not know. */
static bool read_escape(struct reader *r, char *to, size_t *size)
{
    static const char letters[] = "n\nt\tr\r\\\\''\"\"";
    static const struct {
        char letter;
        size_t digits;
    } codes[] = { { 'x', 2 }, { 'u', 4 }, { 'U', 8 } };
    const char letter = *r->at++;
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (letter == letters[i]) {
            to[(*size)++] = letters[i + 1];
            return true;
        }
    for (size_t i = 0; i < HR_COUNT(codes); i++) {
        char text[9] = "";
        if (letter != codes[i].letter || strspn(r->at, "0123456789abcdefABCDEF") < codes[i].digits)
            continue;
        memcpy(text, r->at, codes[i].digits);
        const size_t bytes = put_utf8(to + *size, strtoul(text, NULL, 16));
        *size += bytes;
        r->at += codes[i].digits;
        return bytes > 0;
    }
    return false;
}

static bool read_string(struct reader *r, struct hr_value *out)
{
    const char quote = *r->at++;
    char *text = hr_arena_alloc(r->arena, strlen(r->at) + 1, 1);
    size_t size = 0;
    if (!text) {
        r->status = HR_E_MEMORY;
        return false;
    }
    while (*r->at && *r->at != quote && *r->at != '\n') {
        if (*r->at != '\\')
            text[size++] = *r->at++;
        else if (r->at++, !*r->at || !read_escape(r, text, &size))
            return false;
    }
    if (*r->at != quote)
        return false;
    r->at++;
    text[size] = '\0';
    out->kind = HR_VALUE_TEXT;
    out->text = text;
    return true;
}

/* ---- Lists, tuples, dicts ---- */

static struct hr_value *read_item(struct reader *r, int depth)
{
    struct hr_value *item =
        hr_value_make(r->arena, HR_VALUE_NULL, r->whole->origin, r->whole->line);
    const char *const from = r->at + strspn(r->at, " \t\r\n");
    if (!item) {
        r->status = HR_E_MEMORY;
        return NULL;
    }
    if (!read_value(r, item, depth))
        return NULL;
    if (!item->text) {
        item->text = hr_arena_printf(r->arena, "%.*s", (int)(r->at - from), from);
        r->status = item->text ? r->status : HR_E_MEMORY;
    }
    return item->text ? item : NULL;
}

static bool read_entry(struct reader *r, struct hr_value *out, int depth)
{
    struct hr_value *item = read_item(r, depth);
    const char *key = NULL;
    if (item && out->kind == HR_VALUE_MAP) {
        key = item->text;
        item = item->kind < HR_VALUE_LIST && take(r, ':') ? read_item(r, depth) : NULL;
    }
    if (!item)
        return false;
    r->status = hr_value_add(out, r->arena, key, item);
    return r->status == HR_OK;
}

static bool read_display(struct reader *r, struct hr_value *out, char end, int depth)
{
    bool comma = true;
    r->at++;
    out->kind = end == '}' ? HR_VALUE_MAP : HR_VALUE_LIST;
    if (depth >= HR_VALUE_DEPTH) {
        r->status = hr_fail(HR_E_LIMIT, "%s:%d: lists nest deeper than %d", r->whole->origin,
                            r->whole->line, HR_VALUE_DEPTH);
        return false;
    }
    while (!take(r, end)) {
        if (!comma || !read_entry(r, out, depth + 1))
            return false;
        comma = take(r, ',');
    }
    return end != ')' || comma || out->count != 1; /* (1) is a number in parentheses */
}

static bool read_value(struct reader *r, struct hr_value *out, int depth)
{
    skip_blanks(r);
    switch (*r->at) {
    case '[':
        return read_display(r, out, ']', depth);
    case '(':
        return read_display(r, out, ')', depth);
    case '{':
        return read_display(r, out, '}', depth);
    case '\'':
    case '"':
        return read_string(r, out);
    default:
        return read_word(r, out) || read_number(r, out);
    }
}

enum hr_status hr_literal_parse(struct hr_value *value, struct hr_arena *arena, int depth)
{
    struct reader r = { .at = value->text, .arena = arena, .whole = value };
    struct hr_value read = { .origin = value->origin, .line = value->line };
    bool whole = value->text[0] != '\0' && read_value(&r, &read, depth);
    skip_blanks(&r);
    whole = whole && *r.at == '\0';
    if (r.status != HR_OK)
        return r.status;
    value->kind = HR_VALUE_TEXT;
    if (whole) {
        read.repeated = value->repeated;
        read.text = read.text ? read.text : value->text;
        *value = read;
    }
    return HR_OK;
}

/* ---- Arithmetic ---- */

static bool read_sum(const char **at, double *out, int depth);

static bool read_factor(const char **at, double *out, int depth)
{
    *at += strspn(*at, " ");
    if (**at == '-' || **at == '+') {
        const double sign = *(*at)++ == '-' ? -1.0 : 1.0;
        const bool read = depth < HR_VALUE_DEPTH && read_factor(at, out, depth + 1);
        *out *= sign;
        return read;
    }
    if (**at == '(') {
        ++*at;
        if (depth >= HR_VALUE_DEPTH || !read_sum(at, out, depth + 1) || **at != ')')
            return false;
        ++*at;
    } else {
        struct reader r = { .at = *at };
        struct hr_value number = { 0 };
        if (!read_number(&r, &number))
            return false;
        *out = number.real;
        *at = r.at;
    }
    *at += strspn(*at, " ");
    return true;
}

static bool read_product(const char **at, double *out, int depth)
{
    if (!read_factor(at, out, depth))
        return false;
    while (**at == '*' || **at == '/') {
        const char sign = *(*at)++;
        double other = 0.0;
        if (!read_factor(at, &other, depth) || (sign == '/' && other == 0.0))
            return false;
        *out = sign == '*' ? *out * other : *out / other;
    }
    return true;
}

static bool read_sum(const char **at, double *out, int depth)
{
    if (!read_product(at, out, depth))
        return false;
    while (**at == '+' || **at == '-') {
        const char sign = *(*at)++;
        double other = 0.0;
        if (!read_product(at, &other, depth))
            return false;
        *out += sign == '+' ? other : -other;
    }
    return true;
}

bool hr_literal_arithmetic(const char *text, double *out)
{
    double value = 0.0;
    if (!read_sum(&text, &value, 0) || *text || !isfinite(value))
        return false;
    *out = value;
    return true;
}
