/* SPDX-License-Identifier: Apache-2.0
 * gRPC's health checking.  A service of ours is as ready as the server. */
#include "serve/health.h"

#include <string.h>

#include "base/mem.h"
#include "serve/grpc_job.h"
#include "serve/grpc_message.h"
#include "serve/health.pb-c.h"
#include "serve/service.h"
#include "wire/message.h"

typedef Grpc__Health__V1__HealthCheckRequest request_message;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define UNTOLD          GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN
#define SERVING         GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* "" is the whole server. */
static bool is_known(struct hr_grpc_call *call, const char *service)
{
    const struct hr_grpc_method *const *tables = hr_grpc_tables(hr_grpc_call_server(call));
    bool known = !*service;
    for (size_t i = 0; tables[i] && !known; i++) {
        const char *path = tables[i]->path + 1;
        const size_t length = strcspn(path, "/");
        known = strlen(service) == length && strncmp(path, service, length) == 0;
    }
    return known;
}

/* Reads which service is asked for; false: the call is finished. */
static bool read_known(struct hr_grpc_call *call, const struct hr_buffer *bytes, bool *known)
{
    struct hr_message_memory memory = { 0 };
    ProtobufCMessage *base = NULL;
    const bool read = hr_grpc_read_request(
        call, bytes, &grpc__health__v1__health_check_request__descriptor, &memory, &base);
    if (read)
        *known = is_known(call, ((request_message *)base)->service);
    hr_message_memory_fini(&memory);
    return read;
}

static serving_status status_of(struct hr_grpc_call *call, bool known)
{
    if (!known)
        return SERVICE_UNKNOWN;
    return hr_service_ready(hr_grpc_call_context(call)) ? SERVING : NOT_SERVING;
}

static void check(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    bool known;
    if (!read_known(call, bytes, &known))
        return;
    response.status = status_of(call, known);
    if (known)
        hr_grpc_answer(call, &response.base);
    else
        hr_grpc_finish(call, hr_fail(HR_E_NOT_FOUND, "no service of that name is here"));
}

/* ---- Watch: the status now, and whenever it changes ---- */

struct watch {
    struct hr_grpc_note note; /* first, as in every call's state */
    bool known;
    serving_status told;
};

static void watch_gone(struct hr_grpc_call *call)
{
    void **state = hr_grpc_call_state(call);
    hr_mem_free(*state);
    *state = NULL;
}

static void tell(struct hr_grpc_call *call, struct watch *w)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = status_of(call, w->known);
    if (response.status == w->told)
        return;
    w->told = response.status;
    hr_grpc_send_message(call, &response.base);
    if (hr_grpc_call_over(call)) /* for want of memory */
        watch_gone(call);
}

static void watch(struct hr_grpc_call *call, struct hr_buffer *bytes)
{
    void **state = hr_grpc_call_state(call);
    struct watch *w = NULL;
    bool known;
    if (*state) {
        hr_grpc_finish(call, hr_fail(HR_E_ARGUMENT, "the request has more than one message"));
        watch_gone(call);
    } else if (read_known(call, bytes, &known)) {
        w = hr_mem_alloc(1, sizeof *w);
        if (!w)
            hr_grpc_finish(call, HR_E_MEMORY);
    }
    if (!w)
        return;
    *w = (struct watch){ .known = known, .told = UNTOLD };
    *state = w;
    tell(call, w);
}

static void watch_end(struct hr_grpc_call *call)
{
    if (!*hr_grpc_call_state(call))
        hr_grpc_finish(call, hr_fail(HR_E_FORMAT, "the request has no message"));
}

static void watch_look(struct hr_grpc_call *call)
{
    struct watch *w = *hr_grpc_call_state(call);
    if (!w)
        return;
    tell(call, w);
    if (!hr_grpc_is_draining(hr_grpc_call_server(call)))
        return;
    hr_grpc_finish(call, hr_fail(HR_E_BUSY, "the server is stopping"));
    watch_gone(call);
}

const struct hr_grpc_method hr_health_methods[] = {
    { "/grpc.health.v1.Health/Check", HR_GRPC_OPEN | HR_GRPC_EARLY, check, NULL, NULL, NULL },
    { "/grpc.health.v1.Health/Watch", HR_GRPC_OPEN | HR_GRPC_EARLY | HR_GRPC_STREAM, watch,
      watch_end, watch_gone, watch_look },
    { 0 },
};
