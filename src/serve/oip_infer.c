/* SPDX-License-Identifier: Apache-2.0
 * A body is JSON, then (when a header tells its length) the bytes of the tensors that say so. */
#include "serve/oip_infer.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "serve/json.h"
#include "serve/number_arrays.h"
#include "serve/oip.h"

#define MOST_INPUTS 8

struct infer {
    struct hr_call *call;
    struct hr_number_arrays arrays;
    json_t *body;
    const char *id;
    uint64_t timeout_us;
    struct hr_reader binary; /* what follows the JSON */
    struct hr_oip_input inputs[MOST_INPUTS];
    struct hr_buffer bytes[MOST_INPUTS]; /* of inputs that JSON holds as strings or integers */
    size_t input_count;
    struct hr_oip_wanted wanted[HR_OIP_MOST_OUTPUTS];
    size_t wanted_count;
    bool binary_output; /* of outputs that do not say */
    struct hr_oip_infer infer;
};

/* ---- Members ---- */

static enum hr_status object_member(const json_t *object, const char *key, const json_t **out)
{
    *out = json_object_get(object, key);
    if (*out && !json_is_object(*out) && !json_is_null(*out))
        return hr_fail(HR_E_ARGUMENT, "'%s' must be an object", key);
    return HR_OK;
}

static enum hr_status bool_member(const json_t *object, const char *key, bool *out)
{
    const json_t *value = json_object_get(object, key);
    if (value && !json_is_boolean(value))
        return hr_fail(HR_E_ARGUMENT, "'%s' must be true or false", key);
    if (value)
        *out = json_is_true(value);
    return HR_OK;
}

static enum hr_status count_member(const json_t *object, const char *key, uint64_t *out)
{
    const json_t *value = json_object_get(object, key);
    if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
        return hr_fail(HR_E_ARGUMENT, "'%s' must be a whole number, not below 0", key);
    if (value)
        *out = (uint64_t)json_integer_value(value);
    return HR_OK;
}

/* ---- Inputs ---- */

static enum hr_status read_shape(struct hr_oip_input *in, const json_t *shape)
{
    size_t i;
    json_t *value;
    if (!json_is_array(shape) || json_array_size(shape) > HR_OIP_MOST_RANK)
        return hr_fail(HR_E_ARGUMENT,
                       "'shape' of input '%.60s' must be an array of at most %d "
                       "numbers",
                       in->name, HR_OIP_MOST_RANK);
    json_array_foreach(shape, i, value)
    {
        if (!json_is_integer(value))
            return hr_fail(HR_E_ARGUMENT, "'shape' of input '%.60s' must hold whole numbers",
                           in->name);
        in->shape[i] = json_integer_value(value);
    }
    in->rank = json_array_size(shape);
    return HR_OK;
}

static void put_string(struct hr_buffer *out, const json_t *text)
{
    hr_buffer_put_u32le(out, (uint32_t)json_string_length(text));
    hr_buffer_put(out, json_string_value(text), json_string_length(text));
}

/* Strings, flat or nested: BYTES as they are. */
static enum hr_status put_strings(struct hr_buffer *out, const json_t *array, int depth)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value)
    {
        if (json_is_string(value))
            put_string(out, value);
        else if (!json_is_array(value) || depth == HR_OIP_MOST_RANK)
            return hr_fail(HR_E_ARGUMENT, "'data' of BYTES must hold strings");
        else
            HR_TRY(put_strings(out, value, depth + 1));
    }
    return out->status;
}

/* The array that was cut out, as FP32 or as UINT8. */
static enum hr_status use_numbers(struct hr_oip_input *in, struct hr_buffer *bytes,
                                  const struct hr_number_array *array)
{
    if (strcmp(in->datatype, "FP32") == 0) {
        in->data = (const uint8_t *)array->values;
        in->size = array->count * sizeof *array->values;
        return HR_OK;
    }
    if (strcmp(in->datatype, "UINT8") != 0)
        return HR_OK; /* refused by its datatype */
    for (size_t i = 0; i < array->count; i++) {
        const float value = array->values[i];
        if (!(value >= 0 && value <= 255) || value != (float)(int)value)
            return hr_fail(HR_E_ARGUMENT, "'data' of UINT8: element %zu is %g", i, (double)value);
        hr_buffer_put_u8(bytes, (uint8_t)value);
    }
    in->data = bytes->data;
    in->size = bytes->size;
    return bytes->status;
}

static enum hr_status read_data(struct infer *f, struct hr_oip_input *in, struct hr_buffer *bytes,
                                const json_t *data)
{
    const json_t *first = json_array_get(data, 0);
    if (!json_is_array(data))
        return hr_fail(HR_E_ARGUMENT, "input '%.60s' has neither 'data', an array, nor binary data",
                       in->name);
    if (json_is_integer(first) && (size_t)json_integer_value(first) < f->arrays.count)
        return use_numbers(in, bytes, &f->arrays.items[json_integer_value(first)]);
    if (strcmp(in->datatype, "BYTES") != 0)
        return hr_fail(HR_E_ARGUMENT, "'data' of input '%.60s' must hold numbers", in->name);
    HR_TRY(put_strings(bytes, data, 0));
    in->data = bytes->data;
    in->size = bytes->size;
    return HR_OK;
}

