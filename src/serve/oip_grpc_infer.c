/* SPDX-License-Identifier: Apache-2.0
 * ModelInfer, and ModelStreamInfer: the same many times over one call, answered in the order of the
 * requests, where a bad one is told and the next goes on. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "serve/grpc_job.h"
#include "serve/grpc_message.h"
#include "serve/oip.h"
#include "serve/oip.pb-c.h"
#include "serve/oip_grpc.h"
#include "wire/message.h"

#define MOST_INPUTS  8
#define MOST_WAITING 64   /* of a stream, before its client has to wait */
#define MOST_STREAM  1024 /* what its client may have sent before it noticed */

typedef Inference__ModelInferRequest request_message;
typedef Inference__InferParameter parameter_message;

struct infer_stream;

struct infer {
    struct hr_grpc_note note; /* of a call that is no stream: its state is this */
    struct hr_grpc_job job;
    struct infer_stream *stream; /* or NULL */
    struct infer *next;          /* of the stream, in order */
    bool done;
    enum hr_status status; /* of what went wrong before it was submitted */
    char message[512];

    struct hr_message_memory memory;
    request_message *request;
    struct hr_oip_input inputs[MOST_INPUTS];
    struct hr_buffer bytes[MOST_INPUTS]; /* of inputs whose contents are typed */
    struct hr_oip_wanted wanted[HR_OIP_MOST_OUTPUTS];
    struct hr_oip_question question;
    struct hr_oip_infer infer;
};

struct infer_stream {
    struct hr_grpc_note note;
    struct infer *first, *last;
    size_t waiting;
    bool ended, over; /* ended: the client sends no more; over: the call is gone */
};

static void destroy(struct infer *f)
{
    if (!f)
        return;
    hr_oip_fini(&f->infer);
    for (size_t i = 0; i < MOST_INPUTS; i++)
        hr_buffer_fini(&f->bytes[i]);
    hr_message_memory_fini(&f->memory);
    hr_mem_free(f);
}

/* ---- The request ---- */

static enum hr_status typed_contents(struct hr_oip_input *in, struct hr_buffer *bytes,
                                     const Inference__InferTensorContents *c)
{
    if (strcmp(in->datatype, "FP32") == 0) {
        in->data = (const uint8_t *)c->fp32_contents; /* little-endian, as every CPU this runs on */
        in->size = c->n_fp32_contents * sizeof *c->fp32_contents;
        return HR_OK;
    }
    if (strcmp(in->datatype, "UINT8") == 0) {
        for (size_t i = 0; i < c->n_uint_contents; i++) {
            if (c->uint_contents[i] > 255)
                return hr_fail(HR_E_ARGUMENT,
                               "input '%.60s': element %zu is %u, too much for UINT8", in->name, i,
                               c->uint_contents[i]);
            hr_buffer_put_u8(bytes, (uint8_t)c->uint_contents[i]);
        }
    } else if (strcmp(in->datatype, "BYTES") == 0) {
        for (size_t i = 0; i < c->n_bytes_contents; i++) {
            hr_buffer_put_u32le(bytes, (uint32_t)c->bytes_contents[i].len);
            hr_buffer_put(bytes, c->bytes_contents[i].data, c->bytes_contents[i].len);
        }
    }
    in->data = bytes->data;
    in->size = bytes->size;
    return bytes->status;
}

