/* SPDX-License-Identifier: Apache-2.0
 * Requests as Paddle's own servers take them: the Python pipeline's REST, the C++ server's general
 * model as JSON, PaddleHub's clas_system and PaddleX's image-classification.  Numbers in what they
 * call bytes tensors are pickles to the originals; here nothing of the kind is ever parsed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "serve/json.h"
#include "serve/number_arrays.h"
#include "serve/oip.h"
#include "serve/paddle_text.h"
#include "serve/picture_set.h"
#include "serve/routes.h"

/* Pictures of a JSON array of base 64 texts. */
struct coded {
    struct hr_pictures pictures;
    struct hr_buffer *bytes; /* [count] */
    size_t count;
    json_t *body;
};

static enum hr_status begin(struct coded *c, const struct hr_call *call, const char *model,
                            const json_t *texts)
{
    size_t i;
    json_t *text;
    if (!json_is_array(texts))
        return hr_fail(HR_E_ARGUMENT, "an array of base 64 pictures is wanted");
    HR_TRY(hr_pictures_begin(&c->pictures, call->service, model, NULL, json_array_size(texts)));
    c->bytes = hr_mem_alloc(json_array_size(texts), sizeof *c->bytes);
    if (!c->bytes)
        return HR_E_MEMORY;
    c->count = json_array_size(texts);
    json_array_foreach(texts, i, text)
    {
        if (!json_is_string(text))
            return hr_fail(HR_E_ARGUMENT, "%s is no string", c->pictures.names[i]);
        HR_TRY(hr_pictures_set_base64(&c->pictures, i, json_string_value(text),
                                      json_string_length(text), &c->bytes[i]));
    }
    return HR_OK;
}

static void end(struct coded *c)
{
    for (size_t i = 0; i < c->count; i++)
        hr_buffer_fini(&c->bytes[i]);
    hr_mem_free(c->bytes);
    hr_pictures_fini(&c->pictures);
    json_decref(c->body);
}

/* Runs; the status of the first failure, or of being refused (then an answer was left, too). */
static enum hr_status run(struct hr_call *call, struct hr_pictures *pictures)
{
    if (!hr_call_run(call, &pictures->request))
        return HR_E_BUSY;
    const struct hr_item *failure = hr_request_failure(&pictures->request);
    return failure ? hr_fail(failure->status, "%s", failure->message) : HR_OK;
}

/* ---- The pipeline's REST: POST /NAME/prediction ---- */

static void pipeline_answer(struct hr_call *call, int error, const char *message,
                            const struct hr_text *labels, const struct hr_text *scores)
{
    json_t *keys = labels ? json_pack("[s, s]", "label", "prob") : json_array();
    json_t *values = json_array();
    if (labels) {
        json_array_append_new(values, hr_json_text_of(labels));
        json_array_append_new(values, hr_json_text_of(scores));
    }
    call->code = 0;
    call->retry_seconds = 0;
    hr_json_answer(call, json_pack("{s:i, s:o, s:o, s:o, s:[]}", "err_no", error, "err_msg",
                                   hr_json_text(message), "key", keys, "value", values, "tensors"));
}

static void pipeline_results(struct hr_call *call, struct coded *c)
{
    struct hr_text labels = { 0 }, scores = { 0 };
    hr_paddle_lists(&c->pictures, &labels, &scores);
    pipeline_answer(call, 0, "", &labels, &scores);
    hr_text_fini(&labels);
    hr_text_fini(&scores);
}

static enum hr_status pipeline_question(struct coded *c, struct hr_call *call)
{
    HR_TRY(hr_json_object(&c->body, (const char *)call->body, call->body_size));
    const json_t *keys = json_object_get(c->body, "key");
    const json_t *values = json_object_get(c->body, "value");
    if (json_array_size(json_object_get(c->body, "tensors")) > 0)
        return hr_fail(HR_E_UNSUPPORTED, "'tensors' are not taken: send 'key' and 'value'");
    if (!json_is_array(keys) || json_array_size(keys) != json_array_size(values))
        return hr_fail(HR_E_ARGUMENT, "'key' and 'value' must be arrays of the same length");
    return begin(c, call, call->captures[0], values);
}

static void pipeline(struct hr_call *call)
{
    struct coded c = { 0 };
    enum hr_status status = pipeline_question(&c, call);
    if (status == HR_OK)
        status = run(call, &c.pictures);
    if (status == HR_OK)
        pipeline_results(call, &c);
    else
        pipeline_answer(call, hr_paddle_error_number(status), hr_last_message(), NULL, NULL);
    end(&c);
}

/* ---- PaddleHub: POST /predict/clas_system ---- */

static void hub_fail(struct hr_call *call)
{
    call->code = 0;
    call->retry_seconds = 0;
    hr_json_answer(call, json_pack("{s:o, s:s, s:[]}", "msg", hr_json_text(hr_last_message()),
                                   "status", "101", "results"));
}