static enum hr_status read_input(struct infer *f, const json_t *object)
{
    struct hr_oip_input *in = &f->inputs[f->input_count];
    struct hr_buffer *bytes = &f->bytes[f->input_count];
    const json_t *parameters;
    uint64_t size = UINT64_MAX;
    struct hr_span span;
    HR_TRY(hr_json_string_member(object, "name", &in->name));
    HR_TRY(hr_json_string_member(object, "datatype", &in->datatype));
    if (!in->name || !in->datatype)
        return hr_fail(HR_E_ARGUMENT, "an input needs 'name' and 'datatype'");
    HR_TRY(read_shape(in, json_object_get(object, "shape")));
    HR_TRY(object_member(object, "parameters", &parameters));
    HR_TRY(count_member(parameters, "binary_data_size", &size));
    if (json_object_get(parameters, "shared_memory_region"))
        return hr_fail(HR_E_UNSUPPORTED, "shared memory is not supported");
    f->input_count++;
    if (size == UINT64_MAX)
        return read_data(f, in, bytes, json_object_get(object, "data"));
    if (size > hr_reader_left(&f->binary))
        return hr_fail(HR_E_SHAPE, "input '%.60s' says %llu bytes of binary data, %zu are left",
                       in->name, (unsigned long long)size, hr_reader_left(&f->binary));
    HR_TRY(hr_read_span(&f->binary, (size_t)size, &span));
    in->data = span.data;
    in->size = span.size;
    return HR_OK;
}

static enum hr_status read_inputs(struct infer *f)
{
    const json_t *inputs = json_object_get(f->body, "inputs");
    size_t i;
    json_t *value;
    if (!json_is_array(inputs))
        return hr_fail(HR_E_ARGUMENT, "'inputs' must be an array");
    if (json_array_size(inputs) > MOST_INPUTS)
        return hr_fail(HR_E_ARGUMENT, "the model takes one input, not %zu",
                       json_array_size(inputs));
    json_array_foreach(inputs, i, value)
    {
        if (!json_is_object(value))
            return hr_fail(HR_E_ARGUMENT, "'inputs' must hold objects");
        HR_TRY(read_input(f, value));
    }
    if (hr_reader_left(&f->binary) > 0)
        return hr_fail(HR_E_SHAPE, "%zu bytes of binary data belong to no input",
                       hr_reader_left(&f->binary));
    return HR_OK;
}

/* ---- Outputs that are asked for ---- */

static enum hr_status read_output(struct infer *f, const json_t *object)
{
    struct hr_oip_wanted *w = &f->wanted[f->wanted_count];
    const json_t *parameters;
    uint64_t k = 0;
    w->binary = f->binary_output;
    HR_TRY(hr_json_string_member(object, "name", &w->name));
    if (!w->name)
        return hr_fail(HR_E_ARGUMENT, "an output needs a 'name'");
    HR_TRY(object_member(object, "parameters", &parameters));
    HR_TRY(count_member(parameters, "classification", &k));
    HR_TRY(bool_member(parameters, "binary_data", &w->binary));
    w->classification = (size_t)k;
    f->wanted_count++;
    return HR_OK;
}

static enum hr_status read_outputs(struct infer *f)
{
    const json_t *outputs = json_object_get(f->body, "outputs"), *parameters;
    size_t i;
    json_t *value;
    HR_TRY(object_member(f->body, "parameters", &parameters));
    HR_TRY(bool_member(parameters, "binary_data_output", &f->binary_output));
    HR_TRY(count_member(parameters, "timeout", &f->timeout_us));
    if (!outputs || json_is_null(outputs))
        return HR_OK;
    if (!json_is_array(outputs) || json_array_size(outputs) > HR_OIP_MOST_OUTPUTS)
        return hr_fail(HR_E_ARGUMENT, "'outputs' must be an array of at most %d",
                       HR_OIP_MOST_OUTPUTS);
    json_array_foreach(outputs, i, value)
    {
        if (!json_is_object(value))
            return hr_fail(HR_E_ARGUMENT, "'outputs' must hold objects");
        HR_TRY(read_output(f, value));
    }
    return HR_OK;
}

/* ---- The answer ---- */

static json_t *number_list(const struct hr_oip_output *o)
{
    json_t *list = json_array();
    float value;
    for (size_t at = 0; at < o->size; at += sizeof value) {
        memcpy(&value, o->data + at, sizeof value);
        json_array_append_new(list, json_real((double)value));
    }
    return list;
}

static json_t *string_list(const struct hr_oip_output *o)
{
    json_t *list = json_array();
    for (size_t at = 0; at < o->size;) {
        const size_t length = hr_load_u32le(o->data + at);
        json_array_append_new(list, json_stringn((const char *)o->data + at + 4, length));
        at += 4 + length;
    }
    return list;
}

