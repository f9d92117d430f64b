/* SPDX-License-Identifier: Apache-2.0
 * Requests and answers of `hrnet client` that are protobuf messages. */
#include <inttypes.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "cli/client.h"
#include "serve/general_model.pb-c.h"
#include "serve/grpc_message.h"
#include "serve/health.pb-c.h"
#include "serve/oip.pb-c.h"
#include "serve/pipeline.pb-c.h"
#include "wire/message.h"

#define STRING_TYPE 20 /* elem_type of the C++ general model */

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text; /* protobuf-c packs what it does not write */
}

static enum hr_status begin(struct hr_client_request *request, const char *path)
{
    request->path = hr_mem_strdup(path);
    return request->path ? HR_OK : HR_E_MEMORY;
}

static enum hr_status read_answer(const struct hr_client_answer *answer,
                                  const ProtobufCMessageDescriptor *type,
                                  struct hr_message_memory *memory, ProtobufCMessage **out)
{
    return hr_message_read(out, memory, type, answer->body.data, answer->body.size, "the answer");
}

/* ---- The Open Inference Protocol ---- */

/* Pictures as BYTES, or inputs as FP32. */
static void put_raw(struct hr_buffer *raw, const struct hr_client_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].x) {
            hr_buffer_put(raw, items[i].x,
                          3 * (size_t)items[i].height * (size_t)items[i].width * sizeof(float));
        } else {
            hr_buffer_put_u32le(raw, (uint32_t)items[i].picture_bytes);
            hr_buffer_put(raw, items[i].picture, items[i].picture_bytes);
        }
    }
}

enum hr_status hr_client_grpc_infer(struct hr_client_request *request,
                                    const struct hr_client_target *target,
                                    const struct hr_client_item *items, size_t count)
{
    int64_t shape[4] = { (int64_t)count, 3, items[0].height, items[0].width };
    struct hr_buffer raw = { 0 };
    Inference__ModelInferRequest message = INFERENCE__MODEL_INFER_REQUEST__INIT;
    Inference__ModelInferRequest__InferInputTensor
        input = INFERENCE__MODEL_INFER_REQUEST__INFER_INPUT_TENSOR__INIT,
        *inputs = &input;
    Inference__ModelInferRequest__InferRequestedOutputTensor
        output = INFERENCE__MODEL_INFER_REQUEST__INFER_REQUESTED_OUTPUT_TENSOR__INIT,
        *outputs = &output;
    Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry
        entry =
            INFERENCE__MODEL_INFER_REQUEST__INFER_REQUESTED_OUTPUT_TENSOR__PARAMETERS_ENTRY__INIT,
        *entries = &entry;
    Inference__InferParameter top = INFERENCE__INFER_PARAMETER__INIT;
    HR_TRY(begin(request, "/inference.GRPCInferenceService/ModelInfer"));
    put_raw(&raw, items, count);
    ProtobufCBinaryData bytes = { raw.size, raw.data };
    input.name = text_of(target->input);
    input.datatype = text_of(items[0].x ? "FP32" : "BYTES");
    input.n_shape = items[0].x ? 4 : 1;
    input.shape = shape;
    output.name = text_of(target->output);
    output.n_parameters = target->top > 0;
    output.parameters = &entries;
    entry.key = text_of("classification");
    entry.value = &top;
    top.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
    top.int64_param = (int64_t)target->top;
    message.model_name = text_of(target->model);
    message.model_version = text_of(target->version);
    message.n_inputs = message.n_outputs = message.n_raw_input_contents = 1;
    message.inputs = &inputs;
    message.outputs = &outputs;
    message.raw_input_contents = &bytes;
    enum hr_status status = raw.status;
    if (status == HR_OK)
        status = hr_grpc_pack(&request->body, &message.base);
    hr_buffer_fini(&raw);
    return status;
}

enum hr_status hr_client_grpc_essence(const struct hr_client_answer *answer, struct hr_buffer *out)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    const enum hr_status status =
        read_answer(answer, &inference__model_infer_response__descriptor, &memory, &base);
    const Inference__ModelInferResponse *response = (Inference__ModelInferResponse *)base;
    for (size_t i = 0; status == HR_OK && i < response->n_raw_output_contents; i++)
        hr_buffer_put(out, response->raw_output_contents[i].data,
                      response->raw_output_contents[i].len);
    hr_message_memory_fini(&memory);
    return status == HR_OK ? out->status : status;
}

