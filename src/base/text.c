/* SPDX-License-Identifier: Apache-2.0
 * Text: a string builder, strict numbers, natural order, UTF-8.
 * The one idea: what a user or file wrote is a number only if the whole of it is one, whatever
 * the locale. */
#include "base/text.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Room for `more` bytes and the zero; false when the text has failed. */
static bool make_room(struct hr_text *t, size_t more)
{
    if (t->status != HR_OK) {
        return false;
    }
    size_t need;
    if (!hr_size_add(&need, t->size, more) || !hr_size_add(&need, need, 1)) {
        t->status = hr_fail(HR_E_MEMORY, "out of memory: a text of more than %zu bytes", t->size);
        return false;
    }
    void *block = t->data;
    t->status = hr_mem_grow(&block, &t->capacity, need, 1);
    t->data = block;
    return t->status == HR_OK;
}

void hr_text_add_bytes(struct hr_text *t, const char *text, size_t size)
{
    if (!make_room(t, size)) {
        return;
    }
    if (size > 0) {
        memcpy(t->data + t->size, text, size);
    }
    t->size += size;
    t->data[t->size] = '\0';
}

void hr_text_add(struct hr_text *t, const char *text)
{
    hr_text_add_bytes(t, text, strlen(text));
}

void hr_text_printf(struct hr_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0 && t->status == HR_OK) {
        t->status = hr_fail(HR_E_INTERNAL, "a text of the program cannot be formatted");
    }
    if (size >= 0 && make_room(t, (size_t)size)) {
        (void)vsnprintf(t->data + t->size, (size_t)size + 1, format, again);
        t->size += (size_t)size;
    }
    va_end(again);
}

const char *hr_text_str(const struct hr_text *t)
{
    return t->data ? t->data : "";
}

enum hr_status hr_text_take(struct hr_text *t, char **out)
{
    hr_text_add_bytes(t, "", 0); /* an empty text is taken as "" */
    if (t->status != HR_OK) {
        return t->status;
    }
    *out = t->data;
    *t = (struct hr_text){ 0 };
    return HR_OK;
}

