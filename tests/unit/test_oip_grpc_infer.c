/* SPDX-License-Identifier: Apache-2.0
 * ModelInfer over gRPC: raw and typed contents give the session's bits, what is wrong with a
 * request is told, and a stream goes on behind a bad one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/grpc_message.h"
#include "serve/oip.pb-c.h"
#include "serve/oip_grpc.h"
#include "small_request.h"
#include "talk.h"

#define INFER "/inference.GRPCInferenceService/ModelInfer"

typedef Inference__ModelInferRequest request_message;
typedef Inference__ModelInferRequest__InferInputTensor input_message;

static const struct hr_grpc_method *const tables[] = { hr_oip_grpc_methods, NULL };

static struct hr_service *service;
static struct talk talk;
static float x[SMALL_FLOATS], logits[SMALL_CLASSES];

static int set_up(void **state)
{
    (void)state;
    service = small_service_start(NULL);
    talk_start(&talk, tables, service);
    small_input("x", x);
    small_logits(service, x, logits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    talk_stop(&talk);
    small_service_stop(service);
    return 0;
}

/* One request with one input, every part of which a test may change. */
struct question {
    request_message request;
    input_message input, *inputs[2];
    Inference__InferTensorContents contents;
    ProtobufCBinaryData raw[2];
    int64_t shape[9];
    Inference__ModelInferRequest__InferRequestedOutputTensor output, *outputs[1];
    Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry of_output,
        *of_outputs[1];
    Inference__InferParameter value;
};

static char name_x[] = "x", name_m[] = "m", fp32[] = "FP32", name_id[] = "7";
static char name_logits[] = "logits", classification[] = "classification";

static void question_of(struct question *q)
{
    *q = (struct question){ .request = INFERENCE__MODEL_INFER_REQUEST__INIT,
                            .input = INFERENCE__MODEL_INFER_REQUEST__INFER_INPUT_TENSOR__INIT,
                            .contents = INFERENCE__INFER_TENSOR_CONTENTS__INIT,
                            .shape = { 1, 3, 32, 32 } };
    q->inputs[0] = q->inputs[1] = &q->input;
    q->request.model_name = name_m;
    q->request.id = name_id;
    q->request.n_inputs = 1;
    q->request.inputs = q->inputs;
    q->input.name = name_x;
    q->input.datatype = fp32;
    q->input.n_shape = 4;
    q->input.shape = q->shape;
    q->raw[0] = q->raw[1] = (ProtobufCBinaryData){ sizeof x, (uint8_t *)x };
    q->request.n_raw_input_contents = 1;
    q->request.raw_input_contents = q->raw;
}

static const Inference__ModelInferResponse *infer(const struct question *q)
{
    talk_ask(&talk, INFER, &q->request.base);
    if (talk.answer.code != 0)
        fail_msg("%d: %s", talk.answer.code, talk.answer.text);
    return (Inference__ModelInferResponse *)talk_read(&talk,
                                                      &inference__model_infer_response__descriptor);
}

static void is_logits(const Inference__ModelInferResponse *r)
{
    assert_string_equal(r->id, "7");
    assert_string_equal(r->model_version, "1");
    assert_true(r->n_outputs == 1 && r->n_raw_output_contents == 1);
    assert_string_equal(r->outputs[0]->name, "logits");
    assert_memory_equal(r->outputs[0]->shape, ((const int64_t[]){ 1, SMALL_CLASSES }), 16);
    assert_int_equal(r->raw_output_contents[0].len, sizeof logits);
    assert_memory_equal(r->raw_output_contents[0].data, logits, sizeof logits);
}

static void raw_and_typed_contents_give_the_sessions_bits(void **state)
{
    struct question q;
    (void)state;
    question_of(&q);
    is_logits(infer(&q));
    q.request.n_raw_input_contents = 0;
    q.input.contents = &q.contents;
    q.contents.n_fp32_contents = SMALL_FLOATS;
    q.contents.fp32_contents = x;
    is_logits(infer(&q));
}

static void classes_may_be_asked_for(void **state)
{
    struct question q;
    (void)state;
    question_of(&q);
    q.output = (Inference__ModelInferRequest__InferRequestedOutputTensor)
        INFERENCE__MODEL_INFER_REQUEST__INFER_REQUESTED_OUTPUT_TENSOR__INIT;
    q.of_output = (Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry)
        INFERENCE__MODEL_INFER_REQUEST__INFER_REQUESTED_OUTPUT_TENSOR__PARAMETERS_ENTRY__INIT;
    q.value = (Inference__InferParameter)INFERENCE__INFER_PARAMETER__INIT;
    q.outputs[0] = &q.output;
    q.of_outputs[0] = &q.of_output;
    q.request.n_outputs = q.output.n_parameters = 1;
    q.request.outputs = q.outputs;
    q.output.name = name_logits;
    q.output.parameters = q.of_outputs;
    q.of_output.key = classification;
    q.of_output.value = &q.value;
    q.value.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
    q.value.int64_param = 2;
    const Inference__ModelInferResponse *r = infer(&q);
    assert_string_equal(r->outputs[0]->datatype, "BYTES");
    assert_int_equal(r->outputs[0]->shape[1], 2);
    q.value.int64_param = -1;
    talk_ask(&talk, INFER, &q.request.base);
    assert_int_equal(talk.answer.code, 3);
    q.value.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
    q.value.string_param = name_x;
    talk_ask(&talk, INFER, &q.request.base);
    assert_int_equal(talk.answer.code, 3);
}

