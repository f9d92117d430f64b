/* SPDX-License-Identifier: Apache-2.0
 * jansson refuses text that is not UTF-8; file names and labels need not be. */
#include "serve/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

json_t *hr_json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    char *copy = hr_mem_strdup(text);
    for (char *at = copy; at && *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    value = json_string(copy ? copy : "");
    hr_mem_free(copy);
    return value;
}

void hr_json_answer(struct hr_call *call, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (text)
        hr_call_text(call, "application/json", text);
    else
        hr_call_fail_code(call, 503, "out of memory");
    free(text);
}

enum hr_status hr_json_object(json_t **out, const char *text, size_t size)
{
    json_error_t error;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        return hr_fail(HR_E_FORMAT, "the body is no JSON: %.120s (line %d)", error.text,
                       error.line);
    if (!json_is_object(value)) {
        json_decref(value);
        return hr_fail(HR_E_FORMAT, "the body must be a JSON object");
    }
    *out = value;
    return HR_OK;
}

enum hr_status hr_json_string_member(const json_t *object, const char *key, const char **out)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value))
        return HR_OK;
    if (!json_is_string(value))
        return hr_fail(HR_E_ARGUMENT, "'%s' must be a string", key);
    *out = json_string_value(value);
    return HR_OK;
}