void hr_text_fini(struct hr_text *t)
{
    hr_mem_free(t->data);
    *t = (struct hr_text){ 0 };
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits only, at least one; false on overflow too.  *end is the first byte behind them. */
static bool parse_digits(const char *text, uint64_t *out, const char **end)
{
    uint64_t value = 0;
    const char *p = text;
    for (; is_digit(*p); p++) {
        const uint64_t digit = (uint64_t)(*p - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    *end = p;
    return p != text;
}

enum hr_status hr_parse_i64(const char *text, int64_t *out)
{
    const bool negative = *text == '-';
    const char *digits = text + (negative || *text == '+');
    const uint64_t limit = (uint64_t)INT64_MAX + negative;
    uint64_t value = 0;
    const char *end = NULL;
    if (!parse_digits(digits, &value, &end)) {
        return hr_fail(HR_E_ARGUMENT, "'%.80s' is not a whole number%s", text,
                       is_digit(*digits) ? " of 64 bits" : "");
    }
    if (*end) {
        return hr_fail(HR_E_ARGUMENT, "'%.80s' is not a whole number", text);
    }
    if (value > limit) {
        return hr_fail(HR_E_ARGUMENT, "'%.80s' is not a whole number of 64 bits", text);
    }
    if (negative) {
        *out = value == limit ? INT64_MIN : -(int64_t)value;
    } else {
        *out = (int64_t)value;
    }
    return HR_OK;
}

/* [+-]digits[.digits][e[+-]digits], with at least one digit before the exponent. */
static bool looks_like_decimal(const char *p)
{
    p += *p == '-' || *p == '+';
    size_t digits = 0;
    for (; is_digit(*p); p++) {
        digits++;
    }
    if (*p == '.') {
        for (p++; is_digit(*p); p++) {
            digits++;
        }
    }
    if (digits == 0) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        if (!is_digit(*p)) {
            return false;
        }
        while (is_digit(*p)) {
            p++;
        }
    }
    return *p == '\0';
}

enum hr_status hr_parse_f64(const char *text, double *out)
{
    if (!looks_like_decimal(text)) {
        return hr_fail(HR_E_ARGUMENT, "'%.80s' is not a number", text);
    }
    /* strtod reads the locale's decimal point: give it that one. */
    const char *local_point = localeconv()->decimal_point;
    struct hr_text local = { 0 };
    const char *point = strchr(text, '.');
    if (point && strcmp(local_point, ".") != 0) {
        hr_text_add_bytes(&local, text, (size_t)(point - text));
        hr_text_add(&local, local_point);
        hr_text_add(&local, point + 1);
    }
    if (local.status != HR_OK) {
        const enum hr_status status = local.status;
        hr_text_fini(&local);
        return status;
    }
    const double value = strtod(local.data ? local.data : text, NULL);
    hr_text_fini(&local);
    if (value > 1.7976931348623157e308 || value < -1.7976931348623157e308) {
        return hr_fail(HR_E_ARGUMENT, "'%.80s' is too large for a number of 64 bits", text);
    }
    *out = value;
    return HR_OK;
}

enum hr_status hr_parse_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    uint64_t value = 0;
    const char *end = NULL;
    if (parse_digits(text, &value, &end)) {
        unsigned shift = 0;
        const char upper = *end >= 'a' && *end <= 'z' ? (char)(*end - 'a' + 'A') : *end;
        const char *unit = upper ? strchr(units, upper) : NULL;
        if (unit) {
            shift = 10 * (unsigned)(unit - units + 1);
            end++;
        }
        if (*end == '\0' && value <= UINT64_MAX >> shift) {
            *out = value << shift;
            return HR_OK;
        }
    }
    return hr_fail(HR_E_ARGUMENT,
                   "'%.80s' is not a size in bytes; write it like 4096, 64K, 10M, 2G", text);
}

/* The run of digits at *p without its leading zeros; *p moves behind it. */
static size_t skip_number(const char **p, const char **digits)
{
    while (**p == '0' && is_digit((*p)[1])) {
        (*p)++;
    }
    *digits = *p;
    while (is_digit(**p)) {
        (*p)++;
    }
    return (size_t)(*p - *digits);
}

int hr_natural_compare(const char *a, const char *b)
{
    const char *p = a, *q = b;
    while (*p && *q) {
        if (is_digit(*p) && is_digit(*q)) {
            const char *left = NULL, *right = NULL;
            const size_t left_size = skip_number(&p, &left);
            const size_t right_size = skip_number(&q, &right);
            if (left_size != right_size) {
                return left_size < right_size ? -1 : 1;
            }
            const int order = memcmp(left, right, left_size);
            if (order) {
                return order < 0 ? -1 : 1;
            }
            continue;
        }
        if (*p != *q) {
            return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
        }
        p++;
        q++;
    }
    if (*p || *q) {
        return *p ? 1 : -1;
    }
    const int order = strcmp(a, b); /* "a01" and "a1" differ all the same */
    return (order > 0) - (order < 0);
}

bool hr_text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool hr_text_ends(const char *text, const char *suffix)
{
    const size_t size = strlen(text), tail = strlen(suffix);
    return size >= tail && memcmp(text + size - tail, suffix, tail) == 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool hr_text_same(const char *a, const char *b)
{
    for (; *a && lower(*a) == lower(*b); a++) {
        b++;
    }
    return lower(*a) == lower(*b);
}

#define NEAREST_BYTES 128 /* longer names get no hint; the row buffer is this long */

/* Levenshtein distance, case folded, one row at a time (Wagner and Fischer 1974). */
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t row[NEAREST_BYTES + 1];
    for (size_t j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const size_t replaced = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            const size_t shorter = row[j - 1] < row[j] ? row[j - 1] : row[j];
            diagonal = row[j];
            row[j] = replaced < shorter + 1 ? replaced : shorter + 1;
        }
    }
    return row[b_size];
}

const char *hr_nearest_name(const char *name, const char *const *names, size_t count)
{
    const size_t size = strlen(name);
    if (size == 0 || size > NEAREST_BYTES) {
        return NULL;
    }
    const char *best = NULL;
    size_t best_distance = (size + 2) / 3 + 1; /* two swapped letters of a short word count */
    for (size_t i = 0; i < count; i++) {
        const size_t other = strlen(names[i]);
        if (other > NEAREST_BYTES) {
            continue;
        }
        const size_t distance = edit_distance(name, size, names[i], other);
        if (distance < best_distance) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}

/* Bytes of the well-formed character at p[0..left), or 0 (RFC 3629, section 4). */
static size_t utf8_character(const uint8_t *p, size_t left)
{
    const uint8_t c = p[0];
    if (c < 0x80) {
        return 1;
    }
    const size_t size = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (size == 0 || size > left) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const bool overlong = (c == 0xe0 && p[1] < 0xa0) || (c == 0xf0 && p[1] < 0x90);
    const bool surrogate = c == 0xed && p[1] >= 0xa0;
    const bool beyond = c == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : size;
}

bool hr_utf8_valid(const char *text, size_t size)
{
    const uint8_t *p = (const uint8_t *)text;
    while (size > 0) {
        const size_t step = utf8_character(p, size);
        if (step == 0) {
            return false;
        }
        p += step;
        size -= step;
    }
    return true;
}
