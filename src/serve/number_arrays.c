/* SPDX-License-Identifier: Apache-2.0
 * A scanner that knows strings, keys and brackets, and a reader of decimal numbers.
 *
 * Reading a number: up to 19 digits are an integer w and a power of ten, and (double)w times or
 * over a power of ten that a double holds exactly (10^22 at most) is wrong by two roundings, that
 * is by less than 2^-51 of itself.  It decides the nearest float unless it lies that close to the
 * middle between two; then, and for all else, strtof decides. */
#include "serve/number_arrays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MOST_EXACT_POWER 22
#define MOST_NUMBER      256 /* characters of one number */

struct scan {
    const char *at, *end;
    const char *begin;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_blanks(struct scan *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

/* ---- One number ---- */

static enum hr_status fail_number(const struct scan *s)
{
    return hr_fail(HR_E_FORMAT, "JSON: at byte %zu a number is wanted", (size_t)(s->at - s->begin));
}

/* Digits into *w, as long as it stays below 10^19; the others are only counted. */
static const char *read_digits(const char *at, const char *end, uint64_t *w, int *digits,
                               int *dropped)
{
    for (; at < end && is_digit(*at); at++)
        if (*digits < 19) {
            *w = *w * 10 + (uint64_t)(*at - '0');
            *digits += *w > 0;
        } else {
            ++*dropped;
        }
    return at;
}

static enum hr_status read_slowly(struct scan *s, const char *begin, float *out)
{
    char copy[MOST_NUMBER];
    const size_t length = (size_t)(s->at - begin);
    if (length >= sizeof copy)
        return hr_fail(HR_E_LIMIT, "JSON: at byte %zu a number has %zu characters",
                       (size_t)(begin - s->begin), length);
    memcpy(copy, begin, length);
    copy[length] = '\0';
    *out = strtof(copy, NULL);
    return isfinite(*out) ? HR_OK
                          : hr_fail(HR_E_FORMAT, "JSON: at byte %zu a number is too large",
                                    (size_t)(begin - s->begin));
}

/* Whether the double, which may be wrong in its last bits, decides the float. */
static bool decides(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int64_t from_middle = (int64_t)(bits & 0x1FFFFFFF) - 0x10000000;
    return value >= 0x1p-125 && value <= 0x1p127 && (from_middle > 8 || from_middle < -8);
}

static bool read_exponent(struct scan *s, const char **at, int *power)
{
    const char *p = *at;
    bool negative = false;
    int value = 0;
    if (p == s->end || (*p != 'e' && *p != 'E'))
        return true;
    p++;
    if (p < s->end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    if (p == s->end || !is_digit(*p))
        return false;
    for (; p < s->end && is_digit(*p); p++)
        value = value < 100000 ? value * 10 + (*p - '0') : value;
    *power += negative ? -value : value;
    *at = p;
    return true;
}

static enum hr_status read_number(struct scan *s, float *out)
{
    static const double powers[MOST_EXACT_POWER + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,
                                                         1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                         1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
                                                         1e18, 1e19, 1e20, 1e21, 1e22 };
    const char *begin = s->at, *at = begin;
    uint64_t w = 0;
    int digits = 0, dropped = 0, power = 0;
    const bool negative = at < s->end && *at == '-';
    at += negative;
    if (at == s->end || !is_digit(*at) || (*at == '0' && at + 1 < s->end && is_digit(at[1])))
        return fail_number(s);
    at = read_digits(at, s->end, &w, &digits, &dropped);
    power = dropped;
    if (at < s->end && *at == '.') {
        const char *fraction = at + 1;
        int more = 0;
        at = read_digits(fraction, s->end, &w, &digits, &more);
        if (at == fraction)
            return fail_number(s);
        power -= (int)(at - fraction) - more;
    }
    if (!read_exponent(s, &at, &power))
        return fail_number(s);
    s->at = at;
    if (w == 0) {
        *out = negative ? -0.0f : 0.0f;
        return HR_OK;
    }
    const double value = power < -MOST_EXACT_POWER || power > MOST_EXACT_POWER ? 0
                         : power < 0 ? (double)w / powers[-power]
                                     : (double)w * powers[power];
    if (!decides(value))
        return read_slowly(s, begin, out);
    *out = (float)(negative ? -value : value);
    return HR_OK;
}

/* ---- One array ---- */

/* Elements seen so far at each depth, and how many a whole array of that depth has. */
struct nest {
    size_t depth;
    int64_t seen[HR_ARRAY_MOST_RANK], whole[HR_ARRAY_MOST_RANK];
};

static void close_array(struct hr_number_array *a, struct nest *n)
{
    const size_t depth = --n->depth;
    if (n->whole[depth] < 0)
        n->whole[depth] = n->seen[depth];
    else if (n->whole[depth] != n->seen[depth])
        a->regular = false;
    if (depth > 0)
        n->seen[depth - 1]++;
}

static enum hr_status add_number(struct scan *s, struct hr_number_array *a, struct nest *n)
{
    if (a->count == a->capacity)
        HR_TRY(hr_mem_grow((void **)&a->values, &a->capacity, a->count + 1, sizeof *a->values));
    HR_TRY(read_number(s, &a->values[a->count]));
    a->count++;
    n->seen[n->depth - 1]++;
    if (a->rank == 0)
        a->rank = n->depth;
    a->regular = a->regular && a->rank == n->depth;
    return HR_OK;
}

/* One element: a number, or the beginning of an inner array.  *value tells whether it is whole. */
static enum hr_status read_element(struct scan *s, struct hr_number_array *a, struct nest *n,
                                   bool *value)
{
    *value = *s->at != '[';
    if (*value)
        return add_number(s, a, n);
    if (n->depth == HR_ARRAY_MOST_RANK)
        return hr_fail(HR_E_LIMIT, "JSON: arrays are nested deeper than %d", HR_ARRAY_MOST_RANK);
    n->seen[n->depth++] = 0;
    s->at++;
    return HR_OK;
}

/* From the opening bracket to behind the closing one. */
static enum hr_status read_array(struct scan *s, struct hr_number_array *a)
{
    struct nest n = { 0 };
    bool value = false; /* the last thing was a whole element: a comma or a bracket follows */
    for (size_t i = 0; i < HR_ARRAY_MOST_RANK; i++)
        n.whole[i] = -1;
    a->regular = true;
    do {
        skip_blanks(s);
        if (s->at == s->end)
            return hr_fail(HR_E_FORMAT, "JSON: an array does not end");
        if (value && *s->at == ',') {
            s->at++;
            skip_blanks(s);
            if (s->at == s->end || *s->at == ']')
                return fail_number(s);
            HR_TRY(read_element(s, a, &n, &value));
        } else if (*s->at == ']' && n.depth > 0) {
            s->at++;
            close_array(a, &n);
            value = true;
        } else if (!value) {
            HR_TRY(read_element(s, a, &n, &value));
        } else {
            return hr_fail(HR_E_FORMAT, "JSON: at byte %zu a comma or ] is wanted",
                           (size_t)(s->at - s->begin));
        }
    } while (n.depth > 0);
    memcpy(a->shape, n.whole, sizeof a->shape);
    return HR_OK;
}

/* ---- The rest ---- */

/* Behind the string that begins here; the end of the text if it does not end. */
static void skip_string(struct scan *s)
{
    for (s->at++; s->at < s->end; s->at++) {
        const char *stop = s->at;
        while (stop < s->end && *stop != '"' && *stop != '\\')
            stop++;
        s->at = stop;
        if (stop == s->end)
            return;
        if (*stop == '"') {
            s->at++;
            return;
        }
        s->at++; /* over what is escaped */
        if (s->at == s->end)
            return;
    }
}

static bool is_key(const char *text, size_t length, const char *const *keys)
{
    for (; *keys; keys++)
        if (strlen(*keys) == length && memcmp(*keys, text, length) == 0)
            return true;
    return false;
}

/* Behind a string: is it a wanted key before an array of numbers?  Then at the bracket. */
static bool at_array(struct scan *s, const char *string, const char *const *keys)
{
    struct scan ahead = *s;
    if (s->at - string < 2 || !is_key(string + 1, (size_t)(s->at - string) - 2, keys))
        return false;
    skip_blanks(&ahead);
    if (ahead.at == ahead.end || *ahead.at != ':')
        return false;
    ahead.at++;
    skip_blanks(&ahead);
    if (ahead.at == ahead.end || *ahead.at != '[')
        return false;
    s->at = ahead.at;
    while (ahead.at < ahead.end && (*ahead.at == '[' || is_blank(*ahead.at)))
        ahead.at++;
    return ahead.at < ahead.end && (is_digit(*ahead.at) || *ahead.at == '-');
}

static enum hr_status cut_array(struct hr_number_arrays *out, struct scan *s)
{
    HR_TRY(hr_mem_grow((void **)&out->items, &out->capacity, out->count + 1, sizeof *out->items));
    struct hr_number_array *a = &out->items[out->count];
    *a = (struct hr_number_array){ 0 };
    out->count++;
    HR_TRY(read_array(s, a));
    hr_text_printf(&out->text, "[%zu]", out->count - 1);
    return out->text.status;
}

enum hr_status hr_number_arrays_cut(struct hr_number_arrays *out, const char *json, size_t size,
                                    const char *const *keys)
{
    struct scan s = { .at = json, .end = json + size, .begin = json };
    const char *copied = json; /* up to here the text is in the output */
    while (s.at < s.end) {
        const char *quote = memchr(s.at, '"', (size_t)(s.end - s.at));
        if (!quote)
            break;
        s.at = quote;
        skip_string(&s);
        if (!at_array(&s, quote, keys))
            continue;
        hr_text_add_bytes(&out->text, copied, (size_t)(s.at - copied));
        HR_TRY(cut_array(out, &s));
        copied = s.at;
    }
    hr_text_add_bytes(&out->text, copied, (size_t)(s.end - copied));
    return out->text.status;
}

void hr_number_arrays_fini(struct hr_number_arrays *arrays)
{
    for (size_t i = 0; i < arrays->count; i++)
        hr_mem_free(arrays->items[i].values);
    hr_mem_free(arrays->items);
    hr_text_fini(&arrays->text);
    *arrays = (struct hr_number_arrays){ 0 };
}
