/* SPDX-License-Identifier: Apache-2.0
 * Lists are JSON; a failure of jansson is told apart from text that is none. */
#include "model/model_metadata.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static enum hr_status set_json(struct hr_store *store, const char *key, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    const enum hr_status status =
        text ? hr_store_set_meta(store, key, text) : hr_fail(HR_E_MEMORY, "out of memory");
    free(text);
    json_decref(value);
    return status;
}

/* ---- Labels ---- */

enum hr_status hr_labels_from_json(struct hr_labels *out, const char *text)
{
    json_t *list = json_loads(text, 0, NULL), *item;
    enum hr_status status = HR_OK;
    size_t i;
    if (!json_is_array(list)) {
        json_decref(list);
        return hr_fail(HR_E_FORMAT, "metadata hrnet.labels is no JSON list");
    }
    const char **names = hr_mem_alloc(json_array_size(list), sizeof *names);
    if (!names)
        status = HR_E_MEMORY;
    json_array_foreach(list, i, item)
    {
        if (status == HR_OK && !json_is_string(item))
            status = hr_fail(HR_E_FORMAT, "metadata hrnet.labels: entry %zu is no text", i);
        if (status != HR_OK)
            break;
        names[i] = json_string_value(item);
    }
    if (status == HR_OK)
        status = hr_labels_copy(out, names, json_array_size(list));
    hr_mem_free(names);
    json_decref(list);
    return status;
}

enum hr_status hr_model_set_labels(struct hr_store *store, const struct hr_labels *labels)
{
    json_t *list = json_array();
    for (size_t i = 0; i < labels->count; i++) {
        if (json_array_append_new(list, json_string(labels->names[i])) != 0) {
            json_decref(list);
            return hr_utf8_valid(labels->names[i], strlen(labels->names[i]))
                       ? hr_fail(HR_E_MEMORY, "out of memory")
                       : hr_fail(HR_E_FORMAT, "label %zu is not UTF-8", i);
        }
    }
    return set_json(store, "hrnet.labels", list);
}

/* ---- The self test ---- */

enum hr_status hr_self_test_from_json(float **out, const char *text, int count)
{
    json_t *list = json_loads(text, 0, NULL), *item;
    float *numbers = NULL;
    size_t i;
    bool valid = json_is_array(list) && json_array_size(list) == (size_t)count;
    if (valid && !(numbers = hr_mem_alloc((size_t)count, sizeof *numbers))) {
        json_decref(list);
        return HR_E_MEMORY;
    }
    json_array_foreach(list, i, item)
    {
        valid = valid && json_is_number(item);
        if (!valid)
            break;
        numbers[i] = (float)json_number_value(item);
    }
    json_decref(list);
    if (!valid) {
        hr_mem_free(numbers);
        return hr_fail(HR_E_FORMAT, "metadata hrnet.self_test is no list of %d numbers", count);
    }
    *out = numbers;
    return HR_OK;
}

enum hr_status hr_model_set_self_test(struct hr_store *store, const float *logits, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        if (json_array_append_new(list, json_real((double)logits[i])) != 0) {
            json_decref(list);
            return hr_fail(HR_E_MEMORY, "out of memory");
        }
    }
    return set_json(store, "hrnet.self_test", list);
}

/* ---- The recipe ---- */

enum hr_status hr_model_set_recipe(struct hr_store *store, const struct hr_recipe *recipe)
{
    struct hr_text text = { 0 };
    hr_recipe_print(recipe, &text);
    enum hr_status status = text.status;
    if (status == HR_OK)
        status = hr_store_set_meta(store, "hrnet.recipe", hr_text_str(&text));
    hr_text_fini(&text);
    return status;
}
