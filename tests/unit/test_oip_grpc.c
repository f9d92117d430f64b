/* SPDX-License-Identifier: Apache-2.0
 * The Open Inference Protocol over gRPC but for inference and repository: what is told of server
 * and models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hrnet/hrnet.h"
#include "serve/oip.pb-c.h"
#include "serve/oip_grpc.h"
#include "small_service.h"
#include "talk.h"

#define OIP       "/inference.GRPCInferenceService/"
#define NOT_FOUND 5

static const struct hr_grpc_method *const tables[] = { hr_oip_grpc_methods, NULL };

static struct hr_service *service;
static struct talk talk;

static int set_up(void **state)
{
    struct hr_service_options options;
    (void)state;
    small_service_versions(&options);
    service = small_service_start(&options);
    talk_start(&talk, tables, service);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    talk_stop(&talk);
    small_service_stop(service);
    return 0;
}

/* Asks with {name = 1, version = 2}, as many of these requests have; the call's code. */
static int ask_named(const char *method, char *name, char *version)
{
    Inference__ModelReadyRequest request = INFERENCE__MODEL_READY_REQUEST__INIT;
    request.name = name;
    request.version = version;
    talk_ask(&talk, method, &request.base);
    return talk.answer.code;
}

static char m[] = "m", x[] = "x", n[] = "n", one[] = "1", three[] = "3", none[] = "";

static void the_server_is_told(void **state)
{
    Inference__ServerLiveRequest request = INFERENCE__SERVER_LIVE_REQUEST__INIT;
    (void)state;
    talk_ask(&talk, OIP "ServerLive", &request.base);
    assert_true(((Inference__ServerLiveResponse *)talk_read(
                     &talk, &inference__server_live_response__descriptor))
                    ->live);
    for (int ready = 0; ready < 2; ready++) {
        atomic_store(&service->state, ready ? HR_SERVICE_READY : HR_SERVICE_DRAINING);
        talk_ask(&talk, OIP "ServerReady", &request.base);
        assert_int_equal(((Inference__ServerReadyResponse *)talk_read(
                              &talk, &inference__server_ready_response__descriptor))
                             ->ready,
                         ready);
    }
    talk_ask(&talk, OIP "ServerMetadata", &request.base);
    const Inference__ServerMetadataResponse *r = (Inference__ServerMetadataResponse *)talk_read(
        &talk, &inference__server_metadata_response__descriptor);
    assert_string_equal(r->name, "hrnet");
    assert_string_equal(r->version, hrnet_version());
    assert_int_equal(r->n_extensions, 6);
}

static void models_are_ready_or_not_or_unknown(void **state)
{
    (void)state;
    assert_int_equal(ask_named(OIP "ModelReady", m, none), 0);
    assert_true(((Inference__ModelReadyResponse *)talk_read(
                     &talk, &inference__model_ready_response__descriptor))
                    ->ready);
    assert_int_equal(ask_named(OIP "ModelReady", m, three), 0);
    assert_false(((Inference__ModelReadyResponse *)talk_read(
                      &talk, &inference__model_ready_response__descriptor))
                     ->ready);
    assert_int_equal(ask_named(OIP "ModelReady", n, none), NOT_FOUND);
    assert_non_null(strstr(talk.answer.text, "'n'"));
}