/* ---- What is wrong ---- */

static void two_kinds_of_contents(struct question *q)
{
    q->input.contents = &q->contents;
}

static void no_contents(struct question *q)
{
    q->request.n_raw_input_contents = 0;
}

static void more_contents(struct question *q)
{
    q->request.n_raw_input_contents = 2;
}

static void short_contents(struct question *q)
{
    q->raw[0].len--;
}

static void many_dimensions(struct question *q)
{
    q->input.n_shape = 9;
}

static void huge_shape(struct question *q)
{
    q->shape[2] = q->shape[3] = (int64_t)1 << 62;
}

static void two_inputs(struct question *q)
{
    q->request.n_inputs = q->request.n_raw_input_contents = 2;
}

static void other_model(struct question *q)
{
    q->request.model_name = name_logits;
}

static void many_rows(struct question *q)
{
    q->shape[0] = 9;
}

static void typed_too_short(struct question *q)
{
    q->request.n_raw_input_contents = 0;
    q->input.contents = &q->contents;
    q->contents.n_fp32_contents = SMALL_FLOATS - 1;
    q->contents.fp32_contents = x;
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        void (*change)(struct question *q);
        int code;
        const char *word;
    } cases[] = {
        { two_kinds_of_contents, 3, "contents" },
        { no_contents, 3, "no contents" },
        { more_contents, 3, "raw_input_contents" },
        { short_contents, 3, "12287 bytes" },
        { many_dimensions, 3, "9 dimensions" },
        { huge_shape, 3, "dimension" },
        { two_inputs, 3, "not 2" },
        { other_model, 5, "'logits'" },
        { many_rows, 8, "9 rows" },
        { typed_too_short, 3, "12284 bytes" },
    };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        struct question q;
        question_of(&q);
        cases[i].change(&q);
        talk_ask(&talk, INFER, &q.request.base);
        if (talk.answer.code != cases[i].code || !strstr(talk.answer.text, cases[i].word))
            fail_msg("case %zu: %d %s", i, talk.answer.code, talk.answer.text);
    }
    hr_buffer_fini(&talk.answer.message);
    assert_int_equal(hr_grpc_client_call(talk.client, INFER, "\xff\xff\xff", 3, 20, &talk.answer),
                     HR_OK);
    assert_int_equal(talk.answer.code, 3); /* no message at all */
}

/* ---- Times and streams ---- */

static void a_call_whose_time_is_over_is_not_computed(void **state)
{
    struct small_request held;
    struct hr_buffer bytes = { 0 };
    struct question q;
    (void)state;
    small_hold_begin(&held, service, x);
    question_of(&q);
    assert_int_equal(hr_grpc_pack(&bytes, &q.request.base), HR_OK);
    hr_buffer_fini(&talk.answer.message);
    const enum hr_status status =
        hr_grpc_client_call(talk.client, INFER, bytes.data, bytes.size, 0.2, &talk.answer);
    assert_true(status == HR_E_DEADLINE || (status == HR_OK && talk.answer.code == 4));
    for (int i = 0; i < 60000 && hr_batcher_load(service->batcher) > 0; i++)
        usleep(1000);
    assert_int_equal(hr_batcher_load(service->batcher), 0); /* while the worker is held */
    small_let_go();
    small_request_fini(&held);
    hr_buffer_fini(&bytes);
    is_logits(infer(&q)); /* and the next is answered */
}

static void a_stream_answers_and_goes_on(void **state)
{
    struct question q;
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        question_of(&q);
        if (bad)
            short_contents(&q);
        talk_ask(&talk, "/inference.GRPCInferenceService/ModelStreamInfer", &q.request.base);
        assert_int_equal(talk.answer.code, 0);
        const Inference__ModelStreamInferResponse *r =
            (Inference__ModelStreamInferResponse *)talk_read(
                &talk, &inference__model_stream_infer_response__descriptor);
        assert_string_equal(r->infer_response->id, "7");
        if (bad)
            assert_non_null(strstr(r->error_message, "12287 bytes"));
        else
            is_logits(r->infer_response);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_and_typed_contents_give_the_sessions_bits),
        cmocka_unit_test(classes_may_be_asked_for),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(a_call_whose_time_is_over_is_not_computed),
        cmocka_unit_test(a_stream_answers_and_goes_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