static void print_bytes(const ProtobufCBinaryData *raw, FILE *out)
{
    struct hr_reader r = hr_reader_of(raw->data, raw->len, "the answer");
    uint32_t length;
    struct hr_span text;
    while (hr_reader_left(&r) > 0 && hr_read_u32le(&r, &length) == HR_OK &&
           hr_read_span(&r, length, &text) == HR_OK)
        fprintf(out, "  %.*s\n", (int)text.size, (const char *)text.data);
}

static void print_floats(const ProtobufCBinaryData *raw, FILE *out)
{
    for (size_t i = 0; i + 4 <= raw->len; i += 4) {
        const uint32_t bits = hr_load_u32le(raw->data + i);
        float value;
        memcpy(&value, &bits, sizeof value);
        fprintf(out, "%s%.9g", i ? " " : "  ", (double)value);
    }
    fputc('\n', out);
}

enum hr_status hr_client_grpc_print(const struct hr_client_answer *answer, FILE *out)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    const enum hr_status status =
        read_answer(answer, &inference__model_infer_response__descriptor, &memory, &base);
    const Inference__ModelInferResponse *response = (Inference__ModelInferResponse *)base;
    for (size_t i = 0;
         status == HR_OK && i < response->n_outputs && i < response->n_raw_output_contents; i++) {
        if (strcmp(response->outputs[i]->datatype, "BYTES") == 0)
            print_bytes(&response->raw_output_contents[i], out);
        else if (strcmp(response->outputs[i]->datatype, "FP32") == 0)
            print_floats(&response->raw_output_contents[i], out);
    }
    hr_message_memory_fini(&memory);
    return status;
}

/* ---- Paddle's pipeline ---- */

/* Texts of base64, one a picture; released by free_codes(). */
static enum hr_status encode_pictures(struct hr_text **codes, char ***texts,
                                      const struct hr_client_item *items, size_t count)
{
    *codes = hr_mem_alloc(count, sizeof **codes);
    *texts = hr_mem_alloc(count, sizeof **texts);
    if (!*codes || !*texts)
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++) {
        hr_base64_encode(&(*codes)[i], items[i].picture, items[i].picture_bytes);
        HR_TRY((*codes)[i].status);
        (*texts)[i] = text_of(hr_text_str(&(*codes)[i]));
    }
    return HR_OK;
}

static void free_codes(struct hr_text *codes, char **texts, size_t count)
{
    for (size_t i = 0; codes && i < count; i++)
        hr_text_fini(&codes[i]);
    hr_mem_free(codes);
    hr_mem_free(texts);
}

enum hr_status hr_client_grpc_pipeline(struct hr_client_request *request,
                                       const struct hr_client_target *target,
                                       const struct hr_client_item *items, size_t count)
{
    Baidu__PaddleServing__PipelineServing__Request message =
        BAIDU__PADDLE_SERVING__PIPELINE_SERVING__REQUEST__INIT;
    struct hr_text *codes = NULL;
    char **values = NULL, **keys = hr_mem_alloc(count, sizeof *keys);
    HR_TRY(begin(request, "/baidu.paddle_serving.pipeline_serving.PipelineService/inference"));
    enum hr_status status = keys ? encode_pictures(&codes, &values, items, count) : HR_E_MEMORY;
    if (status == HR_OK) {
        for (size_t i = 0; i < count; i++)
            keys[i] = text_of("image");
        message.name = text_of(target->model);
        message.method = text_of("prediction");
        message.n_key = message.n_value = count;
        message.key = keys;
        message.value = values;
        status = hr_grpc_pack(&request->body, &message.base);
    }
    free_codes(codes, values, count);
    hr_mem_free(keys);
    return status;
}

static void set_error(struct hr_client_answer *answer, int number, const char *text)
{
    answer->good = false;
    snprintf(answer->message, sizeof answer->message, "err_no %d: %.400s", number, text);
}

void hr_client_grpc_pipeline_check(struct hr_client_answer *answer)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    if (read_answer(answer, &baidu__paddle_serving__pipeline_serving__response__descriptor, &memory,
                    &base) == HR_OK) {
        const Baidu__PaddleServing__PipelineServing__Response *response =
            (Baidu__PaddleServing__PipelineServing__Response *)base;
        if (response->err_no != 0)
            set_error(answer, response->err_no, response->err_msg);
    } else {
        set_error(answer, -1, hr_last_message());
    }
    hr_message_memory_fini(&memory);
}

