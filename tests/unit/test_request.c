/* SPDX-License-Identifier: Apache-2.0
 * Of a request's deadlines the earliest counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/os.h"
#include "serve/request.h"

static void the_earlier_deadline_counts(void **state)
{
    struct hr_request request = { 0 };
    (void)state;
    hr_request_limit(&request, 0);
    hr_request_limit_seconds(&request, 0);
    assert_int_equal(request.deadline_ns, 0);
    hr_request_limit(&request, 500);
    hr_request_limit(&request, 700);
    hr_request_limit(&request, 0);
    hr_request_limit_seconds(&request, 60);
    assert_int_equal(request.deadline_ns, 500);
    request.deadline_ns = 0;
    const uint64_t before_ns = hr_os_now_ns();
    hr_request_limit_seconds(&request, 0.5);
    assert_in_range(request.deadline_ns, before_ns + 500000000, hr_os_now_ns() + 500000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_earlier_deadline_counts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