static json_t *output_object(const struct hr_oip_output *o)
{
    json_t *object = json_pack("{s:s, s:s, s:[I,I]}", "name", o->name, "datatype", o->datatype,
                               "shape", (json_int_t)o->shape[0], (json_int_t)o->shape[1]);
    if (o->binary)
        json_object_set_new(object, "parameters",
                            json_pack("{s:I}", "binary_data_size", (json_int_t)o->size));
    else
        json_object_set_new(object, "data",
                            strcmp(o->datatype, "BYTES") == 0 ? string_list(o) : number_list(o));
    return object;
}

static void put_answer(struct infer *f)
{
    struct hr_call *call = f->call;
    json_t *outputs = json_array();
    bool binary = false;
    for (size_t i = 0; i < f->infer.output_count; i++) {
        json_array_append_new(outputs, output_object(&f->infer.outputs[i]));
        binary = binary || f->infer.outputs[i].binary;
    }
    json_t *object = json_pack("{s:s, s:s, s:o}", "model_name", f->infer.served->name,
                               "model_version", f->infer.served->version, "outputs", outputs);
    if (f->id)
        json_object_set_new(object, "id", json_string(f->id));
    hr_json_answer(call, object);
    if (!binary || call->code)
        return;
    call->json_bytes = call->answer.size;
    call->content_type = "application/octet-stream";
    for (size_t i = 0; i < f->infer.output_count; i++)
        if (f->infer.outputs[i].binary)
            hr_buffer_put(&call->answer, f->infer.outputs[i].data, f->infer.outputs[i].size);
}

/* ---- The route ---- */

/* A body without JSON: the bytes of the one input, of one row; all outputs come as bytes. */
static enum hr_status read_raw(struct infer *f)
{
    struct hr_served *served = NULL;
    const struct hr_call *call = f->call;
    HR_TRY(
        hr_registry_find(call->service->registry, &served, call->captures[0], call->captures[1]));
    const int64_t height = served->recipe.crop_height, width = served->recipe.crop_width;
    hr_served_release(served);
    f->inputs[0] = (struct hr_oip_input){ .name = HR_OIP_INPUT,
                                          .datatype = "FP32",
                                          .shape = { 1, 3, height, width },
                                          .rank = 4,
                                          .data = call->body,
                                          .size = call->body_size };
    f->input_count = 1;
    f->wanted[0] = (struct hr_oip_wanted){ .name = HR_OIP_OUTPUT, .binary = true };
    f->wanted_count = 1;
    return HR_OK;
}

static enum hr_status read_json(struct infer *f, size_t json_bytes)
{
    static const char *const keys[] = { "data", NULL };
    const char *body = (const char *)f->call->body;
    HR_TRY(hr_number_arrays_cut(&f->arrays, body, json_bytes, keys));
    HR_TRY(hr_json_object(&f->body, hr_text_str(&f->arrays.text), f->arrays.text.size));
    f->binary =
        hr_reader_of(f->call->body + json_bytes, f->call->body_size - json_bytes, "binary data");
    HR_TRY(hr_json_string_member(f->body, "id", &f->id));
    HR_TRY(read_inputs(f));
    return read_outputs(f);
}

static enum hr_status read_body(struct infer *f)
{
    struct hr_call *call = f->call;
    const char *header = call->find_header(call, "Inference-Header-Content-Length");
    int64_t json_bytes = (int64_t)call->body_size;
    if (header && (hr_parse_i64(header, &json_bytes) != HR_OK || json_bytes < 0 ||
                   (uint64_t)json_bytes > call->body_size))
        return hr_fail(HR_E_ARGUMENT,
                       "Inference-Header-Content-Length is '%.40s', the body has %zu bytes", header,
                       call->body_size);
    return header && json_bytes == 0 ? read_raw(f) : read_json(f, (size_t)json_bytes);
}

static void run(struct infer *f)
{
    struct hr_call *call = f->call;
    enum hr_status status = read_body(f);
    const struct hr_oip_question question = { .model = call->captures[0],
                                              .version = call->captures[1],
                                              .inputs = f->inputs,
                                              .input_count = f->input_count,
                                              .wanted = f->wanted,
                                              .wanted_count = f->wanted_count,
                                              .binary = f->binary_output,
                                              .timeout_us = f->timeout_us };
    if (status == HR_OK)
        status = hr_oip_begin(&f->infer, call->service, &question);
    if (status == HR_OK) {
        if (!hr_call_run(call, &f->infer.request))
            return;
        status = hr_oip_answer(&f->infer, &question);
    }
    if (status == HR_OK)
        put_answer(f);
    else
        hr_call_fail(call, status);
}

void hr_oip_infer_rest(struct hr_call *call)
{
    struct infer f = { .call = call };
    run(&f);
    hr_oip_fini(&f.infer);
    for (size_t i = 0; i < MOST_INPUTS; i++)
        hr_buffer_fini(&f.bytes[i]);
    json_decref(f.body);
    hr_number_arrays_fini(&f.arrays);
}
