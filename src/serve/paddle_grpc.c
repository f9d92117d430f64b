/* SPDX-License-Identifier: Apache-2.0
 * The pipeline's and the general model's messages.  Failures are err_no in a good answer, as theirs
 * are. */
#include "serve/paddle_grpc.h"

#include <string.h>

#include "base/mem.h"
#include "serve/call.h"
#include "serve/general_model.pb-c.h"
#include "serve/grpc_job.h"
#include "serve/grpc_message.h"
#include "serve/paddle_text.h"
#include "serve/pipeline.pb-c.h"
#include "wire/message.h"

typedef Baidu__PaddleServing__PipelineServing__Request pipeline_request;
typedef Baidu__PaddleServing__PipelineServing__Response pipeline_response;
typedef Baidu__PaddleServing__Predictor__GeneralModel__Request general_request;
typedef Baidu__PaddleServing__Predictor__GeneralModel__Response general_response;
typedef Baidu__PaddleServing__Predictor__GeneralModel__Tensor general_tensor;

/* Pictures of texts of base64. */
struct coded {
    struct hr_pictures pictures;
    struct hr_buffer *bytes; /* [count] */
    size_t count;
};

struct work {
    struct hr_grpc_note note; /* the call's state is this */
    struct hr_grpc_job job;
    struct hr_message_memory memory;
    ProtobufCMessage *request;
    struct coded coded;
    void (*answer)(struct hr_grpc_call *call, struct work *work, enum hr_status status);
};

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text; /* protobuf-c packs what it does not write */
}

static enum hr_status begin_coded(struct coded *c, struct hr_service *service, const char *model,
                                  char *const *texts, size_t count)
{
    if (count == 0)
        return hr_fail(HR_E_ARGUMENT, "the request has no picture");
    HR_TRY(hr_pictures_begin(&c->pictures, service, model, NULL, count));
    c->bytes = hr_mem_alloc(count, sizeof *c->bytes);
    if (!c->bytes)
        return HR_E_MEMORY;
    c->count = count;
    for (size_t i = 0; i < count; i++)
        HR_TRY(hr_pictures_set_base64(&c->pictures, i, texts[i], strlen(texts[i]), &c->bytes[i]));
    return HR_OK;
}

static void end_coded(struct coded *c)
{
    for (size_t i = 0; i < c->count; i++)
        hr_buffer_fini(&c->bytes[i]);
    hr_mem_free(c->bytes);
    hr_pictures_fini(&c->pictures);
}

/* The first picture that failed. */
static enum hr_status check(const struct coded *c)
{
    const struct hr_item *failure = hr_request_failure(&c->pictures.request);
    return failure ? hr_fail(failure->status, "%s", failure->message) : HR_OK;
}

static void destroy(struct work *w)
{
    if (!w)
        return;
    end_coded(&w->coded);
    hr_message_memory_fini(&w->memory);
    hr_mem_free(w);
}

/* ---- The pipeline ---- */

static void answer_pipeline(struct hr_grpc_call *call, struct work *w, enum hr_status status)
{
    pipeline_response response = BAIDU__PADDLE_SERVING__PIPELINE_SERVING__RESPONSE__INIT;
    struct hr_text labels = { 0 }, probabilities = { 0 };
    char *keys[2] = { text_of("label"), text_of("prob") }, *values[2];
    if (status == HR_OK)
        status = check(&w->coded);
    if (status == HR_OK)
        hr_paddle_lists(&w->coded.pictures, &labels, &probabilities);
    if (status == HR_OK)
        status = labels.status != HR_OK ? labels.status : probabilities.status;
    response.err_no = hr_paddle_error_number(status);
    if (status == HR_OK) {
        values[0] = labels.data;
        values[1] = probabilities.data;
        response.n_key = response.n_value = 2;
        response.key = keys;
        response.value = values;
    } else {
        response.err_msg = text_of(hr_last_message());
    }
    hr_grpc_answer(call, &response.base);
    hr_text_fini(&labels);
    hr_text_fini(&probabilities);
}

static enum hr_status begin_pipeline(struct work *w, struct hr_grpc_call *call)
{
    const pipeline_request *r = (pipeline_request *)w->request;
    if (r->n_tensors > 0)
        return hr_fail(HR_E_UNSUPPORTED, "tensors are not taken: send pictures as key and value");
    if (r->n_key != r->n_value)
        return hr_fail(HR_E_ARGUMENT, "%zu keys and %zu values", r->n_key, r->n_value);
    return begin_coded(&w->coded, hr_grpc_call_context(call), r->name, r->value, r->n_value);
}

/* ---- The general model ---- */

static enum hr_status begin_general(struct coded *c, const general_request *r,
                                    struct hr_service *service)
{
    if (r->n_tensor != 1)
        return hr_fail(HR_E_ARGUMENT, "the model takes one tensor, not %zu", r->n_tensor);
    if (r->tensor[0]->elem_type != HR_PADDLE_STRING)
        return hr_fail(HR_E_UNSUPPORTED,
                       "elem_type %d is not taken: send pictures as base64, elem_type %d",
                       r->tensor[0]->elem_type, HR_PADDLE_STRING);
    return begin_coded(c, service, NULL, r->tensor[0]->data, r->tensor[0]->n_data);
}

/* float32 [n,k] */
static void fill_probabilities(struct hr_pictures *p, float *out)
{
    for (size_t i = 0; i < p->request.count; i++)
        hrnet_model_scores(p->served->model, p->logits + i * p->classes, out + i * p->classes);
}

