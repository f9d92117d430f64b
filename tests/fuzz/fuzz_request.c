/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a request over HTTP: "METHOD /path?query", a line for each header, an empty line,
 * the body.  Whatever route it meets answers once with a code that HTTP has; JSON is JSON, a
 * failure says what is wrong; and the model is given back. */
#include <stdlib.h>
#include <string.h>

#include "asking.h"
#include "serve/json_memory.h"
#include "service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_CHECKED                                                            \
    16384 /* bytes of an answer: the OpenAPI document is no answer to a request \
           */

static void check_answer(const struct hr_call *call)
{
    const bool json = !call->content_type || strcmp(call->content_type, "application/json") == 0;
    if (call->answer.status != HR_OK || (call->code != 0 && (call->code < 200 || call->code > 599)))
        abort();
    if (!json || call->answer.size == 0 || call->answer.size > MOST_CHECKED)
        return;
    const size_t size = call->json_bytes ? call->json_bytes : call->answer.size;
    json_t *value = NULL;
    const enum hr_status status = hr_json_parse(&value, (const char *)call->answer.data, size);
    if (status == HR_E_MEMORY)
        return; /* a target's own memory may fail, too */
    if (status != HR_OK || (call->code >= 400 && !json_is_object(value)))
        abort();
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct asking asking = { .leaves = true };
    struct hr_call call;
    size_t used = 0;
    if (!asking_read(&asking, data, size, &used))
        return 0;
    if (asking_route(&asking, &call, fuzz_service(), data + used, size - used))
        check_answer(&call);
    if (asking.attended || !fuzz_service_is_free())
        abort();
    hr_buffer_fini(&call.answer);
    return 0;
}