enum hr_status hr_client_grpc_pipeline_print(const struct hr_client_answer *answer, FILE *out)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    const enum hr_status status = read_answer(
        answer, &baidu__paddle_serving__pipeline_serving__response__descriptor, &memory, &base);
    const Baidu__PaddleServing__PipelineServing__Response *response =
        (Baidu__PaddleServing__PipelineServing__Response *)base;
    for (size_t i = 0; status == HR_OK && i < response->n_key && i < response->n_value; i++)
        fprintf(out, "  %s: %s\n", response->key[i], response->value[i]);
    hr_message_memory_fini(&memory);
    return status;
}

/* ---- The C++ general model, over HTTP ---- */

enum hr_status hr_client_general(struct hr_client_request *request,
                                 const struct hr_client_target *target,
                                 const struct hr_client_item *items, size_t count)
{
    Baidu__PaddleServing__Predictor__GeneralModel__Request message =
        BAIDU__PADDLE_SERVING__PREDICTOR__GENERAL_MODEL__REQUEST__INIT;
    Baidu__PaddleServing__Predictor__GeneralModel__Tensor
        tensor = BAIDU__PADDLE_SERVING__PREDICTOR__GENERAL_MODEL__TENSOR__INIT,
        *tensors = &tensor;
    struct hr_text *codes = NULL;
    int32_t shape = (int32_t)count;
    char **values = NULL, *fetch = text_of(target->output);
    HR_TRY(begin(request, "/GeneralModelService/inference"));
    request->content_type = "application/proto";
    enum hr_status status = encode_pictures(&codes, &values, items, count);
    if (status == HR_OK) {
        tensor.n_data = count;
        tensor.data = values;
        tensor.elem_type = STRING_TYPE;
        tensor.n_shape = 1;
        tensor.shape = &shape;
        tensor.name = tensor.alias_name = text_of(target->input);
        message.n_tensor = message.n_fetch_var_names = 1;
        message.tensor = &tensors;
        message.fetch_var_names = &fetch;
        status = hr_grpc_pack(&request->body, &message.base);
    }
    free_codes(codes, values, count);
    return status;
}

typedef Baidu__PaddleServing__Predictor__GeneralModel__Response general_response;

void hr_client_general_check(struct hr_client_answer *answer)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    if (read_answer(answer, &baidu__paddle_serving__predictor__general_model__response__descriptor,
                    &memory, &base) == HR_OK) {
        const general_response *response = (general_response *)base;
        if (response->err_no != 0)
            set_error(answer, response->err_no, response->err_msg);
    } else {
        set_error(answer, -1, hr_last_message());
    }
    hr_message_memory_fini(&memory);
}

enum hr_status hr_client_general_print(const struct hr_client_answer *answer, FILE *out)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    const enum hr_status status =
        read_answer(answer, &baidu__paddle_serving__predictor__general_model__response__descriptor,
                    &memory, &base);
    const general_response *response = (general_response *)base;
    for (size_t i = 0; status == HR_OK && i < response->n_outputs; i++)
        for (size_t k = 0; k < response->outputs[i]->n_tensor; k++) {
            const Baidu__PaddleServing__Predictor__GeneralModel__Tensor *t =
                response->outputs[i]->tensor[k];
            fprintf(out, "  %s:", t->alias_name);
            for (size_t j = 0; j < t->n_float_data; j++)
                fprintf(out, " %.9g", (double)t->float_data[j]);
            fputc('\n', out);
        }
    hr_message_memory_fini(&memory);
    return status;
}

/* ---- Health ---- */

enum hr_status hr_client_grpc_health(struct hr_client_request *request)
{
    return begin(request, "/grpc.health.v1.Health/Check"); /* an empty message: the whole server */
}

bool hr_client_grpc_is_serving(const struct hr_client_answer *answer)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    const bool serving = read_answer(answer, &grpc__health__v1__health_check_response__descriptor,
                                     &memory, &base) == HR_OK &&
                         ((Grpc__Health__V1__HealthCheckResponse *)base)->status ==
                             GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    hr_message_memory_fini(&memory);
    return serving;
}