/* Packs the answer, or the failure, of a general request. */
static enum hr_status pack_general(struct hr_buffer *out, struct coded *c, const general_request *r,
                                   enum hr_status status)
{
    general_response response = BAIDU__PADDLE_SERVING__PREDICTOR__GENERAL_MODEL__RESPONSE__INIT;
    Baidu__PaddleServing__Predictor__GeneralModel__ModelOutput
        output = BAIDU__PADDLE_SERVING__PREDICTOR__GENERAL_MODEL__MODEL_OUTPUT__INIT,
        *outputs = &output;
    general_tensor tensor = BAIDU__PADDLE_SERVING__PREDICTOR__GENERAL_MODEL__TENSOR__INIT,
                   *tensors = &tensor;
    int32_t shape[2] = { (int32_t)c->count, (int32_t)c->pictures.classes };
    const size_t elements = (size_t)shape[0] * (size_t)shape[1];
    float *values = hr_mem_alloc(elements, sizeof *values);
    if (status == HR_OK)
        status = values ? check(c) : HR_E_MEMORY;
    if (status == HR_OK)
        fill_probabilities(&c->pictures, values);
    response.log_id = r ? r->log_id : 0;
    response.err_no = hr_paddle_error_number(status);
    if (status == HR_OK) {
        tensor.n_float_data = elements;
        tensor.float_data = values;
        tensor.elem_type = HR_PADDLE_FLOAT;
        tensor.n_shape = 2;
        tensor.shape = shape;
        tensor.name = tensor.alias_name =
            r->n_fetch_var_names > 0 ? r->fetch_var_names[0] : text_of("prediction");
        output.n_tensor = 1;
        output.tensor = &tensors;
        output.engine_name = text_of("hrnet");
        response.n_outputs = 1;
        response.outputs = &outputs;
    } else {
        response.err_msg = text_of(hr_last_message());
    }
    status = hr_grpc_pack(out, &response.base);
    hr_mem_free(values);
    return status;
}

static void answer_general(struct hr_grpc_call *call, struct work *w, enum hr_status status)
{
    struct hr_buffer bytes = { 0 };
    status = pack_general(&bytes, &w->coded, (general_request *)w->request, status);
    if (status == HR_OK)
        hr_grpc_send(call, bytes.data, bytes.size);
    hr_grpc_finish(call, status);
    hr_buffer_fini(&bytes);
}

static enum hr_status begin_general_call(struct work *w, struct hr_grpc_call *call)
{
    return begin_general(&w->coded, (general_request *)w->request, hr_grpc_call_context(call));
}

void hr_paddle_general_proto(struct hr_call *call)
{
    struct coded coded = { 0 };
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    enum hr_status status = hr_message_read(
        &base, &memory, &baidu__paddle_serving__predictor__general_model__request__descriptor,
        call->body, call->body_size, "the request");
    if (status == HR_OK)
        status = begin_general(&coded, (general_request *)base, call->service);
    if (status != HR_OK || hr_call_run(call, &coded.pictures.request)) {
        struct hr_buffer bytes = { 0 };
        status = pack_general(&bytes, &coded, (general_request *)base, status);
        if (status == HR_OK) {
            hr_buffer_fini(&call->answer);
            call->answer = bytes;
            call->content_type = "application/proto";
        } else {
            hr_call_fail(call, status);
        }
    }
    end_coded(&coded);
    hr_message_memory_fini(&memory);
}

/* ---- Calls ---- */

static void finish(struct hr_grpc_job *job)
{
    struct work *w = (struct work *)(void *)((uint8_t *)job - offsetof(struct work, job));
    hr_grpc_note_add(&w->note, &w->coded.pictures.request);
    if (!hr_grpc_call_over(job->call))
        w->answer(job->call, w, HR_OK);
    *hr_grpc_call_state(job->call) = NULL;
    destroy(w);
}

static void begin(struct hr_grpc_call *call, struct hr_buffer *message,
                  const ProtobufCMessageDescriptor *type,
                  enum hr_status (*start)(struct work *, struct hr_grpc_call *),
                  void (*answer)(struct hr_grpc_call *, struct work *, enum hr_status))
{
    struct hr_service *service = hr_grpc_call_context(call);
    struct work *w = hr_mem_alloc(1, sizeof *w);
    if (!w) {
        hr_grpc_finish(call, HR_E_MEMORY);
        return;
    }
    enum hr_status status =
        hr_message_read(&w->request, &w->memory, type, message->data, message->size, "the request");
    hr_buffer_fini(message);
    w->answer = answer;
    *hr_grpc_call_state(call) = w;
    if (status != HR_OK) {
        hr_grpc_finish(call, status);
    } else {
        status = start(w, call);
        w->job.finish = finish;
        if (status == HR_OK)
            status =
                hr_grpc_job_submit(&w->job, call, service->batcher, &w->coded.pictures.request);
        if (status == HR_OK)
            return;
        answer(call, w, status);
    }
    *hr_grpc_call_state(call) = NULL;
    destroy(w);
}

static void pipeline(struct hr_grpc_call *call, struct hr_buffer *message)
{
    begin(call, message, &baidu__paddle_serving__pipeline_serving__request__descriptor,
          begin_pipeline, answer_pipeline);
}

static void general(struct hr_grpc_call *call, struct hr_buffer *message)
{
    begin(call, message, &baidu__paddle_serving__predictor__general_model__request__descriptor,
          begin_general_call, answer_general);
}

static void gone(struct hr_grpc_call *call)
{
    struct work *w = *hr_grpc_call_state(call);
    if (w)
        hr_grpc_job_cancel(&w->job);
}

const struct hr_grpc_method hr_paddle_grpc_methods[] = {
    { "/baidu.paddle_serving.pipeline_serving.PipelineService/inference", 0, pipeline, NULL, gone,
      NULL },
    { "/baidu.paddle_serving.predictor.general_model.GeneralModelService/inference", 0, general,
      NULL, gone, NULL },
    { 0 },
};
