/* SPDX-License-Identifier: Apache-2.0
 * Requests of pictures, and their best classes. */
#include "serve/picture_set.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/os.h"
#include "serve/json.h"

enum hr_status hr_pictures_begin(struct hr_pictures *p, struct hr_service *service,
                                 const char *model, const char *version, size_t count)
{
    if (count == 0)
        return hr_fail(HR_E_ARGUMENT, "there is no picture in the request");
    if (count > service->limits.items)
        return hr_fail(HR_E_LIMIT, "%zu pictures are over the limit of %zu", count,
                       service->limits.items);
    HR_TRY(hr_registry_find(service->registry, &p->served, model, version));
    p->classes = (size_t)p->served->info.classes;
    p->request.items = hr_mem_alloc(count, sizeof *p->request.items);
    p->logits = hr_mem_alloc(count, p->classes * sizeof *p->logits);
    p->names = hr_mem_alloc(count, sizeof *p->names);
    p->index = hr_mem_alloc(p->classes, sizeof *p->index);
    p->probabilities = hr_mem_alloc(p->classes, sizeof *p->probabilities);
    if (!p->request.items || !p->logits || !p->names || !p->index || !p->probabilities)
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (count == 1)
            snprintf(p->names[i], sizeof p->names[i], "the picture");
        else
            snprintf(p->names[i], sizeof p->names[i], "picture %zu", i + 1);
        p->request.items[i].name = p->names[i];
        p->request.items[i].logits = p->logits + i * p->classes;
    }
    p->request.served = p->served;
    p->request.count = count;
    return HR_OK;
}

void hr_pictures_set(struct hr_pictures *p, size_t i, const void *data, size_t size)
{
    p->request.items[i].picture = data;
    p->request.items[i].picture_bytes = size;
}

/* Behind "data:image/png;base64,", where there is such a thing. */
static size_t data_url_prefix(const char *text, size_t size)
{
    if (size < 5 || memcmp(text, "data:", 5) != 0)
        return 0;
    const char *comma = memchr(text, ',', size < 200 ? size : 200);
    return comma ? (size_t)(comma + 1 - text) : 0;
}

enum hr_status hr_pictures_set_base64(struct hr_pictures *p, size_t i, const char *text,
                                      size_t size, struct hr_buffer *bytes)
{
    const size_t prefix = data_url_prefix(text, size);
    const enum hr_status status = hr_base64_decode(bytes, text + prefix, size - prefix);
    if (status != HR_OK)
        return hr_fail_context(status, "%s", p->names[i]);
    hr_pictures_set(p, i, bytes->data ? (const void *)bytes->data : "", bytes->size);
    return HR_OK;
}

const size_t *hr_pictures_top(struct hr_pictures *p, size_t i, size_t k)
{
    const float *logits = p->logits + i * p->classes;
    hrnet_model_scores(p->served->model, logits, p->probabilities);
    hrnet_top_k(p->probabilities, p->classes, k, p->index);
    return p->index;
}

void hr_pictures_fini(struct hr_pictures *p)
{
    hr_mem_free(p->request.items);
    hr_mem_free(p->logits);
    hr_mem_free(p->names);
    hr_mem_free(p->index);
    hr_mem_free(p->probabilities);
    hr_served_release(p->served);
    *p = (struct hr_pictures){ 0 };
}

/* Whether the first bytes are those of a format that is read. */
static bool looks_like_picture(const uint8_t *data, size_t size)
{
    return (size >= 3 && memcmp(data, "\xFF\xD8\xFF", 3) == 0) ||
           (size >= 4 && memcmp(data, "\x89PNG", 4) == 0) ||
           (size >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0) ||
           (size >= 2 && memcmp(data, "BM", 2) == 0) ||
           (size >= 2 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6');
}

int hr_picture_code(const struct hr_item *item)
{
    if (item->status == HR_E_UNSUPPORTED)
        return 415;
    if (item->status == HR_E_FORMAT)
        return looks_like_picture(item->picture, item->picture_bytes) ? 422 : 415;
    return hr_status_info(item->status)->http;
}

json_t *hr_pictures_classes(struct hr_pictures *p, size_t i, size_t k)
{
    const size_t *index = hr_pictures_top(p, i, k);
    json_t *ids = json_array(), *scores = json_array(), *names = json_array();
    for (size_t j = 0; j < k && j < p->classes; j++) {
        json_array_append_new(ids, json_integer((json_int_t)index[j]));
        json_array_append_new(scores, json_real((double)p->probabilities[index[j]]));
        json_array_append_new(names,
                              hr_json_text(hrnet_model_label(p->served->model, (int)index[j])));
    }
    return json_pack("{s:o, s:o, s:o}", "class_ids", ids, "scores", scores, "label_names", names);
}
