/* SPDX-License-Identifier: Apache-2.0
 * Paddle's services over gRPC, and the general model's messages over HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "serve/general_model.pb-c.h"
#include "serve/grpc_message.h"
#include "serve/paddle_grpc.h"
#include "serve/pipeline.pb-c.h"
#include "small_pictures.h"
#include "small_service.h"
#include "talk.h"

#define PIPELINE "/baidu.paddle_serving.pipeline_serving.PipelineService/inference"
#define GENERAL  "/baidu.paddle_serving.predictor.general_model.GeneralModelService/inference"

typedef Baidu__PaddleServing__PipelineServing__Request pipeline_request;
typedef Baidu__PaddleServing__PipelineServing__Response pipeline_response;
typedef Baidu__PaddleServing__Predictor__GeneralModel__Request general_request;
typedef Baidu__PaddleServing__Predictor__GeneralModel__Response general_response;
typedef Baidu__PaddleServing__Predictor__GeneralModel__Tensor general_tensor;

static const uint32_t blocks[6] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffff00, 0x808080, 0x102030 };
static const struct hr_grpc_method *const tables[] = { hr_paddle_grpc_methods, NULL };

static struct hr_service *service;
static struct talk talk;
static struct hr_text coded;
static float scores[SMALL_CLASSES];
static size_t order[SMALL_CLASSES];
static char image[] = "image", junk[] = "aGFsbG8=", name_m[] = "m", name_n[] = "n", prob[] = "prob";

static int set_up(void **state)
{
    struct hr_buffer png = { 0 };
    float logits[SMALL_CLASSES];
    (void)state;
    service = small_service_start(NULL);
    talk_start(&talk, tables, service);
    make_block_png(&png, blocks, 1);
    hr_base64_encode(&coded, png.data, png.size);
    small_picture_logits(service, span_of(&png), logits);
    hr_buffer_fini(&png);
    small_scores(service, logits, scores);
    hrnet_top_k(scores, SMALL_CLASSES, SMALL_CLASSES, order);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hr_text_fini(&coded);
    talk_stop(&talk);
    small_service_stop(service);
    return 0;
}

/* ---- The pipeline ---- */

static const pipeline_response *pipeline(char *name, char **keys, size_t key_count, char **values,
                                         size_t value_count)
{
    pipeline_request request = BAIDU__PADDLE_SERVING__PIPELINE_SERVING__REQUEST__INIT;
    request.name = name;
    request.n_key = key_count;
    request.key = keys;
    request.n_value = value_count;
    request.value = values;
    talk_ask(&talk, PIPELINE, &request.base);
    assert_int_equal(talk.answer.code, 0);
    return (pipeline_response *)talk_read(
        &talk, &baidu__paddle_serving__pipeline_serving__response__descriptor);
}

static void the_pipeline_answers_in_pythons_lists(void **state)
{
    char *keys[] = { image, image }, *values[] = { coded.data, coded.data };
    (void)state;
    const pipeline_response *r = pipeline(name_m, keys, 2, values, 2);
    assert_int_equal(r->err_no, 0);
    assert_true(r->n_key == 2 && r->n_value == 2);
    assert_string_equal(r->key[0], "label");
    assert_string_equal(r->key[1], "prob");
    assert_true(r->value[1][0] == '[');
    assert_true((float)strtod(r->value[1] + 1, NULL) == scores[order[0]]);
}

static void the_pipeline_fails_with_numbers_of_its_own(void **state)
{
    char *keys[] = { image }, *values[] = { coded.data }, *junks[] = { junk };
    (void)state;
    assert_int_equal(pipeline(name_n, keys, 1, values, 1)->err_no, 3002);
    assert_int_equal(pipeline(name_m, keys, 1, junks, 1)->err_no, 5000);
    assert_int_equal(pipeline(name_m, keys, 1, values, 0)->err_no, 5000);
    const pipeline_response *r = pipeline(name_m, NULL, 0, NULL, 0);
    assert_int_equal(r->err_no, 5000);
    assert_non_null(strstr(r->err_msg, "no picture"));
    assert_int_equal(r->n_value, 0);
}

