/* SPDX-License-Identifier: Apache-2.0
 * What every protocol sees of the server: its models, its queues, its limits, whether it is ready.
 */
#ifndef HR_SERVE_SERVICE_H
#define HR_SERVE_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/batcher.h"
#include "serve/registry.h"

/* Limits are of one request unless said. */
struct hr_limits {
    uint64_t body_bytes;     /* also after decompression */
    uint64_t all_body_bytes; /* of all requests that are in memory */
    uint64_t header_bytes;
    unsigned connections, connections_of_one; /* in all; of one address, 0: no limit */
    size_t items;                             /* pictures or rows */
    int most_side;                            /* of network inputs, px */
    double head_seconds, body_seconds; /* to send head and body; the first is for idling too */
    double request_seconds;            /* from submit to answer */
};

struct hr_gate;    /* serve/gate.h: who may come in */
struct hr_observe; /* serve/observe.h: log and counters */

enum hr_service_state { HR_SERVICE_LOADING, HR_SERVICE_READY, HR_SERVICE_DRAINING };

struct hr_service {
    struct hr_limits limits;
    struct hr_registry *registry;
    struct hr_batcher *batcher;
    struct hr_gate *gate;
    struct hr_observe *observe;
    const char *cors_origin;              /* NULL: no cross-origin reading */
    bool may_load;                        /* clients may load and unload models */
    bool triton_metrics;                  /* print the nv_ names too */
    atomic_int state;                     /* enum hr_service_state */
    atomic_uint_least64_t requests_now;   /* being answered */
    atomic_uint_least64_t body_bytes_now; /* held for them */
};

/* Live and ready as health routes tell it: ready means that every model is loaded and the server
 * does not drain. */
bool hr_service_ready(const struct hr_service *service);

#endif
