/* SPDX-License-Identifier: Apache-2.0
 * jansson refuses text that is not UTF-8; file names and labels need not be. */
#include "serve/json.h"

#include <string.h>

#include "base/mem.h"
#include "serve/json_memory.h"

json_t *hr_json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    char *copy = hr_mem_strdup(text);
    if (!copy) {
        hr_json_memory_note();
        return NULL;
    }
    for (char *at = copy; *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    value = json_string(copy);
    hr_mem_free(copy);
    return value;
}

json_t *hr_json_text_of(const struct hr_text *text)
{
    if (text->status == HR_OK)
        return hr_json_text(hr_text_str(text));
    hr_json_memory_note();
    return NULL;
}

void hr_json_answer(struct hr_call *call, json_t *value)
{
    char *text = hr_json_dump(value);
    json_decref(value);
    if (text)
        hr_call_text(call, "application/json", text);
    else
        hr_call_fail_code(call, 503, "out of memory");
    hr_json_release(text);
}

enum hr_status hr_json_object(json_t **out, const char *text, size_t size)
{
    json_t *value;
    HR_TRY(hr_json_parse(&value, text, size));
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