static enum hr_status read_input(struct infer *f, size_t i)
{
    const Inference__ModelInferRequest__InferInputTensor *from = f->request->inputs[i];
    struct hr_oip_input *in = &f->inputs[i];
    *in = (struct hr_oip_input){ .name = from->name, .datatype = from->datatype };
    for (size_t k = 0; k < from->n_parameters; k++)
        if (strcmp(from->parameters[k]->key, "shared_memory_region") == 0)
            return hr_fail(HR_E_UNSUPPORTED, "input '%.60s': shared memory is not supported",
                           in->name);
    if (from->n_shape > HR_OIP_MOST_RANK)
        return hr_fail(HR_E_SHAPE, "input '%.60s' has %zu dimensions", in->name, from->n_shape);
    in->rank = from->n_shape;
    for (size_t k = 0; k < in->rank; k++)
        in->shape[k] = from->shape[k];
    if (f->request->n_raw_input_contents > 0) {
        if (from->contents)
            return hr_fail(HR_E_ARGUMENT,
                           "input '%.60s' has contents, and the request raw_input_contents too",
                           in->name);
        in->data = f->request->raw_input_contents[i].data;
        in->size = f->request->raw_input_contents[i].len;
        return HR_OK;
    }
    return from->contents ? typed_contents(in, &f->bytes[i], from->contents)
                          : hr_fail(HR_E_ARGUMENT, "input '%.60s' has no contents", in->name);
}

static enum hr_status read_inputs(struct infer *f)
{
    const request_message *r = f->request;
    if (r->n_inputs > MOST_INPUTS)
        return hr_fail(HR_E_ARGUMENT, "the request has %zu inputs", r->n_inputs);
    if (r->n_raw_input_contents > 0 && r->n_raw_input_contents != r->n_inputs)
        return hr_fail(HR_E_ARGUMENT, "%zu inputs, but %zu raw_input_contents", r->n_inputs,
                       r->n_raw_input_contents);
    for (size_t i = 0; i < r->n_inputs; i++)
        HR_TRY(read_input(f, i));
    return HR_OK;
}

/* A parameter that must be a whole number, not below 0. */
static enum hr_status count_parameter(const char *key, const parameter_message *value,
                                      uint64_t *out)
{
    if (value &&
        value->parameter_choice_case == INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM &&
        value->int64_param >= 0)
        *out = (uint64_t)value->int64_param;
    else if (value && value->parameter_choice_case ==
                          INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_UINT64_PARAM)
        *out = value->uint64_param;
    else
        return hr_fail(HR_E_ARGUMENT, "parameter '%s' must be a whole number, not below 0", key);
    return HR_OK;
}

static enum hr_status read_outputs(struct infer *f)
{
    const request_message *r = f->request;
    if (r->n_outputs > HR_OIP_MOST_OUTPUTS)
        return hr_fail(HR_E_LIMIT, "more than %d outputs are asked for", HR_OIP_MOST_OUTPUTS);
    for (size_t i = 0; i < r->n_outputs; i++) {
        const Inference__ModelInferRequest__InferRequestedOutputTensor *from = r->outputs[i];
        f->wanted[i].name = from->name;
        for (size_t k = 0; k < from->n_parameters; k++) {
            const char *key = from->parameters[k]->key;
            uint64_t count = 0;
            if (strcmp(key, "shared_memory_region") == 0)
                return hr_fail(HR_E_UNSUPPORTED, "output '%.60s': shared memory is not supported",
                               from->name);
            if (strcmp(key, "classification") != 0)
                continue;
            HR_TRY(count_parameter(key, from->parameters[k]->value, &count));
            f->wanted[i].classification = count;
        }
    }
    return HR_OK;
}

static enum hr_status read_request(struct infer *f, struct hr_grpc_call *call,
                                   const struct hr_buffer *message)
{
    ProtobufCMessage *base = NULL;
    uint64_t timeout_us = 0;
    HR_TRY(hr_message_read(&base, &f->memory, &inference__model_infer_request__descriptor,
                           message->data, message->size, "the request"));
    f->request = (request_message *)base;
    HR_TRY(read_inputs(f));
    HR_TRY(read_outputs(f));
    for (size_t i = 0; i < f->request->n_parameters; i++)
        if (strcmp(f->request->parameters[i]->key, "timeout") == 0)
            HR_TRY(count_parameter("timeout", f->request->parameters[i]->value, &timeout_us));
    f->question = (struct hr_oip_question){
        .model = f->request->model_name,
        .version = f->request->model_version,
        .inputs = f->inputs,
        .input_count = f->request->n_inputs,
        .wanted = f->wanted,
        .wanted_count = f->request->n_outputs,
        .timeout_us = timeout_us,
    };
    return hr_oip_begin(&f->infer, hr_grpc_call_context(call), &f->question);
}

