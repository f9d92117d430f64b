/* SPDX-License-Identifier: Apache-2.0
 * Small answers that every route needs. */
#include "serve/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "serve/json_memory.h"

static void put_error(struct hr_call *call, const char *message)
{
    json_t *object = json_pack("{s:s}", "error", message);
    char *text = hr_json_dump(object);
    hr_call_text(call, "application/json", text ? text : "{\"error\":\"the server failed\"}");
    hr_json_release(text);
    json_decref(object);
}

void hr_call_end(struct hr_call *call)
{
    if (call->answer.status == HR_OK && !hr_json_memory_failed())
        return;
    hr_buffer_fini(&call->answer);
    call->json_bytes = 0;
    call->code = hr_status_info(HR_E_MEMORY)->http;
    call->retry_seconds = 1;
    hr_call_text(call, "application/json", "{\"error\":\"out of memory\"}");
}

void hr_call_fail(struct hr_call *call, enum hr_status status)
{
    call->code = hr_status_info(status)->http;
    if (status == HR_E_BUSY || status == HR_E_MEMORY)
        call->retry_seconds = 1;
    put_error(call, hr_last_message());
}

void hr_call_fail_code(struct hr_call *call, int code, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    call->code = code;
    put_error(call, message);
}

void hr_call_text(struct hr_call *call, const char *content_type, const char *text)
{
    call->content_type = content_type;
    call->answer.size = 0;
    hr_buffer_put(&call->answer, text, strlen(text));
}

void hr_call_take_text(struct hr_call *call, const char *content_type, struct hr_text *text)
{
    hr_call_text(call, content_type, hr_text_str(text));
    if (text->status != HR_OK)
        call->answer.status = text->status;
    hr_text_fini(text);
}

static void note_times(struct hr_call *call, const struct hr_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        const struct hr_item *item = &request->items[i];
        call->decode_ns = item->decode_ns > call->decode_ns ? item->decode_ns : call->decode_ns;
        call->queue_ns = item->queue_ns > call->queue_ns ? item->queue_ns : call->queue_ns;
        call->run_ns = item->run_ns > call->run_ns ? item->run_ns : call->run_ns;
        call->batch = item->batch > call->batch ? item->batch : call->batch;
    }
    call->items += request->count;
    snprintf(call->model_name, sizeof call->model_name, "%s", request->served->name);
}

struct running {
    struct hr_batcher *batcher;
    struct hr_request *request;
};

static void cancel(void *context)
{
    const struct running *running = context;
    hr_batcher_cancel(running->batcher, running->request, HR_E_CANCELLED);
}

bool hr_call_run(struct hr_call *call, struct hr_request *request)
{
    struct hr_batcher *batcher = call->service->batcher;
    struct running running = { batcher, request };
    hr_request_limit_seconds(request, call->seconds);
    call->attend(call, cancel, &running);
    const enum hr_status status = hr_batcher_run(batcher, request);
    call->attend(call, NULL, NULL);
    if (status == HR_OK) {
        note_times(call, request);
        return true;
    }
    hr_call_fail(call, status);
    if (status == HR_E_BUSY) {
        const double seconds = hr_batcher_wait_seconds(batcher, request->served);
        call->retry_seconds = seconds < 1 ? 1 : seconds > 60 ? 60 : (unsigned)(seconds + 0.5);
    }
    return false;
}

bool hr_call_query_count(struct hr_call *call, const char *name, int64_t least, int64_t most,
                         int64_t *out)
{
    const char *text = call->find_query(call, name);
    int64_t value;
    if (!text)
        return true;
    if (hr_parse_i64(text, &value) != HR_OK || value < least || value > most) {
        hr_call_fail_code(call, 400,
                          "%s is '%.40s': a whole number from %" PRId64 " to %" PRId64 " is wanted",
                          name, text, least, most);
        return false;
    }
    *out = value;
    return true;
}