static enum hr_status count_member(const json_t *body, const char *key, size_t most, size_t *out)
{
    const json_t *value = json_object_get(body, key);
    if (!value || json_is_null(value))
        return HR_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        (json_int_t)most < json_integer_value(value))
        return hr_fail(HR_E_ARGUMENT, "'%s' must be a whole number from 1 to %zu", key, most);
    *out = (size_t)json_integer_value(value);
    return HR_OK;
}

static void hub_results(struct hr_call *call, struct coded *c, size_t k)
{
    json_t *results = json_array();
    for (size_t i = 0; i < c->count; i++) {
        const struct hr_item *item = &c->pictures.request.items[i];
        json_t *classes = hr_pictures_classes(&c->pictures, i, k);
        const uint64_t ns = item->decode_ns + item->queue_ns + item->run_ns;
        json_array_append_new(results,
                              json_pack("[O, O, f]", json_object_get(classes, "class_ids"),
                                        json_object_get(classes, "scores"), 1e-9 * (double)ns));
        json_decref(classes);
    }
    hr_json_answer(call,
                   json_pack("{s:s, s:s, s:o}", "msg", "", "status", "000", "results", results));
}

static void hub(struct hr_call *call)
{
    struct coded c = { 0 };
    size_t k = 1;
    enum hr_status status = hr_json_object(&c.body, (const char *)call->body, call->body_size);
    if (status == HR_OK)
        status = begin(&c, call, NULL, json_object_get(c.body, "images"));
    if (status == HR_OK)
        status = count_member(c.body, "top_k", c.pictures.classes, &k);
    if (status == HR_OK)
        status = run(call, &c.pictures);
    if (status == HR_OK)
        hub_results(call, &c, k);
    else
        hub_fail(call);
    end(&c);
}

/* ---- PaddleX: POST /image-classification ---- */

static void paddlex_fail(struct hr_call *call, enum hr_status status)
{
    const int code = status == HR_E_FORMAT ? 422 : hr_status_info(status)->http;
    call->code = code;
    hr_json_answer(call, json_pack("{s:s, s:i, s:o}", "logId", "", "errorCode", code, "errorMsg",
                                   hr_json_text(hr_last_message())));
}

static void paddlex_results(struct hr_call *call, struct coded *c, size_t k)
{
    json_t *categories = json_array();
    const size_t *index = hr_pictures_top(&c->pictures, 0, k);
    for (size_t j = 0; j < k && j < c->pictures.classes; j++)
        json_array_append_new(
            categories,
            json_pack("{s:i, s:o, s:f}", "id", (int)index[j], "name",
                      hr_json_text(hrnet_model_label(c->pictures.served->model, (int)index[j])),
                      "score", (double)c->pictures.probabilities[index[j]]));
    hr_json_answer(call,
                   json_pack("{s:s, s:i, s:s, s:{s:o, s:n}}", "logId", "", "errorCode", 0,
                             "errorMsg", "Success", "result", "categories", categories, "image"));
}

static enum hr_status paddlex_question(struct coded *c, struct hr_call *call, size_t *k)
{
    const char *text = NULL;
    HR_TRY(hr_json_object(&c->body, (const char *)call->body, call->body_size));
    HR_TRY(hr_json_string_member(c->body, "image", &text));
    if (!text)
        return hr_fail(HR_E_ARGUMENT, "'image' is wanted: a picture in base 64");
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0)
        return hr_fail(HR_E_UNSUPPORTED, "'image' is an address: this server fetches nothing");
    json_t *list = json_pack("[O]", json_object_get(c->body, "image"));
    const enum hr_status status = begin(c, call, NULL, list);
    json_decref(list);
    HR_TRY(status);
    *k = c->pictures.classes < 5 ? c->pictures.classes : 5;
    return count_member(c->body, "topk", c->pictures.classes, k);
}

static void paddlex(struct hr_call *call)
{
    struct coded c = { 0 };
    size_t k = 1;
    enum hr_status status = paddlex_question(&c, call, &k);
    if (status == HR_OK)
        status = run(call, &c.pictures);
    if (status == HR_OK)
        paddlex_results(call, &c, k);
    else
        paddlex_fail(call, status);
    end(&c);
}

/* ---- The C++ server's general model: POST /GeneralModelService/inference ---- */

static void general_answer(struct hr_call *call, json_t *tensors, json_int_t log_id, int error,
                           const char *message)
{
    json_t *outputs = json_array();
    if (tensors)
        json_array_append_new(outputs,
                              json_pack("{s:o, s:s}", "tensor", tensors, "engine_name", "hrnet"));
    call->code = 0;
    call->retry_seconds = 0;
    hr_json_answer(call,
                   json_pack("{s:o, s:[], s:I, s:i, s:o}", "outputs", outputs, "profile_time",
                             "log_id", log_id, "err_no", error, "err_msg", hr_json_text(message)));
}