/* ---- The answer ---- */

/* What ModelInferResponse points to. */
struct response {
    Inference__ModelInferResponse base;
    Inference__ModelInferResponse__InferOutputTensor outputs[HR_OIP_MOST_OUTPUTS];
    Inference__ModelInferResponse__InferOutputTensor *pointers[HR_OIP_MOST_OUTPUTS];
    ProtobufCBinaryData raw[HR_OIP_MOST_OUTPUTS];
};

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text; /* protobuf-c packs what it does not write */
}

static void fill_response(struct response *r, struct infer *f)
{
    static const Inference__ModelInferResponse__InferOutputTensor empty =
        INFERENCE__MODEL_INFER_RESPONSE__INFER_OUTPUT_TENSOR__INIT;
    inference__model_infer_response__init(&r->base);
    r->base.model_name = f->infer.served->name;
    r->base.model_version = f->infer.served->version;
    r->base.id = f->request->id;
    r->base.n_outputs = r->base.n_raw_output_contents = f->infer.output_count;
    r->base.outputs = r->pointers;
    r->base.raw_output_contents = r->raw;
    for (size_t i = 0; i < f->infer.output_count; i++) {
        struct hr_oip_output *from = &f->infer.outputs[i];
        r->outputs[i] = empty;
        r->outputs[i].name = text_of(from->name);
        r->outputs[i].datatype = text_of(from->datatype);
        r->outputs[i].n_shape = HR_COUNT(from->shape);
        r->outputs[i].shape = from->shape;
        r->pointers[i] = &r->outputs[i];
        r->raw[i] = (ProtobufCBinaryData){ from->size, from->data };
    }
}

static void answer(struct infer *f, struct hr_grpc_call *call)
{
    struct response response;
    hr_grpc_note_add(&f->note, &f->infer.request);
    const enum hr_status status = hr_oip_answer(&f->infer, &f->question);
    if (status != HR_OK) {
        hr_grpc_finish(call, status);
        return;
    }
    fill_response(&response, f);
    hr_grpc_answer(call, &response.base.base);
}

/* ---- One call ---- */

static struct infer *infer_of(struct hr_grpc_job *job)
{
    return (struct infer *)(void *)((uint8_t *)job - offsetof(struct infer, job));
}

static void finish(struct hr_grpc_job *job)
{
    struct infer *f = infer_of(job);
    if (!hr_grpc_call_over(job->call))
        answer(f, job->call);
    *hr_grpc_call_state(job->call) = NULL;
    destroy(f);
}

void hr_oip_grpc_infer(struct hr_grpc_call *call, struct hr_buffer *message)
{
    struct hr_service *service = hr_grpc_call_context(call);
    struct infer *f = hr_mem_alloc(1, sizeof *f);
    enum hr_status status = f ? read_request(f, call, message) : HR_E_MEMORY;
    hr_buffer_fini(message);
    if (status == HR_OK) {
        *hr_grpc_call_state(call) = f;
        f->job.finish = finish;
        status = hr_grpc_job_submit(&f->job, call, service->batcher, &f->infer.request);
    }
    if (status != HR_OK) {
        hr_grpc_finish(call, status);
        *hr_grpc_call_state(call) = NULL;
        destroy(f);
    }
}

void hr_oip_grpc_infer_gone(struct hr_grpc_call *call)
{
    struct infer *f = *hr_grpc_call_state(call);
    if (f)
        hr_grpc_job_cancel(&f->job);
}

/* ---- Streams ---- */