static void models_tell_their_tensors(void **state)
{
    (void)state;
    assert_int_equal(ask_named(OIP "ModelMetadata", m, one), 0);
    const Inference__ModelMetadataResponse *r = (Inference__ModelMetadataResponse *)talk_read(
        &talk, &inference__model_metadata_response__descriptor);
    assert_string_equal(r->name, "m");
    assert_int_equal(r->n_versions, 2);
    assert_string_equal(r->versions[1], "2");
    assert_true(r->n_inputs == 1 && r->n_outputs == 1);
    assert_string_equal(r->inputs[0]->datatype, "FP32");
    assert_memory_equal(r->inputs[0]->shape, ((const int64_t[]){ -1, 3, 32, 32 }), 32);
    assert_memory_equal(r->outputs[0]->shape, ((const int64_t[]){ -1, 5 }), 16);
    assert_int_equal(ask_named(OIP "ModelMetadata", m, three), NOT_FOUND);

    assert_int_equal(ask_named(OIP "ModelConfig", x, none), 0);
    const Inference__ModelConfigResponse *c = (Inference__ModelConfigResponse *)talk_read(
        &talk, &inference__model_config_response__descriptor);
    assert_int_equal(c->config->max_batch_size, 8);
    assert_memory_equal(c->config->input[0]->dims, ((const int64_t[]){ 3, 32, 32 }), 24);
    assert_int_equal(c->config->output[0]->dims[0], 4);
    assert_int_equal(c->config->dynamic_batching->preferred_batch_size[0], SMALL_BATCH);
    assert_int_equal(c->config->dynamic_batching->max_queue_delay_microseconds, 2);
    assert_int_equal(ask_named(OIP "ModelConfig", n, none), NOT_FOUND);
}

static void statistics_are_of_one_or_all(void **state)
{
    struct hr_served *served = NULL;
    (void)state;
    assert_int_equal(hr_registry_find(service->registry, &served, "x", NULL), HR_OK);
    atomic_store(&served->stats.success_count, 3);
    atomic_store(&served->stats.batches[2], 4);
    atomic_store(&served->stats.batches_ns[2], 500);
    atomic_store(&served->stats.batches[64], 1);
    atomic_store(&served->stats.batches_ns[64], 7);
    hr_served_release(served);
    assert_int_equal(ask_named(OIP "ModelStatistics", x, none), 0);
    const Inference__ModelStatisticsResponse *r = (Inference__ModelStatisticsResponse *)talk_read(
        &talk, &inference__model_statistics_response__descriptor);
    assert_int_equal(r->n_model_stats, 1);
    const Inference__ModelStatistics *s = r->model_stats[0];
    assert_int_equal(s->inference_count, 3);
    assert_int_equal(s->execution_count, 5);
    assert_int_equal(s->inference_stats->success->count, 3);
    assert_int_equal(s->inference_stats->compute_infer->ns, 507);
    assert_int_equal(s->n_batch_stats, 2);
    assert_int_equal(s->batch_stats[1]->batch_size, 64);
    assert_int_equal(s->batch_stats[0]->compute_infer->ns, 500);
    assert_int_equal(ask_named(OIP "ModelStatistics", none, none), 0);
    r = (Inference__ModelStatisticsResponse *)talk_read(
        &talk, &inference__model_statistics_response__descriptor);
    assert_int_equal(r->n_model_stats, 3);
    assert_string_equal(r->model_stats[1]->version, "2");
    assert_int_equal(ask_named(OIP "ModelStatistics", n, none), NOT_FOUND);
    for (size_t i = 0; i < 3; i++) { /* every one was let go */
        assert_int_equal(hr_registry_find(service->registry, &served, small_versions[i].name,
                                          small_versions[i].version),
                         HR_OK);
        assert_int_equal(atomic_load(&served->references), 2);
        hr_served_release(served);
    }
}

static void settings_are_empty(void **state)
{
    static const char *const paths[] = { OIP "SystemSharedMemoryStatus", OIP "TraceSetting",
                                         OIP "LogSettings", OIP "CudaSharedMemoryStatus" };
    Inference__ServerLiveRequest request = INFERENCE__SERVER_LIVE_REQUEST__INIT;
    (void)state;
    for (size_t i = 0; i < HR_COUNT(paths); i++) {
        talk_ask(&talk, paths[i], &request.base);
        assert_true(talk.answer.code == 0 && talk.answer.message.size == 0);
    }
    talk_ask(&talk, OIP "SystemSharedMemoryRegister", &request.base);
    assert_int_equal(talk.answer.code, HR_GRPC_UNIMPLEMENTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_is_told),
        cmocka_unit_test(models_are_ready_or_not_or_unknown),
        cmocka_unit_test(models_tell_their_tensors),
        cmocka_unit_test(statistics_are_of_one_or_all),
        cmocka_unit_test(settings_are_empty),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