/* Arrays of NumPy's come as pickles to the original: here nothing of a tensor is looked at. */
static void tensors_are_never_read(void **state)
{
    Baidu__PaddleServing__PipelineServing__Tensor
        tensor = BAIDU__PADDLE_SERVING__PIPELINE_SERVING__TENSOR__INIT,
        *tensors = &tensor;
    pipeline_request request = BAIDU__PADDLE_SERVING__PIPELINE_SERVING__REQUEST__INIT;
    (void)state;
    request.name = name_m;
    request.n_tensors = 1;
    request.tensors = &tensors;
    talk_ask(&talk, PIPELINE, &request.base);
    const pipeline_response *r = (pipeline_response *)talk_read(
        &talk, &baidu__paddle_serving__pipeline_serving__response__descriptor);
    assert_int_equal(r->err_no, 5000);
    assert_non_null(strstr(r->err_msg, "not taken"));
}

/* ---- The general model ---- */

struct general {
    general_request request;
    general_tensor tensor, *tensors[2];
    char *data[1], *fetch[1];
};

static void general_of(struct general *g)
{
    *g =
        (struct general){ .request = BAIDU__PADDLE_SERVING__PREDICTOR__GENERAL_MODEL__REQUEST__INIT,
                          .tensor = BAIDU__PADDLE_SERVING__PREDICTOR__GENERAL_MODEL__TENSOR__INIT };
    g->tensors[0] = g->tensors[1] = &g->tensor;
    g->data[0] = coded.data;
    g->fetch[0] = prob;
    g->request.n_tensor = 1;
    g->request.tensor = g->tensors;
    g->request.log_id = 77;
    g->tensor.elem_type = 20;
    g->tensor.n_data = 1;
    g->tensor.data = g->data;
}

static void is_scores(const general_response *r, const char *name)
{
    assert_int_equal(r->err_no, 0);
    assert_int_equal(r->log_id, 77);
    const general_tensor *t = r->outputs[0]->tensor[0];
    assert_string_equal(t->name, name);
    assert_true(t->n_shape == 2 && t->shape[0] == 1 && t->shape[1] == SMALL_CLASSES);
    assert_memory_equal(t->float_data, scores, sizeof scores);
}

static const general_response *general(const struct general *g)
{
    talk_ask(&talk, GENERAL, &g->request.base);
    assert_int_equal(talk.answer.code, 0);
    return (general_response *)talk_read(
        &talk, &baidu__paddle_serving__predictor__general_model__response__descriptor);
}

static void the_general_model_answers_probabilities(void **state)
{
    struct general g;
    (void)state;
    general_of(&g);
    is_scores(general(&g), "prediction");
    g.request.n_fetch_var_names = 1;
    g.request.fetch_var_names = g.fetch;
    is_scores(general(&g), "prob");
    g.tensor.elem_type = 13;
    assert_int_equal(general(&g)->err_no, 5000);
    general_of(&g);
    g.request.n_tensor = 2;
    assert_int_equal(general(&g)->err_no, 5000);
    g.request.n_tensor = 0;
    assert_int_equal(general(&g)->err_no, 5000);
    general_of(&g);
    g.data[0] = junk;
    assert_int_equal(general(&g)->err_no, 5000);
    talk.answer.code = -1;
    hr_buffer_fini(&talk.answer.message);
    assert_int_equal(hr_grpc_client_call(talk.client, GENERAL, "\xff\xff\xff", 3, 20, &talk.answer),
                     HR_OK);
    assert_int_equal(talk.answer.code, 3);
}

static void the_same_message_is_taken_over_http(void **state)
{
    struct hr_message_memory memory = { 0 };
    struct hr_buffer bytes = { 0 };
    ProtobufCMessage *message = NULL;
    struct general g;
    (void)state;
    general_of(&g);
    assert_int_equal(hr_grpc_pack(&bytes, &g.request.base), HR_OK);
    struct small_answer answer =
        small_ask(service, "POST /GeneralModelService/inference\nContent-Type:application/proto",
                  bytes.data, bytes.size);
    assert_int_equal(answer.code, 200);
    assert_string_equal(answer.type, "application/proto");
    assert_int_equal(
        hr_message_read(&message, &memory,
                        &baidu__paddle_serving__predictor__general_model__response__descriptor,
                        answer.bytes, answer.size, "answer"),
        HR_OK);
    is_scores((general_response *)message, "prediction");
    hr_message_memory_fini(&memory);
    small_answer_fini(&answer);
    hr_buffer_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pipeline_answers_in_pythons_lists),
        cmocka_unit_test(the_pipeline_fails_with_numbers_of_its_own),
        cmocka_unit_test(tensors_are_never_read),
        cmocka_unit_test(the_general_model_answers_probabilities),
        cmocka_unit_test(the_same_message_is_taken_over_http),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
