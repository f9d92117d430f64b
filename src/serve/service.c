/* SPDX-License-Identifier: Apache-2.0
 * What stands behind every protocol, made and ended in one place. */
#include "serve/service.h"

#include "serve/observe.h"

bool hr_service_ready(const struct hr_service *service)
{
    return atomic_load(&service->state) == HR_SERVICE_READY && hr_registry_ready(service->registry);
}

enum hr_status hr_service_open(struct hr_service *service, const struct hr_service_options *options)
{
    *service = (struct hr_service){ .limits = options->limits,
                                    .cors_origin = options->cors_origin,
                                    .may_load = options->may_load,
                                    .triton_metrics = options->triton_metrics };
    HR_TRY(hr_gate_create(&service->gate, &options->gate));
    HR_TRY(hr_observe_create(&service->observe, options->log_path));
    HR_TRY(hr_registry_create(&service->registry, &options->registry));
    return hr_batcher_create(&service->batcher, &options->batcher);
}

void hr_service_close(struct hr_service *service)
{
    if (service->batcher)
        hr_batcher_stop(service->batcher);
    hr_batcher_destroy(service->batcher);
    hr_registry_destroy(service->registry);
    hr_observe_destroy(service->observe);
    hr_gate_destroy(service->gate);
}
