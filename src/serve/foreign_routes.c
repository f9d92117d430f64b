/* SPDX-License-Identifier: Apache-2.0
 * The predict routes of TensorFlow Serving (and KServe's version 1) and of TorchServe. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "serve/json.h"
#include "serve/multipart.h"
#include "serve/number_arrays.h"
#include "serve/oip.h"
#include "serve/picture_set.h"
#include "serve/routes.h"

/* ---- TensorFlow Serving: POST /v1/models/NAME[/versions/VERSION]:predict ---- */

struct predict {
    struct hr_call *call;
    const char *model, *version;
    char name[128]; /* the segment without its verb */
    struct hr_number_arrays arrays;
    json_t *body;
};

/* "NAME:predict" -> NAME; false for another verb, or none. */
static bool cut_verb(char out[128], const char *segment)
{
    const char *colon = strrchr(segment, ':');
    if (!colon || strcmp(colon, ":predict") != 0 || (size_t)(colon - segment) >= 128)
        return false;
    memcpy(out, segment, (size_t)(colon - segment));
    out[colon - segment] = '\0';
    return true;
}

static void put_predictions(struct hr_call *call, const struct hr_served *served,
                            const float *logits, size_t count)
{
    const size_t classes = (size_t)served->info.classes;
    float *p = hr_mem_alloc(classes, sizeof *p);
    if (!p) {
        hr_call_fail(call, HR_E_MEMORY);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *row = json_array();
        hrnet_model_scores(served->model, logits + i * classes, p);
        for (size_t j = 0; j < classes; j++)
            json_array_append_new(row, json_real((double)p[j]));
        json_array_append_new(list, row);
    }
    hr_mem_free(p);
    hr_json_answer(call, json_pack("{s:o}", "predictions", list));
}

/* Instances that are numbers: [n,3,h,w]. */
static enum hr_status predict_tensors(struct predict *f, const struct hr_number_array *array)
{
    struct hr_oip_infer infer = { 0 };
    struct hr_oip_input in = { .name = HR_OIP_INPUT,
                               .datatype = "FP32",
                               .rank = array->rank,
                               .data = (const uint8_t *)array->values,
                               .size = array->count * sizeof(float) };
    if (!array->regular)
        return hr_fail(HR_E_SHAPE, "'instances' are nested unevenly");
    memcpy(in.shape, array->shape, sizeof in.shape);
    const struct hr_oip_question question = {
        .model = f->model, .version = f->version, .inputs = &in, .input_count = 1
    };
    enum hr_status status = hr_oip_begin(&infer, f->call->service, &question);
    if (status == HR_OK && hr_call_run(f->call, &infer.request)) {
        status = hr_oip_answer(&infer, &question);
        if (status == HR_OK)
            put_predictions(f->call, infer.served, infer.logits, infer.request.count);
    }
    hr_oip_fini(&infer);
    return status;
}

/* {"b64": "..."}, {"NAME": {"b64": "..."}} or {"image_bytes": {...}}: the text. */
static const json_t *coded_text(const json_t *instance)
{
    const json_t *text = json_object_get(instance, "b64");
    const char *key;
    json_t *value;
    if (!text && json_object_size(instance) == 1)
        json_object_foreach((json_t *)(uintptr_t)instance, key, value) text =
            json_object_get(value, "b64");
    return json_is_string(text) ? text : NULL;
}

static enum hr_status set_coded(struct hr_pictures *pictures, const json_t *instances,
                                struct hr_buffer *bytes)
{
    size_t i;
    json_t *instance;
    json_array_foreach(instances, i, instance)
    {
        const json_t *text = coded_text(instance);
        if (!text)
            return hr_fail(HR_E_ARGUMENT, "instance %zu is neither numbers nor {\"b64\": ...}", i);
        HR_TRY(hr_pictures_set_base64(pictures, i, json_string_value(text),
                                      json_string_length(text), &bytes[i]));
    }
    return HR_OK;
}

static enum hr_status predict_pictures(struct predict *f, const json_t *instances)
{
    const size_t count = json_array_size(instances);
    struct hr_pictures pictures = { 0 };
    struct hr_buffer *bytes = hr_mem_alloc(count, sizeof *bytes);
    enum hr_status status =
        bytes ? hr_pictures_begin(&pictures, f->call->service, f->model, f->version, count)
              : HR_E_MEMORY;
    if (status == HR_OK)
        status = set_coded(&pictures, instances, bytes);
    if (status == HR_OK && hr_call_run(f->call, &pictures.request)) {
        const struct hr_item *failure = hr_request_failure(&pictures.request);
        if (failure)
            hr_call_fail_code(f->call, hr_picture_code(failure), "%s", failure->message);
        else
            put_predictions(f->call, pictures.served, pictures.logits, count);
    }
    hr_pictures_fini(&pictures);
    for (size_t i = 0; i < count && bytes; i++)
        hr_buffer_fini(&bytes[i]);
    hr_mem_free(bytes);
    return status;
}

static enum hr_status predict_body(struct predict *f)
{
    static const char *const keys[] = { "instances", NULL };
    const struct hr_call *call = f->call;
    HR_TRY(hr_number_arrays_cut(&f->arrays, (const char *)call->body, call->body_size, keys));
    HR_TRY(hr_json_object(&f->body, hr_text_str(&f->arrays.text), f->arrays.text.size));
    const json_t *instances = json_object_get(f->body, "instances");
    const json_t *first = json_array_get(instances, 0);
    if (!first)
        return hr_fail(HR_E_ARGUMENT, "'instances' must be an array, not an empty one");
    if (json_is_integer(first) && (size_t)json_integer_value(first) < f->arrays.count)
        return predict_tensors(f, &f->arrays.items[json_integer_value(first)]);
    return predict_pictures(f, instances);
}

