/* SPDX-License-Identifier: Apache-2.0
 * The table of protocols, and the requests and answers of those that are JSON or plain bytes. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "cli/client.h"

#define BOUNDARY "hrnet-boundary-7f3c1d9a5b" /* in no picture that anybody sends to himself */

/* ---- Parts ---- */

/* A segment of a path: all but letters, digits and -._~ percent-coded. */
static void add_segment(struct hr_text *out, const char *text)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            hr_text_add_bytes(out, text, 1);
        else
            hr_text_printf(out, "%%%02X", c);
    }
}

static enum hr_status take_path(struct hr_client_request *request, struct hr_text *path)
{
    const enum hr_status status = hr_text_take(path, &request->path);
    hr_text_fini(path);
    return status;
}

/* The value, which it takes, as the body or at its end; NULL means out of memory. */
static enum hr_status put_json(struct hr_client_request *request, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (!text)
        return hr_fail(HR_E_MEMORY, "out of memory, or a name is no UTF-8");
    hr_buffer_put(&request->body, text, strlen(text));
    free(text);
    return request->body.status;
}

static json_t *base64_of(const struct hr_client_item *item)
{
    struct hr_text code = { 0 };
    hr_base64_encode(&code, item->picture, item->picture_bytes);
    json_t *value = code.status == HR_OK ? json_stringn(hr_text_str(&code), code.size) : NULL;
    hr_text_fini(&code);
    return value;
}

static const char *type_of(const struct hr_client_item *item)
{
    const uint8_t *b = item->picture;
    if (item->picture_bytes < 12)
        return "application/octet-stream";
    return memcmp(b, "\377\330", 2) == 0  ? "image/jpeg"
           : memcmp(b, "\211PNG", 4) == 0 ? "image/png"
           : memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0
               ? "image/webp"
               : "application/octet-stream";
}

/* ---- Pictures as they are ---- */

static void put_multipart(struct hr_client_request *request, const struct hr_client_item *items,
                          size_t count)
{
    char head[256];
    for (size_t i = 0; i < count; i++) {
        const int size =
            snprintf(head, sizeof head,
                     "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"image\"; "
                     "filename=\"%zu\"\r\nContent-Type: %s\r\n\r\n",
                     i, type_of(&items[i]));
        hr_buffer_put(&request->body, head, (size_t)size);
        hr_buffer_put(&request->body, items[i].picture, items[i].picture_bytes);
        hr_buffer_put(&request->body, "\r\n", 2);
    }
    hr_buffer_put(&request->body, "--" BOUNDARY "--\r\n", sizeof BOUNDARY + 5);
    request->content_type = "multipart/form-data; boundary=" BOUNDARY;
}

static void put_picture(struct hr_client_request *request, const struct hr_client_item *items,
                        size_t count)
{
    if (count > 1) {
        put_multipart(request, items, count);
        return;
    }
    request->content_type = type_of(items);
    hr_buffer_put(&request->body, items->picture, items->picture_bytes);
}

static enum hr_status make_picture(struct hr_client_request *request,
                                   const struct hr_client_target *target,
                                   const struct hr_client_item *items, size_t count)
{
    struct hr_text path = { 0 };
    hr_text_printf(&path, "/v1/classify?k=%zu", target->top ? target->top : 5);
    if (target->model) {
        hr_text_add(&path, "&model=");
        add_segment(&path, target->model);
    }
    put_picture(request, items, count);
    HR_TRY(take_path(request, &path));
    return request->body.status;
}

static enum hr_status make_torchserve(struct hr_client_request *request,
                                      const struct hr_client_target *target,
                                      const struct hr_client_item *items, size_t count)
{
    struct hr_text path = { 0 };
    if (count > 1)
        return hr_fail(HR_E_ARGUMENT, "torchserve takes one picture a request");
    hr_text_add(&path, "/predictions/");
    add_segment(&path, target->model);
    put_picture(request, items, count);
    HR_TRY(take_path(request, &path));
    return request->body.status;
}

/* ---- The Open Inference Protocol ---- */

static enum hr_status infer_path(struct hr_client_request *request,
                                 const struct hr_client_target *target)
{
    struct hr_text path = { 0 };
    hr_text_add(&path, "/v2/models/");
    add_segment(&path, target->model);
    if (*target->version) {
        hr_text_add(&path, "/versions/");
        add_segment(&path, target->version);
    }
    hr_text_add(&path, "/infer");
    return take_path(request, &path);
}

static json_t *wanted_output(const struct hr_client_target *target, bool binary)
{
    return target->top ? json_pack("{s:s, s:{s:I}}", "name", target->output, "parameters",
                                   "classification", (json_int_t)target->top)
                       : json_pack("{s:s, s:{s:b}}", "name", target->output, "parameters",
                                   "binary_data", (int)binary);
}

