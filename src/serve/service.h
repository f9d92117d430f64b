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
#include "serve/gate.h"
#include "serve/registry.h"
#include "serve/time_limits.h"

/* Limits are of one request unless said. */
struct hr_limits {
    uint64_t body_bytes;     /* also after decompression */
    uint64_t all_body_bytes; /* of all requests that are in memory */
    uint64_t header_bytes;
    unsigned connections, connections_of_one; /* in all; of one address, 0: no limit */
    size_t items;                             /* pictures or rows */
    int most_side;                            /* of network inputs, px */
    double head_seconds, body_seconds; /* to send head and body; the first is for idling too */
    struct hr_time_limits time;        /* from submit to answer */
};

struct hr_observe; /* serve/observe.h: log and counters */

struct hr_service_options {
    struct hr_limits limits;
    struct hr_registry_options registry;
    struct hr_batcher_options batcher;
    struct hr_gate_options gate;
    const char *log_path;    /* as hr_observe_create has it */
    const char *cors_origin; /* or NULL */
    bool may_load, triton_metrics;
};

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

/* Makes what a service has, its state being LOADING; models are not loaded yet.  The options'
 * strings are borrowed.  hr_service_close() frees, also after a failure; stop protocols before. */
enum hr_status hr_service_open(struct hr_service *service,
                               const struct hr_service_options *options) HR_WARN_UNUSED;
void hr_service_close(struct hr_service *service);

/* Live and ready as health routes tell it: ready means that every model is loaded and the server
 * does not drain. */
bool hr_service_ready(const struct hr_service *service);

#endif
