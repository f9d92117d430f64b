/* SPDX-License-Identifier: Apache-2.0
 * The repository over gRPC: the index, and changes where they are allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/oip.pb-c.h"
#include "serve/oip_grpc.h"
#include "small_service.h"
#include "talk.h"

#define OIP "/inference.GRPCInferenceService/"

static const struct hr_model_source sources[] = { { "m", "1", "5" }, { "b", "1", "bad" } };
static const struct hr_grpc_method *const tables[] = { hr_oip_grpc_methods, NULL };

static struct hr_service service;
static struct talk talk;
static char m[] = "m", b[] = "b", n[] = "n";

static int set_up(void **state)
{
    struct hr_service_options options;
    (void)state;
    small_service_options(&options);
    options.registry.sources = sources;
    options.registry.source_count = HR_COUNT(sources);
    options.may_load = true;
    assert_int_equal(hr_service_open(&service, &options), HR_OK);
    assert_int_equal(hr_registry_load(service.registry, "m"), HR_OK);
    atomic_store(&service.state, HR_SERVICE_READY);
    talk_start(&talk, tables, &service);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    talk_stop(&talk);
    hr_service_close(&service);
    return 0;
}

static const Inference__RepositoryIndexResponse *index_of(int ready)
{
    Inference__RepositoryIndexRequest request = INFERENCE__REPOSITORY_INDEX_REQUEST__INIT;
    request.ready = ready;
    talk_ask(&talk, OIP "RepositoryIndex", &request.base);
    assert_int_equal(talk.answer.code, 0);
    return (Inference__RepositoryIndexResponse *)talk_read(
        &talk, &inference__repository_index_response__descriptor);
}

static int change(const char *method, char *name)
{
    Inference__RepositoryModelLoadRequest request = INFERENCE__REPOSITORY_MODEL_LOAD_REQUEST__INIT;
    request.model_name = name;
    talk_ask(&talk, method, &request.base);
    return talk.answer.code;
}

static void the_index_tells_what_is_loaded(void **state)
{
    (void)state;
    const Inference__RepositoryIndexResponse *r = index_of(0);
    assert_int_equal(r->n_models, 2);
    assert_string_equal(r->models[0]->name, "m");
    assert_string_equal(r->models[0]->state, "READY");
    assert_string_equal(r->models[1]->state, "UNAVAILABLE");
    assert_string_equal(r->models[1]->reason, "not loaded");
    r = index_of(1);
    assert_int_equal(r->n_models, 1);
    assert_string_equal(r->models[0]->version, "1");
}

static void models_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(change(OIP "RepositoryModelUnload", m), 0);
    assert_int_equal(index_of(1)->n_models, 0);
    assert_int_equal(change(OIP "RepositoryModelUnload", n), 5);
    assert_int_equal(change(OIP "RepositoryModelLoad", n), 5);
    assert_int_equal(change(OIP "RepositoryModelLoad", b), 3);
    assert_non_null(strstr(talk.answer.text, "model b cannot be loaded"));
    assert_null(strstr(talk.answer.text, "/secret")); /* no path of the server's */
    assert_int_equal(change(OIP "RepositoryModelLoad", m), 0);
    assert_int_equal(index_of(1)->n_models, 1);
}

static void contents_of_clients_are_not_taken(void **state)
{
    static char key[] = "file:1/model";
    Inference__RepositoryModelLoadRequest request = INFERENCE__REPOSITORY_MODEL_LOAD_REQUEST__INIT;
    Inference__RepositoryModelLoadRequest__ParametersEntry
        entry = INFERENCE__REPOSITORY_MODEL_LOAD_REQUEST__PARAMETERS_ENTRY__INIT,
        *entries = &entry;
    (void)state;
    entry.key = key;
    request.model_name = m;
    request.n_parameters = 1;
    request.parameters = &entries;
    talk_ask(&talk, OIP "RepositoryModelLoad", &request.base);
    assert_int_equal(talk.answer.code, HR_GRPC_UNIMPLEMENTED);
    service.may_load = false;
    assert_int_equal(change(OIP "RepositoryModelLoad", m), HR_GRPC_PERMISSION_DENIED);
    assert_int_equal(change(OIP "RepositoryModelUnload", m), HR_GRPC_PERMISSION_DENIED);
    assert_int_equal(index_of(1)->n_models, 1);
    service.may_load = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_index_tells_what_is_loaded),
                                        cmocka_unit_test(models_come_and_go),
                                        cmocka_unit_test(contents_of_clients_are_not_taken) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
