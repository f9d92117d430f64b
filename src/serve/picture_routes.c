/* SPDX-License-Identifier: Apache-2.0
 * Pictures as they are: POST /v1/classify with a file as the body, or several in a form. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "serve/heat.h"
#include "serve/json.h"
#include "serve/multipart.h"
#include "serve/picture_set.h"
#include "serve/routes.h"

struct classify {
    struct hr_call *call;
    struct hr_part *parts; /* of a form, with the file names; else NULL */
    size_t count;
    int64_t k;
    bool logits, explain;
    struct hr_pictures pictures;
};

/* ---- The answer ---- */

static void add_logits(json_t *record, const float *logits, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_real((double)logits[i]));
    json_object_set_new(record, "logits", list);
}

/* The map over the crop; a failure is told beside the answer, which stands. */
static void add_explanation(const struct classify *c, json_t *record, const struct hr_item *item)
{
    const struct hr_served *served = c->pictures.served;
    struct hr_text image = { 0 };
    struct hrnet_decode_options decode = *hr_batcher_decode_options(c->call->service->batcher);
    const enum hr_status status = hr_heat_draw(
        served->heat, served->model, item->picture, item->picture_bytes, &decode,
        c->pictures.request.deadline_ns ? c->pictures.request.deadline_ns : UINT64_MAX, &image);
    if (status == HR_OK)
        json_object_set_new(record, "explanation", hr_json_text_of(&image));
    else
        json_object_set_new(record, "explanation_error", hr_json_text(hr_last_message()));
    hr_text_fini(&image);
}

static json_t *record_of(struct classify *c, size_t i)
{
    const struct hr_item *item = &c->pictures.request.items[i];
    json_t *record;
    if (item->status != HR_OK) {
        record = json_pack("{s:i}", "code", hr_picture_code(item));
        json_object_set_new(record, "error", hr_json_text(item->message));
    } else {
        record = hr_pictures_classes(&c->pictures, i, (size_t)c->k);
        json_object_set_new(record, "width", json_integer(item->report.width));
        json_object_set_new(record, "height", json_integer(item->report.height));
        json_object_set_new(record, "format", json_string(item->report.format));
        json_object_set_new(record, "orientation", json_integer(item->report.orientation));
        if (item->report.warning[0])
            json_object_set_new(record, "warning", hr_json_text(item->report.warning));
        if (c->logits)
            add_logits(record, item->logits, c->pictures.classes);
        if (c->explain)
            add_explanation(c, record, item);
    }
    if (c->parts && c->parts[i].file_name[0])
        json_object_set_new(record, "filename", hr_json_text(c->parts[i].file_name));
    return record;
}

static double ms(uint64_t ns)
{
    return (double)(ns / 1000) / 1e3;
}

static void put_answer(struct classify *c)
{
    struct hr_call *call = c->call;
    const struct hr_served *served = c->pictures.served;
    json_t *results = json_array();
    for (size_t i = 0; i < c->count; i++)
        json_array_append_new(results, record_of(c, i));
    hr_json_answer(call,
                   json_pack("{s:i, s:s, s:s, s:o, s:{s:f, s:f, s:f, s:i}}", "schema", 1, "model",
                             served->name, "version", served->version, "results", results, "timing",
                             "decode_ms", ms(call->decode_ns), "queue_ms", ms(call->queue_ns),
                             "compute_ms", ms(call->run_ns), "batch", (int)call->batch));
}

/* One picture that failed fails the request; of several, only when all did. */
static bool answer_failure(struct classify *c)
{
    const struct hr_item *items = c->pictures.request.items;
    for (size_t i = 0; i < c->count; i++)
        if (items[i].status == HR_OK)
            return false;
    hr_call_fail_code(c->call, hr_picture_code(&items[0]), "%s", items[0].message);
    if (items[0].status == HR_E_BUSY)
        c->call->retry_seconds = 1;
    return true;
}

/* ---- The question ---- */

static enum hr_status read_form(struct classify *c, const char *content_type)
{
    const size_t most = c->call->service->limits.items;
    c->parts = hr_mem_alloc(most, sizeof *c->parts);
    if (!c->parts)
        return HR_E_MEMORY;
    return hr_multipart_parse(content_type, c->call->body, c->call->body_size, c->parts, most,
                              &c->count);
}

static enum hr_status read_pictures(struct classify *c)
{
    const struct hr_call *call = c->call;
    const char *content_type = call->find_header(call, "Content-Type");
    const bool form = content_type && strncasecmp(content_type, "multipart/", 10) == 0;
    c->count = 1;
    if (form)
        HR_TRY(read_form(c, content_type));
    else if (call->body_size == 0)
        return hr_fail(HR_E_ARGUMENT, "the body is empty: a picture is wanted");
    HR_TRY(hr_pictures_begin(&c->pictures, call->service, call->find_query(call, "model"),
                             call->find_query(call, "version"), c->count));
    for (size_t i = 0; i < c->count; i++)
        if (form)
            hr_pictures_set(&c->pictures, i, c->parts[i].content.data, c->parts[i].content.size);
        else
            hr_pictures_set(&c->pictures, i, call->body, call->body_size);
    return HR_OK;
}

static bool read_query(struct classify *c)
{
    int64_t logits = 0, explain = 0;
    const int64_t classes = (int64_t)c->pictures.classes;
    c->k = classes < 5 ? classes : 5;
    if (!hr_call_query_count(c->call, "k", 1, classes, &c->k) ||
        !hr_call_query_count(c->call, "logits", 0, 1, &logits) ||
        !hr_call_query_count(c->call, "explain", 0, 1, &explain))
        return false;
    c->explain = explain;
    c->logits = logits;
    return true;
}

static void classify(struct hr_call *call)
{
    struct classify c = { .call = call };
    const enum hr_status status = read_pictures(&c);
    if (status != HR_OK)
        hr_call_fail(call, status);
    else if (read_query(&c) && hr_call_run(call, &c.pictures.request) && !answer_failure(&c))
        put_answer(&c);
    hr_pictures_fini(&c.pictures);
    hr_mem_free(c.parts);
}

const struct hr_route hr_picture_routes[] = {
    { "POST", "/v1/classify", classify, 0 },
    { 0 },
};
