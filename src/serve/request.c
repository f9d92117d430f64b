/* SPDX-License-Identifier: Apache-2.0
 * Deadlines of a request: whoever has one says it, the earliest counts. */
#include "serve/request.h"

#include "base/os.h"

void hr_request_limit(struct hr_request *request, uint64_t deadline_ns)
{
    if (deadline_ns && (!request->deadline_ns || deadline_ns < request->deadline_ns))
        request->deadline_ns = deadline_ns;
}

void hr_request_limit_seconds(struct hr_request *request, double seconds)
{
    if (seconds > 0)
        hr_request_limit(request, hr_os_now_ns() + (uint64_t)(1e9 * seconds));
}
