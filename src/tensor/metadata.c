/* SPDX-License-Identifier: Apache-2.0
 * A store's string metadata as a JSON object: the text that safetensors keeps as __metadata__, and
 * that our Paddle and PyTorch files carry where their own loaders do not look. */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "tensor/formats.h"

enum hr_status hr_metadata_add(struct hr_store *store, const json_t *object, const char *file)
{
    if (!json_is_object(object))
        return hr_fail(HR_E_FORMAT, "%s: the metadata is not a JSON object", file);
    for (void *at = json_object_iter((json_t *)(uintptr_t)object); at;
         at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
        const char *key = json_object_iter_key(at);
        const char *text = json_string_value(json_object_iter_value(at));
        if (!text)
            return hr_fail(HR_E_FORMAT, "%s: metadata '%.200s' is not a string", file, key);
        HR_TRY(hr_store_set_meta(store, key, text));
    }
    return HR_OK;
}

enum hr_status hr_metadata_parse(struct hr_store *store, struct hr_span text, const char *file)
{
    json_error_t error;
    json_t *object = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    const enum hr_status status =
        object
            ? hr_metadata_add(store, object, file)
            : hr_fail(HR_E_FORMAT, "%s: its " HR_METADATA_NAME " is damaged: %s", file, error.text);
    json_decref(object);
    return status;
}

enum hr_status hr_metadata_object(json_t **out, const struct hr_store *store)
{
    json_t *object = json_object();
    enum hr_status status = object ? HR_OK : hr_fail(HR_E_MEMORY, "out of memory");
    for (size_t i = 0; i < hr_store_meta_count(store) && status == HR_OK; i++) {
        const char *key = hr_store_meta_key(store, i), *value = hr_store_meta(store, key);
        if (!hr_utf8_valid(key, strlen(key)) || !hr_utf8_valid(value, strlen(value)))
            status = hr_fail(HR_E_FORMAT, "metadata '%.200s' is not UTF-8", key);
        else if (json_object_set_new(object, key, json_string(value)) != 0)
            status = hr_fail(HR_E_MEMORY, "out of memory");
    }
    if (status == HR_OK)
        *out = object;
    else
        json_decref(object);
    return status;
}

/* Not json_dumps, which gives cut text when memory fails in the middle. */
static int put_text(const char *text, size_t size, void *out)
{
    hr_text_add_bytes(out, text, size);
    return 0;
}

enum hr_status hr_metadata_print(struct hr_text *out, const struct hr_store *store)
{
    json_t *object;
    HR_TRY(hr_metadata_object(&object, store));
    const bool printed = json_dump_callback(object, put_text, out, JSON_COMPACT) == 0;
    json_decref(object);
    return printed ? out->status : hr_fail(HR_E_MEMORY, "out of memory");
}
