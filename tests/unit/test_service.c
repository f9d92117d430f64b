/* SPDX-License-Identifier: Apache-2.0
 * A service is made whole or not at all, and is ready when its models are loaded and it does not
 * drain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "hostile.h"
#include "small_service.h"

static void ready_is_loaded_and_not_draining(void **state)
{
    struct hr_service_options options;
    struct hr_service service;
    (void)state;
    small_service_options(&options);
    assert_int_equal(hr_service_open(&service, &options), HR_OK);
    assert_int_equal(atomic_load(&service.state), HR_SERVICE_LOADING);
    assert_false(hr_service_ready(&service));
    assert_int_equal(hr_registry_load_all(service.registry), HR_OK);
    assert_false(hr_service_ready(&service));
    atomic_store(&service.state, HR_SERVICE_READY);
    assert_true(hr_service_ready(&service));
    assert_int_equal(hr_registry_unload(service.registry, "m"), HR_OK);
    assert_false(hr_service_ready(&service));
    assert_int_equal(hr_registry_load(service.registry, "m"), HR_OK);
    assert_true(hr_service_ready(&service));
    atomic_store(&service.state, HR_SERVICE_DRAINING);
    assert_false(hr_service_ready(&service));
    hr_service_close(&service);
}

static void what_cannot_be_opened_leaves_nothing(void **state)
{
    struct hr_service_options options;
    struct hr_service service;
    (void)state;
    small_service_options(&options);
    options.gate.token_file = "/nonexistent/tokens";
    assert_int_equal(hr_service_open(&service, &options), HR_E_NOT_FOUND);
    hr_service_close(&service);
    options.gate.token_file = NULL;
    options.log_path = "/nonexistent/log";
    assert_int_equal(hr_service_open(&service, &options), HR_E_IO);
    hr_service_close(&service);
    options.log_path = NULL;
    bool failed = true;
    for (unsigned n = 0; failed; n++) {
        hostile_memory_fail(n);
        const enum hr_status status = hr_service_open(&service, &options);
        hr_service_close(&service);
        assert_int_equal(hostile_memory_held(), 0);
        failed = hostile_memory_restore();
        assert_int_equal(status, failed ? HR_E_MEMORY : HR_OK);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(ready_is_loaded_and_not_draining),
                                        cmocka_unit_test(what_cannot_be_opened_leaves_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
