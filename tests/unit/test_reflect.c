/* SPDX-License-Identifier: Apache-2.0
 * Server reflection finds every symbol of every service's file, and only those; a server tells its
 * own services. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "hostile.h"
#include "serve/reflect.h"
#include "serve/reflection.pb-c.h"
#include "talk.h"

static bool holds(const struct hr_span *file, const char *text)
{
    return memmem(file->data, file->size, text, strlen(text)) != NULL;
}

static void finds_symbols(void **state)
{
    static const struct {
        const char *symbol, *file;
    } known[] = {
        { "inference.GRPCInferenceService", "oip.proto" },
        { "inference.GRPCInferenceService.ModelInfer", "oip.proto" },
        { "inference.ModelInferRequest", "oip.proto" },
        { "inference.ModelInferRequest.InferInputTensor", "oip.proto" },
        { "inference.ModelInput.Format", "oip.proto" },
        { "inference.DataType", "oip.proto" },
        { "grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto" },
        { "grpc.reflection.v1.ServerReflection", "reflection.proto" },
        { "grpc.reflection.v1alpha.ServerReflection", "reflection_alpha.proto" },
        { "baidu.paddle_serving.pipeline_serving.Request", "pipeline.proto" },
        { "baidu.paddle_serving.predictor.general_model.Tensor", "general_model.proto" },
    };
    static const char *const unknown[] = {
        "",
        "inference",
        "inference.",
        "inference.ModelInfer",
        "inference.ModelInferRequest.",
        "ModelInferRequest",
        "inference.GRPCInferenceService.Model",
        "grpc.health",
    };
    struct hr_span file = { 0 }, by_name = { 0 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(known); i++) {
        assert_int_equal(hr_reflect_symbol(&file, known[i].symbol), HR_OK);
        assert_true(holds(&file, known[i].file));
        assert_int_equal(hr_reflect_file(&by_name, known[i].file), HR_OK);
        assert_ptr_equal(file.data, by_name.data);
    }
    for (size_t i = 0; i < HR_COUNT(unknown); i++)
        assert_int_equal(hr_reflect_symbol(&file, unknown[i]), HR_E_NOT_FOUND);
    assert_int_equal(hr_reflect_file(&file, "onnx.proto"), HR_E_NOT_FOUND);
}

/* ---- Over a connection ---- */

static void nothing(struct hr_grpc_call *call, struct hr_buffer *message)
{
    (void)message;
    hr_grpc_finish(call, HR_OK);
}

static const struct hr_grpc_method others[] = {
    { "/a.First/One", 0, nothing, NULL, NULL, NULL },
    { "/a.First/Two", 0, nothing, NULL, NULL, NULL },
    { "/a.FirstAgain/One", 0, nothing, NULL, NULL, NULL },
    { 0 },
};
static const struct hr_grpc_method *const tables[] = { others, hr_reflection_methods, NULL, NULL };

static Grpc__Reflection__V1__ServerReflectionResponse *
ask(struct talk *talk, const char *version, Grpc__Reflection__V1__ServerReflectionRequest *request)
{
    char path[100];
    snprintf(path, sizeof path, "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo",
             version);
    talk_ask(talk, path, &request->base);
    assert_true(talk->answer.code == 0 && talk->answer.messages == 1);
    return (Grpc__Reflection__V1__ServerReflectionResponse *)talk_read(
        talk, &grpc__reflection__v1__server_reflection_response__descriptor);
}

static void answers_both_versions(void **state)
{
    static const char *const versions[] = { "v1", "v1alpha" };
    Grpc__Reflection__V1__ServerReflectionRequest request =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct talk talk;
    (void)state;
    talk_start(&talk, tables, NULL);
    for (size_t i = 0; i < HR_COUNT(versions); i++) {
        request.message_request_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
        request.list_services = (char *)(uintptr_t) "";
        const Grpc__Reflection__V1__ListServiceResponse *list =
            ask(&talk, versions[i], &request)->list_services_response;
        assert_int_equal(list->n_service, 4);
        assert_string_equal(list->service[0]->name, "a.First");
        assert_string_equal(list->service[1]->name, "a.FirstAgain");
        assert_string_equal(list->service[2]->name, "grpc.reflection.v1.ServerReflection");

        request.message_request_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
        request.file_containing_symbol = (char *)(uintptr_t) "inference.ModelInferRequest";
        const Grpc__Reflection__V1__FileDescriptorResponse *files =
            ask(&talk, versions[i], &request)->file_descriptor_response;
        const struct hr_span file = { files->file_descriptor_proto[0].data,
                                      files->file_descriptor_proto[0].len };
        assert_true(holds(&file, "oip.proto"));

        request.file_containing_symbol = (char *)(uintptr_t) "a.First";
        assert_int_equal(ask(&talk, versions[i], &request)->error_response->error_code, 5);
    }
    talk_stop(&talk);
}

/* ---- Hostile ---- */

static void call_with(void *context, const uint8_t *data, size_t size)
{
    struct talk *talk = context;
    hr_buffer_fini(&talk->answer.message);
    assert_int_equal(hr_grpc_client_call(talk->client, hr_reflection_methods[0].path, data, size,
                                         20, &talk->answer),
                     HR_OK);
    assert_true(talk->answer.code == 0 || talk->answer.code == 3);
}

static void any_request_is_answered(void **state)
{
    static const char request[] = "\x0a\x04host\x22\x1binference.ModelInferRequest";
    struct talk talk;
    (void)state;
    talk_start(&talk, tables, NULL);
    hostile_mutations((const uint8_t *)request, sizeof request - 1, 3, 300, call_with, &talk);
    talk_stop(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_symbols),
        cmocka_unit_test(answers_both_versions),
        cmocka_unit_test(any_request_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