static void run_predict(struct hr_call *call, const char *model, const char *version,
                        const char *verb_segment)
{
    struct predict f = { .call = call };
    if (!cut_verb(f.name, verb_segment)) {
        hr_call_fail_code(call, 404, "NAME:predict is wanted in the path");
        return;
    }
    f.model = model ? model : f.name;
    f.version = version ? f.name : NULL;
    const enum hr_status status = predict_body(&f);
    if (status != HR_OK)
        hr_call_fail(call, status);
    json_decref(f.body);
    hr_number_arrays_fini(&f.arrays);
}

static void tf_predict(struct hr_call *call)
{
    run_predict(call, NULL, NULL, call->captures[0]);
}

static void tf_predict_version(struct hr_call *call)
{
    run_predict(call, call->captures[0], call->captures[1], call->captures[1]);
}

/* Both protocols ask for the state of a model here, and read different members. */
static void tf_status(struct hr_call *call)
{
    struct hr_served *served = NULL;
    const enum hr_status status =
        hr_registry_find(call->service->registry, &served, call->captures[0], NULL);
    if (status != HR_OK) {
        hr_call_fail(call, status);
        return;
    }
    hr_json_answer(call, json_pack("{s:s, s:b, s:[{s:s, s:s, s:{s:s, s:s}}]}", "name", served->name,
                                   "ready", 1, "model_version_status", "version", served->version,
                                   "state", "AVAILABLE", "status", "error_code", "OK",
                                   "error_message", ""));
    hr_served_release(served);
}

/* ---- TorchServe: POST or PUT /predictions/NAME[/VERSION] ---- */

static void ping(struct hr_call *call)
{
    if (hr_service_ready(call->service))
        hr_call_text(call, "application/json", "{\"status\":\"Healthy\"}");
    else
        hr_call_fail_code(call, 503, "the server is not ready");
}

/* The file: the body, or the form's field `data` or `body`, or its first. */
static enum hr_status torch_picture(const struct hr_call *call, struct hr_part *part)
{
    struct hr_part parts[8];
    size_t count;
    const char *type = call->find_header(call, "Content-Type");
    *part = (struct hr_part){ .content = { call->body, call->body_size } };
    if (!type || strncasecmp(type, "multipart/", 10) != 0)
        return HR_OK;
    HR_TRY(hr_multipart_parse(type, call->body, call->body_size, parts, HR_COUNT(parts), &count));
    if (count == 0)
        return hr_fail(HR_E_ARGUMENT, "the form has no field");
    *part = parts[0];
    for (size_t i = 0; i < count; i++)
        if (strcmp(parts[i].name, "data") == 0 || strcmp(parts[i].name, "body") == 0)
            *part = parts[i];
    return HR_OK;
}

/* {"label": probability, ...}, the five best. */
static void torch_answer(struct hr_call *call, struct hr_pictures *p)
{
    const size_t k = p->classes < 5 ? p->classes : 5;
    const size_t *index = hr_pictures_top(p, 0, k);
    json_t *answer = json_object();
    for (size_t j = 0; j < k; j++) {
        char number[24];
        const char *label = hrnet_model_label(p->served->model, (int)index[j]);
        snprintf(number, sizeof number, "%zu", index[j]);
        json_t *key = hr_json_text(*label ? label : number);
        json_object_set_new(answer, json_string_value(key),
                            json_real((double)p->probabilities[index[j]]));
        json_decref(key);
    }
    hr_json_answer(call, answer);
}

static void torch_predict(struct hr_call *call)
{
    struct hr_pictures p = { 0 };
    struct hr_part part;
    enum hr_status status = torch_picture(call, &part);
    if (status == HR_OK && part.content.size == 0)
        status = hr_fail(HR_E_ARGUMENT, "the body is empty: a picture is wanted");
    if (status == HR_OK)
        status = hr_pictures_begin(&p, call->service, call->captures[0], call->captures[1], 1);
    if (status == HR_OK) {
        hr_pictures_set(&p, 0, part.content.data, part.content.size);
        if (hr_call_run(call, &p.request)) {
            const struct hr_item *failure = hr_request_failure(&p.request);
            if (failure)
                hr_call_fail_code(call, hr_picture_code(failure), "%s", failure->message);
            else
                torch_answer(call, &p);
        }
    } else {
        hr_call_fail(call, status);
    }
    hr_pictures_fini(&p);
}

const struct hr_route hr_foreign_routes[] = {
    { "POST", "/v1/models/*", tf_predict, 0 },
    { "POST", "/v1/models/*/versions/*", tf_predict_version, 0 },
    { "GET", "/v1/models/*", tf_status, 0 },
    { "GET", "/ping", ping, HR_ROUTE_OPEN | HR_ROUTE_EARLY },
    { "POST", "/predictions/*", torch_predict, 0 },
    { "POST", "/predictions/*/*", torch_predict, 0 },
    { "PUT", "/predictions/*", torch_predict, 0 },
    { "PUT", "/predictions/*/*", torch_predict, 0 },
    { 0 },
};