static json_t *shape_of(const struct hr_client_item *items, size_t count)
{
    return items->x ? json_pack("[i,i,i,i]", (int)count, 3, items->height, items->width)
                    : json_pack("[i]", (int)count);
}

static size_t floats_of(const struct hr_client_item *item)
{
    return 3 * (size_t)item->height * (size_t)item->width;
}

static enum hr_status make_v2(struct hr_client_request *request,
                              const struct hr_client_target *target,
                              const struct hr_client_item *items, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += items[i].x ? floats_of(&items[i]) * sizeof(float) : 4 + items[i].picture_bytes;
    HR_TRY(infer_path(request, target));
    HR_TRY(
        put_json(request, json_pack("{s:[{s:s, s:o, s:s, s:{s:I}}], s:[o]}", "inputs", "name",
                                    target->input, "shape", shape_of(items, count), "datatype",
                                    items->x ? "FP32" : "BYTES", "parameters", "binary_data_size",
                                    (json_int_t)size, "outputs", wanted_output(target, true))));
    request->json_bytes = request->body.size;
    request->has_json_bytes = true;
    request->content_type = "application/octet-stream";
    for (size_t i = 0; i < count; i++) {
        if (!items[i].x)
            hr_buffer_put_u32le(&request->body, (uint32_t)items[i].picture_bytes);
        hr_buffer_put(&request->body, items[i].x ? (const void *)items[i].x : items[i].picture,
                      items[i].x ? floats_of(&items[i]) * sizeof(float) : items[i].picture_bytes);
    }
    return request->body.status;
}

static enum hr_status make_v2_json(struct hr_client_request *request,
                                   const struct hr_client_target *target,
                                   const struct hr_client_item *items, size_t count)
{
    json_t *data = json_array();
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < floats_of(&items[i]); k++)
            json_array_append_new(data, json_real((double)items[i].x[k]));
    request->content_type = "application/json";
    HR_TRY(infer_path(request, target));
    return put_json(request,
                    json_pack("{s:[{s:s, s:o, s:s, s:o}], s:[o]}", "inputs", "name", target->input,
                              "shape", shape_of(items, count), "datatype", "FP32", "data", data,
                              "outputs", wanted_output(target, false)));
}

/* ---- Paddle's, TensorFlow's ---- */

static enum hr_status make_paddle(struct hr_client_request *request,
                                  const struct hr_client_target *target,
                                  const struct hr_client_item *items, size_t count)
{
    struct hr_text path = { 0 };
    json_t *keys = json_array(), *values = json_array();
    hr_text_add(&path, "/");
    add_segment(&path, target->model);
    hr_text_add(&path, "/prediction");
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(keys, json_string("image"));
        json_array_append_new(values, base64_of(&items[i]));
    }
    request->content_type = "application/json";
    const enum hr_status status =
        put_json(request, json_pack("{s:o, s:o}", "key", keys, "value", values));
    const enum hr_status path_status = take_path(request, &path);
    return status == HR_OK ? path_status : status;
}

static enum hr_status make_hub(struct hr_client_request *request,
                               const struct hr_client_target *target,
                               const struct hr_client_item *items, size_t count)
{
    json_t *images = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(images, base64_of(&items[i]));
    request->content_type = "application/json";
    HR_TRY(put_json(request, json_pack("{s:o, s:I}", "images", images, "top_k",
                                       (json_int_t)(target->top ? target->top : 5))));
    request->path = hr_mem_strdup("/predict/clas_system");
    return request->path ? HR_OK : HR_E_MEMORY;
}

static enum hr_status make_tensorflow(struct hr_client_request *request,
                                      const struct hr_client_target *target,
                                      const struct hr_client_item *items, size_t count)
{
    struct hr_text path = { 0 };
    json_t *instances = json_array();
    hr_text_add(&path, "/v1/models/");
    add_segment(&path, target->model);
    hr_text_add(&path, ":predict");
    for (size_t i = 0; i < count; i++)
        json_array_append_new(instances, json_pack("{s:o}", "b64", base64_of(&items[i])));
    request->content_type = "application/json";
    const enum hr_status status = put_json(request, json_pack("{s:o}", "instances", instances));
    const enum hr_status path_status = take_path(request, &path);
    return status == HR_OK ? path_status : status;
}

/* ---- Answers ---- */

static json_t *parse(const struct hr_client_answer *answer)
{
    const size_t size = answer->json_bytes && answer->json_bytes <= answer->body.size
                            ? answer->json_bytes
                            : answer->body.size;
    return json_loadb((const char *)answer->body.data, size, 0, NULL);
}