/* {"float_data","elem_type","shape","name","alias_name"} of [count, classes] probabilities. */
static json_t *general_tensor(const struct hr_served *served, const float *logits, size_t count)
{
    const size_t classes = (size_t)served->info.classes;
    float *p = hr_mem_alloc(classes, sizeof *p);
    json_t *data = json_array();
    for (size_t i = 0; i < count && p; i++) {
        hrnet_model_scores(served->model, logits + i * classes, p);
        for (size_t j = 0; j < classes; j++)
            json_array_append_new(data, json_real((double)p[j]));
    }
    hr_mem_free(p);
    return json_pack("[{s:o, s:i, s:[i, i], s:s, s:s}]", "float_data", data, "elem_type",
                     HR_PADDLE_FLOAT, "shape", (int)count, (int)classes, "name", "prediction",
                     "alias_name", "prediction");
}

static enum hr_status general_pictures(struct hr_call *call, const json_t *tensor, json_t **out)
{
    struct coded c = { 0 };
    enum hr_status status = begin(&c, call, NULL, json_object_get(tensor, "data"));
    if (status == HR_OK)
        status = run(call, &c.pictures);
    if (status == HR_OK)
        *out = general_tensor(c.pictures.served, c.pictures.logits, c.count);
    end(&c);
    return status;
}

/* The shape [3,h,w] or [n,3,h,w] that the tensor says. */
static enum hr_status general_shape(const json_t *tensor, struct hr_oip_input *in)
{
    const json_t *shape = json_object_get(tensor, "shape");
    const size_t rank = json_array_size(shape);
    if (rank != 3 && rank != 4)
        return hr_fail(HR_E_SHAPE, "'shape' must be [3,height,width] or [n,3,height,width]");
    in->rank = 4;
    in->shape[0] = 1;
    for (size_t i = 0; i < rank; i++)
        in->shape[4 - rank + i] = json_integer_value(json_array_get(shape, i));
    return HR_OK;
}

static enum hr_status general_floats(struct hr_call *call, const json_t *tensor,
                                     const struct hr_number_arrays *arrays, json_t **out)
{
    const json_t *place = json_array_get(json_object_get(tensor, "float_data"), 0);
    const size_t i = json_is_integer(place) ? (size_t)json_integer_value(place) : arrays->count;
    struct hr_oip_infer infer = { 0 };
    struct hr_oip_input in = { .name = HR_OIP_INPUT, .datatype = "FP32" };
    if (i >= arrays->count)
        return hr_fail(HR_E_ARGUMENT, "'float_data' must be an array of numbers");
    in.data = (const uint8_t *)arrays->items[i].values;
    in.size = arrays->items[i].count * sizeof(float);
    HR_TRY(general_shape(tensor, &in));
    const struct hr_oip_question question = { .inputs = &in, .input_count = 1 };
    enum hr_status status = hr_oip_begin(&infer, call->service, &question);
    if (status == HR_OK && !hr_call_run(call, &infer.request))
        status = HR_E_BUSY;
    else if (status == HR_OK)
        status = hr_oip_answer(&infer, &question);
    if (status == HR_OK)
        *out = general_tensor(infer.served, infer.logits, infer.request.count);
    hr_oip_fini(&infer);
    return status;
}

static enum hr_status general_tensors(struct hr_call *call, const json_t *body,
                                      const struct hr_number_arrays *arrays, json_t **out)
{
    const json_t *tensors = json_object_get(body, "tensor");
    const json_t *tensor = json_array_get(tensors, 0);
    if (json_array_size(tensors) != 1 || !json_is_object(tensor))
        return hr_fail(HR_E_ARGUMENT, "'tensor' must hold one tensor");
    const json_int_t type = json_integer_value(json_object_get(tensor, "elem_type"));
    if (type == HR_PADDLE_STRING)
        return general_pictures(call, tensor, out);
    if (type == HR_PADDLE_FLOAT)
        return general_floats(call, tensor, arrays, out);
    return hr_fail(HR_E_UNSUPPORTED,
                   "'elem_type' is %d: 1 (floats) and 20 (base 64 pictures) are "
                   "taken",
                   (int)type);
}

static void general_json(struct hr_call *call)
{
    static const char *const keys[] = { "float_data", NULL };
    struct hr_number_arrays arrays = { 0 };
    json_t *body = NULL, *tensors = NULL;
    enum hr_status status =
        hr_number_arrays_cut(&arrays, (const char *)call->body, call->body_size, keys);
    if (status == HR_OK)
        status = hr_json_object(&body, hr_text_str(&arrays.text), arrays.text.size);
    if (status == HR_OK)
        status = general_tensors(call, body, &arrays, &tensors);
    general_answer(call, tensors, json_integer_value(json_object_get(body, "log_id")),
                   status == HR_OK ? 0 : hr_paddle_error_number(status),
                   status == HR_OK ? "" : hr_last_message());
    json_decref(body);
    hr_number_arrays_fini(&arrays);
}

static void general(struct hr_call *call)
{
    const char *type = call->find_header(call, "Content-Type");
    if (type && hr_text_starts(type, "application/proto"))
        hr_paddle_general_proto(call);
    else
        general_json(call);
}

const struct hr_route hr_paddle_routes[] = {
    { "POST", "/*/prediction", pipeline, 0 },
    { "POST", "/predict/clas_system", hub, 0 },
    { "POST", "/image-classification", paddlex, 0 },
    { "POST", "/GeneralModelService/inference", general, 0 },
    { 0 },
};