static void send_stream_answer(struct infer *f, struct hr_grpc_call *call)
{
    Inference__ModelStreamInferResponse message = INFERENCE__MODEL_STREAM_INFER_RESPONSE__INIT;
    struct response response;
    if (f->status == HR_OK) {
        hr_grpc_note_add(&f->stream->note, &f->infer.request);
        f->status = hr_oip_answer(&f->infer, &f->question);
        if (f->status != HR_OK)
            snprintf(f->message, sizeof f->message, "%s", hr_last_message());
    }
    if (f->status == HR_OK) {
        fill_response(&response, f);
    } else { /* with the id, so that the client knows which */
        inference__model_infer_response__init(&response.base);
        if (f->request) {
            response.base.id = f->request->id;
            response.base.model_name = f->request->model_name;
        }
        message.error_message = f->message;
    }
    message.infer_response = &response.base;
    hr_grpc_send_message(call, &message.base);
}

/* Nobody hears what is still to come. */
static void leave(struct infer_stream *s)
{
    s->over = true;
    for (struct infer *f = s->first; f; f = f->next)
        if (!f->done)
            hr_grpc_job_cancel(&f->job);
}

/* Answers what is done at the head of the line; ends the stream where its client has. */
static void advance(struct infer_stream *s, struct hr_grpc_call *call)
{
    while (s->first && s->first->done) {
        struct infer *f = s->first;
        if (!s->over)
            send_stream_answer(f, call);
        s->first = f->next;
        if (!s->first)
            s->last = NULL;
        s->waiting--;
        destroy(f);
        if (!s->over && hr_grpc_call_over(call)) /* memory did not suffice for the answer */
            leave(s);
    }
    if (s->waiting < MOST_WAITING / 2)
        hr_grpc_call_pause(call, false);
    if (s->first)
        return;
    if (s->ended && !s->over)
        hr_grpc_finish(call, HR_OK);
    if (s->ended || s->over) {
        *hr_grpc_call_state(call) = NULL;
        hr_mem_free(s);
    }
}

static void stream_finish(struct hr_grpc_job *job)
{
    struct infer *f = infer_of(job);
    f->done = true;
    advance(f->stream, job->call);
}

static struct infer_stream *stream_of(struct hr_grpc_call *call)
{
    void **state = hr_grpc_call_state(call);
    if (!*state)
        *state = hr_mem_alloc(1, sizeof(struct infer_stream));
    return *state;
}

void hr_oip_grpc_stream_gone(struct hr_grpc_call *call)
{
    struct infer_stream *s = *hr_grpc_call_state(call);
    if (!s)
        return;
    leave(s);
    advance(s, call);
}

void hr_oip_grpc_stream(struct hr_grpc_call *call, struct hr_buffer *message)
{
    struct hr_service *service = hr_grpc_call_context(call);
    struct infer_stream *s = stream_of(call);
    struct infer *f = s ? hr_mem_alloc(1, sizeof *f) : NULL;
    if (!f || s->waiting == MOST_STREAM) {
        hr_mem_free(f);
        hr_grpc_finish(
            call, f ? hr_fail(HR_E_BUSY, "more than %d requests wait in one stream", MOST_STREAM)
                    : HR_E_MEMORY);
        hr_oip_grpc_stream_gone(call);
        return;
    }
    f->stream = s;
    if (s->last)
        s->last->next = f;
    else
        s->first = f;
    s->last = f;
    if (++s->waiting >= MOST_WAITING)
        hr_grpc_call_pause(call, true);
    f->status = read_request(f, call, message);
    hr_buffer_fini(message);
    if (f->status == HR_OK) {
        f->job.finish = stream_finish;
        f->status = hr_grpc_job_submit(&f->job, call, service->batcher, &f->infer.request);
    }
    if (f->status != HR_OK) {
        snprintf(f->message, sizeof f->message, "%s", hr_last_message());
        f->done = true;
        advance(s, call);
    }
}

void hr_oip_grpc_stream_end(struct hr_grpc_call *call)
{
    struct infer_stream *s = *hr_grpc_call_state(call);
    if (!s) {
        hr_grpc_finish(call, HR_OK);
        return;
    }
    s->ended = true;
    advance(s, call);
}
