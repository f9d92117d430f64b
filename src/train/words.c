/* SPDX-License-Identifier: Apache-2.0
 * Settings in one line.  Knows numbers and names, not what they mean. */
#include "train/words.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

#define PART      256 /* bytes of a "key=value" or a number: longer ones are not understood */
#define MAX_WORDS 16

bool hr_words_next(const char **text, char separator, char *part, size_t size)
{
    if (!*text)
        return false;
    const char *const end = strchr(*text, separator);
    const size_t length = end ? (size_t)(end - *text) : strlen(*text);
    const size_t kept = length < size ? length : size - 1;
    memcpy(part, *text, kept);
    part[kept] = '\0';
    *text = end ? end + 1 : NULL;
    return true;
}

enum hr_status hr_words_choose(const char *what, const char *text, const char *const *names,
                               size_t count, size_t *out)
{
    char name[PART] = "";
    hr_words_next(&text, ':', name, sizeof name);
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = i;
            return HR_OK;
        }
    const char *const near = hr_nearest_name(name, names, count);
    return hr_fail(HR_E_ARGUMENT, "%s '%s' is not known%s%s", what, name,
                   near ? ": did you mean " : "", near ? near : "");
}

static enum hr_status real(const char *what, const char *key, const char *text, double *out)
{
    if (hr_parse_f64(text, out) != HR_OK || !isfinite(*out))
        return hr_fail(HR_E_ARGUMENT, "%s: %s is '%s', a finite number is wanted", what, key, text);
    return HR_OK;
}

static enum hr_status reals(const char *what, const char *key, const char *text,
                            struct hr_reals *out)
{
    char part[PART];
    out->count = 0;
    while (hr_words_next(&text, '/', part, sizeof part)) {
        if (out->count == HR_MAX_REALS)
            return hr_fail(HR_E_ARGUMENT, "%s: %s has more than %d numbers", what, key,
                           HR_MAX_REALS);
        HR_TRY(real(what, key, part, &out->values[out->count]));
        out->count++;
    }
    return HR_OK;
}

static enum hr_status set_one(const char *what, const struct hr_word *w, const char *value)
{
    if (w->kind == HR_WORD_SWITCH) {
        if (value && strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
            return hr_fail(HR_E_ARGUMENT, "%s: %s is '%s', 0 or 1 is wanted", what, w->key, value);
        *(bool *)w->value = !value || value[0] == '1';
        return HR_OK;
    }
    if (!value)
        return hr_fail(HR_E_ARGUMENT, "%s: '%s' needs a value: %s=NUMBER", what, w->key, w->key);
    return w->kind == HR_WORD_REAL ? real(what, w->key, value, w->value)
                                   : reals(what, w->key, value, w->value);
}

static enum hr_status unknown(const char *what, const char *key, const struct hr_word *words,
                              size_t count)
{
    const char *names[MAX_WORDS];
    for (size_t i = 0; i < count && i < MAX_WORDS; i++)
        names[i] = words[i].key;
    const char *const near = hr_nearest_name(key, names, count < MAX_WORDS ? count : MAX_WORDS);
    return hr_fail(HR_E_ARGUMENT, "%s has no '%s'%s%s", what, key, near ? ": did you mean " : "",
                   near ? near : "");
}

enum hr_status hr_words_set(const char *what, const char *text, const struct hr_word *words,
                            size_t count)
{
    const char *rest = strchr(text, ':');
    char part[PART];
    rest = rest ? rest + 1 : NULL;
    while (hr_words_next(&rest, ',', part, sizeof part)) {
        char *const equals = strchr(part, '=');
        size_t i = 0;
        if (equals)
            *equals = '\0';
        while (i < count && strcmp(words[i].key, part) != 0)
            i++;
        if (i == count)
            return unknown(what, part, words, count);
        HR_TRY(set_one(what, &words[i], equals ? equals + 1 : NULL));
    }
    return HR_OK;
}