static void check_json(struct hr_client_answer *answer)
{
    json_t *value = parse(answer);
    answer->good = value != NULL;
    if (!value)
        snprintf(answer->message, sizeof answer->message, "the answer is no JSON");
    json_decref(value);
}

static void check_paddle(struct hr_client_answer *answer)
{
    json_t *value = parse(answer);
    const json_t *number = json_object_get(value, "err_no");
    const char *text = json_string_value(json_object_get(value, "err_msg"));
    answer->good = json_is_integer(number) && json_integer_value(number) == 0;
    if (!answer->good)
        snprintf(answer->message, sizeof answer->message, "err_no %lld: %.400s",
                 (long long)json_integer_value(number), text ? text : "the answer has no err_no");
    json_decref(value);
}

/* Members that tell of one request only. */
static void drop_times(json_t *value)
{
    static const char *const names[] = { "id", "timing", "log_id", "logId" };
    for (size_t i = 0; i < HR_COUNT(names); i++)
        (void)json_object_del(value, names[i]);
}

static enum hr_status json_essence(const struct hr_client_answer *answer, struct hr_buffer *out)
{
    json_t *value = parse(answer);
    drop_times(value);
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(value);
    if (!text)
        return hr_fail(HR_E_FORMAT, "the answer is no JSON");
    hr_buffer_put(out, text, strlen(text));
    free(text);
    return out->status;
}

static enum hr_status print_json(const struct hr_client_answer *answer, FILE *out)
{
    size_t size = answer->body.size;
    while (size > 0 && isspace(answer->body.data[size - 1]))
        size--;
    fprintf(out, "  %.*s\n", (int)size, answer->body.data ? (const char *)answer->body.data : "");
    return HR_OK;
}

/* Strings of the classification a line each, numbers in a row; binary data is told by its size. */
static enum hr_status print_v2(const struct hr_client_answer *answer, FILE *out)
{
    json_t *value = parse(answer), *output, *element;
    size_t i, k;
    json_array_foreach(json_object_get(value, "outputs"), i, output)
    {
        const json_t *data = json_object_get(output, "data");
        if (!data)
            fprintf(out, "  %s: %lld bytes\n", json_string_value(json_object_get(output, "name")),
                    (long long)json_integer_value(json_object_get(
                        json_object_get(output, "parameters"), "binary_data_size")));
        json_array_foreach(data, k, element)
        {
            if (json_is_string(element))
                fprintf(out, "  %s\n", json_string_value(element));
            else
                fprintf(out, "%s%.9g", k ? " " : "  ", json_number_value(element));
        }
        if (data && json_is_number(json_array_get(data, 0)))
            fputc('\n', out);
    }
    json_decref(value);
    return HR_OK;
}

static enum hr_status v2_essence(const struct hr_client_answer *answer, struct hr_buffer *out)
{
    if (answer->json_bytes && answer->json_bytes < answer->body.size) {
        hr_buffer_put(out, answer->body.data + answer->json_bytes,
                      answer->body.size - answer->json_bytes);
        return out->status;
    }
    return json_essence(answer, out);
}

const struct hr_client_protocol hr_client_protocols[] = {
    { "picture", false, false, true, NULL, false, make_picture, check_json, json_essence,
      print_json },
    { "v2", false, true, true, NULL, true, make_v2, check_json, v2_essence, print_v2 },
    { "v2-json", false, true, false, NULL, true, make_v2_json, check_json, json_essence, print_v2 },
    { "grpc", true, true, true, NULL, true, hr_client_grpc_infer, NULL, hr_client_grpc_essence,
      hr_client_grpc_print },
    { "paddle", false, false, true, "imagenet", false, make_paddle, check_paddle, json_essence,
      print_json },
    { "paddle-grpc", true, false, true, "imagenet", false, hr_client_grpc_pipeline,
      hr_client_grpc_pipeline_check, NULL, hr_client_grpc_pipeline_print },
    { "paddle-general", false, false, true, "", false, hr_client_general, hr_client_general_check,
      NULL, hr_client_general_print },
    { "paddlehub", false, false, true, "", false, make_hub, check_json, json_essence, print_json },
    { "tensorflow", false, false, true, NULL, false, make_tensorflow, check_json, json_essence,
      print_json },
    { "torchserve", false, false, true, NULL, false, make_torchserve, check_json, json_essence,
      print_json },
    { 0 },
};

/* ---- Health ---- */

enum hr_status hr_client_make_health(struct hr_client_request *request,
                                     const struct hr_client_target *target)
{
    if (target->grpc)
        return hr_client_grpc_health(request);
    request->get = true;
    request->path = hr_mem_strdup("/v2/health/ready");
    return request->path ? HR_OK : HR_E_MEMORY;
}
